//! Is the best hit really the thing in the photo? A logistic model turns how the best hit stands (its
//! score, its margin over the best other group, whether its own group agrees) into a confidence; a curve says
//! which confidence keeps which precision, and so what a match is.
//!
//! Raw cosines do not transfer from one catalogue to the next, so both are fitted to each index when
//! it is built. Fitting follows Platt (*Probabilistic outputs for support vector machines*, 1999):
//! logistic regression on smoothed targets, which stays finite on separable data.

mod curve;
mod logistic;
mod precision;
mod standing;

pub use curve::Step;
pub use precision::Precision;
pub use standing::Standing;
pub(crate) use standing::{NEAREST, agreement};

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use logistic::{Model, Sample, fit};

/// Correlation of the best scores of queries for one thing that the catalogue lacks: about .6 of captures of held-out photos, .8
/// of photos of one place (of descriptors of `held_out_set.py` and `places_set.py`; worked out once, the script is not kept). `n` such queries show as much as `n / (1 + (n - 1) ALIKE)` for as many things (Kish, *Survey
/// sampling*, 1965: the design effect).
const ALIKE: f64 = 0.6;

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

/// `P(first hit correct | score, margin, agreement)` of one index, and where to draw the lines.
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
    /// The model where the first hit's group agrees; without one, the weights above for all. They are of all observations,
    /// whether groups agreed or not: of answers without agreement it is not always known why there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agreeing: Option<Agreeing>,
    /// Least confidence of being unsure.
    pub no_match_below: f32,
    /// What precision each confidence keeps; both numbers ascend. Empty for the default.
    pub curve: Vec<Step>,
    /// Observations that it was fitted to; 0 for the default.
    pub samples: u32,
}

/// The model of first hits whose group agrees ([`Standing::agreement`]). In JSON a list of the four numbers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "[f64; 4]", into = "[f64; 4]")]
pub struct Agreeing {
    /// Log-odds at score, margin and agreement 0.
    pub intercept: f64,
    /// Log-odds a unit of score, never negative.
    pub score_weight: f64,
    /// Log-odds a unit of margin, never negative.
    pub margin_weight: f64,
    /// Log-odds a unit of agreement, never negative.
    pub agreement_weight: f64,
}

impl From<[f64; 4]> for Agreeing {
    fn from([intercept, score_weight, margin_weight, agreement_weight]: [f64; 4]) -> Self {
        Self {
            intercept,
            score_weight,
            margin_weight,
            agreement_weight,
        }
    }
}

impl From<Agreeing> for [f64; 4] {
    fn from(model: Agreeing) -> Self {
        [
            model.intercept,
            model.score_weight,
            model.margin_weight,
            model.agreement_weight,
        ]
    }
}

/// What a query of known answer gave.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Observation {
    /// How the first hit stood.
    pub standing: Standing,
    /// Whether the first hit was right. Never so for a query whose answer is not in the catalogue.
    pub correct: bool,
    /// Number of the thing that was asked for: queries for one thing go wrong together.
    pub thing: u32,
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
    /// A score, margin or agreement is not a number.
    #[error("observation {at} is not finite")]
    NotFinite {
        /// Position in the list.
        at: usize,
    },
    /// A precision that nobody can ask for.
    #[error("a precision is a share of matches from 0.5 to 0.999, found {found}; 0.95 is usual")]
    Precision {
        /// What was asked for.
        found: String,
    },
}

impl Calibration {
    /// The version that this library writes and reads.
    pub const VERSION: u32 = 2;
    /// Least number of observations of each class.
    pub const MIN_OBSERVATIONS: usize = 20;
    /// Least confidence of a match, whatever precision is asked for: an answer that is rather wrong
    /// than right is none.
    const MATCH_FLOOR: f32 = 0.5;

    /// Fits the model to queries of known answer: some whose first hit was right, some whose first
    /// hit was wrong or whose answer was left out of the catalogue. The order does not matter.
    ///
    /// No weight is negative: a better score is never less convincing. The model of groups that agree is
    /// fitted where enough of them were observed, of each class. A catalogue of few things cannot show how often others
    /// are taken for them: one more that is taken wrongly is assumed, with as many queries as err together.
    ///
    /// # Errors
    /// [`VerdictError`] for too few observations of a class or numbers that are not finite.
    pub fn fit(observations: &[Observation]) -> Result<Self, VerdictError> {
        let is_finite = |o: &Observation| {
            let Standing {
                score,
                margin,
                agreement,
            } = o.standing;
            score.is_finite() && margin.is_finite() && agreement.unwrap_or(0.0).is_finite()
        };
        if let Some(at) = observations.iter().position(|o| !is_finite(o)) {
            return Err(VerdictError::NotFinite { at });
        }
        let model = fit_model(observations.iter().map(|o| (o, 0.0)))?;
        let agreed = observations
            .iter()
            .filter_map(|o| Some((o, o.standing.agreement?)));
        let agreeing = fit_model(agreed).ok().map(|model| Agreeing {
            intercept: model.intercept,
            score_weight: model.weights[0],
            margin_weight: model.weights[1],
            agreement_weight: model.weights[2],
        });
        let mut calibration = Self {
            intercept: model.intercept,
            score_weight: model.weights[0],
            margin_weight: model.weights[1],
            agreeing,
            samples: u32::try_from(observations.len()).unwrap_or(u32::MAX),
            ..Self::default()
        };
        let told = observations
            .iter()
            .map(|o| (calibration.confidence(o.standing), o.correct));
        let things: BTreeSet<u32> = observations.iter().map(|o| o.thing).collect();
        // Half of the observations of a thing are of a catalogue that lacks it.
        let of_each = (observations.len() as f64 / 2.0 / things.len() as f64).max(1.0);
        calibration.curve = curve::curve(told.collect(), 1.0 + (of_each - 1.0) * ALIKE);
        Ok(calibration)
    }

