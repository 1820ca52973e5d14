//! The range of an activation: where to cut so that rounding inside and cutting outside lose least
//! together.

use super::super::graph::Quantisation;

/// Bins of the histogram that errors are estimated from.
const BINS: usize = 2048;
/// Cuts that are tried on each side.
const CUTS: usize = 40;
/// The least part of the range that is kept on each side.
const LEAST: f32 = 0.3;

/// How ranges are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RangeRule {
    /// Least and largest value that calibration saw.
    MinMax,
    /// The cut with the least squared error over all values that calibration saw.
    SquaredError,
}

/// Scale and zero point for values; 0 is always represented exactly, since padding is 0.
pub(super) fn quantisation<'a>(
    rule: RangeRule,
    values: impl Iterator<Item = &'a [f32]> + Clone,
) -> Quantisation {
    let (mut low, mut high) = (0.0f32, 0.0f32);
    for &value in values.clone().flatten() {
        low = low.min(value);
        high = high.max(value);
    }
    if rule == RangeRule::MinMax || high - low < 1e-6 {
        return between(low, high);
    }
    let bin = (high - low) / BINS as f32;
    let mut counts = vec![0u32; BINS];
    for &value in values.flatten() {
        // Exact zeros are represented exactly wherever the range is cut.
        if value != 0.0 {
            counts[(((value - low) / bin) as usize).min(BINS - 1)] += 1;
        }
    }
    let centre = |at: usize| f64::from(low + (at as f32 + 0.5) * bin);
    // What cutting costs on each side, for every cut: the squares beyond it.
    let cut = |share: f32, end: f32| -> f64 {
        let end = f64::from(share * end);
        let beyond = counts.iter().enumerate().map(|(at, &count)| {
            let beyond = match end < 0.0 {
                true => (end - centre(at)).max(0.0),
                false => (centre(at) - end).max(0.0),
            };
            f64::from(count) * beyond * beyond
        });
        beyond.sum()
    };
    let share = |at: usize| 1.0 - (1.0 - LEAST) * at as f32 / (CUTS - 1) as f32;
    let side = |end: f32| -> Vec<f64> {
        match end == 0.0 {
            true => vec![0.0],
            false => (0..CUTS).map(|at| cut(share(at), end)).collect(),
        }
    };
    let (below, above) = (side(low), side(high));
    let total: f64 = counts.iter().map(|&count| f64::from(count)).sum();
    let mut best = (f64::INFINITY, low, high);
    for (l, below) in below.iter().enumerate() {
        for (h, above) in above.iter().enumerate() {
            let (low, high) = (low * share(l), high * share(h));
            let step = f64::from(high - low) / 255.0;
            let error = total * step * step / 12.0 + below + above;
            if error < best.0 {
                best = (error, low, high);
            }
        }
    }
    between(best.1, best.2)
}

/// The grid of 256 values from `low` to `high` that holds 0.
pub(super) fn between(low: f32, high: f32) -> Quantisation {
    let scale = ((high - low) / 255.0).max(1e-6);
    let zero = (-low / scale).round_ties_even().clamp(0.0, 255.0);
    Quantisation {
        scale,
        zero: zero as u8,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_is_on_the_grid() {
        for (low, high) in [(0.0, 6.0), (-1.0, 2.0), (-5.0, 0.0), (0.0, 0.0)] {
            let grid = between(low, high);
            assert_eq!(grid.real(grid.quantise(0.0)), 0.0);
        }
    }

    #[test]
    fn a_lone_outlier_is_cut() {
        let mut values: Vec<f32> = (0..1_000_000).map(|at| at as f32 / 1e6).collect();
        values.push(2.0);
        let exact = quantisation(RangeRule::MinMax, [&values[..]].into_iter());
        let cut = quantisation(RangeRule::SquaredError, [&values[..]].into_iter());
        assert!(cut.scale < 0.75 * exact.scale, "{cut:?}");
    }
}
