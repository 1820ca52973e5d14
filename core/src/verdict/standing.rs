//! What of a ranking tells whether its first hit is right.

/// Items of the first hit's group that must be near to agree.
const AGREEING: usize = 3;

/// The nearest of all items: those that are nearer than the last of them are among the nine nearest, whatever order equals
/// come in.
pub(crate) const NEAREST: usize = 10;

/// How the first hit of a ranking stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Standing {
    /// Its score, -1 to 1.
    pub score: f32,
    /// That score minus the best of another group; without one, the score.
    pub margin: f32,
    /// Whether other items of its group agree: the mean score of the best three of them, itself among these, where
    /// three of the nine nearest items of the index are of the group. `None` for a lone item and where the group is
    /// scattered.
    pub agreement: Option<f32>,
}

/// [`Standing::agreement`] of scored items, each with whether it is of the first hit's group: of all, or of the [`NEAREST`] of
/// each part of them. O(n).
pub(crate) fn agreement(scored: impl Iterator<Item = (f32, bool)>) -> Option<f32> {
    let mut nearest = [f32::NEG_INFINITY; NEAREST];
    let mut own = [f32::NEG_INFINITY; AGREEING];
    for (score, is_own) in scored {
        keep_best(&mut nearest, score);
        if is_own {
            keep_best(&mut own, score);
        }
    }
    // Minus infinity where there are fewer.
    let is_near = own[AGREEING - 1] > nearest[NEAREST - 1];
    let sum: f64 = own.iter().copied().map(f64::from).sum();
    is_near.then_some((sum / AGREEING as f64) as f32)
}

/// Best first.
fn keep_best(best: &mut [f32], mut score: f32) {
    for place in best {
        if score > *place {
            std::mem::swap(place, &mut score);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(scored: &[(f32, bool)]) -> Option<f32> {
        agreement(scored.iter().copied())
    }

    #[test]
    fn three_of_the_nearest_agree() {
        let own = [(0.5, true), (0.9, true), (0.7, true), (0.6, true)];
        let mean = of(&own).unwrap();
        assert!((mean - 2.2 / 3.0).abs() < 1e-6, "{mean}");
        assert_eq!(of(&own[..2]), None);
        assert_eq!(of(&[]), None);
    }

    #[test]
    fn what_is_behind_the_nearest_does_not_agree() {
        let others = |score: f32, count: usize| vec![(score, false); count];
        let own = vec![(0.9, true), (0.8, true), (0.3, true)];
        assert!(of(&[own.clone(), others(0.4, 6), others(0.2, 9)].concat()).is_some());
        assert_eq!(
            of(&[own.clone(), others(0.4, 7), others(0.2, 9)].concat()),
            None
        );
        // As near as the tenth: one of them might stand for the other.
        assert_eq!(of(&[own, others(0.4, 6), others(0.3, 1)].concat()), None);
    }
}
