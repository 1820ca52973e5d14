//! Whitening learned from synthetic pairs: captures of one photo form a class.
//!
//! Mikolajczyk & Matas, "Improving descriptors for fast tree matching by optimal linear
//! projection", ICCV 2007: with the within-class covariance `C_S` and the total covariance `C_T`,
//! the projection is `P = eig(C_S^{-1/2} C_T C_S^{-1/2})ᵀ C_S^{-1/2}`. Both covariances come from
//! the simulated captures; `C_S` is shrunk towards the identity, since captures of a few thousand
//! photos do not determine it.

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, Par};

use super::FitError;
use super::moments::Moments;
use super::pca::{check_components, check_rank, eigen, whitening_of};
use super::summary::Summary;
use crate::descriptor::{Part, Whitening};

/// Moments of all captures, and of their differences from the mean of their class.
pub(super) struct PairMoments {
    all: Moments,
    within: Moments,
    classes: usize,
}

impl PairMoments {
    pub(super) fn new(channels: usize) -> Self {
        Self {
            all: Moments::new(channels),
            within: Moments::new(channels),
            classes: 0,
        }
    }

    /// Adds one class: the pooled vectors of captures of one photo.
    pub(super) fn add<'a>(&mut self, views: impl Iterator<Item = &'a [f32]> + Clone) {
        let mut mean = vec![0.0f64; self.all.channels()];
        let mut count = 0.0;
        for view in views.clone() {
            mean.iter_mut()
                .zip(view)
                .for_each(|(sum, &value)| *sum += f64::from(value));
            count += 1.0;
        }
        mean.iter_mut().for_each(|value| *value /= count);
        for view in views {
            self.all.add(view);
            self.within
                .add_row(view.iter().zip(&mean).map(|(&v, m)| f64::from(v) - m));
        }
        self.classes += 1;
    }

    pub(super) fn flush(&mut self) {
        self.all.flush();
        self.within.flush();
    }

    pub(super) fn summary(&self) -> Summary {
        Summary {
            mean: self.all.mean(),
            total: self.all.covariance(),
            within: Some(self.within()),
        }
    }

    /// The covariance within classes, not shrunk.
    fn within(&self) -> Mat<f64> {
        // Differences from a mean of n captures have (n-1)/n of the variance.
        let samples = self.within.count() as f64;
        let unbiased = samples / (samples - self.classes as f64).max(1.0);
        let within = self.within.second_moment();
        Mat::from_fn(within.nrows(), within.ncols(), |i, j| {
            unbiased * within[(i, j)]
        })
    }
}

pub(super) fn whitening(
    mean: &[f64],
    total: &Mat<f64>,
    within: &Mat<f64>,
    shrinkage: f32,
    part: &Part,
) -> Result<Whitening, FitError> {
    let channels = mean.len();
    check_components(channels, part)?;
    let (total_values, _) = eigen(total);
    check_rank(&total_values, part)?;
    let trace = (0..channels).map(|i| within[(i, i)]).sum::<f64>();
    let (keep, identity) = (
        1.0 - f64::from(shrinkage),
        f64::from(shrinkage) * trace / channels as f64,
    );
    let within = Mat::from_fn(channels, channels, |i, j| {
        keep * within[(i, j)] + if i == j { identity } else { 0.0 }
    });

    // C_S^{-1/2} in its own basis: rows u_kᵀ / √λ_k. A direction without any variance within
    // classes would be blown up without bound; it is held at a millionth of the largest.
    let (values, vectors) = eigen(&within);
    let floor = (values[0] * 1e-6).max(f64::MIN_POSITIVE);
    let whiten = Mat::from_fn(channels, channels, |k, i| {
        vectors[(i, k)] / values[k].max(floor).sqrt()
    });

    let between = product(
        product(whiten.as_ref(), total.as_ref()).as_ref(),
        whiten.transpose(),
    );
    let (_, directions) = eigen(&between);
    let leading = directions.subcols(0, part.dim);
    let projection = product(leading.transpose(), whiten.as_ref());
    let rows = (0..part.dim).flat_map(|k| (0..channels).map(move |i| (k, i)));
    let projection: Vec<f32> = rows.map(|at| projection[at] as f32).collect();
    whitening_of(mean, &projection, part)
}

fn product(a: faer::MatRef<'_, f64>, b: faer::MatRef<'_, f64>) -> Mat<f64> {
    let mut result = Mat::zeros(a.nrows(), b.ncols());
    matmul(&mut result, Accum::Replace, a, b, 1.0, Par::Seq);
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::descriptor::{Pool, WhiteningFit};

    fn unshrunk(part: Part) -> Part {
        Part {
            whitening: WhiteningFit::Pairs { shrinkage: 0.0 },
            ..part
        }
    }

    /// Two directions tell classes apart, a third varies much more but only within classes: a
    /// plain PCA would keep the third, the learned projection must drop it.
    #[test]
    fn directions_that_vary_within_classes_are_dropped() {
        let mut rng = fastrand::Rng::with_seed(11);
        let mut moments = PairMoments::new(3);
        for _ in 0..300 {
            let (a, b) = (rng.f32(), rng.f32());
            let views: Vec<[f32; 3]> = (0..5)
                .map(|_| [a + 0.05 * rng.f32(), 20.0 * rng.f32(), b + 0.05 * rng.f32()])
                .collect();
            moments.add(views.iter().map(|view| &view[..]));
        }
        moments.flush();
        let fitted = moments
            .summary()
            .whitening(&unshrunk(Part::new("t", Pool::Average, 2)))
            .unwrap();
        for row in fitted.projection().chunks_exact(3) {
            let nuisance = row[1].abs() * 20.0;
            assert!(nuisance < 0.1 * (row[0].abs() + row[2].abs()), "{row:?}");
        }
    }

    /// Within classes, projected vectors have unit variance: that is what "whitened" means here.
    #[test]
    fn within_class_covariance_becomes_the_identity() {
        let mut rng = fastrand::Rng::with_seed(12);
        let classes: Vec<Vec<[f32; 2]>> = (0..400)
            .map(|_| {
                let (a, b) = (5.0 * rng.f32(), 3.0 * rng.f32());
                (0..4)
                    .map(|_| {
                        let (u, v) = (rng.f32(), rng.f32());
                        [a + u + 0.4 * v, b + 0.3 * v]
                    })
                    .collect()
            })
            .collect();
        let mut moments = PairMoments::new(2);
        classes
            .iter()
            .for_each(|views| moments.add(views.iter().map(|view| &view[..])));
        moments.flush();
        let fitted = moments
            .summary()
            .whitening(&unshrunk(Part::new("t", Pool::Average, 2)))
            .unwrap();
        let mut projected = PairMoments::new(2);
        for views in &classes {
            let views: Vec<Vec<f32>> = views.iter().map(|view| fitted.apply(view)).collect();
            projected.add(views.iter().map(|view| &view[..]));
        }
        projected.flush();
        let within = projected.within.second_moment();
        let unbiased = 4.0 / 3.0;
        assert!((within[(0, 0)] * unbiased - 1.0).abs() < 1e-3);
        assert!((within[(1, 1)] * unbiased - 1.0).abs() < 1e-3);
        assert!(within[(0, 1)].abs() < 1e-3);
    }
}
