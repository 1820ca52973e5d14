//! VLAD: what the local features of a photo differ by from their nearest centres, summed.
//!
//! Jégou, Douze, Schmid & Pérez, "Aggregating local descriptors into a compact image
//! representation", CVPR 2010, equation 1: v_i = Σ over x with NN(x) = c_i of (x - c_i), with the
//! intra-normalisation of Arandjelović & Zisserman 2013. On maps of a network: Ng, Yang & Davis,
//! "Exploiting local features from deep networks for image retrieval", CVPR workshops 2015, which
//! also shows that the layer matters most: choose the tap by `eval`.

use super::codebook::{Codebook, intra_normalise};

/// `N` local features to `K·local` values. O(N·K·local).
pub(super) fn encode(locals: &[Vec<f32>], codebook: &Codebook) -> Vec<f32> {
    let length = codebook.local();
    let mut sums = vec![0.0f64; codebook.centres().len()];
    for local in locals {
        let nearest = codebook.nearest(local);
        let centre = &codebook.centres()[nearest * length..][..length];
        let block = &mut sums[nearest * length..][..length];
        for ((sum, &value), &centre) in block.iter_mut().zip(local).zip(centre) {
            *sum += f64::from(value) - f64::from(centre);
        }
    }
    intra_normalise(&sums, length)
}

#[cfg(test)]
mod tests {
    use super::super::codebook::tests::plain;
    use super::*;

    #[test]
    fn residuals_go_to_their_centre_and_blocks_have_unit_length() {
        let codebook = plain(&[1.0, 0.0, 0.0, 1.0, -1.0, 0.0], None);
        let locals = [vec![0.8, 0.6], vec![0.8, -0.2], vec![0.0, 0.5]];
        // First centre: (-0.2, 0.6) + (-0.2, -0.2) = (-0.4, 0.4). Second: (0, -0.5). Third: none.
        let root = std::f32::consts::FRAC_1_SQRT_2;
        let expected = [-root, root, 0.0, -1.0, 0.0, 0.0];
        for (found, expected) in encode(&locals, &codebook).iter().zip(expected) {
            assert!((found - expected).abs() < 1e-6);
        }
    }
}
