//! SPoC: sum pooling of deep convolutional features, plain and with a centre prior.
//!
//! Babenko & Lempitsky, "Aggregating deep convolutional features for image retrieval", ICCV 2015,
//! equation 4: ψ = Σ_y Σ_x α(x,y) f(x,y), and equation 5 for the prior
//! α(x,y) = exp(-((y - H/2)² + (x - W/2)²) / 2σ²), σ a third of the distance from the centre to
//! the closest border.

use crate::backbone::FeatureMap;
use crate::kernel::Cpu;
use crate::kernel::weighted_sum::weighted_sum;

/// The mean over all locations: `H×W×C` to `C`.
pub(super) fn average(map: &FeatureMap) -> Vec<f32> {
    weighted(map, &vec![1.0; map.height() * map.width()])
}

/// The mean weighted by a Gaussian around the centre: `H×W×C` to `C`.
///
/// `sigma` is in units of half of the map's shorter side; 1/3 is the paper's.
#[cfg(test)]
pub(super) fn centre(map: &FeatureMap, sigma: f32) -> Vec<f32> {
    weighted(map, &prior(map, sigma))
}

/// The Gaussian's value at each location, row by row.
pub(super) fn prior(map: &FeatureMap, sigma: f32) -> Vec<f64> {
    let (height, width) = (map.height() as f64, map.width() as f64);
    let sigma = f64::from(sigma) * height.min(width) / 2.0;
    let locations = 0..map.height() * map.width();
    let value = |at| {
        let (y, x) = (at / map.width(), at % map.width());
        // Locations are cells: their centres lie half a cell inside.
        let (dy, dx) = (y as f64 + 0.5 - height / 2.0, x as f64 + 0.5 - width / 2.0);
        libm::exp(-(dy * dy + dx * dx) / (2.0 * sigma * sigma))
    };
    locations.map(value).collect()
}

/// The mean over all locations with one weight each, row by row.
pub(super) fn weighted(map: &FeatureMap, weights: &[f64]) -> Vec<f32> {
    let mut sums = vec![0.0f64; map.channels()];
    weighted_sum(Cpu::native())(map.data(), weights, &mut sums);
    let total = weights.iter().fold(0.0, |total, weight| total + weight);
    sums.into_iter().map(|sum| (sum / total) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn average_is_the_mean_of_locations() {
        let map = FeatureMap::new(1, 2, 2, vec![1.0, 10.0, 3.0, 30.0]).unwrap();
        assert_eq!(average(&map), [2.0, 20.0]);
    }

    #[test]
    fn centre_prior_weighs_as_in_the_paper() {
        // 3×3, σ = 1/3 · 1.5 = 0.5: the weight of a direct neighbour is e^-2, of a corner e^-4.
        let mut data = vec![0.0; 9];
        data[4] = 1.0;
        let map = FeatureMap::new(3, 3, 1, data).unwrap();
        let expected = 1.0 / (1.0 + 4.0 * (-2.0f64).exp() + 4.0 * (-4.0f64).exp());
        assert!((f64::from(centre(&map, 1.0 / 3.0)[0]) - expected).abs() < 1e-6);
    }

    #[test]
    fn a_wide_prior_becomes_the_average() {
        let map = FeatureMap::new(2, 3, 1, vec![1.0, 5.0, 2.0, 8.0, 3.0, 7.0]).unwrap();
        assert!((centre(&map, 100.0)[0] - average(&map)[0]).abs() < 1e-3);
    }
}
