//! What an encoding compares local features with: a projection and centres.
//!
//! A local feature is one location of a map, projected onto its leading principal components and
//! brought to unit length. The codebook is learned when the recipe is fitted.

use super::{CodebookShape, Whitening, to_unit_length};
use crate::backbone::FeatureMap;

/// Projection `C → local`, and `K` centres of `local` components; Gaussians have weights and
/// deviations too.
#[derive(Clone, Debug, PartialEq)]
pub struct Codebook {
    projection: Whitening,
    centres: Vec<f32>,
    mixture: Option<Mixture>,
}

/// What makes centres the means of a Gaussian mixture with diagonal covariances.
#[derive(Clone, Debug, PartialEq)]
pub struct Mixture {
    /// Share of each Gaussian, `K` values above 0.
    pub weights: Vec<f32>,
    /// Standard deviations, `K × local` values above 0.
    pub deviations: Vec<f32>,
}

impl Codebook {
    /// Takes a projection, centres row by row and, for a mixture, its weights and deviations;
    /// `None` when the lengths do not fit each other or a value is out of range.
    pub fn new(projection: Whitening, centres: Vec<f32>, mixture: Option<Mixture>) -> Option<Self> {
        let local = projection.dim();
        let finite = centres.iter().all(|value| value.is_finite());
        let mixture_fits = mixture.as_ref().is_none_or(|mixture| {
            let above = |values: &[f32]| values.iter().all(|&v| v > 0.0 && v.is_finite());
            mixture.weights.len() * local == centres.len()
                && mixture.deviations.len() == centres.len()
                && above(&mixture.weights)
                && above(&mixture.deviations)
        });
        (centres.len().is_multiple_of(local) && finite && mixture_fits).then_some(Self {
            projection,
            centres,
            mixture,
        })
    }

    /// Channels of the maps that it takes.
    pub fn channels(&self) -> usize {
        self.projection.channels()
    }

    /// Components of a local feature.
    pub fn local(&self) -> usize {
        self.projection.dim()
    }

    /// The projection of locations to local features.
    pub fn projection(&self) -> &Whitening {
        &self.projection
    }

    /// The centres, row by row.
    pub fn centres(&self) -> &[f32] {
        &self.centres
    }

    /// Weights and deviations of a mixture.
    pub fn mixture(&self) -> Option<&Mixture> {
        self.mixture.as_ref()
    }

    /// Whether this is what a pooling asks for, as the reason why not.
    pub(super) fn check(&self, shape: CodebookShape) -> Result<(), String> {
        let found = (
            self.local(),
            self.centres.len() / self.local(),
            self.mixture.is_some(),
        );
        let expected = (shape.local, shape.centres, shape.gaussian);
        if found == expected {
            return Ok(());
        }
        let name = |(local, centres, gaussian): (usize, usize, bool)| {
            let of = if gaussian { "Gaussians" } else { "centres" };
            format!("{centres} {of} of {local} components")
        };
        Err(format!(
            "{} expected, found {}",
            name(expected),
            name(found)
        ))
    }

    /// The local features of a map: one unit vector a location, row by row.
    pub(super) fn locals(&self, map: &FeatureMap) -> Vec<Vec<f32>> {
        map.locations().map(|x| self.local_feature(x)).collect()
    }

    /// One location projected, at unit length.
    pub(crate) fn local_feature(&self, location: &[f32]) -> Vec<f32> {
        let mut local = self.projection.apply(location);
        to_unit_length(&mut local);
        local
    }

    /// The centres one by one.
    pub(super) fn rows(&self) -> impl ExactSizeIterator<Item = &[f32]> {
        self.centres.chunks_exact(self.local())
    }

    /// The nearest centre; the first of equally near ones.
    pub(super) fn nearest(&self, local: &[f32]) -> usize {
        let mut best = (f64::INFINITY, 0);
        for (at, centre) in self.rows().enumerate() {
            let distance = square_distance(local, centre);
            if distance < best.0 {
                best = (distance, at);
            }
        }
        best.1
    }
}

pub(super) fn square_distance(a: &[f32], b: &[f32]) -> f64 {
    let differences = a.iter().zip(b).map(|(&a, &b)| f64::from(a) - f64::from(b));
    differences.map(|difference| difference * difference).sum()
}

/// Brings each `length` values to unit length: no centre, and no burst of features at one,
/// dominates the vector (Arandjelović & Zisserman, "All about VLAD", CVPR 2013, section 3.1).
pub(super) fn intra_normalise(values: &[f64], length: usize) -> Vec<f32> {
    let mut result = Vec::with_capacity(values.len());
    for block in values.chunks_exact(length) {
        let norm = block.iter().map(|v| v * v).sum::<f64>().sqrt();
        let scale = if norm > 0.0 { 1.0 / norm } else { 0.0 };
        result.extend(block.iter().map(|v| (v * scale) as f32));
    }
    result
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Two components taken as they are, and these centres.
    pub(in crate::descriptor) fn plain(centres: &[f32], mixture: Option<Mixture>) -> Codebook {
        let projection = Whitening::new(vec![0.0; 2], &[1.0, 0.0, 0.0, 1.0]).unwrap();
        Codebook::new(projection, centres.to_vec(), mixture).unwrap()
    }

    #[test]
    fn local_features_are_unit_vectors_and_find_their_centre() {
        let codebook = plain(&[1.0, 0.0, 0.0, 1.0], None);
        let map = FeatureMap::new(1, 2, 2, vec![3.0, 4.0, 0.0, 0.0]).unwrap();
        let locals = codebook.locals(&map);
        assert_eq!(locals, [[0.6, 0.8], [0.0, 0.0]]);
        assert_eq!(codebook.nearest(&locals[0]), 1);
        // Equally near: the first.
        assert_eq!(codebook.nearest(&locals[1]), 0);
    }

    #[test]
    fn codebooks_that_do_not_fit_are_refused_with_both_sizes() {
        let codebook = plain(&[1.0, 0.0, 0.0, 1.0], None);
        let shape = |centres, gaussian| CodebookShape {
            local: 2,
            centres,
            gaussian,
            levels: 1,
        };
        assert_eq!(codebook.check(shape(2, false)), Ok(()));
        assert_eq!(
            codebook.check(shape(3, true)).unwrap_err(),
            "3 Gaussians of 2 components expected, found 2 centres of 2 components"
        );
        let projection = Whitening::new(vec![0.0; 2], &[1.0; 4]).unwrap();
        assert!(Codebook::new(projection.clone(), vec![1.0; 3], None).is_none());
        let dead = Mixture {
            weights: vec![1.0],
            deviations: vec![1.0, 0.0],
        };
        assert!(Codebook::new(projection, vec![1.0; 2], Some(dead)).is_none());
    }
}
