//! AVX2: 32 dimensions a step. Codes are below 128 and halves of the query at most 64 in magnitude, so that sums of two
//! products (`vpmaddubsw`) stay within 16 bits: nothing saturates.

#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::{BLOCK, CodeRows, Cpu, DotCodes, GROUP, GROUP_BYTES, WideQuery};

pub(super) fn dot_codes(cpu: Cpu) -> Option<DotCodes> {
    cpu.has_avx2().then_some(run as DotCodes)
}

// Reached only through the function above.
fn run(query: &WideQuery, rows: &CodeRows<'_>, named: &[u32], out: &mut [i32]) {
    assert_eq!(named.len(), out.len(), "a sum a row");
    rows.check(named, query.dim());
    let block_bytes = BLOCK * query.dim() / 8;
    let code_bytes = query.dim() / GROUP * GROUP_BYTES;
    for (&row, sum) in named.iter().zip(out) {
        let row = row as usize;
        let block = &rows.signs[row / BLOCK * block_bytes..][..block_bytes];
        let codes = &rows.codes[row * code_bytes..][..code_bytes];
        // SAFETY: `dot_codes` gives this function away only if the processor has AVX2.
        *sum = unsafe { dot(query, block, codes, row % BLOCK) };
    }
}

#[target_feature(enable = "avx2")]
fn dot(query: &WideQuery, block: &[u8], codes: &[u8], row: usize) -> i32 {
    let mut sums = [_mm256_setzero_si256(); 2];
    let (code_groups, _) = codes.as_chunks::<GROUP_BYTES>();
    let (sign_groups, _) = block.as_chunks::<{ 8 * BLOCK }>();
    let (high, _) = query.high.as_chunks::<GROUP>();
    let (low, _) = query.low.as_chunks::<GROUP>();
    let groups = code_groups
        .iter()
        .zip(sign_groups)
        .zip(high.iter().zip(low));
    for ((codes, signs), (high, low)) in groups {
        // SAFETY: 32 and 16 of the 48 bytes of a group.
        let (nibbles, pairs) = unsafe {
            (
                _mm256_loadu_si256(codes.as_ptr().cast()),
                _mm_loadu_si128(codes.as_ptr().add(32).cast()),
            )
        };
        // Each sixteen dimensions turn their two bits to bits 4 and 5.
        let first_pairs = _mm256_set_m128i(_mm_slli_epi16::<2>(pairs), _mm_slli_epi16::<4>(pairs));
        let last_pairs = _mm256_set_m128i(_mm_srli_epi16::<2>(pairs), pairs);
        let halves = [
            (nibbles, first_pairs),
            (_mm256_srli_epi16::<4>(nibbles), last_pairs),
        ];
        for (half, (nibbles, pairs)) in halves.into_iter().enumerate() {
            let signs = std::array::from_fn(|byte| signs[(4 * half + byte) * BLOCK + row]);
            let code = _mm256_or_si256(
                _mm256_or_si256(
                    _mm256_and_si256(nibbles, _mm256_set1_epi8(15)),
                    _mm256_and_si256(pairs, _mm256_set1_epi8(0x30)),
                ),
                sign_bits(signs),
            );
            for (sum, part) in sums.iter_mut().zip([high, low]) {
                // SAFETY: 32 of the 64 components of a group.
                let part = unsafe { _mm256_loadu_si256(part.as_ptr().add(32 * half).cast()) };
                let twos = _mm256_maddubs_epi16(code, part);
                let fours = _mm256_madd_epi16(twos, _mm256_set1_epi16(1));
                *sum = _mm256_add_epi32(*sum, fours);
            }
        }
    }
    let [high, low] = sums;
    horizontal_sum(_mm256_add_epi32(_mm256_slli_epi32::<7>(high), low))
}

/// 64 in each byte whose bit is set.
#[target_feature(enable = "avx2")]
fn sign_bits(signs: [u8; 4]) -> __m256i {
    let spread = _mm256_set_epi64x(
        0x0303_0303_0303_0303,
        0x0202_0202_0202_0202,
        0x0101_0101_0101_0101,
        0,
    );
    let bits = _mm256_set1_epi64x(0x8040_2010_0804_0201_u64.cast_signed());
    let bytes = _mm256_shuffle_epi8(_mm256_set1_epi32(i32::from_le_bytes(signs)), spread);
    let is_set = _mm256_cmpeq_epi8(_mm256_and_si256(bytes, bits), bits);
    _mm256_and_si256(is_set, _mm256_set1_epi8(64))
}

#[target_feature(enable = "avx2")]
fn horizontal_sum(lanes: __m256i) -> i32 {
    let four = _mm_add_epi32(
        _mm256_castsi256_si128(lanes),
        _mm256_extracti128_si256::<1>(lanes),
    );
    let two = _mm_add_epi32(four, _mm_unpackhi_epi64(four, four));
    _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32::<1>(two)))
}
