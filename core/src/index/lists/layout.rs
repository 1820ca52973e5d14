//! Where the rows of a list lie.
//!
//! Rows stand list behind list, sixteen to a block of signs, with no row left empty between lists: the block in which one list
//! ends is that in which the next begins. A list is read through a [`Window`] of whole blocks, of whose first rows some may
//! be the list's before. What a row consists of stands in five parts, each for all rows; `../FORMAT.md` draws them.
//!
//! Files of before have each list by itself, its five parts together and padded: [`Form::Apart`].

use std::ops::Range;

use super::{BLOCK, Entry};
use crate::kernel::codes::{GROUP, GROUP_BYTES};

/// Lists by themselves start at multiples of this.
pub(super) const LIST_ALIGNMENT: usize = 64;

/// How rows lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::index) enum Form {
    /// Each list by itself; of a row's number for the gain all bits are the gain.
    Apart,
    /// All rows one behind the other; the lowest bits of that number are the shift of the row's code.
    Together,
}

/// What a row consists of, in the order in which it is stored.
#[derive(Clone, Copy, Debug)]
pub(super) enum Part {
    Signs,
    Codes,
    Gains,
    Factors,
    Items,
}

pub(super) const PARTS: [Part; 5] = [
    Part::Signs,
    Part::Codes,
    Part::Gains,
    Part::Factors,
    Part::Items,
];

/// The blocks that have the rows of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Window {
    /// Number of its first row.
    pub(super) first: u32,
    /// Which of its rows are the list's.
    pub(super) own: Range<usize>,
    parts: [Range<usize>; PARTS.len()],
}

/// Lengths of the parts of so many rows. In 64 bits nothing that 32-bit counts say overflows.
pub(super) fn lengths(rows: u32, dim: usize, item_bits: u32) -> [u64; PARTS.len()] {
    let (rows, dim) = (u64::from(rows), dim as u64);
    let blocks = rows.div_ceil(BLOCK as u64);
    [
        blocks * (BLOCK as u64 * dim / 8),
        rows * (dim / GROUP as u64 * GROUP_BYTES as u64),
        rows * 2,
        blocks * BLOCK as u64,
        (rows * u64::from(item_bits)).div_ceil(8),
    ]
}

impl Form {
    /// The lowest bits of the number of a gain that are a shift.
    pub(super) fn shift_bits(self) -> u32 {
        match self {
            Self::Apart => 0,
            Self::Together => SHIFT_BITS,
        }
    }
}

/// Bits of a shift, which is from minus half of what they can count to.
pub(super) const SHIFT_BITS: u32 = 5;

impl Window {
    /// Of a list by itself, in so many bytes.
    pub(super) fn apart(entry: &Entry, dim: usize, item_bits: u32, bytes: usize) -> Option<Self> {
        let lengths = lengths(entry.count, dim, item_bits);
        let mut at = u64::from(entry.place) * LIST_ALIGNMENT as u64;
        let inside = at + lengths.iter().sum::<u64>() <= bytes as u64;
        inside.then(|| Self {
            first: entry.first,
            own: 0..entry.count as usize,
            parts: lengths.map(|length| {
                at += length;
                (at - length) as usize..at as usize
            }),
        })
    }

    /// Of `rows` rows whose parts have the lengths `all`, which are inside of the section.
    pub(super) fn together(
        entry: &Entry,
        dim: usize,
        item_bits: u32,
        rows: u32,
        all: &[u64; PARTS.len()],
    ) -> Option<Self> {
        let end = entry.first.checked_add(entry.count)?;
        let skipped = entry.first % BLOCK as u32;
        let first = entry.first - skipped;
        // Whole blocks: their items end with a byte.
        let before = lengths(first, dim, item_bits);
        let within = lengths(end - first, dim, item_bits);
        let mut at = 0;
        (end <= rows).then(|| Self {
            first,
            own: skipped as usize..(end - first) as usize,
            parts: std::array::from_fn(|part| {
                let start = (at + before[part]) as usize;
                at += all[part];
                start..start + within[part] as usize
            }),
        })
    }

    /// Where a part lies in the section.
    pub(super) fn part(&self, part: Part) -> Range<usize> {
        self.parts[part as usize].clone()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry(first: u32, count: u32) -> Entry {
        Entry {
            place: 0,
            first,
            count,
            scale: 1.0,
            gain_scale: 1.0,
            factor_scale: 1.0,
        }
    }

    proptest! {
        /// Windows of neighbours share a block, each row is one list's, and every part is inside of its own.
        #[test]
        fn lists_share_blocks_and_no_row(counts in proptest::collection::vec(1..70u32, 1..12), groups in 1..4usize, bits in 1..=32u32) {
            let (dim, rows) = (64 * groups, counts.iter().sum::<u32>());
            let all = lengths(rows, dim, bits);
            let mut first = 0;
            for count in counts {
                let window = Window::together(&entry(first, count), dim, bits, rows, &all).unwrap();
                prop_assert_eq!(window.first as usize + window.own.start, first as usize);
                prop_assert_eq!(window.own.len(), count as usize);
                let mut start = 0;
                for part in PARTS {
                    let (range, whole) = (window.part(part), start..start + all[part as usize] as usize);
                    prop_assert!(whole.start <= range.start && range.end <= whole.end, "{part:?}: {range:?} of {whole:?}");
                    start = whole.end;
                }
                let before = window.part(Part::Items).start - (start - all[Part::Items as usize] as usize);
                prop_assert_eq!(before * 8, window.first as usize * bits as usize);
                first += count;
            }
        }
    }

    #[test]
    fn what_a_damaged_entry_says_is_nowhere() {
        let all = lengths(100, 64, 7);
        for (first, count) in [(90, 11), (101, 0), (u32::MAX, u32::MAX), (0, u32::MAX)] {
            let entry = entry(first, count);
            assert_eq!(Window::together(&entry, 64, 7, 100, &all), None);
        }
        let bytes = all.iter().sum::<u64>() as usize;
        assert!(Window::apart(&entry(0, 100), 64, 7, bytes).is_some());
        for (place, count) in [(0, 101), (1, 100), (u32::MAX, u32::MAX)] {
            let entry = Entry {
                place,
                ..entry(0, count)
            };
            assert_eq!(Window::apart(&entry, 64, 7, bytes), None);
        }
    }
}
