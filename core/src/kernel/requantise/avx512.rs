//! Sixteen channels at a time with AVX-512.

#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::{Activation, Requantise};

/// The rule's numbers, a register each.
#[derive(Clone, Copy)]
pub(in crate::kernel) struct Rule {
    zero: __m512,
    low: __m512,
    high: __m512,
    hard_swish: Option<__m512>,
    residual: __m512,
}

impl Rule {
    #[target_feature(enable = "avx512f")]
    #[inline]
    pub(in crate::kernel) fn new(requantise: &Requantise<'_>) -> Self {
        Self {
            zero: _mm512_set1_ps(requantise.zero),
            low: _mm512_set1_ps(requantise.low),
            high: _mm512_set1_ps(requantise.high),
            hard_swish: match requantise.activation {
                Activation::Linear => None,
                Activation::HardSwish { scale } => Some(_mm512_set1_ps(scale)),
            },
            residual: _mm512_set1_ps(requantise.residual_multiplier),
        }
    }

    /// Sixteen sums to sixteen bytes. A residual holds sixteen bytes.
    #[target_feature(enable = "avx512f")]
    #[inline]
    pub(in crate::kernel) fn apply(
        &self,
        sums: __m512i,
        multiplier: __m512,
        residual: Option<__m128i>,
    ) -> __m128i {
        let mut x = _mm512_mul_ps(_mm512_cvtepi32_ps(sums), multiplier);
        if let Some(scale) = self.hard_swish {
            let gate = _mm512_add_ps(x, _mm512_set1_ps(3.0));
            let gate = _mm512_min_ps(
                _mm512_max_ps(gate, _mm512_setzero_ps()),
                _mm512_set1_ps(6.0),
            );
            x = _mm512_mul_ps(x, _mm512_mul_ps(gate, scale));
        }
        if let Some(residual) = residual {
            let residual = _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(residual));
            x = _mm512_add_ps(x, _mm512_mul_ps(residual, self.residual));
        }
        x = _mm512_add_ps(x, self.zero);
        let x = _mm512_min_ps(_mm512_max_ps(x, self.low), self.high);
        _mm512_cvtusepi32_epi8(_mm512_cvtps_epi32(x))
    }
}

/// The rule without a residual for four times sixteen sums: numbers are rounded first and clamped as
/// bytes, 64 at a time.
#[derive(Clone, Copy)]
pub(in crate::kernel) struct Packed {
    /// Absent where it is 0.
    zero: Option<__m512>,
    hard_swish: Option<__m512>,
    low: __m512i,
    high: __m512i,
    /// Undoes the interleaving of packing.
    order: __m512i,
}

impl Packed {
    /// `None` where rounding may not come before clamping.
    #[target_feature(enable = "avx512f,avx512bw")]
    #[inline]
    pub(in crate::kernel) fn new(requantise: &Requantise<'_>) -> Option<Self> {
        requantise.bounded.then(|| Self {
            zero: (requantise.zero != 0.0).then(|| _mm512_set1_ps(requantise.zero)),
            hard_swish: match requantise.activation {
                Activation::Linear => None,
                Activation::HardSwish { scale } => Some(_mm512_set1_ps(scale)),
            },
            low: _mm512_set1_epi8((requantise.low as u8).cast_signed()),
            high: _mm512_set1_epi8((requantise.high as u8).cast_signed()),
            order: _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15),
        })
    }

    /// Sums to 64 bytes, in order.
    #[target_feature(enable = "avx512f,avx512bw")]
    #[inline]
    pub(in crate::kernel) fn apply(&self, sums: [__m512i; 4], multipliers: [__m512; 4]) -> __m512i {
        let [a, b] = [
            self.round(sums[0], multipliers[0]),
            self.round(sums[1], multipliers[1]),
        ];
        let [c, d] = [
            self.round(sums[2], multipliers[2]),
            self.round(sums[3], multipliers[3]),
        ];
        // Both packings saturate, which is a clamp to 0 and 255.
        let bytes = _mm512_packus_epi16(_mm512_packs_epi32(a, b), _mm512_packs_epi32(c, d));
        let bytes = _mm512_min_epu8(_mm512_max_epu8(bytes, self.low), self.high);
        _mm512_permutexvar_epi32(self.order, bytes)
    }

    #[target_feature(enable = "avx512f")]
    #[inline]
    fn round(&self, sums: __m512i, multiplier: __m512) -> __m512i {
        let mut x = _mm512_mul_ps(_mm512_cvtepi32_ps(sums), multiplier);
        if let Some(scale) = self.hard_swish {
            let gate = _mm512_add_ps(x, _mm512_set1_ps(3.0));
            let gate = _mm512_min_ps(
                _mm512_max_ps(gate, _mm512_setzero_ps()),
                _mm512_set1_ps(6.0),
            );
            x = _mm512_mul_ps(x, _mm512_mul_ps(gate, scale));
        }
        if let Some(zero) = self.zero {
            x = _mm512_add_ps(x, zero);
        }
        _mm512_cvtps_epi32(x)
    }
}
