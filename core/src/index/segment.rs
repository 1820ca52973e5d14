//! A segment: an immutable, mapped file with the vectors, keys, groups and payloads of some items.
//!
//! Opening checks that all tables have exactly the length that the counts demand. What the tables
//! say is checked where it is used, so a damaged segment that nobody verified gives a typed error
//! or a wrong hit, never a panic or a read outside of the file.

use std::path::Path;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, OnceLock};

use serde_json::Value;

use super::items::in_order;
use super::lists::{self, Damage, Form, ListHead, ListedRow, Lists, RowMask, Storage};
use super::quantise::{MAX_DIM, Stored, inverse_norm, stride};
use super::tombstones::Tombstones;
use super::{IndexError, columns, local};
use crate::container::{Access, Container, Kind, Tag, as_i8};
use crate::fingerprint::Fingerprint;

/// The sections of a segment.
pub(super) mod tags {
    use crate::container::Tag;

    pub(in crate::index) const HEAD: Tag = Tag(*b"head");
    pub(in crate::index) const ROWS: Tag = Tag(*b"rows");
    pub(in crate::index) const FINE: Tag = Tag(*b"fine");
    pub(in crate::index) const NORMS: Tag = Tag(*b"norm");
    pub(in crate::index) const ITEMS_OF_ROWS: Tag = Tag(*b"rowi");
    pub(in crate::index) const ITEMS: Tag = Tag(*b"item");
    pub(in crate::index) const GROUPS: Tag = Tag(*b"grup");
    pub(in crate::index) const TEXT: Tag = Tag(*b"text");
    pub(in crate::index) const CENTROIDS: Tag = Tag(*b"cent");
    pub(in crate::index) const LISTS: Tag = Tag(*b"list");
}

/// Rows are int8 with an inverse norm.
pub(super) const ENCODING_I8: u32 = 1;
/// Rows are residual codes in lists, each list by itself. Not written any more.
const ENCODING_LISTS_APART: u32 = 2;
/// Rows are residual codes in lists.
pub(super) const ENCODING_LISTS: u32 = 3;

const HEAD_BYTES: usize = 44;
const ITEM_BYTES: usize = 16;
const GROUP_NAME_BYTES: usize = 12;

pub(super) struct Segment {
    container: Container,
    rows: u32,
    items: u32,
    groups: u32,
    stride: usize,
    /// Of rows in lists.
    lists: Option<ListHead>,
    form: Form,
    /// Searches that have asked the storage for lists before they read them.
    cold_searches: AtomicU32,
    /// Items that must not be found.
    pub(super) tombstones: Option<Tombstones>,
    /// The rows of items that live, once asked for.
    live_rows: OnceLock<Arc<RowMask>>,
    /// Where the rows of each item lie in lists, once asked for.
    rows_by_item: OnceLock<Vec<ListedRow>>,
    dim: usize,
}

