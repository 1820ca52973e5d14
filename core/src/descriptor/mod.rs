//! Feature maps to one unit vector.
//!
//! Each part of a [`Recipe`] pools or encodes one tap (or some, joined), brings the result to unit
//! length, whitens it and brings it to unit length again; the parts are weighted, concatenated and
//! once more brought to unit length (late fusion). Sums run in one fixed order in double precision,
//! and exponentials come from one library, so that the same maps give the same bits on every
//! machine.

mod attribution;
mod codebook;
mod crow;
mod fisher;
mod fuse;
mod gem;
mod landmarks;
mod learned;
mod local;
mod mac;
mod maps;
mod mop;
mod net_vlad;
mod pool;
mod presets;
mod recipe;
mod rmac;
mod second_order;
mod spoc;
mod triangulation;
mod views;
mod vlad;
mod weighting;
mod whitening;

pub use attribution::{HeatMap, attribute};
pub use codebook::{Codebook, Mixture};
pub use fuse::Resize;
pub use learned::Learned;
pub use local::{LocalFeatures, MAX_LOCAL_DIM};
pub use maps::{DescribeError, Maps};
pub use pool::{CodebookShape, Pool, Root};
pub use recipe::{Joint, Part, Recipe, RecipeError, WhiteningFit};
pub use views::Views;
pub use weighting::Weighting;
pub use whitening::Whitening;

pub(crate) use weighting::border_distance;

#[cfg(feature = "build")]
pub(crate) use {fisher::posteriors, mop::windows};

use std::borrow::Cow;

use crate::backbone::FeatureMap;
use crate::fingerprint::Fingerprint;

/// A unit vector and the fingerprint of what made it.
///
/// `Debug` does not show the numbers: what a camera saw does not belong in logs.
#[derive(Clone, PartialEq)]
pub struct Descriptor {
    /// Equal fingerprints: comparable descriptors.
    pub fingerprint: Fingerprint,
    /// Components of a vector of length 1 (of length 0 for a map without any activation).
    pub values: Vec<f32>,
}

impl std::fmt::Debug for Descriptor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Descriptor")
            .field("fingerprint", &self.fingerprint)
            .field("dim", &self.values.len())
            .finish_non_exhaustive()
    }
}

/// Pools the maps of one view as every part says: a unit vector of [`Pool::length`] values a part,
/// before whitening.
///
/// O(H·W·C) a part for poolings, O(H·W·K·local) for encodings.
///
/// # Errors
/// [`DescribeError`] for a tap that is missing or has another number of channels than a codebook.
pub fn pool(
    recipe: &Recipe,
    maps: &Maps<'_>,
    learned: &Learned,
) -> Result<Vec<Vec<f32>>, DescribeError> {
    let pool_part = |(at, part)| -> Result<Vec<f32>, DescribeError> {
        let map = part_map(part, maps)?;
        let codebooks = learned.codebooks(at);
        let needed = part.pool.codebook().map_or(0, |shape| shape.levels);
        if codebooks.len() < needed {
            return Err(DescribeError::NotFitted {
                tap: part.tap.clone(),
            });
        }
        for codebook in codebooks {
            maps::check_channels(part, codebook.channels(), map.channels())?;
        }
        let mut pooled = pool_map(part, &map, maps, codebooks)?;
        signed_power(&mut pooled, part.power);
        to_unit_length(&mut pooled);
        Ok(pooled)
    };
    recipe.parts.iter().enumerate().map(pool_part).collect()
}

/// The map that a part pools: its tap's, or those of several taps joined.
pub(crate) fn part_map<'a>(
    part: &Part,
    maps: &Maps<'a>,
) -> Result<Cow<'a, FeatureMap>, DescribeError> {
    if part.fuse.is_empty() {
        return Ok(Cow::Borrowed(maps.of(&part.tap)?));
    }
    let taps = std::iter::once(&part.tap).chain(&part.fuse);
    let joined: Vec<&FeatureMap> = taps.map(|tap| maps.of(tap)).collect::<Result<_, _>>()?;
    Ok(Cow::Owned(fuse::joined(&joined, part.resize)))
}

/// An encoding: local features and their codebook to a vector.
type Encode<'a> = dyn Fn(&[Vec<f32>], &Codebook) -> Vec<f32> + 'a;

