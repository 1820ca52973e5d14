//! The items of several segments as one sequence in the order of their keys, dead ones left out:
//! what scrolling, verifying, compacting and merging have in common.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use serde_json::Value;

use super::items::Item;
use super::segment::Segment;
use super::tombstones::Tombstones;
use super::{Index, IndexError, local};

/// An item as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredItem {
    /// Names the item.
    pub key: String,
    /// The group it belongs to; its own key when none was given.
    pub group: String,
    /// The JSON object that was indexed with the item.
    pub payload: Value,
    /// One unit vector a photo, as exact as the index keeps it.
    pub vectors: Vec<Vec<f32>>,
}

impl Index {
    /// At most `limit` items in the order of their keys, beginning behind the key `after`. The last
    /// key of a page asks for the next; an empty page is the end.
    ///
    /// `O(limit × log segments)` and what the page itself takes, wherever it begins.
    ///
    /// # Errors
    /// [`IndexError::Corrupt`] when damage is met.
    pub fn items(&self, after: Option<&str>, limit: usize) -> Result<Vec<StoredItem>, IndexError> {
        LiveItems::behind(self.segments(), after)?
            .take(limit)
            .map(|place| {
                let Place { segment, item, .. } = place?;
                self.segments()[segment].stored(item, self.dim())
            })
            .collect()
    }
}

impl Index {
    /// The item of this key; `None` where there is none. `O(segments × log items)` and the item itself.
    ///
    /// # Errors
    /// [`IndexError::Corrupt`] when damage is met.
    pub fn item(&self, key: &str) -> Result<Option<StoredItem>, IndexError> {
        for segment in self.segments() {
            if let Some(item) = segment.find_key(key)?
                && segment.is_live(item)
            {
                return segment.stored(item, self.dim()).map(Some);
            }
        }
        Ok(None)
    }

    /// The unit vectors of an item's photos, as exact as the index keeps them; none where there is no such item.
    /// `O(segments × log items)` and the photos.
    ///
    /// # Errors
    /// [`IndexError::Corrupt`] when damage is met.
    pub fn vectors(&self, key: &str) -> Result<Vec<Vec<f32>>, IndexError> {
        for segment in self.segments() {
            if let Some(item) = segment.find_key(key)?
                && segment.is_live(item)
            {
                return segment.vectors_of(item, self.dim());
            }
        }
        Ok(Vec::new())
    }
}

impl Index {
    /// At most `limit` items that were removed and not added again, those of the newest segments first: devices with an
    /// older copy may still have them. Forgotten with their segment: by compaction, or when nothing of it lives.
    ///
    /// # Errors
    /// [`IndexError::Corrupt`] when damage is met.
    pub fn removed(&self, limit: usize) -> Result<Vec<StoredItem>, IndexError> {
        let mut removed: Vec<StoredItem> = Vec::new();
        for segment in self.segments().iter().rev() {
            for item in segment.tombstones.iter().flat_map(Tombstones::iter) {
                if removed.len() == limit {
                    return Ok(removed);
                }
                let key = segment.key(item)?;
                if !self.has_live(key)? && removed.iter().all(|other| other.key != key) {
                    removed.push(segment.stored(item, self.dim())?);
                }
            }
        }
        Ok(removed)
    }

    fn has_live(&self, key: &str) -> Result<bool, IndexError> {
        for segment in self.segments() {
            if let Some(item) = segment.find_key(key)?
                && segment.is_live(item)
            {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl Segment {
    fn stored(&self, item: u32, dim: usize) -> Result<StoredItem, IndexError> {
        Ok(StoredItem {
            key: self.key(item)?.to_owned(),
            group: self.group_name(self.group_of(item)?)?.to_owned(),
            payload: self.payload(item)?,
            vectors: self.vectors_of(item, dim)?,
        })
    }

    fn vectors_of(&self, item: u32, dim: usize) -> Result<Vec<Vec<f32>>, IndexError> {
        let photos = self.photos(item)?;
        Ok(photos.iter().map(|photo| photo.unit_vector(dim)).collect())
    }

    /// An item as a writer takes it.
    pub(super) fn to_item(&self, item: u32) -> Result<(String, Item), IndexError> {
        let content = Item {
            group: self.group_name(self.group_of(item)?)?.to_owned(),
            payload: self.payload(item)?.to_string().into_bytes(),
            photos: self.photos(item)?,
            local: local::of_item(self, item)?,
        };
        Ok((self.key(item)?.to_owned(), content))
    }
}

/// Where an item lies. Ordered by key, then by segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place<'a> {
    pub(super) key: &'a str,
    /// Position among the segments.
    pub(super) segment: usize,
    pub(super) item: u32,
}

/// Merges the sorted keys of segments. Ends after the first error.
pub(super) struct LiveItems<'a> {
    segments: Vec<&'a Segment>,
    /// The next item of each segment that is not at its end.
    next: BinaryHeap<Reverse<Place<'a>>>,
    last: Option<Place<'a>>,
}

impl<'a> LiveItems<'a> {
    pub(super) fn all(segments: impl IntoIterator<Item = &'a Segment>) -> Result<Self, IndexError> {
        Self::behind(segments, None)
    }

    /// The items whose keys come behind `after`.
    pub(super) fn behind(
        segments: impl IntoIterator<Item = &'a Segment>,
        after: Option<&str>,
    ) -> Result<Self, IndexError> {
        let mut items = Self {
            segments: segments.into_iter().collect(),
            next: BinaryHeap::new(),
            last: None,
        };
        for number in 0..items.segments.len() {
            let segment = items.segments[number];
            let mut first = 0;
            if let Some(after) = after {
                first = segment.first_from(after)?;
                if first < segment.items() && segment.key(first)? == after {
                    first += 1;
                }
            }
            items.advance(number, first)?;
        }
        Ok(items)
    }

    /// Queues the first live item of a segment from `item` on.
    fn advance(&mut self, segment: usize, item: u32) -> Result<(), IndexError> {
        let of = self.segments[segment];
        if let Some(item) = (item..of.items()).find(|&item| of.is_live(item)) {
            let key = of.key(item)?;
            self.next.push(Reverse(Place { key, segment, item }));
        }
        Ok(())
    }

    fn step(&mut self) -> Result<Option<Place<'a>>, IndexError> {
        let Some(Reverse(place)) = self.next.pop() else {
            return Ok(None);
        };
        self.advance(place.segment, place.item + 1)?;
        if let Some(last) = self.last
            && last.key >= place.key
        {
            let path_of = |place: Place<'_>| self.segments[place.segment].container().path();
            return Err(IndexError::DuplicateKey {
                path: path_of(place).to_owned(),
                other: path_of(last).to_owned(),
                key: place.key.to_owned(),
            });
        }
        self.last = Some(place);
        Ok(Some(place))
    }
}

impl<'a> Iterator for LiveItems<'a> {
    type Item = Result<Place<'a>, IndexError>;

    fn next(&mut self) -> Option<Self::Item> {
        let step = self.step();
        if step.is_err() {
            self.next.clear();
        }
        step.transpose()
    }
}
