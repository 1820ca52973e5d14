//! AVX-512 VNNI: up to eight rows by 32 outputs at a time, four products and their sum an instruction
//! (`vpdpbusd`), exact for all weights.

#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::super::requantise::avx512::Rule;
use super::{Cpu, Gemm, OUTPUTS, Requantise, Rows, RowsMut, Weights, check};

/// Rows of a tile.
const ROWS: usize = 8;
/// Bytes of the left matrix that are worked on at a time: they stay in the first-level cache while
/// all blocks of weights pass.
const CACHED: usize = 16 << 10;

pub(super) fn gemm(cpu: Cpu) -> Option<Gemm> {
    cpu.has_avx512_vnni().then_some(run as Gemm)
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
    // SAFETY: `gemm` gives this function away only if the processor has AVX-512 VNNI; the lengths
    // were checked above.
    unsafe { all_tiles(a, weights, requantise, residual, out) }
}

/// # Safety
/// [`check`] must have passed.
#[target_feature(enable = "avx512f,avx512vnni")]
unsafe fn all_tiles(
    a: &Rows<'_>,
    weights: &Weights<'_>,
    requantise: &Requantise<'_>,
    residual: Option<&Rows<'_>>,
    out: &mut RowsMut<'_>,
) {
    let rule = Rule::new(requantise);
    let blocks = weights.outputs.div_ceil(OUTPUTS);
    let chunk = (CACHED / weights.inputs.max(1)).next_multiple_of(ROWS);
    let mut first = 0;
    while first < a.count {
        let end = (first + chunk).min(a.count);
        for number in (0..blocks).step_by(2) {
            // SAFETY: blocks and rows are within the checked lengths; tiles are cut to the rows that
            // are left.
            unsafe {
                let block = Block::new(weights, requantise, number);
                if number + 1 < blocks {
                    let pair = [block, Block::new(weights, requantise, number + 1)];
                    some_rows(&pair, &rule, a, residual, out, first..end);
                } else {
                    some_rows(&[block], &rule, a, residual, out, first..end);
                }
            }
        }
        first = end;
    }
}

/// # Safety
/// [`check`] must have passed; the rows must be there.
#[target_feature(enable = "avx512f,avx512vnni")]
unsafe fn some_rows<const B: usize>(
    blocks: &[Block; B],
    rule: &Rule,
    a: &Rows<'_>,
    residual: Option<&Rows<'_>>,
    out: &mut RowsMut<'_>,
    rows: std::ops::Range<usize>,
) {
    let mut row = rows.start;
    // SAFETY: tiles are cut to the rows that are left.
    unsafe {
        while row + ROWS <= rows.end {
            tile::<ROWS, B>(blocks, rule, a, residual, out, row);
            row += ROWS;
        }
        if row + 4 <= rows.end {
            tile::<4, B>(blocks, rule, a, residual, out, row);
            row += 4;
        }
        while row < rows.end {
            tile::<1, B>(blocks, rule, a, residual, out, row);
            row += 1;
        }
    }
}

/// Sixteen outputs.
struct Block {
    weights: *const i8,
    groups: usize,
    bias: __m512i,
    multiplier: __m512,
    /// The first output.
    at: usize,
    /// Whether only eight of the sixteen are there.
    half: bool,
}

impl Block {
    /// # Safety
    /// [`check`] must have passed, and the block must be one of the weights.
    #[target_feature(enable = "avx512f")]
    unsafe fn new(weights: &Weights<'_>, requantise: &Requantise<'_>, number: usize) -> Self {
        let at = number * OUTPUTS;
        // SAFETY: tables are padded to whole blocks.
        unsafe {
            Self {
                weights: weights.packed.as_ptr().add(at * weights.inputs).cast(),
                groups: weights.inputs / 4,
                bias: _mm512_loadu_si512(weights.bias.as_ptr().add(at).cast()),
                multiplier: _mm512_loadu_ps(requantise.multiplier.as_ptr().add(at)),
                at,
                half: weights.outputs - at <= 8,
            }
        }
    }
}

/// # Safety
/// [`check`] must have passed; `first + N` rows must be there.
#[target_feature(enable = "avx512f,avx512vnni")]
#[inline]
unsafe fn tile<const N: usize, const B: usize>(
    blocks: &[Block; B],
    rule: &Rule,
    a: &Rows<'_>,
    residual: Option<&Rows<'_>>,
    out: &mut RowsMut<'_>,
    first: usize,
) {
    let rows: [*const u8; N] = std::array::from_fn(|i| a.row(first + i));
    let mut sums = [[_mm512_setzero_si512(); B]; N];
    for sums in &mut sums {
        for b in 0..B {
            sums[b] = blocks[b].bias;
        }
    }
    for group in 0..blocks[0].groups {
        let mut weights = [_mm512_setzero_si512(); B];
        for b in 0..B {
            // SAFETY: a group is 64 bytes of weights.
            weights[b] = unsafe { _mm512_loadu_si512(blocks[b].weights.add(64 * group).cast()) };
        }
        for i in 0..N {
            // SAFETY: a group is 4 bytes of a row; an unaligned load is asked for.
            let values = unsafe { rows[i].add(4 * group).cast::<i32>().read_unaligned() };
            let values = _mm512_set1_epi32(values);
            for b in 0..B {
                sums[i][b] = _mm512_dpbusd_epi32(sums[i][b], values, weights[b]);
            }
        }
    }
    for i in 0..N {
        for b in 0..B {
            let block = &blocks[b];
            // SAFETY: the block's outputs, rounded up to 8 or 16, are within the checked rows.
            unsafe {
                let residual = residual.map(|rows| {
                    let at = rows.row(first + i).add(block.at);
                    match block.half {
                        true => _mm_loadl_epi64(at.cast()),
                        false => _mm_loadu_si128(at.cast()),
                    }
                });
                let bytes = rule.apply(sums[i][b], block.multiplier, residual);
                let at = out.row(first + i).add(block.at);
                match block.half {
                    true => _mm_storel_epi64(at.cast(), bytes),
                    false => _mm_storeu_si128(at.cast(), bytes),
                }
            }
        }
    }
}
