//! AVX-512 VNNI: sixteen channels of an output at a time; the taps of one column are one dword of each
//! channel, and meet their weights in one instruction (`vpdpbusd`), exact for all weights.

#![allow(unsafe_code)]

mod wide;

use std::arch::x86_64::*;

use super::super::requantise::avx512::{Packed, Rule};
use super::{BLOCK, Cpu, Depthwise, DepthwiseRows, Input, OUTPUTS, Requantise, check, each_row};

pub(super) fn depthwise_rows(cpu: Cpu) -> Option<DepthwiseRows> {
    cpu.has_avx512_vnni().then_some(run as DepthwiseRows)
}

// Reached only through the function above.
fn run(
    rows: &[&[u8]],
    width: usize,
    zero_in: u8,
    pad_left: usize,
    weights: &Depthwise<'_>,
    requantise: &Requantise<'_>,
    out: &mut [u8],
) {
    check(rows, width, weights, requantise, out);
    let input = Input {
        width,
        location: weights.channels.next_multiple_of(8),
        zero: zero_in,
        pad_left,
    };
    // SAFETY: `depthwise_rows` gives this function away only if the processor has AVX-512 VNNI; the
    // lengths were checked above.
    unsafe {
        match (weights.size, weights.stride) {
            (3, 1) => all_blocks::<3, 1, 1, 6, 3>(rows, &input, weights, requantise, out),
            (3, _) => all_blocks::<3, 2, 1, 9, 2>(rows, &input, weights, requantise, out),
            (_, 1) => all_blocks::<5, 1, 2, 8, 5>(rows, &input, weights, requantise, out),
            _ => all_blocks::<5, 2, 2, 11, 3>(rows, &input, weights, requantise, out),
        }
    }
}

/// # Safety
/// [`check`] must have passed; `SIZE` and `STRIDE` must be those of the weights, `GROUPS` a quarter
/// of `SIZE` rounded up, `WIDE` the columns that four outputs read, `SLOTS` the outputs that a column may be part of.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn all_blocks<
    const SIZE: usize,
    const STRIDE: usize,
    const GROUPS: usize,
    const WIDE: usize,
    const SLOTS: usize,
>(
    rows: &[&[u8]],
    input: &Input,
    weights: &Depthwise<'_>,
    requantise: &Requantise<'_>,
    out: &mut [u8],
) {
    let rule = Rule::new(requantise);
    let linear = Packed::<false, false, false>::new(requantise);
    let clamped = Packed::<false, false, true>::new(requantise);
    let hard_swish = Packed::<true, false, false>::new(requantise);
    let mut start = 0;
    while start + wide::NARROWEST <= input.location {
        // SAFETY: tables are padded to sixteen channels; each location has sixty-four bytes from `start` on, or fifty-six.
        unsafe {
            let block = wide::Block::<SIZE>::new::<STRIDE>(weights, requantise, start);
            let rows = each_row(rows, weights, out);
            let done = match start + wide::WIDE <= input.location {
                true => block.any::<STRIDE, SLOTS, true>(requantise, rows, input, start),
                false => block.any::<STRIDE, SLOTS, false>(requantise, rows, input, start),
            };
            if !done {
                break;
            }
        }
        start += wide::WIDE;
    }
    for first in (start..weights.channels).step_by(OUTPUTS) {
        // Where eight channels are left, the block overlaps with the one before.
        let first = first.min(input.location.saturating_sub(OUTPUTS));
        // SAFETY: tables are padded to sixteen channels; rows and outputs have eight or sixteen
        // bytes from `first` on in each location, and `LONG` says which.
        unsafe {
            let block = Block::<SIZE, GROUPS>::new(weights, requantise, first);
            for (rows, out) in each_row(rows, weights, out) {
                let enough = out.len() >= 4 * input.location;
                if input.location == 8 {
                    block.row::<STRIDE, false>(&rule, rows, input, first, out);
                } else if let (Some(packed), true) = (&linear, enough) {
                    block.fours::<STRIDE, WIDE, _, _>(packed, rows, input, first, out);
                } else if let (Some(packed), true) = (&clamped, enough) {
                    block.fours::<STRIDE, WIDE, _, _>(packed, rows, input, first, out);
                } else if let (Some(packed), true) = (&hard_swish, enough) {
                    block.fours::<STRIDE, WIDE, _, _>(packed, rows, input, first, out);
                } else {
                    block.row::<STRIDE, true>(&rule, rows, input, first, out);
                }
            }
        }
    }
}

/// Weights of sixteen channels.
struct Block<const SIZE: usize, const GROUPS: usize> {
    weights: [[__m512i; GROUPS]; SIZE],
    bias: __m512i,
    multiplier: __m512,
}

