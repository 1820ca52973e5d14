//! From a 32-bit sum to the 8-bit value of the next map: scale, activation, residual, rounding.
//!
//! There is one rule, in IEEE single precision with separate multiplications and additions, which
//! every processor computes alike:
//!
//! ```text
//! x = sum · multiplier[channel]
//! x = x · clamp(x + 3·root, 0, 6·root)     HardSwish only
//! x = x + residual · residual_multiplier   with a residual only
//! y = round_half_to_even(clamp(x + zero, low, high))
//! ```
//!
//! HardSwish is `x · clamp(x + 3, 0, 6) · scale` of real units; with `root = √scale` inside of the multipliers a
//! multiplication less is needed.
//!
//! The input's zero point is inside of the bias that the sum begins with; the output's, less the
//! residual's times its multiplier, is `zero`, or inside of the bias too where nothing stands between:
//! then `zero` is 0 (Jacob et al., "Quantization and training of neural networks
//! for efficient integer-arithmetic-only inference", CVPR 2018, equation 7).

#[cfg(target_arch = "x86_64")]
pub(super) mod avx2;
#[cfg(target_arch = "x86_64")]
pub(super) mod avx512;
#[cfg(target_arch = "aarch64")]
pub(super) mod neon;

/// What follows the scale.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Activation {
    /// Nothing but the clamp, which is all that ReLU and ReLU6 are.
    Linear,
    /// `x · clamp(x + 3·root, 0, 6·root)`, for which the multipliers give `root` times real units, and `root` is the root
    /// of 1/6 over the output's scale.
    HardSwish {
        /// `3·root`, above 0.
        three: f32,
    },
}

/// The rule's numbers for one layer. All are finite, `low` and `high` whole, `0 ≤ low ≤ high ≤ 255`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Requantise<'a> {
    /// One a channel, padded to a multiple of 16.
    pub(crate) multiplier: &'a [f32],
    pub(crate) zero: f32,
    pub(crate) low: f32,
    pub(crate) high: f32,
    pub(crate) activation: Activation,
    /// In use when a residual is given.
    pub(crate) residual_multiplier: f32,
    /// Whether [`Activation::is_bounded`] holds of the multipliers.
    #[cfg_attr(
        not(target_arch = "x86_64"),
        expect(dead_code, reason = "asked by AVX-512 alone")
    )]
    pub(crate) bounded: bool,
}

impl Activation {
    /// Whether no multiplier takes a 32-bit sum beyond half of the 32-bit integers, so that numbers may
    /// be rounded before they are clamped, and clamped as bytes. True of all but made-up networks.
    pub(crate) fn is_bounded(self, multipliers: &[f32]) -> bool {
        let largest = match self {
            Self::Linear => 0.5,
            Self::HardSwish { three } => 0.5 / (2.0 * three).max(1.0),
        };
        multipliers
            .iter()
            .all(|multiplier| multiplier.abs() <= largest)
    }
}

impl Requantise<'_> {
    /// The specification.
    pub(super) fn apply(&self, channel: usize, sum: i32, residual: Option<u8>) -> u8 {
        let mut x = sum as f32 * self.multiplier[channel];
        if let Activation::HardSwish { three } = self.activation {
            x *= (x + three).clamp(0.0, 2.0 * three);
        }
        if let Some(residual) = residual {
            x += f32::from(residual) * self.residual_multiplier;
        }
        (x + self.zero)
            .max(self.low)
            .min(self.high)
            .round_ties_even() as u8
    }
}
