//! Diffusion: similarity spreads along the neighbour graph, so that photos of one place reach each other over steps.
//!
//! Iscen, Tolias, Avrithis, Furon & Chum, "Efficient diffusion on region manifolds: recovering small objects with
//! compact CNN representations", CVPR 2017: the affinity `A` of mutual nearest neighbours (equation 1, `s³`), its
//! symmetric normalisation `S = D^{-1/2} A D^{-1/2}` (equation 3), and `(I − αS) f = y` solved by conjugate gradients
//! (equation 8), where `y` holds the query's similarities with its nearest (equation 10).

use serde::{Deserialize, Serialize};

use super::graph::Nodes;

/// Steps of conjugate gradients; `I − αS` is well conditioned.
const STEPS: usize = 20;

/// Settings of the diffusion.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Diffusion {
    /// Neighbours of a node in the graph.
    pub neighbours: usize,
    /// Nearest of the query from which similarity spreads.
    pub seeds: usize,
    /// How far it spreads, 0 (not at all) to below 1.
    pub alpha: f64,
}

impl Default for Diffusion {
    /// Ten neighbours, five seeds, α of 0.9.
    fn default() -> Self {
        Self {
            neighbours: 10,
            seeds: 5,
            alpha: 0.9,
        }
    }
}

impl Diffusion {
    /// Scores of the candidates of one query, in their order, at least 0.
    ///
    /// All are unit vectors of one space. O(candidates² · dim).
    pub fn scores(&self, query: &[f32], candidates: &[&[f32]]) -> Vec<f64> {
        let nodes = Nodes::of(candidates);
        let graph = Graph::of(candidates, &nodes, self.neighbours);
        let mut seeds = vec![0.0; candidates.len()];
        for (node, score) in nodes.nearest(query, self.seeds, None) {
            seeds[node] = cubed(f64::from(score));
        }
        graph.solve(&seeds, self.alpha)
    }
}

/// `S`, row by row: neighbours and normalised affinities.
struct Graph {
    rows: Vec<Vec<(usize, f64)>>,
}

impl Graph {
    fn of(vectors: &[&[f32]], nodes: &Nodes, neighbours: usize) -> Self {
        let lists: Vec<Vec<(usize, f32)>> = vectors
            .iter()
            .enumerate()
            .map(|(node, vector)| nodes.nearest(vector, neighbours, Some(node)))
            .collect();
        let has = |of: usize, node: usize| lists[of].iter().any(|&(other, _)| other == node);
        let mut rows: Vec<Vec<(usize, f64)>> = (0..vectors.len())
            .map(|node| {
                let mutual = lists[node].iter().filter(|&&(other, _)| has(other, node));
                // Symmetric bit for bit, as products are.
                mutual
                    .map(|&(other, score)| (other, cubed(f64::from(score))))
                    .collect()
            })
            .collect();
        let degrees: Vec<f64> = rows
            .iter()
            .map(|row| row.iter().map(|(_, affinity)| affinity).sum::<f64>().sqrt())
            .collect();
        for (node, row) in rows.iter_mut().enumerate() {
            row.retain(|&(other, _)| degrees[node] * degrees[other] > 0.0);
            for (other, affinity) in row {
                *affinity /= degrees[node] * degrees[*other];
            }
        }
        Self { rows }
    }

    /// `(I − αS)·x`.
    fn apply(&self, x: &[f64], alpha: f64) -> Vec<f64> {
        let rows = self.rows.iter().zip(x);
        rows.map(|(row, own)| {
            let spread: f64 = row.iter().map(|&(other, s)| s * x[other]).sum();
            own - alpha * spread
        })
        .collect()
    }

    fn solve(&self, y: &[f64], alpha: f64) -> Vec<f64> {
        let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let mut x = vec![0.0; y.len()];
        let mut rest = y.to_vec();
        let mut direction = y.to_vec();
        let mut square = product(&rest, &rest);
        for _ in 0..STEPS {
            if square < 1e-20 {
                break;
            }
            let applied = self.apply(&direction, alpha);
            let step = square / product(&direction, &applied);
            for i in 0..x.len() {
                x[i] += step * direction[i];
                rest[i] -= step * applied[i];
            }
            let next = product(&rest, &rest);
            for i in 0..x.len() {
                direction[i] = rest[i] + next / square * direction[i];
            }
            square = next;
        }
        x
    }
}

fn cubed(cosine: f64) -> f64 {
    let cosine = cosine.max(0.0);
    cosine * cosine * cosine
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(degrees: f64) -> [f32; 2] {
        let (sin, cos) = degrees.to_radians().sin_cos();
        [cos as f32, sin as f32]
    }

    /// A chain of views leads further away from the query than a lone photo on the other side.
    #[test]
    fn similarity_follows_the_chain() {
        let query = unit(0.0);
        let vectors = [10.0, 20.0, 30.0, 40.0, -38.0].map(unit);
        let candidates: Vec<&[f32]> = vectors.iter().map(|v| &v[..]).collect();
        let settings = Diffusion {
            neighbours: 2,
            seeds: 1,
            alpha: 0.9,
        };
        let scores = settings.scores(&query, &candidates);
        assert!(scores[3] > scores[4], "{scores:?}");
        assert!(scores[0] > scores[2], "{scores:?}");
    }

    /// The linear system is solved: what conjugate gradients give is put in again.
    #[test]
    fn the_system_is_solved() {
        let mut rng = fastrand::Rng::with_seed(7);
        let vectors: Vec<[f32; 2]> = (0..40).map(|_| unit(360.0 * rng.f64())).collect();
        let nodes: Vec<&[f32]> = vectors.iter().map(|v| &v[..]).collect();
        let graph = Graph::of(&nodes, &Nodes::of(&nodes), 6);
        let y: Vec<f64> = (0..40).map(|_| rng.f64()).collect();
        let x = graph.solve(&y, 0.5);
        for (back, y) in graph.apply(&x, 0.5).iter().zip(&y) {
            assert!((back - y).abs() < 1e-6, "{back} {y}");
        }
        assert_eq!(Diffusion::default().scores(&unit(0.0), &[]), [0.0; 0]);
    }
}
