//! AVX2: four rows by sixteen outputs at a time, the sums in eight registers.
//!
//! Pair-safe weights go through `vpmaddubsw` (exact for them) and `vpmaddwd`; others have their even
//! and odd inputs widened to 16 bits and go through `vpmaddwd` alone, which is exact for all.
//!
//! Vectors never pass through closures or iterators: those are compiled without AVX2 and would cost
//! a call each.

#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::super::requantise::avx2::{Rule, narrow};
use super::{Cpu, Gemm, OUTPUTS, Requantise, Rows, RowsMut, Weights, check};

/// Rows of a tile.
const ROWS: usize = 4;
/// Bytes of the left matrix that are worked on at a time: they stay in the first-level cache while
/// all blocks of weights pass.
const CACHED: usize = 16 << 10;

pub(super) fn gemm(cpu: Cpu) -> Option<Gemm> {
    cpu.has_avx2().then_some(run as Gemm)
}

// Reached only through the function above.
fn run(
    a: &Rows<'_>,
    weights: &Weights<'_>,
    requantise: &Requantise<'_>,
    residual: Option<&Rows<'_>>,
    out: &mut RowsMut<'_>,
) {
    check(a, weights, requantise, residual, out);
    // SAFETY: `gemm` gives this function away only if the processor has AVX2; the lengths were
    // checked above.
    unsafe {
        match weights.pair_safe {
            true => all_tiles::<true>(a, weights, requantise, residual, out),
            false => all_tiles::<false>(a, weights, requantise, residual, out),
        }
    }
}

/// # Safety
/// [`check`] must have passed.
#[target_feature(enable = "avx2")]
unsafe fn all_tiles<const PAIRS: bool>(
    a: &Rows<'_>,
    weights: &Weights<'_>,
    requantise: &Requantise<'_>,
    residual: Option<&Rows<'_>>,
    out: &mut RowsMut<'_>,
) {
    let rule = Rule::new(requantise);
    let chunk = (CACHED / weights.inputs.max(1)).next_multiple_of(ROWS);
    let mut first = 0;
    while first < a.count {
        let end = (first + chunk).min(a.count);
        for block in 0..weights.outputs.div_ceil(OUTPUTS) {
            // SAFETY: blocks and rows are within the checked lengths; tiles are cut to the rows that
            // are left.
            unsafe {
                let block = Block::new(weights, requantise, block);
                let mut row = first;
                while row + ROWS <= end {
                    block.tile::<ROWS, PAIRS>(&rule, a, residual, out, row);
                    row += ROWS;
                }
                match end - row {
                    1 => block.tile::<1, PAIRS>(&rule, a, residual, out, row),
                    2 => block.tile::<2, PAIRS>(&rule, a, residual, out, row),
                    3 => block.tile::<3, PAIRS>(&rule, a, residual, out, row),
                    _ => {}
                }
            }
        }
        first = end;
    }
}

/// Sixteen outputs.
pub(super) struct Block {
    weights: *const i8,
    pub(super) groups: usize,
    pub(super) bias: [__m256i; 2],
    multiplier: [__m256; 2],
    /// The first output.
    at: usize,
    /// Whether only eight of the sixteen are there.
    half: bool,
}

impl Block {
    /// # Safety
    /// [`check`] must have passed, and the block must be one of the weights.
    #[target_feature(enable = "avx2")]
    pub(super) unsafe fn new(
        weights: &Weights<'_>,
        requantise: &Requantise<'_>,
        number: usize,
    ) -> Self {
        let at = number * OUTPUTS;
        // SAFETY: tables are padded to whole blocks.
        unsafe {
            let (bias, multiplier) = (
                weights.bias.as_ptr().add(at),
                requantise.multiplier.as_ptr().add(at),
            );
            Self {
                weights: weights.packed.as_ptr().add(at * weights.inputs).cast(),
                groups: weights.inputs / 4,
                bias: [
                    _mm256_loadu_si256(bias.cast()),
                    _mm256_loadu_si256(bias.add(8).cast()),
                ],
                multiplier: [
                    _mm256_loadu_ps(multiplier),
                    _mm256_loadu_ps(multiplier.add(8)),
                ],
                at,
                half: weights.outputs - at <= 8,
            }
        }
    }

    /// # Safety
    /// [`check`] must have passed; `first + N` rows must be there.
    #[target_feature(enable = "avx2")]
    #[inline]
    unsafe fn tile<const N: usize, const PAIRS: bool>(
        &self,
        rule: &Rule,
        a: &Rows<'_>,
        residual: Option<&Rows<'_>>,
        out: &mut RowsMut<'_>,
        first: usize,
    ) {
        // SAFETY: the rows are within the checked lengths.
        unsafe {
            let rows: [*const u8; N] = std::array::from_fn(|i| a.row(first + i));
            let sums = match PAIRS {
                true => self.sum_pairs(rows),
                false => self.sum_widened(rows),
            };
            for i in 0..N {
                self.finish(rule, sums[i], residual, out, first + i);
            }
        }
    }

