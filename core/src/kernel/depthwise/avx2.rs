//! AVX2: sixteen channels of an output at a time, by products of 16-bit pairs (`vpmaddwd`), which are
//! exact for all weights.
//!
//! Two taps that stand one above the other make a pair. The odd last row of the window is paired
//! along the row. Columns that the next output reads again stay in registers.

#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::super::requantise::avx2::{Rule, narrow_interleaved};
use super::{Cpu, Depthwise, DepthwiseRows, Input, OUTPUTS, Requantise, check, each_row, place};

pub(super) fn depthwise_rows(cpu: Cpu) -> Option<DepthwiseRows> {
    cpu.has_avx2().then_some(run as DepthwiseRows)
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
    for (rows, out) in each_row(rows, weights, out) {
        // SAFETY: `depthwise_rows` gives this function away only if the processor has AVX2; the lengths
        // were checked above, and the number of rows is the window's.
        unsafe {
            match (weights.size, weights.stride) {
                (3, 1) => all_blocks::<3, 1, 2>(rows, &input, weights, requantise, out),
                (3, _) => all_blocks::<3, 2, 2>(rows, &input, weights, requantise, out),
                (_, 1) => all_blocks::<5, 1, 3>(rows, &input, weights, requantise, out),
                _ => all_blocks::<5, 2, 3>(rows, &input, weights, requantise, out),
            }
        }
    }
}

/// # Safety
/// [`check`] must have passed; `SIZE` and `STRIDE` must be those of the weights, `HALF` half of
/// `SIZE` rounded up.
#[target_feature(enable = "avx2")]
unsafe fn all_blocks<const SIZE: usize, const STRIDE: usize, const HALF: usize>(
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
            let block = Block::<SIZE, HALF>::new(weights, requantise, first);
            match input.location - first {
                8 => block.row::<STRIDE, false>(&rule, rows, input, first, out),
                _ => block.row::<STRIDE, true>(&rule, rows, input, first, out),
            }
        }
    }
}

/// Weights of sixteen channels. Two registers hold 32-bit numbers of channels 0-3 and 8-11, and of
/// 4-7 and 12-15, as unpacking leaves them.
struct Block<const SIZE: usize, const HALF: usize> {
    /// Of each column the pairs of rows; what is last is left out.
    pairs: [[[__m256i; 2]; HALF]; SIZE],
    /// The last row, paired along the row.
    last: [[__m256i; 2]; HALF],
    bias: [__m256i; 2],
    multiplier: [__m256; 2],
}

/// A column of sixteen channels, 16 bits each.
#[derive(Clone, Copy)]
struct Column<const HALF: usize> {
    /// Rows 0 and 1 interleaved, 2 and 3; what is last is not in use.
    pairs: [[__m256i; 2]; HALF],
    last: __m256i,
}

impl<const SIZE: usize, const HALF: usize> Block<SIZE, HALF> {
    /// # Safety
    /// [`check`] must have passed; `first` is a channel and a multiple of 16.
    #[target_feature(enable = "avx2")]
    unsafe fn new(weights: &Depthwise<'_>, requantise: &Requantise<'_>, first: usize) -> Self {
        let weight = |channel: usize, ky: usize, kx: usize| match kx < SIZE {
            true => i16::from(weights.packed[place(SIZE, first + channel, ky, kx)].cast_signed()),
            false => 0,
        };
        let zero = _mm256_setzero_si256();
        let mut block = Self {
            pairs: [[[zero; 2]; HALF]; SIZE],
            last: [[zero; 2]; HALF],
            // SAFETY: tables are padded to sixteen channels.
            bias: unsafe { interleaved(weights.bias.as_ptr().add(first)) },
            // SAFETY: as above.
            multiplier: unsafe { interleaved(requantise.multiplier.as_ptr().add(first).cast()) }
                .map(|words| _mm256_castsi256_ps(words)),
        };
        for (kx, column) in block.pairs.iter_mut().enumerate() {
            for (pair, words) in column[..HALF - 1].iter_mut().enumerate() {
                *words = pair_weights(|c| [weight(c, 2 * pair, kx), weight(c, 2 * pair + 1, kx)]);
            }
        }
        for (pair, words) in block.last.iter_mut().enumerate() {
            let (left, right) = (2 * pair, 2 * pair + 1);
            *words = pair_weights(|c| [weight(c, SIZE - 1, left), weight(c, SIZE - 1, right)]);
        }
        block
    }

