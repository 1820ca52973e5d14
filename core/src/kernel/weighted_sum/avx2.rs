//! AVX2: 32 columns at a time, then fewer, stay in registers while all rows pass.

#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::{Cpu, WeightedSum};

/// Columns of a register.
const W: usize = 4;

pub(super) fn weighted_sum(cpu: Cpu) -> Option<WeightedSum> {
    cpu.has_avx2().then_some(run as WeightedSum)
}

// Reached only through the function above.
fn run(rows: &[f32], weights: &[f64], sums: &mut [f64]) {
    super::check_lengths(rows, weights, sums);
    // SAFETY: `weighted_sum` gives this function away only if the processor has AVX2; the lengths were checked above.
    let done = unsafe {
        let done = blocks::<8>(rows, weights, sums, 0);
        let done = blocks::<4>(rows, weights, sums, done);
        let done = blocks::<2>(rows, weights, sums, done);
        blocks::<1>(rows, weights, sums, done)
    };
    super::last_columns(rows, weights, sums, done);
}

/// The columns from `done` on, as many as fill blocks of `N` registers: where the rest begins.
///
/// # Safety
/// `rows` must hold `weights.len()` rows of `sums.len()` values.
#[target_feature(enable = "avx,avx2")]
unsafe fn blocks<const N: usize>(
    rows: &[f32],
    weights: &[f64],
    sums: &mut [f64],
    mut done: usize,
) -> usize {
    let columns = sums.len();
    while done + N * W <= columns {
        // SAFETY: every row has all columns of the block, and so has `sums`.
        unsafe {
            let out = sums.as_mut_ptr().add(done);
            columns_of::<N>(rows.as_ptr().wrapping_add(done), columns, weights, out);
        }
        done += N * W;
    }
    done
}

/// # Safety
/// Behind `first` and each of `weights.len() - 1` further steps of `stride` values, `N` registers of values must be
/// readable; `out` must have room for as many.
#[target_feature(enable = "avx,avx2")]
unsafe fn columns_of<const N: usize>(
    first: *const f32,
    stride: usize,
    weights: &[f64],
    out: *mut f64,
) {
    let mut sums = [_mm256_setzero_pd(); N];
    for (row, &weight) in weights.iter().enumerate() {
        let weight = _mm256_set1_pd(weight);
        for i in 0..N {
            // SAFETY: as promised above.
            let values: __m256d = unsafe {
                let start = first.add(stride * row);
                _mm256_cvtps_pd(_mm_loadu_ps(start.add(W * i)))
            };
            sums[i] = _mm256_add_pd(sums[i], _mm256_mul_pd(weight, values));
        }
    }
    for i in 0..N {
        // SAFETY: as promised above.
        unsafe { _mm256_storeu_pd(out.add(W * i), sums[i]) };
    }
}
