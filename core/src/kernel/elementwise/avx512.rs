//! Sixty-four products or sums at a time with AVX-512. All else is AVX2's.

#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::{Cpu, Elementwise, Rounding, avx2};

/// Factors and zero points that are not larger give products far inside of the 32-bit integers: they
/// may be rounded first and clamped as bytes.
const LARGEST: f32 = (1 << 20) as f32;

pub(super) fn elementwise(cpu: Cpu) -> Option<Elementwise> {
    let others = avx2::elementwise(cpu)?;
    cpu.has_avx512_vnni().then_some(Elementwise {
        // SAFETY: this is given away only if the processor has AVX-512.
        multiply: |values, zero, factors, rounding, out| unsafe {
            let bounded = factors.iter().all(|factor| factor.abs() <= LARGEST);
            match bounded && is_byte(zero) && rounding.zero.abs() <= LARGEST && factors.len() >= 64
            {
                true => multiply(values, zero, factors, rounding, out),
                false => avx2::multiply(values, zero, factors, rounding, out),
            }
        },
        // SAFETY: as above.
        accumulate: |values, sums| unsafe {
            match sums.len() >= 64 {
                true => accumulate(values, sums),
                false => avx2::accumulate(values, sums),
            }
        },
        ..others
    })
}

fn is_byte(x: f32) -> bool {
    (0.0..=255.0).contains(&x) && x.fract() == 0.0
}

/// Rows of 64 factors or more, and a zero point that is a byte; the last 64 may overlap with those before. Values are unpacked inside of lanes, which packing
/// undoes; factors stand in the same order.
#[target_feature(enable = "avx512f,avx512bw")]
fn multiply(values: &[u8], zero: f32, factors: &[f32], rounding: Rounding, out: &mut [u8]) {
    // A byte below these sixteen bits is the float 2²³ more than it: no conversion is needed.
    let exponent = _mm512_set1_epi16(0x4b00);
    let zero = _mm512_set1_ps(8_388_608.0 + zero);
    let added = _mm512_set1_ps(rounding.zero);
    let low = _mm512_set1_epi8((rounding.low as u8).cast_signed());
    let high = _mm512_set1_epi8((rounding.high as u8).cast_signed());
    let clamps = rounding.low > 0.0 || rounding.high < 255.0;
    let channels = factors.len();
    let none = _mm512_setzero_si512();
    for first in (0..channels).step_by(64) {
        let first = first.min(channels - 64);
        let factors = [0, 4, 8, 12].map(|at| {
            let four = |lane: usize| {
                // SAFETY: 64 factors stand behind the first.
                unsafe { _mm_loadu_ps(factors.as_ptr().add(first + 16 * lane + at)) }
            };
            let factors = _mm512_castps128_ps512(four(0));
            let factors = _mm512_insertf32x4::<1>(factors, four(1));
            let factors = _mm512_insertf32x4::<2>(factors, four(2));
            _mm512_insertf32x4::<3>(factors, four(3))
        });
        let rows = values.chunks_exact(channels);
        for (out, row) in out.chunks_exact_mut(channels).zip(rows) {
            // SAFETY: 64 values stand behind the first.
            let values = unsafe { _mm512_loadu_si512(row.as_ptr().add(first).cast()) };
            let [low_half, high_half] = [
                _mm512_unpacklo_epi8(values, none),
                _mm512_unpackhi_epi8(values, none),
            ];
            let scaled = |values: __m512i, factors: __m512| {
                let x = _mm512_sub_ps(_mm512_castsi512_ps(values), zero);
                _mm512_cvtps_epi32(_mm512_add_ps(_mm512_mul_ps(x, factors), added))
            };
            let a = scaled(_mm512_unpacklo_epi16(low_half, exponent), factors[0]);
            let b = scaled(_mm512_unpackhi_epi16(low_half, exponent), factors[1]);
            let c = scaled(_mm512_unpacklo_epi16(high_half, exponent), factors[2]);
            let d = scaled(_mm512_unpackhi_epi16(high_half, exponent), factors[3]);
            // Both packings saturate, which is a clamp to 0 and 255.
            let mut bytes = _mm512_packus_epi16(_mm512_packs_epi32(a, b), _mm512_packs_epi32(c, d));
            if clamps {
                bytes = _mm512_min_epu8(_mm512_max_epu8(bytes, low), high);
            }
            // SAFETY: 64 bytes stand there, the rows being equally long.
            unsafe { _mm512_storeu_si512(out.as_mut_ptr().add(first).cast(), bytes) };
        }
    }
}

/// Rows of 64 values or more; of the last 64 those are left out that were added before.
#[target_feature(enable = "avx512f,avx512bw")]
fn accumulate(values: &[u8], sums: &mut [u32]) {
    let columns = sums.len();
    let none = _mm512_setzero_si512();
    for start in (0..columns).step_by(64) {
        let first = start.min(columns - 64);
        // In 16 bits as long as they hold the sums.
        for rows in values.chunks(256 * columns) {
            let mut even = none;
            let mut odd = none;
            for row in rows.chunks_exact(columns) {
                // SAFETY: 64 values stand behind the first.
                let row = unsafe { _mm512_loadu_si512(row.as_ptr().add(first).cast()) };
                even = _mm512_add_epi16(even, _mm512_and_si512(row, _mm512_set1_epi16(0xff)));
                odd = _mm512_add_epi16(odd, _mm512_srli_epi16::<8>(row));
            }
            let low = _mm512_unpacklo_epi16(even, odd);
            let high = _mm512_unpackhi_epi16(even, odd);
            let order = _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11);
            let halves = [
                _mm512_permutex2var_epi64(low, order, high),
                _mm512_permutex2var_epi64(low, _mm512_add_epi64(order, _mm512_set1_epi64(4)), high),
            ];
            for (at, half) in halves.into_iter().enumerate() {
                for (quarter, few) in [
                    _mm512_castsi512_si256(half),
                    _mm512_extracti64x4_epi64::<1>(half),
                ]
                .into_iter()
                .enumerate()
                {
                    let place = 32 * at + 16 * quarter;
                    let old = (start - first).saturating_sub(place);
                    let new = u16::MAX.checked_shl(old as u32).unwrap_or(0);
                    // SAFETY: 64 sums stand behind the first.
                    unsafe {
                        let to = sums.as_mut_ptr().add(first + place).cast::<i32>();
                        let sum = _mm512_add_epi32(
                            _mm512_loadu_si512(to.cast()),
                            _mm512_cvtepu16_epi32(few),
                        );
                        _mm512_mask_storeu_epi32(to, new, sum);
                    }
                }
            }
        }
    }
}
