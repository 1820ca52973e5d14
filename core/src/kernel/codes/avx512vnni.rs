//! AVX-512 VNNI: 64 dimensions a step. Signs become a mask that sets the seventh bit.

#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::{BLOCK, CodeRows, Cpu, DotCodes, GROUP, GROUP_BYTES, WideQuery};

/// Codes of the row that comes so many rows later are fetched meanwhile.
const AHEAD: usize = 8;

pub(super) fn dot_codes(cpu: Cpu) -> Option<DotCodes> {
    cpu.has_avx512_vnni().then_some(run as DotCodes)
}

// Reached only through the function above.
fn run(query: &WideQuery, rows: &CodeRows<'_>, named: &[u32], out: &mut [i32]) {
    assert_eq!(named.len(), out.len(), "a sum a row");
    rows.check(named, query.dim());
    // SAFETY: `dot_codes` gives this function away only if the processor has AVX-512 F, BW and VNNI; the rows and the
    // lengths were checked above.
    unsafe { all_rows(query, rows, named, out) }
}

/// # Safety
/// [`CodeRows::check`] must have passed; `named` and `out` must be equally long.
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vnni")]
unsafe fn all_rows(query: &WideQuery, rows: &CodeRows<'_>, named: &[u32], out: &mut [i32]) {
    let block_bytes = BLOCK * query.dim() / 8;
    let code_bytes = query.dim() / GROUP * GROUP_BYTES;
    let codes = rows.codes.as_ptr();
    for (i, (&row, sum)) in named.iter().zip(out).enumerate() {
        let row = row as usize;
        let later = named.get(i + AHEAD).map_or(row, |&later| later as usize);
        for line in (0..code_bytes).step_by(64) {
            _mm_prefetch::<_MM_HINT_T0>(codes.wrapping_add(later * code_bytes + line).cast());
        }
        // SAFETY: the row is one of the list: its block and its codes are inside of the slices.
        *sum = unsafe {
            let block = rows.signs.as_ptr().add(row / BLOCK * block_bytes);
            dot(query, block, codes.add(row * code_bytes), row % BLOCK)
        };
    }
}

/// # Safety
/// Of each 64 dimensions of the query 128 bytes must be readable from `block` and 48 from `codes`; `row` must be
/// below 16.
#[inline]
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vnni")]
unsafe fn dot(query: &WideQuery, block: *const u8, codes: *const u8, row: usize) -> i32 {
    let turns = _mm512_set_epi32(30, 30, 30, 30, 0, 0, 0, 0, 2, 2, 2, 2, 4, 4, 4, 4);
    let (nibble_bits, pair_bits) = (_mm512_set1_epi8(15), _mm512_set1_epi8(0x30));
    let sign_bit = _mm512_set1_epi8(64);
    let row = _mm512_set1_epi8(row as i8);
    let firsts = _mm512_set_epi64(14, 12, 10, 8, 6, 4, 2, 0);
    let eight_bits = _mm512_set1_epi64(0x8040_2010_0804_0201_u64.cast_signed());
    let mut high = _mm512_setzero_si512();
    let mut low = _mm512_setzero_si512();
    for group in 0..query.dim() / GROUP {
        // SAFETY: the group's 48 bytes are inside of the row, its eight times sixteen signs inside of the block,
        // its 64 components inside of the query.
        let (nibbles, pairs, signs, more_signs, query_high, query_low) = unsafe {
            let codes = codes.add(group * GROUP_BYTES);
            let signs = block.add(group * 8 * BLOCK);
            (
                _mm256_loadu_si256(codes.cast()),
                _mm_loadu_si128(codes.add(32).cast()),
                _mm512_loadu_si512(signs.cast()),
                _mm512_loadu_si512(signs.add(64).cast()),
                _mm512_loadu_si512(query.high.as_ptr().add(group * GROUP).cast()),
                _mm512_loadu_si512(query.low.as_ptr().add(group * GROUP).cast()),
            )
        };
        // Each sixteen bytes hold one byte of every row: that of this row eight times, then its eight bits.
        let bytes = _mm512_permutex2var_epi64(
            _mm512_shuffle_epi8(signs, row),
            firsts,
            _mm512_shuffle_epi8(more_signs, row),
        );
        let signs = _mm512_test_epi8_mask(bytes, eight_bits);
        let both = _mm512_inserti64x4::<1>(
            _mm512_castsi256_si512(nibbles),
            _mm256_srli_epi16::<4>(nibbles),
        );
        // Each quarter turns its two bits to bits 4 and 5.
        let pairs = _mm512_rolv_epi32(_mm512_broadcast_i32x4(pairs), turns);
        let code = _mm512_or_si512(
            _mm512_and_si512(both, nibble_bits),
            _mm512_and_si512(pairs, pair_bits),
        );
        let code = _mm512_mask_add_epi8(code, signs, code, sign_bit);
        high = _mm512_dpbusd_epi32(high, code, query_high);
        low = _mm512_dpbusd_epi32(low, code, query_low);
    }
    let sums = _mm512_add_epi32(_mm512_slli_epi32::<7>(high), low);
    _mm512_reduce_add_epi32(sums)
}
