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
                Activation::HardSwish { three } => Some(_mm512_set1_ps(three)),
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
        if let Some(three) = self.hard_swish {
            let gate = _mm512_max_ps(_mm512_add_ps(x, three), _mm512_setzero_ps());
            x = _mm512_mul_ps(x, _mm512_min_ps(gate, _mm512_add_ps(three, three)));
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

/// The rule for four times sixteen sums: numbers are rounded first and clamped as bytes, 64 at a time.
/// What the rule consists of is known when this is compiled, so that kernels ask nothing and keep
/// their sums in registers.
#[derive(Clone, Copy)]
pub(in crate::kernel) struct Packed<const HARD_SWISH: bool, const RESIDUAL: bool, const CLAMP: bool>
{
    zero: __m512,
    three: __m512,
    /// Twice as much, as an integer.
    six: __m512i,
    residual: __m512,
    low: __m512i,
    high: __m512i,
    /// Undoes the interleaving of packing.
    order: __m512i,
}

impl<const HARD_SWISH: bool, const RESIDUAL: bool, const CLAMP: bool>
    Packed<HARD_SWISH, RESIDUAL, CLAMP>
{
    /// `None` for another rule, where rounding may not come before clamping, and for a rule that clamps unless `CLAMP`.
    #[target_feature(enable = "avx512f,avx512bw")]
    #[inline]
    pub(in crate::kernel) fn new(requantise: &Requantise<'_>) -> Option<Self> {
        let three = match (requantise.activation, HARD_SWISH) {
            (Activation::Linear, false) => 0.0,
            (Activation::HardSwish { three }, true) => three,
            _ => return None,
        };
        let added = requantise.zero.abs();
        let added = match RESIDUAL {
            true => added.max(requantise.residual_multiplier.abs()),
            false => added,
        };
        // Where nothing stands between, the zero point is inside of the bias.
        let largest = match HARD_SWISH || RESIDUAL {
            true => (1 << 20) as f32,
            false => 0.0,
        };
        let is_clamped = requantise.low > 0.0 || requantise.high < 255.0;
        let fits = requantise.bounded && added <= largest && (CLAMP || !is_clamped);
        fits.then(|| Self {
            zero: _mm512_set1_ps(requantise.zero),
            three: _mm512_set1_ps(three),
            six: _mm512_castps_si512(_mm512_set1_ps(2.0 * three)),
            residual: _mm512_set1_ps(requantise.residual_multiplier),
            low: _mm512_set1_epi8((requantise.low as u8).cast_signed()),
            high: _mm512_set1_epi8((requantise.high as u8).cast_signed()),
            order: _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15),
        })
    }

    /// Sums to 64 bytes, in order. Residuals, sixteen bytes each, mean nothing without `RESIDUAL`.
    #[target_feature(enable = "avx512f,avx512bw")]
    #[inline]
    pub(in crate::kernel) fn apply(
        &self,
        sums: [__m512i; 4],
        multipliers: [__m512; 4],
        residuals: [__m128i; 4],
    ) -> __m512i {
        let bytes = self.pack(sums, multipliers, residuals);
        _mm512_permutexvar_epi32(self.order, bytes)
    }

    /// The same for sums that stand as unpacking leaves them: lane `l` of the four holds sixteen in order.
    #[target_feature(enable = "avx512f,avx512bw")]
    #[inline]
    pub(in crate::kernel) fn apply_in_lanes(
        &self,
        sums: [__m512i; 4],
        multipliers: [__m512; 4],
    ) -> __m512i {
        self.pack(sums, multipliers, [_mm_setzero_si128(); 4])
    }

    #[target_feature(enable = "avx512f,avx512bw")]
    #[inline]
    fn pack(
        &self,
        sums: [__m512i; 4],
        multipliers: [__m512; 4],
        residuals: [__m128i; 4],
    ) -> __m512i {
        let [a, b] = [
            self.round(sums[0], multipliers[0], residuals[0]),
            self.round(sums[1], multipliers[1], residuals[1]),
        ];
        let [c, d] = [
            self.round(sums[2], multipliers[2], residuals[2]),
            self.round(sums[3], multipliers[3], residuals[3]),
        ];
        // Both packings saturate, which is a clamp to 0 and 255.
        let bytes = _mm512_packus_epi16(_mm512_packs_epi32(a, b), _mm512_packs_epi32(c, d));
        match CLAMP {
            true => _mm512_min_epu8(_mm512_max_epu8(bytes, self.low), self.high),
            false => bytes,
        }
    }

    #[target_feature(enable = "avx512f")]
    #[inline]
    fn round(&self, sums: __m512i, multiplier: __m512, residual: __m128i) -> __m512i {
        let mut x = _mm512_mul_ps(_mm512_cvtepi32_ps(sums), multiplier);
        if HARD_SWISH {
            // Floats that are not negative are ordered as integers are, which more units compare.
            let gate = _mm512_castps_si512(_mm512_add_ps(x, self.three));
            let gate = _mm512_min_epi32(_mm512_max_epi32(gate, _mm512_setzero_si512()), self.six);
            x = _mm512_mul_ps(x, _mm512_castsi512_ps(gate));
        }
        if RESIDUAL {
            let residual = _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(residual));
            x = _mm512_add_ps(x, _mm512_mul_ps(residual, self.residual));
        }
        if HARD_SWISH || RESIDUAL {
            x = _mm512_add_ps(x, self.zero);
        }
        _mm512_cvtps_epi32(x)
    }
}
