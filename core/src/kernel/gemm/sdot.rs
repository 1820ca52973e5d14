//! arm64 with dot products: four rows by sixteen outputs at a time, four products and their sum an
//! instruction (`sdot`). Values are shifted to signed numbers; the shift comes back as 128 times the
//! sum of the weights.

#![allow(unsafe_code)]

use std::arch::aarch64::*;
use std::arch::asm;

use super::super::requantise::neon::Rule;
use super::neon::Block;
use super::{Cpu, Gemm, OUTPUTS, Requantise, Rows, RowsMut, Weights, check};

/// Rows of a tile: with four registers of sums each.
const ROWS: usize = 4;
/// Bytes of the left matrix that are worked on at a time: they stay in the first-level cache while
/// all blocks of weights pass.
const CACHED: usize = 16 << 10;

pub(super) fn gemm(cpu: Cpu) -> Option<Gemm> {
    cpu.has_sdot().then_some(run as Gemm)
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
    // SAFETY: `gemm` gives this function away only if the processor has dot products; the lengths
    // were checked above.
    unsafe { all_tiles(a, weights, requantise, residual, out) }
}

/// # Safety
/// [`check`] must have passed.
#[target_feature(enable = "neon,dotprod")]
unsafe fn all_tiles(
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
                    tile::<ROWS>(&block, &rule, a, residual, out, row);
                    row += ROWS;
                }
                while row < end {
                    tile::<1>(&block, &rule, a, residual, out, row);
                    row += 1;
                }
            }
        }
        first = end;
    }
}

/// # Safety
/// [`check`] must have passed; `first + N` rows must be there.
#[target_feature(enable = "neon,dotprod")]
#[inline]
unsafe fn tile<const N: usize>(
    block: &Block,
    rule: &Rule,
    a: &Rows<'_>,
    residual: Option<&Rows<'_>>,
    out: &mut RowsMut<'_>,
    first: usize,
) {
    let rows: [*const u8; N] = std::array::from_fn(|i| a.row(first + i));
    let mut sums = [block.bias; N];
    // Inputs are padded to 8: groups come in pairs.
    for group in (0..block.groups).step_by(2) {
        let mut values = [vdup_n_s8(0); N];
        for i in 0..N {
            // SAFETY: a group is 4 bytes of a row.
            let bytes = unsafe { vld1_u8(rows[i].add(4 * group)) };
            values[i] = vreinterpret_s8_u8(veor_u8(bytes, vdup_n_u8(0x80)));
        }
        for quarter in 0..4 {
            // SAFETY: a group is 64 bytes of weights.
            let (one, two) = unsafe {
                let at = block.weights.add(64 * group + 16 * quarter);
                (vld1q_s8(at), vld1q_s8(at.add(64)))
            };
            for i in 0..N {
                let sum = dot_lane::<0>(sums[i][quarter], one, values[i]);
                sums[i][quarter] = dot_lane::<1>(sum, two, values[i]);
            }
        }
    }
    for i in 0..N {
        // SAFETY: the row is there.
        unsafe { block.finish(rule, sums[i], residual, out, first + i) };
    }
}

/// Adds, to each of four sums, four weights times the four values of a lane. The intrinsic is not
/// stable yet.
#[target_feature(enable = "neon,dotprod")]
#[inline]
fn dot_lane<const LANE: usize>(
    mut sums: int32x4_t,
    weights: int8x16_t,
    values: int8x8_t,
) -> int32x4_t {
    // SAFETY: registers only; the processor has the instruction, since the feature is on here.
    unsafe {
        asm!(
            "sdot {sums:v}.4s, {weights:v}.16b, {values:v}.4b[{lane}]",
            sums = inout(vreg) sums,
            weights = in(vreg) weights,
            values = in(vreg) values,
            lane = const LANE,
            options(pure, nomem, nostack, preserves_flags)
        );
    }
    sums
}
