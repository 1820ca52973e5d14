//! Logistic regression on two features, the same bits on every platform: samples are sorted, sums
//! run in that order, and `exp` and `log` are those of `libm`.

use std::cmp::Ordering;

/// Strength of the L2 penalty on weights of standardised features: a Gaussian prior under which a
/// step of one standard deviation changes the log-odds by some ±3.
const PENALTY: f64 = 0.1;

pub(super) struct Sample {
    pub(super) features: [f64; 2],
    pub(super) positive: bool,
}

pub(super) struct Model {
    pub(super) intercept: f64,
    pub(super) weights: [f64; 2],
}

/// `1 / (1 + e⁻ˣ)`.
pub(super) fn logistic(x: f64) -> f64 {
    1.0 / (1.0 + libm::exp(-x))
}

/// The most likely model with weights that are not negative, given samples of both classes.
///
/// With two weights there are four ways to hold some of them at zero; the constrained optimum is the
/// best of those whose free weights come out positive.
pub(super) fn fit(mut samples: Vec<Sample>) -> Model {
    samples.sort_by(order);
    let (rows, scales) = standardise(&samples);
    let best = [[true, true], [true, false], [false, true], [false, false]]
        .into_iter()
        .map(|free| minimise(&rows, free))
        .filter(|solution| solution.at[1] >= 0.0 && solution.at[2] >= 0.0)
        .min_by(|a, b| a.loss.total_cmp(&b.loss))
        .expect("holding both weights at zero is always allowed");
    let weights = [0, 1].map(|i| best.at[i + 1] / scales[i].deviation);
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
    a.features[0]
        .total_cmp(&b.features[0])
        .then(a.features[1].total_cmp(&b.features[1]))
        .then(a.positive.cmp(&b.positive))
}

struct Scale {
    mean: f64,
    deviation: f64,
}

/// A sample as the regression sees it: 1 and the standardised features, and a target.
struct Row {
    x: [f64; 3],
    target: f64,
}

fn standardise(samples: &[Sample]) -> (Vec<Row>, [Scale; 2]) {
    let count = samples.len() as f64;
    let scales = [0, 1].map(|i| {
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
        let [a, b] = [0, 1].map(|i| (sample.features[i] - scales[i].mean) / scales[i].deviation);
        Row {
            x: [1.0, a, b],
            target: targets[usize::from(sample.positive)],
        }
    });
    (rows.collect(), scales)
}

struct Solution {
    at: [f64; 3],
    loss: f64,
}

/// Newton's method with halved steps; weights that are not free stay zero. The loss is strictly
/// convex, so it ends at the one minimum.
fn minimise(rows: &[Row], free: [bool; 2]) -> Solution {
    let free = [true, free[0], free[1]];
    let mut at = [0.0; 3];
    let mut loss = loss_at(rows, at);
    for _ in 0..100 {
        let step = newton_step(rows, at, free);
        let mut size = 1.0;
        let (next, next_loss) = loop {
            let next = [0, 1, 2].map(|i| at[i] - size * step[i]);
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
fn loss_at(rows: &[Row], at: [f64; 3]) -> f64 {
    let penalty = 0.5 * PENALTY * (at[1] * at[1] + at[2] * at[2]);
    rows.iter().fold(penalty, |loss, row| {
        let z = dot(row.x, at);
        // log(1 + eᶻ) without overflow.
        let softplus = z.max(0.0) + libm::log1p(libm::exp(-z.abs()));
        loss + softplus - row.target * z
    })
}

#[expect(clippy::needless_range_loop, reason = "the indices of a matrix")]
fn newton_step(rows: &[Row], at: [f64; 3], free: [bool; 3]) -> [f64; 3] {
    let mut gradient = [0.0, PENALTY * at[1], PENALTY * at[2]];
    let mut hessian = [[1e-12, 0.0, 0.0], [0.0, PENALTY, 0.0], [0.0, 0.0, PENALTY]];
    for row in rows {
        let p = logistic(dot(row.x, at));
        for i in 0..3 {
            gradient[i] += (p - row.target) * row.x[i];
            for j in 0..3 {
                hessian[i][j] += p * (1.0 - p) * row.x[i] * row.x[j];
            }
        }
    }
    for i in (0..3).filter(|&i| !free[i]) {
        gradient[i] = 0.0;
        for j in 0..3 {
            hessian[i][j] = 0.0;
            hessian[j][i] = 0.0;
        }
        hessian[i][i] = 1.0;
    }
    solve(hessian, gradient)
}

/// Solves `matrix · x = right` for a positive definite matrix by elimination.
#[expect(clippy::needless_range_loop, reason = "the indices of a matrix")]
fn solve(mut matrix: [[f64; 3]; 3], mut right: [f64; 3]) -> [f64; 3] {
    for pivot in 0..3 {
        for i in pivot + 1..3 {
            let factor = matrix[i][pivot] / matrix[pivot][pivot];
            for j in pivot..3 {
                matrix[i][j] -= factor * matrix[pivot][j];
            }
            right[i] -= factor * right[pivot];
        }
    }
    let mut x = [0.0; 3];
    for i in (0..3).rev() {
        let known: f64 = (i + 1..3).map(|j| matrix[i][j] * x[j]).sum();
        x[i] = (right[i] - known) / matrix[i][i];
    }
    x
}

fn dot(a: [f64; 3], b: [f64; 3]) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}
