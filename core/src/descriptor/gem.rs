//! GeM: the generalised mean of each channel.
//!
//! Radenović, Tolias & Chum, "Fine-tuning CNN image retrieval with no human annotation", TPAMI
//! 2019, equation 3: f_c = (1/|X| Σ x_c^p)^(1/p), for activations that are not negative; others
//! count as 0.

use crate::backbone::FeatureMap;

/// `H×W×C` to `C`, with a weight a location. O(H·W·C), with a logarithm each where `p` is no whole
/// number.
pub(super) fn mean(map: &FeatureMap, p: f32, weight: impl Fn(usize) -> f64) -> Vec<f32> {
    let whole = p.fract() == 0.0;
    let power = |value: f64| {
        if whole {
            (1..p as u32).fold(value, |power, _| power * value)
        } else {
            libm::pow(value, f64::from(p))
        }
    };
    let mut sums = vec![0.0f64; map.channels()];
    let mut total = 0.0;
    for (at, location) in map.locations().enumerate() {
        let weight = weight(at);
        total += weight;
        for (sum, &value) in sums.iter_mut().zip(location) {
            if value > 0.0 {
                *sum += weight * power(f64::from(value));
            }
        }
    }
    let root = |sum: f64| libm::pow(sum / total, 1.0 / f64::from(p)) as f32;
    sums.into_iter().map(root).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn from_the_average_to_the_maximum() {
        let map = FeatureMap::new(1, 4, 1, vec![0.0, 1.0, 2.0, 4.0]).unwrap();
        let of = |p| mean(&map, p, |_| 1.0)[0];
        assert_eq!(of(1.0), 1.75);
        assert!((of(3.0) - (73.0f32 / 4.0).cbrt()).abs() < 1e-6);
        assert!((of(2.999) - of(3.0)).abs() < 1e-3);
        assert!(of(32.0) > 3.8 && of(32.0) < 4.0);
    }

    #[test]
    fn negative_activations_count_as_none() {
        let map = FeatureMap::new(1, 2, 1, vec![-5.0, 2.0]).unwrap();
        assert!((mean(&map, 2.0, |_| 1.0)[0] - 2f32.sqrt()).abs() < 1e-6);
    }
}