impl Segment {
    /// Opens a segment of an index of this model and this many dimensions.
    pub(super) fn open(
        path: &Path,
        fingerprint: Fingerprint,
        dim: usize,
        access: Access,
    ) -> Result<Self, IndexError> {
        let container = Container::open_with(path, Kind::Segment, access)?;
        let corrupt = |what: &str, expected: String, found: String| IndexError::Corrupt {
            path: path.to_owned(),
            what: what.to_owned(),
            expected,
            found,
        };
        if container.fingerprint() != fingerprint {
            let found = container.fingerprint().to_string();
            return Err(corrupt("fingerprint", fingerprint.to_string(), found));
        }
        let length_of = |tag: Tag| container.section(tag).map(|bytes| bytes.len() as u64);
        let check_length = |tag: Tag, expected: u64| match length_of(tag) {
            Some(found) if found == expected => Ok(()),
            found => {
                let found = found.map_or("none".to_owned(), |bytes| format!("{bytes} bytes"));
                let what = format!("section {tag}");
                Err(corrupt(&what, format!("{expected} bytes"), found))
            }
        };
        check_length(tags::HEAD, HEAD_BYTES as u64)?;
        let head = container.section(tags::HEAD).unwrap_or_default();
        let [found_dim, found_stride, rows, items, groups, encoding] =
            std::array::from_fn(|i| u32_at(head, 4 * i).unwrap_or_default());
        if !(ENCODING_I8..=ENCODING_LISTS).contains(&encoding) {
            let needs = format!(
                "row encoding {encoding} (this version reads {ENCODING_I8} to {ENCODING_LISTS})"
            );
            return Err(IndexError::Incompatible {
                path: path.to_owned(),
                needs,
            });
        }
        debug_assert!((1..=MAX_DIM).contains(&dim), "checked with the manifest");
        if (found_dim as usize, found_stride as usize) != (dim, stride(dim)) {
            let expected = format!("{dim} dimensions in {} bytes", stride(dim));
            let found = format!("{found_dim} in {found_stride}");
            return Err(corrupt("section head", expected, found));
        }
        if items > rows || groups > items {
            let found = format!("{rows}, {items}, {groups}");
            return Err(corrupt(
                "section head",
                "rows ≥ items ≥ groups".to_owned(),
                found,
            ));
        }
        // Products of a u32 and at most 65,536: no overflow in 64 bits.
        let [rows_, items_, groups_] = [rows, items, groups].map(u64::from);
        let lists = if encoding != ENCODING_I8 {
            let lists = ListHead::read(head, rows)
                .map_err(|(expected, found)| corrupt("section head", expected, found))?;
            if dim > lists::MAX_DIM {
                let expected = format!("at most {} dimensions in lists", lists::MAX_DIM);
                return Err(corrupt("section head", expected, dim.to_string()));
            }
            let count = u64::from(lists.lists);
            check_length(tags::CENTROIDS, count * stride(dim) as u64)?;
            check_length(tags::LISTS, count * lists::ENTRY_BYTES as u64)?;
            if length_of(tags::ROWS).is_none() {
                return Err(corrupt(
                    "section rows",
                    "a section".to_owned(),
                    "none".to_owned(),
                ));
            }
            Some(lists)
        } else {
            check_length(tags::ROWS, rows_ * stride(dim) as u64)?;
            check_length(tags::NORMS, rows_ * 4)?;
            check_length(tags::ITEMS_OF_ROWS, rows_ * 4)?;
            if length_of(tags::FINE).is_some() {
                check_length(tags::FINE, rows_ * stride(dim) as u64 / 2)?;
            }
            None
        };
        check_length(tags::ITEMS, items_ * ITEM_BYTES as u64)?;
        check_length(tags::GROUPS, items_ * 4 + groups_ * GROUP_NAME_BYTES as u64)?;
        if length_of(tags::TEXT).is_none() {
            return Err(corrupt(
                "section text",
                "a section".to_owned(),
                "none".to_owned(),
            ));
        }
        for tag in [tags::CENTROIDS, tags::LISTS] {
            container.will_need(container.section(tag).unwrap_or_default());
        }
        let segment = Self {
            cold_searches: AtomicU32::new(0),
            container,
            rows,
            items,
            groups,
            stride: stride(dim),
            lists,
            form: match encoding {
                ENCODING_LISTS_APART => Form::Apart,
                _ => Form::Together,
            },
            tombstones: None,
            live_rows: OnceLock::new(),
            rows_by_item: OnceLock::new(),
            dim,
        };
        if let Some(lists) = segment.lists() {
            let check = lists.check_rows();
            check.map_err(|(expected, found)| corrupt("section list", expected, found))?;
        }
        Ok(segment)
    }

