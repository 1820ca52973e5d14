//! A range that a strength is drawn from.

use fastrand::Rng;
use serde::{Deserialize, Serialize};

/// From the first number to the second; in JSON `[low, high]`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Range(f32, f32);

impl Range {
    /// Numbers from `low` to `high`.
    pub const fn new(low: f32, high: f32) -> Self {
        Self(low, high)
    }

    /// Always the same number.
    pub const fn only(value: f32) -> Self {
        Self(value, value)
    }

    /// The lower end.
    pub const fn low(self) -> f32 {
        self.0
    }

    /// The upper end.
    pub const fn high(self) -> f32 {
        self.1
    }

    /// A number of the range, each equally likely.
    pub fn draw(self, rng: &mut Rng) -> f32 {
        self.0 + (self.1 - self.0) * rng.f32()
    }

    /// A number of the range of positive numbers, each ratio equally likely.
    pub fn draw_ratio(self, rng: &mut Rng) -> f32 {
        let ratio = (self.1 / self.0).max(f32::MIN_POSITIVE);
        self.0 * libm::powf(ratio, rng.f32())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_stay_within_and_fill_the_range() {
        let (range, mut rng) = (Range::new(0.5, 2.0), Rng::with_seed(1));
        let draws: Vec<f32> = (0..2000).map(|_| range.draw(&mut rng)).collect();
        assert!(draws.iter().all(|v| (0.5..=2.0).contains(v)));
        let below = |draws: &[f32]| draws.iter().filter(|&&v| v < 1.0).count();
        assert!(below(&draws).abs_diff(667) < 80);
        let ratios: Vec<f32> = (0..2000).map(|_| range.draw_ratio(&mut rng)).collect();
        assert!(ratios.iter().all(|v| (0.499..2.001).contains(v)));
        assert!(below(&ratios).abs_diff(1000) < 80);
        assert_eq!(Range::only(1.0).draw_ratio(&mut rng), 1.0);
    }
}
