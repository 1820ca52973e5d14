//! Eight channels at a time with AVX2. The default rounding of the processor is the rule's.

#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::{Activation, Requantise};

/// The rule's numbers, a register each.
#[derive(Clone, Copy)]
pub(in crate::kernel) struct Rule {
    zero: __m256,
    low: __m256,
    high: __m256,
    hard_swish: Option<__m256>,
    residual: __m256,
}

impl Rule {
    #[target_feature(enable = "avx2")]
    #[inline]
    pub(in crate::kernel) fn new(requantise: &Requantise<'_>) -> Self {
        Self {
            zero: _mm256_set1_ps(requantise.zero),
            low: _mm256_set1_ps(requantise.low),
            high: _mm256_set1_ps(requantise.high),
            hard_swish: match requantise.activation {
                Activation::Linear => None,
                Activation::HardSwish { three } => Some(_mm256_set1_ps(three)),
            },
            residual: _mm256_set1_ps(requantise.residual_multiplier),
        }
    }

    /// Eight sums to eight values of 0 to 255. A residual holds eight 32-bit numbers.
    #[target_feature(enable = "avx2")]
    #[inline]
    pub(in crate::kernel) fn apply(
        &self,
        sums: __m256i,
        multiplier: __m256,
        residual: Option<__m256i>,
    ) -> __m256i {
        let mut x = _mm256_mul_ps(_mm256_cvtepi32_ps(sums), multiplier);
        if let Some(three) = self.hard_swish {
            let gate = _mm256_max_ps(_mm256_add_ps(x, three), _mm256_setzero_ps());
            x = _mm256_mul_ps(x, _mm256_min_ps(gate, _mm256_add_ps(three, three)));
        }
        if let Some(residual) = residual {
            let residual = _mm256_mul_ps(_mm256_cvtepi32_ps(residual), self.residual);
            x = _mm256_add_ps(x, residual);
        }
        x = _mm256_add_ps(x, self.zero);
        _mm256_cvtps_epi32(_mm256_min_ps(_mm256_max_ps(x, self.low), self.high))
    }
}

/// Sixteen bytes of two vectors of eight values of 0 to 255, which hold channels 0 to 3 and 8 to 11,
/// and 4 to 7 and 12 to 15.
#[target_feature(enable = "avx2")]
#[inline]
pub(in crate::kernel) fn narrow_interleaved(low: __m256i, high: __m256i) -> __m128i {
    let words = _mm256_packs_epi32(low, high);
    _mm_packus_epi16(
        _mm256_castsi256_si128(words),
        _mm256_extracti128_si256::<1>(words),
    )
}

/// Sixteen bytes of two vectors of eight values of 0 to 255, in order.
#[target_feature(enable = "avx2")]
#[inline]
pub(in crate::kernel) fn narrow(first: __m256i, second: __m256i) -> __m128i {
    narrow_interleaved(
        _mm256_permute2x128_si256::<0x20>(first, second),
        _mm256_permute2x128_si256::<0x31>(first, second),
    )
}
