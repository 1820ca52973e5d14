//! An affine projection that decorrelates a pooled vector and keeps its leading components.

use crate::kernel::Cpu;
use crate::kernel::weighted_sum::weighted_sum;

/// `y = P (x - m)`: mean `m` of `C` values, projection `P` of `dim × C` values.
#[derive(Clone, Debug, PartialEq)]
pub struct Whitening {
    mean: Vec<f32>,
    /// The projection column by column: each column times its channel is added to all components
    /// at once.
    columns: Vec<f32>,
}

impl Whitening {
    /// Takes the mean (`C`) and the projection, row by row (`dim × C`); `None` when the lengths do
    /// not fit each other or a value is not finite.
    pub fn new(mean: Vec<f32>, projection: &[f32]) -> Option<Self> {
        Self::read(mean, projection.len(), |at| projection[at])
    }

    /// The same of little-endian bytes, which are read once.
    pub(crate) fn from_bytes(mean: Vec<f32>, projection: &[[u8; 4]]) -> Option<Self> {
        Self::read(mean, projection.len(), |at| {
            f32::from_le_bytes(projection[at])
        })
    }

    fn read(mean: Vec<f32>, length: usize, value: impl Fn(usize) -> f32) -> Option<Self> {
        if mean.is_empty() || length == 0 || !length.is_multiple_of(mean.len()) {
            return None;
        }
        let columns = transposed(length, mean.len(), value);
        let finite = mean.iter().chain(&columns).all(|value| value.is_finite());
        finite.then_some(Self { mean, columns })
    }

    /// Channels taken.
    pub fn channels(&self) -> usize {
        self.mean.len()
    }

    /// Components given.
    pub fn dim(&self) -> usize {
        self.columns.len() / self.mean.len()
    }

    /// The mean, `C` values.
    pub fn mean(&self) -> &[f32] {
        &self.mean
    }

    /// The projection, `dim × C` values. O(dim·C): it is kept column by column.
    pub fn projection(&self) -> Vec<f32> {
        transposed(self.columns.len(), self.dim(), |at| self.columns[at])
    }

    /// The projection column by column: `C` times `dim` values.
    pub(super) fn columns(&self) -> impl Iterator<Item = &[f32]> {
        self.columns.chunks_exact(self.dim())
    }

    /// Projects `C` values to `dim`. O(dim·C). Panics when the length differs.
    pub fn apply(&self, values: &[f32]) -> Vec<f32> {
        assert_eq!(
            values.len(),
            self.channels(),
            "a whitening takes its own number of channels"
        );
        let values: Vec<f64> = values.iter().map(|&value| f64::from(value)).collect();
        let sums = self.project(&values).into_iter();
        sums.map(|sum| sum as f32).collect()
    }

    /// The first `dim` components alone, bit for bit: they cost a share of the whole. O(dim·C).
    pub(super) fn first(&self, dim: usize) -> Self {
        let columns = self.columns().flat_map(|column| &column[..dim]);
        Self {
            mean: self.mean.clone(),
            columns: columns.copied().collect(),
        }
    }

    /// As [`Whitening::apply`], in double precision.
    pub(super) fn project(&self, values: &[f64]) -> Vec<f64> {
        let centred: Vec<f64> = values
            .iter()
            .zip(&self.mean)
            .map(|(v, &m)| v - f64::from(m))
            .collect();
        let mut sums = vec![0.0; self.dim()];
        weighted_sum(Cpu::native())(&self.columns, &centred, &mut sums);
        sums
    }
}

/// Rows of `width` of `length` values as columns, some of both at a time, so that cache lines are read and written whole.
fn transposed(length: usize, width: usize, value: impl Fn(usize) -> f32) -> Vec<f32> {
    const SIDE: usize = 16;
    let height = length / width;
    let mut columns = vec![0.0; length];
    for first in (0..height).step_by(SIDE) {
        for start in (0..width).step_by(SIDE) {
            for column in start..width.min(start + SIDE) {
                for row in first..height.min(first + SIDE) {
                    columns[column * height + row] = value(row * width + column);
                }
            }
        }
    }
    columns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subtracts_the_mean_then_projects() {
        let whitening = Whitening::new(vec![1.0, 2.0], &[1.0, 1.0, 0.0, -2.0, 3.0, 0.0]).unwrap();
        assert_eq!((whitening.channels(), whitening.dim()), (2, 3));
        assert_eq!(whitening.apply(&[2.0, 4.0]), [3.0, -4.0, 3.0]);
        assert_eq!(whitening.first(2).apply(&[2.0, 4.0]), [3.0, -4.0]);
        assert_eq!(whitening.first(3), whitening);
        assert_eq!(whitening.projection(), [1.0, 1.0, 0.0, -2.0, 3.0, 0.0]);
    }

    #[test]
    fn lengths_that_do_not_fit_and_wild_values_are_refused() {
        assert!(Whitening::new(vec![1.0, 2.0], &[1.0; 3]).is_none());
        assert!(Whitening::new(vec![], &[]).is_none());
        assert!(Whitening::new(vec![f32::NAN], &[1.0]).is_none());
    }
}
