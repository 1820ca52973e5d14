//! Fisher vectors: how a Gaussian mixture would have to move to fit the photo's local features.
//!
//! Perronnin, Sánchez & Mensink, "Improving the Fisher kernel for large-scale image
//! classification", ECCV 2010, equations 4 and 5: with posteriors γ_k(x),
//! G_μk = 1/(N √w_k) Σ γ_k(x) (x - μ_k)/σ_k and
//! G_σk = 1/(N √(2 w_k)) Σ γ_k(x) (((x - μ_k)/σ_k)² - 1), then the signed square root.

use super::codebook::{Codebook, Mixture};

/// `N` local features to `2·K·local` values: gradients by the means, then by the deviations.
/// O(N·K·local).
pub(super) fn encode(locals: &[Vec<f32>], codebook: &Codebook, mixture: &Mixture) -> Vec<f32> {
    let length = codebook.local();
    let (mut means, mut deviations) = (
        vec![0.0f64; codebook.centres().len()],
        vec![0.0f64; codebook.centres().len()],
    );
    for local in locals {
        for (k, posterior) in posteriors(local, codebook, mixture).into_iter().enumerate() {
            for (i, &value) in local.iter().enumerate() {
                let at = k * length + i;
                let offset = (f64::from(value) - f64::from(codebook.centres()[at]))
                    / f64::from(mixture.deviations[at]);
                means[at] += posterior * offset;
                deviations[at] += posterior * (offset * offset - 1.0);
            }
        }
    }
    let count = locals.len() as f64;
    let finish = |sums: Vec<f64>, factor: f64| {
        sums.into_iter().enumerate().map(move |(at, sum)| {
            let weight = f64::from(mixture.weights[at / length]);
            let gradient = sum / (count * (factor * weight).sqrt());
            gradient.abs().sqrt().copysign(gradient) as f32
        })
    };
    finish(means, 1.0).chain(finish(deviations, 2.0)).collect()
}

/// γ_k(x): the probability that the feature comes from each Gaussian.
pub(crate) fn posteriors(local: &[f32], codebook: &Codebook, mixture: &Mixture) -> Vec<f64> {
    let length = codebook.local();
    let mut logs = Vec::with_capacity(mixture.weights.len());
    for (k, &weight) in mixture.weights.iter().enumerate() {
        let mut log = libm::log(f64::from(weight));
        for (i, &value) in local.iter().enumerate() {
            let at = k * length + i;
            let deviation = f64::from(mixture.deviations[at]);
            let offset = (f64::from(value) - f64::from(codebook.centres()[at])) / deviation;
            log -= libm::log(deviation) + 0.5 * offset * offset;
        }
        logs.push(log);
    }
    let largest = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mut weights: Vec<f64> = logs.iter().map(|log| libm::exp(log - largest)).collect();
    let total: f64 = weights.iter().sum();
    weights.iter_mut().for_each(|weight| *weight /= total);
    weights
}

#[cfg(test)]
mod tests {
    use super::super::codebook::tests::plain;
    use super::*;

    fn mixture() -> Mixture {
        Mixture {
            weights: vec![0.25, 0.75],
            deviations: vec![1.0, 1.0, 0.5, 2.0],
        }
    }

    #[test]
    fn posteriors_follow_bayes() {
        let codebook = plain(&[0.0, 0.0, 1.0, 0.0], Some(mixture()));
        let found = posteriors(&[0.5, 0.0], &codebook, &mixture());
        // Densities but for 1/2π: 0.25 · e^(-1/8) and 0.75 · e^(-1/2), deviations' product 1 both.
        let (a, b) = (0.25 * (-0.125f64).exp(), 0.75 * (-0.5f64).exp());
        assert!((found[0] - a / (a + b)).abs() < 1e-12);
        assert!((found[0] + found[1] - 1.0).abs() < 1e-12);
    }

    #[test]
    fn features_at_the_means_with_the_deviations_give_no_gradient() {
        // One Gaussian: features at μ ± σ have zero gradient by mean and by deviation.
        let one = Mixture {
            weights: vec![1.0],
            deviations: vec![0.5, 2.0],
        };
        let codebook = plain(&[1.0, -1.0], Some(one.clone()));
        let locals = [vec![1.5, 1.0], vec![0.5, -3.0]];
        let found = encode(&locals, &codebook, &one);
        assert!(found.iter().all(|value| value.abs() < 1e-6), "{found:?}");
    }
}
