//! Honesty about what is not there: half of the groups are left out of the database, and all are
//! asked for. How well do confidences tell the known from the unknown, and do they mean what they
//! say?

use std::f64::consts::FRAC_2_PI;

use crate::verdict::Verdict;

/// Bins of the calibration error.
const BINS: usize = 10;

/// What one query was told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Told {
    /// Whether the database has the query's group.
    pub known: bool,
    /// Whether the first hit is of the query's group.
    pub correct: bool,
    /// Score of the first hit.
    pub score: f32,
    /// Confidence, 0 to 1.
    pub confidence: f32,
    /// The verdict.
    pub verdict: Verdict,
}

/// Figures of an evaluation on an open set; fractions of 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OpenSetScores {
    /// Queries whose group is in the database.
    pub known: usize,
    /// Queries whose group was left out.
    pub unknown: usize,
    /// Known queries whose first hit is right.
    pub right: usize,
    /// Chance that a known query has more confidence than an unknown one (Fawcett, *An introduction
    /// to ROC analysis*, 2006); equals count half. `None` where one of the kinds was not asked.
    pub auroc: Option<f64>,
    /// The same of the raw score of the first hit.
    pub auroc_score: Option<f64>,
    /// Share of matches that are right; `None` without matches.
    pub match_precision: Option<f64>,
    /// Share of known queries that are told a match.
    pub match_coverage: f64,
    /// Share of known queries that are told a match which is right.
    pub match_coverage_right: f64,
    /// Expected calibration error: the mean distance, over ten bins of confidence weighted by their
    /// queries, between confidence and share of right answers (Guo et al., *On calibration of modern
    /// neural networks*, 2017, equation 3).
    pub calibration_error: f64,
    /// What that error would be, in expectation, if every confidence were the very chance of being right: few queries a
    /// bin are never right just as often as they should. Each bin's distance taken as normal.
    pub calibration_error_by_chance: f64,
    /// Queries told a match.
    pub matches: usize,
    /// Queries told unsure.
    pub unsure: usize,
    /// Queries told no match.
    pub no_match: usize,
    /// Queries told no match although the first hit is right.
    pub no_match_but_right: usize,
}

/// Scores what queries were told. O(n log n).
pub fn open_set(told: &[Told]) -> OpenSetScores {
    let count = |which: &dyn Fn(&Told) -> bool| told.iter().filter(|one| which(one)).count();
    let verdict = |verdict| count(&|one| one.verdict == verdict);
    let known = count(&|one| one.known);
    let matches = verdict(Verdict::Match);
    let of = |part: usize, whole: usize| part as f64 / whole.max(1) as f64;
    let right_matches = count(&|one| one.verdict == Verdict::Match && one.correct);
    OpenSetScores {
        known,
        unknown: told.len() - known,
        right: count(&|one| one.correct),
        auroc: auroc(told, |one| one.confidence),
        auroc_score: auroc(told, |one| one.score),
        match_precision: (matches > 0).then(|| of(right_matches, matches)),
        match_coverage: of(
            count(&|one| one.verdict == Verdict::Match && one.known),
            known,
        ),
        match_coverage_right: of(right_matches, known),
        calibration_error: calibration_error(told),
        calibration_error_by_chance: calibration_error_by_chance(told),
        matches,
        unsure: verdict(Verdict::Unsure),
        no_match: verdict(Verdict::NoMatch),
        no_match_but_right: count(&|one| one.verdict == Verdict::NoMatch && one.correct),
    }
}

/// The Mann-Whitney statistic: known queries over unknown ones, pair by pair.
fn auroc(told: &[Told], of: impl Fn(&Told) -> f32) -> Option<f64> {
    let mut sorted: Vec<(f32, bool)> = told.iter().map(|one| (of(one), one.known)).collect();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut unknown, mut known, mut won) = (0.0, 0.0, 0.0);
    for equals in sorted.chunk_by(|a, b| a.0 == b.0) {
        let here = equals.iter().filter(|one| one.1).count() as f64;
        let unknown_here = equals.len() as f64 - here;
        won += here * (unknown + unknown_here / 2.0);
        known += here;
        unknown += unknown_here;
    }
    (known > 0.0 && unknown > 0.0).then(|| won / (known * unknown))
}

