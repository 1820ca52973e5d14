//! Tombstones: which items of an immutable segment are dead, because they were removed or replaced
//! by a later segment.
//!
//! One file a segment, as immutable as the segment: who removes more writes a new one. The layout is
//! drawn in `FORMAT.md`.

use std::path::Path;

use super::IndexError;
use super::filter::ItemSet;
use super::manifest::{SegmentEntry, TombstoneEntry};
use super::segment::Segment;
use crate::container::{Container, ContainerWriter, Kind, Tag};
use crate::fingerprint::Fingerprint;

const SEGMENT: Tag = Tag(*b"segm");
const DEAD: Tag = Tag(*b"dead");

/// A set of items of one segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tombstones {
    bits: Vec<u8>,
    items: u32,
}

impl Tombstones {
    /// All `items` of a segment are alive.
    pub(super) fn none(items: u32) -> Self {
        Self {
            bits: vec![0; items.div_ceil(8) as usize],
            items,
        }
    }

    pub(super) fn contains(&self, item: u32) -> bool {
        let byte = self.bits.get(item as usize / 8);
        byte.is_some_and(|byte| byte >> (item % 8) & 1 == 1)
    }

    /// Marks one of the segment's items as dead; whether it was alive.
    pub(super) fn bury(&mut self, item: u32) -> bool {
        assert!(item < self.items, "an item of the segment");
        let was_alive = !self.contains(item);
        self.bits[item as usize / 8] |= 1 << (item % 8);
        was_alive
    }

    /// Number of dead items.
    pub(super) fn count(&self) -> u32 {
        self.bits.iter().map(|byte| byte.count_ones()).sum()
    }

    /// The dead items, ascending.
    pub(super) fn iter(&self) -> impl Iterator<Item = u32> {
        (0..self.items).filter(|&item| self.contains(item))
    }

    /// The dead items as a set.
    pub(super) fn to_set(&self) -> ItemSet {
        let word = |bytes: &[u8]| {
            let shifted = bytes
                .iter()
                .zip(0..)
                .map(|(&byte, at)| u64::from(byte) << (8 * at));
            shifted.fold(0, |word, byte| word | byte)
        };
        ItemSet::of_words(self.bits.chunks(8).map(word).collect(), self.items)
    }

    /// The file for the segment whose file has this SHA-256 (hexadecimal).
    pub(super) fn to_bytes(&self, fingerprint: Fingerprint, segment_sha256: &str) -> Vec<u8> {
        let mut writer = ContainerWriter::new(Kind::Tombstones, fingerprint);
        writer
            .section(SEGMENT, segment_sha256.as_bytes())
            .section(DEAD, self.bits.as_slice());
        writer.to_bytes()
    }

    /// Reads and checks the whole file: it is small, and a wrong bit hides an item.
    pub(super) fn open(
        path: &Path,
        fingerprint: Fingerprint,
        segment: &SegmentEntry,
        entry: &TombstoneEntry,
    ) -> Result<Self, IndexError> {
        let container = Container::open(path, Kind::Tombstones)?;
        container.verify()?;
        let corrupt = |what: &str, expected: String, found: String| IndexError::Corrupt {
            path: path.to_owned(),
            what: what.to_owned(),
            expected,
            found,
        };
        if container.fingerprint() != fingerprint {
            let found = container.fingerprint().to_string();
            return Err(corrupt("fingerprint", fingerprint.to_string(), found));
        }
        let of = container.section(SEGMENT).unwrap_or_default();
        if of != segment.file.sha256.as_bytes() {
            let expected = segment.file.sha256.clone();
            return Err(corrupt("segment", expected, of.escape_ascii().to_string()));
        }
        let bits = container.section(DEAD).unwrap_or_default();
        let expected = segment.items.div_ceil(8) as usize;
        if bits.len() != expected {
            let found = format!("{} bytes", bits.len());
            return Err(corrupt("section dead", format!("{expected} bytes"), found));
        }
        let beyond = segment.items % 8;
        if beyond != 0 && bits.last().is_some_and(|last| last >> beyond != 0) {
            let expected = format!("bits of {} items", segment.items);
            return Err(corrupt("section dead", expected, "more".to_owned()));
        }
        let tombstones = Self {
            bits: bits.to_vec(),
            items: segment.items,
        };
        if tombstones.count() != entry.items {
            let found = tombstones.count().to_string();
            return Err(corrupt("dead items", entry.items.to_string(), found));
        }
        Ok(tombstones)
    }
}

impl Segment {
    /// Whether an item can be found, that is, has no tombstone.
    pub(super) fn is_live(&self, item: u32) -> bool {
        self.tombstones
            .as_ref()
            .is_none_or(|dead| !dead.contains(item))
    }

    /// The number of the item with this key, dead or alive. The keys are sorted.
    pub(super) fn find_key(&self, key: &str) -> Result<Option<u32>, IndexError> {
        let item = self.first_from(key)?;
        Ok((item < self.items() && self.key(item)? == key).then_some(item))
    }

    /// The first item whose key is not before `key`; the number of items when there is none.
    pub(super) fn first_from(&self, key: &str) -> Result<u32, IndexError> {
        let (mut low, mut high) = (0, self.items());
        while low < high {
            let middle = low.midpoint(high);
            if self.key(middle)? < key {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }
}
