//! The search: small segments are scanned in full, in large ones near lists are looked at
//! (`lists`); then the best of all segments, and the best score outside of the winner's group.
//!
//! A scan reads vectors, norms and two numbers an item; keys and payloads are read for the
//! winners only.

use std::cell::OnceCell;
use std::sync::Arc;

use serde_json::Value;

use super::filter::{FilteredItems, PreparedFilter};
use super::lists::{self, Effort, ListQuery, Lists, RowMask};
use super::quantise::{Quantised, cosine, quantise};
use super::segment::Segment;
use super::top::{BestGroups, Scored, Top};
use super::{GroupBy, Index, IndexError};
use crate::cancel::Stop;
use crate::fingerprint::Fingerprint;
use crate::kernel::{Cpu, dot};
use crate::verdict::{self, NEAREST, Standing};

/// Rows whose dot products are computed in one call of the kernel.
const BLOCK: usize = 256;

/// Least score of a photo with itself where rows are residual codes.
const SAME_PHOTO: f32 = 0.996;

/// What to search for.
#[derive(Clone, Copy, Debug)]
pub struct IndexQuery<'a> {
    /// Of the model that made the vector.
    pub fingerprint: Fingerprint,
    /// A descriptor; its length does not matter, its direction does.
    pub vector: &'a [f32],
    /// Most hits wanted.
    pub k: usize,
    /// Acts as if the items of these groups were not in the index. Leaving the right answer out makes
    /// an out-of-catalogue query, which calibration needs.
    pub excluding_groups: &'a [&'a str],
    /// Acts as if only these items were in the index; made by [`Index::prepare`].
    pub filter: Option<&'a PreparedFilter>,
    /// One hit a group, its best item, with [`Hit::votes`]; each item is a hit when absent.
    pub group_by: Option<&'a GroupBy>,
    /// Acts as if photos with just this vector were not in the index: a photo of the index can then
    /// ask for the others of its group.
    pub excluding_photo: Option<&'a [f32]>,
    /// Ends the search before its next segment.
    pub stop: Stop<'a>,
}

impl<'a> IndexQuery<'a> {
    /// The `k` best of the whole index.
    pub fn new(fingerprint: Fingerprint, vector: &'a [f32], k: usize) -> Self {
        Self {
            fingerprint,
            vector,
            k,
            excluding_groups: &[],
            filter: None,
            group_by: None,
            excluding_photo: None,
            stop: Stop::default(),
        }
    }
}

/// How a segment with lists is searched. One without is always scanned in full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Plan {
    /// Lists near the query, of these the signs, of what they let pass the scores.
    #[default]
    Lists,
    /// The signs of all rows, of what they let pass the scores.
    Signs,
    /// The scores of all rows.
    Exact,
}

impl Plan {
    fn effort(self) -> Effort {
        match self {
            Self::Lists => Effort::Lists,
            Self::Signs => Effort::Signs,
            Self::Exact => Effort::All,
        }
    }
}

/// An item that was found, by number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Neighbour {
    /// Number of the item: items are numbered segment by segment, within a segment by key.
    pub item: u64,
    /// As of a [`Hit`].
    pub score: f32,
}

/// An item that was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Hit {
    /// Names the item.
    pub key: String,
    /// The group it belongs to; its own key when none was given.
    pub group: String,
    /// Cosine of the int8 vectors, -1 to 1: that of the item's best photo.
    pub score: f32,
    /// The JSON object that was indexed with the item.
    pub payload: Value,
    /// The best photo, as its row in the index.
    pub row: u64,
    /// Where hits are groups: how many of the 32 best items ([`VOTERS`](super::VOTERS)) are of this
    /// one. Order and score do not depend on it.
    pub votes: Option<u32>,
}

/// The answer to a query.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ranking {
    /// Best first: by score, equal scores by key. All items when there are fewer than `k`.
    pub hits: Vec<Hit>,
    /// The best score of an item of another group than the first hit. Does not depend on `k`;
    /// `None` without hits or without another group.
    pub rival: Option<f32>,
    /// Whether the first hit's group agrees: [`Standing::agreement`]. Does not depend on `k`.
    pub agreement: Option<f32>,
}

impl Ranking {
    /// How the first hit stands. Without another group its margin is the score itself, as if an unrelated photo with a
    /// cosine of 0 were there. `None` without hits.
    pub fn standing(&self) -> Option<Standing> {
        let score = self.hits.first()?.score;
        Some(Standing {
            score,
            margin: score - self.rival.unwrap_or(0.0),
            agreement: self.agreement,
        })
    }