fn pool_map(
    part: &Part,
    map: &FeatureMap,
    maps: &Maps<'_>,
    codebooks: &[Codebook],
) -> Result<Vec<f32>, DescribeError> {
    let one = codebooks.first();
    let locals = || one.map_or_else(Vec::new, |codebook| codebook.locals(map));
    let encoded =
        |encode: &Encode<'_>| one.map_or_else(Vec::new, |codebook| encode(&locals(), codebook));
    Ok(match part.pool {
        Pool::Average | Pool::Centre { .. } | Pool::Gem { .. } => weighted_pool(part, map),
        Pool::Max => mac::maximum(map),
        Pool::Rmac { levels } => rmac::maxima(map, levels),
        Pool::RegionalSpoc { levels } => rmac::averages(map, levels),
        Pool::Crow => crow::weighted(map),
        Pool::Landmarks => match &part.heat_map {
            Some(tap) => landmarks::pooled(map, maps.of(tap)?),
            None => Vec::new(),
        },
        Pool::Vlad { .. } => encoded(&vlad::encode),
        Pool::NetVlad { alpha, .. } => encoded(&|x, c| net_vlad::encode(x, c, alpha)),
        Pool::Mop { .. } => mop::encode(map, codebooks),
        Pool::Fisher { .. } => encoded(&|x, c| {
            c.mixture()
                .map_or_else(Vec::new, |m| fisher::encode(x, c, m))
        }),
        Pool::Triangulation { .. } => encoded(&triangulation::encode),
        Pool::SecondOrder { local, root, mean } => {
            encoded(&|x, _| second_order::encode(x, local, root, mean))
        }
    })
}

/// Raises magnitudes to a power, at most 1, and keeps signs.
fn signed_power(values: &mut [f32], power: f32) {
    if power == 1.0 {
        return;
    }
    for value in values {
        let magnitude = f64::from(value.abs());
        let raised = if power == 0.5 {
            magnitude.sqrt()
        } else {
            libm::pow(magnitude, f64::from(power))
        };
        *value = (raised as f32).copysign(*value);
    }
}

/// The poolings in which every location has a weight.
fn weighted_pool(part: &Part, map: &FeatureMap) -> Vec<f32> {
    let weights = location_weights(part, map);
    match (part.pool, &weights) {
        (Pool::Gem { p }, Some(weights)) => gem::mean(map, p, |at| weights[at]),
        (Pool::Gem { p }, None) => gem::mean(map, p, |_| 1.0),
        (_, Some(weights)) => spoc::weighted(map, weights),
        (_, None) => spoc::average(map),
    }
}

/// The weight of each location, row by row: the prior's times that of the weighting; `None` where all count alike.
fn location_weights(part: &Part, map: &FeatureMap) -> Option<Vec<f64>> {
    let prior = match part.pool {
        Pool::Centre { sigma } => Some(spoc::prior(map, sigma)),
        _ => None,
    };
    let own = part.weighting.map(|w| weighting::weights(w, map));
    let weights = match (prior, own) {
        (Some(prior), Some(own)) => Some(prior.iter().zip(&own).map(|(a, b)| a * b).collect()),
        (one, other) => one.or(other),
    };
    // A prior may hide all that stands out.
    weights.filter(|w: &Vec<f64>| w.iter().any(|&w| w > 0.0))
}

