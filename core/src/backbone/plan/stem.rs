//! The first convolution, where the processor has a kernel for it: the photo's rows are copied with their padding, some
//! outputs at a time, and its windows are read in them.

use super::description::Convolution;
use super::execute::{Job, Split};
use crate::kernel::Cpu;
use crate::kernel::gemm::{RowsMut, Weights};
use crate::kernel::requantise::Requantise;
use crate::kernel::stem::{
    DEPTH, EMPTY, INPUTS, LONGEST_STRIDE, OUTPUTS_AT_ONCE, Patch, SIZE, Stem, stem, widen,
};

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
    let (columns, stride) = (job.shape[1], convolution.window.stride[1]);
    split.run(out, columns, scratch, &|first, out, _| {
        let mut patch = EMPTY;
        for (at, out) in out.chunks_exact_mut(columns * split.stride).enumerate() {
            let y = first / columns + at;
            for (at, out) in out.chunks_mut(OUTPUTS_AT_ONCE * split.stride).enumerate() {
                let x = at * OUTPUTS_AT_ONCE;
                let count = out.len() / split.stride;
                copy(
                    job,
                    convolution,
                    [y, x],
                    (count - 1) * stride + SIZE,
                    &mut patch,
                );
                let mut out = RowsMut {
                    data: out,
                    count,
                    stride: split.stride,
                };
                kernel(&patch, stride, &weights, &requantise, &mut out);
            }
        }
    });
}

/// Copies `length` columns of the rows that the window of output `y`, `x` begins with; padding where the photo ends.
fn copy(
    job: &Job<'_>,
    convolution: &Convolution,
    [y, x]: [usize; 2],
    length: usize,
    patch: &mut Patch,
) {
    let (map, window) = (job.inputs[0], &convolution.window);
    let front = [0, 1].map(|axis| match window.outputs(axis, map.shape[axis]) {
        Some((_, front)) => front,
        None => unreachable!("shapes were worked out before"),
    });
    let [height, width] = map.shape;
    let fill = &job.plan.description.fill;
    // Columns from the padding on, of which `width` are the photo's.
    let start = x * window.stride[1];
    let before = front[1].saturating_sub(start).min(length);
    let from = (start + before - front[1]).min(width);
    let inside = (length - before).min(width - from);
    for (ky, to) in patch.iter_mut().enumerate() {
        let (locations, _) = to.as_chunks_mut::<DEPTH>();
        let row = (y * window.stride[0] + ky).checked_sub(front[0]);
        let Some(row) = row.filter(|&row| row < height) else {
            locations[..length].fill(*fill);
            continue;
        };
        locations[..before].fill(*fill);
        locations[before + inside..length].fill(*fill);
        let from = (row * width + from) * DEPTH;
        to[before * DEPTH..][..inside * DEPTH].copy_from_slice(&map.data[from..][..inside * DEPTH]);
    }
}