    /// The same hits in another order: `order` holds positions of hits, each at most once, best first; hits that it does
    /// not name follow as they were. Scores stay what they are.
    pub fn reorder(mut self, order: &[usize]) -> Self {
        let first_score = self.hits.first().map(|hit| hit.score);
        let first_group = self.hits.first().map(|hit| hit.group.clone());
        let mut hits: Vec<Option<Hit>> = self.hits.into_iter().map(Some).collect();
        let mut ordered: Vec<Hit> = order
            .iter()
            .filter_map(|&at| hits.get_mut(at)?.take())
            .collect();
        ordered.extend(hits.into_iter().flatten());
        if ordered.first().map(|hit| &hit.group) != first_group.as_ref() {
            // What was best is of another group than the first hit now.
            self.rival = first_score;
            self.agreement = None;
        }
        Self {
            hits: ordered,
            ..self
        }
    }

    /// The better of two answers to one question (a photo and the same photo turned), item by item:
    /// at most `k` hits, each with its better score.
    pub fn merge(self, other: Self, k: usize) -> Self {
        self.merge_by(other, k, |hit| (true, hit.key.clone()))
    }

    /// The same for two answers whose hits are groups: each with the hit of its better score, whose
    /// votes are those of the answer it comes from.
    pub fn merge_groups(self, other: Self, k: usize, group_by: &GroupBy) -> Self {
        self.merge_by(other, k, |hit| group_by.identity(hit))
    }

    fn merge_by(self, other: Self, k: usize, identity: impl Fn(&Hit) -> (bool, String)) -> Self {
        let (Some(a), Some(b)) = (self.hits.first(), other.hits.first()) else {
            return if self.hits.is_empty() { other } else { self };
        };
        let a_first = (b.score, &a.key) <= (a.score, &b.key);
        let winner = if a_first {
            a.group.clone()
        } else {
            b.group.clone()
        };
        // The first hit of an answer is its best; if that is of the winning group, its rival is the
        // best of all others.
        let rival_of = |ranking: &Self| match ranking.hits.first() {
            Some(first) if first.group != winner => Some(first.score),
            _ => ranking.rival,
        };
        let rival = rival_of(&self)
            .into_iter()
            .chain(rival_of(&other))
            .max_by(f32::total_cmp);
        let agreement = [&self, &other]
            .into_iter()
            .filter(|ranking| ranking.hits.first().is_some_and(|hit| hit.group == winner))
            .filter_map(|ranking| ranking.agreement)
            .max_by(f32::total_cmp);
        let mut hits = self.hits;
        hits.extend(other.hits);
        hits.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.key.cmp(&b.key)));
        let mut seen = std::collections::HashSet::new();
        hits.retain(|hit| seen.insert(identity(hit)));
        hits.truncate(k);
        Self {
            hits,
            rival,
            agreement,
        }
    }
}

impl Index {
    /// Finds the `k` items whose best photo has the largest cosine with the query.
    ///
    /// The same bits on every platform; `O(k)` memory. Exact in segments of fewer than 4,096 photos,
    /// in `O(rows × dim)` time. In larger ones 99 of 100 of the true nearest are found, in about the
    /// square root of that; up to `k = 10` the hits are the head of one answer, and with a larger `k`
    /// more is looked at.
    ///
    /// # Errors
    /// [`IndexError::ForeignFingerprint`] when another model made the query,
    /// [`IndexError::BadVector`] when it is no descriptor of this index, and
    /// [`IndexError::Corrupt`] when the scan meets damage; [`IndexError::Cancelled`] and [`IndexError::OutOfTime`] as
    /// the query says.
    pub fn search(&self, query: &IndexQuery<'_>) -> Result<Ranking, IndexError> {
        let Some(group_by) = query.group_by else {
            return self.search_on(Cpu::native(), query);
        };
        if query.k == 0 {
            return self.search_on(Cpu::native(), query);
        }
        group_by.rank(query.k, |k| {
            self.search_on(Cpu::native(), &IndexQuery { k, ..*query })
        })
    }

