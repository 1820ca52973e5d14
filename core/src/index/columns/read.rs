//! The columns of a mapped segment, used in place.
//!
//! Opening checks the directory and the length of every column, so that fixed-width columns cannot
//! be read beyond their end; what the lists of texts say is checked where it is used.

use super::encode::{ENTRY_BYTES, HEAD_BYTES, MORE_FIELDS};
use super::{ColumnKind, MAX_COLUMNS, TAG};
use crate::index::IndexError;
use crate::index::filter::ItemSet;
use crate::index::segment::Segment;

/// The columns of a segment.
pub(in crate::index) struct Columns<'a> {
    columns: Vec<Column<'a>>,
    /// Whether there are fields that are no columns.
    more_fields: bool,
}

/// A column: for each item a value or none.
pub(in crate::index) struct Column<'a> {
    pub(in crate::index) name: &'a str,
    pub(in crate::index) kind: ColumnKind,
    pub(in crate::index) data: Data<'a>,
}

/// The values, one an item whether it has one or not, beside the bitmap of those that have.
pub(in crate::index) enum Data<'a> {
    None,
    Texts(Texts<'a>),
    /// Integers, and times in microseconds.
    Integers(Words<'a>, Words<'a>),
    Floats(Words<'a>, Words<'a>),
    Bools(Words<'a>, Words<'a>),
    /// Latitude and longitude.
    Points(Words<'a>, &'a [[u8; 16]]),
}

/// Eight bytes each, little-endian, aligned or not.
pub(in crate::index) type Words<'a> = &'a [[u8; 8]];

impl<'a> Columns<'a> {
    /// `None` for a segment without columns.
    pub(in crate::index) fn of(segment: &'a Segment) -> Result<Option<Self>, IndexError> {
        let Some(bytes) = segment.container().section(TAG) else {
            return Ok(None);
        };
        let short = || {
            segment.corrupt(
                &format!("section {TAG}"),
                "a directory of columns",
                "its end",
            )
        };
        let head = bytes.get(..HEAD_BYTES).ok_or_else(short)?;
        let [count, flags] = [0, 4].map(|at| u32_at(head, at));
        if count as usize > MAX_COLUMNS {
            let expected = format!("at most {MAX_COLUMNS} columns");
            return Err(segment.corrupt(&format!("section {TAG}"), expected, count));
        }
        let directory = bytes
            .get(HEAD_BYTES..HEAD_BYTES + ENTRY_BYTES * count as usize)
            .ok_or_else(short)?;
        let mut columns: Vec<Column<'a>> = Vec::with_capacity(count as usize);
        for entry in directory.chunks_exact(ENTRY_BYTES) {
            let column = Column::of(segment, bytes, entry)?;
            if columns.last().is_some_and(|last| last.name >= column.name) {
                let found = format!("{:?}", column.name);
                return Err(segment.corrupt(&format!("section {TAG}"), "names in order", found));
            }
            columns.push(column);
        }
        let more_fields = flags & MORE_FIELDS != 0;
        Ok(Some(Self {
            columns,
            more_fields,
        }))
    }

    pub(in crate::index) fn iter(&self) -> impl Iterator<Item = &Column<'a>> {
        self.columns.iter()
    }

    pub(in crate::index) fn get(&self, name: &str) -> Option<&Column<'a>> {
        let found = self
            .columns
            .binary_search_by(|column| column.name.cmp(name));
        Some(&self.columns[found.ok()?])
    }

    /// Whether no payload of the segment can have anything under a key.
    pub(in crate::index) fn exclude(&self, key: &str) -> bool {
        let first = key.split('.').next().unwrap_or_default();
        !self.more_fields && self.get(key).is_none() && self.get(first).is_none()
    }
}

