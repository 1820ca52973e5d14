//! The catalogue while an index is built: photos come in any order and leave as items sorted by
//! key, so that equal catalogues give equal bytes.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BinaryHeap};

use serde_json::Value;

use super::quantise::Stored;
use super::{IndexError, ItemFault};
use crate::descriptor::LocalFeatures;

/// Longest key or group.
pub const MAX_NAME_BYTES: usize = 1024;
/// Longest payload as compact JSON.
pub const MAX_PAYLOAD_BYTES: usize = 64 * 1024;

/// One photo of an item. The same key again is a further photo of the same item.
#[derive(Clone, Copy, Debug)]
pub struct ItemPhoto<'a> {
    /// Names the item: 1 to 1,024 bytes.
    pub key: &'a str,
    /// Items that answer as one (variants of a product, photos of a landmark); `None`: the item
    /// stands for itself, under its key.
    pub group: Option<&'a str>,
    /// A JSON object that comes back with each hit, at most 64 KiB; `Null` is the empty object.
    pub payload: &'a Value,
    /// Descriptor of the photo; its length does not matter, its direction does.
    pub vector: &'a [f32],
}

/// An item and its photos.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) group: String,
    /// Compact JSON of an object.
    pub(super) payload: Vec<u8>,
    pub(super) photos: Vec<Stored>,
    /// Of its photos, where they were given.
    pub(super) local: Vec<LocalFeatures>,
}

/// All items by key.
#[derive(Debug)]
pub(super) struct Items {
    dim: usize,
    rows: u32,
    by_key: BTreeMap<String, Item>,
}

impl Items {
    pub(super) fn new(dim: usize) -> Self {
        Self {
            dim,
            rows: 0,
            by_key: BTreeMap::new(),
        }
    }

    /// Adds a photo, or refuses it and changes nothing.
    pub(super) fn push(&mut self, photo: &ItemPhoto<'_>) -> Result<(), IndexError> {
        let bad = |fault| IndexError::BadItem {
            key: shorten(photo.key),
            fault,
        };
        check_name("key", photo.key).map_err(bad)?;
        let group = photo.group.unwrap_or(photo.key);
        check_name("group", group).map_err(bad)?;
        let payload = compact(photo.payload).map_err(bad)?;
        let stored =
            Stored::new(photo.vector, self.dim).map_err(|fault| IndexError::BadVector {
                of: format!("item {:?}", photo.key),
                fault,
            })?;
        if self.rows == u32::MAX {
            return Err(bad(ItemFault::TooMany { limit: u32::MAX }));
        }
        match self.by_key.entry(photo.key.to_owned()) {
            Entry::Vacant(place) => {
                let group = group.to_owned();
                place.insert(Item {
                    group,
                    payload,
                    photos: vec![stored],
                    local: Vec::new(),
                });
            }
            Entry::Occupied(mut item) => {
                let item = item.get_mut();
                item.agrees(group, &payload).map_err(bad)?;
                item.photos.push(stored);
            }
        }
        self.rows += 1;
        Ok(())
    }

    /// Adds local features of a photo that was pushed.
    pub(super) fn push_local(
        &mut self,
        key: &str,
        local: &LocalFeatures,
    ) -> Result<(), IndexError> {
        let Some(item) = self.by_key.get_mut(key) else {
            let fault = ItemFault::NoPhoto;
            return Err(IndexError::BadItem {
                key: shorten(key),
                fault,
            });
        };
        item.local.push(local.clone());
        Ok(())
    }

    /// Takes an item out again; whether it was there.
    pub(super) fn remove(&mut self, key: &str) -> bool {
        let removed = self.by_key.remove(key);
        self.rows -= removed.as_ref().map_or(0, |item| item.photos.len() as u32);
        removed.is_some()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        self.by_key.keys().map(String::as_str)
    }

    /// The items in the order of their keys, the photos of each in the order of their bytes.
    pub(super) fn into_sorted(self) -> Vec<(String, Item)> {
        let mut items: Vec<_> = self.by_key.into_iter().collect();
        for (_, item) in &mut items {
            item.photos = in_order(std::mem::take(&mut item.photos));
            item.local.sort_by_cached_key(LocalFeatures::to_bytes);
        }
        items
    }
}

/// Photos by their bytes. A heap sorts with a fifth of the code of a slice, and these are few.
pub(super) fn in_order(photos: Vec<Stored>) -> Vec<Stored> {
    BinaryHeap::from(photos).into_sorted_vec()
}

impl Item {
    fn agrees(&self, group: &str, payload: &[u8]) -> Result<(), ItemFault> {
        let conflict = |field, first: String, again: String| ItemFault::Conflict {
            field,
            first: shorten(&first),
            again: shorten(&again),
        };
        if self.group != group {
            return Err(conflict(
                "group",
                format!("{:?}", self.group),
                format!("{group:?}"),
            ));
        }
        if self.payload != payload {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            return Err(conflict("payload", text(&self.payload), text(payload)));
        }
        Ok(())
    }
}

fn check_name(field: &'static str, name: &str) -> Result<(), ItemFault> {
    if (1..=MAX_NAME_BYTES).contains(&name.len()) {
        return Ok(());
    }
    Err(ItemFault::NameLength {
        field,
        limit: MAX_NAME_BYTES,
        found: name.len(),
    })
}

fn compact(payload: &Value) -> Result<Vec<u8>, ItemFault> {
    let text = match payload {
        Value::Null => "{}".to_owned(),
        Value::Object(_) => payload.to_string(),
        other => {
            return Err(ItemFault::PayloadNotObject {
                found: shorten(&other.to_string()),
            });
        }
    };
    if text.len() > MAX_PAYLOAD_BYTES {
        let (limit, found) = (MAX_PAYLOAD_BYTES, text.len());
        return Err(ItemFault::PayloadLength { limit, found });
    }
    Ok(text.into_bytes())
}

/// What of a user's text fits into a message.
pub(super) fn shorten(text: &str) -> String {
    match text.char_indices().nth(80) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