    /// The best `k` items by number, without reading keys, groups and payloads: for benches, and for programs that
    /// keep what belongs to an item elsewhere. Groups cannot be excluded here.
    ///
    /// # Errors
    /// As [`Self::search`].
    pub fn nearest(
        &self,
        query: &IndexQuery<'_>,
        plan: Plan,
    ) -> Result<Vec<Neighbour>, IndexError> {
        self.check_fingerprint(query.fingerprint)?;
        let cpu = Cpu::native();
        let vector = quantise(query.vector, self.dim()).map_err(|fault| IndexError::BadVector {
            of: "the query".to_owned(),
            fault,
        })?;
        let list_query = OnceCell::new();
        let filters = query.filter.map(|filter| filter.sets(self)).transpose()?;
        let mut nearest = Vec::new();
        let mut first_item = 0;
        for (number, segment) in self.segments().iter().enumerate() {
            query.stop.check()?;
            let asked = Asked {
                filter: filters.map(|filters| &filters[number]),
                ..Asked::default()
            };
            let top = match segment.lists() {
                Some(lists) => {
                    let mask = asked.rows(segment, &lists)?;
                    let mask = mask.as_deref();
                    let query_ = list_query.get_or_init(|| ListQuery::new(query.vector, &vector));
                    let several = segment.rows() > segment.items();
                    lists::nearest(cpu, &lists, query_, query.k, several, mask, plan.effort())
                        .map_err(|damage| segment.damaged(damage))?
                }
                None => scan(segment, &vector, query.k, &asked, dot::dot_rows(cpu))?.0,
            };
            nearest.extend(top.into_iter().map(|scored| Neighbour {
                item: first_item + u64::from(scored.item),
                score: scored.score,
            }));
            first_item += u64::from(segment.items());
        }
        nearest.sort_unstable_by(|a, b| b.score.total_cmp(&a.score).then(a.item.cmp(&b.item)));
        nearest.truncate(query.k);
        Ok(nearest)
    }

    pub(super) fn search_on(
        &self,
        cpu: Cpu,
        query: &IndexQuery<'_>,
    ) -> Result<Ranking, IndexError> {
        self.check_fingerprint(query.fingerprint)?;
        let vector = quantise(query.vector, self.dim()).map_err(|fault| IndexError::BadVector {
            of: "the query".to_owned(),
            fault,
        })?;
        if query.k == 0 {
            return Ok(Ranking::default());
        }
        let left_out = query
            .excluding_photo
            .map(|photo| Ok((photo, quantise(photo, self.dim())?)))
            .transpose()
            .map_err(|fault| IndexError::BadVector {
                of: "the photo to leave out".to_owned(),
                fault,
            })?;

        let wanted = query.k.max(NEAREST);
        let mut candidates = Vec::new();
        let mut best_groups = Vec::with_capacity(self.segments().len());
        let mut nearest = Vec::with_capacity(self.segments().len());
        let mut first_row = 0;
        let filters = match query.filter {
            Some(filter) => Some(filter.sets(self)?),
            None => None,
        };
        for (number, segment) in self.segments().iter().enumerate() {
            query.stop.check()?;
            let mut excluded = Vec::new();
            for name in query.excluding_groups {
                excluded.extend(segment.find_group(name)?);
            }
            let asked = Asked {
                filter: filters.map(|filters| &filters[number]),
                excluded: &excluded,
                photo: left_out.as_ref(),
            };
            let (top, groups) = match segment.lists() {
                Some(lists) => {
                    let list_query = ListQuery::new(query.vector, &vector);
                    search_lists(cpu, segment, &lists, &list_query, wanted, &asked)?
                }
                None => scan(segment, &vector, wanted, &asked, dot::dot_rows(cpu))?,
            };
            nearest.push(top[..top.len().min(NEAREST)].to_vec());
            for scored in top.into_iter().take(query.k) {
                candidates.push(Candidate {
                    key: segment.key(scored.item)?,
                    segment,
                    first_row,
                    scored,
                });
            }
            best_groups.push(groups);
            first_row += u64::from(segment.rows());
        }
        candidates.sort_unstable_by(|a, b| {
            b.scored
                .score
                .total_cmp(&a.scored.score)
                .then_with(|| a.key.cmp(b.key))
        });
        candidates.truncate(query.k);
        let hits = candidates
            .iter()
            .map(Candidate::hit)
            .collect::<Result<Vec<_>, _>>()?;
        let Some(first) = hits.first() else {
            return Ok(Ranking::default());
        };
        Ok(Ranking {
            rival: self.rival(&first.group, &best_groups)?,
            agreement: self.agreement(&first.group, &nearest)?,
            hits,
        })
    }

    fn rival(&self, group: &str, best: &[BestGroups]) -> Result<Option<f32>, IndexError> {
        let mut rival = None;
        for (segment, best) in self.segments().iter().zip(best) {
            let score = best.best_besides(segment.find_group(group)?);
            rival = rival.into_iter().chain(score).reduce(f32::max);
        }
        Ok(rival)
    }