/// The whole recipe: the maps of one photo, one view each, to the descriptor's values.
///
/// A recipe that has not been fitted is only pooled and joined.
///
/// # Errors
/// [`DescribeError`] when maps, recipe and what was learned do not belong together.
pub fn describe(
    recipe: &Recipe,
    views: &[Maps<'_>],
    learned: &Learned,
) -> Result<Vec<f32>, DescribeError> {
    join(recipe, &pool_views(recipe, views, learned)?, learned)
}

/// [`pool`] of all views, averaged.
pub(crate) fn pool_views(
    recipe: &Recipe,
    views: &[Maps<'_>],
    learned: &Learned,
) -> Result<Vec<Vec<f32>>, DescribeError> {
    let mut pooled: Vec<Vec<f32>> = Vec::new();
    for maps in views {
        let view = pool(recipe, maps, learned)?;
        if pooled.is_empty() {
            pooled = view;
        } else {
            for (sum, part) in pooled.iter_mut().zip(view) {
                sum.iter_mut()
                    .zip(part)
                    .for_each(|(sum, value)| *sum += value);
            }
        }
    }
    if views.len() > 1 {
        pooled.iter_mut().for_each(|part| to_unit_length(part));
    }
    Ok(pooled)
}

/// Pooled parts to the descriptor's values.
pub(crate) fn join(
    recipe: &Recipe,
    pooled: &[Vec<f32>],
    learned: &Learned,
) -> Result<Vec<f32>, DescribeError> {
    let mut values = Vec::new();
    for (at, (part, pooled)) in recipe.parts.iter().zip(pooled).enumerate() {
        match learned.whitenings.get(at) {
            Some(whitening) => {
                maps::check_channels(part, whitening.channels(), pooled.len())?;
                let mut whitened = whitening.apply(pooled);
                to_unit_length(&mut whitened);
                values.extend(whitened.iter().map(|value| value * part.weight));
            }
            None => values.extend(pooled.iter().map(|value| value * part.weight)),
        }
    }
    to_unit_length(&mut values);
    if let Some(joint) = &learned.joint {
        values = joint.apply(&values);
        to_unit_length(&mut values);
    }
    Ok(values)
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

    fn describe_one(recipe: &Recipe, maps: &[FeatureMap]) -> Vec<f32> {
        let taps = recipe.taps();
        describe(recipe, &[Maps::new(&taps, maps)], &Learned::default()).unwrap()
    }

    #[test]
    fn parts_are_unit_vectors_weighted_and_joined() {
        let weighted = |tap, dim, weight| Part {
            weight,
            ..Part::new(tap, Pool::Average, dim)
        };
        let recipe = Recipe::new(
            "two taps",
            vec![weighted("a", 2, 3.0), weighted("b", 1, 4.0)],
        );
        let maps = [map(2, &[6.0, 0.0, 0.0, 8.0]), map(1, &[5.0])];
        let values = describe_one(&recipe, &maps);
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
        for pool in [
            Pool::Average,
            Pool::Max,
            Pool::Gem { p: 3.0 },
            Pool::Rmac { levels: 3 },
            Pool::RegionalSpoc { levels: 2 },
            Pool::Crow,
        ] {
            let recipe = Recipe::new("dead", vec![Part::new("a", pool, 2)]);
            assert_eq!(describe_one(&recipe, &[map(2, &[0.0; 4])]), [0.0, 0.0]);
        }
    }

    #[test]
    fn views_are_averaged_before_they_are_whitened() {
        let recipe = Recipe::new("two views", vec![Part::new("a", Pool::Average, 1)]);
        let learned = Whitening::new(vec![0.0, 0.0], &[1.0, -1.0]).unwrap();
        let learned = Learned::from(vec![learned]);
        let taps = recipe.taps();
        let views = [[map(2, &[2.0, 0.0])], [map(2, &[0.0, 3.0])]];
        let views: Vec<Maps<'_>> = views.iter().map(|maps| Maps::new(&taps, maps)).collect();
        // (1, 0) and (0, 1): their mean is whitened to nothing.
        assert_eq!(describe(&recipe, &views, &learned), Ok(vec![0.0]));
        assert_eq!(describe(&recipe, &views[1..], &learned), Ok(vec![-1.0]));
    }

    #[test]
    fn maps_that_do_not_belong_to_the_recipe_are_refused() {
        let recipe = Recipe::new("r", vec![Part::new("a", Pool::Average, 1)]);
        let learned = Whitening::new(vec![0.0, 0.0], &[1.0, -1.0]).unwrap();
        let learned = Learned::from(vec![learned]);
        let (a, b) = (["a".to_owned()], ["b".to_owned()]);
        let maps = [map(3, &[1.0; 3])];
        let told = |taps| {
            describe(&recipe, &[Maps::new(taps, &maps)], &learned)
                .unwrap_err()
                .to_string()
        };
        assert!(told(&a).contains("has 3 channels, what was learned takes 2"));
        assert!(told(&b).contains("no map of tap \"a\""));
        let vlad = Pool::Vlad {
            centres: 2,
            local: 2,
        };
        let recipe = Recipe::new("r", vec![Part::new("a", vlad, 1)]);
        let refused = describe(&recipe, &[Maps::new(&a, &maps)], &Learned::default());
        assert!(matches!(refused, Err(DescribeError::NotFitted { .. })));
    }

    #[test]
    fn a_power_takes_weight_from_large_values_and_keeps_signs() {
        let mut values = [4.0, -0.25, 0.0];
        signed_power(&mut values, 0.5);
        assert_eq!(values, [2.0, -0.5, 0.0]);
        let mut values = [8.0, -1.0];
        signed_power(&mut values, 1.0 / 3.0);
        assert!((values[0] - 2.0).abs() < 1e-6 && values[1] == -1.0);
    }

    #[test]
    fn a_weighting_multiplies_the_prior() {
        // What stands out of the border lies in the middle; the other channel is its surroundings.
        let mut data = [1.0, 0.0].repeat(9);
        data[8..10].copy_from_slice(&[0.0, 3.0]);
        let map = FeatureMap::new(3, 3, 2, data).unwrap();
        let part = Part {
            weighting: Some(Weighting::BorderDistance),
            ..Part::new("a", Pool::Centre { sigma: 0.5 }, 2)
        };
        let recipe = Recipe::new("r", vec![part]);
        assert_eq!(describe_one(&recipe, &[map]), [0.0, 1.0]);
    }
}
