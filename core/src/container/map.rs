//! A read-only memory map of a whole file, and the view of mapped bytes as signed ones. The only
//! unsafe code outside of kernels and the foreign interface.

#![allow(unsafe_code)]

use std::fs::File;
use std::io;

use memmap2::Mmap;

/// A mapped file. The mapping outlives the name: replacing or deleting the file leaves it intact.
pub(super) struct Map(Mmap);

impl Map {
    pub(super) fn new(file: &File) -> io::Result<Self> {
        // A touch of the map would fetch megabytes around the header on some systems, a small read fetches little.
        #[cfg(unix)]
        let _ = std::os::unix::fs::FileExt::read_at(file, &mut [0; 64], 0);
        // SAFETY: a mapped file must not change under the mapping. This library never truncates or
        // overwrites a container: a new version is a new file that takes the name by rename
        // (`atomic.rs`), and the old content lives on until it is unmapped.
        let map = unsafe { Mmap::map(file)? };
        Ok(Self(map))
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Has the system read these bytes of the map; others it ignores. It may refuse, which costs no more than time.
    pub(super) fn will_need(&self, bytes: &[u8]) {
        #[cfg(unix)]
        if let Some(offset) = (bytes.as_ptr() as usize).checked_sub(self.0.as_ptr() as usize)
            && offset + bytes.len() <= self.0.len()
        {
            let _ = self
                .0
                .advise_range(memmap2::Advice::WillNeed, offset, bytes.len());
        }
        #[cfg(not(unix))]
        let _ = bytes;
    }
}

/// The same bytes as signed integers.
pub(crate) fn as_i8(bytes: &[u8]) -> &[i8] {
    // SAFETY: `u8` and `i8` have the same size and alignment, and every bit pattern is valid for
    // both; the lifetime and the length are those of the argument.
    unsafe { std::slice::from_raw_parts(bytes.as_ptr().cast(), bytes.len()) }
}
