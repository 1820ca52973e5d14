//! NEON: four registers hold the lanes; two rows at a time share the centre.

#![allow(unsafe_code)]

use std::arch::aarch64::*;

use super::{Cpu, LANES, SquareDistances, finish};

/// Lanes of a register, and rows at a time: their sums do not wait for each other.
const W: usize = 2;
const ROWS: usize = 2;

pub(super) fn square_distances(cpu: Cpu) -> Option<SquareDistances> {
    cpu.has_neon().then_some(run as SquareDistances)
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
        // SAFETY: `square_distances` gives this function away only if the processor has NEON; both rows are as long as the
        // centre.
        let lanes = unsafe { lanes_of(two, centre) };
        for ((square, lanes), row) in squares.iter_mut().zip(lanes).zip(two) {
            *square = finish(lanes, row, centre);
        }
    }
}

/// # Safety
/// Every row must be as long as the centre.
#[target_feature(enable = "neon")]
unsafe fn lanes_of(rows: [&[f32]; ROWS], centre: &[f64]) -> [[f64; LANES]; ROWS] {
    let mut sums = [[vdupq_n_f64(0.0); LANES / W]; ROWS];
    for at in (0..centre.len() / LANES * LANES).step_by(LANES) {
        for part in 0..LANES / W {
            let at = at + part * W;
            // SAFETY: `at + W` is at most the length of the centre and, as promised above, of each row.
            unsafe {
                let middle = vld1q_f64(centre.as_ptr().add(at));
                for i in 0..ROWS {
                    let values = vcvt_f64_f32(vld1_f32(rows[i].as_ptr().add(at)));
                    let difference = vsubq_f64(values, middle);
                    let square = vmulq_f64(difference, difference);
                    sums[i][part] = vaddq_f64(sums[i][part], square);
                }
            }
        }
    }
    let mut lanes = [[0.0; LANES]; ROWS];
    for i in 0..ROWS {
        for part in 0..LANES / W {
            // SAFETY: eight lanes are four registers.
            unsafe { vst1q_f64(lanes[i].as_mut_ptr().add(part * W), sums[i][part]) };
        }
    }
    lanes
}