impl<const SIZE: usize, const GROUPS: usize> Block<SIZE, GROUPS> {
    /// # Safety
    /// [`check`] must have passed; `first` is a multiple of 8, and so is what is left of the channels.
    #[target_feature(enable = "avx512f")]
    unsafe fn new(weights: &Depthwise<'_>, requantise: &Requantise<'_>, first: usize) -> Self {
        let mut block = Self {
            weights: [[_mm512_setzero_si512(); GROUPS]; SIZE],
            // SAFETY: tables are padded to sixteen channels.
            bias: unsafe { _mm512_loadu_si512(weights.bias.as_ptr().add(first).cast()) },
            // SAFETY: as above.
            multiplier: unsafe { _mm512_loadu_ps(requantise.multiplier.as_ptr().add(first)) },
        };
        let (dwords, _) = weights.packed.as_chunks::<{ BLOCK / 2 }>();
        // Eight channels each; those behind stand in the next block.
        let low = first / OUTPUTS * 2 * SIZE * GROUPS + first % OUTPUTS / 8;
        let high = match first % OUTPUTS {
            0 => low + 1,
            _ => low + 2 * SIZE * GROUPS - 1,
        };
        for at in 0..SIZE * GROUPS {
            // SAFETY: 32 bytes stand in each.
            block.weights[at / GROUPS][at % GROUPS] = unsafe {
                let low = _mm256_loadu_si256(dwords[low + 2 * at].as_ptr().cast());
                let high = _mm256_loadu_si256(dwords[high + 2 * at].as_ptr().cast());
                _mm512_inserti64x4::<1>(_mm512_castsi256_si512(low), high)
            };
        }
        block
    }

    /// All outputs, one at a time.
    ///
    /// # Safety
    /// [`check`] must have passed; each location must have sixteen bytes from `first` on, or eight
    /// unless `LONG`.
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    unsafe fn row<const STRIDE: usize, const LONG: bool>(
        &self,
        rule: &Rule,
        rows: &[&[u8]],
        input: &Input,
        first: usize,
        out: &mut [u8],
    ) {
        let rows: [*const u8; SIZE] = std::array::from_fn(|ky| rows[ky].as_ptr());
        let mut columns = [[_mm512_setzero_si512(); GROUPS]; SIZE];
        for kx in 0..SIZE - STRIDE {
            // SAFETY: `column` reads inside of the rows only.
            columns[kx] = unsafe { column::<SIZE, GROUPS, LONG>(&rows, input, first, kx) };
        }
        for (at, out) in out.chunks_exact_mut(input.location).enumerate() {
            for kx in SIZE - STRIDE..SIZE {
                let x = at * STRIDE + kx;
                // SAFETY: as above.
                columns[kx] = unsafe { column::<SIZE, GROUPS, LONG>(&rows, input, first, x) };
            }
            let mut sums = self.bias;
            for kx in 0..SIZE {
                sums = self.add(sums, &columns[kx], kx);
            }
            let bytes = rule.apply(sums, self.multiplier, None);
            // SAFETY: the location has eight or sixteen bytes from `first` on.
            unsafe {
                let to = out.as_mut_ptr().add(first);
                match LONG {
                    true => _mm_storeu_si128(to.cast(), bytes),
                    false => _mm_storel_epi64(to.cast(), bytes),
                }
            }
            for kx in 0..SIZE - STRIDE {
                columns[kx] = columns[kx + STRIDE];
            }
        }
    }

    /// All outputs, of which there must be four or more, four at a time. The last four may overlap with
    /// those before.
    ///
    /// # Safety
    /// [`check`] must have passed; each location must have sixteen bytes from `first` on; `WIDE` must
    /// be the columns that four outputs read.
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    unsafe fn fours<
        const STRIDE: usize,
        const WIDE: usize,
        const HARD_SWISH: bool,
        const CLAMP: bool,
    >(
        &self,
        packed: &Packed<HARD_SWISH, false, CLAMP>,
        rows: &[&[u8]],
        input: &Input,
        first: usize,
        out: &mut [u8],
    ) {
        let rows: [*const u8; SIZE] = std::array::from_fn(|ky| rows[ky].as_ptr());
        let outputs = out.len() / input.location;
        let mut columns = [[_mm512_setzero_si512(); GROUPS]; WIDE];
        let mut at = 0;
        // SAFETY: `column` reads inside of the rows only.
        unsafe {
            for kx in 0..SIZE - STRIDE {
                columns[kx] = column::<SIZE, GROUPS, true>(&rows, input, first, kx);
            }
        }
        loop {
            // All loops have bounds that are known here: unrolled, the columns stay in registers.
            let from = (at * STRIDE).wrapping_sub(input.pad_left);
            // SAFETY: `inner_column` is asked for columns that are there.
            unsafe {
                if from < input.width && from + WIDE <= input.width {
                    let start = from * input.location + first;
                    for kx in SIZE - STRIDE..WIDE {
                        let at = start + kx * input.location;
                        columns[kx] = inner_column::<SIZE, GROUPS, true>(&rows, at);
                    }
                } else {
                    for kx in SIZE - STRIDE..WIDE {
                        let x = at * STRIDE + kx;
                        columns[kx] = column::<SIZE, GROUPS, true>(&rows, input, first, x);
                    }
                }
            }
            // Column by column, so that four sums grow side by side.
            let mut sums = [self.bias; 4];
            for x in 0..WIDE {
                for output in 0..4 {
                    let kx = x.wrapping_sub(output * STRIDE);
                    if kx < SIZE {
                        sums[output] = self.add(sums[output], &columns[x], kx);
                    }
                }
            }
            let bytes = packed.apply(sums, [self.multiplier; 4], [_mm_setzero_si128(); 4]);
            // SAFETY: the locations have sixteen bytes from `first` on.
            unsafe {
                let to = out.as_mut_ptr().add(at * input.location + first);
                let next = input.location;
                _mm_storeu_si128(to.cast(), _mm512_castsi512_si128(bytes));
                _mm_storeu_si128(to.add(next).cast(), _mm512_extracti32x4_epi32::<1>(bytes));
                _mm_storeu_si128(
                    to.add(2 * next).cast(),
                    _mm512_extracti32x4_epi32::<2>(bytes),
                );
                _mm_storeu_si128(
                    to.add(3 * next).cast(),
                    _mm512_extracti32x4_epi32::<3>(bytes),
                );
            }
            if at + 4 == outputs {
                return;
            }
            at += 4;
            for kx in 0..SIZE - STRIDE {
                columns[kx] = columns[kx + 4 * STRIDE];
            }
            if at + 4 > outputs {
                at = outputs - 4;
                for kx in 0..SIZE - STRIDE {
                    let x = at * STRIDE + kx;
                    // SAFETY: `column` reads inside of the rows only.
                    columns[kx] = unsafe { column::<SIZE, GROUPS, true>(&rows, input, first, x) };
                }
            }
        }
    }

