//! Compaction: small segments become larger ones, and dead items leave for good.
//!
//! Merging happens without the lock, on whichever thread calls, while readers and writers go on. It
//! is optimistic: under the lock the manifest is read again, and what was removed meanwhile is
//! left out; if a segment that was merged is no longer there, the work is done anew.

use std::collections::BTreeSet;
use std::path::Path;

use super::directory::{NewFiles, SEGMENT_ROWS};
use super::live::LiveItems;
use super::lock::WriterLock;
use super::manifest::SegmentEntry;
use super::storage::{Disk, Storage};
use super::update::newly_dead;
use super::{Index, IndexError};

/// Segments of one tier are merged when there are this many, and a tier is this many times the one
/// below.
const FANOUT: u64 = 4;
/// Live bytes of the largest segments of the lowest tier.
const LOWEST_TIER: u64 = 1 << 20;
/// Bytes in memory for each live byte that is merged: items, sections, the file.
const COPIES: u64 = 4;
/// How often a merge is tried when other writers keep taking the segments away.
const ATTEMPTS: u32 = 4;

/// How far a compaction goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompactionOptions {
    /// Most bytes of memory for one merge. Segments that do not fit stay as they are.
    pub memory: u64,
    /// Merge whatever fits, not only what is due: without other limits the files are those of a
    /// new build.
    pub all: bool,
}

impl Default for CompactionOptions {
    /// 256 MiB, what is due.
    fn default() -> Self {
        Self {
            memory: 256 << 20,
            all: false,
        }
    }
}

/// What a compaction did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Compacted {
    /// Segments that went.
    pub merged: usize,
    /// Segments that came in their place.
    pub written: usize,
    /// Dead items that went.
    pub reclaimed: u64,
}

impl Index {
    /// Merges small segments of the index at `dir` until no more is due, and drops dead items.
    ///
    /// Size-tiered: when four segments have about the same size (a tier spans a factor of four, the
    /// lowest ends at 1 MiB) they become one, and a segment that is more than half dead is written
    /// anew. So each item is rewritten `O(log n)` times. Open indexes are not touched.
    ///
    /// # Errors
    /// [`IndexError::Busy`] when another writer holds the index at the moment of publishing: nothing
    /// has changed, try later. [`IndexError::Io`]; [`IndexError::Corrupt`] when damage is met.
    pub fn compact(dir: &Path, options: &CompactionOptions) -> Result<Compacted, IndexError> {
        compact_on(&Disk, dir, options, || ())
    }
}

/// As [`Index::compact`]; `merged` is called between merging and publishing, without the lock.
pub(super) fn compact_on(
    storage: &dyn Storage,
    dir: &Path,
    options: &CompactionOptions,
    mut merged: impl FnMut(),
) -> Result<Compacted, IndexError> {
    let mut total = Compacted::default();
    let mut attempts = 0;
    loop {
        let snapshot = Index::open(dir)?;
        let sizes: Vec<Size> = snapshot.manifest().segments.iter().map(Size::of).collect();
        let chosen = plan(&sizes, options);
        if chosen.is_empty() {
            return Ok(total);
        }
        match merge_round(storage, &snapshot, &chosen, &mut merged)? {
            Some(round) => {
                total.merged += round.merged;
                total.written += round.written;
                total.reclaimed += round.reclaimed;
                attempts = 0;
            }
            None if attempts + 1 == ATTEMPTS => return Err(IndexError::Busy { path: dir.into() }),
            None => attempts += 1,
        }
    }
}