fn bin(one: &Told) -> usize {
    ((f64::from(one.confidence) * BINS as f64) as usize).min(BINS - 1)
}

fn calibration_error(told: &[Told]) -> f64 {
    let mut surplus = [0.0; BINS];
    for one in told {
        surplus[bin(one)] += f64::from(one.confidence) - f64::from(u8::from(one.correct));
    }
    surplus.iter().map(|bin| bin.abs()).sum::<f64>() / told.len().max(1) as f64
}

/// A normal variable of variance v is √(2v/π) from its mean, in expectation.
fn calibration_error_by_chance(told: &[Told]) -> f64 {
    let mut variance = [0.0; BINS];
    for one in told {
        let confidence = f64::from(one.confidence);
        variance[bin(one)] += confidence * (1.0 - confidence);
    }
    let distances = variance.iter().map(|v| (v * FRAC_2_PI).sqrt());
    distances.sum::<f64>() / told.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(known: bool, correct: bool, score: f32, confidence: f32, verdict: Verdict) -> Told {
        Told {
            known,
            correct,
            score,
            confidence,
            verdict,
        }
    }

    #[test]
    fn figures_by_hand() {
        use Verdict::{Match, NoMatch, Unsure};
        let scores = open_set(&[
            told(true, true, 0.9, 0.96, Match),
            told(true, false, 0.5, 0.92, Match),
            told(true, true, 0.8, 0.60, Unsure),
            told(true, true, 0.3, 0.10, NoMatch),
            told(false, false, 0.85, 0.90, Match),
            told(false, false, 0.5, 0.10, NoMatch),
        ]);
        assert_eq!((scores.known, scores.unknown, scores.right), (4, 2, 3));
        assert_eq!((scores.matches, scores.unsure, scores.no_match), (3, 1, 2));
        assert_eq!(scores.no_match_but_right, 1);
        // Pairs by confidence: .96 and .92 win both, .60 one, .10 half of one: 5.5 of 8.
        assert_eq!(scores.auroc, Some(5.5 / 8.0));
        // By score: .9 wins both, .5 half of one, .8 one, .3 none: 3.5 of 8.
        assert_eq!(scores.auroc_score, Some(3.5 / 8.0));
        assert_eq!(scores.match_precision, Some(1.0 / 3.0));
        assert_eq!(scores.match_coverage, 0.5);
        assert_eq!(scores.match_coverage_right, 0.25);
        // |.96 + .92 + .90 - 1| + |.60 - 1| + |.10 + .10 - 1|, of six.
        let expected = (1.78 + 0.40 + 0.80) / 6.0;
        assert!((scores.calibration_error - expected).abs() < 1e-6);
        // Variances of the bins: .0384 + .0736, .09 (a little below 0.9), .24, .09 + .09.
        let distance = |variance: f64| (2.0 / std::f64::consts::PI * variance).sqrt();
        let expected = (distance(0.112) + distance(0.09) + distance(0.24) + distance(0.18)) / 6.0;
        assert!((scores.calibration_error_by_chance - expected).abs() < 1e-6);
    }

    #[test]
    fn what_was_not_asked_has_no_figure() {
        let nothing = open_set(&[]);
        assert_eq!((nothing.auroc, nothing.match_precision), (None, None));
        assert_eq!(nothing.calibration_error, 0.0);
        let sure = open_set(&[told(true, true, 1.0, 1.0, Verdict::Unsure)]);
        assert_eq!((sure.auroc, sure.match_precision), (None, None));
        assert_eq!(sure.calibration_error, 0.0);
    }
}
