//! Weights of locations that come from the map itself: what stands out counts more.
//!
//! A weight multiplies that of the pooling (the centre prior's, where there is one).

use serde::{Deserialize, Serialize};

use crate::backbone::FeatureMap;
use crate::kernel::Cpu;
use crate::kernel::distance::square_distances;
use crate::kernel::weighted_sum::weighted_sum;

/// How much a location counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Weighting {
    /// The length of the location's feature: strong responses count more. (Spatial weight of
    /// Kalantidis, Mellina & Osindero, "Cross-dimensional weighting for aggregated deep
    /// convolutional features", 2016, with the exponents a = b = 2 and the Euclidean norm.)
    Energy,
    /// Features that are like many others of the same map count less: `1 / √Σ_j max(0, cos(x_i,
    /// x_j))³`. (Intra-image burstiness, Jégou, Douze & Schmid, "On the burstiness of visual
    /// elements", CVPR 2009, equation 3, over a soft count of matches.)
    Rarity,
    /// The distance of the feature from the mean feature of the map's outermost locations: things
    /// lie inside of a photo and their surroundings reach its border. (Boundary prior of Wei et al.,
    /// "Geodesic saliency using background priors", ECCV 2012, on features instead of colours.)
    BorderDistance,
    /// The square of that: things stand out more.
    SquareBorderDistance,
}

/// One weight a location, at least 0; all 1 where nothing stands out. O(H·W·C), for
/// [`Weighting::Rarity`] O((H·W)²·C).
pub(super) fn weights(weighting: Weighting, map: &FeatureMap) -> Vec<f64> {
    let mut weights = match weighting {
        Weighting::Energy => map.locations().map(length).collect(),
        Weighting::Rarity => rarity(map),
        Weighting::BorderDistance => border_distance(map),
        Weighting::SquareBorderDistance => {
            border_distance(map).into_iter().map(|d| d * d).collect()
        }
    };
    if weights.iter().all(|&weight| weight == 0.0) {
        weights.fill(1.0);
    }
    weights
}

fn length(location: &[f32]) -> f64 {
    dot(location, location).sqrt()
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    sum_of(a.len(), |i| f64::from(a[i]) * f64::from(b[i]))
}

/// The sum of `term(0..count)` in eight lanes, added from the first to the last: an order that fits
/// vector registers, and is the same on every processor.
fn sum_of(count: usize, term: impl Fn(usize) -> f64) -> f64 {
    let mut lanes = [0.0f64; 8];
    let whole = count / 8 * 8;
    for first in (0..whole).step_by(8) {
        for (lane, sum) in lanes.iter_mut().enumerate() {
            *sum += term(first + lane);
        }
    }
    for i in whole..count {
        lanes[i - whole] += term(i);
    }
    lanes.iter().sum()
}

fn rarity(map: &FeatureMap) -> Vec<f64> {
    let locations: Vec<(&[f32], f64)> = map.locations().map(|x| (x, length(x))).collect();
    let weight = |&(one, length): &(&[f32], f64)| {
        if length == 0.0 {
            return 0.0;
        }
        let alike = |&(other, its): &(&[f32], f64)| {
            let cosine = if its > 0.0 {
                (dot(one, other) / (length * its)).max(0.0)
            } else {
                0.0
            };
            cosine * cosine * cosine
        };
        1.0 / locations.iter().map(alike).sum::<f64>().sqrt()
    };
    locations.iter().map(weight).collect()
}

/// The weights of [`Weighting::BorderDistance`], row by row: all 0 where nothing differs. O(H·W·C).
pub(crate) fn border_distance(map: &FeatureMap) -> Vec<f64> {
    let (height, width) = (map.height(), map.width());
    let is_border = |at: usize| {
        let (y, x) = (at / width, at % width);
        y == 0 || x == 0 || y + 1 == height || x + 1 == width
    };
    let border: Vec<&[f32]> = map
        .locations()
        .enumerate()
        .filter_map(|(at, location)| is_border(at).then_some(location))
        .collect();
    let mut mean = vec![0.0f64; map.channels()];
    let ones = vec![1.0; border.len()];
    weighted_sum(Cpu::native())(&border.concat(), &ones, &mut mean);
    mean.iter_mut()
        .for_each(|value| *value /= ones.len() as f64);
    let mut distances = vec![0.0; height * width];
    square_distances(Cpu::native())(map.data(), &mean, &mut distances);
    distances
        .iter_mut()
        .for_each(|square| *square = square.sqrt());
    distances
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_from_the_border_counts() {
        // 3×3, the centre is another feature than its surroundings.
        let mut data = [1.0, 0.0].repeat(9);
        data[8..10].copy_from_slice(&[1.0, 3.0]);
        let map = FeatureMap::new(3, 3, 2, data).unwrap();
        let mut expected = [0.0; 9];
        expected[4] = 3.0;
        assert_eq!(weights(Weighting::BorderDistance, &map), expected);
    }

    #[test]
    fn what_is_repeated_counts_less() {
        let map = FeatureMap::new(1, 4, 2, vec![1.0, 0.0, 2.0, 0.0, 3.0, 0.0, 0.0, 5.0]).unwrap();
        let found = weights(Weighting::Rarity, &map);
        let often = 1.0 / 3f64.sqrt();
        for (found, expected) in found.iter().zip([often, often, often, 1.0]) {
            assert!((found - expected).abs() < 1e-12);
        }
    }

    #[test]
    fn an_even_map_has_even_weights() {
        let map = FeatureMap::new(2, 2, 3, vec![0.5; 12]).unwrap();
        assert_eq!(weights(Weighting::BorderDistance, &map), [1.0; 4]);
        let dead = FeatureMap::new(2, 2, 3, vec![0.0; 12]).unwrap();
        for weighting in [Weighting::Energy, Weighting::Rarity] {
            assert_eq!(weights(weighting, &dead), [1.0; 4]);
        }
    }
}
