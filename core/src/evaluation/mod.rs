//! Retrieval quality on a ground truth: mean average precision and recall at k, and honesty about
//! what is not in the database.

mod ground_truth;
mod open_set;

pub use ground_truth::{GroundTruth, GroundTruthError, Role, Row};
pub use open_set::{OpenSetScores, Told, open_set};

use std::collections::HashSet;

/// Figures of one ranking, or their mean over queries; fractions of 1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Scores {
    /// Average precision: the mean over relevant photos of the precision at their rank, without
    /// interpolation; relevant photos that were not ranked count as never found.
    pub average_precision: f64,
    /// Whether a relevant photo is first.
    pub recall_at_1: f64,
    /// Whether a relevant photo is among the first five.
    pub recall_at_5: f64,
    /// Whether a relevant photo is among the first ten.
    pub recall_at_10: f64,
}

/// Scores a ranking (best first, every photo once) against the photos that are right. `None` when
/// nothing is right: such a query says nothing. O(n).
pub fn score<'a>(
    ranking: impl IntoIterator<Item = &'a str>,
    relevant: &HashSet<&str>,
) -> Option<Scores> {
    if relevant.is_empty() {
        return None;
    }
    let mut found = 0;
    let mut precision = 0.0;
    let mut first = usize::MAX;
    for (rank, photo) in ranking.into_iter().enumerate() {
        if relevant.contains(photo) {
            found += 1;
            precision += f64::from(found) / (rank + 1) as f64;
            first = first.min(rank);
        }
    }
    let within = |k| if first < k { 1.0 } else { 0.0 };
    Some(Scores {
        average_precision: precision / relevant.len() as f64,
        recall_at_1: within(1),
        recall_at_5: within(5),
        recall_at_10: within(10),
    })
}

/// The mean of each figure; zeros for no queries.
pub fn mean(scores: &[Scores]) -> Scores {
    let of = |figure: fn(&Scores) -> f64| {
        scores.iter().map(figure).sum::<f64>() / scores.len().max(1) as f64
    };
    Scores {
        average_precision: of(|s| s.average_precision),
        recall_at_1: of(|s| s.recall_at_1),
        recall_at_5: of(|s| s.recall_at_5),
        recall_at_10: of(|s| s.recall_at_10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn average_precision_by_hand() {
        let relevant = HashSet::from(["a", "b", "c"]);
        // Found at ranks 1 and 3, one never: (1/1 + 2/3) / 3.
        let scores = score(["a", "x", "b", "y"], &relevant).unwrap();
        assert!((scores.average_precision - 5.0 / 9.0).abs() < 1e-12);
        assert_eq!(scores.recall_at_1, 1.0);
        let late = score(["x", "y", "z", "u", "v", "a"], &relevant).unwrap();
        assert_eq!(
            (late.recall_at_1, late.recall_at_5, late.recall_at_10),
            (0.0, 0.0, 1.0)
        );
        assert_eq!(score(["a"], &HashSet::new()), None);
    }
}
