//! Squares of the distances of rows from a centre: how far each location of a map is from a mean.
//!
//! Columns go to eight lanes in turn, each lane adds in the order of its columns, and the lanes are added from the first
//! to the last; every step is rounded in double precision, none is fused. So all implementations agree bit for bit.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod generic;
#[cfg(target_arch = "aarch64")]
mod neon;
#[cfg(test)]
mod tests;

use super::Cpu;

/// Partial sums of a row.
const LANES: usize = 8;

/// `squares[r] = Σ_c (rows[r·C + c] - centre[c])²` for `C = centre.len()`; `rows` holds `squares.len()` rows of `C` values
/// without gaps. Panics when the lengths disagree.
pub(crate) type SquareDistances = fn(rows: &[f32], centre: &[f64], squares: &mut [f64]);

/// The fastest implementation for a processor.
pub(crate) fn square_distances(cpu: Cpu) -> SquareDistances {
    #[cfg(target_arch = "x86_64")]
    if let Some(kernel) = avx512::square_distances(cpu).or_else(|| avx2::square_distances(cpu)) {
        return kernel;
    }
    #[cfg(target_arch = "aarch64")]
    if let Some(kernel) = neon::square_distances(cpu) {
        return kernel;
    }
    let _ = cpu;
    generic::square_distances
}

fn check_lengths(rows: &[f32], centre: &[f64], squares: &[f64]) {
    assert_eq!(
        Some(rows.len()),
        centre.len().checked_mul(squares.len()),
        "rows do not match"
    );
}

/// Adds the columns that fill no more lanes, and the lanes.
fn finish(mut lanes: [f64; LANES], row: &[f32], centre: &[f64]) -> f64 {
    let whole = row.len() / LANES * LANES;
    let rest = row[whole..].iter().zip(&centre[whole..]);
    for (sum, (&value, &middle)) in lanes.iter_mut().zip(rest) {
        let difference = f64::from(value) - middle;
        *sum += difference * difference;
    }
    lanes.iter().sum()
}
