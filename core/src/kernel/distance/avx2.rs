//! AVX2: two registers hold the lanes; two rows at a time share the centre.

#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::{Cpu, LANES, SquareDistances, finish};

/// Lanes of a register, and rows at a time: their sums do not wait for each other.
const W: usize = 4;
const ROWS: usize = 2;

pub(super) fn square_distances(cpu: Cpu) -> Option<SquareDistances> {
    cpu.has_avx2().then_some(run as SquareDistances)
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
        let two = [row(0), row(1)];
        // SAFETY: `square_distances` gives this function away only if the processor has AVX2; both rows are as long as the
        // centre.
        let lanes = unsafe { lanes_of(two, centre) };
        for ((square, lanes), row) in squares.iter_mut().zip(lanes).zip(two) {
            *square = finish(lanes, row, centre);
        }
    }
}

/// # Safety
/// Every row must be as long as the centre.
#[target_feature(enable = "avx2")]
unsafe fn lanes_of(rows: [&[f32]; ROWS], centre: &[f64]) -> [[f64; LANES]; ROWS] {
    let mut sums = [[_mm256_setzero_pd(); LANES / W]; ROWS];
    for at in (0..centre.len() / LANES * LANES).step_by(LANES) {
        for part in 0..LANES / W {
            let at = at + part * W;
            // SAFETY: `at + W` is at most the length of the centre and, as promised above, of each row.
            unsafe {
                let middle = _mm256_loadu_pd(centre.as_ptr().add(at));
                for i in 0..ROWS {
                    let values = _mm256_cvtps_pd(_mm_loadu_ps(rows[i].as_ptr().add(at)));
                    let difference = _mm256_sub_pd(values, middle);
                    let square = _mm256_mul_pd(difference, difference);
                    sums[i][part] = _mm256_add_pd(sums[i][part], square);
                }
            }
        }
    }
    let mut lanes = [[0.0; LANES]; ROWS];
    for i in 0..ROWS {
        for part in 0..LANES / W {
            // SAFETY: eight lanes are two registers.
            unsafe { _mm256_storeu_pd(lanes[i].as_mut_ptr().add(part * W), sums[i][part]) };
        }
    }
    lanes
}
