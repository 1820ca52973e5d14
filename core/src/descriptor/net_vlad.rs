//! NetVLAD: VLAD with soft assignment.
//!
//! Arandjelović, Gronat, Torii, Pajdla & Sivic, "NetVLAD: CNN architecture for weakly supervised
//! place recognition", CVPR 2016, equations 2 and 4: every centre takes the residual of every local
//! feature, with the weight softmax_k(-α ‖x - c_k‖²); then intra-normalisation. Centres come from
//! k-means, as the paper initialises them, and are not trained further.

use super::codebook::{Codebook, intra_normalise, square_distance};

/// `N` local features to `K·local` values. O(N·K·local).
pub(super) fn encode(locals: &[Vec<f32>], codebook: &Codebook, alpha: f32) -> Vec<f32> {
    let length = codebook.local();
    let mut sums = vec![0.0f64; codebook.centres().len()];
    for local in locals {
        let assigned = assignment(local, codebook, f64::from(alpha));
        for ((block, centre), weight) in sums
            .chunks_exact_mut(length)
            .zip(codebook.rows())
            .zip(assigned)
        {
            for ((sum, &value), &centre) in block.iter_mut().zip(local).zip(centre) {
                *sum += weight * (f64::from(value) - f64::from(centre));
            }
        }
    }
    intra_normalise(&sums, length)
}

fn assignment(local: &[f32], codebook: &Codebook, alpha: f64) -> Vec<f64> {
    let distances: Vec<f64> = codebook
        .rows()
        .map(|centre| square_distance(local, centre))
        .collect();
    let least = distances.iter().copied().fold(f64::INFINITY, f64::min);
    // Relative to the nearest, so that the largest weight cannot vanish.
    let mut weights: Vec<f64> = distances
        .into_iter()
        .map(|distance| libm::exp(-alpha * (distance - least)))
        .collect();
    let total: f64 = weights.iter().sum();
    weights.iter_mut().for_each(|weight| *weight /= total);
    weights
}

#[cfg(test)]
mod tests {
    use super::super::codebook::tests::plain;
    use super::super::vlad;
    use super::*;

    #[test]
    fn a_hard_assignment_is_vlad() {
        let codebook = plain(&[1.0, 0.0, 0.0, 1.0], None);
        let locals = [vec![0.8, 0.6], vec![0.9, -0.2], vec![0.1, 0.5]];
        let soft = encode(&locals, &codebook, 1000.0);
        for (soft, hard) in soft.iter().zip(vlad::encode(&locals, &codebook)) {
            assert!((soft - hard).abs() < 1e-6);
        }
    }

    #[test]
    fn weights_are_a_distribution_however_far_the_centres() {
        let codebook = plain(&[1.0, 0.0, 0.0, 1.0], None);
        let even = assignment(&[0.5, 0.5], &codebook, 3.0);
        assert_eq!(even, [0.5, 0.5]);
        let far = assignment(&[100.0, 0.0], &codebook, 1000.0);
        assert_eq!(far, [1.0, 0.0]);
    }
}
