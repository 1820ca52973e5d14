//! Shards: a catalogue is split by its keys, each part is indexed on a machine of its own, and the
//! indexes become one, with the same bytes as if it had been built in one go.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::directory::{NewFiles, SEGMENT_ROWS, check_free, forget_previous, io_error};
use super::live::LiveItems;
use super::lock::WriterLock;
use super::manifest::{FileEntry, Manifest};
use super::reader::check_digest;
use super::storage::{Disk, Storage};
use super::{Index, IndexError};

/// The shard, `0..shards`, that an item belongs to: the first 8 bytes of the SHA-256 of its key,
/// little-endian, modulo their number. All photos of an item go to one shard.
///
/// # Panics
/// When there are no shards.
pub fn shard_of(key: &str, shards: u32) -> u32 {
    let digest = Sha256::digest(key.as_bytes());
    let first = digest.first_chunk().expect("a digest has 32 bytes");
    (u64::from_le_bytes(*first) % u64::from(shards)) as u32
}

/// Makes one index at `out` of indexes that have no key in common, in whatever order they are given.
/// An index that stands there is replaced when the new one is whole.
///
/// The files are those that one build of all items writes, without a calibration: that is fitted to
/// a whole catalogue and does not carry over from parts. Memory for one segment at a time.
///
/// # Errors
/// [`IndexError::ForeignShard`] when models or bundles differ, [`IndexError::Augmented`] when one was built with vectors
/// moved towards their neighbours, [`IndexError::DuplicateKey`] when an
/// item is in two of them, [`IndexError::NotAnIndex`] for no shards at all, and those of
/// [`Index::open`].
pub fn merge(shards: &[PathBuf], out: &Path) -> Result<Index, IndexError> {
    merge_on(&Disk, shards, out)
}

pub(super) fn merge_on(
    storage: &dyn Storage,
    shards: &[PathBuf],
    out: &Path,
) -> Result<Index, IndexError> {
    check_free(out)?;
    let indexes = shards
        .iter()
        .map(|path| Index::open(path))
        .collect::<Result<Vec<_>, _>>()?;
    let Some(first) = indexes.first() else {
        return Err(IndexError::NotAnIndex {
            path: out.to_owned(),
            found: "no shard to merge".to_owned(),
        });
    };
    for index in &indexes {
        check_plain(index)?;
        check_same(first, index)?;
    }
    let bundle = read_bundle(first)?;

    // Declared before the files, so that these are tidied up under the lock.
    let _lock;
    let mut files = NewFiles::begin(storage, out)?;
    _lock = WriterLock::take(out)?;
    let bundle = files.write("bundle-", &bundle, ".lens")?;
    let parts: Vec<_> = indexes.iter().flat_map(Index::segments).collect();
    let mut manifest = Manifest::new(first.fingerprint(), first.dim(), bundle, Vec::new());
    manifest.columns = first.manifest().columns.clone();
    manifest.attributes = first.manifest().attributes;
    let form = manifest.segment_form();
    let mut segments = Vec::new();
    let (mut items, mut rows) = (Vec::new(), 0);
    for place in LiveItems::all(parts.iter().copied())? {
        let place = place?;
        let item = parts[place.segment].to_item(place.item)?;
        let more = item.1.photos.len();
        if rows + more > SEGMENT_ROWS as usize && !items.is_empty() {
            segments.extend(files.write_segments(&form, &items, SEGMENT_ROWS)?);
            items.clear();
            rows = 0;
        }
        rows += more;
        items.push(item);
    }
    segments.extend(files.write_segments(&form, &items, SEGMENT_ROWS)?);
    manifest.set_segments(segments);
    let merged = Index::of_manifest(out, manifest)?;
    forget_previous(storage, out)?;
    files.publish(merged.manifest())?;
    Ok(merged)
}

/// What was moved towards its neighbours in one part was not moved towards those in the others.
fn check_plain(index: &Index) -> Result<(), IndexError> {
    match index.manifest().augmented {
        Some(augmentation) => Err(IndexError::Augmented {
            path: index.dir().to_owned(),
            neighbours: augmentation.neighbours,
        }),
        None => Ok(()),
    }
}

fn check_same(first: &Index, other: &Index) -> Result<(), IndexError> {
    let differ = |what, expected: String, found: String| {
        Err(IndexError::ForeignShard {
            path: other.dir().to_owned(),
            first: first.dir().to_owned(),
            what,
            expected,
            found,
        })
    };
    let (expected, found) = (first.fingerprint(), other.fingerprint());
    if expected != found {
        return differ("fingerprint", expected.to_string(), found.to_string());
    }
    let (expected, found) = (first.dim(), other.dim());
    if expected != found {
        return differ("dim", expected.to_string(), found.to_string());
    }
    if first.manifest().columns != other.manifest().columns {
        let columns = |index: &Index| format!("{:?}", index.manifest().columns);
        return differ("columns", columns(first), columns(other));
    }
    let (expected, found) = (first.manifest().attributes, other.manifest().attributes);
    if expected != found {
        return differ("attributes", expected.to_string(), found.to_string());
    }
    let bundle_of = |index: &Index| -> FileEntry { index.manifest().bundle.clone() };
    let (expected, found) = (bundle_of(first), bundle_of(other));
    if expected != found {
        return differ("bundle", expected.sha256, found.sha256);
    }
    Ok(())
}

fn read_bundle(index: &Index) -> Result<Vec<u8>, IndexError> {
    let path = index.bundle_path();
    let bytes = std::fs::read(&path).map_err(|source| io_error(&path, source))?;
    let found = super::manifest::sha256(&bytes);
    check_digest(index.dir(), &index.manifest().bundle, found)?;
    Ok(bytes)
}
