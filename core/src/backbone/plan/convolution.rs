//! Convolutions: depthwise row by row, pointwise in place, the first by a kernel of its own, all others as a product of
//! laid-out windows (im2col) with the weight matrix.

use super::description::{Convolution, Packing};
use super::execute::{Job, Map, Split};
use super::layout::Layout;
use super::memory::panel_locations;
use super::stem;
use crate::kernel::depthwise::{Depthwise, depthwise_rows};
use crate::kernel::gemm::{Rows, RowsMut, Weights, gemm};
use crate::kernel::requantise::Requantise;

/// Rows of a depthwise layer's output that a kernel works on at a time, so that weights are read once for all of them.
const ROWS_AT_ONCE: usize = 8;

pub(super) fn run(
    job: &Job<'_>,
    convolution: &Convolution,
    out: &mut [u8],
    split: &Split,
    scratch: &mut [Vec<u8>],
) {
    let input = job.inputs[0];
    let outputs = job.plan.description.layers[job.layer].channels;
    if let Some(kernel) = stem::kernel(job) {
        let block = block(job, convolution, 0);
        return stem::run(job, kernel, convolution, block, out, split, scratch);
    }
    match convolution.packing(input.channels, outputs) {
        Packing::Depthwise => depthwise(job, convolution, out, split, scratch),
        Packing::Matrix if convolution.groups > 1 => {
            split.run(out, 1, scratch, &|first, out, scratch| {
                grouped(job, convolution, first, out, scratch);
            });
        }
        Packing::Matrix if convolution.window.is_point() && input.value != 0 => {
            split.run(out, 1, scratch, &|first, out, _| {
                pointwise(job, convolution, first, out);
            });
        }
        Packing::Matrix => split.run(out, 1, scratch, &|first, out, scratch| {
            windows(job, convolution, first, out, scratch);
        }),
    }
}

/// Weights and requantisation of one block of outputs.
fn block<'a>(
    job: &Job<'a>,
    convolution: &Convolution,
    block: usize,
) -> (Weights<'a>, Requantise<'a>) {
    let input = job.inputs[0].channels;
    let outputs = job.plan.description.layers[job.layer].channels;
    let (_, width) = convolution.blocks(input, outputs);
    let padded = width.next_multiple_of(16);
    let parameters = &job.plan.parameters[job.layer];
    let range = block * padded..(block + 1) * padded;
    let length = convolution.weights_length(input, outputs);
    let start = convolution.weights + block * (length + 8 * padded);
    let weights = Weights {
        inputs: (convolution.window.area() * (input / convolution.groups)).next_multiple_of(8),
        outputs: width,
        packed: &job.plan.blob()[start..start + length],
        bias: &parameters.bias[range.clone()],
        sums: &parameters.sums[range.clone()],
        pair_safe: parameters.pair_safe,
    };
    let requantise = Requantise {
        multiplier: &parameters.multiplier[range],
        zero: convolution.range.zero,
        low: f32::from(convolution.range.low),
        high: f32::from(convolution.range.high),
        activation: convolution.activation(),
        residual_multiplier: convolution.residual.unwrap_or_default(),
        bounded: parameters.bounded,
    };
    (weights, requantise)
}

/// Locations `first..first + count` of a map as rows.
fn rows<'a>(map: Map<'a>, first: usize, count: usize) -> Rows<'a> {
    Rows {
        data: &map.data[first * map.stride..(first + count) * map.stride],
        count,
        stride: map.stride,
    }
}

fn pointwise(job: &Job<'_>, convolution: &Convolution, first: usize, out: &mut [u8]) {
    let (weights, requantise) = block(job, convolution, 0);
    let stride = job.plan.description.stride(job.layer + 1);
    let count = out.len() / stride;
    let residual = job.inputs.get(1).map(|&map| rows(map, first, count));
    gemm(job.cpu)(
        &rows(job.inputs[0], first, count),
        &weights,
        &requantise,
        residual.as_ref(),
        &mut RowsMut {
            data: out,
            count,
            stride,
        },
    );
}

