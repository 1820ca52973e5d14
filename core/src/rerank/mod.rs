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
pub use expansion::{Augmentation, augment, expand};
pub use geometry::{Alignment, align};
pub use reciprocal::Reciprocal;
pub use regions::{RegionPair, Regions};

use serde::{Deserialize, Serialize};

use crate::descriptor::LocalFeatures;

/// Components of a cell's vector in an index.
pub const LOCAL_DIM: usize = 48;

/// A second look at the best hits.
///
/// A candidate is ordered by `cosine + likeness · … + geometry · … + adapted · … + pair · …`, in which the cosine may be
/// replaced by what its neighbourhood says.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rerank {
    /// Hits that are looked at.
    pub depth: usize,
    /// Weight of [`Evidence::likeness`].
    pub likeness: f64,
    /// Weight of the strength of [`Evidence::alignment`].
    pub geometry: f64,
    /// Weight of [`Evidence::adapted`], which is only computed where this is not 0.
    pub adapted: f64,
    /// Weight of [`Evidence::pair`], which is only computed where this is not 0.
    pub pair: f64,
    /// What stands for the cosine.
    pub neighbourhood: Neighbourhood,
}

/// What the candidates say about each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Neighbourhood {
    /// Nothing: the cosine with the query.
    #[default]
    Alone,
    /// The cosine with the query moved towards its best candidates ([`expand`]).
    Expansion {
        /// Candidates, the best after local features were looked at.
        neighbours: usize,
        /// Power of their cosines.
        alpha: u32,
    },
    /// Reciprocal neighbours.
    Reciprocal(Reciprocal),
    /// Half the cosine, half of what diffuses, by the most that any candidate gets.
    Diffusion(Diffusion),
}

impl Default for Rerank {
    /// The best hundred; likeness, geometry and expansion, which lose on no set (`ACCURACY.md`).
    fn default() -> Self {
        Self {
            depth: 100,
            likeness: 1.0,
            geometry: 0.05,
            adapted: 0.0,
            pair: 0.0,
            neighbourhood: Neighbourhood::Expansion {
                neighbours: 3,
                alpha: 3,
            },
        }
    }
}

/// A hit that is looked at again.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Of its best photo with the query.
    pub cosine: f32,
    /// Unit vectors of its photos.
    pub vectors: Vec<Vec<f32>>,
    /// Local features of its photos; empty where there are none.
    pub local: Vec<LocalFeatures>,
}

/// What local features say about a photo and a candidate.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Evidence {
    /// [`Correspondence::mean_of_best`], -1 to 1.
    pub likeness: f64,
    /// How the one lies in the other.
    pub alignment: Alignment,
    /// Cosine with the mixture of the candidate's regions that fits best ([`Regions::adapted_to`]), -1 to 1.
    pub adapted: f64,
    /// Cosine of the two regions that are most alike ([`Regions::best_pair`]), -1 to 1.
    pub pair: f64,
}

impl Rerank {
    /// The evidence of the candidate's best photo; `None` when it has no local features of these dimensions.
    pub fn look(&self, query: &LocalFeatures, candidate: &[LocalFeatures]) -> Option<Evidence> {
        self.look_with(query, self.regions_of(query).as_ref(), candidate)
    }

    fn regions_of(&self, photo: &LocalFeatures) -> Option<Regions> {
        (self.adapted != 0.0 || self.pair != 0.0).then(|| Regions::of(photo))
    }

    fn look_with(
        &self,
        query: &LocalFeatures,
        regions: Option<&Regions>,
        candidate: &[LocalFeatures],
    ) -> Option<Evidence> {
        let of_photo = |photo: &LocalFeatures| {
            let correspondence = Correspondence::of(query, photo)?;
            let mut evidence = Evidence {
                likeness: correspondence.mean_of_best(),
                alignment: align(query, photo, &correspondence),
                ..Evidence::default()
            };
            if let Some(regions) = regions {
                let of_photo = Regions::of(photo);
                evidence.pair = regions.best_pair(&of_photo)?.cosine;
                evidence.adapted = of_photo.adapted_to(regions.vectors().next()?)?.0;
            }
            Some(evidence)
        };
        let evidence = candidate.iter().filter_map(of_photo);
        evidence.max_by(|a, b| self.weigh(a).total_cmp(&self.weigh(b)))
    }

    /// What evidence adds to the cosine.
    fn weigh(&self, evidence: &Evidence) -> f64 {
        self.likeness * evidence.likeness
            + self.geometry * evidence.alignment.strength
            + self.adapted * evidence.adapted
            + self.pair * evidence.pair
    }

    /// Orders the first [`Self::depth`] of `candidates` (best cosine first) anew: their numbers, best first, with the
    /// evidence of each. `query` is the descriptor of the photo that asks, a unit vector; `local` its local features,
    /// without which there is no evidence. With them, a candidate without evidence stays behind those that have some;
    /// equal scores keep their order.
    pub fn order(
        &self,
        query: &[f32],
        local: Option<&LocalFeatures>,
        candidates: &[Candidate],
    ) -> Vec<(usize, Option<Evidence>)> {
        let candidates = &candidates[..candidates.len().min(self.depth)];
        let regions = local.and_then(|local| self.regions_of(local));
        let evidence: Vec<Option<Evidence>> = candidates
            .iter()
            .map(|candidate| self.look_with(local?, regions.as_ref(), &candidate.local))
            .collect();
        let added: Vec<f64> = evidence
            .iter()
            .map(|evidence| match evidence {
                Some(evidence) => self.weigh(evidence),
                None if local.is_some() => f64::NEG_INFINITY,
                None => 0.0,
            })
            .collect();
        let cosines = self.cosines(query, candidates, &added);
        let scores: Vec<f64> = cosines.iter().zip(&added).map(|(a, b)| a + b).collect();
        let order = ranks(&scores).into_iter();
        order.map(|number| (number, evidence[number])).collect()
    }

