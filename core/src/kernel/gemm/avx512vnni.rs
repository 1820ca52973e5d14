//! AVX-512 VNNI: up to eight rows by 32 outputs at a time, four products and their sum an instruction
//! (`vpdpbusd`), exact for all weights.

#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::super::requantise::Activation;
use super::super::requantise::avx512::{Packed, Rule};
use super::{Cpu, Gemm, OUTPUTS, Requantise, Rows, RowsMut, Weights, check};

/// Sums of a tile, a register each: four blocks of outputs by four rows, two by eight or one by eight.
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
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn all_tiles(
    a: &Rows<'_>,
    weights: &Weights<'_>,
    requantise: &Requantise<'_>,
    residual: Option<&Rows<'_>>,
    out: &mut RowsMut<'_>,
) {
    let finish = Finish {
        rule: Rule::new(requantise),
        // More than a product gains nothing from packing, which would only press on registers.
        packed: match (residual, requantise.activation) {
            (None, Activation::Linear) => Packed::new(requantise),
            _ => None,
        },
        residual,
    };
    let blocks = weights.outputs.div_ceil(OUTPUTS);
    // Blocks of which all sixteen outputs are there.
    let whole = (weights.outputs + 7) / OUTPUTS;
    let chunk = (CACHED / weights.inputs.max(1)).next_multiple_of(ROWS);
    let mut first = 0;
    while first < a.count {
        let rows = first..(first + chunk).min(a.count);
        let mut block = 0;
        // SAFETY: blocks and rows are within the checked lengths.
        unsafe {
            while block + 4 <= whole {
                let of = |at| Block::new(weights, requantise, block + at);
                let four = [of(0), of(1), of(2), of(3)];
                some_rows::<4, 4>(&four, &finish, a, out, rows.clone());
                block += 4;
            }
            while block + 2 <= whole {
                let of = |at| Block::new(weights, requantise, block + at);
                some_rows::<2, 8>(&[of(0), of(1)], &finish, a, out, rows.clone());
                block += 2;
            }
            while block < blocks {
                let one = [Block::new(weights, requantise, block)];
                some_rows::<1, 8>(&one, &finish, a, out, rows.clone());
                block += 1;
            }
        }
        first = rows.end;
    }
}

/// How sums become bytes.
struct Finish<'a> {
    rule: Rule,
    packed: Option<Packed>,
    residual: Option<&'a Rows<'a>>,
}

/// # Safety
/// [`check`] must have passed; the rows must be there.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn some_rows<const B: usize, const N: usize>(
    blocks: &[Block; B],
    finish: &Finish<'_>,
    a: &Rows<'_>,
    out: &mut RowsMut<'_>,
    rows: std::ops::Range<usize>,
) {
    let mut row = rows.start;
    // SAFETY: tiles are cut to the rows that are left.
    unsafe {
        while row + N <= rows.end {
            tile::<N, B>(blocks, finish, a, out, row);
            row += N;
        }
        while row + 2 <= rows.end {
            tile::<2, B>(blocks, finish, a, out, row);
            row += 2;
        }
        if row < rows.end {
            tile::<1, B>(blocks, finish, a, out, row);
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

    /// Requantises the sums of one row and stores them.
    ///
    /// # Safety
    /// [`check`] must have passed; the row must be there.
    #[target_feature(enable = "avx512f")]
    #[inline]
    unsafe fn finish(&self, finish: &Finish<'_>, sums: __m512i, out: &mut RowsMut<'_>, row: usize) {
        // SAFETY: the block's outputs, rounded up to 8 or 16, are within the checked rows.
        unsafe {
            let residual = match finish.residual {
                None => None,
                Some(rows) => {
                    let at = rows.row(row).add(self.at);
                    Some(match self.half {
                        true => _mm_loadl_epi64(at.cast()),
                        false => _mm_loadu_si128(at.cast()),
                    })
                }
            };
            let bytes = finish.rule.apply(sums, self.multiplier, residual);
            let at = out.row(row).add(self.at);
            match self.half {
                true => _mm_storel_epi64(at.cast(), bytes),
                false => _mm_storeu_si128(at.cast(), bytes),
            }
        }
    }
}

/// # Safety
/// [`check`] must have passed; `first + N` rows must be there.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
#[inline]
unsafe fn tile<const N: usize, const B: usize>(
    blocks: &[Block; B],
    finish: &Finish<'_>,
    a: &Rows<'_>,
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
    // Packing takes four registers: one row, two or four.
    if let Some(packed) = &finish.packed
        && N * B >= 4
        && N.is_multiple_of(4 / B)
        && !blocks[0].half
    {
        for i in (0..N).step_by(4 / B) {
            let (mut four, mut multipliers) = ([sums[i][0]; 4], [blocks[0].multiplier; 4]);
            for at in 1..4 {
                four[at] = sums[i + at / B][at % B];
                multipliers[at] = blocks[at % B].multiplier;
            }
            let bytes = packed.apply(four, multipliers);
            // SAFETY: the blocks' outputs are within the checked rows.
            unsafe {
                let mut at = |row| out.row(first + i + row).add(blocks[0].at);
                match B {
                    4 => _mm512_storeu_si512(at(0).cast(), bytes),
                    2 => {
                        _mm256_storeu_si256(at(0).cast(), _mm512_castsi512_si256(bytes));
                        _mm256_storeu_si256(at(1).cast(), _mm512_extracti64x4_epi64::<1>(bytes));
                    }
                    _ => {
                        _mm_storeu_si128(at(0).cast(), _mm512_castsi512_si128(bytes));
                        _mm_storeu_si128(at(1).cast(), _mm512_extracti32x4_epi32::<1>(bytes));
                        _mm_storeu_si128(at(2).cast(), _mm512_extracti32x4_epi32::<2>(bytes));
                        _mm_storeu_si128(at(3).cast(), _mm512_extracti32x4_epi32::<3>(bytes));
                    }
                }
            }
        }
        return;
    }
    for i in 0..N {
        for b in 0..B {
            // SAFETY: the row is there.
            unsafe { blocks[b].finish(finish, sums[i][b], out, first + i) };
        }
    }
}
