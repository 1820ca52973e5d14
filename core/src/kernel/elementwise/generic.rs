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
    let columns = sums.len().max(1);
    let (wide, rest) = sums.as_chunks_mut::<64>();
    for (at, sums) in wide.iter_mut().enumerate() {
        accumulate_columns(values, columns, 64 * at, sums);
    }
    let done = 64 * wide.len();
    let (narrow, rest) = rest.as_chunks_mut::<8>();
    for (at, sums) in narrow.iter_mut().enumerate() {
        accumulate_columns(values, columns, done + 8 * at, sums);
    }
    let done = done + 8 * narrow.len();
    for (at, sum) in rest.iter_mut().enumerate() {
        accumulate_columns(values, columns, done + at, std::array::from_mut(sum));
    }
}

/// Some columns, in 16 bits as long as they hold the sums: registers hold all of them then.
#[inline(always)]
fn accumulate_columns<const N: usize>(
    values: &[u8],
    columns: usize,
    first: usize,
    sums: &mut [u32; N],
) {
    for rows in values.chunks(256 * columns) {
        let mut few = [0u16; N];
        for row in rows.chunks_exact(columns) {
            let row: &[u8; N] = row[first..].first_chunk().expect("columns of the row");
            for (sum, &value) in few.iter_mut().zip(row) {
                *sum += u16::from(value);
            }
        }
        for (sum, few) in sums.iter_mut().zip(few) {
            *sum += u32::from(few);
        }
    }
}
