//! Sixty-four channels at a time: rows meet in dwords by unpacking, which packing undoes at the end, so that channels are
//! in order again without another step. A column is read once and goes to all outputs that it is part of.
//!
//! Four rows of a column are a dword. Of windows of five rows the fifth stands in dwords of four columns instead, which
//! takes two instructions an output instead of five.

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
pub(super) struct Block<const SIZE: usize> {
    /// Of the first four rows, column by column.
    weights: [Channels; SIZE],
    /// Of the fifth row, where there is one: of an output's columns 1 to 4, and of the next output's column 0 where that
    /// stands among these.
    fifth: [Channels; 2],
    bias: Channels,
    multipliers: [__m512; PARTS],
}

impl<const SIZE: usize> Block<SIZE> {
    /// # Safety
    /// [`check`](super::super::check) must have passed; `first` is a multiple of 16, and sixty-four channels of the
    /// padded tables stand there.
    #[target_feature(enable = "avx512f")]
    pub(super) unsafe fn new<const STRIDE: usize>(
        weights: &Depthwise<'_>,
        requantise: &Requantise<'_>,
        first: usize,
    ) -> Self {
        // SAFETY: the tables have sixty-four channels from `first` on, and blocks of sixteen channels stand a block's length
        // apart.
        unsafe {
            let table = |numbers: *const u8| {
                let start = numbers.add(4 * first);
                [0, 1, 2, 3].map(|part| lanes(start.add(16 * part), 4 * OUTPUTS))
            };
            let packed = weights.packed.as_ptr();
            let packed = packed.add(first / OUTPUTS * block_length(SIZE));
            let dwords = |kx: usize, group: usize| {
                let start = packed.add((kx * SIZE.div_ceil(4) + group) * super::BLOCK);
                [0, 1, 2, 3].map(|part| lanes(start.add(16 * part), block_length(SIZE)))
            };
            let mut block = Self {
                weights: [[_mm512_setzero_si512(); PARTS]; SIZE],
                fifth: [[_mm512_setzero_si512(); PARTS]; 2],
                bias: table(weights.bias.as_ptr().cast()),
                multipliers: table(requantise.multiplier.as_ptr().cast())
                    .map(|numbers| _mm512_castsi512_ps(numbers)),
            };
            for kx in 0..SIZE {
                block.weights[kx] = dwords(kx, 0);
                if SIZE > 4 {
                    // The fifth row's weight is the lowest byte, beside zeros.
                    let (of, byte) = match kx {
                        0 => (1, STRIDE - 1),
                        _ => (0, kx - 1),
                    };
                    let dwords = dwords(kx, 1);
                    for part in 0..PARTS {
                        let count = _mm_cvtsi32_si128(8 * byte as i32);
                        let moved = _mm512_sll_epi32(dwords[part], count);
                        block.fifth[of][part] = _mm512_or_si512(block.fifth[of][part], moved);
                    }
                }
            }
            block
        }
    }

    /// Row by row.
    ///
    /// # Safety
    /// [`check`](super::super::check) must have passed, of which `rows` come; each location must have sixty-four bytes
    /// from `first` on.
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    pub(super) unsafe fn rows<
        'a,
        const STRIDE: usize,
        const SLOTS: usize,
        const HARD_SWISH: bool,
        const CLAMP: bool,
    >(
        &self,
        packed: &Packed<HARD_SWISH, false, CLAMP>,
        rows: impl Iterator<Item = (&'a [&'a [u8]], &'a mut [u8])>,
        input: &Input,
        first: usize,
    ) {
        for (rows, out) in rows {
            // SAFETY: as the caller says.
            unsafe { self.row::<STRIDE, SLOTS, _, _>(packed, rows, input, first, out) };
        }
    }

    /// All outputs of a row, one after the other, while sums of the next `SLOTS - 1` grow beside: as many as a column may
    /// be part of.
    ///
    /// # Safety
    /// As for [`Self::rows`].
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    #[inline]
    unsafe fn row<
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
        let padding = _mm512_set1_epi8(input.zero.cast_signed());
        // Sixty-four channels of a row; columns are counted from the padding on.
        let load = |ky: usize, x: usize| {
            let inside = x.wrapping_sub(input.pad_left);
            match inside < input.width {
                // SAFETY: the location is one of the rows', with sixty-four bytes from `first` on.
                true => unsafe {
                    let at = inside * input.location + first;
                    _mm512_loadu_si512(rows[ky].add(at).cast())
                },
                false => padding,
            }
        };
        // What is beyond the last row meets weights of 0.
        let column = |x: usize| meet([0, 1, 2, 3].map(|ky: usize| load(ky.min(SIZE - 1), x)));
        let fifth = |x: usize| meet([1, 2, 3, 4].map(|kx: usize| load(4, x.wrapping_add(kx))));
        let mut sums = [self.bias; SLOTS];
        for kx in 0..SIZE - STRIDE {
            self.add::<STRIDE, SLOTS>(&mut sums, &column(kx), kx);
        }
        if SIZE > 4 {
            add(
                &mut sums[0],
                &fifth(0usize.wrapping_sub(STRIDE)),
                &self.fifth[1],
            );
        }
        for (at, out) in out.chunks_exact_mut(input.location).enumerate() {
            for kx in SIZE - STRIDE..SIZE {
                self.add::<STRIDE, SLOTS>(&mut sums, &column(at * STRIDE + kx), kx);
            }
            if SIZE > 4 {
                let fifth = fifth(at * STRIDE);
                add(&mut sums[0], &fifth, &self.fifth[0]);
                add(&mut sums[1], &fifth, &self.fifth[1]);
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

    /// Adds the products of four rows of a column that is number `kx` of the first output's.
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    #[inline]
    fn add<const STRIDE: usize, const SLOTS: usize>(
        &self,
        sums: &mut [Channels; SLOTS],
        column: &Channels,
        kx: usize,
    ) {
        for slot in 0..SLOTS {
            if let Some(kx) = kx.checked_sub(slot * STRIDE) {
                add(&mut sums[slot], column, &self.weights[kx]);
            }
        }
    }
}

#[target_feature(enable = "avx512f,avx512vnni")]
#[inline]
fn add(sums: &mut Channels, values: &Channels, weights: &Channels) {
    for part in 0..PARTS {
        sums[part] = _mm512_dpbusd_epi32(sums[part], values[part], weights[part]);
    }
}

/// Dwords of each channel's bytes in four rows, the first lowest.
#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
fn meet(rows: [__m512i; 4]) -> Channels {
    let [a, b, c, d] = rows;
    let low = [_mm512_unpacklo_epi8(a, b), _mm512_unpacklo_epi8(c, d)];
    let high = [_mm512_unpackhi_epi8(a, b), _mm512_unpackhi_epi8(c, d)];
    [
        _mm512_unpacklo_epi16(low[0], low[1]),
        _mm512_unpackhi_epi16(low[0], low[1]),
        _mm512_unpacklo_epi16(high[0], high[1]),
        _mm512_unpackhi_epi16(high[0], high[1]),
    ]
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
