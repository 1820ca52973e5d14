//! Sums and products of maps, location by location: residuals that no convolution takes, squeeze and
//! excite, pooling.
//!
//! Plain loops that compilers turn into vector code; the files differ in what they are compiled for.
//! Only products with AVX-512, which compilers leave half empty, are written by hand.
//! Products and sums are single and separate, so that the bits are the same.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod generic;
#[cfg(test)]
mod tests;

use super::Cpu;

/// The end of every rounding: `x + zero`, clamped to `low..=high`, to the nearest integer with ties to
/// even.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rounding {
    pub(crate) zero: f32,
    /// A whole number from 0 to 255, and so is `high`.
    pub(crate) low: f32,
    pub(crate) high: f32,
}

impl Rounding {
    #[inline(always)]
    pub(crate) fn apply(self, x: f32) -> u8 {
        let x = (x + self.zero).max(self.low).min(self.high);
        // Adding 1.5 · 2²³ rounds to an integer, ties to even, and leaves it in the low bits: unlike
        // `round_ties_even` this becomes vector code on every processor.
        (x + 12_582_912.0).to_bits() as u8
    }
}

/// `out[i][c] = round((values[i][c] - zero) · factors[c])` for rows as long as `factors`.
pub(crate) type Multiply =
    fn(values: &[u8], zero: f32, factors: &[f32], rounding: Rounding, out: &mut [u8]);

/// `out[i] = round(left[i] · factors[0] + right[i] · factors[1])`.
pub(crate) type Add =
    fn(left: &[u8], right: &[u8], factors: [f32; 2], rounding: Rounding, out: &mut [u8]);

/// `sums[c] += Σ_i values[i][c]` for rows as long as `sums`.
pub(crate) type Accumulate = fn(values: &[u8], sums: &mut [u32]);

/// The implementations for a processor.
#[derive(Clone, Copy)]
pub(crate) struct Elementwise {
    pub(crate) multiply: Multiply,
    pub(crate) add: Add,
    pub(crate) accumulate: Accumulate,
}

/// The fastest implementations for a processor.
pub(crate) fn elementwise(cpu: Cpu) -> Elementwise {
    #[cfg(target_arch = "x86_64")]
    if let Some(fast) = avx512::elementwise(cpu).or_else(|| avx2::elementwise(cpu)) {
        return fast;
    }
    let _ = cpu;
    generic::ELEMENTWISE
}
