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
/// Channels that make a block worth it: with fewer, tables do not reach as far as a block does.
pub(super) const NARROWEST: usize = 56;
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

    /// Row by row, if [`Packed`] knows the rule.
    ///
    /// # Safety
    /// As for [`Self::rows`].
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    #[inline]
    pub(super) unsafe fn any<'a, const STRIDE: usize, const SLOTS: usize, const WHOLE: bool>(
        &self,
        requantise: &Requantise<'_>,
        rows: impl Iterator<Item = (&'a [&'a [u8]], &'a mut [u8])>,
        input: &Input,
        first: usize,
    ) -> bool {
        // SAFETY: as the caller says.
        unsafe {
            if let Some(packed) = Packed::<false, false, false>::new(requantise) {
                self.rows::<STRIDE, SLOTS, WHOLE, _, _>(&packed, rows, input, first);
            } else if let Some(packed) = Packed::<false, false, true>::new(requantise) {
                self.rows::<STRIDE, SLOTS, WHOLE, _, _>(&packed, rows, input, first);
            } else if let Some(packed) = Packed::<true, false, false>::new(requantise) {
                self.rows::<STRIDE, SLOTS, WHOLE, _, _>(&packed, rows, input, first);
            } else {
                return false;
            }
        }
        true
    }

    /// Row by row.
    ///
    /// # Safety
    /// [`check`](super::super::check) must have passed, of which `rows` come; each location must have sixty-four bytes
    /// from `first` on, or fifty-six unless `WHOLE`.
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    unsafe fn rows<
        'a,
        const STRIDE: usize,
        const SLOTS: usize,
        const WHOLE: bool,
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
            unsafe { self.row::<STRIDE, SLOTS, WHOLE, _, _>(packed, rows, input, first, out) };
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
        const WHOLE: bool,
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
        let source = Source { rows, input, first };
        let mut sums = [self.bias; SLOTS];
        for kx in 0..SIZE - STRIDE {
            // SAFETY: the rows have the input's locations, with the bytes that are read from `first` on.
            let column = unsafe { source.column::<WHOLE>(kx) };
            self.add::<STRIDE, SLOTS>(&mut sums, &column, kx);
        }
        if SIZE > 4 {
            // SAFETY: as above.
            let fifth = unsafe { source.fifth::<WHOLE>(0usize.wrapping_sub(STRIDE)) };
            add(&mut sums[0], &fifth, &self.fifth[1]);
        }
        for (at, out) in out.chunks_exact_mut(input.location).enumerate() {
            for kx in SIZE - STRIDE..SIZE {
                // SAFETY: as above.
                let column = unsafe { source.column::<WHOLE>(at * STRIDE + kx) };
                self.add::<STRIDE, SLOTS>(&mut sums, &column, kx);
            }
            if SIZE > 4 {
                // SAFETY: as above.
                let fifth = unsafe { source.fifth::<WHOLE>(at * STRIDE) };
                add(&mut sums[0], &fifth, &self.fifth[0]);
                add(&mut sums[1], &fifth, &self.fifth[1]);
            }
            let bytes = packed.apply_in_lanes(sums[0], self.multipliers);
            // SAFETY: the location has sixty-four bytes from `first` on, or fifty-six.
            unsafe {
                let to = out.as_mut_ptr().add(first);
                if WHOLE {
                    _mm512_storeu_si512(to.cast(), bytes);
                } else {
                    let rest = _mm512_extracti64x4_epi64::<1>(bytes);
                    _mm256_storeu_si256(to.cast(), _mm512_castsi512_si256(bytes));
                    _mm_storeu_si128(to.add(32).cast(), _mm256_castsi256_si128(rest));
                    _mm_storel_epi64(to.add(48).cast(), _mm256_extracti128_si256::<1>(rest));
                }
            }
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

/// Rows to read: columns are counted from the padding on.
struct Source<'a, const SIZE: usize> {
    rows: [*const u8; SIZE],
    input: &'a Input,
    first: usize,
}

impl<const SIZE: usize> Source<'_, SIZE> {
    /// Four rows of a column.
    ///
    /// # Safety
    /// As for [`Self::load`].
    #[target_feature(enable = "avx512f,avx512bw")]
    #[inline]
    unsafe fn column<const WHOLE: bool>(&self, x: usize) -> Channels {
        let mut rows = [_mm512_setzero_si512(); 4];
        for ky in 0..4 {
            // What is beyond the last row meets weights of 0.
            // SAFETY: as the caller says.
            rows[ky] = unsafe { self.load::<WHOLE>(ky.min(SIZE - 1), x) };
        }
        meet(rows)
    }

    /// The fifth row of the four columns behind one.
    ///
    /// # Safety
    /// As for [`Self::load`].
    #[target_feature(enable = "avx512f,avx512bw")]
    #[inline]
    unsafe fn fifth<const WHOLE: bool>(&self, x: usize) -> Channels {
        let mut columns = [_mm512_setzero_si512(); 4];
        for kx in 0..4 {
            // SAFETY: as the caller says.
            columns[kx] = unsafe { self.load::<WHOLE>(4, x.wrapping_add(kx + 1)) };
        }
        meet(columns)
    }

    /// The channels of one location: sixty-four, or fifty-six unless `WHOLE`.
    ///
    /// # Safety
    /// The rows must have the input's locations, with so many bytes from `first` on.
    #[target_feature(enable = "avx512f,avx512bw")]
    #[inline]
    unsafe fn load<const WHOLE: bool>(&self, ky: usize, x: usize) -> __m512i {
        let inside = x.wrapping_sub(self.input.pad_left);
        if inside >= self.input.width {
            return _mm512_set1_epi8(self.input.zero.cast_signed());
        }
        // SAFETY: the location is one of the row's.
        unsafe {
            let from = self.rows[ky].add(inside * self.input.location + self.first);
            match WHOLE {
                true => _mm512_loadu_si512(from.cast()),
                false => _mm512_maskz_loadu_epi8(u64::MAX >> (WIDE - NARROWEST), from.cast()),
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