    /// The least confidence of a match of which that share is right: where the observations show it,
    /// from the curve. Beyond what they can show the confidence must itself be as large as the
    /// precision. At least 0.5.
    pub fn match_at(&self, precision: Precision) -> f32 {
        curve::confidence_for(&self.curve, precision).max(Self::MATCH_FLOOR)
    }

    /// The probability that the first hit is right, 0 to 1. The same bits on every platform.
    pub fn confidence(&self, standing: Standing) -> f32 {
        let (score, margin) = (f64::from(standing.score), f64::from(standing.margin));
        let log_odds = match (self.agreeing, standing.agreement) {
            (Some(model), Some(agreement)) => {
                model.intercept
                    + model.score_weight * score
                    + model.margin_weight * margin
                    + model.agreement_weight * f64::from(agreement)
            }
            _ => self.intercept + self.score_weight * score + self.margin_weight * margin,
        };
        if log_odds.is_nan() {
            0.0
        } else {
            logistic::logistic(log_odds) as f32
        }
    }

    /// The verdict and the confidence behind it; a match keeps the precision.
    pub fn decide(&self, standing: Standing, precision: Precision) -> (Verdict, f32) {
        let confidence = self.confidence(standing);
        let verdict = if confidence >= self.match_at(precision) {
            Verdict::Match
        } else if confidence < self.no_match_below {
            Verdict::NoMatch
        } else {
            Verdict::Unsure
        };
        (verdict, confidence)
    }
}

/// The model of observations, each with a feature besides score and margin.
fn fit_model<'a>(
    observed: impl Iterator<Item = (&'a Observation, f32)>,
) -> Result<Model, VerdictError> {
    let samples: Vec<Sample> = observed
        .map(|(o, feature)| Sample {
            features: [o.standing.score, o.standing.margin, feature].map(f64::from),
            positive: o.correct,
        })
        .collect();
    let correct = samples.iter().filter(|sample| sample.positive).count();
    let needed = Calibration::MIN_OBSERVATIONS;
    let classes = [("correct", correct), ("incorrect", samples.len() - correct)];
    match classes.into_iter().find(|&(_, found)| found < needed) {
        Some((class, found)) => Err(VerdictError::TooFew {
            class,
            needed,
            found,
        }),
        None => Ok(fit(samples)),
    }
}

