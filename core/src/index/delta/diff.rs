//! Making a pack: the files that the new index has and the old one has not, as copies from the old
//! one and new bytes.

use std::collections::HashSet;
use std::fs;
use std::io::Write;
use std::path::Path;

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::super::manifest::Manifest;
use super::super::storage::{Disk, PendingFile, Storage};
use super::super::{Index, directory};
use super::head::{Head, SIGNATURE_BYTES};
use super::matcher::Matcher;
use super::{PackError, chunk, sources};

/// What a pack is going to be made of.
#[derive(Clone, Copy, Debug)]
pub struct Delta<'a> {
    /// The index that devices have; `None`: a full pack, which needs none.
    pub old: Option<&'a Path>,
    /// The index that they are to have.
    pub new: &'a Path,
    /// Signs the pack.
    #[cfg(feature = "signature")]
    pub sign: Option<&'a super::SigningKey>,
}

/// What a pack holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Packed {
    /// Bytes of the pack.
    pub bytes: u64,
    /// Bytes of all files of the new index.
    pub of: u64,
    /// Files in the pack.
    pub files: usize,
}

/// Writes the pack that turns `delta.old` into `delta.new` to `out`. The new index is verified
/// first.
///
/// Memory: 32 MiB to find what is in common, the new bundle, and 16 bytes for each stretch that
/// differs.
///
/// # Errors
/// [`PackError::Index`] when one of them cannot be opened or the new one is damaged,
/// [`PackError::Io`].
pub fn diff(delta: &Delta<'_>, out: &Path) -> Result<Packed, PackError> {
    let new = Snapshot::open(delta.new)?;
    new.index.verify()?;
    let old = delta.old.map(Snapshot::open).transpose()?;
    let kept: HashSet<_> = old
        .iter()
        .flat_map(|old| old.index.manifest().files())
        .map(|entry| (&entry.file, &entry.sha256))
        .collect();
    let entries: Vec<_> = new
        .index
        .manifest()
        .files()
        .filter(|entry| !kept.contains(&(&entry.file, &entry.sha256)))
        .collect();
    let head = Head {
        base: old.as_ref().map(Snapshot::digest),
        files: entries.iter().map(|entry| entry.file.clone()).collect(),
        manifest: String::from_utf8_lossy(&new.manifest).into_owned(),
    };
    let (begin, digest) = head.to_bytes();
    let old_files = old.as_ref().map_or(Vec::new(), |old| sources(&old.index));
    let io_error = |source| PackError::Io {
        path: out.to_owned(),
        source,
    };
    let mut pack = PackWriter {
        file: PendingFile::beside(&Disk, out).map_err(io_error)?,
        hash: Sha256::new(),
        bytes: 0,
    };
    pack.write(&begin).map_err(io_error)?;
    pack.write(&digest).map_err(io_error)?;
    pack.write(&signature(delta, &digest)).map_err(io_error)?;

    // What the bundle has in common with segments is nothing: it is not looked through.
    let matcher = Matcher::new(old_files.clone());
    for entry in &entries {
        let path = delta.new.join(&entry.file);
        let segment = new
            .index
            .segments()
            .iter()
            .find(|s| s.container().path() == path);
        match segment {
            Some(segment) => {
                let bytes = segment.container().bytes();
                let pieces = matcher.pieces(bytes);
                chunk::encode(bytes, &pieces, &old_files, |chunk| pack.write(chunk))
            }
            None => fs::read(&path).and_then(|bytes| {
                let pieces = Matcher::new(Vec::new()).pieces(&bytes);
                chunk::encode(&bytes, &pieces, &[], |chunk| pack.write(chunk))
            }),
        }
        .map_err(io_error)?;
    }
    let whole: [u8; 32] = pack.hash.clone().finalize().into();
    pack.write(&whole).map_err(io_error)?;
    let bytes = pack.bytes;
    pack.file
        .publish(out)
        .and_then(|()| Disk.sync_dir(directory::parent_of(out)))
        .map_err(io_error)?;
    let of = new.index.manifest().files().map(|entry| entry.length).sum();
    Ok(Packed {
        bytes,
        of,
        files: entries.len(),
    })
}

/// One byte that says whether a signature follows, and the signature.
fn signature(delta: &Delta<'_>, digest: &[u8; 32]) -> Vec<u8> {
    #[cfg(feature = "signature")]
    if let Some(key) = delta.sign {
        let mut bytes = vec![1];
        bytes.extend(key.sign(digest));
        debug_assert_eq!(bytes.len(), 1 + SIGNATURE_BYTES);
        return bytes;
    }
    let _ = (delta, digest, SIGNATURE_BYTES);
    vec![0]
}

/// An index, and the very bytes of its manifest.
pub(super) struct Snapshot {
    pub(super) index: Index,
    pub(super) manifest: Vec<u8>,
}

impl Snapshot {
    pub(super) fn open(dir: &Path) -> Result<Self, PackError> {
        let manifest = Manifest::read_bytes(dir)?;
        let parsed = Manifest::parse(&manifest, &Manifest::path(dir))?;
        let index = Index::of_manifest(dir, parsed)?;
        Ok(Self { index, manifest })
    }

    /// SHA-256 of the manifest: the name of this state of the index.
    pub(super) fn digest(&self) -> String {
        super::super::manifest::sha256(&self.manifest)
    }
}

struct PackWriter<'a> {
    file: PendingFile<'a>,
    hash: Sha256,
    bytes: u64,
}

impl PackWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.hash.update(bytes);
        self.bytes += bytes.len() as u64;
        self.file.write_all(bytes)
    }
}
