//! Applying a pack, and taking that back.
//!
//! Everything is checked before the manifest is replaced: the signature first, each chunk as it
//! comes, each file, the whole pack, and at last the new index as `verify` does. The old manifest
//! stays beside the new one with all its files, so that a rollback needs no download.

use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::super::directory::{
    NewFiles, check_free, forget_previous, io_error, keep_as_previous, remove_unnamed,
};
use super::super::lock::WriterLock;
use super::super::manifest::{FileEntry, Manifest, hexadecimal, sha256};
use super::super::storage::{Disk, Storage};
use super::super::{Index, IndexError};
use super::chunk::{self, MAX_PAYLOAD, MAX_YIELD, Prefix};
use super::diff::Snapshot;
use super::head::{Head, PackReader, SIGNATURE_BYTES};
use super::{PackError, sources};

/// Decides whether a signature over a digest is to be trusted; `None`: there is no signature.
pub(in crate::index) type Trust<'a> =
    &'a dyn Fn(&[u8; 32], Option<&[u8; SIGNATURE_BYTES]>) -> Result<(), PackError>;

/// Turns the index at `dir` into the one that the pack leads to, and opens it. A full pack also
/// makes an index where there is none. Applying a pack again changes nothing.
///
/// Streams the pack: memory for a few chunks of 1 MiB, whatever its size. The index before it
/// stays until the next pack; see [`rollback`].
///
/// # Errors
/// [`PackError::ForeignBase`] when the pack begins from another index, [`PackError::NotAPack`],
/// [`PackError::Incompatible`], [`PackError::Corrupt`] for what is wrong with the pack, with the
/// place; with a key, [`PackError::NotSigned`] and [`PackError::BadSignature`];
/// [`PackError::Index`] when the index is busy or damaged. The index is then as it was.
pub fn apply(
    dir: &Path,
    pack: &Path,
    #[cfg(feature = "signature")] key: Option<&super::PublicKey>,
) -> Result<Index, PackError> {
    #[cfg(feature = "signature")]
    if let Some(key) = key {
        let path = || pack.to_owned();
        return apply_on(&Disk, dir, pack, &|digest, signature| match signature {
            None => Err(PackError::NotSigned { path: path() }),
            Some(signature) if key.recognises(digest, signature) => Ok(()),
            Some(_) => Err(PackError::BadSignature {
                path: path(),
                key: key.to_string(),
            }),
        });
    }
    apply_on(&Disk, dir, pack, &|_, _| Ok(()))
}

pub(in crate::index) fn apply_on(
    storage: &dyn Storage,
    dir: &Path,
    path: &Path,
    trust: Trust<'_>,
) -> Result<Index, PackError> {
    let file = File::open(path).map_err(|source| PackError::Io {
        path: path.to_owned(),
        source,
    })?;
    let mut pack = PackReader::new(BufReader::with_capacity(256 * 1024, file), path);
    let (head, digest) = Head::read(&mut pack)?;
    let [signed] = pack.array("mark of the signature")?;
    let signature = match signed {
        0 => None,
        1 => Some(pack.array("signature")?),
        other => return Err(pack.corrupt("mark of the signature", "0 or 1", other)),
    };
    trust(&digest, signature.as_ref())?;
    let (target, entries) = head.target(path)?;

    check_free(dir)?;
    // A damaged index needs no saving: a full pack replaces it.
    let is_there = |error: &IndexError| !matches!(error, IndexError::NotAnIndex { .. });
    let before = match Manifest::read_bytes(dir) {
        Ok(bytes) => Some(bytes),
        Err(error) if is_there(&error) => return Err(error.into()),
        Err(_) => None,
    };
    let found = before.as_deref().map(sha256);
    if found.as_deref() == Some(head.target_digest().as_str()) {
        let index = Index::open(dir)?;
        index.verify()?;
        return Ok(index);
    }
    if head.base.is_some() && head.base != found {
        return Err(foreign(dir, &head, found));
    }

    // Declared before the files, so that these are tidied up under the lock.
    let _lock;
    let mut files = NewFiles::begin(storage, dir)?;
    _lock = WriterLock::take(dir)?;
    let base = match head.base {
        Some(_) => {
            // Once more, now that nobody else can change it.
            let base = Snapshot::open(dir)?;
            let found = Some(base.digest());
            if found != head.base {
                return Err(foreign(dir, &head, found));
            }
            Some(base)
        }
        None => None,
    };
    let old = base
        .as_ref()
        .map_or(Vec::new(), |base| sources(&base.index));
    let mut number = 0;
    for entry in &entries {
        receive(&mut pack, entry, &mut files, dir, &old, &mut number)?;
    }
    let computed = pack.digest();
    let whole: [u8; 32] = pack.array("digest of the pack")?;
    if whole != computed {
        return Err(pack.corrupt(
            "digest of the pack",
            &hexadecimal(&whole),
            hexadecimal(&computed),
        ));
    }
    if !pack.is_at_end()? {
        return Err(pack.corrupt("end", "nothing behind the digest", "more bytes"));
    }

    let index = Index::of_manifest(dir, target)?;
    index.verify()?;
    match before {
        Some(before) if Manifest::parse(&before, dir).is_ok() => {
            keep_as_previous(storage, dir, &before)?;
        }
        _ => forget_previous(storage, dir)?,
    }
    files.publish_bytes(index.manifest(), head.manifest.as_bytes())?;
    Ok(index)
}