    /// Requantises the sums of one row and stores them.
    ///
    /// # Safety
    /// [`check`] must have passed; the row must be there.
    #[target_feature(enable = "avx2")]
    #[inline]
    pub(super) unsafe fn finish(
        &self,
        rule: &Rule,
        sums: [__m256i; 2],
        residual: Option<&Rows<'_>>,
        out: &mut RowsMut<'_>,
        row: usize,
    ) {
        // SAFETY: the block's outputs, rounded up to 8 or 16, are within the checked rows.
        unsafe {
            let residuals = match residual {
                None => (None, None),
                Some(rows) => {
                    let bytes = self.load(rows.row(row).add(self.at));
                    let high = _mm_srli_si128::<8>(bytes);
                    (
                        Some(_mm256_cvtepu8_epi32(bytes)),
                        Some(_mm256_cvtepu8_epi32(high)),
                    )
                }
            };
            let low = rule.apply(sums[0], self.multiplier[0], residuals.0);
            let high = rule.apply(sums[1], self.multiplier[1], residuals.1);
            let at = out.row(row).add(self.at);
            match self.half {
                true => _mm_storel_epi64(at.cast(), narrow(low, high)),
                false => _mm_storeu_si128(at.cast(), narrow(low, high)),
            }
        }
    }

    /// # Safety
    /// The block's outputs, rounded up to 8 or 16, must be readable.
    #[target_feature(enable = "avx2")]
    #[inline]
    unsafe fn load(&self, at: *const u8) -> __m128i {
        // SAFETY: as the caller says.
        unsafe {
            match self.half {
                true => _mm_loadl_epi64(at.cast()),
                false => _mm_loadu_si128(at.cast()),
            }
        }
    }

    /// # Safety
    /// Each row must have the weights' inputs behind it.
    #[target_feature(enable = "avx2")]
    #[inline]
    unsafe fn sum_pairs<const N: usize>(&self, rows: [*const u8; N]) -> [[__m256i; 2]; N] {
        let ones = _mm256_set1_epi16(1);
        let mut sums = [self.bias; N];
        for group in 0..self.groups {
            // SAFETY: a group is 64 bytes of weights and 4 bytes of a row.
            unsafe {
                let (low, high) = self.group(group);
                for i in 0..N {
                    let values = broadcast(rows[i], group);
                    let pairs = _mm256_madd_epi16(_mm256_maddubs_epi16(values, low), ones);
                    sums[i][0] = _mm256_add_epi32(sums[i][0], pairs);
                    let pairs = _mm256_madd_epi16(_mm256_maddubs_epi16(values, high), ones);
                    sums[i][1] = _mm256_add_epi32(sums[i][1], pairs);
                }
            }
        }
        sums
    }

    /// # Safety
    /// Each row must have the weights' inputs behind it.
    #[target_feature(enable = "avx2")]
    #[inline]
    unsafe fn sum_widened<const N: usize>(&self, rows: [*const u8; N]) -> [[__m256i; 2]; N] {
        let low_bytes = _mm256_set1_epi16(0xFF);
        let mut sums = [self.bias; N];
        for group in 0..self.groups {
            // SAFETY: a group is 64 bytes of weights and 4 bytes of a row.
            unsafe {
                let (low, high) = self.group(group);
                let evens = (even_bytes(low), even_bytes(high));
                let odds = (_mm256_srai_epi16::<8>(low), _mm256_srai_epi16::<8>(high));
                for i in 0..N {
                    let values = broadcast(rows[i], group);
                    let even = _mm256_and_si256(values, low_bytes);
                    let odd = _mm256_srli_epi16::<8>(values);
                    let low = &mut sums[i][0];
                    *low = _mm256_add_epi32(*low, _mm256_madd_epi16(even, evens.0));
                    *low = _mm256_add_epi32(*low, _mm256_madd_epi16(odd, odds.0));
                    let high = &mut sums[i][1];
                    *high = _mm256_add_epi32(*high, _mm256_madd_epi16(even, evens.1));
                    *high = _mm256_add_epi32(*high, _mm256_madd_epi16(odd, odds.1));
                }
            }
        }
        sums
    }

    /// # Safety
    /// The group must be one of the block's.
    #[target_feature(enable = "avx2")]
    #[inline]
    pub(super) unsafe fn group(&self, group: usize) -> (__m256i, __m256i) {
        // SAFETY: a group is 64 bytes.
        unsafe {
            let at = self.weights.add(64 * group).cast::<__m256i>();
            (_mm256_loadu_si256(at), _mm256_loadu_si256(at.add(1)))
        }
    }
}

/// The even bytes, widened with their sign.
#[target_feature(enable = "avx2")]
#[inline]
fn even_bytes(bytes: __m256i) -> __m256i {
    _mm256_srai_epi16::<8>(_mm256_slli_epi16::<8>(bytes))
}

/// Four bytes of a row, eight times.
///
/// # Safety
/// The row must reach to the end of the group.
#[target_feature(enable = "avx2")]
#[inline]
pub(super) unsafe fn broadcast(row: *const u8, group: usize) -> __m256i {
    // SAFETY: as the caller says; an unaligned load is asked for.
    unsafe { _mm256_set1_epi32(row.add(4 * group).cast::<i32>().read_unaligned()) }
}
