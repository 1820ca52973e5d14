//! The moments that one part's whitening is computed from.

use faer::Mat;

use super::learned_whitening::{self, PairMoments};
use super::moments::Moments;
use super::{FitError, pca};
use crate::descriptor::{Part, Whitening, WhiteningFit};

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

    /// How much what should be alike differs: within classes, or of all.
    pub(super) fn spread(&self) -> Mat<f64> {
        match self {
            Self::Pca(moments) => moments.covariance(),
            Self::Pairs(moments) => moments.within(),
        }
    }

    pub(super) fn whitening(&self, part: &Part) -> Result<Whitening, FitError> {
        match (self, part.whitening) {
            (Self::Pairs(moments), WhiteningFit::Pairs { shrinkage }) => {
                learned_whitening::whitening(moments, shrinkage, part)
            }
            (Self::Pca(moments), WhiteningFit::ShrunkPca { shrinkage }) => {
                pca::whitening(moments, shrinkage, part)
            }
            (Self::Pca(moments), _) => pca::whitening(moments, 0.0, part),
            (Self::Pairs(_), _) => unreachable!("made from the same part"),
        }
    }
}
