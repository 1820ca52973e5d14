//! Domain fit: what was learned from many photos, adapted to a catalogue's own pictures.
//!
//! In the whitened space of a part, captures of one thing differ by the identity on average over all
//! the photos that the bundle was fitted on. On a catalogue they differ by `W`, which its pictures
//! tell. The projection is followed by `((1-λ) I + λ W/w)^{-1/2}`, `w` the mean variance: learned
//! whitening shrunk towards the bundle's (Mikolajczyk & Matas 2007; the shrinkage of Friedman,
//! "Regularized discriminant analysis", 1989, equation 16). `λ` grows with the number of captures a
//! component, up to a half. Parts that were whitened without pairs take the covariance of the
//! pictures themselves for `W`.
//!
//! Where the moments are at hand that the bundle was fitted with, the pictures' are mixed in, and
//! the components are chosen anew: that gains several times as much.

use std::path::PathBuf;

use faer::Mat;
use rayon::prelude::*;

use super::sampler::{Sample, SampleError, Sampler};
use super::statistics::Statistics;
use super::{BATCH, Fit, FitError, FitOptions, RecipeMoments, pca};
use crate::backbone::Backbone;
use crate::descriptor::{Learned, Recipe, Whitening, WhiteningFit};

/// The least number of pictures that say anything.
const LEAST: usize = 16;
/// Pictures that are looked at, evenly spread over the catalogue.
const MOST: usize = 2000;
/// What a catalogue of enough pictures counts for where moments are mixed, and how many are enough.
const MOST_MIXED: f64 = 0.35;
const ENOUGH: f64 = 200.0;
/// Captures a component at which the catalogue is trusted half of the most it can be.
const CAPTURES: f64 = 8.0;

/// Adapts what a recipe learned to the pictures of a catalogue; the number of components and the
/// codebooks stay. With `moments`, those that the bundle was fitted with. The backbone's taps are
/// those of the recipe. `progress` is told the number of pictures done, of [`adapted_photos`].
///
/// # Errors
/// [`FitError::TooFewPictures`] below sixteen pictures that can be read, [`FitError::Adapt`] for
/// moments of another recipe and for a joint projection, and what keeps the network from running.
pub fn adapt(
    backbone: &Backbone,
    recipe: &Recipe,
    learned: &Learned,
    moments: Option<&RecipeMoments>,
    photos: &[PathBuf],
    options: &FitOptions,
    progress: &(dyn Fn(usize) + Sync),
) -> Result<Learned, FitError> {
    let refuse = |reason: &str| {
        Err(FitError::Adapt {
            reason: reason.to_owned(),
        })
    };
    if recipe.joint.is_some() {
        return refuse("the recipe has a joint projection, which builds on the parts as they are");
    }
    if moments.is_some_and(|moments| moments.parts.len() != recipe.parts.len()) {
        return refuse("the moments are those of another recipe");
    }
    let catalogue = Catalogue {
        backbone,
        recipe,
        learned,
        whitened: moments.is_none(),
    };
    let (statistics, used, views) = catalogue.observe(photos, options, progress)?;
    let mut adapted = learned.clone();
    for (at, (statistic, part)) in statistics.iter().zip(&recipe.parts).enumerate() {
        let seen = statistic.summary();
        let whitening = &mut adapted.whitenings[at];
        if let Some(moments) = moments {
            let share = MOST_MIXED * (used as f64 / ENOUGH).min(1.0);
            let Some(mixed) = moments.parts[at].mixed(&seen, share) else {
                return refuse("the moments are those of another recipe");
            };
            *whitening = mixed.whitening(part)?;
        } else {
            let captures = match part.whitening {
                WhiteningFit::Pairs { .. } => used * views.saturating_sub(1),
                _ => used,
            };
            let spread = seen.within.as_ref().unwrap_or(&seen.total);
            let share = share(captures, whitening.dim());
            if let Some(followed) = followed(whitening, spread, share) {
                *whitening = followed;
            }
        }
    }
    Ok(adapted)
}

struct Catalogue<'a> {
    backbone: &'a Backbone,
    recipe: &'a Recipe,
    learned: &'a Learned,
    /// Whether vectors are looked at behind the bundle's whitening.
    whitened: bool,
}

