//! Sixty-four channels at a time: rows meet in dwords by unpacking, which packing undoes at the end, so that channels are
//! in order again without another step. A column is read once and goes to all outputs that it is part of.

use std::arch::x86_64::*;

use super::super::super::requantise::avx512::Packed;
use super::super::{Depthwise, Input, OUTPUTS, Requantise, block_length};

/// Channels of a block.
pub(super) const WIDE: usize = 64;
/// Registers of one number a channel. Register `j` holds channels `16·l + 4·j ..+ 4` in its lane `l`.
const PARTS: usize = 4;

/// One number a channel.
type Channels = [__m512i; PARTS];

/// Weights of sixty-four channels.
pub(super) struct Block<const SIZE: usize, const GROUPS: usize> {
    weights: [[Channels; GROUPS]; SIZE],
    bias: Channels,
    multipliers: [__m512; PARTS],
}

impl<const SIZE: usize, const GROUPS: usize> Block<SIZE, GROUPS> {
    /// # Safety
    /// [`check`](super::super::check) must have passed; `first` is a multiple of 16, and sixty-four channels of the
    /// padded tables stand there.
    #[target_feature(enable = "avx512f")]
    pub(super) unsafe fn new(
        weights: &Depthwise<'_>,
        requantise: &Requantise<'_>,
        first: usize,
    ) -> Self {
        // SAFETY: the tables have sixty-four channels from `first` on, and blocks of sixteen channels stand a block's length
        // apart.
        unsafe {
            let table = |numbers: *const u8, part: usize| {
                let start = numbers.add(4 * first + 16 * part);
                lanes(start, 4 * OUTPUTS)
            };
            let bias = weights.bias.as_ptr().cast();
            let multipliers = requantise.multiplier.as_ptr().cast();
            let packed = weights.packed.as_ptr();
            let packed = packed.add(first / OUTPUTS * block_length(SIZE));
            let mut block = Self {
                weights: [[[_mm512_setzero_si512(); PARTS]; GROUPS]; SIZE],
                bias: [0, 1, 2, 3].map(|part| table(bias, part)),
                multipliers: [0, 1, 2, 3].map(|part| _mm512_castsi512_ps(table(multipliers, part))),
            };
            for kx in 0..SIZE {
                for group in 0..GROUPS {
                    for part in 0..PARTS {
                        let start = packed.add((kx * GROUPS + group) * super::BLOCK + 16 * part);
                        block.weights[kx][group][part] = lanes(start, block_length(SIZE));
                    }
                }
            }
            block
        }
    }

    /// All outputs, one after the other, while sums of the next `SLOTS - 1` grow beside: as many as a column may be part
    /// of.
    ///
    /// # Safety
    /// [`check`](super::super::check) must have passed; each location must have sixty-four bytes from `first` on.
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    pub(super) unsafe fn row<
        const STRIDE: usize,
        const SLOTS: usize,
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
        let padding = _mm512_set1_epi32(i32::from_ne_bytes([input.zero; 4]));
        let column = |x: usize| {
            let inside = x.wrapping_sub(input.pad_left);
            match inside < input.width {
                // SAFETY: the location is one of the rows'.
                true => unsafe { column::<SIZE, GROUPS>(&rows, inside * input.location + first) },
                false => [[padding; PARTS]; GROUPS],
            }
        };
        let mut sums = [self.bias; SLOTS];
        for kx in 0..SIZE - STRIDE {
            self.add::<STRIDE, SLOTS>(&mut sums, &column(kx), kx);
        }
        for (at, out) in out.chunks_exact_mut(input.location).enumerate() {
            for kx in SIZE - STRIDE..SIZE {
                self.add::<STRIDE, SLOTS>(&mut sums, &column(at * STRIDE + kx), kx);
            }
            let bytes = packed.apply_in_lanes(sums[0], self.multipliers);
            // SAFETY: the location has sixty-four bytes from `first` on.
            unsafe { _mm512_storeu_si512(out.as_mut_ptr().add(first).cast(), bytes) };
            for slot in 1..SLOTS {
                sums[slot - 1] = sums[slot];
            }
            sums[SLOTS - 1] = self.bias;
        }
    }

    /// Adds the products of a column that is number `kx` of the first output's.
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    #[inline]
    fn add<const STRIDE: usize, const SLOTS: usize>(
        &self,
        sums: &mut [Channels; SLOTS],
        column: &[Channels; GROUPS],
        kx: usize,
    ) {
        for slot in 0..SLOTS {
            if let Some(kx) = kx.checked_sub(slot * STRIDE) {
                for group in 0..GROUPS {
                    for part in 0..PARTS {
                        sums[slot][part] = _mm512_dpbusd_epi32(
                            sums[slot][part],
                            column[group][part],
                            self.weights[kx][group][part],
                        );
                    }
                }
            }
        }
    }
}

/// The sixteen bytes at `start` and at three steps behind it, a lane each.
///
/// # Safety
/// They must be readable.
#[target_feature(enable = "avx512f")]
#[inline]
unsafe fn lanes(start: *const u8, step: usize) -> __m512i {
    // SAFETY: as the caller says.
    unsafe {
        let load = |lane: usize| _mm_loadu_si128(start.add(lane * step).cast());
        let lanes = _mm512_castsi128_si512(load(0));
        let lanes = _mm512_inserti32x4::<1>(lanes, load(1));
        let lanes = _mm512_inserti32x4::<2>(lanes, load(2));
        _mm512_inserti32x4::<3>(lanes, load(3))
    }
}

/// The column whose channels begin at byte `at` of each row: of each channel dwords of four rows, the first lowest; what is
/// beyond the last row means nothing, for it meets weights of 0.
///
/// # Safety
/// Each row must have sixty-four bytes there.
#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
unsafe fn column<const SIZE: usize, const GROUPS: usize>(
    rows: &[*const u8; SIZE],
    at: usize,
) -> [Channels; GROUPS] {
    // SAFETY: as the caller says.
    let load = |ky: usize| unsafe { _mm512_loadu_si512(rows[ky].add(at).cast()) };
    let mut column = [[_mm512_setzero_si512(); PARTS]; GROUPS];
    for group in 0..GROUPS {
        let last = SIZE - 1 - 4 * group;
        let row = |ky: usize| load(4 * group + ky.min(last));
        let low = [
            _mm512_unpacklo_epi8(row(0), row(1)),
            _mm512_unpacklo_epi8(row(2), row(3)),
        ];
        let high = [
            _mm512_unpackhi_epi8(row(0), row(1)),
            _mm512_unpackhi_epi8(row(2), row(3)),
        ];
        column[group] = [
            _mm512_unpacklo_epi16(low[0], low[1]),
            _mm512_unpackhi_epi16(low[0], low[1]),
            _mm512_unpacklo_epi16(high[0], high[1]),
            _mm512_unpackhi_epi16(high[0], high[1]),
        ];
    }
    column
}
