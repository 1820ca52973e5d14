//! AVX2: two bytes of sixteen rows a step, each lane with tables of its own.

#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::{BLOCK, Cpu, ENTRIES, Passed, ScanSigns, SignRows, Tables};

pub(super) fn scan_signs(cpu: Cpu) -> Option<ScanSigns> {
    cpu.has_avx2().then_some(run as ScanSigns)
}

// Reached only through the function above.
fn run(tables: &Tables, rows: &SignRows<'_>, least: i32, passed: &mut Vec<Passed>) {
    rows.check(tables);
    let row_bytes = tables.row_bytes();
    for block in 0..rows.blocks() {
        let asked = rows.asked(block);
        if asked == 0 {
            continue;
        }
        let signs = &rows.signs[block * BLOCK * row_bytes..][..BLOCK * row_bytes];
        // SAFETY: `scan_signs` gives this function away only if the processor has AVX2.
        let sums = unsafe { block_sums(signs, &tables.entries) };
        super::pass(sums, tables, rows, (block, asked), least, passed);
    }
}

/// Sums of table entries of sixteen rows.
#[target_feature(enable = "avx2")]
fn block_sums(signs: &[u8], entries: &[u8]) -> [u16; BLOCK] {
    let (tables, _) = entries.as_chunks::<{ 2 * ENTRIES }>();
    let (bytes, _) = signs.as_chunks::<{ 2 * BLOCK }>();
    let low_bits = _mm256_set1_epi8(15);
    let mut all = _mm256_setzero_si256();
    let mut odd = _mm256_setzero_si256();
    for (j, bytes) in bytes.iter().enumerate() {
        let table = j / 2 * 4 + j % 2;
        // SAFETY: 32 bytes are read from arrays of 32.
        let (codes, low_tables, high_tables) = unsafe {
            (
                _mm256_loadu_si256(bytes.as_ptr().cast()),
                _mm256_loadu_si256(tables[table].as_ptr().cast()),
                _mm256_loadu_si256(tables[table + 2].as_ptr().cast()),
            )
        };
        let low = _mm256_shuffle_epi8(low_tables, _mm256_and_si256(codes, low_bits));
        let shifted = _mm256_and_si256(_mm256_srli_epi16::<4>(codes), low_bits);
        let high = _mm256_shuffle_epi8(high_tables, shifted);
        // At most 240: no carry out of a byte.
        let both = _mm256_add_epi8(low, high);
        all = _mm256_add_epi16(all, both);
        odd = _mm256_add_epi16(odd, _mm256_srli_epi16::<8>(both));
    }
    let even = sum_lanes(_mm256_sub_epi16(all, _mm256_slli_epi16::<8>(odd)));
    let odd = sum_lanes(odd);
    let mut sums = [0; BLOCK];
    // SAFETY: twice eight numbers are written to an array of sixteen.
    unsafe {
        _mm_storeu_si128(sums.as_mut_ptr().cast(), _mm_unpacklo_epi16(even, odd));
        _mm_storeu_si128(
            sums.as_mut_ptr().add(8).cast(),
            _mm_unpackhi_epi16(even, odd),
        );
    }
    sums
}

#[target_feature(enable = "avx2")]
fn sum_lanes(lanes: __m256i) -> __m128i {
    _mm_add_epi16(
        _mm256_castsi256_si128(lanes),
        _mm256_extracti128_si256::<1>(lanes),
    )
}
