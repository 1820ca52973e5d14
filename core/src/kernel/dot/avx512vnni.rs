//! AVX-512 VNNI: 64 products a step. `vpdpbusd` takes unsigned by signed bytes, so rows are raised by 128 (their
//! highest bit turned) and `128 Σ query` is taken off at the end; it does not saturate.
//!
//! Sixteen rows at a time: their sums are added up across lanes together, by a tree of shuffles.

#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::{Cpu, DotRows};

const STEP: usize = 64;
const ROWS: usize = 16;

pub(super) fn dot_rows(cpu: Cpu) -> Option<DotRows> {
    cpu.has_avx512_vnni().then_some(run as DotRows)
}

// Reached only through the function above.
fn run(query: &[i8], rows: &[i8], out: &mut [i32]) {
    super::check_lengths(query, rows, out);
    // SAFETY: `dot_rows` gives this function away only if the processor has AVX-512 F, BW and VNNI; the lengths
    // were checked above.
    unsafe {
        match query.len() {
            1..=STEP => short_rows(query, rows, out),
            _ => all_rows(query, rows, out),
        }
    }
}

/// Rows of one step: the query stays in a register.
///
/// # Safety
/// `rows.len()` must be `query.len() * out.len()`, and `query.len()` 1 to `STEP`.
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vnni")]
unsafe fn short_rows(query: &[i8], rows: &[i8], out: &mut [i32]) {
    let length = query.len();
    let mask = u64::MAX >> (STEP - length);
    let turn = _mm512_set1_epi8(i8::MIN);
    // SAFETY: only bytes of the query are read, as many as the mask has bits; where the query has zeros the raised row
    // does not matter.
    let query = unsafe { _mm512_maskz_loadu_epi8(mask, query.as_ptr()) };
    // 128 times the sum of the query, in sixteen parts: -128 as an unsigned byte is 128.
    let raised = _mm512_dpbusd_epi32(_mm512_setzero_si512(), turn, query);
    let raised = _mm512_set1_epi32(_mm512_reduce_add_epi32(raised));
    let products = |start: *const i8| {
        // SAFETY: whoever calls has a row behind this start.
        let row = unsafe { _mm512_maskz_loadu_epi8(mask, start) };
        _mm512_dpbusd_epi32(_mm512_setzero_si512(), _mm512_xor_si512(row, turn), query)
    };
    let (blocks, rest) = out.as_chunks_mut::<ROWS>();
    let mut start = rows.as_ptr();
    for block in blocks {
        // SAFETY: sixteen rows lie behind this start; an array of sixteen numbers is written.
        unsafe {
            let sums: [__m512i; ROWS] = std::array::from_fn(|i| products(start.add(i * length)));
            let sums = _mm512_sub_epi32(sum_each(sums), raised);
            _mm512_storeu_si512(block.as_mut_ptr().cast(), sums);
            start = start.add(ROWS * length);
        }
    }
    for (i, sum) in rest.iter_mut().enumerate() {
        // SAFETY: a row lies behind this start.
        let lanes = products(unsafe { start.add(i * length) });
        *sum = _mm512_reduce_add_epi32(lanes).wrapping_sub(_mm512_cvtsi512_si32(raised));
    }
}

/// # Safety
/// `rows.len()` must be `query.len() * out.len()`.
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vnni")]
unsafe fn all_rows(query: &[i8], rows: &[i8], out: &mut [i32]) {
    let length = query.len();
    let raised = 128 * query.iter().map(|&q| i32::from(q)).sum::<i32>();
    let (blocks, rest) = out.as_chunks_mut::<ROWS>();
    let mut at = 0;
    for block in blocks {
        // SAFETY: sixteen rows lie behind this start; an array of sixteen numbers is written.
        unsafe {
            let start = rows.as_ptr().add(at);
            let sums: [__m512i; ROWS] = std::array::from_fn(|i| row(query, start.add(i * length)));
            let sums = _mm512_sub_epi32(sum_each(sums), _mm512_set1_epi32(raised));
            _mm512_storeu_si512(block.as_mut_ptr().cast(), sums);
        }
        at += ROWS * length;
    }
    for sum in rest {
        // SAFETY: a row lies behind this start.
        let lanes = unsafe { row(query, rows.as_ptr().add(at)) };
        *sum = _mm512_reduce_add_epi32(lanes).wrapping_sub(raised);
        at += length;
    }
}

/// Raised products of one row, in sixteen sums.
///
/// # Safety
/// `query.len()` bytes must be readable from `start`.
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vnni")]
unsafe fn row(query: &[i8], start: *const i8) -> __m512i {
    let turn = _mm512_set1_epi8(i8::MIN);
    let mut sums = _mm512_setzero_si512();
    let (steps, tail) = query.as_chunks::<STEP>();
    for (i, step) in steps.iter().enumerate() {
        // SAFETY: a step is 64 bytes, of the query and of the row.
        let (step, row) = unsafe {
            (
                _mm512_loadu_si512(step.as_ptr().cast()),
                _mm512_loadu_si512(start.add(i * STEP).cast()),
            )
        };
        sums = _mm512_dpbusd_epi32(sums, _mm512_xor_si512(row, turn), step);
    }
    if !tail.is_empty() {
        let mask = (1 << tail.len()) - 1;
        // SAFETY: only bytes of the tail are read, as many as the mask has bits. Where the query has zeros the
        // raised row does not matter.
        let (tail, row) = unsafe {
            (
                _mm512_maskz_loadu_epi8(mask, tail.as_ptr()),
                _mm512_maskz_loadu_epi8(mask, start.add(steps.len() * STEP)),
            )
        };
        sums = _mm512_dpbusd_epi32(sums, _mm512_xor_si512(row, turn), tail);
    }
    sums
}

/// The sum of the sixteen lanes of each of sixteen registers.
#[target_feature(enable = "avx2,avx512f")]
fn sum_each(lanes: [__m512i; ROWS]) -> __m512i {
    // Within each 128 bits: four registers to one, lane r holds a part of register r.
    let mut quarters = [_mm512_setzero_si512(); 4];
    for (quarter, four) in quarters.iter_mut().zip(lanes.as_chunks::<4>().0) {
        let [a, b, c, d] = *four;
        let ab = _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
        let cd = _mm512_add_epi32(_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
        *quarter = _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
    }
    // Then the four times 128 bits of each.
    let [a, b, c, d] = quarters;
    let ab = _mm512_add_epi32(
        _mm512_shuffle_i64x2::<0b10_00_10_00>(a, b),
        _mm512_shuffle_i64x2::<0b11_01_11_01>(a, b),
    );
    let cd = _mm512_add_epi32(
        _mm512_shuffle_i64x2::<0b10_00_10_00>(c, d),
        _mm512_shuffle_i64x2::<0b11_01_11_01>(c, d),
    );
    _mm512_add_epi32(
        _mm512_shuffle_i64x2::<0b10_00_10_00>(ab, cd),
        _mm512_shuffle_i64x2::<0b11_01_11_01>(ab, cd),
    )
}
