//! Pixels to descriptor in one call: a bundle made ready to run.

use std::time::{Duration, Instant};

use crate::backbone::{Backbone, BackboneError, FeatureMap, RunOptions};
use crate::bundle::Bundle;
use crate::descriptor::{
    DescribeError, Descriptor, HeatMap, LocalFeatures, Maps, attribute, describe,
};
use crate::image::{self, ImageError, Pixels, Region, Sizing};
use crate::localise::{self, Focus, Located};
use crate::rerank;

/// A bundle whose network is loaded. Shared between threads by reference.
pub struct Embedder {
    bundle: Bundle,
    taps: Vec<String>,
    backbone: Backbone,
}

/// A descriptor and what it cost.
#[derive(Clone, Debug)]
pub struct Embedding {
    /// The unit vector.
    pub descriptor: Descriptor,
    /// Crop and resize.
    pub resize: Duration,
    /// The network.
    pub backbone: Duration,
    /// Pooling, whitening, fusion.
    pub describe: Duration,
    /// Whether a delegate ran the network.
    pub delegated: bool,
}

/// Why a photo got no descriptor.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmbedError {
    /// The photo or the region of interest.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The network.
    #[error(transparent)]
    Backbone(#[from] BackboneError),
    /// The bundle's network and recipe do not belong together.
    #[error(transparent)]
    Describe(#[from] DescribeError),
}

impl Embedder {
    /// Loads a bundle's network.
    ///
    /// # Errors
    /// [`BackboneError`] when the network cannot be read or lacks a tap of the recipe.
    pub fn new(bundle: Bundle) -> Result<Self, BackboneError> {
        let taps = bundle.spec().taps();
        let backbone = bundle.backbone(&taps)?;
        Ok(Self {
            bundle,
            taps,
            backbone,
        })
    }

    /// The network, ready to run.
    pub fn backbone(&self) -> &Backbone {
        &self.backbone
    }

    /// Names what the network gave: its taps are those of the recipe and of the heads.
    pub fn maps<'a>(&'a self, maps: &'a [FeatureMap]) -> Maps<'a> {
        Maps::new(&self.taps, maps)
    }

    /// The bundle that was loaded.
    pub fn bundle(&self) -> &Bundle {
        &self.bundle
    }

    /// Crops to the region, resizes, runs the network and describes its maps.
    ///
    /// # Errors
    /// [`EmbedError`]: a region outside of the photo, or a network that does not run.
    pub fn embed(&self, pixels: &Pixels, region: Option<&Region>) -> Result<Embedding, EmbedError> {
        self.embed_with(pixels, region, &RunOptions::default())
    }

    /// [`Embedder::embed`] with a number of threads, an instruction set and a way to stop. None of
    /// them changes a descriptor.
    ///
    /// # Errors
    /// As [`Embedder::embed`]; [`BackboneError::Cancelled`] and [`BackboneError::UnknownCpu`].
    pub fn embed_with(
        &self,
        pixels: &Pixels,
        region: Option<&Region>,
        options: &RunOptions<'_>,
    ) -> Result<Embedding, EmbedError> {
        let start = Instant::now();
        let input = self.input(pixels, region)?;
        let resize = start.elapsed();
        Ok(Embedding {
            resize,
            ..self.embed_input(&input, options)?
        })
    }

    /// Crops to the region and resizes to what the network takes.
    ///
    /// # Errors
    /// [`ImageError::Parameter`] for a region outside of the photo.
    pub fn input(&self, pixels: &Pixels, region: Option<&Region>) -> Result<Pixels, ImageError> {
        image::fit(pixels, region, self.sizing())
    }

    /// [`Embedder::input`] for a photo that was decoded for [`Embedder::sizing`].
    ///
    /// # Errors
    /// [`ImageError::Parameter`] for a region outside of the photo.
    pub fn photo_input(
        &self,
        photo: &image::Photo,
        region: Option<&Region>,
    ) -> Result<Pixels, ImageError> {
        photo.fit(region, self.sizing())
    }

    /// The size of input that the network reads.
    pub fn sizing(&self) -> &Sizing {
        &self.bundle.spec().preprocessing.sizing
    }

    /// Runs the network on an input of its own size and describes the maps.
    ///
    /// # Errors
    /// [`EmbedError`] when the network does not run or its taps are not those of the recipe.
    pub fn embed_input(
        &self,
        input: &Pixels,
        options: &RunOptions<'_>,
    ) -> Result<Embedding, EmbedError> {
        Ok(self.look(input, options)?.0)
    }

    /// [`Embedder::embed_input`], and the maps of its first view: one a tap of the recipe and of the heads.
    ///
    /// # Errors
    /// As [`Embedder::embed_input`].
    pub fn look(
        &self,
        input: &Pixels,
        options: &RunOptions<'_>,
    ) -> Result<(Embedding, Vec<FeatureMap>), EmbedError> {
        let recipe = &self.bundle.spec().recipe;
        let start = Instant::now();
        let mut delegated = false;
        let mut run = |input| {
            options.stop().check().map_err(BackboneError::from)?;
            match options.delegate.and_then(|delegate| delegate.run(input)) {
                Some(maps) => {
                    delegated = true;
                    Ok(maps)
                }
                None => self.backbone.run_with(input, options),
            }
        };
        let mut seen = if recipe.views.is_single() {
            vec![run(input)?]
        } else {
            let inputs = recipe.views.inputs(input, self.sizing());
            inputs.iter().map(&mut run).collect::<Result<_, _>>()?
        };
        let mapped = Instant::now();
        let views: Vec<Maps<'_>> = seen.iter().map(|maps| self.maps(maps)).collect();
        let values = describe(recipe, &views, self.bundle.learned())?;
        let embedding = Embedding {
            descriptor: Descriptor {
                fingerprint: self.bundle.fingerprint(),
                values,
            },
            resize: Duration::ZERO,
            backbone: mapped - start,
            describe: mapped.elapsed(),
            delegated,
        };
        Ok((embedding, seen.swap_remove(0)))
    }

    /// Where a photo is like another: the cosine of its descriptor with `other`, split over its places. Of the maps that
    /// [`Embedder::look`] gives; `None` where the recipe is not linear in them.
    pub fn heat_map(&self, maps: &[FeatureMap], other: &[f32]) -> Option<HeatMap> {
        let recipe = &self.bundle.spec().recipe;
        attribute(recipe, &self.maps(maps), self.bundle.learned(), other)
    }

    /// Where the thing is in a photo, of the maps that [`Embedder::look`] gives: the surest place first, at most
    /// `most`. What stands out is looked for in the map of the recipe's part with the finest grid.
    pub fn locate(&self, maps: &[FeatureMap], focus: Focus, most: usize) -> Vec<Located> {
        let maps = self.maps(maps);
        match focus {
            Focus::Saliency => {
                let taps = self.bundle.spec().recipe.parts.iter().map(|part| &part.tap);
                let maps = taps.filter_map(|tap| maps.of(tap).ok());
                // Of equals the deepest, which recipes name last.
                let finest = maps.max_by_key(|map| map.height() * map.width());
                let place = finest.and_then(localise::salient);
                place.into_iter().take(most).collect()
            }
            Focus::Detector => {
                let heads = &self.bundle.spec().heads;
                let tap = heads.detector.as_ref();
                let map = tap.and_then(|tap| maps.of(tap).ok());
                map.map_or_else(Vec::new, |map| localise::detected(map, most))
            }
        }
    }

    /// The local features of a photo, of the maps that [`Embedder::look`] gives: of the recipe's part with the finest
    /// map (of equals the one with most components), by its own whitening. `None` where no part pools one map as it is,
    /// or none has a whitening.
    pub fn local_features(&self, maps: &[FeatureMap]) -> Option<LocalFeatures> {
        let parts = self.bundle.spec().recipe.parts.iter().enumerate();
        let plain = parts.filter(|(_, part)| part.fuse.is_empty() && part.pool.is_weighted());
        let mapped = plain.filter_map(|(at, part)| {
            let map = self.maps(maps).of(&part.tap).ok()?;
            Some((map.height() * map.width(), part.dim, at, map))
        });
        let (_, dim, at, map) =
            mapped.max_by_key(|&(places, dim, at, _)| (places, dim, std::cmp::Reverse(at)))?;
        let whitening = self.bundle.learned().whitenings.get(at)?;
        LocalFeatures::of_map(map, whitening, dim.min(rerank::LOCAL_DIM))
    }
}
