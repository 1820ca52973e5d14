//! The moments that one part's whitening is computed from.

use super::learned_whitening::PairMoments;
use super::moments::Moments;
use super::summary::Summary;
use crate::descriptor::{Part, WhiteningFit};

pub(super) enum Statistics {
    Pca(Moments),
    Pairs(PairMoments),
}

impl Statistics {
    pub(super) fn new(part: &Part, channels: usize) -> Self {
        match part.whitening {
            WhiteningFit::Pca | WhiteningFit::ShrunkPca { .. } => Self::Pca(Moments::new(channels)),
            WhiteningFit::Pairs { .. } => Self::Pairs(PairMoments::new(channels)),
        }
    }

    /// Adds one class: pooled vectors of its photos, and of their simulated captures.
    pub(super) fn add(&mut self, clean: &[&[f32]], views: &[&[f32]]) {
        match self {
            Self::Pca(moments) => clean.iter().for_each(|vector| moments.add(vector)),
            // Of a thing that was photographed more than once, the photos are captures too.
            Self::Pairs(moments) if clean.len() > 1 => {
                moments.add(clean.iter().chain(views).copied());
            }
            Self::Pairs(moments) => moments.add(views.iter().copied()),
        }
    }

    pub(super) fn flush(&mut self) {
        match self {
            Self::Pca(moments) => moments.flush(),
            Self::Pairs(moments) => moments.flush(),
        }
    }

    pub(super) fn summary(&self) -> Summary {
        match self {
            Self::Pca(moments) => Summary {
                mean: moments.mean(),
                total: moments.covariance(),
                within: None,
            },
            Self::Pairs(moments) => moments.summary(),
        }
    }
}
