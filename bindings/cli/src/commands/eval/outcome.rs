//! What came of one query: its figures, and the few hits that say why. Whole rankings of a large database would fill the
//! memory, so they are kept where they are wanted only.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use pocketlens::evaluation::{GroundTruth, Role, Row, Scores, score};
use pocketlens::index::Hit;
use pocketlens::lens::Answer;
use pocketlens::rerank::Evidence;

/// Hits that are kept of each kind.
const KEPT: usize = 6;

/// A hit at its place in the ranking.
#[derive(Clone, Debug)]
pub(super) struct Ranked {
    /// From 1, of what is scored: without junk and without the query itself.
    pub(super) rank: usize,
    pub(super) key: String,
    pub(super) score: f32,
    /// Of the second look.
    pub(super) evidence: Option<Evidence>,
}

/// A query and what came of it.
pub(super) struct Outcome<'a> {
    pub(super) query: &'a Row,
    /// `None` where the database holds nothing that is right.
    pub(super) scores: Option<Scores>,
    /// Photos that are right.
    pub(super) relevant: usize,
    /// Hits that are not right: the first of the ranking.
    pub(super) wrong: Vec<Ranked>,
    /// Hits that are right: all, or the first and the last of the ranking.
    pub(super) right: Vec<Ranked>,
    /// Keys of the whole database, best first, where they are wanted.
    pub(super) ranking: Option<Vec<String>>,
    /// What the whole query took.
    pub(super) time: Duration,
}

/// Says what is right.
pub(super) struct Judge<'a> {
    groups: HashMap<&'a str, HashSet<&'a str>>,
    junk: HashSet<&'a str>,
    keep_rankings: bool,
}

impl<'a> Judge<'a> {
    pub(super) fn new(truth: &'a GroundTruth, keep_rankings: bool) -> Self {
        Self {
            groups: truth.groups(),
            junk: truth.of(Role::Junk).map(|row| row.path.as_str()).collect(),
            keep_rankings,
        }
    }

    /// Looks at an answer that ranks the whole database.
    pub(super) fn outcome(&self, query: &'a Row, answer: Answer) -> Outcome<'a> {
        let time = answer.times.total;
        let mut outcome = self.look(query, &answer.hits, &answer.evidence);
        outcome.time = time;
        if self.keep_rankings {
            outcome.ranking = Some(answer.hits.into_iter().map(|hit| hit.key).collect());
        }
        outcome
    }

    fn look(&self, query: &'a Row, hits: &[Hit], evidence: &[Option<Evidence>]) -> Outcome<'a> {
        let own = query.path.as_str();
        let group = self.groups.get(query.group.as_str());
        let mut relevant = group.cloned().unwrap_or_default();
        relevant.remove(own);
        let numbered = hits.iter().enumerate();
        let scored: Vec<(usize, &Hit)> = numbered
            .filter(|(_, hit)| hit.key != own && !self.junk.contains(&*hit.key))
            .collect();
        let (mut wrong, mut right) = (Vec::new(), Vec::new());
        for (&(at, hit), rank) in scored.iter().zip(1..) {
            let is_right = relevant.contains(&*hit.key);
            if !is_right && wrong.len() == KEPT {
                continue;
            }
            let kind = if is_right { &mut right } else { &mut wrong };
            kind.push(Ranked {
                rank,
                key: hit.key.clone(),
                score: hit.score,
                evidence: evidence.get(at).copied().flatten(),
            });
        }
        if right.len() > KEPT {
            right.drain(KEPT / 2..right.len() - KEPT / 2);
        }
        Outcome {
            query,
            scores: score(scored.iter().map(|(_, hit)| &*hit.key), &relevant),
            relevant: relevant.len(),
            wrong,
            right,
            ranking: None,
            time: Duration::ZERO,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(path: &str, group: &str, role: Role) -> Row {
        Row {
            path: path.into(),
            group: group.into(),
            role,
        }
    }

    fn hits(keys: &[&str]) -> Vec<Hit> {
        let hit = |(at, key): (usize, &&str)| Hit {
            key: (*key).to_owned(),
            group: (*key).to_owned(),
            score: 1.0 - at as f32 / 100.0,
            payload: serde_json::Value::Null,
            row: 0,
            votes: None,
        };
        keys.iter().enumerate().map(hit).collect()
    }

    fn places(ranked: &[Ranked]) -> Vec<(usize, &str)> {
        ranked.iter().map(|one| (one.rank, &*one.key)).collect()
    }

    fn truth() -> GroundTruth {
        let database = |path: &str, group: &str| row(path, group, Role::Database);
        let mut rows: Vec<Row> = (0..9).map(|at| database(&format!("r{at}"), "g")).collect();
        rows.extend([
            database("q", "g"),
            database("w", "other"),
            database("v", "other"),
            row("j", "g", Role::Junk),
            row("q", "g", Role::Query),
            row("stranger", "unknown", Role::Query),
        ]);
        GroundTruth {
            folder: "set".into(),
            rows,
        }
    }

    #[test]
    fn ranks_leave_out_junk_and_the_query_itself() {
        let truth = truth();
        let judge = Judge::new(&truth, false);
        let query = &truth.rows[13];
        let ranking = hits(&[
            "q", "j", "w", "r0", "r1", "r2", "r3", "r4", "v", "r5", "r6", "r7", "r8",
        ]);
        let outcome = judge.look(query, &ranking, &[]);
        assert_eq!(places(&outcome.wrong), [(1, "w"), (7, "v")]);
        // The first three and the last three of nine.
        let right = [2, 3, 4, 9, 10, 11].into_iter();
        let right: Vec<_> = right.zip(["r0", "r1", "r2", "r6", "r7", "r8"]).collect();
        assert_eq!(places(&outcome.right), right);
        assert_eq!((outcome.relevant, outcome.right[0].score), (9, 0.97));
        let scores = outcome.scores.unwrap();
        assert_eq!((scores.recall_at_1, scores.recall_at_5), (0.0, 1.0));
    }

    #[test]
    fn a_query_without_a_right_photo_has_no_scores() {
        let truth = truth();
        let outcome = Judge::new(&truth, false).look(&truth.rows[14], &hits(&["w", "r0"]), &[]);
        assert_eq!((outcome.scores, outcome.relevant), (None, 0));
        assert_eq!(places(&outcome.wrong), [(1, "w"), (2, "r0")]);
        assert!(outcome.right.is_empty());
    }
}
