//! What a part's whitening is computed from: mean, total covariance, covariance within classes.
//!
//! Two summaries mix, so that a catalogue's own pictures can have a say (domain fit) without the
//! photos that a bundle was fitted on: those of a whole recipe are kept in a file.

use std::path::Path;

use faer::Mat;

use super::{FitError, learned_whitening, pca};
use crate::container::{Container, ContainerError, ContainerWriter, Kind, Tag};
use crate::descriptor::{Part, Whitening, WhiteningFit};
use crate::fingerprint::Fingerprint;

const PARTS: Tag = Tag(*b"part");

/// The moments of one part.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Summary {
    pub(super) mean: Vec<f64>,
    pub(super) total: Mat<f64>,
    /// For whitenings that are learned from pairs.
    pub(super) within: Option<Mat<f64>>,
}

impl Summary {
    /// This and another, which counts for `share` of all.
    pub(super) fn mixed(&self, other: &Self, share: f64) -> Option<Self> {
        let channels = self.mean.len();
        if other.mean.len() != channels {
            return None;
        }
        let blend = |a: f64, b: f64| (1.0 - share) * a + share * b;
        let mean: Vec<f64> = self
            .mean
            .iter()
            .zip(&other.mean)
            .map(|(&a, &b)| blend(a, b))
            .collect();
        let offset =
            |own: &[f64]| -> Vec<f64> { own.iter().zip(&mean).map(|(a, b)| a - b).collect() };
        let (mine, its) = (offset(&self.mean), offset(&other.mean));
        let total = Mat::from_fn(channels, channels, |i, j| {
            blend(
                self.total[(i, j)] + mine[i] * mine[j],
                other.total[(i, j)] + its[i] * its[j],
            )
        });
        let within = match (&self.within, &other.within) {
            (Some(a), Some(b)) => Some(Mat::from_fn(channels, channels, |i, j| {
                blend(a[(i, j)], b[(i, j)])
            })),
            (None, None) => None,
            _ => return None,
        };
        Some(Self {
            mean,
            total,
            within,
        })
    }

    pub(super) fn whitening(&self, part: &Part) -> Result<Whitening, FitError> {
        match (&self.within, part.whitening) {
            (Some(within), WhiteningFit::Pairs { shrinkage }) => {
                learned_whitening::whitening(&self.mean, &self.total, within, shrinkage, part)
            }
            (_, WhiteningFit::ShrunkPca { shrinkage }) => {
                pca::whitening(&self.mean, &self.total, shrinkage, part)
            }
            _ => pca::whitening(&self.mean, &self.total, 0.0, part),
        }
    }

    /// Channels and whether there is a covariance within classes as u32, the mean, the lower
    /// triangles of the covariances row by row; little-endian, f32.
    fn put(&self, bytes: &mut Vec<u8>) {
        bytes.extend((self.mean.len() as u32).to_le_bytes());
        bytes.extend(u32::from(self.within.is_some()).to_le_bytes());
        let mut put = |value: f64| bytes.extend((value as f32).to_le_bytes());
        self.mean.iter().for_each(|&value| put(value));
        for matrix in std::iter::once(&self.total).chain(&self.within) {
            for i in 0..self.mean.len() {
                (0..=i).for_each(|j| put(matrix[(i, j)]));
            }
        }
    }

    fn take(bytes: &mut &[u8]) -> Option<Self> {
        let number = |bytes: &mut &[u8]| {
            let (number, rest) = bytes.split_first_chunk::<4>()?;
            *bytes = rest;
            Some(u32::from_le_bytes(*number))
        };
        let (channels, pairs) = (number(bytes)? as usize, number(bytes)?);
        let triangle = channels.checked_mul(channels.checked_add(1)?)? / 2;
        // Split before anything is allocated: a hostile length fails here.
        let mut values = |count: usize| -> Option<Vec<f64>> {
            let (block, rest) = bytes.split_at_checked(count.checked_mul(4)?)?;
            *bytes = rest;
            let values = block.as_chunks::<4>().0.iter();
            let values: Vec<f64> = values.map(|&v| f64::from(f32::from_le_bytes(v))).collect();
            values
                .iter()
                .all(|value| value.is_finite())
                .then_some(values)
        };
        let mean = values(channels)?;
        let mut matrix = || {
            let values = values(triangle)?;
            Some(Mat::from_fn(channels, channels, |i, j| {
                values[i.max(j) * (i.max(j) + 1) / 2 + i.min(j)]
            }))
        };
        let total = matrix()?;
        let within = if pairs == 1 { Some(matrix()?) } else { None };
        (channels > 0 && pairs <= 1).then_some(Self {
            mean,
            total,
            within,
        })
    }
}

