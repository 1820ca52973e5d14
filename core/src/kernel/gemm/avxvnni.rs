//! AVX-VNNI: the tiles of AVX2 with four products and their sum an instruction (`vpdpbusd`), exact
//! for all weights.

#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::super::requantise::avx2::Rule;
use super::avx2::{Block, broadcast};
use super::{Cpu, Gemm, OUTPUTS, Requantise, Rows, RowsMut, Weights, check};

/// Rows of a tile: with two registers of sums each, and three more, sixteen are in use.
const ROWS: usize = 6;
/// Bytes of the left matrix that are worked on at a time: they stay in the first-level cache while
/// all blocks of weights pass.
const CACHED: usize = 16 << 10;

pub(super) fn gemm(cpu: Cpu) -> Option<Gemm> {
    cpu.has_avx_vnni().then_some(run as Gemm)
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
    // SAFETY: `gemm` gives this function away only if the processor has AVX-VNNI; the lengths were
    // checked above.
    unsafe { all_tiles(a, weights, requantise, residual, out) }
}

/// # Safety
/// [`check`] must have passed.
#[target_feature(enable = "avx2,avxvnni")]
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
                let block = Block::new(weights, requantise, block);
                let mut row = first;
                while row + ROWS <= end {
                    tile::<ROWS>(&block, &rule, a, residual, out, row);
                    row += ROWS;
                }
                while row + 2 <= end {
                    tile::<2>(&block, &rule, a, residual, out, row);
                    row += 2;
                }
                if row < end {
                    tile::<1>(&block, &rule, a, residual, out, row);
                }
            }
        }
        first = end;
    }
}

/// # Safety
/// [`check`] must have passed; `first + N` rows must be there.
#[target_feature(enable = "avx2,avxvnni")]
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
    for group in 0..block.groups {
        // SAFETY: a group is 64 bytes of weights and 4 bytes of a row.
        unsafe {
            let (low, high) = block.group(group);
            for i in 0..N {
                let values = broadcast(rows[i], group);
                sums[i][0] = _mm256_dpbusd_avx_epi32(sums[i][0], values, low);
                sums[i][1] = _mm256_dpbusd_avx_epi32(sums[i][1], values, high);
            }
        }
    }
    for i in 0..N {
        // SAFETY: the row is there.
        unsafe { block.finish(rule, sums[i], residual, out, first + i) };
    }
}
