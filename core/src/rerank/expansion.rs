//! Query expansion and database-side augmentation: an average of a vector and its neighbours says more than it alone.

use serde::{Deserialize, Serialize};

use super::graph::nearest_of;

/// The query, moved towards the best of a first answer: `q + Σ_i max(0, s_i)^α · d_i` over its best hits, brought to
/// unit length. `neighbours` are scores and unit vectors.
///
/// `alpha` 0 is average query expansion (Chum, Philbin, Sivic, Isard & Zisserman, "Total recall", ICCV 2007); above, hits
/// that are further away count less (αQE; Radenović, Tolias & Chum, "Fine-tuning CNN image retrieval with no human
/// annotation", 2018, section 3.4). O(neighbours · dim).
///
/// # Panics
/// When the vectors have different lengths.
pub fn expand<'a>(
    query: &[f32],
    neighbours: impl IntoIterator<Item = (f32, &'a [f32])>,
    alpha: u32,
) -> Vec<f32> {
    let mut sum: Vec<f64> = query.iter().map(|&value| f64::from(value)).collect();
    for (score, vector) in neighbours {
        assert_eq!(vector.len(), query.len(), "vectors of one space");
        let weight = power(f64::from(score.max(0.0)), alpha);
        for (sum, &value) in sum.iter_mut().zip(vector) {
            *sum += weight * f64::from(value);
        }
    }
    let length = sum.iter().map(|value| value * value).sum::<f64>().sqrt();
    let unit = |value: f64| if length > 0.0 { value / length } else { value };
    sum.into_iter().map(|value| unit(value) as f32).collect()
}

/// By repeated squaring: in few steps for any exponent, and the same on every machine.
fn power(base: f64, exponent: u32) -> f64 {
    let (mut result, mut square, mut rest) = (1.0, base, exponent);
    while rest > 0 {
        if rest % 2 == 1 {
            result *= square;
        }
        square *= square;
        rest /= 2;
    }
    result
}

/// How far each vector of a database is moved towards its neighbours: database-side augmentation (Turcot & Lowe, "Better
/// matching with fewer features", ICCV workshops 2009; Arandjelović & Zisserman, "Three things everyone should know to
/// improve object retrieval", CVPR 2012, section 5; with vectors of a network Gordo, Almazán, Revaud & Larlus,
/// "End-to-end learning of deep visual representations for image retrieval", IJCV 2017).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Augmentation {
    /// Nearest of the others that a vector is moved towards. More than an item has photos move it towards other items.
    pub neighbours: u32,
    /// Power of their cosines, as of [`expand`].
    pub alpha: u32,
}

impl Default for Augmentation {
    /// Ten, as implementations of the method take, and the power 3 of αQE (Radenović et al. 2018).
    fn default() -> Self {
        Self {
            neighbours: 10,
            alpha: 3,
        }
    }
}

impl Augmentation {
    /// The rows that row `number` is moved towards, with their cosines: the nearest of the others that `is_there` says.
    /// O(rows · dim).
    pub fn nearest(
        self,
        rows: &[&[f32]],
        number: usize,
        is_there: impl Fn(usize) -> bool,
    ) -> Vec<(usize, f32)> {
        let is_other = |other| other != number && is_there(other);
        nearest_of(rows[number], rows, self.neighbours as usize, is_other)
    }

    /// Row `number` moved towards what [`Augmentation::nearest`] found, a unit vector.
    pub fn moved(self, rows: &[&[f32]], number: usize, nearest: &[(usize, f32)]) -> Vec<f32> {
        let neighbours = nearest.iter().map(|&(other, score)| (score, rows[other]));
        expand(rows[number], neighbours, self.alpha)
    }
}

/// Every vector moved towards its `k` nearest of the others, as [`expand`] moves a query.
///
/// `vectors` are unit vectors of `dim` components, one behind the other. O(n² · dim): for catalogues of some ten
/// thousand photos.
///
/// # Panics
/// When `dim` is 0 or does not divide the number of values.
pub fn augment(vectors: &[f32], dim: usize, k: usize, alpha: u32) -> Vec<f32> {
    assert!(
        dim > 0 && vectors.len().is_multiple_of(dim),
        "whole vectors"
    );
    let augmentation = Augmentation {
        neighbours: u32::try_from(k).unwrap_or(u32::MAX),
        alpha,
    };
    let rows: Vec<&[f32]> = vectors.chunks_exact(dim).collect();
    let mut augmented = Vec::with_capacity(vectors.len());
    for number in 0..rows.len() {
        let nearest = augmentation.nearest(&rows, number, |_| true);
        augmented.extend(augmentation.moved(&rows, number, &nearest));
    }
    augmented
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alpha_lets_near_neighbours_count_more() {
        let (near, far) = ([0.8f32, 0.6], [0.6f32, -0.8]);
        let neighbours = [(0.8, &near[..]), (0.6, &far[..])];
        let average = expand(&[1.0, 0.0], neighbours, 0);
        let weighted = expand(&[1.0, 0.0], neighbours, 2);
        let unit = |x: f64, y: f64| [(x / x.hypot(y)) as f32, (y / x.hypot(y)) as f32];
        assert_eq!(average, unit(2.4, f64::from(0.6f32) - f64::from(0.8f32)));
        assert!(weighted[1] > average[1]);
        assert_eq!(expand(&[1.0, 0.0], [(-0.5, &near[..])], 1), [1.0, 0.0]);
    }

    #[test]
    fn any_power_takes_few_steps() {
        assert_eq!(
            [0, 1, 2, 3, 10].map(|n| power(2.0, n)),
            [1.0, 2.0, 4.0, 8.0, 1024.0]
        );
        assert_eq!(power(0.5, u32::MAX), 0.0);
    }

    #[test]
    fn augmentation_leaves_out_the_vector_itself() {
        let vectors = [1.0, 0.0, 0.8, 0.6, 0.0, 1.0];
        let found = augment(&vectors, 2, 1, 1);
        let expected = expand(&vectors[..2], [(0.8, &vectors[2..4])], 1);
        assert_eq!(found[..2], expected);
        assert_eq!(augment(&vectors, 2, 0, 1), vectors);
    }
}
