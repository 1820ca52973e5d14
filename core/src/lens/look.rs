//! The looks that one question takes: the photo, where it is focused its places, each perhaps in four quarter turns.

use std::borrow::Cow;
use std::time::Instant;

use super::{Lens, LensError, Query, Times};
use crate::attributes::{Attribute, attributes};
use crate::backbone::{FeatureMap, RunOptions};
use crate::descriptor::Descriptor;
use crate::embedder::EmbedError;
use crate::image::{ImageError, Orientation, Pixels, Region};
use crate::index::filter::PreparedFilter;
use crate::index::{IndexQuery, Ranking};
use crate::localise::Located;

/// Places that a detector may send a query to: each costs a run of the network.
const MOST_PLACES: usize = 3;

/// Crops and resizes: a part of what is searched with, or all of it, which may have the network's size already.
pub(super) type Input<'a> = dyn Fn(Option<&Region>) -> Result<Cow<'a, Pixels>, ImageError> + 'a;

/// What all looks saw together.
pub(super) struct Seen {
    /// Each item with its best score of any look.
    pub(super) ranking: Ranking,
    /// The look with the best hit.
    pub(super) best: Look,
    /// The maps of the first look, where another is the best: of the photo as it is.
    first: Option<Vec<FeatureMap>>,
    /// Whether a delegate ran the network.
    pub(super) delegated: bool,
}

/// One look, and what it found.
pub(super) struct Look {
    score: Option<f32>,
    pub(super) maps: Vec<FeatureMap>,
    pub(super) descriptor: Descriptor,
    pub(super) place: Option<Located>,
    pub(super) attributes: Vec<Attribute>,
}

impl Seen {
    /// The maps of the photo as it is.
    pub(super) fn upright(&self) -> &[FeatureMap] {
        self.first.as_ref().unwrap_or(&self.best.maps)
    }

    /// With one more look. Of equals the earlier stays the best.
    fn and(self, look: Look, ranking: Ranking) -> Self {
        let Self { best, first, .. } = self;
        let (best, first) = match look.score > best.score {
            true => (look, first.or(Some(best.maps))),
            false => (best, first),
        };
        Self {
            ranking,
            best,
            first,
            ..self
        }
    }
}

impl Lens {
    /// Looks and searches, until every place was looked at in every turn. What it costs is added to `times`.
    pub(super) fn look(
        &self,
        input: &Input<'_>,
        query: &Query,
        filter: Option<&PreparedFilter>,
        run: &RunOptions<'_>,
        times: &mut Times,
    ) -> Result<Seen, LensError> {
        // One hit is needed for the verdict even when none is wanted.
        let depth = query.rerank.map_or(0, |rerank| rerank.depth);
        let k = query.k.max(depth).max(1);
        let turns = if query.rotations { 4 } else { 1 };
        let mut seen: Option<Seen> = None;
        let mut places = vec![None];
        let mut at = 0;
        while let Some(&place) = places.get(at) {
            at += 1;
            let started = Instant::now();
            // Quarter turns are taken of the network's small input, not of the photo.
            let mut pixels = input(place.as_ref().map(Located::region).as_ref())?;
            times.resize += started.elapsed();
            for turn in 0..turns {
                if turn > 0 {
                    pixels = Cow::Owned(Orientation::Rotate90.apply(pixels.into_owned()));
                }
                let (embedding, maps) = self.embedder.look(&pixels, run)?;
                times.backbone += embedding.backbone;
                times.describe += embedding.describe;
                let searched = Instant::now();
                let descriptor = embedding.descriptor;
                let ranking = self.index.search(&IndexQuery {
                    filter,
                    group_by: query.group_by.as_ref(),
                    stop: run.stop(),
                    ..IndexQuery::new(descriptor.fingerprint, &descriptor.values, k)
                })?;
                times.search += searched.elapsed();
                let heads = &self.embedder.bundle().spec().heads.attributes;
                let said = attributes(heads, &self.embedder.maps(&maps));
                let look = Look {
                    score: ranking.hits.first().map(|hit| hit.score),
                    attributes: said.map_err(EmbedError::from)?,
                    maps,
                    descriptor,
                    place,
                };
                let mut all = match seen {
                    None => {
                        if let Some(focus) = query.focus {
                            let found = self.embedder.locate(&look.maps, focus, MOST_PLACES);
                            places.extend(found.into_iter().map(Some));
                        }
                        Seen {
                            ranking,
                            best: look,
                            first: None,
                            delegated: false,
                        }
                    }
                    Some(mut seen) => {
                        let so_far = std::mem::take(&mut seen.ranking);
                        let together = match &query.group_by {
                            Some(group_by) => so_far.merge_groups(ranking, k, group_by),
                            None => so_far.merge(ranking, k),
                        };
                        seen.and(look, together)
                    }
                };
                all.delegated |= embedding.delegated;
                seen = Some(all);
            }
        }
        Ok(seen.expect("at least one place in one turn"))
    }
}