    /// What stands for the cosine of each candidate.
    fn cosines(&self, query: &[f32], candidates: &[Candidate], added: &[f64]) -> Vec<f64> {
        let alone: Vec<f64> = candidates
            .iter()
            .map(|candidate| f64::from(candidate.cosine))
            .collect();
        let best: Vec<&[f32]> = candidates
            .iter()
            .map(|candidate| candidate.best_vector(query))
            .collect();
        match self.neighbourhood {
            Neighbourhood::Alone => alone,
            Neighbourhood::Expansion { neighbours, alpha } => {
                let scores: Vec<f64> = alone.iter().zip(added).map(|(a, b)| a + b).collect();
                let first = ranks(&scores).into_iter().take(neighbours);
                let first = first.map(|number| (candidates[number].cosine, best[number]));
                let moved = expand(query, first, alpha);
                best.iter()
                    .map(|vector| graph::dot(&moved, vector))
                    .collect()
            }
            Neighbourhood::Reciprocal(settings) => settings.scores(query, &best),
            Neighbourhood::Diffusion(settings) => {
                let spread = settings.scores(query, &best);
                let most = spread.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
                let pairs = alone.iter().zip(spread);
                pairs
                    .map(|(cosine, spread)| f64::midpoint(*cosine, spread / most))
                    .collect()
            }
        }
    }
}

impl Candidate {
    /// The vector of the photo that is most like the query; empty without photos.
    fn best_vector(&self, query: &[f32]) -> &[f32] {
        let vectors = self.vectors.iter().map(Vec::as_slice);
        let best = vectors.max_by(|a, b| graph::dot(query, a).total_cmp(&graph::dot(query, b)));
        best.unwrap_or_default()
    }
}

/// Positions by score, best first, equal ones in their order.
fn ranks(scores: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_unstable_by(|&a, &b| scores[b].total_cmp(&scores[a]).then(a.cmp(&b)));
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(values: [u8; 8]) -> LocalFeatures {
        let mut bytes = vec![2, 2];
        bytes.extend(values);
        LocalFeatures::from_bytes(&bytes, 2).unwrap().0
    }

    fn candidate(cosine: f32, local: &[LocalFeatures]) -> Candidate {
        Candidate {
            cosine,
            vectors: vec![vec![cosine, (1.0 - cosine * cosine).sqrt()]],
            local: local.to_vec(),
        }
    }

    fn numbers(order: &[(usize, Option<Evidence>)]) -> Vec<usize> {
        order.iter().map(|&(number, _)| number).collect()
    }

    #[test]
    fn what_is_found_again_comes_first() {
        let query = grid([127, 0, 0, 127, 127, 0, 0, 127]);
        let other = grid([90, 90, 90, 90, 90, 90, 90, 90]);
        let candidates = [
            candidate(0.9, std::slice::from_ref(&other)),
            candidate(0.95, &[]),
            candidate(0.5, &[other, query.clone()]),
        ];
        let alone = Rerank {
            likeness: 2.0,
            neighbourhood: Neighbourhood::Alone,
            ..Rerank::default()
        };
        let order = alone.order(&[1.0, 0.0], Some(&query), &candidates);
        assert_eq!(numbers(&order), [2, 0, 1]);
        assert_eq!(order[0].1.unwrap().likeness, 1.0);
        assert_eq!(order[2].1, None);
        let shallow = Rerank { depth: 1, ..alone };
        assert_eq!(
            shallow.order(&[1.0, 0.0], Some(&query), &candidates).len(),
            1
        );
    }

    #[test]
    fn neighbourhoods_work_without_local_features() {
        let candidates = [0.9, 0.8, 0.1].map(|cosine| candidate(cosine, &[]));
        for neighbourhood in [
            Neighbourhood::Alone,
            Neighbourhood::Expansion {
                neighbours: 2,
                alpha: 1,
            },
            Neighbourhood::Reciprocal(Reciprocal::default()),
            Neighbourhood::Diffusion(Diffusion::default()),
        ] {
            let rerank = Rerank {
                neighbourhood,
                ..Rerank::default()
            };
            let order = rerank.order(&[1.0, 0.0], None, &candidates);
            assert_eq!(numbers(&order).len(), 3, "{neighbourhood:?}");
            assert_eq!(numbers(&order)[2], 2, "{neighbourhood:?}");
        }
    }

    #[test]
    fn settings_are_data() {
        let json =
            r#"{"likeness": 1.5, "neighbourhood": {"expansion": {"neighbours": 3, "alpha": 2}}}"#;
        let read: Rerank = serde_json::from_str(json).unwrap();
        assert_eq!(
            (read.likeness, read.geometry),
            (1.5, Rerank::default().geometry)
        );
        assert!(serde_json::from_str::<Rerank>(r#"{"likenes": 1}"#).is_err());
    }
}
