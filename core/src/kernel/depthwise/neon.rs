//! NEON: sixteen channels of an output at a time, by products of 16 bits with sums of 32 (`smlal`),
//! exact for all weights.

#![allow(unsafe_code)]

use std::arch::aarch64::*;

use super::super::requantise::neon::{Rule, multipliers};
use super::{Cpu, Depthwise, DepthwiseRows, Input, OUTPUTS, Requantise, check, each_row, place};

pub(super) fn depthwise_rows(cpu: Cpu) -> Option<DepthwiseRows> {
    cpu.has_neon().then_some(run as DepthwiseRows)
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
        // SAFETY: `depthwise_rows` gives this function away only if the processor has NEON; the lengths
        // were checked above, and the number of rows is the window's.
        unsafe {
            match (weights.size, weights.stride) {
                (3, 1) => all_blocks::<3, 1>(rows, &input, weights, requantise, out),
                (3, _) => all_blocks::<3, 2>(rows, &input, weights, requantise, out),
                (_, 1) => all_blocks::<5, 1>(rows, &input, weights, requantise, out),
                _ => all_blocks::<5, 2>(rows, &input, weights, requantise, out),
            }
        }
    }
}

/// # Safety
/// [`check`] must have passed; `SIZE` and `STRIDE` must be those of the weights.
#[target_feature(enable = "neon")]
unsafe fn all_blocks<const SIZE: usize, const STRIDE: usize>(
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
            let block = Block::<SIZE>::new(weights, requantise, first);
            match input.location - first {
                8 => block.row::<STRIDE, false>(&rule, rows, input, first, out),
                _ => block.row::<STRIDE, true>(&rule, rows, input, first, out),
            }
        }
    }
}

/// Weights of sixteen channels.
struct Block<const SIZE: usize> {
    weights: [[[int16x8_t; 2]; SIZE]; SIZE],
    bias: [int32x4_t; 4],
    multiplier: [float32x4_t; 4],
}

impl<const SIZE: usize> Block<SIZE> {
    /// # Safety
    /// [`check`] must have passed; `first` is a channel and a multiple of 16.
    #[target_feature(enable = "neon")]
    unsafe fn new(weights: &Depthwise<'_>, requantise: &Requantise<'_>, first: usize) -> Self {
        let mut block = Self {
            weights: [[[vdupq_n_s16(0); 2]; SIZE]; SIZE],
            bias: [vdupq_n_s32(0); 4],
            // SAFETY: tables are padded to sixteen channels.
            multiplier: unsafe { multipliers(requantise.multiplier.as_ptr().add(first)) },
        };
        for (quarter, bias) in block.bias.iter_mut().enumerate() {
            // SAFETY: as above.
            *bias = unsafe { vld1q_s32(weights.bias.as_ptr().add(first + 4 * quarter)) };
        }
        for ky in 0..SIZE {
            for kx in 0..SIZE {
                let words: [i16; OUTPUTS] = std::array::from_fn(|channel| {
                    let at = place(SIZE, first + channel, ky, kx);
                    i16::from(weights.packed[at].cast_signed())
                });
                // SAFETY: sixteen numbers stand there.
                block.weights[ky][kx] =
                    unsafe { [vld1q_s16(words.as_ptr()), vld1q_s16(words.as_ptr().add(8))] };
            }
        }
        block
    }

    /// # Safety
    /// [`check`] must have passed; each location must have sixteen bytes from `first` on, or eight
    /// unless `LONG`.
    #[target_feature(enable = "neon")]
    unsafe fn row<const STRIDE: usize, const LONG: bool>(
        &self,
        rule: &Rule,
        rows: &[&[u8]],
        input: &Input,
        first: usize,
        out: &mut [u8],
    ) {
        let padding = vdupq_n_u8(input.zero);
        for (at, out) in out.chunks_exact_mut(input.location).enumerate() {
            let mut sums = self.bias;
            for kx in 0..SIZE {
                let x = (at * STRIDE + kx).wrapping_sub(input.pad_left);
                for ky in 0..SIZE {
                    let bytes = if x < input.width {
                        // SAFETY: the location is one of the row's, and its bytes are there.
                        unsafe {
                            let at = rows[ky].as_ptr().add(x * input.location + first);
                            match LONG {
                                true => vld1q_u8(at),
                                false => vcombine_u8(vld1_u8(at), vdup_n_u8(0)),
                            }
                        }
                    } else {
                        padding
                    };
                    let low = vreinterpretq_s16_u16(vmovl_u8(vget_low_u8(bytes)));
                    let high = vreinterpretq_s16_u16(vmovl_high_u8(bytes));
                    let weights = self.weights[ky][kx];
                    sums[0] = vmlal_s16(sums[0], vget_low_s16(low), vget_low_s16(weights[0]));
                    sums[1] = vmlal_high_s16(sums[1], low, weights[0]);
                    sums[2] = vmlal_s16(sums[2], vget_low_s16(high), vget_low_s16(weights[1]));
                    sums[3] = vmlal_high_s16(sums[3], high, weights[1]);
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
