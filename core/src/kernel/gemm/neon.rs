//! NEON: two rows by sixteen outputs at a time. Values are shifted to signed numbers, of which two
//! products of 8 bits fit 16 bits; the shift comes back as 128 times the sum of the weights.

#![allow(unsafe_code)]

use std::arch::aarch64::*;

use super::super::requantise::neon::{Rule, multipliers};
use super::{Cpu, Gemm, OUTPUTS, Requantise, Rows, RowsMut, Weights, check};

/// Rows of a tile.
const ROWS: usize = 2;
/// Bytes of the left matrix that are worked on at a time: they stay in the first-level cache while
/// all blocks of weights pass.
const CACHED: usize = 16 << 10;

pub(super) fn gemm(cpu: Cpu) -> Option<Gemm> {
    cpu.has_neon().then_some(run as Gemm)
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
    // SAFETY: `gemm` gives this function away only if the processor has NEON; the lengths were
    // checked above.
    unsafe {
        // Without -128 two products are at most 2 · 128 · 127.
        match weights.pair_safe {
            true => all_tiles::<true>(a, weights, requantise, residual, out),
            false => all_tiles::<false>(a, weights, requantise, residual, out),
        }
    }
}

/// # Safety
/// [`check`] must have passed.
#[target_feature(enable = "neon")]
unsafe fn all_tiles<const PAIRS: bool>(
    a: &Rows<'_>,
    weights: &Weights<'_>,
    requantise: &Requantise<'_>,
    residual: Option<&Rows<'_>>,
    out: &mut RowsMut<'_>,
) {
    let rule = Rule::new(requantise);
    let chunk = (CACHED / weights.inputs.max(1)).next_multiple_of(ROWS);
    let mut first = 0;
    while first < a.count {
        let end = (first + chunk).min(a.count);
        for block in 0..weights.outputs.div_ceil(OUTPUTS) {
            // SAFETY: blocks and rows are within the checked lengths; tiles are cut to the rows that
            // are left.
            unsafe {
                let block = Block::new(weights, requantise, block, 128);
                let mut row = first;
                while row + ROWS <= end {
                    tile::<ROWS, PAIRS>(&block, &rule, a, residual, out, row);
                    row += ROWS;
                }
                if row < end {
                    tile::<1, PAIRS>(&block, &rule, a, residual, out, row);
                }
            }
        }
        first = end;
    }
}

/// Sixteen outputs.
pub(super) struct Block {
    pub(super) weights: *const i8,
    pub(super) groups: usize,
    pub(super) bias: [int32x4_t; 4],
    multiplier: [float32x4_t; 4],
    /// The first output.
    at: usize,
    /// Whether only eight of the sixteen are there.
    half: bool,
}

impl Block {
    /// `shift` is what the kernel takes from each value.
    ///
    /// # Safety
    /// [`check`] must have passed, and the block must be one of the weights.
    #[target_feature(enable = "neon")]
    pub(super) unsafe fn new(
        weights: &Weights<'_>,
        requantise: &Requantise<'_>,
        number: usize,
        shift: i32,
    ) -> Self {
        let at = number * OUTPUTS;
        let mut bias = [vdupq_n_s32(0); 4];
        for (quarter, bias) in bias.iter_mut().enumerate() {
            // SAFETY: tables are padded to whole blocks.
            let (start, sums) = unsafe {
                let at = at + 4 * quarter;
                (
                    vld1q_s32(weights.bias.as_ptr().add(at)),
                    vld1q_s32(weights.sums.as_ptr().add(at)),
                )
            };
            *bias = vmlaq_n_s32(start, sums, shift);
        }
        Self {
            // SAFETY: the block is one of the weights.
            weights: unsafe { weights.packed.as_ptr().add(at * weights.inputs).cast() },
            groups: weights.inputs / 4,
            bias,
            // SAFETY: tables are padded to whole blocks.
            multiplier: unsafe { multipliers(requantise.multiplier.as_ptr().add(at)) },
            at,
            half: weights.outputs - at <= 8,
        }
    }