    /// Adds one column's products.
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    #[inline]
    fn add(&self, mut sums: __m512i, column: &[__m512i; GROUPS], kx: usize) -> __m512i {
        for group in 0..GROUPS {
            sums = _mm512_dpbusd_epi32(sums, column[group], self.weights[kx][group]);
        }
        sums
    }
}

/// The column at `x`, counted from the padding on: of each channel a dword of four rows, the first
/// lowest; what is beyond the last row means nothing, for it meets weights of 0.
///
/// # Safety
/// Each row must have the input's locations, of sixteen bytes from `first` on, or eight unless
/// `LONG`.
#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
unsafe fn column<const SIZE: usize, const GROUPS: usize, const LONG: bool>(
    rows: &[*const u8; SIZE],
    input: &Input,
    first: usize,
    x: usize,
) -> [__m512i; GROUPS] {
    let x = x.wrapping_sub(input.pad_left);
    if x < input.width {
        // SAFETY: the location is one of the rows'.
        unsafe { inner_column::<SIZE, GROUPS, LONG>(rows, x * input.location + first) }
    } else {
        [_mm512_set1_epi32(i32::from_ne_bytes([input.zero; 4])); GROUPS]
    }
}

/// [`column`] whose channels begin at byte `at` of each row.
///
/// # Safety
/// Each row must have sixteen bytes there, or eight unless `LONG`.
#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
unsafe fn inner_column<const SIZE: usize, const GROUPS: usize, const LONG: bool>(
    rows: &[*const u8; SIZE],
    at: usize,
) -> [__m512i; GROUPS] {
    // Dwords of neighbouring channels, then one row's bytes each: rows meet in dwords by two
    // transpositions of four by four, across lanes and inside of them.
    let across = const {
        let mut places = [0; 16];
        let mut at = 0;
        while at < 16 {
            let (channels, row) = (at / 4, at % 4);
            places[at] = (row / 2 * 16 + row % 2 * 4 + channels) as i32;
            at += 1;
        }
        places
    };
    // SAFETY: 64 bytes stand there.
    let across = unsafe { _mm512_loadu_si512(across.as_ptr().cast()) };
    let inside = _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    let inside = _mm512_broadcast_i32x4(inside);
    let load = |row: usize| {
        // SAFETY: the caller says that the bytes are there.
        unsafe {
            match LONG {
                true => _mm_loadu_si128(rows[row].add(at).cast()),
                false => _mm_loadl_epi64(rows[row].add(at).cast()),
            }
        }
    };
    let pair = |row: usize| {
        let low = _mm256_castsi128_si256(load(row));
        // What is beyond the last row meets weights of 0.
        _mm512_castsi256_si512(match row + 1 < SIZE {
            true => _mm256_inserti128_si256::<1>(low, load(row + 1)),
            false => low,
        })
    };
    let mut column = [_mm512_setzero_si512(); GROUPS];
    for group in 0..GROUPS {
        column[group] = match SIZE - 4 * group {
            1 => _mm512_cvtepu8_epi32(load(4 * group)),
            _ => {
                let dwords =
                    _mm512_permutex2var_epi32(pair(4 * group), across, pair(4 * group + 2));
                _mm512_shuffle_epi8(dwords, inside)
            }
        };
    }
    column
}
