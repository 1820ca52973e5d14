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

/// Lengths of the parts of so many rows; `None` where a number from a damaged file would overflow.
pub(super) fn lengths(rows: usize, dim: usize, item_bits: u32) -> Option<[usize; PARTS.len()]> {
    let blocks = rows.div_ceil(BLOCK);
    Some([
        blocks.checked_mul(BLOCK * dim / 8)?,
        rows.checked_mul(dim / GROUP * GROUP_BYTES)?,
        rows.checked_mul(2)?,
        blocks.checked_mul(BLOCK)?,
        rows.checked_mul(item_bits as usize)?.div_ceil(8),
    ])
}

/// Bytes of these parts together.
pub(super) fn total(lengths: [usize; PARTS.len()]) -> Option<usize> {
    lengths.into_iter().try_fold(0usize, usize::checked_add)
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
    /// Of a list by itself.
    pub(super) fn apart(entry: &Entry, dim: usize, item_bits: u32) -> Option<Self> {
        let count = entry.count as usize;
        let mut at = (entry.place as usize).checked_mul(LIST_ALIGNMENT)?;
        let lengths = lengths(count, dim, item_bits)?;
        at.checked_add(total(lengths)?)?;
        let parts = lengths.map(|length| {
            at += length;
            at - length..at
        });
        Some(Self {
            first: entry.first,
            own: 0..count,
            parts,
        })
    }

    /// Of rows of which there are `rows`.
    pub(super) fn together(entry: &Entry, dim: usize, item_bits: u32, rows: usize) -> Option<Self> {
        let (first, count) = (entry.first as usize, entry.count as usize);
        first.checked_add(count).filter(|&end| end <= rows)?;
        let skipped = first % BLOCK;
        let before = lengths(first - skipped, dim, item_bits)?;
        let within = lengths(skipped + count, dim, item_bits)?;
        let all = lengths(rows, dim, item_bits)?;
        total(all)?;
        let mut at = 0;
        // Whole blocks are before: their items end with a byte. All of it is inside of what was just found not to overflow.
        let parts = std::array::from_fn(|part| {
            let start = at + before[part];
            at += all[part];
            start..start + within[part]
        });
        Some(Self {
            first: (first - skipped) as u32,
            own: skipped..skipped + count,
            parts,
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
            let (dim, rows) = (64 * groups, counts.iter().sum::<u32>() as usize);
            let all = lengths(rows, dim, bits).unwrap();
            let mut first = 0;
            for count in counts {
                let window = Window::together(&entry(first, count), dim, bits, rows).unwrap();
                prop_assert_eq!(window.first as usize + window.own.start, first as usize);
                prop_assert_eq!(window.own.len(), count as usize);
                let mut start = 0;
                for part in PARTS {
                    let (range, whole) = (window.part(part), start..start + all[part as usize]);
                    prop_assert!(whole.start <= range.start && range.end <= whole.end, "{part:?}: {range:?} of {whole:?}");
                    start = whole.end;
                }
                let before = window.part(Part::Items).start - (start - all[Part::Items as usize]);
                prop_assert_eq!(before * 8, window.first as usize * bits as usize);
                first += count;
            }
            prop_assert_eq!(total(all), Some(all.iter().sum()));
        }
    }

    #[test]
    fn what_a_damaged_entry_says_is_nowhere() {
        for (first, count) in [(90, 11), (101, 0), (u32::MAX, u32::MAX), (0, u32::MAX)] {
            assert_eq!(Window::together(&entry(first, count), 64, 7, 100), None);
        }
        let far = Entry {
            place: u32::MAX,
            ..entry(0, u32::MAX)
        };
        if let Some(window) = Window::apart(&far, 2048, 32) {
            assert!(window.part(Part::Items).end > 1 << 40, "no 64 bits");
        }
    }
}
