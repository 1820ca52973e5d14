//! Feature maps to one unit vector.
//!
//! Each part of a [`Recipe`] pools one tap, brings the result to unit length, whitens it and
//! brings it to unit length again; the parts are weighted, concatenated and once more brought to
//! unit length (late fusion). Sums run in one fixed order in double precision, so that the same
//! maps give the same bits on every machine.

mod attribution;
mod local;
mod recipe;
mod spoc;
mod whitening;

pub use attribution::{HeatMap, attribute};
pub use local::{LocalFeatures, MAX_LOCAL_DIM};
pub use recipe::{Part, Pool, Recipe, RecipeError, WhiteningFit};
pub use whitening::Whitening;

use crate::backbone::FeatureMap;
use crate::fingerprint::Fingerprint;

/// A unit vector and the fingerprint of what made it.
#[derive(Clone, Debug, PartialEq)]
pub struct Descriptor {
    /// Equal fingerprints: comparable descriptors.
    pub fingerprint: Fingerprint,
    /// Components of a vector of length 1 (of length 0 for a map without any activation).
    pub values: Vec<f32>,
}

/// Pools one map as a recipe's part says and brings it to unit length: `H×W×C` to `C`.
///
/// O(H·W·C).
pub fn pool(part: &Part, map: &FeatureMap) -> Vec<f32> {
    let mut pooled = match part.pool {
        Pool::Average => spoc::average(map),
        Pool::Centre { sigma } => spoc::centre(map, sigma),
    };
    to_unit_length(&mut pooled);
    pooled
}

/// The whole recipe: one map a part (in the recipe's order) to the descriptor's values.
///
/// `whitenings` is empty for a recipe that has not been fitted (parts are then only pooled) or
/// holds one whitening a part.
pub fn describe(recipe: &Recipe, maps: &[FeatureMap], whitenings: &[Whitening]) -> Vec<f32> {
    assert_eq!(recipe.parts.len(), maps.len(), "one map a part");
    let mut values = Vec::new();
    for (at, (part, map)) in recipe.parts.iter().zip(maps).enumerate() {
        let mut pooled = pool(part, map);
        if let Some(whitening) = whitenings.get(at) {
            pooled = whitening.apply(&pooled);
            to_unit_length(&mut pooled);
        }
        values.extend(pooled.iter().map(|value| value * part.weight));
    }
    to_unit_length(&mut values);
    values
}

/// Divides by the Euclidean length; a vector of zeros stays as it is.
pub fn to_unit_length(values: &mut [f32]) {
    let square: f64 = values
        .iter()
        .map(|&value| f64::from(value) * f64::from(value))
        .sum();
    if square > 0.0 {
        let length = square.sqrt();
        values
            .iter_mut()
            .for_each(|value| *value = (f64::from(*value) / length) as f32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(channels: usize, data: &[f32]) -> FeatureMap {
        FeatureMap::new(1, data.len() / channels, channels, data.to_vec()).unwrap()
    }

    #[test]
    fn parts_are_unit_vectors_weighted_and_joined() {
        let recipe = Recipe {
            name: "two taps".into(),
            parts: vec![
                Part {
                    weight: 3.0,
                    ..Part::new("a", Pool::Average, 2)
                },
                Part {
                    weight: 4.0,
                    ..Part::new("b", Pool::Average, 1)
                },
            ],
        };
        let maps = [map(2, &[6.0, 0.0, 0.0, 8.0]), map(1, &[5.0])];
        let values = describe(&recipe, &maps, &[]);
        // (3, 4)/5 · 3 and 1 · 4, over the length 5.
        let expected = [0.36, 0.48, 0.8];
        assert!(
            values
                .iter()
                .zip(expected)
                .all(|(a, b): (&f32, f32)| (a - b).abs() < 1e-6)
        );
    }

    #[test]
    fn a_dead_map_gives_zeros_not_nan() {
        let recipe = Recipe {
            name: "dead".into(),
            parts: vec![Part::new("a", Pool::Average, 2)],
        };
        assert_eq!(describe(&recipe, &[map(2, &[0.0; 4])], &[]), [0.0, 0.0]);
    }
}
