//! Is the best hit really the thing in the photo? A logistic model turns the best score and its
//! margin over the best other group into a confidence, and two thresholds turn that into a verdict.
//!
//! Raw cosines do not transfer from one catalogue to the next, so the model is fitted to each index
//! when it is built. Fitting follows Platt (*Probabilistic outputs for support vector machines*,
//! 1999): logistic regression on smoothed targets, which stays finite on separable data.

mod logistic;

use serde::{Deserialize, Serialize};

use logistic::{Sample, fit};

/// The answer of a search in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The first hit is what the photo shows.
    Match,
    /// It may be: ask the user or a server.
    Unsure,
    /// The catalogue does not have it.
    NoMatch,
}

/// `P(first hit correct | score, margin)` of one index, and where to draw the lines.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// Meaning of the other fields: [`Calibration::VERSION`].
    pub version: u32,
    /// Log-odds at score 0 and margin 0.
    pub intercept: f64,
    /// Log-odds a unit of score, never negative.
    pub score_weight: f64,
    /// Log-odds a unit of margin, never negative.
    pub margin_weight: f64,
    /// Least confidence of a match.
    pub match_at: f32,
    /// Least confidence of being unsure.
    pub no_match_below: f32,
    /// Observations that it was fitted to; 0 for the default.
    pub samples: u32,
}

/// What a query of known answer gave.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Observation {
    /// Score of the first hit.
    pub score: f32,
    /// That score minus the best of another group.
    pub margin: f32,
    /// Whether the first hit was right. Never so for a query whose answer is not in the catalogue.
    pub correct: bool,
}

/// Why no calibration can be fitted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerdictError {
    /// Too few of one class to tell anything.
    #[error(
        "calibration needs at least {needed} {class} observations, found {found}; use the \
        default calibration, or add photos"
    )]
    TooFew {
        /// `correct` or `incorrect`.
        class: &'static str,
        /// Least number: [`Calibration::MIN_OBSERVATIONS`].
        needed: usize,
        /// Number given.
        found: usize,
    },
    /// A score or margin is not a number.
    #[error("observation {at} is not finite")]
    NotFinite {
        /// Position in the list.
        at: usize,
    },
}

impl Calibration {
    /// The version that this library writes and reads.
    pub const VERSION: u32 = 1;
    /// Least number of observations of each class.
    pub const MIN_OBSERVATIONS: usize = 20;
    /// Share of matches that are right, which the threshold of a match is chosen to keep.
    pub const PRECISION: f64 = 0.95;

    /// Fits the model to queries of known answer: some whose first hit was right, some whose first
    /// hit was wrong or whose answer was left out of the catalogue. The order does not matter.
    ///
    /// Both weights are kept from being negative: a better score is never less convincing.
    ///
    /// # Errors
    /// [`VerdictError`] for too few observations of a class or numbers that are not finite.
    pub fn fit(observations: &[Observation]) -> Result<Self, VerdictError> {
        let is_finite = |o: &Observation| o.score.is_finite() && o.margin.is_finite();
        if let Some(at) = observations.iter().position(|o| !is_finite(o)) {
            return Err(VerdictError::NotFinite { at });
        }
        let correct = observations.iter().filter(|o| o.correct).count();
        let classes = [
            ("correct", correct),
            ("incorrect", observations.len() - correct),
        ];
        for (class, found) in classes {
            if found < Self::MIN_OBSERVATIONS {
                return Err(VerdictError::TooFew {
                    class,
                    needed: Self::MIN_OBSERVATIONS,
                    found,
                });
            }
        }
        let samples = observations.iter().map(|o| Sample {
            features: [f64::from(o.score), f64::from(o.margin)],
            positive: o.correct,
        });
        let model = fit(samples.collect());
        let mut calibration = Self {
            intercept: model.intercept,
            score_weight: model.weights[0],
            margin_weight: model.weights[1],
            samples: u32::try_from(observations.len()).unwrap_or(u32::MAX),
            ..Self::default()
        };
        calibration.match_at = calibration.least_precise_confidence(observations);
        Ok(calibration)
    }

    /// The least confidence above which the observations were right as often as
    /// [`Calibration::PRECISION`] asks, one more wrong one assumed (Laplace); the default's where
    /// too few are. Never a confidence at which an answer is rather wrong than right.
    fn least_precise_confidence(&self, observations: &[Observation]) -> f32 {
        let mut told: Vec<(f32, bool)> = observations
            .iter()
            .map(|o| (self.confidence(o.score, o.margin), o.correct))
            .collect();
        // Wrong ones first among equals: a threshold cannot part them.
        told.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let (mut least, mut right) = (self.match_at, 0.0);
        for (above, (confidence, correct)) in told.into_iter().enumerate() {
            right += f64::from(u8::from(correct));
            if right / (above as f64 + 2.0) >= Self::PRECISION {
                least = least.min(confidence);
            }
        }
        least.max(self.no_match_below)
    }

