//! NEON: 16 columns at a time stay in registers while all rows pass.

#![allow(unsafe_code)]

use std::arch::aarch64::*;

use super::{Cpu, WeightedSum};

/// Columns of a register, and registers of a block.
const W: usize = 2;
const REGISTERS: usize = 8;
const BLOCK: usize = W * REGISTERS;

pub(super) fn weighted_sum(cpu: Cpu) -> Option<WeightedSum> {
    cpu.has_neon().then_some(run as WeightedSum)
}

// Reached only through the function above.
fn run(rows: &[f32], weights: &[f64], sums: &mut [f64]) {
    super::check_lengths(rows, weights, sums);
    let columns = sums.len();
    let (blocks, _) = sums.as_chunks_mut::<BLOCK>();
    let done = BLOCK * blocks.len();
    for (at, block) in blocks.iter_mut().enumerate() {
        // SAFETY: `weighted_sum` gives this function away only if the processor has NEON; every row
        // has all columns of the block, since the lengths were checked above.
        unsafe { columns_of(rows.as_ptr().add(BLOCK * at), columns, weights, block) };
    }
    super::last_columns(rows, weights, sums, done);
}

/// # Safety
/// Behind `first` and each of `weights.len() - 1` further steps of `stride` values, `BLOCK` values
/// must be readable.
#[target_feature(enable = "neon")]
unsafe fn columns_of(first: *const f32, stride: usize, weights: &[f64], out: &mut [f64; BLOCK]) {
    let mut sums = [vdupq_n_f64(0.0); REGISTERS];
    for (row, &weight) in weights.iter().enumerate() {
        let weight = vdupq_n_f64(weight);
        for i in 0..REGISTERS {
            // SAFETY: as promised above.
            let values = unsafe { vcvt_f64_f32(vld1_f32(first.add(stride * row + W * i))) };
            sums[i] = vaddq_f64(sums[i], vmulq_f64(weight, values));
        }
    }
    for i in 0..REGISTERS {
        // SAFETY: a block has room for all registers.
        unsafe { vst1q_f64(out.as_mut_ptr().add(W * i), sums[i]) };
    }
}
