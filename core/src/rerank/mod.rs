//! Re-ranking: a closer look at the best hits of a search.
//!
//! A descriptor says what a photo shows on the whole. [`LocalFeatures`] say what it shows where: the cells of the query
//! are compared with those of each candidate ([`Correspondence`]), and whether those that look alike also lie alike is
//! checked ([`align`]). [`Regions`] mix parts of a candidate such that they fit the query best. The other methods need
//! descriptors only: [`expand`] and [`augment`], [`Reciprocal`], [`Diffusion`].

mod correspondence;
mod diffusion;
mod expansion;
mod geometry;
mod graph;
mod reciprocal;
mod regions;

pub use correspondence::{Correspondence, Mutual};
pub use diffusion::Diffusion;
pub use expansion::{augment, expand};
pub use geometry::{Alignment, align};
pub use reciprocal::Reciprocal;
pub use regions::{RegionPair, Regions};

use crate::descriptor::LocalFeatures;

/// Components of a cell's vector in an index.
pub const LOCAL_DIM: usize = 48;

/// A second look at the best hits by their local features.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rerank {
    /// Hits that are looked at.
    pub depth: usize,
    /// Weight of [`Correspondence::mean_of_best`] beside the cosine of the descriptors.
    pub likeness: f64,
    /// Weight of [`Alignment::strength`].
    pub geometry: f64,
}

impl Default for Rerank {
    /// The best hundred; weights as chosen by cross-validation over groups (`ACCURACY.md`).
    fn default() -> Self {
        Self {
            depth: 100,
            likeness: 2.0,
            geometry: 0.05,
        }
    }
}

/// What local features say about a photo and a candidate.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Evidence {
    /// [`Correspondence::mean_of_best`], -1 to 1.
    pub likeness: f64,
    /// How the one lies in the other.
    pub alignment: Alignment,
}

impl Rerank {
    /// The evidence of the candidate's best photo; `None` when it has no local features of these dimensions.
    pub fn look(&self, query: &LocalFeatures, candidate: &[LocalFeatures]) -> Option<Evidence> {
        let of_photo = |photo: &LocalFeatures| {
            let correspondence = Correspondence::of(query, photo)?;
            Some(Evidence {
                likeness: correspondence.mean_of_best(),
                alignment: align(query, photo, &correspondence),
            })
        };
        let evidence = candidate.iter().filter_map(of_photo);
        evidence.max_by(|a, b| self.score(0.0, a).total_cmp(&self.score(0.0, b)))
    }

    /// What a candidate is ordered by: `cosine + likeness weight · likeness + geometry weight · strength`.
    pub fn score(&self, cosine: f32, evidence: &Evidence) -> f64 {
        f64::from(cosine)
            + self.likeness * evidence.likeness
            + self.geometry * evidence.alignment.strength
    }

    /// Orders the first [`Self::depth`] of `candidates` (a cosine and local features each, best cosine first) anew:
    /// their numbers, best first. Without evidence a candidate stays behind those that have some; equal scores keep
    /// their order.
    pub fn order<'a>(
        &self,
        query: &LocalFeatures,
        candidates: impl IntoIterator<Item = (f32, &'a [LocalFeatures])>,
    ) -> Vec<(usize, Option<Evidence>)> {
        let mut looked_at: Vec<(usize, f64, Option<Evidence>)> = candidates
            .into_iter()
            .take(self.depth)
            .enumerate()
            .map(|(number, (cosine, local))| {
                let evidence = self.look(query, local);
                let score = evidence
                    .as_ref()
                    .map_or(f64::NEG_INFINITY, |evidence| self.score(cosine, evidence));
                (number, score, evidence)
            })
            .collect();
        looked_at.sort_by(|a, b| b.1.total_cmp(&a.1));
        let ordered = looked_at.into_iter();
        ordered
            .map(|(number, _, evidence)| (number, evidence))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(values: [u8; 8]) -> LocalFeatures {
        let mut bytes = vec![2, 2];
        bytes.extend(values);
        LocalFeatures::from_bytes(&bytes, 2).unwrap().0
    }

    #[test]
    fn what_is_found_again_comes_first() {
        let query = grid([127, 0, 0, 127, 127, 0, 0, 127]);
        let other = [grid([90, 90, 90, 90, 90, 90, 90, 90])];
        let same = [other[0].clone(), query.clone()];
        let candidates = [(0.9, &other[..]), (0.95, &[]), (0.5, &same[..])];
        let order = Rerank::default().order(&query, candidates);
        let numbers: Vec<_> = order.iter().map(|&(number, _)| number).collect();
        assert_eq!(numbers, [2, 0, 1]);
        assert_eq!(order[0].1.unwrap().likeness, 1.0);
        assert_eq!(order[2].1, None);
        let shallow = Rerank {
            depth: 1,
            ..Rerank::default()
        };
        assert_eq!(shallow.order(&query, candidates).len(), 1);
    }
}