    /// The probability that the first hit is right, 0 to 1. The same bits on every platform.
    pub fn confidence(&self, score: f32, margin: f32) -> f32 {
        let log_odds = self.intercept
            + self.score_weight * f64::from(score)
            + self.margin_weight * f64::from(margin);
        if log_odds.is_nan() {
            0.0
        } else {
            logistic::logistic(log_odds) as f32
        }
    }

    /// The verdict and the confidence behind it.
    pub fn decide(&self, score: f32, margin: f32) -> (Verdict, f32) {
        let confidence = self.confidence(score, margin);
        let verdict = if confidence >= self.match_at {
            Verdict::Match
        } else if confidence < self.no_match_below {
            Verdict::NoMatch
        } else {
            Verdict::Unsure
        };
        (verdict, confidence)
    }
}

/// A prior for an index with too few items to fit one, set by hand: even odds at a score of 0.5 with
/// a margin of 0.1; a match from a score of 0.8 with that margin; no match below a score of 0.75
/// without any margin. Not calibrated: its confidence is an order, not a frequency.
impl Default for Calibration {
    fn default() -> Self {
        Self {
            version: Self::VERSION,
            intercept: -6.0,
            score_weight: 8.0,
            margin_weight: 20.0,
            match_at: 0.9,
            no_match_below: 0.5,
            samples: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Evenly spread scores and margins whose share of correct ones follows a known model.
    fn observations(intercept: f64, score: f64, margin: f64) -> Vec<Observation> {
        let mut observations = Vec::new();
        let mut owed = 0.0;
        for i in 0..200u16 {
            for j in 0..40u16 {
                let (s, m) = (f32::from(i) / 200.0, f32::from((7 * i + j) % 40) / 80.0);
                owed +=
                    logistic::logistic(intercept + score * f64::from(s) + margin * f64::from(m));
                // As many correct ones as the model owes so far.
                let correct = owed >= 0.5;
                owed -= f64::from(u8::from(correct));
                observations.push(Observation {
                    score: s,
                    margin: m,
                    correct,
                });
            }
        }
        observations
    }

    fn observation(score: f32, margin: f32, correct: bool) -> Observation {
        Observation {
            score,
            margin,
            correct,
        }
    }

    #[test]
    fn a_known_model_is_recovered() {
        let fitted = Calibration::fit(&observations(-5.0, 8.0, 6.0)).unwrap();
        let found = [fitted.intercept, fitted.score_weight, fitted.margin_weight];
        for (found, expected) in found.into_iter().zip([-5.0, 8.0, 6.0]) {
            assert!(
                (found / expected - 1.0).abs() < 0.05,
                "{found} for {expected}"
            );
        }
        assert_eq!(fitted.samples, 8000);
    }

    #[test]
    fn order_of_observations_does_not_matter() {
        let mut shuffled = observations(-5.0, 8.0, 6.0);
        let fitted = Calibration::fit(&shuffled).unwrap();
        shuffled.reverse();
        shuffled.swap(3, 1000);
        assert_eq!(Calibration::fit(&shuffled).unwrap(), fitted);
    }

    #[test]
    fn separable_observations_give_finite_weights_and_clear_verdicts() {
        let right = (0..20u8).map(|i| observation(0.8 + f32::from(i) / 200.0, 0.3, true));
        let wrong = (0..20u8).map(|i| observation(0.3 + f32::from(i) / 200.0, 0.02, false));
        let fitted = Calibration::fit(&right.chain(wrong).collect::<Vec<_>>()).unwrap();
        assert!(
            [fitted.intercept, fitted.score_weight, fitted.margin_weight]
                .iter()
                .all(|number| number.is_finite() && number.abs() < 1e3),
            "{fitted:?}"
        );
        assert_eq!(fitted.decide(0.85, 0.3).0, Verdict::Match);
        assert_eq!(fitted.decide(0.3, 0.02).0, Verdict::NoMatch);
    }

    #[test]
    fn a_misleading_feature_gets_no_weight() {
        // The margin is larger where the answer is wrong.
        let observe = |i: u8, correct| {
            let (score, margin) = if correct { (0.6, 0.1) } else { (0.5, 0.2) };
            observation(
                score + f32::from(i % 7) / 50.0,
                margin + f32::from(i % 5) / 50.0,
                correct,
            )
        };
        let all: Vec<_> = (0..60).map(|i| observe(i, i % 2 == 0)).collect();
        let fitted = Calibration::fit(&all).unwrap();
        assert_eq!(fitted.margin_weight, 0.0);
        assert!(fitted.score_weight > 0.0);
    }

    #[test]
    fn constant_features_leave_the_share_of_correct_ones() {
        let all: Vec<_> = (0..80).map(|i| observation(0.5, 0.1, i % 4 != 0)).collect();
        let confidence = Calibration::fit(&all).unwrap().confidence(0.5, 0.1);
        assert!((confidence - 0.75).abs() < 0.02, "{confidence}");
    }

    #[test]
    fn a_match_is_as_often_right_as_was_asked_for() {
        let mut all = observations(-5.0, 8.0, 6.0);
        // A model that is unsure of everything: the share of right ones decides, not its number.
        all.iter_mut().for_each(|o| o.margin = 0.0);
        let fitted = Calibration::fit(&all).unwrap();
        let matched = all
            .iter()
            .filter(|o| fitted.decide(o.score, o.margin).0 == Verdict::Match);
        let right: Vec<bool> = matched.map(|o| o.correct).collect();
        let share = right.iter().filter(|&&right| right).count() as f64 / right.len() as f64;
        assert!(
            right.len() > 100 && share >= Calibration::PRECISION,
            "{share} of {}",
            right.len()
        );
        assert!(fitted.match_at >= fitted.no_match_below && fitted.match_at <= 0.9);
    }

    #[test]
    fn too_few_or_unusable_observations_are_refused() {
        let few: Vec<_> = (0..39).map(|i| observation(0.5, 0.1, i % 2 == 0)).collect();
        let error = Calibration::fit(&few).unwrap_err();
        assert_eq!(
            error,
            VerdictError::TooFew {
                class: "incorrect",
                needed: 20,
                found: 19
            }
        );
        let error = Calibration::fit(&[observation(0.1, f32::NAN, true)]).unwrap_err();
        assert_eq!(error, VerdictError::NotFinite { at: 0 });
    }

    #[test]
    fn verdicts_change_at_their_thresholds() {
        let at = |confidence: f64| Calibration {
            intercept: (confidence / (1.0 - confidence)).ln(),
            score_weight: 0.0,
            margin_weight: 0.0,
            ..Calibration::default()
        };
        for (confidence, expected) in [
            (0.91, Verdict::Match),
            (0.89, Verdict::Unsure),
            (0.51, Verdict::Unsure),
            (0.49, Verdict::NoMatch),
        ] {
            assert_eq!(at(confidence).decide(0.0, 0.0).0, expected, "{confidence}");
        }
        assert_eq!(
            Calibration::default().decide(f32::NAN, 0.0),
            (Verdict::NoMatch, 0.0)
        );
    }

    #[test]
    fn default_is_what_its_documentation_says() {
        let prior = Calibration::default();
        assert!((prior.confidence(0.5, 0.1) - 0.5).abs() < 1e-6);
        assert_eq!(prior.decide(0.8, 0.1).0, Verdict::Match);
        assert_eq!(prior.decide(0.74, 0.0).0, Verdict::NoMatch);
    }

    #[test]
    fn json_form_keeps_every_bit() {
        let fitted = Calibration::fit(&observations(-5.0, 8.0, 6.0)).unwrap();
        let json = serde_json::to_string(&fitted).unwrap();
        assert_eq!(serde_json::from_str::<Calibration>(&json).unwrap(), fitted);
        assert_eq!(
            serde_json::to_string(&Verdict::NoMatch).unwrap(),
            "\"no_match\""
        );
    }

    proptest! {
        #[test]
        fn confidence_is_monotone(
            observations in proptest::collection::vec(
                (-1.0f32..1.0, 0.0f32..1.0, any::<bool>()), 60..120),
            score in -1.0f32..1.0, margin in 0.0f32..1.0,
            more in 0.0f32..1.0, wider in 0.0f32..1.0,
        ) {
            let all: Vec<_> = observations.into_iter().map(|(s, m, c)| observation(s, m, c)).collect();
            let Ok(fitted) = Calibration::fit(&all) else { return Ok(()) };
            let (less, greater) =
                (fitted.confidence(score, margin), fitted.confidence(score + more, margin + wider));
            prop_assert!(less <= greater && less >= 0.0 && greater <= 1.0, "{} {}", less, greater);
        }
    }
}
