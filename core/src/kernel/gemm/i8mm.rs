//! arm64 with 8-bit matrix products: four rows by sixteen outputs at a time, two rows by two outputs
//! of eight products an instruction (`usmmla`), exact for all weights.

#![allow(unsafe_code)]

use std::arch::aarch64::*;
use std::arch::asm;

use super::super::requantise::neon::Rule;
use super::neon::Block;
use super::{Cpu, Gemm, OUTPUTS, Requantise, Rows, RowsMut, Weights, check};

/// Pairs of rows of a tile: with eight registers of sums each.
const PAIRS: usize = 2;
/// Bytes of the left matrix that are worked on at a time: they stay in the first-level cache while
/// all blocks of weights pass.
const CACHED: usize = 16 << 10;

pub(super) fn gemm(cpu: Cpu) -> Option<Gemm> {
    cpu.has_i8mm().then_some(run as Gemm)
}

// Reached only through the function above.
fn run(
    a: &Rows<'_>,
    weights: &Weights<'_>,
    requantise: &Requantise<'_>,
    residual: Option<&Rows<'_>>,
    out: &mut RowsMut<'_>,
) {
    check(a, weights, requantise, residual, out);
    // SAFETY: `gemm` gives this function away only if the processor has 8-bit matrix products; the
    // lengths were checked above.
    unsafe { all_tiles(a, weights, requantise, residual, out) }
}

/// # Safety
/// [`check`] must have passed.
#[target_feature(enable = "neon,i8mm")]
unsafe fn all_tiles(
    a: &Rows<'_>,
    weights: &Weights<'_>,
    requantise: &Requantise<'_>,
    residual: Option<&Rows<'_>>,
    out: &mut RowsMut<'_>,
) {
    let rule = Rule::new(requantise);
    let chunk = (CACHED / weights.inputs.max(1)).next_multiple_of(2 * PAIRS);
    let mut first = 0;
    while first < a.count {
        let end = (first + chunk).min(a.count);
        for block in 0..weights.outputs.div_ceil(OUTPUTS) {
            // SAFETY: blocks and rows are within the checked lengths; tiles are cut to the rows that
            // are left.
            unsafe {
                let block = Block::new(weights, requantise, block, 0);
                let mut row = first;
                while row + 2 * PAIRS <= end {
                    tile::<PAIRS>(&block, &rule, a, residual, out, row, 2 * PAIRS);
                    row += 2 * PAIRS;
                }
                while row < end {
                    tile::<1>(&block, &rule, a, residual, out, row, (end - row).min(2));
                    row += 2;
                }
            }
        }
        first = end;
    }
}

/// A tile of `N` pairs of rows, of which the last row may be missing: `count` tells.
///
/// # Safety
/// [`check`] must have passed; `first + count` rows must be there.
#[target_feature(enable = "neon,i8mm")]
#[inline]
unsafe fn tile<const N: usize>(
    block: &Block,
    rule: &Rule,
    a: &Rows<'_>,
    residual: Option<&Rows<'_>>,
    out: &mut RowsMut<'_>,
    first: usize,
    count: usize,
) {
    // A missing row is computed as the one before it, and not stored.
    let row = |at: usize| a.row(first + at.min(count - 1));
    let rows: [[*const u8; 2]; N] = std::array::from_fn(|i| [row(2 * i), row(2 * i + 1)]);
    // Of each two outputs the sums of both rows.
    let mut sums = [[vdupq_n_s32(0); 8]; N];
    for group in (0..block.groups).step_by(2) {
        let mut values = [vdupq_n_u8(0); N];
        for i in 0..N {
            // SAFETY: inputs are padded to 8, so that two groups are 8 bytes of a row.
            values[i] = unsafe {
                let [one, two] = rows[i];
                vcombine_u8(vld1_u8(one.add(4 * group)), vld1_u8(two.add(4 * group)))
            };
        }
        for quarter in 0..4 {
            // SAFETY: a group is 64 bytes of weights.
            let (one, two) = unsafe {
                let at = block.weights.add(64 * group + 16 * quarter);
                (vld1q_s8(at), vld1q_s8(at.add(64)))
            };
            let (one, two) = (vreinterpretq_s32_s8(one), vreinterpretq_s32_s8(two));
            let low = vreinterpretq_s8_s32(vzip1q_s32(one, two));
            let high = vreinterpretq_s8_s32(vzip2q_s32(one, two));
            for i in 0..N {
                let sums = &mut sums[i];
                sums[2 * quarter] = multiply(sums[2 * quarter], values[i], low);
                sums[2 * quarter + 1] = multiply(sums[2 * quarter + 1], values[i], high);
            }
        }
    }
    for i in 0..N {
        let (mut one, mut two) = (block.bias, block.bias);
        for quarter in 0..4 {
            let low = vreinterpretq_s64_s32(sums[i][2 * quarter]);
            let high = vreinterpretq_s64_s32(sums[i][2 * quarter + 1]);
            let of = |sums| vreinterpretq_s32_s64(sums);
            one[quarter] = vaddq_s32(one[quarter], of(vzip1q_s64(low, high)));
            two[quarter] = vaddq_s32(two[quarter], of(vzip2q_s64(low, high)));
        }
        // SAFETY: the rows are there.
        unsafe {
            block.finish(rule, one, residual, out, first + 2 * i);
            if 2 * i + 1 < count {
                block.finish(rule, two, residual, out, first + 2 * i + 1);
            }
        }
    }
}

/// Adds two rows of eight values times two outputs of eight weights. The intrinsic is not stable yet.
#[target_feature(enable = "neon,i8mm")]
#[inline]
fn multiply(mut sums: int32x4_t, values: uint8x16_t, weights: int8x16_t) -> int32x4_t {
    // SAFETY: registers only; the processor has the instruction, since the feature is on here.
    unsafe {
        asm!(
            "usmmla {sums:v}.4s, {values:v}.16b, {weights:v}.16b",
            sums = inout(vreg) sums,
            values = in(vreg) values,
            weights = in(vreg) weights,
            options(pure, nomem, nostack, preserves_flags)
        );
    }
    sums
}
