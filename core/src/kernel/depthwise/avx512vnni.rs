//! AVX-512 VNNI: sixteen channels of an output at a time; the taps of one column are one dword of each
//! channel, and meet their weights in one instruction (`vpdpbusd`), exact for all weights.

#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::super::requantise::avx512::{Packed, Rule};
use super::{BLOCK, Cpu, Depthwise, DepthwiseRow, Input, OUTPUTS, Requantise, block_length, check};

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
            (3, 1) => all_blocks::<3, 1, 1, 6>(rows, &input, weights, requantise, out),
            (3, _) => all_blocks::<3, 2, 1, 9>(rows, &input, weights, requantise, out),
            (_, 1) => all_blocks::<5, 1, 2, 8>(rows, &input, weights, requantise, out),
            _ => all_blocks::<5, 2, 2, 11>(rows, &input, weights, requantise, out),
        }
    }
}

/// # Safety
/// [`check`] must have passed; `SIZE` and `STRIDE` must be those of the weights, `GROUPS` a quarter
/// of `SIZE` rounded up, `WIDE` the columns that four outputs read.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn all_blocks<
    const SIZE: usize,
    const STRIDE: usize,
    const GROUPS: usize,
    const WIDE: usize,
>(
    rows: &[&[u8]],
    input: &Input,
    weights: &Depthwise<'_>,
    requantise: &Requantise<'_>,
    out: &mut [u8],
) {
    let rule = Rule::new(requantise);
    let packed = Packed::new(requantise);
    for first in (0..weights.channels).step_by(OUTPUTS) {
        // SAFETY: tables are padded to sixteen channels; rows and outputs have eight or sixteen
        // bytes from `first` on in each location, and `LONG` says which.
        unsafe {
            let block = Block::<SIZE, GROUPS>::new(weights, requantise, first);
            match (input.location - first, &packed) {
                (8, _) => block.row::<STRIDE, false>(&rule, rows, input, first, out),
                (_, Some(packed)) if out.len() >= 4 * input.location => {
                    block.fours::<STRIDE, WIDE>(packed, rows, input, first, out);
                }
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
            let bytes = rule.apply(self.sum(&columns, 0), self.multiplier, None);
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
    unsafe fn fours<const STRIDE: usize, const WIDE: usize>(
        &self,
        packed: &Packed,
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
            let sums = [
                self.sum(&columns, 0),
                self.sum(&columns, STRIDE),
                self.sum(&columns, 2 * STRIDE),
                self.sum(&columns, 3 * STRIDE),
            ];
            let bytes = packed.apply(sums, [self.multiplier; 4]);
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

    /// The sums of the output whose window begins at one of the columns.
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    #[inline]
    fn sum<const WIDE: usize>(&self, columns: &[[__m512i; GROUPS]; WIDE], from: usize) -> __m512i {
        let mut sums = self.bias;
        for kx in 0..SIZE {
            for group in 0..GROUPS {
                let values = columns[from + kx][group];
                sums = _mm512_dpbusd_epi32(sums, values, self.weights[kx][group]);
            }
        }
        sums
    }
}

/// The column at `x`, counted from the padding on: of each channel a dword of four rows, the first
/// lowest; what is beyond the last row is 0.
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
    let mut column = [_mm512_setzero_si512(); GROUPS];
    for group in 0..GROUPS {
        let first = 4 * group;
        // SAFETY: the caller says that the bytes are there.
        let mut dwords = unsafe { spread::<LONG, 0>(rows[first].add(at)) };
        if first + 1 < SIZE {
            // SAFETY: as above.
            dwords = _mm512_or_si512(dwords, unsafe {
                spread::<LONG, 1>(rows[first + 1].add(at))
            });
        }
        if first + 2 < SIZE {
            // SAFETY: as above.
            dwords = _mm512_or_si512(dwords, unsafe {
                spread::<LONG, 2>(rows[first + 2].add(at))
            });
        }
        if first + 3 < SIZE {
            // SAFETY: as above.
            dwords = _mm512_or_si512(dwords, unsafe {
                spread::<LONG, 3>(rows[first + 3].add(at))
            });
        }
        column[group] = dwords;
    }
    column
}

/// Sixteen channels of one row, each as byte `BYTE` of a dword.
///
/// # Safety
/// `at` must have sixteen bytes behind it, or eight unless `LONG`.
#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
unsafe fn spread<const LONG: bool, const BYTE: usize>(at: *const u8) -> __m512i {
    // SAFETY: as the caller says.
    let bytes = unsafe {
        match LONG {
            true => _mm_loadu_si128(at.cast()),
            false => _mm_loadl_epi64(at.cast()),
        }
    };
    // Channel c is byte c % 16 of each lane; a negative index gives 0.
    const fn places(byte: usize) -> [i32; 16] {
        let mut places = [0; 16];
        let mut channel = 0;
        while channel < 16 {
            let empty = 0x8080_8080_u32 & !(0xFF << (8 * byte));
            places[channel] = (empty | (channel as u32) << (8 * byte)).cast_signed();
            channel += 1;
        }
        places
    }
    let places = const { places(BYTE) };
    // SAFETY: 64 bytes stand there.
    let places = unsafe { _mm512_loadu_si512(places.as_ptr().cast()) };
    _mm512_shuffle_epi8(_mm512_broadcast_i32x4(bytes), places)
}
