//! Which confidence keeps which precision: the calibration's observations, from the most confident
//! downwards, as the few steps at which more precision costs more confidence.

use serde::{Deserialize, Serialize};

use super::Precision;

/// Steps nearer than this in precision are one: the curve stays below 200 steps.
const RESOLUTION: f64 = 0.0025;

/// Real captures are not the simulated ones: half as many wrong ones again are expected as were
/// observed. Chosen on unlabelled photos: of hard captures where 95 % were asked, 90 to 97 % of
/// matches were right with it, 88 to 95 % without it.
const WRONG: f64 = 1.5;

/// From this confidence on, that share of answers is right.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Least confidence, 0 to 1.
    pub confidence: f32,
    /// Share that is right, 0.5 to 1.
    pub precision: f32,
}

/// The steps of observations, each its confidence and whether it was right. O(n log n).
///
/// A threshold's precision is the smaller of what was observed above it, `unseen` more wrong ones
/// assumed (Laplace), and of what the model expects there: the former is noisy among few observations, the
/// latter is biased where the model does not fit. Then the wrong ones count [`WRONG`] times.
pub(super) fn curve(mut told: Vec<(f32, bool)>, unseen: f64) -> Vec<Step> {
    told.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut thresholds = Vec::new();
    let (mut count, mut right, mut expected) = (0.0, 0.0, 0.0);
    // Equals cannot be parted by a threshold.
    for equals in told.chunk_by(|a, b| a.0 == b.0) {
        let confidence = equals[0].0;
        for &(_, correct) in equals {
            count += 1.0;
            right += f64::from(u8::from(correct));
            expected += f64::from(confidence);
        }
        let observed = (right / (count + unseen)).min(expected / count);
        thresholds.push((confidence, 1.0 - WRONG * (1.0 - observed)));
    }
    let mut steps: Vec<Step> = Vec::new();
    let mut least = 0.5;
    for (confidence, precision) in thresholds.into_iter().rev() {
        if precision >= least {
            steps.push(Step {
                confidence,
                precision: precision as f32,
            });
            least = precision + RESOLUTION;
        }
    }
    steps
}

/// The least confidence that keeps the precision; beyond the curve the precision itself, but no less
/// than the last step.
pub(super) fn confidence_for(curve: &[Step], precision: Precision) -> f32 {
    let precision = precision.get();
    let kept = curve.iter().find(|step| step.precision >= precision);
    match (kept, curve.last()) {
        (Some(step), _) => step.confidence,
        (None, Some(last)) => precision.max(last.confidence),
        (None, None) => precision,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn asked(share: f32) -> Precision {
        Precision::new(share).unwrap()
    }

    #[test]
    fn steps_by_hand() {
        // Right of those above, one more wrong one: 1/2, 2/3, 4/6 of all at 0.8, 5/7, 6/8, 7/9, 7/10.
        // The model expects more of each. Half as many wrong ones again: .25, .5, .5, .57, .625, .667,
        // .55; what is no better than with less confidence is no step.
        let told = [
            (0.9, true),
            (0.85, true),
            (0.8, true),
            (0.8, false),
            (0.8, true),
            (0.78, true),
            (0.77, true),
            (0.75, true),
            (0.7, false),
        ];
        let steps = curve(told.to_vec(), 1.0);
        let expected = [(0.7, 0.55), (0.75, 2.0 / 3.0)];
        assert_eq!(steps.len(), expected.len(), "{steps:?}");
        for (step, (confidence, precision)) in steps.iter().zip(expected) {
            assert_eq!(step.confidence, confidence);
            assert!((step.precision - precision).abs() < 1e-6, "{steps:?}");
        }
        assert_eq!(confidence_for(&steps, asked(0.5)), 0.7);
        assert_eq!(confidence_for(&steps, asked(0.6)), 0.75);
        // Nine observations cannot show more.
        assert_eq!(confidence_for(&steps, asked(0.95)), 0.95);
        assert_eq!(confidence_for(&steps, asked(0.7)), 0.75);
        assert_eq!(confidence_for(&[], asked(0.9)), 0.9);
    }

    #[test]
    fn more_that_was_not_seen_shows_less() {
        // 20 of 20, and five more wrong ones: 0.8; half as many again: 0.7.
        let steps = curve(vec![(0.99, true); 20], 5.0);
        assert_eq!(steps.len(), 1);
        assert!((steps[0].precision - 0.7).abs() < 1e-6, "{steps:?}");
    }

    #[test]
    fn a_model_that_expects_less_than_was_seen_is_believed() {
        let steps = curve(vec![(0.8, true); 1000], 1.0);
        assert_eq!(steps.len(), 1);
        assert!((steps[0].precision - 0.7).abs() < 1e-6, "{steps:?}");
    }

    proptest! {
        #[test]
        fn more_precision_never_costs_less_confidence(
            told in proptest::collection::vec((0.0f32..=1.0, any::<bool>()), 0..300),
            less in 0.5f32..0.999, more in 0.0f32..0.4, unseen in 1.0f64..9.0,
        ) {
            let steps = curve(told.clone(), unseen);
            prop_assert!(steps.len() <= 201);
            for pair in steps.windows(2) {
                prop_assert!(pair[0].confidence < pair[1].confidence);
                prop_assert!(pair[0].precision < pair[1].precision);
            }
            let (less, more) = (asked(less), asked((less + more).min(0.999)));
            prop_assert!(confidence_for(&steps, less) <= confidence_for(&steps, more));
            // What a step claims, the observations above it kept.
            for step in steps {
                let above: Vec<_> = told.iter().filter(|t| t.0 >= step.confidence).collect();
                let right = above.iter().filter(|t| t.1).count();
                prop_assert!(right as f32 / above.len() as f32 >= step.precision);
            }
        }
    }
}