fn windows(
    job: &Job<'_>,
    convolution: &Convolution,
    first: usize,
    out: &mut [u8],
    scratch: &mut [u8],
) {
    let (weights, requantise) = block(job, convolution, 0);
    let stride = job.plan.description.stride(job.layer + 1);
    let layout = Layout::new(job, convolution);
    let step = panel_locations(layout.sum);
    let kernel = gemm(job.cpu);
    for (at, out) in out.chunks_mut(step * stride).enumerate() {
        let (first, count) = (first + at * step, out.len() / stride);
        layout.lay_out(0, first, count, scratch);
        let residual = job.inputs.get(1).map(|&map| rows(map, first, count));
        let panel = Rows {
            data: &scratch[..count * layout.sum],
            count,
            stride: layout.sum,
        };
        let mut out = RowsMut {
            data: out,
            count,
            stride,
        };
        kernel(&panel, &weights, &requantise, residual.as_ref(), &mut out);
    }
}

/// Each group by itself. Its results pass through scratch memory, since a kernel may write up to a
/// multiple of 8 channels, which would reach into the next group.
fn grouped(
    job: &Job<'_>,
    convolution: &Convolution,
    first: usize,
    out: &mut [u8],
    scratch: &mut [u8],
) {
    let stride = job.plan.description.stride(job.layer + 1);
    let outputs = job.plan.description.layers[job.layer].channels / convolution.groups;
    let width = outputs.next_multiple_of(8);
    let layout = Layout::new(job, convolution);
    let step = panel_locations(layout.sum);
    let kernel = gemm(job.cpu);
    for (at, out) in out.chunks_mut(step * stride).enumerate() {
        let (first, count) = (first + at * step, out.len() / stride);
        for group in 0..convolution.groups {
            let (weights, requantise) = block(job, convolution, group);
            layout.lay_out(group, first, count, scratch);
            let (panel, rest) = scratch.split_at_mut(count * layout.sum);
            let (results, residuals) = rest.split_at_mut(count * width);
            let channels = group * outputs..(group + 1) * outputs;
            let residual = job.inputs.get(1).map(|map| {
                let locations = map.data[first * map.stride..].chunks_exact(map.stride);
                let into = residuals.chunks_exact_mut(width).take(count);
                for (into, from) in into.zip(locations) {
                    into[..outputs].copy_from_slice(&from[channels.clone()]);
                }
                Rows {
                    data: &residuals[..count * width],
                    count,
                    stride: width,
                }
            });
            let panel = Rows {
                data: panel,
                count,
                stride: layout.sum,
            };
            let mut into = RowsMut {
                data: results,
                count,
                stride: width,
            };
            kernel(&panel, &weights, &requantise, residual.as_ref(), &mut into);
            let locations = out.chunks_exact_mut(stride);
            for (location, result) in locations.zip(results.chunks_exact(width)) {
                location[channels.clone()].copy_from_slice(&result[..outputs]);
            }
        }
    }
}

fn depthwise(
    job: &Job<'_>,
    convolution: &Convolution,
    out: &mut [u8],
    split: &Split,
    scratch: &mut [Vec<u8>],
) {
    let input = job.inputs[0];
    let (weights, requantise) = block(job, convolution, 0);
    let window = &convolution.window;
    let (size, stride) = (window.size[0], window.stride[0]);
    let weights = Depthwise {
        channels: input.channels,
        size,
        stride,
        packed: weights.packed,
        bias: weights.bias,
        sums: weights.sums,
    };
    let [height, width] = input.shape;
    let front = |axis: usize| match window.outputs(axis, input.shape[axis]) {
        Some((_, front)) => front,
        None => unreachable!("shapes were worked out before"),
    };
    let (top, left) = (front(0), front(1));
    let kernel = depthwise_rows(job.cpu);
    let row = width * input.stride;
    let columns = job.shape[1];
    split.run(out, columns, scratch, &|first, out, _| {
        let step = ROWS_AT_ONCE * columns * split.stride;
        for (at, out) in out.chunks_mut(step).enumerate() {
            let y = (first / columns + at * ROWS_AT_ONCE) * stride;
            let count = out.len() / (columns * split.stride);
            let mut rows = [&job.row[..row]; (ROWS_AT_ONCE - 1) * 2 + 5];
            let rows = &mut rows[..(count - 1) * stride + size];
            for (ky, slot) in rows.iter_mut().enumerate() {
                if let Some(y) = (y + ky).checked_sub(top)
                    && y < height
                {
                    *slot = &input.data[y * row..(y + 1) * row];
                }
            }
            kernel(rows, width, input.zero, left, &weights, &requantise, out);
        }
    });
}
