//! Dot products of one int8 vector with many: the scan of an index.
//!
//! A sum of products of 8-bit integers is exact in 32 bits, so every order of summation gives the
//! same number and all implementations agree bit for bit.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512vnni;
mod generic;
#[cfg(target_arch = "aarch64")]
mod neon;
#[cfg(test)]
mod tests;

use super::Cpu;

/// Longest vector for which no sum can overflow: 65,536 × 128² = 2³⁰.
pub(crate) const MAX_LENGTH: usize = 1 << 16;

/// `out[i] = Σ query[j] · rows[i·n + j]` for `n = query.len()`; `rows` holds `out.len()` vectors of
/// that length without gaps, `n` is at most [`MAX_LENGTH`]. Panics when the lengths disagree.
pub(crate) type DotRows = fn(query: &[i8], rows: &[i8], out: &mut [i32]);

/// The fastest implementation for a processor.
pub(crate) fn dot_rows(cpu: Cpu) -> DotRows {
    #[cfg(target_arch = "x86_64")]
    if let Some(kernel) = avx512vnni::dot_rows(cpu).or_else(|| avx2::dot_rows(cpu)) {
        return kernel;
    }
    #[cfg(target_arch = "aarch64")]
    if let Some(kernel) = neon::dot_rows(cpu) {
        return kernel;
    }
    let _ = cpu;
    generic::dot_rows
}

fn check_lengths(query: &[i8], rows: &[i8], out: &[i32]) {
    assert!(
        query.len() <= MAX_LENGTH,
        "a vector of {} could overflow",
        query.len()
    );
    assert_eq!(
        Some(rows.len()),
        query.len().checked_mul(out.len()),
        "rows do not match"
    );
}
