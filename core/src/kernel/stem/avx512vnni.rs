//! AVX-512 VNNI: eight outputs by sixteen channels at a time.

#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::super::pack::OUTPUTS;
use super::super::requantise::avx512::{Packed, Rule};
use super::{
    Cpu, DEPTH, INPUTS, LONGEST_STRIDE, Requantise, RowsMut, SIZE, Stem, TILE, WIDE, Weights, reach,
};

/// Dwords of a row of a window.
const DWORDS: usize = WIDE / 4;

pub(super) fn stem(cpu: Cpu) -> Option<Stem> {
    cpu.has_avx512_vnni().then_some(run as Stem)
}

// Reached only through the function above.
fn run(
    rows: [&[u8]; SIZE],
    stride: usize,
    weights: &Weights<'_>,
    requantise: &Requantise<'_>,
    out: &mut RowsMut<'_>,
) {
    check(rows, stride, weights, requantise, out);
    for number in 0..weights.outputs.div_ceil(OUTPUTS) {
        // SAFETY: `stem` gives this function away only if the processor has AVX-512 VNNI; the lengths were checked above.
        unsafe {
            let block = Block::new(weights, requantise, number);
            if let Some(packed) = Packed::<false, false, false>::new(requantise) {
                block.tiles(&packed, rows, stride, out);
            } else if let Some(packed) = Packed::<false, false, true>::new(requantise) {
                block.tiles(&packed, rows, stride, out);
            } else if let Some(packed) = Packed::<true, false, false>::new(requantise) {
                block.tiles(&packed, rows, stride, out);
            } else {
                block.singles(&Rule::new(requantise), rows, stride, out);
            }
        }
    }
}