impl Catalogue<'_> {
    /// The moments of each part, the pictures that were read and the captures made of each.
    fn observe(
        &self,
        photos: &[PathBuf],
        options: &FitOptions,
        progress: &(dyn Fn(usize) + Sync),
    ) -> Result<(Vec<Statistics>, usize, usize), FitError> {
        let taps = self.recipe.taps();
        let chosen: Vec<PathBuf> = photos.iter().step_by(step(photos)).cloned().collect();
        let mut fit = Fit::new(self.recipe, &taps);
        fit.learned.codebooks.clone_from(&self.learned.codebooks);
        let fits = [fit];
        let mut sampler = Sampler::new(self.backbone, &taps, &chosen, options);
        sampler.need(&fits);
        let mut statistics: Vec<Statistics> = Vec::new();
        let mut used = 0;
        let places: Vec<usize> = (0..chosen.len()).collect();
        for batch in places.chunks(BATCH) {
            let samples: Vec<_> = batch
                .par_iter()
                .map(|&at| {
                    let sample = sampler.sample(at, &fits);
                    progress(1);
                    sample
                })
                .collect();
            for sample in samples {
                match sample {
                    Ok(sample) => self.add(&sample, &mut statistics),
                    // Whoever builds the index hears of it there.
                    Err(SampleError::Photo(_)) => continue,
                    Err(SampleError::Backbone(error)) => return Err(error.into()),
                    Err(SampleError::Describe(error)) => return Err(error.into()),
                }
                used += 1;
            }
            statistics.iter_mut().for_each(Statistics::flush);
        }
        if used < LEAST {
            return Err(FitError::TooFewPictures {
                needed: LEAST,
                found: used,
            });
        }
        Ok((statistics, used, sampler.views()))
    }

    fn add(&self, sample: &Sample, statistics: &mut Vec<Statistics>) {
        for (at, part) in self.recipe.parts.iter().enumerate() {
            let vector = |recipes: &Vec<Vec<Vec<f32>>>| -> Option<Vec<f32>> {
                let pooled = recipes[0].get(at)?;
                Some(match self.whitened {
                    true => self.learned.whitenings[at].apply(pooled),
                    false => pooled.clone(),
                })
            };
            let clean: Vec<_> = sample.clean.iter().filter_map(vector).collect();
            let views: Vec<_> = sample.views.iter().filter_map(vector).collect();
            let Some(first) = clean.first().or(views.first()) else {
                continue;
            };
            if statistics.len() == at {
                statistics.push(Statistics::new(part, first.len()));
            }
            statistics[at].add(&slices(&clean), &slices(&views));
        }
    }
}

/// How many of some pictures [`adapt`] looks at.
pub fn adapted_photos(photos: &[PathBuf]) -> usize {
    photos.len().div_ceil(step(photos))
}

fn slices(vectors: &[Vec<f32>]) -> Vec<&[f32]> {
    vectors.iter().map(Vec::as_slice).collect()
}

fn step(photos: &[PathBuf]) -> usize {
    photos.len().div_ceil(MOST).max(1)
}

fn share(captures: usize, dim: usize) -> f64 {
    let a_component = captures as f64 / dim as f64;
    (a_component / (a_component + CAPTURES)).min(0.5)
}

/// The whitening followed by `((1-λ) I + λ W/w)^{-1/2}`. `None` when pictures do not differ at all.
fn followed(whitening: &Whitening, spread: &Mat<f64>, share: f64) -> Option<Whitening> {
    let (dim, channels) = (whitening.dim(), whitening.channels());
    let mean = (0..dim).map(|i| spread[(i, i)]).sum::<f64>() / dim as f64;
    if mean <= 0.0 {
        return None;
    }
    let mixed = Mat::from_fn(dim, dim, |i, j| {
        share * spread[(i, j)] / mean + if i == j { 1.0 - share } else { 0.0 }
    });
    let (values, vectors) = pca::eigen(&mixed);
    let root = Mat::<f64>::from_fn(dim, dim, |i, j| {
        let terms = values.iter().enumerate();
        terms
            .map(|(k, value)| vectors[(i, k)] * vectors[(j, k)] / value.sqrt())
            .sum()
    });
    let before = whitening.projection();
    let mut projection = Vec::with_capacity(dim * channels);
    for i in 0..dim {
        let mut row = vec![0.0f64; channels];
        for (j, source) in before.chunks_exact(channels).enumerate() {
            for (sum, &value) in row.iter_mut().zip(source) {
                *sum += root[(i, j)] * f64::from(value);
            }
        }
        projection.extend(row.into_iter().map(|value| value as f32));
    }
    Whitening::new(whitening.mean().to_vec(), &projection)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_varies_on_the_catalogue_is_pressed_down() {
        let whitening = Whitening::new(vec![0.0; 2], &[1.0, 0.0, 0.0, 1.0]).unwrap();
        let spread = Mat::from_fn(2, 2, |i, j| match (i, j) {
            (0, 0) => 3.0,
            (1, 1) => 1.0,
            _ => 0.0,
        });
        // Variances over their mean are 1.5 and 0.5; half of that and half of 1.
        let followed = followed(&whitening, &spread, 0.5).unwrap();
        let expected = [1.0 / 1.25f32.sqrt(), 0.0, 0.0, 1.0 / 0.75f32.sqrt()];
        for (found, expected) in followed.projection().iter().zip(expected) {
            assert!((found - expected).abs() < 1e-6);
        }
        assert!(super::followed(&whitening, &Mat::zeros(2, 2), 0.5).is_none());
    }

    #[test]
    fn a_catalogue_is_trusted_by_its_size() {
        assert!(share(16 * 4, 96) < 0.08);
        assert!((share(800, 100) - 0.5).abs() < 1e-12);
        assert_eq!(share(1_000_000, 64), 0.5);
    }

    #[test]
    fn large_catalogues_are_sampled_evenly() {
        let photos = vec![PathBuf::new(); 4001];
        assert_eq!((step(&photos), adapted_photos(&photos)), (3, 1334));
        assert_eq!(adapted_photos(&photos[..5]), 5);
    }
}