impl<'a> Column<'a> {
    fn of(segment: &Segment, bytes: &'a [u8], entry: &[u8]) -> Result<Self, IndexError> {
        let [kind, name_bytes] = [0, 4].map(|at| u32_at(entry, at));
        let [name_at, data_at, data_bytes, texts] = [8, 16, 24, 32].map(|at| u64_at(entry, at));
        let slice = |at: u64, length: u64| {
            let start = usize::try_from(at).ok()?;
            bytes.get(start..start.checked_add(usize::try_from(length).ok()?)?)
        };
        let what = format!("section {TAG}");
        let name =
            slice(name_at, name_bytes.into()).and_then(|name| std::str::from_utf8(name).ok());
        let Some(name) = name else {
            let found = format!("{name_bytes} bytes at {name_at}");
            return Err(segment.corrupt(&what, "the name of a column", found));
        };
        let what = format!("column {name:?}");
        let Some(known) = ColumnKind::of_number(kind) else {
            return Err(segment.corrupt(&what, "a kind from 0 to 7", kind));
        };
        let wrong = || {
            let found = format!("{data_bytes} bytes at {data_at}");
            segment.corrupt(
                &what,
                format!("the values of {} items", segment.items()),
                found,
            )
        };
        let data = slice(data_at, data_bytes).ok_or_else(wrong)?;
        let data = Data::of(known, data, segment.items() as usize, texts).ok_or_else(wrong)?;
        Ok(Self {
            name,
            kind: known,
            data,
        })
    }
}

impl<'a> Data<'a> {
    fn of(kind: ColumnKind, data: &'a [u8], items: usize, texts: u64) -> Option<Self> {
        if matches!(kind, ColumnKind::Keyword | ColumnKind::Tags) {
            return Texts::of(data, texts).map(Self::Texts);
        }
        if kind == ColumnKind::Unindexed {
            return data.is_empty().then_some(Self::None);
        }
        let (present, values) = data.split_at_checked(8 * items.div_ceil(64))?;
        let (present, _) = present.as_chunks();
        let (words, rest) = values.as_chunks();
        let exactly = |count: usize| (words.len() == count && rest.is_empty()).then_some(words);
        Some(match kind {
            ColumnKind::Bool => Self::Bools(present, exactly(present.len())?),
            ColumnKind::Float => Self::Floats(present, exactly(items)?),
            ColumnKind::Geo => {
                exactly(2 * items)?;
                Self::Points(present, values.as_chunks().0)
            }
            _ => Self::Integers(present, exactly(items)?),
        })
    }
}

/// Texts in the order of their bytes, each with the items that have it.
pub(in crate::index) struct Texts<'a> {
    /// Where the items of each text begin, and the end.
    starts: Words<'a>,
    /// Where each text begins, and the end.
    ends: Words<'a>,
    items: &'a [[u8; 4]],
    text: &'a [u8],
}

impl<'a> Texts<'a> {
    fn of(data: &'a [u8], texts: u64) -> Option<Self> {
        let table = usize::try_from(texts)
            .ok()?
            .checked_add(1)?
            .checked_mul(8)?;
        let (starts, rest) = data.split_at_checked(table)?;
        let (ends, rest) = rest.split_at_checked(table)?;
        let (starts, ends) = (starts.as_chunks().0, ends.as_chunks().0);
        let count = usize::try_from(u64::from_le_bytes(*starts.last()?)).ok()?;
        let (items, text) = rest.split_at_checked(count.checked_mul(4)?)?;
        Some(Self {
            starts,
            ends,
            items: items.as_chunks().0,
            text,
        })
    }

    /// Number of different texts.
    pub(in crate::index) fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// The bytes of a text; `None` for a damaged table.
    pub(in crate::index) fn text(&self, text: usize) -> Option<&'a [u8]> {
        self.text.get(span(self.ends, text)?)
    }

    /// The number of a text. In a damaged table it may not be found.
    pub(in crate::index) fn find(&self, wanted: &str) -> Option<usize> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low.midpoint(high);
            match self.text(middle)?.cmp(wanted.as_bytes()) {
                std::cmp::Ordering::Equal => return Some(middle),
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        None
    }

    /// Adds the items of a text; `None` for a damaged table.
    pub(in crate::index) fn collect(&self, text: usize, into: &mut ItemSet) -> Option<()> {
        let items = self.items.get(span(self.starts, text)?)?;
        let all_exist = items
            .iter()
            .all(|&item| into.insert(u32::from_le_bytes(item)));
        all_exist.then_some(())
    }
}

fn span(table: Words<'_>, at: usize) -> Option<std::ops::Range<usize>> {
    let [start, end] = [*table.get(at)?, *table.get(at + 1)?].map(u64::from_le_bytes);
    Some(usize::try_from(start).ok()?..usize::try_from(end).ok()?)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes[at..]
        .first_chunk()
        .map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes[at..]
        .first_chunk()
        .map_or(0, |bytes| u64::from_le_bytes(*bytes))
}