    /// Requantises the sums of one row and stores them.
    ///
    /// # Safety
    /// [`check`] must have passed; the row must be there.
    #[target_feature(enable = "neon")]
    #[inline]
    pub(super) unsafe fn finish(
        &self,
        rule: &Rule,
        sums: [int32x4_t; 4],
        residual: Option<&Rows<'_>>,
        out: &mut RowsMut<'_>,
        row: usize,
    ) {
        // SAFETY: the block's outputs, rounded up to 8 or 16, are within the checked rows.
        unsafe {
            let residual = match residual {
                None => None,
                Some(rows) => {
                    let at = rows.row(row).add(self.at);
                    Some(match self.half {
                        true => vcombine_u8(vld1_u8(at), vdup_n_u8(0)),
                        false => vld1q_u8(at),
                    })
                }
            };
            let bytes = rule.apply(sums, &self.multiplier, residual);
            let at = out.row(row).add(self.at);
            match self.half {
                true => vst1_u8(at, vget_low_u8(bytes)),
                false => vst1q_u8(at, bytes),
            }
        }
    }
}

/// # Safety
/// [`check`] must have passed; `first + N` rows must be there.
#[target_feature(enable = "neon")]
#[inline]
unsafe fn tile<const N: usize, const PAIRS: bool>(
    block: &Block,
    rule: &Rule,
    a: &Rows<'_>,
    residual: Option<&Rows<'_>>,
    out: &mut RowsMut<'_>,
    first: usize,
) {
    let rows: [*const u8; N] = std::array::from_fn(|i| a.row(first + i));
    // Of each four outputs two registers, which hold two sums an output.
    let mut sums = [[[vdupq_n_s32(0); 2]; 4]; N];
    // Inputs are padded to 8: groups come in pairs.
    for group in (0..block.groups).step_by(2) {
        let mut values = [[vdupq_n_s8(0); 2]; N];
        for i in 0..N {
            for next in 0..2 {
                // SAFETY: a group is 4 bytes of a row; an unaligned load is asked for.
                let word = unsafe {
                    rows[i]
                        .add(4 * (group + next))
                        .cast::<u32>()
                        .read_unaligned()
                };
                values[i][next] = vreinterpretq_s8_u32(vdupq_n_u32(word ^ 0x8080_8080));
            }
        }
        for quarter in 0..4 {
            // SAFETY: a group is 64 bytes of weights.
            let (one, two) = unsafe {
                let at = block.weights.add(64 * group + 16 * quarter);
                (vld1q_s8(at), vld1q_s8(at.add(64)))
            };
            for i in 0..N {
                let [first, second] = values[i];
                let sums = &mut sums[i][quarter];
                let low = vmull_s8(vget_low_s8(one), vget_low_s8(first));
                let high = vmull_high_s8(one, first);
                if PAIRS {
                    let low = vmlal_s8(low, vget_low_s8(two), vget_low_s8(second));
                    let high = vmlal_high_s8(high, two, second);
                    *sums = [vpadalq_s16(sums[0], low), vpadalq_s16(sums[1], high)];
                } else {
                    *sums = [vpadalq_s16(sums[0], low), vpadalq_s16(sums[1], high)];
                    let low = vmull_s8(vget_low_s8(two), vget_low_s8(second));
                    let high = vmull_high_s8(two, second);
                    *sums = [vpadalq_s16(sums[0], low), vpadalq_s16(sums[1], high)];
                }
            }
        }
    }
    for i in 0..N {
        let mut whole = block.bias;
        for quarter in 0..4 {
            let [low, high] = sums[i][quarter];
            whole[quarter] = vaddq_s32(whole[quarter], vpaddq_s32(low, high));
        }
        // SAFETY: the row is there.
        unsafe { block.finish(rule, whole, residual, out, first + i) };
    }
}