/// A prior for an index with too few items to fit one, set by hand: even odds at a score of 0.5 with
/// a margin of 0.1; a match from a score of 0.87 with that margin; no match below a score of 0.75
/// without any margin. Not calibrated: its confidence is an order, not a frequency.
impl Default for Calibration {
    fn default() -> Self {
        Self {
            version: Self::VERSION,
            intercept: -6.0,
            score_weight: 8.0,
            margin_weight: 20.0,
            agreeing: None,
            // Such answers are more often wrong than right.
            no_match_below: 0.5,
            curve: Vec::new(),
            samples: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

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
                observations.push(observation(s, m, correct));
            }
        }
        observations
    }

    fn standing(score: f32, margin: f32) -> Standing {
        Standing {
            score,
            margin,
            agreement: None,
        }
    }

    /// Of a thing that nothing else is observed of.
    fn observation(score: f32, margin: f32, correct: bool) -> Observation {
        static THINGS: AtomicU32 = AtomicU32::new(0);
        Observation {
            standing: standing(score, margin),
            correct,
            thing: THINGS.fetch_add(1, Ordering::Relaxed),
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
        // Twenty right ones cannot show 95 %.
        let precision = Precision::new(0.85).unwrap();
        assert_eq!(
            fitted.decide(standing(0.85, 0.3), precision).0,
            Verdict::Match
        );
        assert_eq!(
            fitted.decide(standing(0.3, 0.02), precision).0,
            Verdict::NoMatch
        );
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
        let confidence = Calibration::fit(&all)
            .unwrap()
            .confidence(standing(0.5, 0.1));
        assert!((confidence - 0.75).abs() < 0.02, "{confidence}");
    }

    #[test]
    fn a_match_is_as_often_right_as_was_asked_for() {
        let mut all = observations(-5.0, 8.0, 6.0);
        // A model that is unsure of everything: the share of right ones decides, not its number.
        all.iter_mut().for_each(|o| o.standing.margin = 0.0);
        let fitted = Calibration::fit(&all).unwrap();
        let mut fewer = usize::MAX;
        for asked in [0.7, 0.8, 0.9, 0.95] {
            let precision = Precision::new(asked).unwrap();
            let matched = all
                .iter()
                .filter(|o| fitted.decide(o.standing, precision).0 == Verdict::Match);
            let right: Vec<bool> = matched.map(|o| o.correct).collect();
            let share = right.iter().filter(|&&right| right).count() as f32 / right.len() as f32;
            assert!(
                right.len() > 100 && right.len() < fewer && share >= asked,
                "{share} of {} for {asked}",
                right.len()
            );
            // Not kept by telling almost nobody.
            let aimed_at = 1.0 - (1.0 - asked) / 1.5;
            assert!(share < aimed_at + 0.04, "{share} for {asked}");
            fewer = right.len();
        }
    }

    /// Scores and margins say nothing, the agreement of groups says all.
    fn agreeing() -> Vec<Observation> {
        let observe = |i: u16| Observation {
            standing: Standing {
                agreement: Some(f32::from(i) / 100.0),
                ..standing(0.5, 0.1)
            },
            ..observation(0.0, 0.0, i >= 50)
        };
        (0..100).map(observe).collect()
    }

    #[test]
    fn groups_that_agree_are_believed_and_lone_items_are_as_without_them() {
        let fitted = Calibration::fit(&agreeing()).unwrap();
        let agreed = |agreement| {
            let standing = standing(0.5, 0.1);
            fitted.confidence(Standing {
                agreement,
                ..standing
            })
        };
        assert!(agreed(Some(0.8)) > 0.9 && agreed(Some(0.2)) < 0.1);
        assert!((agreed(None) - 0.5).abs() < 0.02, "{}", agreed(None));
        let json = serde_json::to_string(&fitted).unwrap();
        assert_eq!(serde_json::from_str::<Calibration>(&json).unwrap(), fitted);
        // Too few that agree to fit a model of them: as if none did.
        let mut few = observations(-5.0, 8.0, 6.0);
        let without = Calibration::fit(&few).unwrap();
        few.iter_mut()
            .step_by(200)
            .for_each(|o| o.standing.agreement = Some(0.9));
        assert_eq!(Calibration::fit(&few).unwrap(), without);
    }

    #[test]
    fn few_things_do_not_show_what_many_do() {
        let of =
            |i: u8, least: f32, correct| observation(least + f32::from(i) / 200.0, 0.1, correct);
        let mut all: Vec<_> = (0..100)
            .flat_map(|i| [of(i, 0.4, true), of(i, 0.1, false)])
            .collect();
        let precision = Precision::new(0.8).unwrap();
        let many = Calibration::fit(&all).unwrap();
        all.iter_mut().zip(0..).for_each(|(o, i)| o.thing = i % 4);
        let few = Calibration::fit(&all).unwrap();
        assert!(many.match_at(precision) < few.match_at(precision));
        assert_eq!(many.intercept, few.intercept);
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
            (0.96, Verdict::Match),
            (0.94, Verdict::Unsure),
            (0.51, Verdict::Unsure),
            (0.49, Verdict::NoMatch),
        ] {
            let (verdict, _) = at(confidence).decide(standing(0.0, 0.0), Precision::default());
            assert_eq!(verdict, expected, "{confidence}");
        }
        assert_eq!(
            Calibration::default().decide(standing(f32::NAN, 0.0), Precision::default()),
            (Verdict::NoMatch, 0.0)
        );
    }

    #[test]
    fn default_is_what_its_documentation_says() {
        let prior = Calibration::default();
        assert!((prior.confidence(standing(0.5, 0.1)) - 0.5).abs() < 1e-6);
        let precision = Precision::default();
        assert_eq!(
            prior.decide(standing(0.87, 0.1), precision).0,
            Verdict::Match
        );
        assert_eq!(
            prior.decide(standing(0.86, 0.1), precision).0,
            Verdict::Unsure
        );
        assert_eq!(
            prior.decide(standing(0.6, 0.0), precision).0,
            Verdict::NoMatch
        );
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
                (fitted.confidence(standing(score, margin)), fitted.confidence(standing(score + more, margin + wider)));
            prop_assert!(less <= greater && less >= 0.0 && greater <= 1.0, "{} {}", less, greater);
        }
    }
}
