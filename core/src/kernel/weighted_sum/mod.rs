//! The weighted sum of rows: pooling (a row a location) and projection (a row a channel).
//!
//! Lanes are columns, so each column is summed in the order of its rows on every processor: one
//! multiplication and one addition in double precision a step, both rounded, never fused. So all
//! implementations agree bit for bit.

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

/// `sums[c] = Σ_r weights[r] · rows[r·C + c]` for `C = sums.len()`, in the order of the rows; `rows`
/// holds `weights.len()` rows of `C` values without gaps. Panics when the lengths disagree.
pub(crate) type WeightedSum = fn(rows: &[f32], weights: &[f64], sums: &mut [f64]);

/// The fastest implementation for a processor.
pub(crate) fn weighted_sum(cpu: Cpu) -> WeightedSum {
    #[cfg(target_arch = "x86_64")]
    if let Some(kernel) = avx512::weighted_sum(cpu).or_else(|| avx2::weighted_sum(cpu)) {
        return kernel;
    }
    #[cfg(target_arch = "aarch64")]
    if let Some(kernel) = neon::weighted_sum(cpu) {
        return kernel;
    }
    let _ = cpu;
    generic::weighted_sum
}

fn check_lengths(rows: &[f32], weights: &[f64], sums: &[f64]) {
    assert_eq!(
        Some(rows.len()),
        weights.len().checked_mul(sums.len()),
        "rows do not match"
    );
}

/// The columns from `from` on, as the specification sums them.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
fn last_columns(rows: &[f32], weights: &[f64], sums: &mut [f64], from: usize) {
    let columns = sums.len();
    sums[from..].fill(0.0);
    if from < columns {
        for (row, &weight) in rows.chunks_exact(columns).zip(weights) {
            for (sum, &value) in sums[from..].iter_mut().zip(&row[from..]) {
                *sum += weight * f64::from(value);
            }
        }
    }
}
