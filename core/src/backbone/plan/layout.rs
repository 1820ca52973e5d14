//! Windows of a map as rows of a matrix (im2col), so that every convolution is a matrix product.

use super::super::window::Window;
use super::description::Convolution;
use super::execute::{Job, Map};

/// Rows of a window that are laid out fast.
const TALLEST: usize = 7;

/// How windows become rows: kernel row, kernel column, channel.
pub(super) struct Layout<'a> {
    map: Map<'a>,
    window: Window,
    /// Channels of one group.
    depth: usize,
    /// Bytes of a row: the window, padded to a multiple of 8.
    pub(super) sum: usize,
    front: [usize; 2],
    /// Output columns.
    columns: usize,
    /// Output columns whose windows lie inside of the map's columns.
    inside: std::ops::Range<usize>,
    /// One location of padding.
    fill: Vec<u8>,
}

impl<'a> Layout<'a> {
    pub(super) fn new(job: &Job<'a>, convolution: &Convolution) -> Self {
        let map = job.inputs[0];
        let depth = map.channels / convolution.groups;
        let window = convolution.window;
        let front = [0, 1].map(|axis| match window.outputs(axis, map.shape[axis]) {
            Some((_, front)) => front,
            None => unreachable!("shapes were worked out before"),
        });
        let columns = job.shape[1];
        let reach = (window.size[1] - 1) * window.dilation[1];
        let last = (map.shape[1] + front[1]).checked_sub(reach + 1);
        let end = last
            .map_or(0, |last| last / window.stride[1] + 1)
            .min(columns);
        let start = front[1].div_ceil(window.stride[1]).min(end);
        Self {
            map,
            window,
            depth,
            sum: (window.area() * depth).next_multiple_of(8),
            front,
            columns,
            inside: start..end,
            fill: match map.value {
                0 => job.plan.description.fill.to_vec(),
                _ => vec![map.zero; map.channels],
            },
        }
    }

    /// Lays out the windows of `count` output locations from `first` on, for one group.
    pub(super) fn lay_out(&self, group: usize, first: usize, count: usize, panel: &mut [u8]) {
        let (mut at, end) = (first, first + count);
        while at < end {
            let (y, x) = (at / self.columns, at % self.columns);
            let columns = x..self.columns.min(x + end - at);
            let next = at + columns.len();
            self.lay_out_row(group, y, columns, &mut panel[(at - first) * self.sum..]);
            at = next;
        }
    }

    /// Some output columns of one row.
    fn lay_out_row(
        &self,
        group: usize,
        y: usize,
        columns: std::ops::Range<usize>,
        panel: &mut [u8],
    ) {
        let window = &self.window;
        let stride = self.map.stride;
        let offset = group * self.depth;
        // Neighbouring columns stand without a gap: a row of the window is one piece.
        let joined = stride == self.depth && window.dilation[1] == 1;
        let rows = window.inside(0, y, self.front[0], self.map.shape[0]);
        let first = y * window.stride[0] + rows.start * window.dilation[0];
        let row = |ky: usize| {
            let y = first + (ky - rows.start) * window.dilation[0] - self.front[0];
            &self.map.data[y * self.map.shape[1] * stride..][..self.map.shape[1] * stride]
        };
        let mut whole: [&[u8]; TALLEST] = [&[]; TALLEST];
        let whole = match rows.len() {
            count if joined && count == window.size[0] && count <= TALLEST => {
                for (ky, slot) in whole[..count].iter_mut().enumerate() {
                    *slot = row(ky);
                }
                &whole[..count]
            }
            _ => &[],
        };
        let length = window.size[1] * self.depth;
        let inside = match whole.is_empty() {
            true => columns.start..columns.start,
            false => self.inside.start.max(columns.start)..self.inside.end.min(columns.end),
        };
        let mut at = columns.start;
        while at < columns.end {
            let to = &mut panel[(at - columns.start) * self.sum..];
            if !inside.contains(&at) {
                self.lay_out_window(at, offset, &rows, &row, to);
                at += 1;
                continue;
            }
            let from = (at * window.stride[1] - self.front[1]) * stride;
            let step = window.stride[1] * stride;
            let count = inside.end - at;
            match whole {
                &[above, middle, below] if length == 9 => {
                    join_nines(
                        [above, middle, below],
                        from,
                        step,
                        &mut to[..count * self.sum],
                    );
                }
                _ => {
                    for x in 0..count {
                        for (ky, row) in whole.iter().enumerate() {
                            copy(to, x * self.sum + ky * length, row, from + x * step, length);
                        }
                    }
                }
            }
            at = inside.end;
        }
    }

    /// One window that may reach beyond the map.
    fn lay_out_window<'b>(
        &self,
        x: usize,
        offset: usize,
        rows: &std::ops::Range<usize>,
        row: &dyn Fn(usize) -> &'b [u8],
        panel: &mut [u8],
    ) {
        let window = &self.window;
        let fill = &self.fill[offset..offset + self.depth];
        let columns = window.inside(1, x, self.front[1], self.map.shape[1]);
        let locations = panel.chunks_exact_mut(self.depth);
        for (at, location) in locations.take(window.area()).enumerate() {
            let (ky, kx) = (at / window.size[1], at % window.size[1]);
            if rows.contains(&ky) && columns.contains(&kx) {
                let x = x * window.stride[1] + kx * window.dilation[1] - self.front[1];
                let from = x * self.map.stride + offset;
                location.copy_from_slice(&row(ky)[from..from + self.depth]);
            } else {
                location.copy_from_slice(fill);
            }
        }
    }
}

/// Three pieces of 9 bytes, one behind the other in 32: the windows of 3×3 on a photo, which every
/// network begins with.
fn join_nines(rows: [&[u8]; 3], from: usize, step: usize, panel: &mut [u8]) {
    let length = rows[0].len().min(rows[1].len()).min(rows[2].len());
    let rows = rows.map(|row| &row[..length]);
    for (at, to) in panel.as_chunks_mut::<32>().0.iter_mut().enumerate() {
        let from = from + at * step;
        let [a, b, c] = rows.map(|row| &row[from..]);
        // The last two bytes of the third piece are written with one that meets a weight of 0.
        if let (Some(a), Some(b), Some(c)) = (
            a.first_chunk::<10>(),
            b.first_chunk::<10>(),
            c.first_chunk::<10>(),
        ) {
            let eight = |bytes: &[u8; 10]| {
                let [first @ .., _, _] = *bytes;
                u64::from_le_bytes(first)
            };
            let (low, high) = to.split_at_mut(16);
            low[..8].copy_from_slice(&a[..8]);
            low[8..].copy_from_slice(&(u64::from(a[8]) | eight(b) << 8).to_le_bytes());
            let b = u64::from(u16::from_le_bytes([b[7], b[8]]));
            high[..8].copy_from_slice(&(b | eight(c) << 16).to_le_bytes());
            high[8..12].copy_from_slice(&c[6..]);
        } else {
            for (ky, piece) in [a, b, c].iter().enumerate() {
                to[9 * ky..9 * ky + 9].copy_from_slice(&piece[..9]);
            }
        }
    }
}

/// Copies `length` bytes. Short pieces are copied as 16 bytes at once: what is written too much is
/// written over by the next piece, or meets weights of 0.
#[inline]
fn copy(to: &mut [u8], at: usize, from: &[u8], start: usize, length: usize) {
    if length <= 16
        && let Some(from) = from[start..].first_chunk::<16>()
        && let Some(to) = to[at..].first_chunk_mut::<16>()
    {
        *to = *from;
    } else {
        to[at..at + length].copy_from_slice(&from[start..start + length]);
    }
}
