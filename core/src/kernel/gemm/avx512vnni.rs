//! AVX-512 VNNI: up to eight rows by 32 outputs at a time, four products and their sum an instruction
//! (`vpdpbusd`), exact for all weights.

#![allow(unsafe_code)]

use std::arch::x86_64::*;

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
    unsafe {
        if let Some(residual) = residual {
            match Packed::<false, true>::new(requantise) {
                Some(packed) => all_tiles(a, weights, requantise, &packed, residual, out),
                None => all_sums(a, weights, requantise, Some(residual), out),
            }
        } else if let Some(packed) = Packed::<false, false>::new(requantise) {
            all_tiles(a, weights, requantise, &packed, a, out);
        } else if let Some(packed) = Packed::<true, false>::new(requantise) {
            all_tiles(a, weights, requantise, &packed, a, out);
        } else {
            all_sums(a, weights, requantise, None, out);
        }
    }
}

/// Tile by tile.
///
/// # Safety
/// [`check`] must have passed, also of the residual if there is `RESIDUAL`.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn all_tiles<const HARD_SWISH: bool, const RESIDUAL: bool>(
    a: &Rows<'_>,
    weights: &Weights<'_>,
    requantise: &Requantise<'_>,
    packed: &Packed<HARD_SWISH, RESIDUAL>,
    residual: &Rows<'_>,
    out: &mut RowsMut<'_>,
) {
    let blocks = weights.outputs.div_ceil(OUTPUTS);
    let chunk = (CACHED / weights.inputs.max(1)).next_multiple_of(ROWS);
    let mut first = 0;
    while first < a.count {
        let rows = first..(first + chunk).min(a.count);
        let mut block = 0;
        // SAFETY: blocks and rows are within the checked lengths.
        unsafe {
            while block + 4 <= blocks {
                let of = |at| Block::new(weights, requantise, block + at);
                let four = [of(0), of(1), of(2), of(3)];
                some_rows::<4, 4, _, _>(&four, packed, a, residual, out, rows.clone());
                block += 4;
            }
            while block + 2 <= blocks {
                let of = |at| Block::new(weights, requantise, block + at);
                let two = [of(0), of(1)];
                some_rows::<2, 8, _, _>(&two, packed, a, residual, out, rows.clone());
                block += 2;
            }
            if block < blocks {
                let one = [Block::new(weights, requantise, block)];
                some_rows::<1, 8, _, _>(&one, packed, a, residual, out, rows.clone());
            }
        }
        first = rows.end;
    }
}

/// # Safety
/// As for [`all_tiles`]; the rows must be there.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn some_rows<
    const B: usize,
    const N: usize,
    const HARD_SWISH: bool,
    const RESIDUAL: bool,
>(
    blocks: &[Block; B],
    packed: &Packed<HARD_SWISH, RESIDUAL>,
    a: &Rows<'_>,
    residual: &Rows<'_>,
    out: &mut RowsMut<'_>,
    rows: std::ops::Range<usize>,
) {
    let mut row = rows.start;
    // SAFETY: tiles are cut to the rows that are left.
    unsafe {
        while row + N <= rows.end {
            tile::<N, B, _, _>(blocks, packed, a, residual, out, row);
            row += N;
        }
        while row + 2 <= rows.end {
            tile::<2, B, _, _>(blocks, packed, a, residual, out, row);
            row += 2;
        }
        if row < rows.end {
            tile::<1, B, _, _>(blocks, packed, a, residual, out, row);
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

    /// Sixteen bytes of a row, or eight.
    ///
    /// # Safety
    /// The outputs, rounded up to 8 or 16, must be within the row.
    #[target_feature(enable = "avx512f")]
    #[inline]
    unsafe fn load(&self, row: *const u8) -> __m128i {
        // SAFETY: as the caller says.
        unsafe {
            match self.half {
                true => _mm_loadl_epi64(row.add(self.at).cast()),
                false => _mm_loadu_si128(row.add(self.at).cast()),
            }
        }
    }

    /// # Safety
    /// The outputs, rounded up to 8 or 16, must be within the row.
    #[target_feature(enable = "avx512f")]
    #[inline]
    unsafe fn store(&self, row: *mut u8, bytes: __m128i) {
        // SAFETY: as the caller says.
        unsafe {
            match self.half {
                true => _mm_storel_epi64(row.add(self.at).cast(), bytes),
                false => _mm_storeu_si128(row.add(self.at).cast(), bytes),
            }
        }
    }
}

/// # Safety
/// As for [`all_tiles`]; `first + N` rows must be there, and only the last block may be a half.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
#[inline]
unsafe fn tile<const N: usize, const B: usize, const HARD_SWISH: bool, const RESIDUAL: bool>(
    blocks: &[Block; B],
    packed: &Packed<HARD_SWISH, RESIDUAL>,
    a: &Rows<'_>,
    residual: &Rows<'_>,
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
    // Packing takes four registers: one row, two or four. All bounds are known here, lest the sums
    // leave their registers.
    for i in (0..N).step_by(4 / B) {
        let (mut four, mut multipliers) = ([sums[i][0]; 4], [blocks[0].multiplier; 4]);
        let mut residuals = [_mm_setzero_si128(); 4];
        for at in 0..4 {
            if i + at / B < N {
                let block = &blocks[at % B];
                four[at] = sums[i + at / B][at % B];
                multipliers[at] = block.multiplier;
                if RESIDUAL {
                    // SAFETY: the row is one of the residual's.
                    residuals[at] = unsafe { block.load(residual.row(first + i + at / B)) };
                }
            }
        }
        let bytes = packed.apply(four, multipliers, residuals);
        let row = first + i;
        // SAFETY: the blocks' outputs are within the checked rows.
        unsafe {
            if B == 4 && !blocks[B - 1].half {
                _mm512_storeu_si512(out.row(row).add(blocks[0].at).cast(), bytes);
                continue;
            }
            blocks[0].store(out.row(row), _mm512_castsi512_si128(bytes));
            if i + 1 / B < N {
                blocks[1 % B].store(out.row(row + 1 / B), _mm512_extracti32x4_epi32::<1>(bytes));
            }
            if i + 2 / B < N {
                blocks[2 % B].store(out.row(row + 2 / B), _mm512_extracti32x4_epi32::<2>(bytes));
            }
            if i + 3 / B < N {
                blocks[3 % B].store(out.row(row + 3 / B), _mm512_extracti32x4_epi32::<3>(bytes));
            }
        }
    }
}

/// Sixteen sums at a time, for rules that [`Packed`] does not know.
///
/// # Safety
/// [`check`] must have passed.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn all_sums(
    a: &Rows<'_>,
    weights: &Weights<'_>,
    requantise: &Requantise<'_>,
    residual: Option<&Rows<'_>>,
    out: &mut RowsMut<'_>,
) {
    let rule = Rule::new(requantise);
    for number in 0..weights.outputs.div_ceil(OUTPUTS) {
        // SAFETY: blocks and rows are within the checked lengths; a group is 4 bytes of a row and 64
        // of weights.
        unsafe {
            let block = Block::new(weights, requantise, number);
            for row in 0..a.count {
                let mut sums = block.bias;
                for group in 0..block.groups {
                    let values = a.row(row).add(4 * group).cast::<i32>().read_unaligned();
                    let weights = _mm512_loadu_si512(block.weights.add(64 * group).cast());
                    sums = _mm512_dpbusd_epi32(sums, _mm512_set1_epi32(values), weights);
                }
                let residual = residual.map(|rows| block.load(rows.row(row)));
                block.store(out.row(row), rule.apply(sums, block.multiplier, residual));
            }
        }
    }
}
