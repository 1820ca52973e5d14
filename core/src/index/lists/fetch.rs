//! What will be read is asked of the storage first.
//!
//! A touch of a page that is not in memory waits for it and for what the system reads around it; one list after the other,
//! that is most of the time of the first searches. Told beforehand which lists are near, the system fetches
//! them side by side, and no more than them.

use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};

use super::layout::Part;
use super::{List, Lists};
use crate::container::Container;
use crate::kernel::codes::{GROUP, GROUP_BYTES};
use crate::kernel::signs::Passed;

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

    /// Asks the storage for parts of lists that will be read. Returns at once. Neighbours are asked for together.
    #[cold]
    #[inline(never)]
    pub(super) fn fetch(&self, lists: &[u32], parts: &[Part]) {
        if self.storage.is_none() {
            return;
        }
        for &part in parts {
            // What is wrong with an entry is told when the list is read.
            let windows = lists.iter().filter_map(|&list| self.window(list as usize));
            self.fetch_ranges(&mut windows.map(|window| window.part(part)));
        }
    }

    /// The same where all lists are read in their order and this is next.
    pub(super) fn fetch_ahead(&self, list: usize, parts: &[Part]) {
        if list.is_multiple_of(AHEAD) {
            let lists: Vec<u32> = (list as u32..self.len().min(list + AHEAD) as u32).collect();
            self.fetch(&lists, parts);
        }
    }

    /// Asks for the codes of rows of a list, which are in their order.
    #[cold]
    #[inline(never)]
    pub(super) fn fetch_codes(&self, list: &List<'_>, rows: &[Passed]) {
        let start = list.window.part(Part::Codes).start;
        let bytes = self.dim / GROUP * GROUP_BYTES;
        self.fetch_ranges(&mut rows.iter().map(|passed| {
            let code = start + passed.row as usize * bytes;
            code..code + bytes
        }));
    }

    #[cold]
    #[inline(never)]
    fn fetch_ranges(&self, ranges: &mut dyn Iterator<Item = Range<usize>>) {
        let mut together: Option<Range<usize>> = None;
        for next in ranges {
            match &mut together {
                Some(range) if (range.start..=range.end + GAP).contains(&next.start) => {
                    range.end = range.end.max(next.end);
                }
                _ => self.fetch_range(together.replace(next)),
            }
        }
        self.fetch_range(together);
    }

    fn fetch_range(&self, range: Option<Range<usize>>) {
        if let (Some(storage), Some(range)) = (self.storage, range) {
            storage.container.will_need(&self.rows[range]);
        }
    }
}
