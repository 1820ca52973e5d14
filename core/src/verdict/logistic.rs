//! Logistic regression on up to three features, the same bits on every platform: samples are sorted, sums
//! run in that order, and `exp` and `log` are those of `libm`.

use std::array::from_fn;
use std::cmp::Ordering;

/// Most features; those that a sample does not have are 0 and get no weight.
const FEATURES: usize = 3;

/// The intercept and a weight for each feature.
const PARAMETERS: usize = FEATURES + 1;

/// Strength of the L2 penalty on weights of standardised features: a Gaussian prior under which a
/// step of one standard deviation changes the log-odds by some ±3.
const PENALTY: f64 = 0.1;

pub(super) struct Sample {
    pub(super) features: [f64; FEATURES],
    pub(super) positive: bool,
}

pub(super) struct Model {
    pub(super) intercept: f64,
    pub(super) weights: [f64; FEATURES],
}

/// `1 / (1 + e⁻ˣ)`.
pub(super) fn logistic(x: f64) -> f64 {
    1.0 / (1.0 + libm::exp(-x))
}

/// The most likely model with weights that are not negative, given samples of both classes.
///
/// With three weights there are eight ways to hold some of them at zero; the constrained optimum is the
/// best of those whose free weights come out positive.
pub(super) fn fit(mut samples: Vec<Sample>) -> Model {
    samples.sort_by(order);
    let (rows, scales) = standardise(&samples);
    let best = (0..1 << FEATURES)
        .rev()
        .map(|free: u32| minimise(&rows, from_fn(|i| free & 1 << i != 0)))
        .filter(|solution| solution.at[1..].iter().all(|&weight| weight >= 0.0))
        .min_by(|a, b| a.loss.total_cmp(&b.loss))
        .expect("holding all weights at zero is always allowed");
    let weights = from_fn(|i| best.at[i + 1] / scales[i].deviation);
    let shift: f64 = weights
        .iter()
        .zip(&scales)
        .map(|(weight, scale)| weight * scale.mean)
        .sum();
    Model {
        intercept: best.at[0] - shift,
        weights,
    }
}

fn order(a: &Sample, b: &Sample) -> Ordering {
    let features = a.features.iter().zip(&b.features);
    let mut orders = features.map(|(a, b)| a.total_cmp(b));
    let differ = orders.find(|order| order.is_ne());
    differ.unwrap_or_else(|| a.positive.cmp(&b.positive))
}

struct Scale {
    mean: f64,
    deviation: f64,
}

/// A sample as the regression sees it: 1 and the standardised features, and a target.
struct Row {
    x: [f64; PARAMETERS],
    target: f64,
}

fn standardise(samples: &[Sample]) -> (Vec<Row>, [Scale; FEATURES]) {
    let count = samples.len() as f64;
    let scales = from_fn(|i| {
        let mean = samples.iter().map(|s| s.features[i]).sum::<f64>() / count;
        let variance = samples
            .iter()
            .map(|s| (s.features[i] - mean).powi(2))
            .sum::<f64>()
            / count;
        // A feature that never changes tells nothing; any scale will do.
        let deviation = if variance > 1e-24 {
            variance.sqrt()
        } else {
            1.0
        };
        Scale { mean, deviation }
    });
    let positive = samples.iter().filter(|s| s.positive).count() as f64;
    let targets = [
        1.0 / (count - positive + 2.0),
        (positive + 1.0) / (positive + 2.0),
    ];
    let rows = samples.iter().map(|sample| {
        let standard = |i: usize| (sample.features[i] - scales[i].mean) / scales[i].deviation;
        Row {
            x: from_fn(|i| if i == 0 { 1.0 } else { standard(i - 1) }),
            target: targets[usize::from(sample.positive)],
        }
    });
    (rows.collect(), scales)
}

struct Solution {
    at: [f64; PARAMETERS],
    loss: f64,
}

