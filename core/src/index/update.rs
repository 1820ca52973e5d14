//! Changing an index on the device: add, replace, remove, then commit.
//!
//! A commit writes one small segment with the new items and, for each older segment that lost
//! items, a new file of tombstones; then the manifest. Nothing that exists is touched, so readers
//! keep what they have open, and a commit costs what the change is large, not what the index is.

use std::collections::BTreeSet;
use std::path::Path;

use super::directory::{NewFiles, SEGMENT_ROWS};
use super::items::{ItemPhoto, Items};
use super::lock::WriterLock;
use super::manifest::{Manifest, SegmentEntry, TombstoneEntry};
use super::segment::Segment;
use super::storage::{Disk, Storage};
use super::tombstones::Tombstones;
use super::{Index, IndexError};
use crate::descriptor::LocalFeatures;

/// Changes to an index that become visible all at once, or not at all.
///
/// Holds the changes in memory and the index's lock until [`Self::commit`]; dropped before, it
/// changes nothing.
///
/// ```
/// use pocketlens::fingerprint::Fingerprint;
/// use pocketlens::index::{Index, IndexUpdate, IndexWriter, ItemPhoto};
///
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("shop.plx");
/// # let model = Fingerprint::of_parts([b"weights".as_slice()]);
/// # let photo = |key| ItemPhoto { key, group: None, payload: &serde_json::Value::Null, vector: &[1.0, 0.5] };
/// # let mut writer = IndexWriter::create(&path, b"the bundle", model, 2)?;
/// # writer.push(&photo("mug"))?;
/// # writer.finish()?;
/// let mut update = IndexUpdate::open(&path)?;
/// update.put(&photo("vase"))?;
/// assert!(update.remove("mug")?);
/// let index = update.commit()?;
/// assert_eq!(index.info().items, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct IndexUpdate {
    index: Index,
    puts: Items,
    removed: BTreeSet<String>,
    _lock: WriterLock,
}

impl IndexUpdate {
    /// Opens an index to change it.
    ///
    /// # Errors
    /// [`IndexError::Busy`] while another writer has it, and those of [`Index::open`].
    pub fn open(dir: &Path) -> Result<Self, IndexError> {
        // The manifest first: what is no index is said to be none.
        Manifest::read(dir)?;
        let lock = WriterLock::take(dir)?;
        let index = Index::open(dir)?;
        Ok(Self {
            puts: Items::new(index.dim()),
            index,
            removed: BTreeSet::new(),
            _lock: lock,
        })
    }

    /// Adds a photo of an item. The first photo of a key replaces the item of that key in the
    /// index, with all of its photos; further ones add to it. On an error nothing is changed.
    ///
    /// # Errors
    /// [`IndexError::BadItem`] and [`IndexError::BadVector`], which name the key.
    pub fn put(&mut self, photo: &ItemPhoto<'_>) -> Result<(), IndexError> {
        self.puts.push(photo)
    }

    /// Adds local features of a photo that was put, for [`crate::rerank`].
    ///
    /// # Errors
    /// [`IndexError::BadItem`] when no photo of that key was put.
    pub fn put_local(&mut self, key: &str, local: &LocalFeatures) -> Result<(), IndexError> {
        self.puts.push_local(key, local)
    }

    /// Removes an item, whether it is in the index or was put before; whether it was there.
    /// `O(segments × log items)`.
    ///
    /// # Errors
    /// [`IndexError::Corrupt`] when damage is met.
    pub fn remove(&mut self, key: &str) -> Result<bool, IndexError> {
        let was_put = self.puts.remove(key);
        let mut is_there = false;
        if !self.removed.contains(key) {
            for segment in self.index.segments() {
                is_there |= segment
                    .find_key(key)?
                    .is_some_and(|item| segment.is_live(item));
            }
        }
        if is_there {
            self.removed.insert(key.to_owned());
        }
        Ok(was_put || is_there)
    }

    /// The index as it was opened, without the changes.
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// Makes the changes visible and opens the new index. On failure the index is as it was.
    ///
    /// # Errors
    /// [`IndexError::Io`], and [`IndexError::Corrupt`] when damage is met.
    pub fn commit(self) -> Result<Index, IndexError> {
        self.commit_on(&Disk)
    }

    pub(super) fn commit_on(self, storage: &dyn Storage) -> Result<Index, IndexError> {
        let Self {
            index,
            puts,
            removed,
            _lock,
        } = self;
        if puts.is_empty() && removed.is_empty() {
            return Ok(index);
        }
        let gone: BTreeSet<&str> = removed
            .iter()
            .map(String::as_str)
            .chain(puts.keys())
            .collect();
        let mut files = NewFiles::begin(storage, index.dir())?;
        let mut manifest = index.manifest().clone();
        let mut segments = Vec::new();
        for (segment, entry) in index.segments().iter().zip(&manifest.segments) {
            let mut dead = Vec::new();
            for key in &gone {
                dead.extend(segment.find_key(key)?);
            }
            segments.extend(bury(segment, entry.clone(), &dead, &mut files)?);
        }
        let items = puts.into_sorted();
        segments.extend(files.write_segments(&manifest.segment_form(), &items, SEGMENT_ROWS)?);
        manifest.set_segments(segments);
        let changed = Index::of_manifest(index.dir(), manifest)?;
        files.publish(changed.manifest())?;
        Ok(changed)
    }
}

/// Writes tombstones for items of a segment and returns its new entry; none when nothing of it is
/// left alive.
fn bury(
    segment: &Segment,
    entry: SegmentEntry,
    items: &[u32],
    files: &mut NewFiles<'_>,
) -> Result<Option<SegmentEntry>, IndexError> {
    let known = segment.tombstones.clone();
    let mut tombstones = known.unwrap_or_else(|| Tombstones::none(segment.items()));
    let mut rows = entry.tombstones.as_ref().map_or(0, |dead| dead.rows);
    let mut changed = false;
    for &item in items {
        if tombstones.bury(item) {
            rows += segment.photos(item)?.len() as u32;
            changed = true;
        }
    }
    if !changed {
        return Ok(Some(entry));
    }
    if tombstones.count() == segment.items() {
        return Ok(None);
    }
    let fingerprint = segment.container().fingerprint();
    let bytes = tombstones.to_bytes(fingerprint, &entry.file.sha256);
    let tombstones = Some(TombstoneEntry {
        file: files.write("tombstones-", &bytes, ".dead")?,
        items: tombstones.count(),
        rows,
    });
    Ok(Some(SegmentEntry {
        tombstones,
        ..entry
    }))
}

/// Keys of a segment that are alive in one snapshot and dead in a later one.
pub(super) fn newly_dead<'a>(
    before: &'a Segment,
    after: &Segment,
) -> Result<BTreeSet<&'a str>, IndexError> {
    (0..before.items())
        .filter(|&item| before.is_live(item) && !after.is_live(item))
        .map(|item| before.key(item))
        .collect()
}
