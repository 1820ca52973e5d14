//! Database-side augmentation while an index is built: every photo's vector is moved towards its nearest of the catalogue
//! ([`Augmentation`]).
//!
//! The photos are taken in the order of their vectors, so that equal catalogues give equal bytes in whatever order and on
//! however many cores they are described. What is asked of the moved vectors to calibrate the verdict must not have moved
//! them: [`Moved::first`] answers as an index would that was built without it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use rayon::prelude::*;
use serde_json::Value;

use super::{Entry, group_of};
use crate::descriptor::LocalFeatures;
use crate::index::{IndexError, IndexWriter, ItemPhoto};
use crate::rerank::Augmentation;
use crate::verdict::{Standing, agreement};

/// A photo of a catalogue and what the network saw of it.
pub(super) struct DescribedPhoto<'a> {
    pub(super) entry: &'a Entry,
    /// The entry's, and what is said of the item.
    pub(super) payload: Cow<'a, Value>,
    /// A unit vector.
    pub(super) vector: Vec<f32>,
    pub(super) local: Option<LocalFeatures>,
}

impl DescribedPhoto<'_> {
    /// As an index takes it, with this vector.
    pub(super) fn with<'b>(&'b self, vector: &'b [f32]) -> ItemPhoto<'b> {
        ItemPhoto {
            key: &self.entry.key,
            group: self.entry.group.as_deref(),
            payload: &self.payload,
            vector,
        }
    }

    /// Adds it to an index that is built.
    pub(super) fn write(&self, vector: &[f32], writer: &mut IndexWriter) -> Result<(), IndexError> {
        writer.push(&self.with(vector))?;
        let local = self.local.as_ref();
        local.map_or(Ok(()), |local| writer.push_local(&self.entry.key, local))
    }
}

/// The photos of a catalogue with their vectors as they were and as they are moved.
pub(super) struct Moved<'a> {
    augmentation: Augmentation,
    photos: Vec<DescribedPhoto<'a>>,
    vectors: Vec<Vec<f32>>,
    /// What each was moved towards.
    nearest: Vec<Vec<usize>>,
}

/// The best answer to a query.
#[derive(Debug, PartialEq)]
pub(super) struct First {
    pub(super) group: String,
    pub(super) standing: Standing,
}

impl<'a> Moved<'a> {
    /// O(photos² · dim), on all cores.
    pub(super) fn of(mut photos: Vec<DescribedPhoto<'a>>, augmentation: Augmentation) -> Self {
        photos.sort_by(|a, b| {
            let components = a.vector.iter().zip(&b.vector);
            let mut orders = components.map(|(a, b)| a.total_cmp(b));
            let differ = orders.find(|order| order.is_ne());
            differ.unwrap_or_else(|| a.entry.key.cmp(&b.entry.key))
        });
        let rows: Vec<&[f32]> = photos.iter().map(|photo| &*photo.vector).collect();
        let numbers = (0..rows.len()).into_par_iter();
        let (vectors, nearest) = numbers
            .map(|number| {
                let nearest = augmentation.nearest(&rows, number, |_| true);
                let moved = augmentation.moved(&rows, number, &nearest);
                let nearest: Vec<usize> = nearest.into_iter().map(|(other, _)| other).collect();
                (moved, nearest)
            })
            .unzip();
        Self {
            augmentation,
            photos,
            vectors,
            nearest,
        }
    }

    /// Adds the photos, with their moved vectors, to an index that is built.
    pub(super) fn write(&self, writer: &mut IndexWriter) -> Result<(), IndexError> {
        writer.set_augmentation(self.augmentation);
        let mut photos = self.photos.iter().zip(&self.vectors);
        photos.try_for_each(|(photo, vector)| photo.write(vector, writer))
    }

