//! Photo to pooled vectors: of the photo itself and of its synthetic captures.

use std::path::PathBuf;

use super::{Fit, FitOptions};
use crate::backbone::{Backbone, BackboneError, FeatureMap};
use crate::descriptor::{DescribeError, Maps, Views, pool_views};
use crate::image::{self, ImageError, Pixels};

pub(super) enum SampleError {
    Photo(ImageError),
    Backbone(BackboneError),
    Describe(DescribeError),
}

/// Pooled parts of every recipe; none of a recipe that does not need this look.
type Pooled = Vec<Vec<Vec<f32>>>;

/// What one photo gives: pooled vectors of the photo itself (when asked for) and of each of its
/// synthetic captures.
pub(super) struct Sample {
    pub(super) clean: Option<Pooled>,
    pub(super) views: Vec<Pooled>,
}

pub(super) struct Sampler<'a> {
    backbone: &'a Backbone,
    taps: &'a [String],
    photos: &'a [PathBuf],
    options: &'a FitOptions,
    clean: bool,
    views: usize,
}

impl<'a> Sampler<'a> {
    pub(super) fn new(
        backbone: &'a Backbone,
        taps: &'a [String],
        photos: &'a [PathBuf],
        options: &'a FitOptions,
    ) -> Self {
        Self {
            backbone,
            taps,
            photos,
            options,
            clean: false,
            views: 0,
        }
    }

    /// Looks at what these fits need, and at nothing else.
    pub(super) fn need(&mut self, fits: &[Fit]) {
        let pairs = fits.iter().any(Fit::needs_views);
        let labelled = pairs && !self.options.groups.is_empty();
        self.clean = labelled || fits.iter().any(|fit| fit.needs_clean(self.options));
        self.views = if pairs { self.options.views.max(2) } else { 0 };
    }

    /// Synthetic captures of a photo.
    pub(super) fn views(&self) -> usize {
        self.views
    }

    pub(super) fn photos(&self) -> &'a [PathBuf] {
        self.photos
    }

    pub(super) fn options(&self) -> &'a FitOptions {
        self.options
    }

    pub(super) fn sample(&self, at: usize, fits: &[Fit]) -> Result<Sample, SampleError> {
        let limits = &self.options.limits;
        let photo = image::read_photo(&self.photos[at], limits).map_err(SampleError::Photo)?;
        let clean = if self.clean {
            let all = !self.options.groups.is_empty();
            Some(self.pooled(&photo, fits, |fit| all || fit.needs_clean(self.options))?)
        } else {
            None
        };
        let mut rng = self.rng(at);
        let mut views = Vec::with_capacity(self.views);
        for _ in 0..self.views {
            let backdrop = image::read_photo(&self.photos[rng.usize(..self.photos.len())], limits);
            let view = self
                .options
                .simulator
                .view(&photo, backdrop.ok().as_ref(), &mut rng);
            views.push(self.pooled(&view, fits, Fit::needs_views)?);
        }
        Ok(Sample { clean, views })
    }

    /// One generator a photo: the result does not depend on which thread came first.
    pub(super) fn rng(&self, at: usize) -> fastrand::Rng {
        let place = (at as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        fastrand::Rng::with_seed(self.options.seed ^ place)
    }

    /// The maps of a photo as it is.
    pub(super) fn maps(&self, at: usize) -> Result<Vec<FeatureMap>, SampleError> {
        let limits = &self.options.limits;
        let photo = image::read_photo(&self.photos[at], limits).map_err(SampleError::Photo)?;
        self.run(&self.input(&photo)?)
    }

    /// Names maps by the taps of the network.
    pub(super) fn named<'m>(&'m self, maps: &'m [FeatureMap]) -> Maps<'m> {
        Maps::new(self.taps, maps)
    }

    fn input(&self, pixels: &Pixels) -> Result<Pixels, SampleError> {
        let sizing = &self.backbone.preprocessing().sizing;
        image::fit(pixels, None, sizing).map_err(SampleError::Photo)
    }

    fn run(&self, input: &Pixels) -> Result<Vec<FeatureMap>, SampleError> {
        self.backbone.run(input).map_err(SampleError::Backbone)
    }

    fn pooled(
        &self,
        pixels: &Pixels,
        fits: &[Fit],
        needed: impl Fn(&Fit) -> bool,
    ) -> Result<Pooled, SampleError> {
        let input = self.input(pixels)?;
        let sizing = &self.backbone.preprocessing().sizing;
        // Recipes that look at a photo in the same way share the runs of the network.
        let mut looks: Vec<(&Views, Vec<Vec<FeatureMap>>)> = Vec::new();
        let mut pooled = Vec::with_capacity(fits.len());
        for fit in fits {
            if fit.refused.is_some() || !needed(fit) {
                pooled.push(Vec::new());
                continue;
            }
            let views = &fit.recipe.views;
            let known = looks.iter().position(|(other, _)| *other == views);
            let known = match known {
                Some(known) => known,
                None => {
                    let inputs = views.inputs(&input, sizing);
                    let maps = inputs.iter().map(|input| self.run(input));
                    looks.push((views, maps.collect::<Result<_, _>>()?));
                    looks.len() - 1
                }
            };
            let maps: Vec<Maps<'_>> = looks[known].1.iter().map(|m| self.named(m)).collect();
            let parts = pool_views(&fit.recipe, &maps, &fit.learned);
            pooled.push(parts.map_err(SampleError::Describe)?);
        }
        Ok(pooled)
    }
}