    /// # Safety
    /// [`check`] must have passed; each location must have sixteen bytes from `first` on, or eight
    /// unless `LONG`.
    #[target_feature(enable = "avx2")]
    unsafe fn row<const STRIDE: usize, const LONG: bool>(
        &self,
        rule: &Rule,
        rows: &[&[u8]],
        input: &Input,
        first: usize,
        out: &mut [u8],
    ) {
        let rows: [*const u8; SIZE] = std::array::from_fn(|ky| rows[ky].as_ptr());
        let mut at = 0;
        // SAFETY: `column` reads inside of the rows only.
        unsafe {
            let mut columns: [Column<HALF>; SIZE] =
                [column::<SIZE, HALF, LONG>(&rows, input, first, 0); SIZE];
            for (kx, place) in columns.iter_mut().enumerate().skip(1) {
                *place = column::<SIZE, HALF, LONG>(&rows, input, first, kx);
            }
            loop {
                let bytes = self.output(rule, &columns);
                let to = out.as_mut_ptr().add(at * input.location + first);
                match LONG {
                    true => _mm_storeu_si128(to.cast(), bytes),
                    false => _mm_storel_epi64(to.cast(), bytes),
                }
                at += 1;
                if at * input.location == out.len() {
                    return;
                }
                for kx in 0..SIZE - STRIDE {
                    columns[kx] = columns[kx + STRIDE];
                }
                for kx in SIZE - STRIDE..SIZE {
                    columns[kx] = column::<SIZE, HALF, LONG>(&rows, input, first, at * STRIDE + kx);
                }
            }
        }
    }

    /// Sixteen channels of one output.
    #[target_feature(enable = "avx2")]
    #[inline]
    fn output(&self, rule: &Rule, columns: &[Column<HALF>; SIZE]) -> __m128i {
        let [mut low, mut high] = self.bias;
        for kx in 0..SIZE {
            for pair in 0..HALF - 1 {
                let (values, weights) = (&columns[kx].pairs[pair], &self.pairs[kx][pair]);
                low = _mm256_add_epi32(low, _mm256_madd_epi16(values[0], weights[0]));
                high = _mm256_add_epi32(high, _mm256_madd_epi16(values[1], weights[1]));
            }
        }
        for pair in 0..HALF {
            let left = columns[2 * pair].last;
            // Beyond the window the weight is 0.
            let right = columns[(2 * pair + 1).min(SIZE - 1)].last;
            let weights = &self.last[pair];
            let products = _mm256_madd_epi16(_mm256_unpacklo_epi16(left, right), weights[0]);
            low = _mm256_add_epi32(low, products);
            let products = _mm256_madd_epi16(_mm256_unpackhi_epi16(left, right), weights[1]);
            high = _mm256_add_epi32(high, products);
        }
        narrow_interleaved(
            rule.apply(low, self.multiplier[0], None),
            rule.apply(high, self.multiplier[1], None),
        )
    }
}

/// The column at `x`, counted from the padding on.
///
/// # Safety
/// Each row must have the input's locations, of sixteen bytes from `first` on, or eight unless
/// `LONG`.
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn column<const SIZE: usize, const HALF: usize, const LONG: bool>(
    rows: &[*const u8; SIZE],
    input: &Input,
    first: usize,
    x: usize,
) -> Column<HALF> {
    let mut values = [_mm256_set1_epi16(i16::from(input.zero)); SIZE];
    let x = x.wrapping_sub(input.pad_left);
    if x < input.width {
        let at = x * input.location + first;
        for ky in 0..SIZE {
            // SAFETY: the location is one of the row's, and its bytes are there.
            values[ky] = unsafe {
                let at = rows[ky].add(at);
                _mm256_cvtepu8_epi16(match LONG {
                    true => _mm_loadu_si128(at.cast()),
                    false => _mm_loadl_epi64(at.cast()),
                })
            };
        }
    }
    let mut column = Column {
        pairs: [[values[0]; 2]; HALF],
        last: values[SIZE - 1],
    };
    for pair in 0..HALF - 1 {
        let (above, below) = (values[2 * pair], values[2 * pair + 1]);
        column.pairs[pair] = [
            _mm256_unpacklo_epi16(above, below),
            _mm256_unpackhi_epi16(above, below),
        ];
    }
    column
}

/// Sixteen numbers of 32 bits in the order of the registers.
///
/// # Safety
/// `at` must have sixteen numbers behind it.
#[target_feature(enable = "avx2")]
unsafe fn interleaved(at: *const i32) -> [__m256i; 2] {
    // SAFETY: as the caller says.
    let (first, second) = unsafe {
        (
            _mm256_loadu_si256(at.cast()),
            _mm256_loadu_si256(at.add(8).cast()),
        )
    };
    [
        _mm256_permute2x128_si256::<0x20>(first, second),
        _mm256_permute2x128_si256::<0x31>(first, second),
    ]
}

/// Pairs of weights of sixteen channels in the order of the registers.
#[target_feature(enable = "avx2")]
fn pair_weights(pair: impl Fn(usize) -> [i16; 2]) -> [__m256i; 2] {
    let words: [i32; OUTPUTS] = std::array::from_fn(|channel| {
        let [low, high] = pair(channel);
        i32::from(low) & 0xFFFF | i32::from(high) << 16
    });
    // SAFETY: sixteen numbers stand there.
    unsafe { interleaved(words.as_ptr()) }
}