    /// Of the nearest items of each segment.
    fn agreement(&self, group: &str, nearest: &[Vec<Scored>]) -> Result<Option<f32>, IndexError> {
        let mut all = Vec::new();
        for (segment, nearest) in self.segments().iter().zip(nearest) {
            let group = segment.find_group(group)?;
            let group_of = segment.groups_of_items();
            for scored in nearest {
                all.push((scored.score, Some(group_of(scored.item)?) == group));
            }
        }
        Ok(verdict::agreement(all.into_iter()))
    }
}

/// One of the best of its segment.
struct Candidate<'a> {
    key: &'a str,
    segment: &'a Segment,
    first_row: u64,
    scored: Scored,
}

impl Candidate<'_> {
    fn hit(&self) -> Result<Hit, IndexError> {
        let Scored { score, item, row } = self.scored;
        if !score.is_finite() {
            return Err(IndexError::Corrupt {
                path: self.segment.container().path().to_owned(),
                what: format!("norm of row {row}"),
                expected: "a finite number".to_owned(),
                found: format!("a score of {score}"),
            });
        }
        Ok(Hit {
            key: self.key.to_owned(),
            group: self
                .segment
                .group_name(self.segment.group_of(item)?)?
                .to_owned(),
            score,
            payload: self.segment.payload(item)?,
            row: self.first_row + u64::from(row),
            votes: None,
        })
    }
}

/// What of a segment is asked for.
#[derive(Clone, Copy, Debug, Default)]
struct Asked<'a> {
    filter: Option<&'a FilteredItems>,
    /// Groups that are not.
    excluded: &'a [u32],
    /// A photo that is not: its vector, and the same quantised.
    photo: Option<&'a (&'a [f32], Quantised)>,
}

impl Asked<'_> {
    fn item(&self, item: u32) -> bool {
        self.filter.is_none_or(|filter| filter.items.contains(item))
    }

    /// The rows of a segment with lists that are asked for, when not all are.
    fn rows(
        &self,
        segment: &Segment,
        lists: &Lists<'_>,
    ) -> Result<Option<Arc<RowMask>>, IndexError> {
        let damaged = |damage| segment.damaged(damage);
        if self.excluded.is_empty() && self.photo.is_none() {
            let Some(filter) = self.filter else {
                return Ok(segment.live_rows(lists)?.cloned());
            };
            if filter.rows.get().is_none() {
                let is_asked = |item| self.item(item) && segment.is_live(item);
                let mask = RowMask::new(lists, is_asked).map_err(damaged)?;
                filter.rows.get_or_init(|| Arc::new(mask));
            }
            return Ok(filter.rows.get().cloned());
        }
        let group_of = segment.groups_of_items();
        let is_asked = |item: u32| {
            let is_excluded = || group_of(item).is_ok_and(|group| self.excluded.contains(&group));
            self.item(item) && segment.is_live(item) && (self.excluded.is_empty() || !is_excluded())
        };
        let mut mask = RowMask::new(lists, is_asked).map_err(damaged)?;
        if let Some((vector, quantised)) = self.photo {
            let (cpu, photo) = (Cpu::native(), ListQuery::new(vector, quantised));
            let same = lists::nearest(cpu, lists, &photo, 1, false, Some(&mask), Effort::Lists);
            if let Some(same) = same.map_err(damaged)?.first()
                && same.score >= SAME_PHOTO
            {
                mask.leave_out(lists, same.row);
            }
        }
        Ok(Some(Arc::new(mask)))
    }
}

/// The best items of a segment with lists, and its best groups.
fn search_lists(
    cpu: Cpu,
    segment: &Segment,
    lists: &Lists<'_>,
    query: &ListQuery,
    k: usize,
    asked: &Asked<'_>,
) -> Result<(Vec<Scored>, BestGroups), IndexError> {
    let several = segment.rows() > segment.items();
    let group_of = segment.groups_of_items();
    let nearest = |wanted: usize, asked: &Asked<'_>| {
        let mask = asked.rows(segment, lists)?;
        lists::nearest(
            cpu,
            lists,
            query,
            wanted,
            several,
            mask.as_deref(),
            Effort::Lists,
        )
        .map_err(|damage| segment.damaged(damage))
    };
    let top = nearest(k, asked)?;
    let mut groups = BestGroups::default();
    for scored in &top {
        groups.push(group_of(scored.item)?, scored.score);
    }
    // All of one group: the best of the others is further down.
    if let Some(only) = groups.only() {
        let excluded = &[asked.excluded, &[only]].concat();
        let others = nearest(1, &Asked { excluded, ..*asked })?;
        if let Some(rival) = others.first() {
            groups.push(group_of(rival.item)?, rival.score);
        }
    }
    Ok((top, groups))
}