    /// The rows of a segment that has them in lists.
    pub(super) fn lists(&self) -> Option<Lists<'_>> {
        let head = self.lists?;
        let sections = [tags::LISTS, tags::ROWS].map(|tag| self.section(tag));
        let centroids = as_i8(self.section(tags::CENTROIDS));
        let storage = Some(Storage {
            container: &self.container,
            searches: &self.cold_searches,
        });
        Some(Lists::new(
            head,
            self.stride,
            self.form,
            sections,
            centroids,
            storage,
        ))
    }

    /// What a list found wrong, as an error of this file.
    pub(super) fn damaged(&self, damage: Damage) -> IndexError {
        self.corrupt(
            &format!("list {}", damage.list),
            damage.expected,
            damage.found,
        )
    }

    pub(super) fn container(&self) -> &Container {
        &self.container
    }

    /// Number of vectors.
    pub(super) fn rows(&self) -> u32 {
        self.rows
    }

    /// Number of items.
    pub(super) fn items(&self) -> u32 {
        self.items
    }

    /// Bytes of the file without keys, groups, payloads and local features.
    pub(super) fn vector_bytes(&self) -> u64 {
        let others = [tags::ITEMS, tags::GROUPS, tags::TEXT];
        let others = others.map(|tag| self.section(tag).len() as u64);
        let local = self.container.section(local::TAG).map_or(0, <[u8]>::len) as u64;
        self.container.len() - others.iter().sum::<u64>() - local
    }

    /// All vectors of a segment without lists: `rows × stride`, padded with zeros.
    pub(super) fn vectors(&self) -> &[i8] {
        as_i8(self.section(tags::ROWS))
    }

    /// Bytes of a vector with its padding.
    pub(super) fn stride(&self) -> usize {
        self.stride
    }

    /// For each vector its inverse norm and the number of its item, which is not checked.
    pub(super) fn norms_and_items(&self) -> impl ExactSizeIterator<Item = (f32, u32)> {
        let (norms, _) = self.section(tags::NORMS).as_chunks();
        let (items, _) = self.section(tags::ITEMS_OF_ROWS).as_chunks();
        let norms = norms.iter().map(|&norm| f32::from_le_bytes(norm));
        norms.zip(items.iter().map(|&item| u32::from_le_bytes(item)))
    }

    /// The photos of an item in canonical order (their bytes ascend), whatever the order of rows. Of rows in lists
    /// what seven bits keep.
    pub(super) fn photos(&self, item: u32) -> Result<Vec<Stored>, IndexError> {
        let Some(lists) = self.lists() else {
            return Ok(self.listed_photos(item));
        };
        let rows = match self.rows_by_item.get() {
            Some(rows) => rows,
            None => {
                let rows = lists
                    .rows_by_item()
                    .map_err(|damage| self.damaged(damage))?;
                self.rows_by_item.get_or_init(|| rows)
            }
        };
        let first = rows.partition_point(|row| row.item < item);
        let rows = rows[first..].iter().take_while(|row| row.item == item);
        let mut photos = Vec::new();
        for row in rows {
            let mut vector = lists.decode(row).map_err(|damage| self.damaged(damage))?;
            vector.truncate(self.dim);
            let photo = Stored::new(&vector, self.dim);
            photos.push(photo.map_err(|fault| self.corrupt_item(item, "a vector", fault))?);
        }
        Ok(in_order(photos))
    }

    fn listed_photos(&self, item: u32) -> Vec<Stored> {
        let (items, _) = self.section(tags::ITEMS_OF_ROWS).as_chunks();
        let fine = self.container.section(tags::FINE);
        let first = items.partition_point(|&of| u32::from_le_bytes(of) < item);
        let count = items[first..].partition_point(|&of| u32::from_le_bytes(of) == item);
        let photo = |row: usize| Stored {
            row: self.vectors()[row * self.stride..][..self.stride].to_vec(),
            fine: match fine {
                Some(fine) => fine[row * self.stride / 2..][..self.stride / 2].to_vec(),
                None => vec![0; self.stride / 2],
            },
        };
        (first..first + count).map(photo).collect()
    }

    /// The rows of items that live, when some are dead.
    pub(super) fn live_rows(&self, lists: &Lists<'_>) -> Result<Option<&Arc<RowMask>>, IndexError> {
        if self.tombstones.is_none() {
            return Ok(None);
        }
        if self.live_rows.get().is_none() {
            let mask = RowMask::new(lists, |item| self.is_live(item));
            let mask = mask.map_err(|damage| self.damaged(damage))?;
            self.live_rows.get_or_init(|| Arc::new(mask));
        }
        Ok(self.live_rows.get())
    }

    pub(super) fn key(&self, item: u32) -> Result<&str, IndexError> {
        let (offset, key, _) = self.item(item)?;
        self.text(offset, key)
    }

    pub(super) fn payload(&self, item: u32) -> Result<Value, IndexError> {
        let (offset, key, payload) = self.item(item)?;
        let text = self.text(offset.saturating_add(u64::from(key)), payload)?;
        match serde_json::from_str(text) {
            Ok(value @ Value::Object(_)) => Ok(value),
            Ok(_) => Err(self.corrupt_item(item, "a payload that is an object", "other JSON")),
            Err(error) => Err(self.corrupt_item(item, "a payload in JSON", error)),
        }
    }

    /// The number of the group of an item, smaller than the number of groups.
    pub(super) fn group_of(&self, item: u32) -> Result<u32, IndexError> {
        self.groups_of_items()(item)
    }

    /// The same for many items.
    pub(super) fn groups_of_items(&self) -> impl Fn(u32) -> Result<u32, IndexError> {
        let (groups, _) = self.section(tags::GROUPS)[..4 * self.items as usize].as_chunks();
        |item| match groups
            .get(item as usize)
            .map(|&group| u32::from_le_bytes(group))
        {
            Some(group) if group < self.groups => Ok(group),
            Some(group) => {
                Err(self.corrupt_item(item, format!("one of {} groups", self.groups), group))
            }
            None => Err(self.corrupt_item(item, format!("{} items", self.items), item)),
        }
    }

    pub(super) fn group_name(&self, group: u32) -> Result<&str, IndexError> {
        let names = &self.section(tags::GROUPS)[4 * self.items as usize..];
        let at = GROUP_NAME_BYTES * group as usize;
        match (u64_at(names, at), u32_at(names, at + 8)) {
            (Some(offset), Some(length)) => self.text(offset, length),
            _ => Err(self.corrupt("group", format!("one of {} groups", self.groups), group)),
        }
    }

    /// The number of the group of that name. The names are sorted.
    pub(super) fn find_group(&self, name: &str) -> Result<Option<u32>, IndexError> {
        let (mut low, mut high) = (0, self.groups);
        while low < high {
            let middle = low.midpoint(high);
            match self.group_name(middle)?.cmp(name) {
                std::cmp::Ordering::Equal => return Ok(Some(middle)),
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        Ok(None)
    }

    /// Reads everything: checksums, then whether the tables are what a writer makes.
    pub(super) fn verify(&self) -> Result<(), IndexError> {
        self.container.verify()?;
        self.verify_rows()?;
        self.verify_items()?;
        columns::verify(self)?;
        local::verify(self)
    }

    fn verify_rows(&self) -> Result<(), IndexError> {
        if let Some(lists) = self.lists() {
            return lists
                .verify(self.items)
                .map_err(|damage| self.damaged(damage));
        }
        let mut next_item = 0;
        let vectors = self.vectors().chunks_exact(self.stride);
        for ((norm, item), (vector, row)) in self.norms_and_items().zip(vectors.zip(0u64..)) {
            let expected = inverse_norm(vector);
            if norm.to_bits() != expected.to_bits() || !expected.is_finite() {
                return Err(self.corrupt(&format!("norm of row {row}"), expected, norm));
            }
            // Rows of an item are neighbours, and the items come in order.
            if item == next_item {
                next_item += 1;
            } else if item.checked_add(1) != Some(next_item) {
                let expected = format!("at most {next_item}");
                return Err(self.corrupt(&format!("item of row {row}"), expected, item));
            }
        }
        if next_item != self.items {
            return Err(self.corrupt("items with rows", self.items, next_item));
        }
        Ok(())
    }

    fn verify_items(&self) -> Result<(), IndexError> {
        for item in 0..self.items {
            let key = self.key(item)?;
            if key.is_empty() || item > 0 && self.key(item - 1)? >= key {
                return Err(self.corrupt_item(item, "keys in order", format!("{key:?}")));
            }
            self.payload(item)?;
            self.group_of(item)?;
        }
        for group in 0..self.groups {
            let name = self.group_name(group)?;
            if name.is_empty() || group > 0 && self.group_name(group - 1)? >= name {
                let what = format!("name of group {group}");
                return Err(self.corrupt(&what, "names in order", format!("{name:?}")));
            }
        }
        Ok(())
    }

    /// Offset of the text of an item, bytes of its key, bytes of its payload behind the key.
    fn item(&self, item: u32) -> Result<(u64, u32, u32), IndexError> {
        let table = self.section(tags::ITEMS);
        let at = ITEM_BYTES * item as usize;
        match (
            u64_at(table, at),
            u32_at(table, at + 8),
            u32_at(table, at + 12),
        ) {
            (Some(offset), Some(key), Some(payload)) => Ok((offset, key, payload)),
            _ => Err(self.corrupt_item(item, format!("{} items", self.items), item)),
        }
    }

    fn text(&self, offset: u64, length: u32) -> Result<&str, IndexError> {
        let text = self.section(tags::TEXT);
        let start = usize::try_from(offset).ok();
        let end = start.and_then(|start| start.checked_add(length as usize));
        let what = || format!("section text at {offset}");
        let Some(bytes) = start.zip(end).and_then(|(start, end)| text.get(start..end)) else {
            let expected = format!("text inside of {} bytes", text.len());
            return Err(self.corrupt(&what(), expected, format!("length {length}")));
        };
        std::str::from_utf8(bytes).map_err(|error| self.corrupt(&what(), "UTF-8", error))
    }

    fn section(&self, tag: Tag) -> &[u8] {
        self.container
            .section(tag)
            .expect("all sections were found when the segment was opened")
    }

    fn corrupt_item(&self, item: u32, expected: impl ToString, found: impl ToString) -> IndexError {
        self.corrupt(&format!("item {item}"), expected, found)
    }

    #[expect(
        clippy::needless_pass_by_value,
        reason = "literals and numbers, on the error path"
    )]
    pub(super) fn corrupt(
        &self,
        what: &str,
        expected: impl ToString,
        found: impl ToString,
    ) -> IndexError {
        IndexError::Corrupt {
            path: self.container.path().to_owned(),
            what: what.to_owned(),
            expected: expected.to_string(),
            found: found.to_string(),
        }
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}
