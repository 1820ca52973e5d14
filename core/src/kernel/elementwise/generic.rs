//! The specification, in plain Rust.

use super::{Elementwise, Rounding};

pub(super) const ELEMENTWISE: Elementwise = Elementwise {
    multiply,
    add,
    accumulate,
};

#[inline(always)]
pub(super) fn multiply(
    values: &[u8],
    zero: f32,
    factors: &[f32],
    rounding: Rounding,
    out: &mut [u8],
) {
    let rows = values.chunks_exact(factors.len().max(1));
    for (out, row) in out.chunks_exact_mut(factors.len().max(1)).zip(rows) {
        for ((out, &value), factor) in out.iter_mut().zip(row).zip(factors) {
            *out = rounding.apply((f32::from(value) - zero) * factor);
        }
    }
}

#[inline(always)]
pub(super) fn add(
    left: &[u8],
    right: &[u8],
    factors: [f32; 2],
    rounding: Rounding,
    out: &mut [u8],
) {
    for (out, (&left, &right)) in out.iter_mut().zip(left.iter().zip(right)) {
        *out = rounding.apply(f32::from(left) * factors[0] + f32::from(right) * factors[1]);
    }
}

#[inline(always)]
pub(super) fn accumulate(values: &[u8], sums: &mut [u32]) {
    for row in values.chunks_exact(sums.len().max(1)) {
        for (sum, &value) in sums.iter_mut().zip(row) {
            *sum += u32::from(value);
        }
    }
}
