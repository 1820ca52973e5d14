//! The best items so far, each with its best row, and the score that a further one must reach.

use super::super::top::Scored;

/// Up to so many wanted items each is put in its place at once; more wait and are sorted together.
const SORTED_AT_ONCE: usize = 256;

/// At most `wanted` items.
#[derive(Debug)]
pub(super) struct Best {
    wanted: usize,
    /// Whether an item can have several rows.
    several: bool,
    /// Best first.
    kept: Vec<Scored>,
    waiting: Vec<Scored>,
}

impl Best {
    pub(super) fn new(wanted: usize, several: bool) -> Self {
        Self {
            wanted,
            several,
            kept: Vec::new(),
            waiting: Vec::new(),
        }
    }

    pub(super) fn wanted(&self) -> usize {
        self.wanted
    }

    /// Least score of what is still wanted: that of the last of `wanted`, minus infinity before.
    pub(super) fn least(&self) -> f32 {
        match self.kept.last() {
            Some(last) if self.kept.len() == self.wanted => last.score,
            _ => f32::NEG_INFINITY,
        }
    }

    /// Keeps what is better than the last. The order of pushes does not matter.
    pub(super) fn push(&mut self, scored: Scored) {
        if self.kept.len() == self.wanted && self.kept.last().is_none_or(|last| scored >= *last) {
            return;
        }
        if self.wanted <= SORTED_AT_ONCE {
            self.insert(scored);
        } else {
            self.waiting.push(scored);
            if self.waiting.len() > self.wanted {
                self.sort();
            }
        }
    }

    fn insert(&mut self, scored: Scored) {
        if self.several
            && let Some(at) = self.kept.iter().position(|kept| kept.item == scored.item)
        {
            if order(&self.kept[at]) <= order(&scored) {
                return;
            }
            self.kept.remove(at);
        }
        let at = self.kept.partition_point(|kept| *kept < scored);
        self.kept.insert(at, scored);
        self.kept.truncate(self.wanted);
    }

    fn sort(&mut self) {
        self.kept.append(&mut self.waiting);
        if self.several {
            self.kept
                .sort_unstable_by(|a, b| a.item.cmp(&b.item).then(order(a).cmp(&order(b))));
            self.kept.dedup_by_key(|scored| scored.item);
        }
        self.kept.sort_unstable();
        self.kept.truncate(self.wanted);
    }

    pub(super) fn into_sorted(mut self) -> Vec<Scored> {
        self.sort();
        self.kept
    }
}

/// Of two rows of an item the better counts, of equals the first.
fn order(scored: &Scored) -> (Scored, u32) {
    (*scored, scored.row)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn keeps_the_best_row_of_the_best_items(
            pushed in proptest::collection::vec((0..20u32, 0..9u8), 0..900),
            wanted in prop_oneof![1..30usize, 250..400usize],
        ) {
            let all = pushed.iter().zip(0..).map(|(&(item, score), row)| Scored { score: f32::from(score), item, row });
            let mut best = Best::new(wanted, true);
            let mut by_item = BTreeMap::new();
            for scored in all {
                best.push(scored);
                let kept = by_item.entry(scored.item).or_insert(scored);
                if scored.score > kept.score {
                    *kept = scored;
                }
            }
            let mut expected: Vec<Scored> = by_item.into_values().collect();
            expected.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.item.cmp(&b.item)));
            expected.truncate(wanted);
            prop_assert_eq!(best.into_sorted(), expected);
        }
    }
}