fn foreign(dir: &Path, head: &Head, found: Option<String>) -> PackError {
    PackError::ForeignBase {
        path: dir.to_owned(),
        expected: head.base.clone().unwrap_or_default(),
        found: found.unwrap_or_else(|| "no index".to_owned()),
    }
}

/// Writes one file of the pack. `number` counts the chunks of the whole pack.
fn receive(
    pack: &mut PackReader<impl Read>,
    entry: &FileEntry,
    files: &mut NewFiles<'_>,
    dir: &Path,
    old: &[&[u8]],
    number: &mut u64,
) -> Result<(), PackError> {
    let path = dir.join(&entry.file);
    let mut file = files.pending(&entry.file)?;
    let mut hash = Sha256::new();
    let mut length = 0;
    let begin = pack.offset;
    while length < entry.length {
        let what = format!("chunk {number} of {}", entry.file);
        let prefix = Prefix::parse(&pack.array(&what)?);
        let limit = (entry.length - length).min(MAX_YIELD as u64);
        if !(1..=limit).contains(&u64::from(prefix.yields)) || prefix.stored as usize > MAX_PAYLOAD
        {
            let expected = format!("1 to {limit} bytes in at most {MAX_PAYLOAD}");
            let found = format!("{} in {}", prefix.yields, prefix.stored);
            return Err(pack.corrupt(&what, &expected, found));
        }
        let at = pack.offset;
        let stored = pack.bytes(&what, prefix.stored as usize)?;
        let bytes = chunk::decode(&prefix, &stored, old).map_err(|fault| PackError::Corrupt {
            path: pack.path.clone(),
            what,
            offset: at,
            expected: fault.expected.to_owned(),
            found: fault.found,
        })?;
        hash.update(&bytes);
        file.write_all(&bytes)
            .map_err(|source| io_error(&path, source))?;
        length += bytes.len() as u64;
        *number += 1;
    }
    let found = hexadecimal(&hash.finalize());
    if found != entry.sha256 {
        return Err(PackError::Corrupt {
            path: pack.path.clone(),
            what: entry.file.clone(),
            offset: begin,
            expected: format!("sha256 {}", entry.sha256),
            found,
        });
    }
    file.publish(&path)
        .map_err(|source| io_error(&path, source))?;
    Ok(())
}

/// Brings back the index from before the last applied pack, and opens it; what was changed since is
/// lost. It is verified first.
///
/// # Errors
/// [`IndexError::NoPrevious`] when there is none, [`IndexError::Busy`], and those of
/// [`Index::open`] and [`Index::verify`] when it is damaged.
pub fn rollback(dir: &Path) -> Result<Index, IndexError> {
    rollback_on(&Disk, dir)
}

pub(in crate::index) fn rollback_on(
    storage: &dyn Storage,
    dir: &Path,
) -> Result<Index, IndexError> {
    let no_previous = || IndexError::NoPrevious {
        path: dir.to_owned(),
    };
    let now = Manifest::read_bytes(dir)?;
    let _lock = WriterLock::take(dir)?;
    let bytes = Manifest::read_previous_bytes(dir)?.ok_or_else(no_previous)?;
    // A power cut may have come after the old manifest was kept and before it was replaced.
    if bytes == now {
        return Err(no_previous());
    }
    let manifest = Manifest::parse(&bytes, &Manifest::previous_path(dir))?;
    let index = Index::of_manifest(dir, manifest)?;
    index.verify()?;
    let files = NewFiles::begin(storage, dir)?;
    files.publish_bytes(index.manifest(), &bytes)?;
    // Only now: until the manifest was replaced, its files were the only copy.
    forget_previous(storage, dir)?;
    remove_unnamed(storage, dir, index.manifest());
    Ok(index)
}