/// The same of a segment whose rows are all scored. Rows of an item are neighbours, so the best photo of an item is
/// known when the next item begins.
fn scan(
    segment: &Segment,
    query: &Quantised,
    k: usize,
    asked: &Asked<'_>,
    dot_rows: dot::DotRows,
) -> Result<(Vec<Scored>, BestGroups), IndexError> {
    let mut top = Top::new(k, segment.items() as usize);
    let mut groups = BestGroups::default();
    let group_of = segment.groups_of_items();
    let mut keep = |best: Scored| {
        let group = group_of(best.item)?;
        if asked.item(best.item) && segment.is_live(best.item) && !asked.excluded.contains(&group) {
            top.push(best);
            groups.push(group, best.score);
        }
        Ok::<(), IndexError>(())
    };

    let mut dots = [0; BLOCK];
    let mut best: Option<Scored> = None;
    let mut norms_and_items = segment.norms_and_items();
    let mut row = 0;
    for vectors in segment.vectors().chunks(BLOCK * segment.stride()) {
        let dots = &mut dots[..vectors.len() / segment.stride()];
        dot_rows(&query.row, vectors, dots);
        let vectors = vectors.chunks_exact(segment.stride());
        for ((&dot, vector), (norm, item)) in dots.iter().zip(vectors).zip(norms_and_items.by_ref())
        {
            row += 1;
            if asked.photo.is_some_and(|(_, photo)| photo.row == vector) {
                continue;
            }
            let row = row - 1;
            let score = cosine(dot, query.inverse_norm, norm);
            match &mut best {
                Some(best) if best.item == item => {
                    if score > best.score {
                        (best.score, best.row) = (score, row);
                    }
                }
                _ => {
                    if let Some(done) = best.replace(Scored { score, item, row }) {
                        keep(done)?;
                    }
                }
            }
        }
    }
    if let Some(done) = best {
        keep(done)?;
    }
    Ok((top.into_sorted(), groups))
}

#[cfg(test)]
mod tests {
    use super::super::{IndexWriter, ItemPhoto};
    use super::*;

    /// 700 items, so that blocks and their rest are met, with all bits of the scores compared.
    #[test]
    fn every_processor_gives_the_same_bits() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("shop.plx");
        let model = Fingerprint::of_parts([b"weights".as_slice()]);
        let mut writer = IndexWriter::create(&path, b"the bundle", model, 100).unwrap();
        let vector = |seed: u32| -> Vec<f32> {
            (0..100u32)
                .map(|i| ((seed * 31 + i * 17) * (seed + i) % 1009) as f32 - 504.0)
                .collect()
        };
        for n in 0..700 {
            let (key, vector) = (format!("item {n}"), vector(n));
            let payload = &Value::Null;
            writer
                .push(&ItemPhoto {
                    key: &key,
                    group: None,
                    payload,
                    vector: &vector,
                })
                .unwrap();
        }
        let index = writer.finish().unwrap();
        for seed in [3, 700, 5000] {
            let vector = vector(seed);
            let query = IndexQuery::new(model, &vector, 700);
            let found = index.search_on(Cpu::native(), &query).unwrap();
            assert_eq!(
                found,
                index
                    .search_on(Cpu::named("generic").unwrap(), &query)
                    .unwrap()
            );
            assert_eq!(found.hits.len(), 700);
        }
    }

    #[test]
    fn the_nearest_by_number_meet_the_filter_as_hits_do() {
        let dir = tempfile::tempdir().unwrap();
        let model = Fingerprint::of_parts([b"weights".as_slice()]);
        let mut writer =
            IndexWriter::create(&dir.path().join("shop.plx"), b"the bundle", model, 2).unwrap();
        for (key, price) in [("a", 1), ("b", 2), ("c", 3)] {
            let payload = &serde_json::json!({ "price": price });
            let vector = &[price as f32, 1.0];
            let photo = ItemPhoto {
                key,
                group: None,
                payload,
                vector,
            };
            writer.push(&photo).unwrap();
        }
        let index = writer.finish().unwrap();
        let filter = r#"{"must": [{"key": "price", "range": {"lt": 3}}]}"#;
        let filter = index
            .prepare(&crate::index::filter::Filter::from_json(filter).unwrap())
            .unwrap();
        let query = IndexQuery {
            filter: Some(&filter),
            ..IndexQuery::new(model, &[3.0, 1.0], 3)
        };
        let nearest = index.nearest(&query, Plan::default()).unwrap();
        assert_eq!(nearest.iter().map(|n| n.item).collect::<Vec<_>>(), [1, 0]);
    }

    #[test]
    fn an_index_can_be_shared_between_threads() {
        fn shareable<T: Send + Sync + 'static>() {}
        shareable::<Index>();
    }
}
