//! Sixteen channels at a time with NEON.

#![allow(unsafe_code)]

use std::arch::aarch64::*;

use super::{Activation, Requantise};

/// The rule's numbers, a register each.
#[derive(Clone, Copy)]
pub(in crate::kernel) struct Rule {
    zero: float32x4_t,
    low: float32x4_t,
    high: float32x4_t,
    hard_swish: Option<float32x4_t>,
    residual: float32x4_t,
}

impl Rule {
    #[target_feature(enable = "neon")]
    #[inline]
    pub(in crate::kernel) fn new(requantise: &Requantise<'_>) -> Self {
        Self {
            zero: vdupq_n_f32(requantise.zero),
            low: vdupq_n_f32(requantise.low),
            high: vdupq_n_f32(requantise.high),
            hard_swish: match requantise.activation {
                Activation::Linear => None,
                Activation::HardSwish { three } => Some(vdupq_n_f32(three)),
            },
            residual: vdupq_n_f32(requantise.residual_multiplier),
        }
    }

    /// Sixteen sums to sixteen bytes. A residual holds sixteen bytes.
    #[target_feature(enable = "neon")]
    #[inline]
    pub(in crate::kernel) fn apply(
        &self,
        sums: [int32x4_t; 4],
        multiplier: &[float32x4_t; 4],
        residual: Option<uint8x16_t>,
    ) -> uint8x16_t {
        let residual = residual.map(|residual| {
            let (low, high) = (vmovl_u8(vget_low_u8(residual)), vmovl_high_u8(residual));
            [
                vmovl_u16(vget_low_u16(low)),
                vmovl_high_u16(low),
                vmovl_u16(vget_low_u16(high)),
                vmovl_high_u16(high),
            ]
        });
        let mut words = [vdupq_n_u32(0); 4];
        for (i, word) in words.iter_mut().enumerate() {
            let mut x = vmulq_f32(vcvtq_f32_s32(sums[i]), multiplier[i]);
            if let Some(three) = self.hard_swish {
                let gate = vmaxq_f32(vaddq_f32(x, three), vdupq_n_f32(0.0));
                x = vmulq_f32(x, vminq_f32(gate, vaddq_f32(three, three)));
            }
            if let Some(residual) = residual {
                x = vaddq_f32(x, vmulq_f32(vcvtq_f32_u32(residual[i]), self.residual));
            }
            x = vaddq_f32(x, self.zero);
            *word = vcvtnq_u32_f32(vminq_f32(vmaxq_f32(x, self.low), self.high));
        }
        let halves = [
            vcombine_u16(vmovn_u32(words[0]), vmovn_u32(words[1])),
            vcombine_u16(vmovn_u32(words[2]), vmovn_u32(words[3])),
        ];
        vcombine_u8(vmovn_u16(halves[0]), vmovn_u16(halves[1]))
    }
}

/// The multipliers of sixteen channels.
///
/// # Safety
/// `at` must have sixteen numbers behind it.
#[target_feature(enable = "neon")]
#[inline]
pub(in crate::kernel) unsafe fn multipliers(at: *const f32) -> [float32x4_t; 4] {
    // SAFETY: the caller gives sixteen numbers.
    unsafe { [0, 4, 8, 12].map(|i| vld1q_f32(at.add(i))) }
}
