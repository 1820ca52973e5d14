//! Fitting: what a recipe learns from photos without labels.
//!
//! Photos stream through the backbone in batches; of each part only its moments (mean and
//! covariance) are kept, so memory does not grow with the number of photos. The result depends on
//! the photos, their order and the seed alone, not on the number of threads.

mod learned_whitening;
mod moments;
mod pca;

use std::path::PathBuf;

use rayon::prelude::*;

use crate::backbone::{Backbone, BackboneError, FeatureMap};
use crate::descriptor::{Part, Recipe, RecipeError, Whitening, WhiteningFit, pool};
use crate::image::{self, ImageError, Limits, Pixels};
use crate::simulate::{CaptureSimulator, Settings};
use learned_whitening::PairMoments;
use moments::Moments;

/// Photos of a batch: large enough to keep every core at work, small enough for a phone's memory.
const BATCH: usize = 32;

/// How a recipe is fitted.
#[derive(Clone, Debug)]
pub struct FitOptions {
    /// Synthetic captures of each photo, for parts whose whitening is learned from pairs.
    pub views: usize,
    /// Seed of the capture simulator.
    pub seed: u64,
    /// What the capture simulator may do.
    pub simulator: CaptureSimulator,
    /// What a photo may cost.
    pub limits: Limits,
}

impl Default for FitOptions {
    fn default() -> Self {
        Self {
            views: 5,
            seed: 1,
            simulator: CaptureSimulator::new(Settings::capture()),
            limits: Limits::default(),
        }
    }
}

/// The fitted whitenings, one a part, and what was left out.
#[derive(Debug)]
pub struct Fitted {
    /// In the order of the recipe's parts.
    pub whitenings: Vec<Whitening>,
    /// Photos that were used.
    pub photos: usize,
    /// Photos that could not be read, with the reason.
    pub failed: Vec<(PathBuf, ImageError)>,
}

/// Why fitting failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FitError {
    /// The recipe is out of range.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    /// The network does not run or lacks a tap.
    #[error(transparent)]
    Backbone(#[from] BackboneError),
    /// Too few photos for the number of components.
    #[error(
        "part {tap:?} with {dim} components needs at least {needed} photos, found {found}; add photos or ask for fewer components"
    )]
    TooFewPhotos {
        /// The part's tap.
        tap: String,
        /// Components asked for.
        dim: usize,
        /// The least number of photos.
        needed: usize,
        /// Photos that could be read.
        found: usize,
    },
    /// A part asks for more components than its tap has channels.
    #[error("part {tap:?} asks for {dim} components, but the tap has {channels} channels")]
    TooManyComponents {
        /// The part's tap.
        tap: String,
        /// Components asked for.
        dim: usize,
        /// Channels there are.
        channels: usize,
    },
    /// The photos do not vary enough: the covariance has too low a rank.
    #[error(
        "the photos vary in {found} directions only at tap {tap:?}, {dim} components were asked for; add other photos"
    )]
    Degenerate {
        /// The part's tap.
        tap: String,
        /// Components asked for.
        dim: usize,
        /// Directions with variance.
        found: usize,
    },
}

/// Fits every part of `recipe` on `photos`. `progress` is told the number of photos done.
///
/// # Errors
/// [`FitError`]; photos that cannot be read are listed in [`Fitted::failed`] instead.
pub fn fit(
    backbone: &Backbone,
    recipe: &Recipe,
    photos: &[PathBuf],
    options: &FitOptions,
    progress: &(dyn Fn(usize) + Sync),
) -> Result<Fitted, FitError> {
    recipe.check()?;
    let clean = recipe
        .parts
        .iter()
        .any(|part| part.whitening == WhiteningFit::Pca);
    let pairs = recipe
        .parts
        .iter()
        .any(|part| part.whitening != WhiteningFit::Pca);
    let views = if pairs { options.views.max(2) } else { 0 };
    let mut statistics: Vec<Statistics> = Vec::new();
    let mut failed = Vec::new();
    let mut used = 0;
    for (batch, paths) in photos.chunks(BATCH).enumerate() {
        let samples: Vec<Result<Sample, SampleError>> = paths
            .par_iter()
            .enumerate()
            .map(|(at, path)| {
                let at = batch * BATCH + at;
                let sampler = Sampler {
                    backbone,
                    recipe,
                    photos,
                    options,
                    clean,
                    views,
                };
                let sample = sampler.sample(at);
                progress(1);
                sample.map_err(|error| match error {
                    SampleError::Photo(error) => SampleError::Named(path.clone(), error),
                    other => other,
                })
            })
            .collect();
        for sample in samples {
            match sample {
                Ok(sample) => {
                    if statistics.is_empty() {
                        statistics = recipe
                            .parts
                            .iter()
                            .enumerate()
                            .map(|(at, part)| Statistics::new(part, sample.channels(at)))
                            .collect();
                    }
                    for (at, statistic) in statistics.iter_mut().enumerate() {
                        statistic.add(&sample, at);
                    }
                    used += 1;
                }
                Err(SampleError::Named(path, error)) => failed.push((path, error)),
                Err(SampleError::Photo(_)) => unreachable!("photos are named above"),
                Err(SampleError::Backbone(error)) => return Err(error.into()),
            }
        }
        statistics.iter_mut().for_each(Statistics::flush);
    }
    let whitenings = recipe
        .parts
        .iter()
        .enumerate()
        .map(|(at, part)| {
            let needed = least_photos(part, views);
            match statistics.get(at) {
                Some(statistic) if used >= needed => statistic.whitening(part),
                _ => Err(FitError::TooFewPhotos {
                    tap: part.tap.clone(),
                    dim: part.dim,
                    needed,
                    found: used,
                }),
            }
        })
        .collect::<Result<_, _>>()?;
    Ok(Fitted {
        whitenings,
        photos: used,
        failed,
    })
}

