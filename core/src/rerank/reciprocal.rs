//! Reciprocal neighbours: a hit counts more when the query is also among its own nearest.
//!
//! Zhong, Zheng, Cao & Li, "Re-ranking person re-identification with k-reciprocal encoding", CVPR 2017: the `k`-reciprocal
//! set `R(p, k)` (equation 3), expanded by those neighbours' half-size sets that mostly lie within it (equation 4),
//! encoded as a vector of similarities, compared by the Jaccard distance (equations 5 and 10), mixed with the original
//! distance (equation 12). Similarities are `max(0, cosine)` here, which needs no exponential.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::graph::{Nodes, dot};

/// Settings of the re-ranking.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Reciprocal {
    /// Neighbours that are looked at, `k₁` of the paper.
    pub neighbours: usize,
    /// Share of the original score in the new one, 0 to 1: `λ` of the paper.
    pub original: f64,
}

impl Default for Reciprocal {
    /// Eight neighbours, three tenths of the original score.
    fn default() -> Self {
        Self {
            neighbours: 8,
            original: 0.3,
        }
    }
}

impl Reciprocal {
    /// New scores of the candidates of one query, in their order: `λ·cosine + (1 − λ)·Jaccard`, -λ to 1.
    ///
    /// All are unit vectors of one space. O(candidates² · dim).
    pub fn scores(&self, query: &[f32], candidates: &[&[f32]]) -> Vec<f64> {
        // The query is node 0.
        let nodes: Vec<&[f32]> = std::iter::once(query)
            .chain(candidates.iter().copied())
            .collect();
        let all = Nodes::of(&nodes);
        let lists: Vec<Vec<usize>> = (0..nodes.len())
            .map(|node| {
                let found = all.nearest(nodes[node], self.neighbours, Some(node));
                found.into_iter().map(|(other, _)| other).collect()
            })
            .collect();
        let encoded: Vec<BTreeMap<usize, f64>> = (0..nodes.len())
            .map(|node| {
                let mut members = self.expanded(node, &lists);
                // A node is its own neighbour.
                members.push(node);
                let similar = |&other: &usize| (other, dot(nodes[node], nodes[other]).max(0.0));
                members.iter().map(similar).collect()
            })
            .collect();
        (1..nodes.len())
            .map(|node| {
                let cosine = dot(query, nodes[node]);
                self.original * cosine
                    + (1.0 - self.original) * jaccard(&encoded[0], &encoded[node])
            })
            .collect()
    }

    /// `R*(p, k)`: the reciprocal set, and those of its members' half-size sets that share two thirds with it.
    fn expanded(&self, node: usize, lists: &[Vec<usize>]) -> Vec<usize> {
        let mut members = reciprocal(node, self.neighbours, lists);
        let first = members.clone();
        for &member in &first {
            let half = reciprocal(member, self.neighbours.div_ceil(2), lists);
            let shared = half.iter().filter(|other| first.contains(other)).count();
            if 3 * shared >= 2 * half.len() {
                members.extend(half);
            }
        }
        members.sort_unstable();
        members.dedup();
        members
    }
}

/// Neighbours of a node that have it among theirs.
fn reciprocal(node: usize, k: usize, lists: &[Vec<usize>]) -> Vec<usize> {
    let first = |of: usize| &lists[of][..k.min(lists[of].len())];
    let mutual = |&&other: &&usize| first(other).contains(&node);
    first(node).iter().filter(mutual).copied().collect()
}

/// `Σ min / Σ max` of two sparse vectors.
fn jaccard(a: &BTreeMap<usize, f64>, b: &BTreeMap<usize, f64>) -> f64 {
    let (mut least, mut most) = (0.0, 0.0);
    for (node, &value) in a {
        let other = b.get(node).copied().unwrap_or(0.0);
        least += value.min(other);
        most += value.max(other);
    }
    let only = b.iter().filter(|(node, _)| !a.contains_key(node));
    most += only.map(|(_, value)| value).sum::<f64>();
    if most > 0.0 { least / most } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(degrees: f64) -> [f32; 2] {
        let (sin, cos) = degrees.to_radians().sin_cos();
        [cos as f32, sin as f32]
    }

    /// The first candidate is nearest, but has nearer neighbours of its own; the fifth is a little further away and has
    /// the query among its nearest.
    #[test]
    fn whose_neighbour_the_query_is_comes_first() {
        let query = unit(0.0);
        let vectors = [9.0, 9.5, 10.0, 10.5, -9.8, -12.0].map(unit);
        let candidates: Vec<&[f32]> = vectors.iter().map(|v| &v[..]).collect();
        let settings = Reciprocal {
            neighbours: 3,
            original: 0.1,
        };
        let scores = settings.scores(&query, &candidates);
        assert!(scores[4] > scores[0] + 0.1, "{scores:?}");
        assert!(scores[4] > scores[5], "{scores:?}");
    }

    #[test]
    fn with_all_of_the_original_score_nothing_changes() {
        let query = unit(0.0);
        let vectors = [40.0, 5.0, 80.0].map(unit);
        let candidates: Vec<&[f32]> = vectors.iter().map(|v| &v[..]).collect();
        let settings = Reciprocal {
            neighbours: 2,
            original: 1.0,
        };
        let scores = settings.scores(&query, &candidates);
        for (score, vector) in scores.iter().zip(&candidates) {
            assert_eq!(*score, dot(&query, vector));
        }
        assert!(settings.scores(&query, &[]).is_empty());
    }
}