/// Merges the chosen segments; none when they are no longer there.
fn merge_round(
    storage: &dyn Storage,
    snapshot: &Index,
    chosen: &[usize],
    merged: &mut dyn FnMut(),
) -> Result<Option<Compacted>, IndexError> {
    let dir = snapshot.dir();
    let entries = &snapshot.manifest().segments;
    let segments: Vec<_> = chosen.iter().map(|&at| &snapshot.segments()[at]).collect();
    let mut items = LiveItems::all(segments.iter().copied())?
        .map(|place| {
            let place = place?;
            segments[place.segment].to_item(place.item)
        })
        .collect::<Result<Vec<_>, _>>()?;
    merged();

    let _lock = WriterLock::take(dir)?;
    let now = Index::open(dir)?;
    let manifest = now.manifest().clone();
    let mut gone = BTreeSet::new();
    for &at in chosen {
        let is_same = |entry: &SegmentEntry| entry.file == entries[at].file;
        let Some(place) = manifest.segments.iter().position(is_same) else {
            return Ok(None);
        };
        gone.extend(newly_dead(
            &snapshot.segments()[at],
            &now.segments()[place],
        )?);
    }
    let dead: u64 = chosen
        .iter()
        .map(|&at| u64::from(entries[at].items - entries[at].live_items()))
        .sum();
    items.retain(|(key, _)| !gone.contains(key.as_str()));

    let mut files = NewFiles::begin(storage, dir)?;
    let mut written = files.write_segments(&manifest.segment_form(), &items, SEGMENT_ROWS)?;
    let count = written.len();
    let mut segments = Vec::new();
    for entry in manifest.segments {
        if chosen.iter().any(|&at| entries[at].file == entry.file) {
            segments.append(&mut written);
        } else {
            segments.push(entry);
        }
    }
    let mut manifest = now.manifest().clone();
    manifest.set_segments(segments);
    // Opened before anybody else sees it: what cannot be read must not replace what can.
    Index::of_manifest(dir, manifest.clone())?;
    files.publish(&manifest)?;
    Ok(Some(Compacted {
        merged: chosen.len(),
        written: count,
        reclaimed: dead + gone.len() as u64,
    }))
}

/// What the plan needs to know of a segment.
#[derive(Clone, Copy, Debug)]
struct Size {
    /// Bytes of the file that belong to live items.
    live_bytes: u64,
    live_rows: u64,
    rows: u64,
}

impl Size {
    fn of(entry: &SegmentEntry) -> Self {
        let [live_rows, rows] = [entry.live_rows(), entry.rows].map(u64::from);
        let live_bytes = u128::from(entry.file.length) * u128::from(live_rows);
        Self {
            live_bytes: (live_bytes / u128::from(rows.max(1))) as u64,
            live_rows,
            rows,
        }
    }

    fn tier(&self) -> u32 {
        (self.live_bytes / LOWEST_TIER)
            .checked_ilog(FANOUT)
            .map_or(0, |tier| tier + 1)
    }

    fn has_dead(&self) -> bool {
        self.live_rows < self.rows
    }
}

/// Which segments are to be merged next, ascending; empty when nothing is due. Every merge makes the
/// segments fewer or the dead items, so that repeating ends.
fn plan(segments: &[Size], options: &CompactionOptions) -> Vec<usize> {
    let fit = |mut candidates: Vec<usize>| {
        candidates.sort_by_key(|&at| (segments[at].live_bytes, at));
        let (mut bytes, mut rows) = (0u64, 0);
        candidates.retain(|&at| {
            bytes = bytes.saturating_add(segments[at].live_bytes.saturating_mul(COPIES));
            rows += segments[at].live_rows;
            bytes <= options.memory && rows <= u64::from(SEGMENT_ROWS)
        });
        candidates.sort_unstable();
        candidates
    };
    let all = 0..segments.len();
    if options.all {
        let fitting = fit(all.clone().collect());
        if fitting.len() > 1 {
            return fitting;
        }
    } else {
        let tiers: BTreeSet<u32> = segments.iter().map(Size::tier).collect();
        for tier in tiers {
            let of_tier = all
                .clone()
                .filter(|&at| segments[at].tier() == tier)
                .collect();
            let fitting = fit(of_tier);
            if fitting.len() as u64 >= FANOUT {
                return fitting;
            }
        }
    }
    let is_due = |size: &Size| size.has_dead() && (options.all || size.live_rows * 2 < size.rows);
    let mut due = all.filter(|&at| is_due(&segments[at]));
    due.find(|&at| !fit(vec![at]).is_empty())
        .into_iter()
        .collect()
}

#[cfg(test)]
mod tests;
