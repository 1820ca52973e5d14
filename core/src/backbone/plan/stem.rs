//! The first convolution, where the processor has a kernel for it: windows are read in the photo's rows as they stand, and
//! only where they reach beyond it in a copy with the padding.

use super::super::window::Window;
use super::description::Convolution;
use super::execute::{Job, Map, Split};
use crate::kernel::Cpu;
use crate::kernel::gemm::{RowsMut, Weights};
use crate::kernel::requantise::Requantise;
use crate::kernel::stem::{DEPTH, INPUTS, LONGEST_STRIDE, SIZE, Stem, TILE, reach, stem, widen};

/// Bytes of a row of the copy.
const PATCH: usize = reach(TILE, LONGEST_STRIDE);

/// The weights for it, a copy; empty for another convolution, or where the processor has no such kernel.
pub(super) fn weights(
    convolution: &Convolution,
    input: usize,
    channels: [usize; 2],
    packed: &[u8],
) -> Vec<u8> {
    let [inputs, outputs] = channels;
    let window = &convolution.window;
    let fits = stem(Cpu::native()).is_some()
        && input == 0
        && inputs == DEPTH
        && convolution.groups == 1
        && convolution.residual.is_none()
        && window.size == [SIZE; 2]
        && window.dilation == [1, 1]
        && window.stride[1] <= LONGEST_STRIDE;
    match fits {
        true => widen(packed, outputs),
        false => Vec::new(),
    }
}

/// The kernel for a layer, if there is one.
pub(super) fn kernel(job: &Job<'_>) -> Option<Stem> {
    let widened = &job.plan.parameters[job.layer].stem;
    (!widened.is_empty()).then(|| stem(job.cpu)).flatten()
}

pub(super) fn run(
    job: &Job<'_>,
    kernel: Stem,
    convolution: &Convolution,
    (weights, requantise): (Weights<'_>, Requantise<'_>),
    out: &mut [u8],
    split: &Split,
    scratch: &mut [Vec<u8>],
) {
    let weights = Weights {
        inputs: INPUTS,
        packed: &job.plan.parameters[job.layer].stem,
        ..weights
    };
    let windows = Windows::new(job, convolution);
    let columns = job.shape[1];
    split.run(out, columns, scratch, &|first, out, _| {
        let mut patch = [[0; PATCH]; SIZE];
        for (at, out) in out.chunks_exact_mut(columns * split.stride).enumerate() {
            let y = first / columns + at;
            let mut x = 0;
            while x < columns {
                let (rows, count) = windows.rows(y, x, columns, &mut patch);
                let mut out = RowsMut {
                    data: &mut out[x * split.stride..(x + count) * split.stride],
                    count,
                    stride: split.stride,
                };
                kernel(rows, windows.stride, &weights, &requantise, &mut out);
                x += count;
            }
        }
    });
}

/// Where the outputs look in the photo.
struct Windows<'a> {
    map: Map<'a>,
    fill: [u8; DEPTH],
    window: Window,
    front: [usize; 2],
    /// Columns from one output to the next.
    stride: usize,
}

impl<'a> Windows<'a> {
    fn new(job: &Job<'a>, convolution: &Convolution) -> Self {
        let (map, window) = (job.inputs[0], convolution.window);
        Self {
            fill: job.plan.description.fill,
            front: [0, 1].map(|axis| match window.outputs(axis, map.shape[axis]) {
                Some((_, front)) => front,
                None => unreachable!("shapes were worked out before"),
            }),
            stride: window.stride[1],
            map,
            window,
        }
    }

    /// Three rows to read the windows of output `y`, `x` and of some behind it in, and how many: the photo's own, or where
    /// they reach beyond it, a copy with the padding.
    fn rows<'b>(
        &'b self,
        y: usize,
        x: usize,
        columns: usize,
        patch: &'b mut [[u8; PATCH]; SIZE],
    ) -> ([&'b [u8]; SIZE], usize) {
        let [height, width] = self.map.shape;
        let row = |ky: usize| {
            let row = (y * self.window.stride[0] + ky).checked_sub(self.front[0]);
            row.filter(|&row| row < height)
        };
        let column = (x * self.stride).checked_sub(self.front[1]);
        if let ([Some(first), Some(_), Some(_)], Some(column)) = ([0, 1, 2].map(row), column) {
            // Those whose windows end before the row does, as far as what is read with them does before the photo.
            let inside = (width + self.stride).saturating_sub(column + SIZE) / self.stride;
            let mut count = inside.min(columns - x);
            let start = |ky: usize| ((first + ky) * width + column) * DEPTH;
            while count > 0 && start(SIZE - 1) + reach(count, self.stride) > self.map.data.len() {
                count = (count - 1) / TILE * TILE;
            }
            if count > 0 {
                return ([0, 1, 2].map(|ky| &self.map.data[start(ky)..]), count);
            }
        }
        // One beyond the left border; at the others as many as are read at a time.
        let count = match column {
            None => 1,
            Some(_) => TILE.min(columns - x),
        };
        let length = (count - 1) * self.stride + SIZE;
        for (ky, to) in patch.iter_mut().enumerate() {
            let (locations, _) = to.as_chunks_mut::<DEPTH>();
            for (at, to) in locations[..length].iter_mut().enumerate() {
                let column = (x * self.stride + at).checked_sub(self.front[1]);
                *to = match (row(ky), column) {
                    (Some(row), Some(column)) if column < width => {
                        let at = (row * width + column) * DEPTH;
                        [0, 1, 2].map(|channel| self.map.data[at + channel])
                    }
                    _ => self.fill,
                };
            }
        }
        (patch.each_ref().map(|row| &row[..]), count)
    }
}
