//! A set of items of one segment as a bitmap: what a filter leaves of it before anything is scored.
//!
//! One bit an item, so 100,000 items are 12.5 kB, and all set operations are word by word.

/// A subset of the items `0..len` of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ItemSet {
    /// Bit `i % 64` of word `i / 64` is item `i`; bits behind the last item are zero.
    words: Vec<u64>,
    len: u32,
}

impl ItemSet {
    /// None of `len` items.
    pub fn none(len: u32) -> Self {
        Self {
            words: vec![0; words_of(len)],
            len,
        }
    }

    /// All of `len` items.
    pub fn all(len: u32) -> Self {
        Self::of_words(vec![u64::MAX; words_of(len)], len)
    }

    /// Bits behind the last item are cleared.
    pub(crate) fn of_words(mut words: Vec<u64>, len: u32) -> Self {
        debug_assert_eq!(words.len(), words_of(len));
        if let (Some(last), rest @ 1..) = (words.last_mut(), len % 64) {
            *last &= (1 << rest) - 1;
        }
        Self { words, len }
    }

    /// Items that there are, in the set or not.
    pub fn universe(&self) -> u32 {
        self.len
    }

    /// Whether an item is in the set; `false` for one that does not exist.
    pub fn contains(&self, item: u32) -> bool {
        let word = self.words.get(item as usize / 64);
        word.is_some_and(|word| word >> (item % 64) & 1 == 1)
    }

    /// Adds an item; `false` when it does not exist.
    pub fn insert(&mut self, item: u32) -> bool {
        if item >= self.len {
            return false;
        }
        self.words[item as usize / 64] |= 1 << (item % 64);
        true
    }

    /// Items in the set.
    pub fn count(&self) -> u32 {
        self.words.iter().map(|word| word.count_ones()).sum()
    }

    /// Whether no item is in the set.
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|&word| word == 0)
    }

    /// The bitmap: bit `i % 64` of word `i / 64` is item `i`.
    pub fn words(&self) -> &[u64] {
        &self.words
    }

    /// The items in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = u32> {
        self.words.iter().zip(0u32..).flat_map(|(&word, at)| {
            let rest = |word: &u64| Some(word & (word - 1)).filter(|&word| word != 0);
            std::iter::successors((word != 0).then_some(word), rest)
                .map(move |word| 64 * at + word.trailing_zeros())
        })
    }

    pub(crate) fn intersect(&mut self, other: &Self) {
        self.zip(other, |a, b| a & b);
    }

    pub(crate) fn unite(&mut self, other: &Self) {
        self.zip(other, |a, b| a | b);
    }

    pub(crate) fn subtract(&mut self, other: &Self) {
        self.zip(other, |a, b| a & !b);
    }

    fn zip(&mut self, other: &Self, join: impl Fn(u64, u64) -> u64) {
        for (a, &b) in self.words.iter_mut().zip(&other.words) {
            *a = join(*a, b);
        }
    }
}

fn words_of(len: u32) -> usize {
    len.div_ceil(64) as usize
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn is_a_set(len in 0..200u32, a in prop::collection::btree_set(0..220u32, 0..60), b in prop::collection::btree_set(0..220u32, 0..60)) {
            let fill = |items: &BTreeSet<u32>| {
                let mut set = ItemSet::none(len);
                for &item in items {
                    assert_eq!(set.insert(item), item < len);
                }
                set
            };
            let inside = |items: &BTreeSet<u32>| -> BTreeSet<u32> { items.iter().copied().filter(|&i| i < len).collect() };
            let (set_a, set_b, a, b) = (fill(&a), fill(&b), inside(&a), inside(&b));
            prop_assert_eq!(set_a.count() as usize, a.len());
            prop_assert_eq!(set_a.is_empty(), a.is_empty());
            for item in 0..230 {
                prop_assert_eq!(set_a.contains(item), a.contains(&item));
            }
            let listed = |join: fn(&mut ItemSet, &ItemSet)| {
                let mut set = set_a.clone();
                join(&mut set, &set_b);
                set.iter().collect::<Vec<_>>()
            };
            prop_assert_eq!(listed(ItemSet::intersect), a.intersection(&b).copied().collect::<Vec<_>>());
            prop_assert_eq!(listed(ItemSet::unite), a.union(&b).copied().collect::<Vec<_>>());
            prop_assert_eq!(listed(ItemSet::subtract), a.difference(&b).copied().collect::<Vec<_>>());
            prop_assert_eq!(ItemSet::all(len).iter().collect::<Vec<_>>(), (0..len).collect::<Vec<_>>());
        }
    }
}