/// Sixteen channels.
struct Block {
    weights: *const i8,
    /// Three, and not known when this is compiled: unrolled, compilers read all of a window first and have no registers
    /// left for the sums.
    size: usize,
    bias: __m512i,
    multiplier: __m512,
    /// The first channel.
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
        let first = at * INPUTS;
        // SAFETY: tables are padded to whole blocks.
        unsafe {
            Self {
                weights: weights.packed.as_ptr().add(first).cast(),
                size: weights.inputs / WIDE,
                bias: _mm512_loadu_si512(weights.bias.as_ptr().add(at).cast()),
                multiplier: _mm512_loadu_ps(requantise.multiplier.as_ptr().add(at)),
                at,
                half: weights.outputs - at <= 8,
            }
        }
    }

    /// All outputs, eight at a time; of the last eight those that are not there are left out.
    ///
    /// # Safety
    /// [`check`] must have passed.
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    unsafe fn tiles<const HARD_SWISH: bool, const CLAMP: bool>(
        &self,
        packed: &Packed<HARD_SWISH, false, CLAMP>,
        rows: [&[u8]; SIZE],
        stride: usize,
        out: &mut RowsMut<'_>,
    ) {
        for first in (0..out.count).step_by(TILE) {
            // SAFETY: rows have what the windows of eight outputs from any multiple of eight on read.
            let sums: [__m512i; TILE] = unsafe { self.sums(rows, first, stride) };
            let none = [_mm_setzero_si128(); 4];
            let [a, b, c, d, rest @ ..] = sums;
            // SAFETY: as the caller says; outputs that are not there are not stored.
            unsafe {
                let bytes = packed.apply([a, b, c, d], [self.multiplier; 4], none);
                self.store_four(out, first, bytes);
                let bytes = packed.apply(rest, [self.multiplier; 4], none);
                self.store_four(out, first + 4, bytes);
            }
        }
    }

    /// All outputs one by one, for rules that [`Packed`] does not know.
    ///
    /// # Safety
    /// [`check`] must have passed.
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    unsafe fn singles(
        &self,
        rule: &Rule,
        rows: [&[u8]; SIZE],
        stride: usize,
        out: &mut RowsMut<'_>,
    ) {
        for x in 0..out.count {
            // SAFETY: the output is there.
            unsafe {
                let [sum] = self.sums(rows, x, stride);
                self.store(out, x, rule.apply(sum, self.multiplier, None));
            }
        }
    }

    /// The sums of `N` outputs from `first` on.
    ///
    /// # Safety
    /// [`check`] must have passed; `first + N` must be at most the outputs rounded up to a multiple of [`TILE`].
    #[target_feature(enable = "avx512f,avx512vnni")]
    #[inline]
    unsafe fn sums<const N: usize>(
        &self,
        rows: [&[u8]; SIZE],
        first: usize,
        stride: usize,
    ) -> [__m512i; N] {
        let mut sums = [self.bias; N];
        let mut weights = self.weights;
        let step = stride * DEPTH;
        // SAFETY: a row has twelve bytes at each output, which meet three dwords of each channel; unaligned loads are
        // asked for. There are three rows.
        unsafe {
            for ky in 0..self.size {
                let row = rows.get_unchecked(ky).as_ptr().add(first * step);
                for dword in 0..DWORDS {
                    let four = _mm512_loadu_si512(weights.add(64 * dword).cast());
                    for n in 0..N {
                        let values = row.add(n * step + 4 * dword).cast::<i32>();
                        let values = _mm512_set1_epi32(values.read_unaligned());
                        sums[n] = _mm512_dpbusd_epi32(sums[n], values, four);
                    }
                }
                weights = weights.wrapping_add(64 * DWORDS);
            }
        }
        sums
    }

    /// Four outputs from `x` on, as far as they are there.
    ///
    /// # Safety
    /// [`check`] must have passed.
    #[target_feature(enable = "avx512f,avx512bw")]
    #[inline]
    unsafe fn store_four(&self, out: &mut RowsMut<'_>, x: usize, bytes: __m512i) {
        // SAFETY: as the caller says.
        unsafe {
            if out.stride == OUTPUTS && !self.half && x + 4 <= out.count {
                return _mm512_storeu_si512(out.row(x).cast(), bytes);
            }
            self.store(out, x, _mm512_castsi512_si128(bytes));
            self.store(out, x + 1, _mm512_extracti32x4_epi32::<1>(bytes));
            self.store(out, x + 2, _mm512_extracti32x4_epi32::<2>(bytes));
            self.store(out, x + 3, _mm512_extracti32x4_epi32::<3>(bytes));
        }
    }

    /// One output, if it is there.
    ///
    /// # Safety
    /// [`check`] must have passed.
    #[target_feature(enable = "avx512f")]
    #[inline]
    unsafe fn store(&self, out: &mut RowsMut<'_>, x: usize, bytes: __m128i) {
        if x < out.count {
            // SAFETY: each location has the channels, rounded up to 8 or 16.
            unsafe {
                let to = out.row(x).add(self.at);
                match self.half {
                    true => _mm_storel_epi64(to.cast(), bytes),
                    false => _mm_storeu_si128(to.cast(), bytes),
                }
            }
        }
    }
}

/// What makes the pointers of a kernel sound.
fn check(
    rows: [&[u8]; SIZE],
    stride: usize,
    weights: &Weights<'_>,
    requantise: &Requantise<'_>,
    out: &RowsMut<'_>,
) {
    let padded = weights.outputs.next_multiple_of(OUTPUTS);
    assert!((1..=LONGEST_STRIDE).contains(&stride), "stride {stride}");
    let reach = reach(out.count, stride);
    assert!(
        rows.iter().all(|row| row.len() >= reach),
        "fewer than {reach} bytes in a row"
    );
    assert!(
        weights.inputs == INPUTS && weights.packed.len() == padded * INPUTS,
        "weights do not match"
    );
    assert!(
        weights.bias.len() >= padded && requantise.multiplier.len() >= padded,
        "fewer than {padded} biases or multipliers"
    );
    assert!(
        out.hold(weights.outputs.next_multiple_of(8)),
        "output does not match"
    );
}
