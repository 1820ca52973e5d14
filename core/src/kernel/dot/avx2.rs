//! AVX2: sixteen products a step, widened to 16 bits and added in pairs (`vpmaddwd`), which is
//! exact for all inputs, -128 included; `vpmaddubsw` on bytes would be faster and can saturate.
//!
//! Four rows at a time share the widened query and hide the latency of the additions.

#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::{Cpu, DotRows};

const STEP: usize = 16;
const ROWS: usize = 4;

pub(super) fn dot_rows(cpu: Cpu) -> Option<DotRows> {
    cpu.has_avx2().then_some(run as DotRows)
}

// Reached only through the function above.
fn run(query: &[i8], rows: &[i8], out: &mut [i32]) {
    super::check_lengths(query, rows, out);
    // SAFETY: `dot_rows` gives this function away only if the processor has AVX2; the lengths were
    // checked above.
    unsafe { all_rows(query, rows, out) }
}

/// # Safety
/// `rows.len()` must be `query.len() * out.len()`.
#[target_feature(enable = "avx2")]
unsafe fn all_rows(query: &[i8], rows: &[i8], out: &mut [i32]) {
    let length = query.len();
    let (blocks, rest) = out.as_chunks_mut::<ROWS>();
    let mut at = 0;
    for block in blocks {
        let starts = std::array::from_fn(|i| rows[at + i * length..].as_ptr());
        // SAFETY: each start has `length` bytes of `rows` behind it.
        *block = unsafe { some_rows(query, starts) };
        at += ROWS * length;
    }
    for sum in rest {
        // SAFETY: as above.
        [*sum] = unsafe { some_rows(query, [rows[at..].as_ptr()]) };
        at += length;
    }
}

/// # Safety
/// `query.len()` bytes must be readable from each start.
#[target_feature(enable = "avx2")]
unsafe fn some_rows<const N: usize>(query: &[i8], starts: [*const i8; N]) -> [i32; N] {
    let mut sums = [_mm256_setzero_si256(); N];
    let (steps, tail) = query.as_chunks::<STEP>();
    for (i, step) in steps.iter().enumerate() {
        // SAFETY: a step is sixteen bytes; an unaligned load is asked for.
        let step = unsafe { _mm_loadu_si128(step.as_ptr().cast()) };
        let wide_query = _mm256_cvtepi8_epi16(step);
        for (sum, start) in sums.iter_mut().zip(starts) {
            // SAFETY: bytes 16·i..16·i+16 are among the first `query.len()` behind the start.
            let row = unsafe { _mm_loadu_si128(start.add(STEP * i).cast()) };
            let products = _mm256_madd_epi16(wide_query, _mm256_cvtepi8_epi16(row));
            *sum = _mm256_add_epi32(*sum, products);
        }
    }
    let mut totals = [0; N];
    for (total, sum) in totals.iter_mut().zip(sums) {
        *total = horizontal_sum(sum);
    }
    let done = STEP * steps.len();
    for (i, &number) in tail.iter().enumerate() {
        for (total, start) in totals.iter_mut().zip(starts) {
            // SAFETY: the tail is the last `tail.len()` of the `query.len()` bytes behind the start.
            let other = unsafe { *start.add(done + i) };
            *total += i32::from(number) * i32::from(other);
        }
    }
    totals
}

#[target_feature(enable = "avx2")]
fn horizontal_sum(lanes: __m256i) -> i32 {
    let four = _mm_add_epi32(
        _mm256_castsi256_si128(lanes),
        _mm256_extracti128_si256::<1>(lanes),
    );
    let two = _mm_add_epi32(four, _mm_unpackhi_epi64(four, four));
    let one = _mm_add_epi32(two, _mm_shuffle_epi32::<1>(two));
    _mm_cvtsi128_si32(one)
}
