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
