//! Mean and covariance of a stream of vectors, in double precision.

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatRef, Par};

/// Rows collected before they enter the product: one matrix product in place of many outer ones.
const ROWS: usize = 512;

/// Number, sum and sum of outer products of vectors of `C` channels. Memory O(C²).
pub(super) struct Moments {
    channels: usize,
    count: usize,
    sum: Vec<f64>,
    product: Mat<f64>,
    pending: Vec<f64>,
}

impl Moments {
    pub(super) fn new(channels: usize) -> Self {
        Self {
            channels,
            count: 0,
            sum: vec![0.0; channels],
            product: Mat::zeros(channels, channels),
            pending: Vec::with_capacity(ROWS * channels),
        }
    }

    pub(super) fn add(&mut self, vector: &[f32]) {
        self.add_row(vector.iter().map(|&value| f64::from(value)));
    }

    pub(super) fn add_row(&mut self, row: impl Iterator<Item = f64>) {
        let start = self.pending.len();
        self.pending.extend(row);
        assert_eq!(
            self.pending.len() - start,
            self.channels,
            "a row has all channels"
        );
        self.sum
            .iter_mut()
            .zip(&self.pending[start..])
            .for_each(|(sum, value)| *sum += value);
        self.count += 1;
        if self.pending.len() >= ROWS * self.channels {
            self.flush();
        }
    }

    /// Brings what is pending into the product; needed before the moments are read.
    pub(super) fn flush(&mut self) {
        let rows = self.pending.len() / self.channels;
        if rows > 0 {
            let block = MatRef::from_row_major_slice(&self.pending, rows, self.channels);
            matmul(
                &mut self.product,
                Accum::Add,
                block.transpose(),
                block,
                1.0,
                Par::Seq,
            );
            self.pending.clear();
        }
    }

    pub(super) fn channels(&self) -> usize {
        self.channels
    }

    pub(super) fn count(&self) -> usize {
        self.count
    }

    pub(super) fn mean(&self) -> Vec<f64> {
        self.sum
            .iter()
            .map(|sum| sum / self.count.max(1) as f64)
            .collect()
    }

    /// `E[x xᵀ]`, not centred.
    pub(super) fn second_moment(&self) -> Mat<f64> {
        assert!(self.pending.is_empty(), "flushed before reading");
        let count = self.count.max(1) as f64;
        Mat::from_fn(self.channels, self.channels, |i, j| {
            self.product[(i, j)] / count
        })
    }

    /// `E[x xᵀ] - E[x] E[x]ᵀ`.
    pub(super) fn covariance(&self) -> Mat<f64> {
        let mean = self.mean();
        let second = self.second_moment();
        Mat::from_fn(self.channels, self.channels, |i, j| {
            second[(i, j)] - mean[i] * mean[j]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_of_a_stream_match_the_definition() {
        let mut rng = fastrand::Rng::with_seed(5);
        let rows: Vec<Vec<f32>> = (0..1100)
            .map(|_| (0..7).map(|_| rng.f32() - 0.3).collect())
            .collect();
        let mut moments = Moments::new(7);
        rows.iter().for_each(|row| moments.add(row));
        moments.flush();
        let mean = |i: usize| rows.iter().map(|row| f64::from(row[i])).sum::<f64>() / 1100.0;
        let covariance = moments.covariance();
        for i in 0..7 {
            assert!((moments.mean()[i] - mean(i)).abs() < 1e-12);
            for j in 0..7 {
                let direct = rows
                    .iter()
                    .map(|row| (f64::from(row[i]) - mean(i)) * (f64::from(row[j]) - mean(j)))
                    .sum::<f64>()
                    / 1100.0;
                assert!((covariance[(i, j)] - direct).abs() < 1e-12);
            }
        }
    }
}
