//! Triangulation embedding: the directions from all centres to a local feature.
//!
//! Jégou & Zisserman, "Triangulation embedding and democratic aggregation for image search", CVPR
//! 2014, equation 5: R(x) = [(x - c_1)/‖x - c_1‖, …, (x - c_K)/‖x - c_K‖]. The paper then centres
//! and whitens R, which is linear and so may follow the sum: it is the part's whitening here,
//! learned from photos instead of single features.

use super::codebook::{Codebook, square_distance};

/// `N` local features to `K·local` values, their mean. O(N·K·local).
pub(super) fn encode(locals: &[Vec<f32>], codebook: &Codebook) -> Vec<f32> {
    let length = codebook.local();
    let mut sums = vec![0.0f64; codebook.centres().len()];
    for local in locals {
        for (block, centre) in sums.chunks_exact_mut(length).zip(codebook.rows()) {
            let distance = square_distance(local, centre).sqrt();
            // A feature in a centre has no direction.
            let scale = if distance > 0.0 { 1.0 / distance } else { 0.0 };
            for ((sum, &value), &centre) in block.iter_mut().zip(local).zip(centre) {
                *sum += scale * (f64::from(value) - f64::from(centre));
            }
        }
    }
    let count = locals.len() as f64;
    sums.into_iter().map(|sum| (sum / count) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::super::codebook::tests::plain;
    use super::*;

    #[test]
    fn directions_do_not_depend_on_distance() {
        let codebook = plain(&[1.0, 0.0, 0.0, 1.0], None);
        let found = encode(&[vec![1.0, 5.0]], &codebook);
        let length = 17f32.sqrt();
        let expected = [0.0, 1.0, 1.0 / length, 4.0 / length];
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-6);
        }
        assert_eq!(encode(&[vec![1.0, 0.0]], &codebook)[..2], [0.0, 0.0]);
    }
}
