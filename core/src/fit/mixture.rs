//! A Gaussian mixture with diagonal covariances: what Fisher vectors are gradients of.
//!
//! Expectation-maximisation (Dempster, Laird & Rubin, "Maximum likelihood from incomplete data via
//! the EM algorithm", 1977) from k-means centres; variances are held above a hundredth of the whole
//! variance, so that no Gaussian collapses onto a few rows.

use rayon::prelude::*;

use crate::descriptor::{Codebook, Mixture, Whitening, posteriors};

const ROUNDS: usize = 20;
const LEAST_SHARE: f64 = 0.01;
/// Rows whose posteriors are held at a time.
const BLOCK: usize = 4096;

/// The codebook of a mixture fitted to `rows`, from `centres`. `None` when a value is not finite.
pub(super) fn codebook(
    projection: &Whitening,
    rows: &[Vec<f32>],
    centres: &[Vec<f32>],
) -> Option<Codebook> {
    let (k, dim) = (centres.len(), projection.dim());
    let whole = variances(rows, dim);
    let floor: Vec<f64> = whole.iter().map(|v| (v * LEAST_SHARE).max(1e-12)).collect();
    let deviations = whole
        .iter()
        .map(|v| v.max(1e-12).sqrt() as f32)
        .collect::<Vec<_>>();
    let start = Mixture {
        weights: vec![1.0 / k as f32; k],
        deviations: deviations.repeat(k),
    };
    let mut codebook = Codebook::new(projection.clone(), centres.concat(), Some(start))?;
    for _ in 0..ROUNDS {
        codebook = step(&codebook, rows, &floor)?;
    }
    Some(codebook)
}

fn variances(rows: &[Vec<f32>], dim: usize) -> Vec<f64> {
    let count = rows.len() as f64;
    let (mut sums, mut squares) = (vec![0.0f64; dim], vec![0.0f64; dim]);
    for row in rows {
        for ((sum, square), &value) in sums.iter_mut().zip(&mut squares).zip(row) {
            *sum += f64::from(value) / count;
            *square += f64::from(value) * f64::from(value) / count;
        }
    }
    let both = sums.into_iter().zip(squares);
    both.map(|(sum, square)| (square - sum * sum).max(0.0))
        .collect()
}

fn step(codebook: &Codebook, rows: &[Vec<f32>], floor: &[f64]) -> Option<Codebook> {
    let mixture = codebook.mixture()?;
    let (k, dim) = (mixture.weights.len(), codebook.local());
    let mut totals = vec![0.0f64; k];
    let (mut sums, mut squares) = (vec![0.0f64; k * dim], vec![0.0f64; k * dim]);
    for block in rows.chunks(BLOCK) {
        let shares: Vec<Vec<f64>> = block
            .par_iter()
            .map(|row| posteriors(row, codebook, mixture))
            .collect();
        for (row, shares) in block.iter().zip(shares) {
            for (at, share) in shares.into_iter().enumerate() {
                totals[at] += share;
                for (i, &value) in row.iter().enumerate() {
                    let value = f64::from(value);
                    sums[at * dim + i] += share * value;
                    squares[at * dim + i] += share * value * value;
                }
            }
        }
    }
    let mut centres = codebook.centres().to_vec();
    let mut deviations = mixture.deviations.clone();
    for at in 0..k * dim {
        // A Gaussian that explains nothing stays where it is.
        let total = totals[at / dim];
        if total > 1e-6 {
            let mean = sums[at] / total;
            let variance = (squares[at] / total - mean * mean).max(floor[at % dim]);
            centres[at] = mean as f32;
            deviations[at] = variance.sqrt() as f32;
        }
    }
    let share = |total: &f64| ((total / rows.len() as f64).max(1e-6)) as f32;
    let weights = totals.iter().map(share).collect();
    let mixture = Mixture {
        weights,
        deviations,
    };
    Codebook::new(codebook.projection().clone(), centres, Some(mixture))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_gaussians_are_told_apart() {
        let mut rng = fastrand::Rng::with_seed(9);
        // The sum of twelve uniform numbers is nearly normal.
        let mut normal = || (0..12).map(|_| rng.f64()).sum::<f64>() - 6.0;
        let rows: Vec<Vec<f32>> = (0..3000)
            .map(|i| match i % 3 {
                0 => vec![(0.5 * normal()) as f32, normal() as f32],
                _ => vec![(6.0 + normal()) as f32, (1.0 + 2.0 * normal()) as f32],
            })
            .collect();
        let plain = Whitening::new(vec![0.0; 2], &[1.0, 0.0, 0.0, 1.0]).unwrap();
        let found = codebook(&plain, &rows, &[vec![1.0, 0.0], vec![5.0, 0.0]]).unwrap();
        let mixture = found.mixture().unwrap();
        let near = |found: &[f32], expected: &[f32], by: f32| {
            let pairs = found.iter().zip(expected);
            assert!(pairs.clone().all(|(a, b)| (a - b).abs() < by), "{found:?}");
        };
        near(&mixture.weights, &[1.0 / 3.0, 2.0 / 3.0], 0.02);
        near(found.centres(), &[0.0, 0.0, 6.0, 1.0], 0.15);
        near(&mixture.deviations, &[0.5, 1.0, 1.0, 2.0], 0.1);
    }

    #[test]
    fn equal_rows_do_not_collapse_it() {
        let plain = Whitening::new(vec![0.0], &[1.0]).unwrap();
        let rows = vec![vec![0.5]; 40];
        assert!(codebook(&plain, &rows, &[vec![0.5], vec![0.7]]).is_some());
    }
}