    /// What an index says first to a query that was built without the photos that `is_left_out` says; `None` when none is
    /// left. O(photos · dim), and as much again for each photo that was moved towards one of them.
    pub(super) fn first(
        &self,
        query: &[f32],
        is_left_out: impl Fn(&DescribedPhoto<'a>) -> bool,
    ) -> Option<First> {
        let photos = self.photos.iter();
        let is_there: Vec<bool> = photos.map(|photo| !is_left_out(photo)).collect();
        let rows: Vec<&[f32]> = self.photos.iter().map(|photo| &*photo.vector).collect();
        let score = |number: usize| {
            if self.nearest[number].iter().all(|&other| is_there[other]) {
                return cosine(query, &self.vectors[number]);
            }
            let nearest = self
                .augmentation
                .nearest(&rows, number, |other| is_there[other]);
            cosine(query, &self.augmentation.moved(&rows, number, &nearest))
        };
        // Of each item its best photo, by key.
        let mut items: BTreeMap<&str, (f32, &str)> = BTreeMap::new();
        for number in (0..rows.len()).filter(|&number| is_there[number]) {
            let (entry, score) = (self.photos[number].entry, score(number));
            let best = items.entry(&entry.key).or_insert((score, group_of(entry)));
            best.0 = best.0.max(score);
        }
        let (score, group) = best(items.values())?;
        let rival = best(items.values().filter(|(_, other)| *other != group));
        let scored = items
            .values()
            .map(|&(score, other)| (score, other == group));
        Some(First {
            group: group.to_owned(),
            standing: Standing {
                score,
                margin: score - rival.map_or(0.0, |(score, _)| score),
                agreement: agreement(scored),
            },
        })
    }
}

/// The first of equals: by key, as an index has them.
fn best<'a, 'b: 'a>(
    by_key: impl DoubleEndedIterator<Item = &'a (f32, &'b str)>,
) -> Option<(f32, &'b str)> {
    // The last of the largest is kept.
    by_key.rev().copied().max_by(|a, b| a.0.total_cmp(&b.0))
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let products = a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b));
    products.sum::<f64>() as f32
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::descriptor::to_unit_length;
    use crate::rerank::augment;

    fn entries(count: usize) -> Vec<Entry> {
        let entry = |number: usize| Entry {
            image: format!("{number}.jpg").into(),
            key: format!("{number}"),
            group: Some(format!("{}", number / 3)),
            payload: Value::Null,
        };
        (0..count).map(entry).collect()
    }

    /// Photos of a group lie near to each other.
    fn photos(entries: &[Entry]) -> Vec<DescribedPhoto<'_>> {
        let mut rng = fastrand::Rng::with_seed(7);
        let mut middle = Vec::new();
        let photo = |(number, entry)| {
            if number % 3 == 0 {
                middle = (0..8).map(|_| rng.f32() - 0.5).collect();
            }
            let mut near = |middle: &f32| middle + 0.3 * (rng.f32() - 0.5);
            let mut vector: Vec<f32> = middle.iter().map(&mut near).collect();
            to_unit_length(&mut vector);
            DescribedPhoto {
                entry,
                payload: Cow::Borrowed(&entry.payload),
                vector,
                local: None,
            }
        };
        entries.iter().enumerate().map(photo).collect()
    }

    const SETTINGS: Augmentation = Augmentation {
        neighbours: 4,
        alpha: 3,
    };

    #[test]
    fn vectors_are_moved_as_the_method_says_in_whatever_order_they_come() {
        let entries = entries(30);
        let moved = Moved::of(photos(&entries), SETTINGS);
        let rows: Vec<Vec<f32>> = moved.photos.iter().map(|p| p.vector.clone()).collect();
        assert_eq!(moved.vectors.concat(), augment(&rows.concat(), 8, 4, 3));
        let mut turned = photos(&entries);
        turned.reverse();
        assert_eq!(Moved::of(turned, SETTINGS).vectors, moved.vectors);
    }

    #[test]
    fn what_is_left_out_has_moved_nothing() {
        let entries = entries(30);
        let moved = Moved::of(photos(&entries), SETTINGS);
        for asked in photos(&entries) {
            let is_left_out = |photo: &DescribedPhoto<'_>| photo.entry.key == asked.entry.key;
            let mut kept = photos(&entries);
            kept.retain(|photo| !is_left_out(photo));
            let rebuilt = Moved::of(kept, SETTINGS);
            let found = moved.first(&asked.vector, is_left_out);
            assert_eq!(found, rebuilt.first(&asked.vector, |_| false));
            let leaking = moved.first(&asked.vector, |_| false).unwrap();
            assert!(leaking.standing.score > found.unwrap().standing.score);
        }
        assert_eq!(moved.first(&[0.0; 8], |_| true), None);
    }

    #[test]
    fn the_first_of_equals_is_first_by_key() {
        let mut entries = entries(6);
        // The group is later by name, but the key is not by key.
        entries[0].group = Some("z".to_owned());
        let mut photos = photos(&entries);
        photos[3].vector = photos[0].vector.clone();
        let moved = Moved::of(photos, SETTINGS);
        let alone = |photo: &DescribedPhoto<'_>| !["0", "3"].contains(&photo.entry.key.as_str());
        let query = moved.photos[0].vector.clone();
        assert_eq!(moved.first(&query, alone).unwrap().group, "z");
    }

    #[test]
    fn the_margin_is_to_the_best_of_another_group() {
        let entries = entries(6);
        let moved = Moved::of(photos(&entries), SETTINGS);
        let query = moved.photos[0].vector.clone();
        let one_group = moved.first(&query, |photo| group_of(photo.entry) == "1");
        let one_group = one_group.unwrap();
        assert_eq!(one_group.standing.margin, one_group.standing.score);
        let both = moved.first(&query, |_| false).unwrap();
        assert_ne!(both.standing.margin, both.standing.score);
    }
}
