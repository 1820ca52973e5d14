//! The search: an exact scan of all int8 rows, a bounded heap, and the best score outside of the
//! winner's group.
//!
//! The scan reads vectors, norms and two numbers an item; keys and payloads are read for the
//! winners only.

use serde_json::Value;

use super::quantise::{Quantised, cosine, quantise};
use super::segment::Segment;
use super::top::{BestGroups, Scored, Top};
use super::{Index, IndexError};
use crate::fingerprint::Fingerprint;
use crate::kernel::{Cpu, dot};

/// Rows whose dot products are computed in one call of the kernel.
const BLOCK: usize = 256;

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
    /// Acts as if photos with just this vector were not in the index: a photo of the index can then
    /// ask for the others of its group.
    pub excluding_photo: Option<&'a [f32]>,
}

impl<'a> IndexQuery<'a> {
    /// The `k` best of the whole index.
    pub fn new(fingerprint: Fingerprint, vector: &'a [f32], k: usize) -> Self {
        Self {
            fingerprint,
            vector,
            k,
            excluding_groups: &[],
            excluding_photo: None,
        }
    }
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
}

/// The answer to a query.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ranking {
    /// Best first: by score, equal scores by key. All items when there are fewer than `k`.
    pub hits: Vec<Hit>,
    /// The best score of an item of another group than the first hit. Does not depend on `k`;
    /// `None` without hits or without another group.
    pub rival: Option<f32>,
}

impl Ranking {
    /// Score of the first hit, and how far the best of the other groups is behind it. Without
    /// another group that is the score itself, as if an unrelated photo with a cosine of 0 were
    /// there. `None` without hits.
    pub fn score_and_margin(&self) -> Option<(f32, f32)> {
        let score = self.hits.first()?.score;
        Some((score, score - self.rival.unwrap_or(0.0)))
    }

    /// The better of two answers to one question (a photo and the same photo turned), item by item:
    /// at most `k` hits, each with its better score.
    pub fn merge(self, other: Self, k: usize) -> Self {
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
        let mut hits = self.hits;
        hits.extend(other.hits);
        hits.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.key.cmp(&b.key)));
        let mut seen = std::collections::HashSet::new();
        hits.retain(|hit| seen.insert(hit.key.clone()));
        hits.truncate(k);
        Self { hits, rival }
    }
}

impl Index {
    /// Finds the `k` items whose best photo has the largest cosine with the query.
    ///
    /// Exact, and the same bits on every platform. `O(rows × dim)` time, `O(k)` memory. The first
    /// hit and the rival do not depend on `k`.
    ///
    /// # Errors
    /// [`IndexError::ForeignFingerprint`] when another model made the query,
    /// [`IndexError::BadVector`] when it is no descriptor of this index, and
    /// [`IndexError::Corrupt`] when the scan meets damage.
    pub fn search(&self, query: &IndexQuery<'_>) -> Result<Ranking, IndexError> {
        self.search_on(Cpu::native(), query)
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
            .map(|photo| quantise(photo, self.dim()))
            .transpose()
            .map_err(|fault| IndexError::BadVector {
                of: "the photo to leave out".to_owned(),
                fault,
            })?;

        let mut candidates = Vec::new();
        let mut best_groups = Vec::with_capacity(self.segments().len());
        let mut first_row = 0;
        for segment in self.segments() {
            let mut excluded = Vec::new();
            for name in query.excluding_groups {
                excluded.extend(segment.find_group(name)?);
            }
            let excluded = Excluded {
                groups: &excluded,
                row: left_out.as_ref().map(|photo| photo.row.as_slice()),
            };
            let (top, groups) = scan(segment, &vector, query.k, &excluded, dot::dot_rows(cpu))?;
            for scored in top {
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
        candidates.sort_by(|a, b| {
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
        let rival = match hits.first() {
            Some(first) => self.rival(&first.group, &best_groups)?,
            None => None,
        };
        Ok(Ranking { hits, rival })
    }

    fn rival(&self, group: &str, best: &[BestGroups]) -> Result<Option<f32>, IndexError> {
        let mut rival = None;
        for (segment, best) in self.segments().iter().zip(best) {
            let score = best.best_besides(segment.find_group(group)?);
            rival = rival.into_iter().chain(score).reduce(f32::max);
        }
        Ok(rival)
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
        })
    }
}

/// What a scan passes over.
struct Excluded<'a> {
    groups: &'a [u32],
    row: Option<&'a [i8]>,
}

/// Scores all rows of a segment. Rows of an item are neighbours, so the best photo of an item is
/// known when the next item begins.
fn scan(
    segment: &Segment,
    query: &Quantised,
    k: usize,
    excluded: &Excluded<'_>,
    dot_rows: dot::DotRows,
) -> Result<(Vec<Scored>, BestGroups), IndexError> {
    let mut top = Top::new(k, segment.items() as usize);
    let mut groups = BestGroups::default();
    let group_of = segment.groups_of_items();
    let mut keep = |best: Scored| {
        let group = group_of(best.item)?;
        if !excluded.groups.contains(&group) {
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
            if excluded.row == Some(vector) {
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
    fn an_index_can_be_shared_between_threads() {
        fn shareable<T: Send + Sync + 'static>() {}
        shareable::<Index>();
    }
}