/// The moments of all parts of a recipe, as a file beside the bundle that was fitted with them.
#[derive(Clone, Debug, PartialEq)]
pub struct RecipeMoments {
    pub(super) parts: Vec<Summary>,
}

/// Why a file of moments was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MomentsError {
    /// The file is no sound container.
    #[error(transparent)]
    Container(#[from] ContainerError),
    /// The moments are damaged.
    #[error("{file}: the moments are damaged; fit the bundle again")]
    Damaged {
        /// The file.
        file: String,
    },
    /// The moments are those of another bundle.
    #[error("{file}: moments of bundle {found}, but the bundle is {expected}")]
    ForeignBundle {
        /// The file.
        file: String,
        /// The bundle that is adapted.
        expected: Fingerprint,
        /// The bundle that was fitted with these moments.
        found: Fingerprint,
    },
}

impl RecipeMoments {
    /// Writes the moments beside the bundle with this fingerprint.
    ///
    /// # Errors
    /// [`MomentsError::Container`] when the file cannot be written.
    pub fn write(&self, path: &Path, bundle: Fingerprint) -> Result<(), MomentsError> {
        let mut bytes = Vec::new();
        self.parts.iter().for_each(|part| part.put(&mut bytes));
        let mut writer = ContainerWriter::new(Kind::Moments, bundle);
        writer.section(PARTS, bytes);
        Ok(writer.write(path)?)
    }

    /// Reads moments and checks that they belong to the bundle.
    ///
    /// # Errors
    /// [`MomentsError`].
    pub fn read(path: &Path, bundle: Fingerprint) -> Result<Self, MomentsError> {
        let container = Container::open(path, Kind::Moments)?;
        container.verify()?;
        let file = path.display().to_string();
        if container.fingerprint() != bundle {
            return Err(MomentsError::ForeignBundle {
                file,
                expected: bundle,
                found: container.fingerprint(),
            });
        }
        let mut bytes = container.section(PARTS).unwrap_or_default();
        let mut parts = Vec::new();
        while !bytes.is_empty() {
            match Summary::take(&mut bytes) {
                Some(part) => parts.push(part),
                None => return Err(MomentsError::Damaged { file }),
            }
        }
        Ok(Self { parts })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(mean: [f64; 2], total: [f64; 3], within: Option<[f64; 3]>) -> Summary {
        let matrix = |[a, b, c]: [f64; 3]| Mat::from_fn(2, 2, |i, j| [a, b, c][i + j]);
        Summary {
            mean: mean.to_vec(),
            total: matrix(total),
            within: within.map(matrix),
        }
    }

    #[test]
    fn a_mixture_has_the_moments_of_all_samples() {
        // One sample at (0, 0) and (2, 0) each, and one at (5, 4) twice.
        let a = summary([1.0, 0.0], [1.0, 0.0, 0.0], None);
        let b = summary([5.0, 4.0], [0.0, 0.0, 0.0], None);
        let mixed = a.mixed(&b, 0.5).unwrap();
        assert_eq!(mixed.mean, [3.0, 2.0]);
        assert_eq!(
            (
                mixed.total[(0, 0)],
                mixed.total[(0, 1)],
                mixed.total[(1, 1)]
            ),
            (4.5, 4.0, 4.0)
        );
        assert_eq!(a.mixed(&b, 0.0).unwrap(), a);
        assert!(
            a.mixed(&summary([0.0; 2], [1.0; 3], Some([1.0; 3])), 0.5)
                .is_none()
        );
    }

    #[test]
    fn moments_are_read_back_by_their_own_bundle_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("b.moments");
        let parts = vec![
            summary([1.0, 0.5], [1.0, 0.25, 2.0], Some([0.5, 0.125, 0.75])),
            summary([0.0, 2.0], [3.0, -0.5, 1.0], None),
        ];
        let moments = RecipeMoments { parts };
        let (own, other) = (Fingerprint([1; 16]), Fingerprint([2; 16]));
        moments.write(&path, own).unwrap();
        assert_eq!(RecipeMoments::read(&path, own).unwrap(), moments);
        let refused = RecipeMoments::read(&path, other);
        assert!(matches!(refused, Err(MomentsError::ForeignBundle { .. })));
    }

    #[test]
    fn cut_moments_are_refused() {
        let mut whole = Vec::new();
        summary([1.0, 0.5], [1.0, 0.25, 2.0], Some([0.5, 0.125, 0.75])).put(&mut whole);
        assert!(Summary::take(&mut &whole[..]).is_some());
        for end in 0..whole.len() {
            assert!(Summary::take(&mut &whole[..end]).is_none(), "{end}");
        }
        whole[..4].copy_from_slice(&[0xff; 4]);
        assert!(Summary::take(&mut &whole[..]).is_none());
    }
}
