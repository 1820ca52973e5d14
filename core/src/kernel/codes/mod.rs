//! Dot products of a query with single rows of residual codes: what the scan of signs lets pass is scored here.
//!
//! A component of a row is `u = 2t − 127` with `t ∈ 0…127`. The highest of the seven bits of `t` is the sign that
//! [`signs`](super::signs) scans, where it lies; the other six lie row by row: of each 64 dimensions 32 bytes with
//! bits 0 to 3 of dimension `i` (low half) and `32 + i` (high half), then 16 bytes with bits 4 and 5 of the dimensions
//! `i`, `16 + i`, `32 + i`, `48 + i` (lowest bits first). The query has 14 bits a component, so that its rounding does
//! not count. Sums are exact in 32 bits: every implementation gives the same.

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
use super::dot::DotRows;
use super::signs::{BLOCK, MAX_DIM};

/// Dimensions are padded to a multiple of this.
pub(crate) const GROUP: usize = 64;
/// Bytes of [`GROUP`] dimensions beside the sign.
pub(crate) const GROUP_BYTES: usize = 48;
/// Largest magnitude of a component of the query.
pub(crate) const LIMIT: i16 = 8191;

/// Components of 14 bits as `128 · high + low`.
#[derive(Clone, Debug)]
pub(crate) struct WideQuery {
    high: Vec<i8>,
    low: Vec<i8>,
    sum: i32,
}

/// The codes of a list.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CodeRows<'a> {
    /// Blocks as [`signs`](super::signs) draws them.
    pub(crate) signs: &'a [u8],
    /// [`GROUP_BYTES`] for each [`GROUP`] dimensions, row by row.
    pub(crate) codes: &'a [u8],
}

/// `out[i] = Σ t·y` over the dimensions of row `named[i]`. Panics where a row is not inside of the list or the
/// lengths of the last two differ.
pub(crate) type DotCodes = fn(&WideQuery, &CodeRows<'_>, named: &[u32], out: &mut [i32]);

/// The fastest implementation for a processor.
pub(crate) fn dot_codes(cpu: Cpu) -> DotCodes {
    #[cfg(target_arch = "x86_64")]
    if let Some(kernel) = avx512vnni::dot_codes(cpu).or_else(|| avx2::dot_codes(cpu)) {
        return kernel;
    }
    #[cfg(target_arch = "aarch64")]
    if let Some(kernel) = neon::dot_codes(cpu) {
        return kernel;
    }
    let _ = cpu;
    generic::dot_codes
}

impl WideQuery {
    /// Of components of a magnitude of at most [`LIMIT`]; their number is a multiple of [`GROUP`] and at most
    /// [`MAX_DIM`].
    pub(crate) fn new(components: &[i16]) -> Self {
        assert!(components.len().is_multiple_of(GROUP) && components.len() <= MAX_DIM);
        debug_assert!(components.iter().all(|y| y.abs() <= LIMIT));
        let high = |y: i16| (y + 64) >> 7;
        Self {
            high: components.iter().map(|&y| high(y) as i8).collect(),
            low: components
                .iter()
                .map(|&y| (y - 128 * high(y)) as i8)
                .collect(),
            sum: components.iter().map(|&y| i32::from(y)).sum(),
        }
    }

    /// Padded number of dimensions.
    pub(crate) fn dim(&self) -> usize {
        self.high.len()
    }

    /// `Σ (u + 2·shift)·y` of a row that has the `Σ t·y` given.
    pub(crate) fn signed(&self, dot: i32, shift: i32) -> i64 {
        2 * i64::from(dot) + i64::from(2 * shift - 127) * i64::from(self.sum)
    }

    /// `Σ c·y` for 8-bit numbers `c`, of which there are as many as dimensions.
    pub(crate) fn dot(&self, dot_rows: DotRows, row: &[i8]) -> i32 {
        let (mut high, mut low) = ([0], [0]);
        dot_rows(&self.high, row, &mut high);
        dot_rows(&self.low, row, &mut low);
        128 * high[0] + low[0]
    }

    /// A component.
    fn component(&self, i: usize) -> i32 {
        128 * i32::from(self.high[i]) + i32::from(self.low[i])
    }
}

impl CodeRows<'_> {
    /// `t` of a dimension of a row of so many padded dimensions.
    pub(crate) fn code(&self, row: usize, i: usize, dim: usize) -> u8 {
        let codes = &self.codes[(row * (dim / GROUP) + i / GROUP) * GROUP_BYTES..];
        let within = i % GROUP;
        let nibble = codes[within % 32] >> (within / 32 * 4) & 15;
        let pair = codes[32 + within % 16] >> (within / 16 * 2) & 3;
        let block = &self.signs[row / BLOCK * BLOCK * dim / 8..];
        let sign = block[i / 8 * BLOCK + row % BLOCK] >> (i % 8) & 1;
        nibble | pair << 4 | sign << 6
    }

    /// Refuses rows that are not inside of the list.
    fn check(&self, named: &[u32], dim: usize) {
        let by_signs = self.signs.len() / (BLOCK * dim / 8) * BLOCK;
        let by_codes = self.codes.len() / (dim / GROUP * GROUP_BYTES);
        let rows = by_signs.min(by_codes);
        let last = named.iter().max();
        assert!(
            last.is_none_or(|&last| (last as usize) < rows),
            "row {last:?} of {rows}"
        );
    }
}
