//! arm64 with dot products: sixteen channels of an output at a time; the taps of one column are a
//! dword of each channel and meet their weights in one instruction (`sdot`). Values are shifted to
//! signed numbers; the shift comes back as 128 times the sum of the weights.

#![allow(unsafe_code)]

use std::arch::aarch64::*;
use std::arch::asm;

use super::super::requantise::neon::{Rule, multipliers};
use super::{
    BLOCK, Cpu, Depthwise, DepthwiseRows, Input, OUTPUTS, Requantise, block_length, check, each_row,
};

pub(super) fn depthwise_rows(cpu: Cpu) -> Option<DepthwiseRows> {
    cpu.has_sdot().then_some(run as DepthwiseRows)
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
        // SAFETY: `depthwise_rows` gives this function away only if the processor has dot products; the
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
}

/// # Safety
/// [`check`] must have passed; `SIZE` and `STRIDE` must be those of the weights, `GROUPS` a quarter
/// of `SIZE` rounded up.
#[target_feature(enable = "neon,dotprod")]
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

/// Four channels a register, a dword of four rows each.
type Dwords = [int8x16_t; 4];

/// Weights of sixteen channels.
struct Block<const SIZE: usize, const GROUPS: usize> {
    weights: [[Dwords; GROUPS]; SIZE],
    bias: [int32x4_t; 4],
    multiplier: [float32x4_t; 4],
}

impl<const SIZE: usize, const GROUPS: usize> Block<SIZE, GROUPS> {
    /// # Safety
    /// [`check`] must have passed; `first` is a channel and a multiple of 16.
    #[target_feature(enable = "neon")]
    unsafe fn new(weights: &Depthwise<'_>, requantise: &Requantise<'_>, first: usize) -> Self {
        let mut block = Self {
            weights: [[[vdupq_n_s8(0); 4]; GROUPS]; SIZE],
            bias: [vdupq_n_s32(0); 4],
            // SAFETY: tables are padded to sixteen channels.
            multiplier: unsafe { multipliers(requantise.multiplier.as_ptr().add(first)) },
        };
        for (quarter, bias) in block.bias.iter_mut().enumerate() {
            let at = first + 4 * quarter;
            // SAFETY: as above.
            let (start, sums) = unsafe {
                (
                    vld1q_s32(weights.bias.as_ptr().add(at)),
                    vld1q_s32(weights.sums.as_ptr().add(at)),
                )
            };
            *bias = vmlaq_n_s32(start, sums, 128);
        }
        let packed = &weights.packed[first / OUTPUTS * block_length(SIZE)..];
        let (dwords, _) = packed.as_chunks::<BLOCK>();
        for (at, dwords) in dwords[..SIZE * GROUPS].iter().enumerate() {
            for quarter in 0..4 {
                // SAFETY: 64 bytes stand there.
                block.weights[at / GROUPS][at % GROUPS][quarter] =
                    unsafe { vld1q_s8(dwords.as_ptr().add(16 * quarter).cast()) };
            }
        }
        block
    }

    /// # Safety
    /// [`check`] must have passed; each location must have sixteen bytes from `first` on, or eight
    /// unless `LONG`.
    #[target_feature(enable = "neon,dotprod")]
    unsafe fn row<const STRIDE: usize, const LONG: bool>(
        &self,
        rule: &Rule,
        rows: &[&[u8]],
        input: &Input,
        first: usize,
        out: &mut [u8],
    ) {
        let rows: [*const u8; SIZE] = std::array::from_fn(|ky| rows[ky].as_ptr());
        let mut columns = [[[vdupq_n_s8(0); 4]; GROUPS]; SIZE];
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
                    for quarter in 0..4 {
                        let (values, weights) = (columns[kx][group], self.weights[kx][group]);
                        sums[quarter] = dot(sums[quarter], values[quarter], weights[quarter]);
                    }
                }
            }
            let bytes = rule.apply(sums, &self.multiplier, None);
            // SAFETY: the location has eight or sixteen bytes from `first` on.
            unsafe {
                let to = out.as_mut_ptr().add(first);
                match LONG {
                    true => vst1q_u8(to, bytes),
                    false => vst1_u8(to, vget_low_u8(bytes)),
                }
            }
        }
    }
}

/// The column at `x`, counted from the padding on: of each channel a dword of four rows, the first
/// lowest, shifted to signed numbers. What is beyond the last row meets weights of 0.
///
/// # Safety
/// Each row must have the input's locations, of sixteen bytes from `first` on, or eight unless
/// `LONG`.
#[target_feature(enable = "neon")]
#[inline]
unsafe fn column<const SIZE: usize, const GROUPS: usize, const LONG: bool>(
    rows: &[*const u8; SIZE],
    input: &Input,
    first: usize,
    x: usize,
) -> [Dwords; GROUPS] {
    let shift = vdupq_n_u8(0x80);
    let mut values = [veorq_u8(vdupq_n_u8(input.zero), shift); SIZE];
    let x = x.wrapping_sub(input.pad_left);
    if x < input.width {
        for ky in 0..SIZE {
            // SAFETY: the location is one of the row's, and its bytes are there.
            let bytes = unsafe {
                let at = rows[ky].add(x * input.location + first);
                match LONG {
                    true => vld1q_u8(at),
                    false => vcombine_u8(vld1_u8(at), vdup_n_u8(0)),
                }
            };
            values[ky] = veorq_u8(bytes, shift);
        }
    }
    let mut column = [[vdupq_n_s8(0); 4]; GROUPS];
    for (group, dwords) in column.iter_mut().enumerate() {
        let row = 4 * group;
        let [a, b, c, d] = [row, row + 1, row + 2, row + 3].map(|ky| values[ky.min(SIZE - 1)]);
        let low = (
            vreinterpretq_u16_u8(vzip1q_u8(a, b)),
            vreinterpretq_u16_u8(vzip1q_u8(c, d)),
        );
        let high = (
            vreinterpretq_u16_u8(vzip2q_u8(a, b)),
            vreinterpretq_u16_u8(vzip2q_u8(c, d)),
        );
        *dwords = [
            vreinterpretq_s8_u16(vzip1q_u16(low.0, low.1)),
            vreinterpretq_s8_u16(vzip2q_u16(low.0, low.1)),
            vreinterpretq_s8_u16(vzip1q_u16(high.0, high.1)),
            vreinterpretq_s8_u16(vzip2q_u16(high.0, high.1)),
        ];
    }
    column
}

/// Adds, to each of four sums, the products of four values with four weights. The intrinsic is not
/// stable yet.
#[target_feature(enable = "neon,dotprod")]
#[inline]
fn dot(mut sums: int32x4_t, values: int8x16_t, weights: int8x16_t) -> int32x4_t {
    // SAFETY: registers only; the processor has the instruction, since the feature is on here.
    unsafe {
        asm!(
            "sdot {sums:v}.4s, {values:v}.16b, {weights:v}.16b",
            sums = inout(vreg) sums,
            values = in(vreg) values,
            weights = in(vreg) weights,
            options(pure, nomem, nostack, preserves_flags)
        );
    }
    sums
}