/// Newton's method with halved steps; weights that are not free stay zero. The loss is strictly
/// convex, so it ends at the one minimum.
fn minimise(rows: &[Row], free: [bool; FEATURES]) -> Solution {
    let free = from_fn(|i| i == 0 || free[i - 1]);
    let mut at = [0.0; PARAMETERS];
    let mut loss = loss_at(rows, at);
    for _ in 0..100 {
        let step = newton_step(rows, at, free);
        let mut size = 1.0;
        let (next, next_loss) = loop {
            let next = from_fn(|i| at[i] - size * step[i]);
            let next_loss = loss_at(rows, next);
            if next_loss <= loss || size < 1e-10 {
                break (next, next_loss);
            }
            size /= 2.0;
        };
        if next_loss > loss {
            break;
        }
        let gain = loss - next_loss;
        (at, loss) = (next, next_loss);
        if gain <= 1e-12 * (1.0 + loss) {
            break;
        }
    }
    Solution { at, loss }
}

/// Cross entropy with the smoothed targets, and the penalty.
fn loss_at(rows: &[Row], at: [f64; PARAMETERS]) -> f64 {
    let squares: f64 = at[1..].iter().map(|weight| weight * weight).sum();
    let penalty = 0.5 * PENALTY * squares;
    rows.iter().fold(penalty, |loss, row| {
        let z = dot(row.x, at);
        // log(1 + eᶻ) without overflow.
        let softplus = z.max(0.0) + libm::log1p(libm::exp(-z.abs()));
        loss + softplus - row.target * z
    })
}

#[expect(clippy::needless_range_loop, reason = "the indices of a matrix")]
fn newton_step(rows: &[Row], at: [f64; PARAMETERS], free: [bool; PARAMETERS]) -> [f64; PARAMETERS] {
    let penalty: [f64; PARAMETERS] = from_fn(|i| if i == 0 { 0.0 } else { PENALTY });
    let mut gradient = from_fn(|i| penalty[i] * at[i]);
    // The intercept is not penalised; that much keeps the matrix invertible.
    let mut hessian = from_fn(|i| from_fn(|j| if i == j { penalty[i].max(1e-12) } else { 0.0 }));
    for row in rows {
        let p = logistic(dot(row.x, at));
        for i in 0..PARAMETERS {
            gradient[i] += (p - row.target) * row.x[i];
            for j in 0..PARAMETERS {
                hessian[i][j] += p * (1.0 - p) * row.x[i] * row.x[j];
            }
        }
    }
    for i in (0..PARAMETERS).filter(|&i| !free[i]) {
        gradient[i] = 0.0;
        for j in 0..PARAMETERS {
            hessian[i][j] = 0.0;
            hessian[j][i] = 0.0;
        }
        hessian[i][i] = 1.0;
    }
    solve(hessian, gradient)
}

/// Solves `matrix · x = right` for a positive definite matrix by elimination.
#[expect(clippy::needless_range_loop, reason = "the indices of a matrix")]
fn solve(
    mut matrix: [[f64; PARAMETERS]; PARAMETERS],
    mut right: [f64; PARAMETERS],
) -> [f64; PARAMETERS] {
    for pivot in 0..PARAMETERS {
        for i in pivot + 1..PARAMETERS {
            let factor = matrix[i][pivot] / matrix[pivot][pivot];
            for j in pivot..PARAMETERS {
                matrix[i][j] -= factor * matrix[pivot][j];
            }
            right[i] -= factor * right[pivot];
        }
    }
    let mut x = [0.0; PARAMETERS];
    for i in (0..PARAMETERS).rev() {
        let known: f64 = (i + 1..PARAMETERS).map(|j| matrix[i][j] * x[j]).sum();
        x[i] = (right[i] - known) / matrix[i][i];
    }
    x
}

fn dot(a: [f64; PARAMETERS], b: [f64; PARAMETERS]) -> f64 {
    a.iter().zip(&b).map(|(a, b)| a * b).sum()
}
