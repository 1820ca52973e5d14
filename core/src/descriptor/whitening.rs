//! An affine projection that decorrelates a pooled vector and keeps its leading components.

use crate::kernel::Cpu;
use crate::kernel::weighted_sum::weighted_sum;

/// `y = P (x - m)`: mean `m` of `C` values, projection `P` of `dim × C` values.
#[derive(Clone, Debug, PartialEq)]
pub struct Whitening {
    mean: Vec<f32>,
    projection: Vec<f32>,
    /// The projection column by column: each column times its channel is added to all components
    /// at once.
    columns: Vec<f32>,
}

impl Whitening {
    /// Takes the mean (`C`) and the projection, row by row (`dim × C`); `None` when the lengths do
    /// not fit each other or a value is not finite.
    pub fn new(mean: Vec<f32>, projection: Vec<f32>) -> Option<Self> {
        let fits = !mean.is_empty()
            && !projection.is_empty()
            && projection.len().is_multiple_of(mean.len())
            && mean
                .iter()
                .chain(&projection)
                .all(|value| value.is_finite());
        fits.then(|| {
            let (channels, dim) = (mean.len(), projection.len() / mean.len());
            let mut columns = vec![0.0; projection.len()];
            for (row, values) in projection.chunks_exact(channels).enumerate() {
                for (column, &value) in values.iter().enumerate() {
                    columns[column * dim + row] = value;
                }
            }
            Self {
                mean,
                projection,
                columns,
            }
        })
    }

    /// Channels taken.
    pub fn channels(&self) -> usize {
        self.mean.len()
    }

    /// Components given.
    pub fn dim(&self) -> usize {
        self.projection.len() / self.mean.len()
    }

    /// The mean, `C` values.
    pub fn mean(&self) -> &[f32] {
        &self.mean
    }

    /// The projection, `dim × C` values.
    pub fn projection(&self) -> &[f32] {
        &self.projection
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
        let columns = self.columns.chunks_exact(self.dim());
        Self {
            mean: self.mean.clone(),
            projection: self.projection[..dim * self.channels()].to_vec(),
            columns: columns.flat_map(|column| &column[..dim]).copied().collect(),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subtracts_the_mean_then_projects() {
        let whitening =
            Whitening::new(vec![1.0, 2.0], vec![1.0, 1.0, 0.0, -2.0, 3.0, 0.0]).unwrap();
        assert_eq!((whitening.channels(), whitening.dim()), (2, 3));
        assert_eq!(whitening.apply(&[2.0, 4.0]), [3.0, -4.0, 3.0]);
        assert_eq!(whitening.first(2).apply(&[2.0, 4.0]), [3.0, -4.0]);
        assert_eq!(whitening.first(3), whitening);
    }

    #[test]
    fn lengths_that_do_not_fit_and_wild_values_are_refused() {
        assert!(Whitening::new(vec![1.0, 2.0], vec![1.0; 3]).is_none());
        assert!(Whitening::new(vec![], vec![]).is_none());
        assert!(Whitening::new(vec![f32::NAN], vec![1.0]).is_none());
    }
}
