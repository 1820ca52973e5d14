//! Nearest neighbours among a few vectors: the graph that augmentation, reciprocal ranks and diffusion stand on.

use crate::kernel::Cpu;
use crate::kernel::weighted_sum::weighted_sum;

/// Some vectors, component by component, so that the products of one with all are the sums of one kernel.
pub(super) struct Nodes {
    components: Vec<f32>,
    count: usize,
}

impl Nodes {
    /// Of vectors of one length; what a vector lacks is 0.
    pub(super) fn of(vectors: &[&[f32]]) -> Self {
        let dim = vectors.iter().map(|vector| vector.len()).max();
        let mut components = vec![0.0; dim.unwrap_or(0) * vectors.len()];
        for (number, vector) in vectors.iter().enumerate() {
            let own = components.iter_mut().skip(number).step_by(vectors.len());
            for (component, &value) in own.zip(*vector) {
                *component = value;
            }
        }
        Self {
            components,
            count: vectors.len(),
        }
    }

    /// Dot products with all, each as [`dot`] gives it. O(nodes · dim).
    pub(super) fn products(&self, vector: &[f32]) -> Vec<f64> {
        let dim = self.components.len().checked_div(self.count).unwrap_or(0);
        let mut weights: Vec<f64> = vector.iter().map(|&value| f64::from(value)).collect();
        weights.resize(dim, 0.0);
        let mut products = vec![0.0; self.count];
        weighted_sum(Cpu::native())(&self.components, &weights, &mut products);
        products
    }

    /// The `k` with the largest dot product with `vector`, best first, equal ones by number, without `besides`.
    pub(super) fn nearest(
        &self,
        vector: &[f32],
        k: usize,
        besides: Option<usize>,
    ) -> Vec<(usize, f32)> {
        let products = self.products(vector).into_iter().enumerate();
        let others = products.filter(|&(number, _)| Some(number) != besides);
        let scores = others.map(|(number, product)| (number, product as f32));
        best(scores, k)
    }
}

/// The `k` rows that `is_there` says with the largest dot product with `query`, best first, equal ones by number.
/// O(rows · dim).
pub(super) fn nearest_of(
    query: &[f32],
    rows: &[&[f32]],
    k: usize,
    is_there: impl Fn(usize) -> bool,
) -> Vec<(usize, f32)> {
    let there = rows.iter().enumerate();
    let there = there.filter(|&(number, _)| is_there(number));
    let scores = there.map(|(number, row)| (number, dot(query, row) as f32));
    best(scores, k)
}

/// The first `k` by score, equal ones in their order: few are kept, so each is put in its place.
fn best(scores: impl Iterator<Item = (usize, f32)>, k: usize) -> Vec<(usize, f32)> {
    let mut best: Vec<(usize, f32)> = Vec::new();
    for (number, score) in scores {
        let at = best.partition_point(|(_, other)| other.total_cmp(&score).is_ge());
        if at < k {
            best.truncate(k - 1);
            best.insert(at, (number, score));
        }
    }
    best
}

/// In one fixed order, in double precision.
pub(super) fn dot(a: &[f32], b: &[f32]) -> f64 {
    let products = a.iter().zip(b);
    products.map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_with_all_are_those_with_each() {
        let mut rng = fastrand::Rng::with_seed(3);
        let vectors: Vec<Vec<f32>> = (0..21)
            .map(|_| (0..13).map(|_| rng.f32() - 0.5).collect())
            .collect();
        let rows: Vec<&[f32]> = vectors.iter().map(Vec::as_slice).collect();
        let nodes = Nodes::of(&rows);
        for row in &rows {
            let alone: Vec<f64> = rows.iter().map(|other| dot(row, other)).collect();
            assert_eq!(nodes.products(row), alone);
            let is_other = |number| number != 4;
            assert_eq!(
                nodes.nearest(row, 5, Some(4)),
                nearest_of(row, &rows, 5, is_other)
            );
        }
        assert!(Nodes::of(&[]).products(&[1.0]).is_empty());
        assert_eq!(Nodes::of(&[&[2.0], &[]]).products(&[3.0]), [6.0, 0.0]);
    }
}
