//! A random rotation folded into a whitening: it changes no dot product, and spreads the variance
//! over all components, which codes of one bit a component need (Gao & Long, "RaBitQ", SIGMOD 2024,
//! section 3.1).

use faer::Mat;

use crate::descriptor::Whitening;

/// The whitening followed by a rotation drawn from `seed`. `None` when a value is not finite.
pub(super) fn rotated(whitening: &Whitening, seed: u64) -> Option<Whitening> {
    let (dim, channels) = (whitening.dim(), whitening.channels());
    let rotation = rotation(dim, seed);
    let projection = whitening.projection();
    let mut result = Vec::with_capacity(projection.len());
    for row in 0..dim {
        let mut sums = vec![0.0f64; channels];
        for (k, source) in projection.chunks_exact(channels).enumerate() {
            for (sum, &value) in sums.iter_mut().zip(source) {
                *sum += rotation[(row, k)] * f64::from(value);
            }
        }
        result.extend(sums.into_iter().map(|sum| sum as f32));
    }
    Whitening::new(whitening.mean().to_vec(), &result)
}

/// Orthonormal rows by Gram-Schmidt from random ones: uniform over all rotations and reflections.
fn rotation(dim: usize, seed: u64) -> Mat<f64> {
    let mut rng = fastrand::Rng::with_seed(seed);
    // The sum of twelve uniform numbers is nearly normal, without a logarithm.
    let mut normal = || (0..12).map(|_| rng.f64()).sum::<f64>() - 6.0;
    let mut rows: Vec<Vec<f64>> = Vec::with_capacity(dim);
    while rows.len() < dim {
        let mut row: Vec<f64> = (0..dim).map(|_| normal()).collect();
        // Twice: once leaves rounding errors of the size of what was taken off.
        for _ in 0..2 {
            for other in &rows {
                let dot: f64 = row.iter().zip(other).map(|(a, b)| a * b).sum();
                row.iter_mut().zip(other).for_each(|(a, b)| *a -= dot * b);
            }
        }
        let length = row.iter().map(|v| v * v).sum::<f64>().sqrt();
        if length > 1e-6 {
            row.iter_mut().for_each(|value| *value /= length);
            rows.push(row);
        }
    }
    Mat::from_fn(dim, dim, |i, j| rows[i][j])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dot_products_stay_and_variance_spreads() {
        let projection: Vec<f32> = (0..16 * 3)
            .map(|i| ((i * 7 % 11) as f32 - 5.0) / (1 + i / 3) as f32)
            .collect();
        let whitening = Whitening::new(vec![0.1, 0.2, 0.3], &projection).unwrap();
        let turned = rotated(&whitening, 5).unwrap();
        let dot = |w: &Whitening| -> f32 {
            let (a, b) = (w.apply(&[1.0, 2.0, -1.0]), w.apply(&[0.5, 0.0, 2.0]));
            a.iter().zip(b).map(|(a, b)| a * b).sum()
        };
        assert!((dot(&whitening) - dot(&turned)).abs() < 1e-3);
        let largest = |w: &Whitening| {
            let values = w.apply(&[1.0, 2.0, -1.0]);
            let norm = values.iter().map(|v| v * v).sum::<f32>().sqrt();
            values.iter().fold(0.0f32, |m, v| m.max(v.abs())) / norm
        };
        assert!(largest(&turned) < largest(&whitening));
        assert_ne!(rotated(&whitening, 6), Some(turned));
    }
}
