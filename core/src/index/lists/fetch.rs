//! What will be read is asked of the storage first.
//!
//! A touch of a page that is not in memory waits for it and for what the system reads around it; one list after the other,
//! that is most of the time of the first searches. Told beforehand which lists are near, the system fetches
//! them side by side, and no more than them.

use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};

use super::{Entry, LIST_ALIGNMENT, Layout, Lists};
use crate::container::Container;

/// Searches of a segment that ask. Later ones find most in memory; what they do not is fetched by touching it.
const COLD_SEARCHES: u32 = 4;

/// Lists that are asked for at once where all are read in their order.
const AHEAD: usize = 32;

/// Bytes between two lists that are fetched rather than asked around.
const GAP: usize = 16 * 1024;

/// The file that lists lie in.
#[derive(Clone, Copy, Debug)]
pub(in crate::index) struct Storage<'a> {
    pub(in crate::index) container: &'a Container,
    /// How many searches of it have asked.
    pub(in crate::index) searches: &'a AtomicU32,
}

impl Lists<'_> {
    /// Whether a search that begins should ask.
    pub(super) fn are_cold(&self) -> bool {
        self.storage.is_some_and(|storage| {
            storage.searches.load(Ordering::Relaxed) < COLD_SEARCHES
                && storage.searches.fetch_add(1, Ordering::Relaxed) < COLD_SEARCHES
        })
    }

    /// Asks the storage for lists that will be read. Returns at once. Neighbours are asked for together.
    pub(super) fn fetch(&self, lists: &mut dyn Iterator<Item = u32>) {
        let mut together: Option<Range<usize>> = None;
        // What is wrong with an entry is told when the list is read.
        for next in lists.filter_map(|list| self.place_of(list as usize)) {
            match &mut together {
                Some(range) if (range.end..=range.end + GAP).contains(&next.start) => {
                    range.end = next.end;
                }
                _ => self.fetch_range(together.replace(next)),
            }
        }
        self.fetch_range(together);
    }

    /// The same where all lists are read in their order and this is next.
    pub(super) fn fetch_ahead(&self, list: usize) {
        if list.is_multiple_of(AHEAD) {
            self.fetch(&mut (list as u32..self.len().min(list + AHEAD) as u32));
        }
    }

    fn fetch_range(&self, range: Option<Range<usize>>) {
        if let (Some(storage), Some(range)) = (self.storage, range) {
            storage.container.will_need(&self.rows[range]);
        }
    }

    /// Where a list lies in the rows.
    fn place_of(&self, list: usize) -> Option<Range<usize>> {
        let Entry { place, count, .. } = self.entry(list);
        let start = (place as usize).checked_mul(LIST_ALIGNMENT)?;
        let length = Layout::new(count as usize, self.dim, self.head.item_bits)?.total()?;
        let end = start.checked_add(length)?;
        (end <= self.rows.len()).then_some(start..end)
    }
}
