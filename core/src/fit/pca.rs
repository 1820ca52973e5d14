//! Principal components with whitening: y_k = u_kᵀ(x - m) / √λ_k.
//!
//! Jégou & Chum, "Negative evidences and co-occurences in image retrieval: the benefit of PCA and
//! whitening", ECCV 2012. With a shrinkage s, eigenvalues are drawn towards their mean,
//! λ' = (1-s) λ + s tr/C: components that few photos determine badly are not blown up.

use faer::{Mat, Side};

use super::FitError;
use crate::descriptor::{Part, Whitening};

/// Variance below this share of the largest is rounding, not signal.
const NO_VARIANCE: f64 = 1e-10;

pub(super) fn whitening(
    mean: &[f64],
    covariance: &Mat<f64>,
    shrinkage: f32,
    part: &Part,
) -> Result<Whitening, FitError> {
    let channels = mean.len();
    check_components(channels, part)?;
    let (mut values, vectors) = eigen(covariance);
    check_rank(&values, part)?;
    if shrinkage > 0.0 {
        let share = f64::from(shrinkage);
        let even = values.iter().sum::<f64>() / channels as f64;
        let shrink = |value: &mut f64| *value = (1.0 - share) * *value + share * even;
        values.iter_mut().for_each(shrink);
    }
    let mut projection = Vec::with_capacity(part.dim * channels);
    for (component, value) in values.iter().take(part.dim).enumerate() {
        let scale = 1.0 / value.sqrt();
        projection.extend((0..channels).map(|i| (vectors[(i, component)] * scale) as f32));
    }
    whitening_of(mean, &projection, part)
}

/// Eigenvalues in falling order, and their vectors as columns, each with its largest entry
/// positive: the sign is free, and this one makes the result the same on every machine.
pub(super) fn eigen(symmetric: &Mat<f64>) -> (Vec<f64>, Mat<f64>) {
    let n = symmetric.nrows();
    let eigen = symmetric
        .self_adjoint_eigen(Side::Lower)
        .expect("finite symmetric matrices decompose");
    let (values, vectors) = (eigen.S().column_vector(), eigen.U());
    let sign: Vec<f64> = (0..n)
        .map(|k| {
            let largest = (0..n).map(|i| vectors[(i, k)]).fold(0.0f64, |best, value| {
                if value.abs() > best.abs() {
                    value
                } else {
                    best
                }
            });
            if largest < 0.0 { -1.0 } else { 1.0 }
        })
        .collect();
    let falling = (0..n).rev().map(|k| values[k].max(0.0)).collect();
    (
        falling,
        Mat::from_fn(n, n, |i, k| vectors[(i, n - 1 - k)] * sign[n - 1 - k]),
    )
}

pub(super) fn check_components(channels: usize, part: &Part) -> Result<(), FitError> {
    if part.dim > channels {
        return Err(FitError::TooManyComponents {
            tap: part.tap.clone(),
            dim: part.dim,
            channels,
        });
    }
    Ok(())
}

pub(super) fn check_rank(falling: &[f64], part: &Part) -> Result<(), FitError> {
    let least = falling[0] * NO_VARIANCE;
    let found = falling.iter().take_while(|&&value| value > least).count();
    if found < part.dim {
        return Err(FitError::Degenerate {
            tap: part.tap.clone(),
            dim: part.dim,
            found,
        });
    }
    Ok(())
}

pub(super) fn whitening_of(
    mean: &[f64],
    projection: &[f32],
    part: &Part,
) -> Result<Whitening, FitError> {
    let mean = mean.iter().map(|&value| value as f32).collect();
    Whitening::new(mean, projection).ok_or_else(|| FitError::Degenerate {
        tap: part.tap.clone(),
        dim: part.dim,
        found: 0,
    })
}

#[cfg(test)]
mod tests {
    use super::super::moments::Moments;
    use super::*;
    use crate::descriptor::Pool;

    fn whitening(moments: &Moments, shrinkage: f32, part: &Part) -> Result<Whitening, FitError> {
        super::whitening(&moments.mean(), &moments.covariance(), shrinkage, part)
    }

    #[test]
    fn whitened_samples_have_unit_covariance() {
        let mut rng = fastrand::Rng::with_seed(3);
        let rows: Vec<[f32; 3]> = (0..400)
            .map(|_| {
                let (a, b, c) = (rng.f32(), rng.f32(), rng.f32());
                [3.0 * a + b, a - 0.5 * b + 0.1 * c, 0.2 * c + 2.0]
            })
            .collect();
        let mut moments = Moments::new(3);
        rows.iter().for_each(|row| moments.add(row));
        moments.flush();
        let fitted = whitening(&moments, 0.0, &Part::new("t", Pool::Average, 2)).unwrap();
        let mut whitened = Moments::new(2);
        rows.iter().for_each(|row| whitened.add(&fitted.apply(row)));
        whitened.flush();
        let covariance = whitened.covariance();
        for (i, j) in [(0, 0), (0, 1), (1, 1)] {
            let expected = if i == j { 1.0 } else { 0.0 };
            assert!(
                (covariance[(i, j)] - expected).abs() < 1e-4,
                "{i},{j}: {}",
                covariance[(i, j)]
            );
        }
    }

    #[test]
    fn shrinkage_draws_variances_towards_their_mean() {
        let mut moments = Moments::new(2);
        for (x, y) in [(3.0, 1.0), (3.0, -1.0), (-3.0, 1.0), (-3.0, -1.0)] {
            moments.add(&[x, y]);
        }
        moments.flush();
        let norms = |shrinkage| -> Vec<f32> {
            let part = Part::new("t", Pool::Average, 2);
            let fitted = whitening(&moments, shrinkage, &part).unwrap();
            let projection = fitted.projection();
            let rows = projection.chunks_exact(2);
            rows.map(|row| 1.0 / (row[0] * row[0] + row[1] * row[1]))
                .collect()
        };
        // Variances 9 and 1, their mean 5.
        for (shrinkage, expected) in [(0.0, [9.0, 1.0]), (0.5, [7.0, 3.0]), (1.0, [5.0, 5.0])] {
            for (found, expected) in norms(shrinkage).iter().zip(expected) {
                assert!((found - expected).abs() < 1e-4, "{shrinkage}: {found}");
            }
        }
    }

    #[test]
    fn a_flat_direction_is_refused() {
        let mut moments = Moments::new(2);
        (0..50u8).for_each(|i| moments.add(&[f32::from(i), 1.0]));
        moments.flush();
        let refused = whitening(&moments, 0.0, &Part::new("t", Pool::Average, 2));
        assert!(
            matches!(refused, Err(FitError::Degenerate { found: 1, .. })),
            "{refused:?}"
        );
    }
}
