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
            match Packed::<false, true, true>::new(requantise) {
                Some(packed) => all_tiles(a, weights, requantise, &packed, residual, out),
                None => all_sums(a, weights, requantise, Some(residual), out),
            }
        } else if let Some(packed) = Packed::<false, false, false>::new(requantise) {
            all_tiles(a, weights, requantise, &packed, a, out);
        } else if let Some(packed) = Packed::<false, false, true>::new(requantise) {
            all_tiles(a, weights, requantise, &packed, a, out);
        } else if let Some(packed) = Packed::<true, false, false>::new(requantise) {
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
unsafe fn all_tiles<const HARD_SWISH: bool, const RESIDUAL: bool, const CLAMP: bool>(
    a: &Rows<'_>,
    weights: &Weights<'_>,
    requantise: &Requantise<'_>,
    packed: &Packed<HARD_SWISH, RESIDUAL, CLAMP>,
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
                some_rows::<4, 4, _, _, _>(&four, packed, a, residual, out, rows.clone());
                block += 4;
            }
            while block + 2 <= blocks {
                let of = |at| Block::new(weights, requantise, block + at);
                let two = [of(0), of(1)];
                some_rows::<2, 8, _, _, _>(&two, packed, a, residual, out, rows.clone());
                block += 2;
            }
            if block < blocks {
                let one = [Block::new(weights, requantise, block)];
                some_rows::<1, 8, _, _, _>(&one, packed, a, residual, out, rows.clone());
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
    const CLAMP: bool,
>(
    blocks: &[Block; B],
    packed: &Packed<HARD_SWISH, RESIDUAL, CLAMP>,
    a: &Rows<'_>,
    residual: &Rows<'_>,
    out: &mut RowsMut<'_>,
    rows: std::ops::Range<usize>,
) {
    let mut row = rows.start;
    // SAFETY: tiles are cut to the rows that are left.
    unsafe {
        while row + N <= rows.end {
            tile::<N, B, _, _, _>(blocks, packed, a, residual, out, row);
            row += N;
        }
        while row + 2 <= rows.end {
            tile::<2, B, _, _, _>(blocks, packed, a, residual, out, row);
            row += 2;
        }
        if row < rows.end {
            tile::<1, B, _, _, _>(blocks, packed, a, residual, out, row);
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
unsafe fn tile<
    const N: usize,
    const B: usize,
    const HARD_SWISH: bool,
    const RESIDUAL: bool,
    const CLAMP: bool,
>(
    blocks: &[Block; B],
    packed: &Packed<HARD_SWISH, RESIDUAL, CLAMP>,
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
    // One by one and not in a loop, lest the sums leave their registers.
    let mut out = Output {
        blocks,
        packed,
        residual,
        out,
        first,
    };
    // SAFETY: as the caller says.
    unsafe {
        out.store::<N, 0>(&sums);
        if N * B > 4 {
            out.store::<N, 4>(&sums);
        }
        if N * B > 8 {
            out.store::<N, 8>(&sums);
            out.store::<N, 12>(&sums);
        }
    }
}

/// Where a tile's sums go.
struct Output<
    'a,
    'b,
    const B: usize,
    const HARD_SWISH: bool,
    const RESIDUAL: bool,
    const CLAMP: bool,
> {
    blocks: &'a [Block; B],
    packed: &'a Packed<HARD_SWISH, RESIDUAL, CLAMP>,
    residual: &'a Rows<'a>,
    out: &'a mut RowsMut<'b>,
    /// The first row.
    first: usize,
}

impl<const B: usize, const HARD_SWISH: bool, const RESIDUAL: bool, const CLAMP: bool>
    Output<'_, '_, B, HARD_SWISH, RESIDUAL, CLAMP>
{
    /// Requantises four times sixteen sums from number `AT` on, which are one row, two or four, and
    /// stores them; rows that are not there are left out.
    ///
    /// # Safety
    /// As for [`tile`].
    #[target_feature(enable = "avx512f,avx512bw")]
    #[inline]
    unsafe fn store<const N: usize, const AT: usize>(&mut self, sums: &[[__m512i; B]; N]) {
        let i = AT / B % N;
        let (mut four, mut multipliers) = ([sums[i][0]; 4], [self.blocks[0].multiplier; 4]);
        let mut residuals = [_mm_setzero_si128(); 4];
        for at in 0..4 {
            if i + at / B < N {
                let block = &self.blocks[at % B];
                four[at] = sums[i + at / B][at % B];
                multipliers[at] = block.multiplier;
                if RESIDUAL {
                    let row = self.residual.row(self.first + i + at / B);
                    // SAFETY: the row is one of the residual's.
                    residuals[at] = unsafe { block.load(row) };
                }
            }
        }
        let bytes = self.packed.apply(four, multipliers, residuals);
        // SAFETY: the blocks' outputs are within the checked rows.
        unsafe {
            if B == 4 && !self.blocks[B - 1].half {
                let row = self.out.row(self.first + i).add(self.blocks[0].at);
                return _mm512_storeu_si512(row.cast(), bytes);
            }
            self.store_one::<N>(i, 0, _mm512_castsi512_si128(bytes));
            self.store_one::<N>(i, 1, _mm512_extracti32x4_epi32::<1>(bytes));
            self.store_one::<N>(i, 2, _mm512_extracti32x4_epi32::<2>(bytes));
            self.store_one::<N>(i, 3, _mm512_extracti32x4_epi32::<3>(bytes));
        }
    }

    /// The one at `at` of four that begin with row `i`.
    ///
    /// # Safety
    /// As for [`tile`].
    #[target_feature(enable = "avx512f")]
    #[inline]
    unsafe fn store_one<const N: usize>(&mut self, i: usize, at: usize, bytes: __m128i) {
        if i + at / B < N {
            let row = self.out.row(self.first + i + at / B);
            // SAFETY: the blocks' outputs are within the checked rows.
            unsafe { self.blocks[at % B].store(row, bytes) };
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
