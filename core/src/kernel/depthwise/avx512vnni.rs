//! AVX-512 VNNI: sixteen channels of an output at a time; the taps of one column are one dword of each
//! channel, and meet their weights in one instruction (`vpdpbusd`), exact for all weights.

#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::super::requantise::avx512::Rule;
use super::{BLOCK, Cpu, Depthwise, DepthwiseRow, OUTPUTS, Requantise, block_length, check};

pub(super) fn depthwise_row(cpu: Cpu) -> Option<DepthwiseRow> {
    cpu.has_avx512_vnni().then_some(run as DepthwiseRow)
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
    // SAFETY: `depthwise_row` gives this function away only if the processor has AVX-512 VNNI; the
    // lengths were checked above, and the number of rows is the window's.
    unsafe {
        match (weights.size, weights.stride) {
            (3, 1) => all_blocks::<3, 1, 1>(rows, &input, weights, requantise, out),
            (3, _) => all_blocks::<3, 2, 1>(rows, &input, weights, requantise, out),
            (_, 1) => all_blocks::<5, 1, 2>(rows, &input, weights, requantise, out),
            _ => all_blocks::<5, 2, 2>(rows, &input, weights, requantise, out),
        }
    }
}

/// What the rows have in common.
struct Input {
    width: usize,
    /// Bytes from one location to the next.
    location: usize,
    zero: u8,
    pad_left: usize,
}

/// # Safety
/// [`check`] must have passed; `SIZE` and `STRIDE` must be those of the weights, `GROUPS` a quarter
/// of `SIZE` rounded up.
#[target_feature(enable = "avx512f,avx512vnni")]
unsafe fn all_blocks<const SIZE: usize, const STRIDE: usize, const GROUPS: usize>(
    rows: &[&[u8]],
    input: &Input,
    weights: &Depthwise<'_>,
    requantise: &Requantise<'_>,
    out: &mut [u8],
) {
    let rule = Rule::new(requantise);
    for first in (0..weights.channels).step_by(OUTPUTS) {
        // SAFETY: tables are padded to sixteen channels; rows and outputs have eight or sixteen
        // bytes from `first` on in each location, and `LONG` says which.
        unsafe {
            let block = Block::<SIZE, GROUPS>::new(weights, requantise, first);
            match input.location - first {
                8 => block.row::<STRIDE, false>(&rule, rows, input, first, out),
                _ => block.row::<STRIDE, true>(&rule, rows, input, first, out),
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
    /// [`check`] must have passed; `first` is a channel and a multiple of 16.
    #[target_feature(enable = "avx512f")]
    unsafe fn new(weights: &Depthwise<'_>, requantise: &Requantise<'_>, first: usize) -> Self {
        let mut block = Self {
            weights: [[_mm512_setzero_si512(); GROUPS]; SIZE],
            // SAFETY: tables are padded to sixteen channels.
            bias: unsafe { _mm512_loadu_si512(weights.bias.as_ptr().add(first).cast()) },
            // SAFETY: as above.
            multiplier: unsafe { _mm512_loadu_ps(requantise.multiplier.as_ptr().add(first)) },
        };
        let packed = &weights.packed[first / OUTPUTS * block_length(SIZE)..];
        let (dwords, _) = packed.as_chunks::<BLOCK>();
        for (at, dwords) in dwords[..SIZE * GROUPS].iter().enumerate() {
            // SAFETY: 64 bytes stand there.
            block.weights[at / GROUPS][at % GROUPS] =
                unsafe { _mm512_loadu_si512(dwords.as_ptr().cast()) };
        }
        block
    }

    /// # Safety
    /// [`check`] must have passed; each location must have sixteen bytes from `first` on, or eight
    /// unless `LONG`.
    #[target_feature(enable = "avx512f,avx512vnni")]
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
        for (at, out) in out.chunks_exact_mut(input.location).enumerate() {
            let kept = if at == 0 { 0 } else { SIZE - STRIDE };
            for kx in 0..kept {
                columns[kx] = columns[kx + STRIDE];
            }
            for (kx, place) in columns.iter_mut().enumerate().skip(kept) {
                // SAFETY: `column` reads inside of the rows only.
                *place =
                    unsafe { column::<SIZE, GROUPS, LONG>(&rows, input, first, at * STRIDE + kx) };
            }
            let mut sums = self.bias;
            for kx in 0..SIZE {
                for group in 0..GROUPS {
                    sums = _mm512_dpbusd_epi32(sums, columns[kx][group], self.weights[kx][group]);
                }
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
        }
    }
}

/// The column at `x`, counted from the padding on: of each channel a dword of four rows, the first
/// lowest; what is beyond the last row is 0.
///
/// # Safety
/// Each row must have the input's locations, of sixteen bytes from `first` on, or eight unless
/// `LONG`.
#[target_feature(enable = "avx512f")]
#[inline]
unsafe fn column<const SIZE: usize, const GROUPS: usize, const LONG: bool>(
    rows: &[*const u8; SIZE],
    input: &Input,
    first: usize,
    x: usize,
) -> [__m512i; GROUPS] {
    let mut column = [_mm512_set1_epi32(i32::from(input.zero) * 0x0101_0101); GROUPS];
    let x = x.wrapping_sub(input.pad_left);
    if x >= input.width {
        return column;
    }
    let at = x * input.location + first;
    for group in 0..GROUPS {
        let first = 4 * group;
        // SAFETY: the location is one of the row's, and its bytes are there.
        let mut words = unsafe { dwords::<LONG>(rows[first].add(at)) };
        if first + 1 < SIZE {
            // SAFETY: as above.
            let row = unsafe { dwords::<LONG>(rows[first + 1].add(at)) };
            words = _mm512_or_si512(words, _mm512_slli_epi32::<8>(row));
        }
        if first + 2 < SIZE {
            // SAFETY: as above.
            let row = unsafe { dwords::<LONG>(rows[first + 2].add(at)) };
            words = _mm512_or_si512(words, _mm512_slli_epi32::<16>(row));
        }
        if first + 3 < SIZE {
            // SAFETY: as above.
            let row = unsafe { dwords::<LONG>(rows[first + 3].add(at)) };
            words = _mm512_or_si512(words, _mm512_slli_epi32::<24>(row));
        }
        column[group] = words;
    }
    column
}

/// Sixteen channels of one row, a dword each.
///
/// # Safety
/// `at` must have sixteen bytes behind it, or eight unless `LONG`.
#[target_feature(enable = "avx512f")]
#[inline]
unsafe fn dwords<const LONG: bool>(at: *const u8) -> __m512i {
    // SAFETY: as the caller says.
    _mm512_cvtepu8_epi32(unsafe {
        match LONG {
            true => _mm_loadu_si128(at.cast()),
            false => _mm_loadl_epi64(at.cast()),
        }
    })
}
