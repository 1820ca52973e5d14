//! Everything but convolutions: tables, sums, products, pooling, joining, resizing.
//!
//! Each rounds once, by the rule of the kernels: a product and sums in single precision, clamped,
//! rounded to the nearest with ties to even. None of it is fused, so that every processor agrees.

use super::super::window::{Resize, Window};
use super::description::Range;
use super::execute::Job;
use crate::kernel::elementwise::{Rounding, elementwise};

fn rounding(range: &Range) -> Rounding {
    Rounding {
        zero: range.zero,
        low: f32::from(range.low),
        high: f32::from(range.high),
    }
}

/// The table at an offset of the blob.
fn table_at<'a>(job: &Job<'a>, offset: usize) -> &'a [u8; 256] {
    job.plan.blob()[offset..]
        .first_chunk()
        .expect("checked when the plan was loaded")
}

pub(super) fn table(job: &Job<'_>, offset: usize, out: &mut [u8]) {
    let table = table_at(job, offset);
    for (out, &byte) in out.iter_mut().zip(job.inputs[0].data) {
        *out = table[usize::from(byte)];
    }
}

pub(super) fn add(job: &Job<'_>, left: f32, right: f32, range: &Range, out: &mut [u8]) {
    let (a, b) = (job.inputs[0].data, job.inputs[1].data);
    (elementwise(job.cpu).add)(a, b, [left, right], rounding(range), out);
}

/// By a map of the same shape, or by one of 1×1.
pub(super) fn multiply(job: &Job<'_>, factor: f32, range: &Range, out: &mut [u8]) {
    let (map, by) = (job.inputs[0], job.inputs[1]);
    let zero = f32::from(by.zero);
    let factors: Vec<f32> = by
        .data
        .iter()
        .map(|&byte| (f32::from(byte) - zero) * factor)
        .collect();
    let zero = f32::from(map.zero);
    (elementwise(job.cpu).multiply)(map.data, zero, &factors, rounding(range), out);
}

pub(super) fn global_average(job: &Job<'_>, factor: f32, range: &Range, out: &mut [u8]) {
    let map = job.inputs[0];
    let mut sums = vec![0u32; map.stride];
    (elementwise(job.cpu).accumulate)(map.data, &mut sums);
    let factor = factor / (map.shape[0] * map.shape[1]) as f32;
    let rounding = rounding(range);
    for (out, sum) in out.iter_mut().zip(sums) {
        *out = rounding.apply(sum as f32 * factor);
    }
}

pub(super) fn average(job: &Job<'_>, window: &Window, factor: f32, range: &Range, out: &mut [u8]) {
    let map = job.inputs[0];
    let zero = u32::from(map.zero);
    let mut sums = vec![0u32; map.stride];
    let rounding = rounding(range);
    each_window(job, window, out, |inside, out| {
        sums.fill(0);
        let mut count = 0;
        for location in inside {
            count += 1;
            for (sum, &byte) in sums.iter_mut().zip(location) {
                *sum += u32::from(byte);
            }
        }
        let mut padding = 0;
        if window.count_padding {
            padding = zero * (window.area() as u32 - count);
            count = window.area() as u32;
        }
        let factor = factor / count as f32;
        for (out, &sum) in out.iter_mut().zip(&sums) {
            *out = rounding.apply((sum + padding) as f32 * factor);
        }
    });
}

pub(super) fn maximum(job: &Job<'_>, window: &Window, out: &mut [u8]) {
    each_window(job, window, out, |inside, out| {
        out.fill(0);
        for location in inside {
            for (out, &byte) in out.iter_mut().zip(location) {
                *out = (*out).max(byte);
            }
        }
    });
}

/// Calls `work` with the locations of each window that lie inside of the map.
fn each_window<'a>(
    job: &Job<'a>,
    window: &Window,
    out: &mut [u8],
    mut work: impl FnMut(&mut dyn Iterator<Item = &'a [u8]>, &mut [u8]),
) {
    let map = job.inputs[0];
    let [height, width] = map.shape;
    let [_, columns] = job.shape;
    let front = [0, 1].map(|axis| {
        let outputs = window.outputs(axis, map.shape[axis]);
        outputs.map_or(0, |(_, front)| front)
    });
    for (at, out) in out.chunks_exact_mut(map.stride).enumerate() {
        let (y, x) = (at / columns, at % columns);
        let inside_x = window.inside(1, x, front[1], width);
        let mut locations = window.inside(0, y, front[0], height).flat_map(|ky| {
            let row = y * window.stride[0] + ky * window.dilation[0] - front[0];
            inside_x.clone().map(move |kx| {
                let column = x * window.stride[1] + kx * window.dilation[1] - front[1];
                &map.data[(row * width + column) * map.stride..][..map.stride]
            })
        });
        work(&mut locations, out);
    }
}

pub(super) fn concat(job: &Job<'_>, tables: &[usize], out: &mut [u8]) {
    let stride = job.plan.description.stride(job.layer + 1);
    let mut first = 0;
    for (map, &table) in job.inputs.iter().zip(tables) {
        let table = table_at(job, table);
        let locations = map.data.chunks_exact(map.stride);
        for (out, location) in out.chunks_exact_mut(stride).zip(locations) {
            let out = &mut out[first..first + map.channels];
            for (out, &byte) in out.iter_mut().zip(location) {
                *out = table[usize::from(byte)];
            }
        }
        first += map.channels;
    }
}

pub(super) fn resize(job: &Job<'_>, resize: &Resize, out: &mut [u8]) {
    let map = job.inputs[0];
    let [height, width] = map.shape;
    let [rows, columns] = job.shape;
    let whole = Rounding {
        zero: 0.0,
        low: 0.0,
        high: 255.0,
    };
    let at = |y: usize, x: usize| &map.data[(y * width + x) * map.stride..][..map.stride];
    for (index, out) in out.chunks_exact_mut(map.stride).enumerate() {
        let (y0, y1, down) = resize.source(0, index / columns, height, rows);
        let (x0, x1, right) = resize.source(1, index % columns, width, columns);
        if down == 0.0 && right == 0.0 {
            out.copy_from_slice(at(y0, x0));
            continue;
        }
        let corners = [at(y0, x0), at(y0, x1), at(y1, x0), at(y1, x1)];
        for (channel, out) in out.iter_mut().enumerate() {
            let [a, b, c, d] = corners.map(|corner| f32::from(corner[channel]));
            let above = a + (b - a) * right;
            let below = c + (d - c) * right;
            *out = whole.apply(above + (below - above) * down);
        }
    }
}
