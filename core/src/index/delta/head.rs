//! The beginning of a pack: what it starts from, the whole manifest that it leads to, which files
//! it brings. Its SHA-256 is what a signature signs: the manifest in it holds those of all files.

use std::collections::HashSet;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::super::manifest::{FileEntry, Manifest, hexadecimal, sha256};
use super::PackError;

pub(super) const MAGIC: [u8; 8] = *b"PLXPACK\n";
pub(super) const VERSION: u32 = 1;
/// The manifest in it has at most 16 MiB; as a JSON string up to twice as much.
const MAX_BYTES: u32 = 48 << 20;
pub(super) const SIGNATURE_BYTES: usize = 64;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Head {
    /// SHA-256 of the manifest that the pack begins from; `None`: from nothing.
    pub(super) base: Option<String>,
    /// Names of the files in the pack, in order.
    pub(super) files: Vec<String>,
    /// The bytes of the manifest that the pack leads to.
    pub(super) manifest: String,
}

impl Head {
    /// The bytes of the beginning up to its digest, and the digest.
    pub(super) fn to_bytes(&self) -> (Vec<u8>, [u8; 32]) {
        let json = serde_json::to_vec(self).expect("a head is plain data");
        let mut bytes = MAGIC.to_vec();
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend((json.len() as u32).to_le_bytes());
        bytes.extend(json);
        let digest = Sha256::digest(&bytes).into();
        (bytes, digest)
    }

    /// Reads and checks the beginning of a pack.
    pub(super) fn read(pack: &mut PackReader<impl Read>) -> Result<(Self, [u8; 32]), PackError> {
        let magic: [u8; 8] = pack.array("magic")?;
        if magic != MAGIC {
            return Err(PackError::NotAPack {
                path: pack.path.clone(),
                found: magic.escape_ascii().to_string(),
            });
        }
        let version = u32::from_le_bytes(pack.array("version")?);
        if version != VERSION {
            return Err(PackError::Incompatible {
                path: pack.path.clone(),
                needs: format!("pack version {version} (this version reads {VERSION})"),
            });
        }
        let length = u32::from_le_bytes(pack.array("length of the head")?);
        if length > MAX_BYTES {
            return Err(pack.corrupt("length of the head", "at most 48 MiB", length));
        }
        let begin = pack.offset;
        let json = pack.bytes("head", length as usize)?;
        let computed = pack.digest();
        let stored: [u8; 32] = pack.array("digest of the head")?;
        if computed != stored {
            let expected = hexadecimal(&stored);
            return Err(pack.corrupt("head", &expected, hexadecimal(&computed)));
        }
        let head = serde_json::from_slice(&json).map_err(|error| PackError::Corrupt {
            path: pack.path.clone(),
            what: "head".to_owned(),
            offset: begin,
            expected: "its fields".to_owned(),
            found: error.to_string(),
        })?;
        Ok((head, computed))
    }

    /// The manifest, and the entries of the files in the pack.
    pub(super) fn target(&self, path: &Path) -> Result<(Manifest, Vec<FileEntry>), PackError> {
        let manifest = Manifest::parse(self.manifest.as_bytes(), path)?;
        let mut seen = HashSet::new();
        let entries = self
            .files
            .iter()
            .map(|name| {
                let entry = manifest.files().find(|entry| entry.file == *name);
                match entry.filter(|_| seen.insert(name)) {
                    Some(entry) => Ok(entry.clone()),
                    None => Err(PackError::Corrupt {
                        path: path.to_owned(),
                        what: "files of the head".to_owned(),
                        offset: 16,
                        expected: "names in the manifest, once each".to_owned(),
                        found: format!("{name:?}"),
                    }),
                }
            })
            .collect::<Result<_, _>>()?;
        Ok((manifest, entries))
    }

    pub(super) fn target_digest(&self) -> String {
        sha256(self.manifest.as_bytes())
    }
}

/// Reads a pack from its beginning to its end, and hashes what it reads.
pub(super) struct PackReader<R> {
    input: R,
    pub(super) path: PathBuf,
    /// Bytes read.
    pub(super) offset: u64,
    hash: Sha256,
}

impl<R: Read> PackReader<R> {
    pub(super) fn new(input: R, path: &Path) -> Self {
        Self {
            input,
            path: path.to_owned(),
            offset: 0,
            hash: Sha256::new(),
        }
    }

    pub(super) fn array<const N: usize>(&mut self, what: &str) -> Result<[u8; N], PackError> {
        let bytes = self.bytes(what, N)?;
        Ok(std::array::from_fn(|i| bytes[i]))
    }

    /// Memory grows with what is there, not with what the pack claims.
    pub(super) fn bytes(&mut self, what: &str, length: usize) -> Result<Vec<u8>, PackError> {
        let mut bytes = Vec::new();
        let found = (&mut self.input)
            .take(length as u64)
            .read_to_end(&mut bytes)
            .map_err(|source| self.io_error(source))?;
        if found < length {
            return Err(self.corrupt(
                what,
                &format!("{length} bytes"),
                format!("{found}, then the end"),
            ));
        }
        self.hash.update(&bytes);
        self.offset += length as u64;
        Ok(bytes)
    }

    /// SHA-256 of all bytes read so far.
    pub(super) fn digest(&self) -> [u8; 32] {
        self.hash.clone().finalize().into()
    }

    /// Whether nothing comes any more.
    pub(super) fn is_at_end(&mut self) -> Result<bool, PackError> {
        let mut byte = [0];
        match self.input.read(&mut byte) {
            Ok(count) => Ok(count == 0),
            Err(source) => Err(self.io_error(source)),
        }
    }

    pub(super) fn io_error(&self, source: io::Error) -> PackError {
        PackError::Io {
            path: self.path.clone(),
            source,
        }
    }

    /// What is wrong with the part that begins here.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "literals and numbers, on the error path"
    )]
    pub(super) fn corrupt(&self, what: &str, expected: &str, found: impl ToString) -> PackError {
        PackError::Corrupt {
            path: self.path.clone(),
            what: what.to_owned(),
            offset: self.offset,
            expected: expected.to_owned(),
            found: found.to_string(),
        }
    }
}
