//! Second-order pooling: which local components respond together.
//!
//! Covariance as a descriptor: Carreira, Caseiro, Batista & Sminchisescu, "Semantic segmentation
//! with second-order pooling", ECCV 2012. The matrix square root against burstiness: Lin & Maji,
//! "Improved bilinear pooling with CNNs", BMVC 2017, by the coupled Newton-Schulz iteration of Li,
//! Xie, Wang & Gao, "Towards faster training of global covariance pooling networks", CVPR 2018,
//! equations 2 to 5; or the signed square root of each entry. The upper triangle is kept, entries
//! off the diagonal times √2, so that the dot product of two vectors is that of the matrices.

use super::{Root, to_unit_length};

/// Steps of the iteration: enough for half of the digits of a matrix of trace 1.
const STEPS: usize = 10;
/// Share of the identity that keeps a covariance of few locations away from singular.
const RIDGE: f64 = 1e-3;

/// `N` local features of `d` components to `d(d+1)/2` values, and `d` more with the mean.
/// O(N·d²), for the matrix root O(d³).
pub(super) fn encode(locals: &[Vec<f32>], d: usize, root: Root, with_mean: bool) -> Vec<f32> {
    let count = locals.len() as f64;
    let mut mean = vec![0.0f64; d];
    for local in locals {
        for (sum, &value) in mean.iter_mut().zip(local) {
            *sum += f64::from(value) / count;
        }
    }
    let mut covariance = vec![0.0f64; d * d];
    for local in locals {
        let centred: Vec<f64> = local
            .iter()
            .zip(&mean)
            .map(|(&value, mean)| f64::from(value) - mean)
            .collect();
        for (row, &a) in covariance.chunks_exact_mut(d).zip(&centred) {
            for (sum, &b) in row.iter_mut().zip(&centred) {
                *sum += a * b / count;
            }
        }
    }
    let rooted = match root {
        Root::Matrix => square_root(covariance, d),
        Root::Signed => covariance
            .into_iter()
            .map(|v| v.abs().sqrt().copysign(v))
            .collect(),
    };
    let mut values = Vec::with_capacity(d * (d + 1) / 2 + d);
    for i in 0..d {
        for j in i..d {
            let factor = if i == j {
                1.0
            } else {
                std::f64::consts::SQRT_2
            };
            values.push((factor * rooted[i * d + j]) as f32);
        }
    }
    if with_mean {
        // Both orders have the same say.
        to_unit_length(&mut values);
        let mut mean: Vec<f32> = mean.into_iter().map(|value| value as f32).collect();
        to_unit_length(&mut mean);
        values.extend(mean);
    }
    values
}

/// The square root of a positive semi-definite matrix, row by row.
fn square_root(mut matrix: Vec<f64>, d: usize) -> Vec<f64> {
    let trace: f64 = (0..d).map(|i| matrix[i * d + i]).sum();
    if trace <= 0.0 {
        return matrix;
    }
    matrix.iter_mut().for_each(|value| *value /= trace);
    for i in 0..d {
        matrix[i * d + i] += RIDGE / d as f64;
    }
    let mut y = matrix;
    let mut z = vec![0.0; d * d];
    for i in 0..d {
        z[i * d + i] = 1.0;
    }
    for _ in 0..STEPS {
        // T = (3 I - Z Y) / 2; Y ← Y T; Z ← T Z.
        let mut t = product(&z, &y, d);
        for (at, value) in t.iter_mut().enumerate() {
            *value = (if at / d == at % d { 3.0 } else { 0.0 } - *value) / 2.0;
        }
        (y, z) = (product(&y, &t, d), product(&t, &z, d));
    }
    let scale = trace.sqrt();
    y.iter_mut().for_each(|value| *value *= scale);
    y
}

fn product(a: &[f64], b: &[f64], d: usize) -> Vec<f64> {
    let mut result = vec![0.0; d * d];
    for (row, left) in result.chunks_exact_mut(d).zip(a.chunks_exact(d)) {
        for (&factor, right) in left.iter().zip(b.chunks_exact(d)) {
            for (sum, &value) in row.iter_mut().zip(right) {
                *sum += factor * value;
            }
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_square_root_squares_to_the_matrix() {
        let mut rng = 7u64;
        let mut random = || {
            rng = rng.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (rng >> 33) as f64 / (1u64 << 31) as f64 - 0.5
        };
        let d = 6;
        let factor: Vec<f64> = (0..d * d).map(|_| random()).collect();
        let transposed: Vec<f64> = (0..d * d).map(|at| factor[at % d * d + at / d]).collect();
        let matrix = product(&factor, &transposed, d);
        let root = square_root(matrix.clone(), d);
        for (found, expected) in product(&root, &root, d).iter().zip(&matrix) {
            assert!((found - expected).abs() < 2e-3, "{found} {expected}");
        }
    }

    #[test]
    fn the_triangle_keeps_dot_products_and_the_mean_follows() {
        let locals = [vec![1.0, 0.0], vec![0.0, 1.0], vec![-0.6, 0.8]];
        let signed = encode(&locals, 2, Root::Signed, false);
        assert_eq!(signed.len(), 3);
        // Covariance of the three points by hand.
        let mean = [0.4 / 3.0, 1.8 / 3.0];
        let cross = (-0.48 / 3.0) - mean[0] * mean[1];
        let expected = -(2.0f64.sqrt()) * f64::abs(cross).sqrt();
        assert!((f64::from(signed[1]) - expected).abs() < 1e-6);
        let both = encode(&locals, 2, Root::Matrix, true);
        assert_eq!(both.len(), 5);
        let norm = |values: &[f32]| values.iter().map(|v| v * v).sum::<f32>();
        assert!((norm(&both[..3]) - 1.0).abs() < 1e-6 && (norm(&both[3..]) - 1.0).abs() < 1e-6);
    }

    #[test]
    fn one_location_has_no_covariance() {
        let found = encode(&[vec![1.0, 2.0]], 2, Root::Matrix, false);
        assert_eq!(found, [0.0; 3]);
    }
}
