//! NEON: sixteen products a step, in pairs added to 32 bits; with dot products (`sdot`) in one instruction.

#![allow(unsafe_code)]

use std::arch::aarch64::*;

use super::{Cpu, DotRows};

const STEP: usize = 16;

pub(super) fn dot_rows(cpu: Cpu) -> Option<DotRows> {
    if cpu.has_sdot() {
        return Some(with_sdot);
    }
    cpu.has_neon().then_some(without as DotRows)
}

// Reached only through the function above.
fn with_sdot(query: &[i8], rows: &[i8], out: &mut [i32]) {
    super::check_lengths(query, rows, out);
    for (i, sum) in out.iter_mut().enumerate() {
        // SAFETY: `dot_rows` gives this function away only if the processor has dot products.
        *sum = unsafe { row_sdot(query, &rows[i * query.len()..][..query.len()]) };
    }
}

// Reached only through the function above.
fn without(query: &[i8], rows: &[i8], out: &mut [i32]) {
    super::check_lengths(query, rows, out);
    for (i, sum) in out.iter_mut().enumerate() {
        // SAFETY: `dot_rows` gives this function away only if the processor has NEON.
        *sum = unsafe { row_neon(query, &rows[i * query.len()..][..query.len()]) };
    }
}

#[target_feature(enable = "neon,dotprod")]
fn row_sdot(query: &[i8], row: &[i8]) -> i32 {
    let (steps, tail) = query.as_chunks::<STEP>();
    let (row_steps, row_tail) = row.as_chunks::<STEP>();
    let mut sums = vdupq_n_s32(0);
    for (a, b) in steps.iter().zip(row_steps) {
        // SAFETY: sixteen bytes are read from arrays of sixteen; the instruction adds to registers only.
        unsafe {
            let (a, b) = (vld1q_s8(a.as_ptr()), vld1q_s8(b.as_ptr()));
            std::arch::asm!(
                "sdot {sums:v}.4s, {a:v}.16b, {b:v}.16b",
                sums = inout(vreg) sums,
                a = in(vreg) a,
                b = in(vreg) b,
                options(pure, nomem, nostack, preserves_flags),
            );
        }
    }
    vaddvq_s32(sums) + rest(tail, row_tail)
}

#[target_feature(enable = "neon")]
fn row_neon(query: &[i8], row: &[i8]) -> i32 {
    let (steps, tail) = query.as_chunks::<STEP>();
    let (row_steps, row_tail) = row.as_chunks::<STEP>();
    let mut sums = vdupq_n_s32(0);
    for (a, b) in steps.iter().zip(row_steps) {
        // SAFETY: sixteen bytes are read from arrays of sixteen.
        let (a, b) = unsafe { (vld1q_s8(a.as_ptr()), vld1q_s8(b.as_ptr())) };
        // A product is at most 2¹⁴: 16 bits hold it.
        sums = vpadalq_s16(sums, vmull_s8(vget_low_s8(a), vget_low_s8(b)));
        sums = vpadalq_s16(sums, vmull_high_s8(a, b));
    }
    vaddvq_s32(sums) + rest(tail, row_tail)
}

fn rest(query: &[i8], row: &[i8]) -> i32 {
    let products = query.iter().zip(row);
    products.map(|(&a, &b)| i32::from(a) * i32::from(b)).sum()
}
