//! What a scan keeps of each segment: the k best items in a bounded heap, and the best score of the
//! two best groups. Both take items one at a time in any order.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// An item with the score of its best photo. Items of a segment are numbered in the order of their
/// keys.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Scored {
    pub(super) score: f32,
    pub(super) item: u32,
    pub(super) row: u32,
}

/// Greater is worse: lower scores, then later keys.
impl Ord for Scored {
    fn cmp(&self, other: &Self) -> Ordering {
        other
            .score
            .total_cmp(&self.score)
            .then(self.item.cmp(&other.item))
    }
}

impl PartialOrd for Scored {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Eq for Scored {}

/// The best `k` of everything pushed, in `k` places of memory.
pub(super) struct Top {
    k: usize,
    worst_first: BinaryHeap<Scored>,
}

impl Top {
    /// Keeps `k` of at most `items`, however large `k` is.
    pub(super) fn new(k: usize, items: usize) -> Self {
        let k = k.min(items);
        Self {
            k,
            worst_first: BinaryHeap::with_capacity(k),
        }
    }

    pub(super) fn push(&mut self, scored: Scored) {
        if self.worst_first.len() < self.k {
            self.worst_first.push(scored);
        } else if self.worst_first.peek().is_some_and(|worst| scored < *worst) {
            self.worst_first.pop();
            self.worst_first.push(scored);
        }
    }

    /// Best first.
    pub(super) fn into_sorted(self) -> Vec<Scored> {
        self.worst_first.into_sorted_vec()
    }
}

/// Best score of each of the two best groups: enough to know, for any one group, the best score of
/// all others.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct BestGroups {
    first: Option<(u32, f32)>,
    second: Option<(u32, f32)>,
}

impl BestGroups {
    pub(super) fn push(&mut self, group: u32, score: f32) {
        let beats = |kept: Option<(u32, f32)>| kept.is_none_or(|(_, best)| score > best);
        if self.first.is_some_and(|(first, _)| first == group) {
            if beats(self.first) {
                self.first = Some((group, score));
            }
        } else if beats(self.first) {
            self.second = self.first.replace((group, score));
        } else if beats(self.second) {
            self.second = Some((group, score));
        }
    }

    /// The group of everything pushed, when it is one.
    pub(super) fn only(&self) -> Option<u32> {
        let (first, _) = self.first?;
        self.second.is_none().then_some(first)
    }

    /// Best score among groups other than `group`.
    pub(super) fn best_besides(&self, group: Option<u32>) -> Option<f32> {
        match self.first {
            Some((first, _)) if Some(first) == group => self.second.map(|(_, score)| score),
            first => first.map(|(_, score)| score),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn keeps_the_head_of_the_sorted_list(scores in proptest::collection::vec(0..6u8, 0..40), k in 0..50usize) {
            let all = scores.iter().zip(0..).map(|(&score, item)| Scored {
                score: f32::from(score),
                item,
                row: item,
            });
            let mut top = Top::new(k, scores.len());
            all.clone().for_each(|scored| top.push(scored));
            let mut expected: Vec<Scored> = all.collect();
            expected.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.item.cmp(&b.item)));
            expected.truncate(k);
            prop_assert_eq!(top.into_sorted(), expected);
        }

        #[test]
        fn two_groups_are_enough_for_the_rival(
            pushed in proptest::collection::vec((0..4u32, 0..9u8), 0..30),
            besides in 0..5u32,
        ) {
            let mut groups = BestGroups::default();
            for &(group, score) in &pushed {
                groups.push(group, f32::from(score));
            }
            let others = pushed.iter().filter(|(group, _)| *group != besides);
            let expected = others.map(|&(_, score)| f32::from(score)).reduce(f32::max);
            prop_assert_eq!(groups.best_besides(Some(besides)), expected);
        }
    }
}
