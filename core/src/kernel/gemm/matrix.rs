//! Views of 8-bit matrices whose rows stand a stride apart.

/// Rows of bytes: row `i` begins at `i · stride`. Rows may overlap.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rows<'a> {
    pub(crate) data: &'a [u8],
    pub(crate) count: usize,
    pub(crate) stride: usize,
}

/// Rows of bytes to write to.
#[derive(Debug)]
pub(crate) struct RowsMut<'a> {
    pub(crate) data: &'a mut [u8],
    pub(crate) count: usize,
    pub(crate) stride: usize,
}

impl Rows<'_> {
    /// Whether each row has `width` bytes.
    pub(super) fn hold(&self, width: usize) -> bool {
        holds(self.data, self.count, self.stride, width)
    }

    /// Where row `i` begins.
    pub(super) fn row(&self, i: usize) -> *const u8 {
        self.data.as_ptr().wrapping_add(i * self.stride)
    }
}

impl RowsMut<'_> {
    /// Whether each row has `width` bytes of its own.
    pub(in crate::kernel) fn hold(&self, width: usize) -> bool {
        (self.count < 2 || width <= self.stride) && holds(self.data, self.count, self.stride, width)
    }

    /// Where row `i` begins.
    pub(in crate::kernel) fn row(&mut self, i: usize) -> *mut u8 {
        self.data.as_mut_ptr().wrapping_add(i * self.stride)
    }
}

fn holds(data: &[u8], count: usize, stride: usize, width: usize) -> bool {
    let Some(before) = count.checked_sub(1) else {
        return true;
    };
    let end = before
        .checked_mul(stride)
        .and_then(|last| last.checked_add(width));
    end.is_some_and(|end| end <= data.len())
}