/// Samples must outnumber components, or directions without any variance would be kept.
fn least_photos(part: &Part, views: usize) -> usize {
    match part.whitening {
        WhiteningFit::Pca => part.dim + 1,
        WhiteningFit::Pairs { .. } => (part.dim + 1).div_ceil(views).max(16),
    }
}

enum SampleError {
    Photo(ImageError),
    Named(PathBuf, ImageError),
    Backbone(BackboneError),
}

/// What one photo gives: a pooled vector a part of the photo itself (when asked for) and of each
/// of its synthetic captures.
struct Sample {
    clean: Option<Vec<Vec<f32>>>,
    views: Vec<Vec<Vec<f32>>>,
}

impl Sample {
    fn channels(&self, part: usize) -> usize {
        self.clean
            .iter()
            .chain(&self.views)
            .next()
            .map_or(0, |parts| parts[part].len())
    }
}

struct Sampler<'a> {
    backbone: &'a Backbone,
    recipe: &'a Recipe,
    photos: &'a [PathBuf],
    options: &'a FitOptions,
    clean: bool,
    views: usize,
}

impl Sampler<'_> {
    fn sample(&self, at: usize) -> Result<Sample, SampleError> {
        let limits = &self.options.limits;
        let photo = image::read_photo(&self.photos[at], limits).map_err(SampleError::Photo)?;
        let clean = if self.clean {
            Some(self.pooled(&photo)?)
        } else {
            None
        };
        // One generator a photo: the result does not depend on which thread came first.
        let mut rng = fastrand::Rng::with_seed(
            self.options.seed ^ (at as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15),
        );
        let mut views = Vec::with_capacity(self.views);
        for _ in 0..self.views {
            let backdrop = image::read_photo(&self.photos[rng.usize(..self.photos.len())], limits);
            let view = self
                .options
                .simulator
                .view(&photo, backdrop.ok().as_ref(), &mut rng);
            views.push(self.pooled(&view)?);
        }
        Ok(Sample { clean, views })
    }

    fn pooled(&self, pixels: &Pixels) -> Result<Vec<Vec<f32>>, SampleError> {
        let sizing = &self.backbone.preprocessing().sizing;
        let input = image::fit(pixels, None, sizing).map_err(SampleError::Photo)?;
        let maps: Vec<FeatureMap> = self.backbone.run(&input).map_err(SampleError::Backbone)?;
        Ok(self
            .recipe
            .parts
            .iter()
            .zip(&maps)
            .map(|(part, map)| pool(part, map))
            .collect())
    }
}

/// The moments that one part's whitening is computed from.
enum Statistics {
    Pca(Moments),
    Pairs(PairMoments),
}

impl Statistics {
    fn new(part: &Part, channels: usize) -> Self {
        match part.whitening {
            WhiteningFit::Pca => Self::Pca(Moments::new(channels)),
            WhiteningFit::Pairs { .. } => Self::Pairs(PairMoments::new(channels)),
        }
    }

    fn add(&mut self, sample: &Sample, part: usize) {
        match self {
            Self::Pca(moments) => sample
                .clean
                .iter()
                .for_each(|parts| moments.add(&parts[part])),
            Self::Pairs(moments) => moments.add(sample.views.iter().map(|parts| &parts[part][..])),
        }
    }

    fn flush(&mut self) {
        match self {
            Self::Pca(moments) => moments.flush(),
            Self::Pairs(moments) => moments.flush(),
        }
    }

    fn whitening(&self, part: &Part) -> Result<Whitening, FitError> {
        match (self, part.whitening) {
            (Self::Pairs(moments), WhiteningFit::Pairs { shrinkage }) => {
                learned_whitening::whitening(moments, shrinkage, part)
            }
            (Self::Pca(moments), _) => pca::whitening(moments, part),
            (Self::Pairs(_), WhiteningFit::Pca) => unreachable!("made from the same part"),
        }
    }
}
