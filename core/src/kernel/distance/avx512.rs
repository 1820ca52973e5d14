//! AVX-512: a register holds all lanes; four rows at a time share the centre.

#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::{Cpu, LANES, SquareDistances, finish};

/// Rows at a time: their sums do not wait for each other.
const ROWS: usize = 4;

pub(super) fn square_distances(cpu: Cpu) -> Option<SquareDistances> {
    cpu.has_avx512_vnni().then_some(run as SquareDistances)
}

// Reached only through the function above.
fn run(rows: &[f32], centre: &[f64], squares: &mut [f64]) {
    super::check_lengths(rows, centre, squares);
    let columns = centre.len();
    for (at, squares) in squares.chunks_mut(ROWS).enumerate() {
        let first = at * ROWS * columns;
        let row = |number: usize| {
            // Where no row is left, the last again.
            let start = first + number.min(squares.len() - 1) * columns;
            &rows[start..start + columns]
        };
        let four = [row(0), row(1), row(2), row(3)];
        // SAFETY: `square_distances` gives this function away only if the processor has AVX-512; all rows are as long as
        // the centre.
        let lanes = unsafe { lanes_of(four, centre) };
        for ((square, lanes), row) in squares.iter_mut().zip(lanes).zip(four) {
            *square = finish(lanes, row, centre);
        }
    }
}

/// # Safety
/// Every row must be as long as the centre.
#[target_feature(enable = "avx,avx512f")]
unsafe fn lanes_of(rows: [&[f32]; ROWS], centre: &[f64]) -> [[f64; LANES]; ROWS] {
    let mut sums = [_mm512_setzero_pd(); ROWS];
    for at in (0..centre.len() / LANES * LANES).step_by(LANES) {
        // SAFETY: `at + LANES` is at most the length of the centre and, as promised above, of each row.
        unsafe {
            let middle = _mm512_loadu_pd(centre.as_ptr().add(at));
            for i in 0..ROWS {
                let values: __m512d = _mm512_cvtps_pd(_mm256_loadu_ps(rows[i].as_ptr().add(at)));
                let difference = _mm512_sub_pd(values, middle);
                sums[i] = _mm512_add_pd(sums[i], _mm512_mul_pd(difference, difference));
            }
        }
    }
    let mut lanes = [[0.0; LANES]; ROWS];
    for i in 0..ROWS {
        // SAFETY: eight lanes are a register.
        unsafe { _mm512_storeu_pd(lanes[i].as_mut_ptr(), sums[i]) };
    }
    lanes
}
