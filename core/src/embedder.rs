//! Pixels to descriptor in one call: a bundle made ready to run.

use std::time::{Duration, Instant};

use crate::backbone::{Backbone, BackboneError, FeatureMap, RunOptions};
use crate::bundle::Bundle;
use crate::descriptor::{Descriptor, HeatMap, LocalFeatures, attribute, describe};
use crate::image::{self, ImageError, Pixels, Region, Sizing};
use crate::rerank;

/// A bundle whose network is loaded. Shared between threads by reference.
pub struct Embedder {
    bundle: Bundle,
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
    /// A tap has another number of channels than its whitening takes.
    #[error(
        "tap {tap:?} has {found} channels, its whitening takes {expected}; the bundle's network and recipe do not belong together"
    )]
    Channels {
        /// The tap.
        tap: String,
        /// Channels that the whitening takes.
        expected: usize,
        /// Channels that the network gave.
        found: usize,
    },
}

impl Embedder {
    /// Loads a bundle's network.
    ///
    /// # Errors
    /// [`BackboneError`] when the network cannot be read or lacks a tap of the recipe.
    pub fn new(bundle: Bundle) -> Result<Self, BackboneError> {
        let backbone = bundle.backbone(&bundle.spec().recipe.taps())?;
        Ok(Self { bundle, backbone })
    }

    /// The network, ready to run.
    pub fn backbone(&self) -> &Backbone {
        &self.backbone
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

    /// [`Embedder::embed_input`], and the maps that it describes: one a tap, in the order of the recipe's.
    ///
    /// # Errors
    /// As [`Embedder::embed_input`].
    pub fn look(
        &self,
        input: &Pixels,
        options: &RunOptions<'_>,
    ) -> Result<(Embedding, Vec<FeatureMap>), EmbedError> {
        let recipe = &self.bundle.spec().recipe;
        let whitenings = self.bundle.whitenings();
        let start = Instant::now();
        let maps = self.backbone.run_with(input, options)?;
        let mapped = Instant::now();
        for ((part, map), whitening) in recipe.parts.iter().zip(&maps).zip(whitenings) {
            if map.channels() != whitening.channels() {
                return Err(EmbedError::Channels {
                    tap: part.tap.clone(),
                    expected: whitening.channels(),
                    found: map.channels(),
                });
            }
        }
        let values = describe(recipe, &maps, whitenings);
        let embedding = Embedding {
            descriptor: Descriptor {
                fingerprint: self.bundle.fingerprint(),
                values,
            },
            resize: Duration::ZERO,
            backbone: mapped - start,
            describe: mapped.elapsed(),
        };
        Ok((embedding, maps))
    }

    /// Where a photo is like another: the cosine of its descriptor with `other`, split over its places. Of the maps that
    /// [`Embedder::look`] gives; `None` where the recipe is not linear in them.
    pub fn heat_map(&self, maps: &[FeatureMap], other: &[f32]) -> Option<HeatMap> {
        let recipe = &self.bundle.spec().recipe;
        let maps: Vec<&FeatureMap> = maps.iter().collect();
        attribute(recipe, &maps, self.bundle.whitenings(), other)
    }

    /// The local features of a photo, of the maps that [`Embedder::look`] gives: of the recipe's part with the most
    /// components, the first of equals, by its own whitening. `None` where that part is no pooling of one map, or has
    /// no whitening.
    pub fn local_features(&self, maps: &[FeatureMap]) -> Option<LocalFeatures> {
        let parts = self.bundle.spec().recipe.parts.iter().enumerate();
        let (at, part) = parts.max_by_key(|(at, part)| (part.dim, std::cmp::Reverse(*at)))?;
        let whitening = self.bundle.whitenings().get(at)?;
        let dim = part.dim.min(rerank::LOCAL_DIM);
        LocalFeatures::of_map(maps.get(at)?, whitening, dim)
    }
}
