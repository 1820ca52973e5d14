//! CroW: cross-dimensional weighting.
//!
//! Kalantidis, Mellina & Osindero, "Cross-dimensional weighting for aggregated deep convolutional
//! features", ECCV workshops 2016. With S'(x,y) the sum over channels, the weight of a location is
//! (S' / (Σ S'^a)^(1/a))^(1/b), a = b = 2 (equation 2); that of a channel is
//! log((K ε + Σ_h Q_h) / (ε + Q_k)), Q_k the share of locations at which channel k responds
//! (equation 4): channels that are seldom active say more.

use super::spoc;
use crate::backbone::FeatureMap;

const EPSILON: f64 = 1e-6;

/// `H×W×C` to `C`. O(H·W·C).
pub(super) fn weighted(map: &FeatureMap) -> Vec<f32> {
    let sum = |location: &[f32]| location.iter().map(|&v| f64::from(v)).sum::<f64>().max(0.0);
    let mut weights: Vec<f64> = map.locations().map(sum).collect();
    let norm = weights.iter().map(|w| w * w).sum::<f64>().sqrt();
    if norm > 0.0 {
        weights.iter_mut().for_each(|w| *w = (*w / norm).sqrt());
    } else {
        weights.fill(1.0);
    }
    let mut pooled = spoc::weighted(map, &weights);
    for (value, weight) in pooled.iter_mut().zip(channel_weights(map)) {
        *value = (f64::from(*value) * weight) as f32;
    }
    pooled
}

fn channel_weights(map: &FeatureMap) -> Vec<f64> {
    let mut active = vec![0.0f64; map.channels()];
    for location in map.locations() {
        for (count, &value) in active.iter_mut().zip(location) {
            *count += f64::from(u8::from(value > 0.0));
        }
    }
    let locations = (map.height() * map.width()) as f64;
    active.iter_mut().for_each(|count| *count /= locations);
    let total = active.iter().sum::<f64>() + EPSILON * active.len() as f64;
    let weight = |share: f64| libm::log(total / (EPSILON + share));
    // A lone channel that always responds has weight log 1; all at 0 would lose the vector.
    let mut weights: Vec<f64> = active.into_iter().map(weight).collect();
    if weights.iter().all(|weight| weight.abs() < 1e-12) {
        weights.fill(1.0);
    }
    weights
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seldom_channels_and_strong_locations_weigh_more() {
        // Channel 0 responds everywhere, channel 1 at one of two locations.
        let map = FeatureMap::new(1, 2, 2, vec![1.0, 0.0, 2.0, 2.0]).unwrap();
        let found = weighted(&map);
        let norm = 17f64.sqrt();
        let (a, b) = ((1.0 / norm).sqrt(), (4.0 / norm).sqrt());
        let expected = [
            (a + 2.0 * b) / (a + b) * 1.5f64.ln(),
            2.0 * b / (a + b) * 3f64.ln(),
        ];
        for (found, expected) in found.iter().zip(expected) {
            assert!(
                (f64::from(*found) - expected).abs() < 1e-4,
                "{found} {expected}"
            );
        }
    }

    #[test]
    fn a_dead_map_gives_zeros() {
        assert_eq!(
            weighted(&FeatureMap::new(1, 2, 2, vec![0.0; 4]).unwrap()),
            [0.0; 2]
        );
    }
}
