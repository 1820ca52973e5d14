//! Large segments: rows in lists around centroids, each row as its residual in seven bits a dimension.
//!
//! The first bit of a residual is its sign. Scanning only signs gives an estimate of each score
//! (`crate::kernel::signs`), the other six bits score what the estimate lets pass (`crate::kernel::codes`): the
//! codes of Gao et al., *Practical and asymptotically optimal quantization of high-dimensional vectors* (SIGMOD
//! 2025), over an inverted file (Jégou, Douze & Schmid, *Product quantization for nearest neighbor search*, 2011).
//!
//! [`cluster`] finds the centroids, [`encode`] makes the codes, [`margins`] measures how far estimates can be
//! trusted, [`search`] uses all of it, [`fetch`] asks the storage for what it will read. [`layout`] says where rows lie; this
//! file reads the sections, which `../FORMAT.md` draws.

mod best;
mod cluster;
mod encode;
mod fetch;
mod layout;
mod margins;
mod query;
mod search;
#[cfg(test)]
mod tests;

pub(super) use encode::{Rows, encode};
pub(super) use fetch::Storage;
pub(super) use layout::Form;
pub(super) use query::ListQuery;
pub(super) use search::{Effort, RowMask, nearest};

use crate::kernel::codes::CodeRows;
use crate::kernel::signs::{self, SignRows};
use layout::{LIST_ALIGNMENT, Part, Window};

/// Widest vectors that lists can hold.
pub(super) const MAX_DIM: usize = signs::MAX_DIM;
/// Fewest rows of a segment with lists: an exact scan of fewer takes less time.
pub(super) const MIN_ROWS: usize = 4096;

const BLOCK: usize = signs::BLOCK;
/// Bytes of an entry of the table of lists.
pub(super) const ENTRY_BYTES: usize = 24;
const SCALE_AT: usize = 12;
const FACTOR_SCALE_AT: usize = 20;

/// What the head of a segment says about its lists.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct ListHead {
    /// Rows of all lists.
    pub(super) rows: u32,
    /// Number of lists.
    pub(super) lists: u32,
    /// Bits of the number of an item, 1 to 32.
    pub(super) item_bits: u32,
    pub(super) margins: Margins,
}

/// What is still looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Margins {
    /// Lists whose centroid is at most so many factor scales behind the last wanted score …
    pub(super) list: f32,
    /// … and that are among so many with the nearest centroids.
    pub(super) nearest: u32,
    /// Rows whose estimate is at most so far behind the last wanted score.
    pub(super) row: f32,
}

/// The lists of a segment, where they lie.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lists<'a> {
    pub(super) head: ListHead,
    /// Padded number of dimensions.
    pub(super) dim: usize,
    /// A centroid a list, `dim` numbers each.
    pub(super) centroids: &'a [i8],
    /// An entry a list.
    pub(super) table: &'a [u8],
    /// Rows, list behind list.
    pub(super) rows: &'a [u8],
    /// How they lie.
    form: Form,
    /// Lengths of their parts.
    lengths: [u64; layout::PARTS.len()],
    /// Where they lie; `None` in memory.
    pub(super) storage: Option<Storage<'a>>,
}

/// Fixed numbers of a list.
#[derive(Clone, Copy, Debug)]
struct Entry {
    /// Where the list starts if it lies by itself, in units of 64 bytes; else 0.
    place: u32,
    /// Number of its first row.
    first: u32,
    /// Number of its rows.
    count: u32,
    /// The centroid is this times its numbers.
    scale: f32,
    /// The residual of a row is `gain_scale · gain` times its numbers.
    gain_scale: f32,
    /// What an estimate counts is `factor_scale · factor` a unit.
    factor_scale: f32,
}

/// A list. Its rows are numbered from the first row of its first block.
#[derive(Clone, Debug)]
struct List<'a> {
    entry: Entry,
    centroid: &'a [i8],
    window: Window,
    codes: CodeRows<'a>,
    gains: &'a [u8],
    factors: &'a [u8],
    items: &'a [u8],
    item_bits: u32,
    shift_bits: u32,
}

impl ListHead {
    /// Bytes in the head of a segment.
    pub(super) const BYTES: usize = 20;
    /// Where they stand there.
    const OFFSET: usize = 24;

    /// From the head of a segment with so many rows; or what was expected and found.
    pub(super) fn read(head: &[u8], rows: u32) -> Result<Self, (String, String)> {
        let [lists, item_bits, nearest, list, row] = std::array::from_fn(|i| {
            let bytes = head
                .get(Self::OFFSET + 4 * i..)
                .and_then(<[u8]>::first_chunk);
            bytes.copied().unwrap_or_default()
        });
        let [lists, item_bits, nearest] = [lists, item_bits, nearest].map(u32::from_le_bytes);
        let [list, row] = [list, row].map(f32::from_le_bytes);
        if !(1..=32).contains(&item_bits) || lists > rows {
            let found = format!("{lists} lists of {rows} rows, items of {item_bits} bits");
            return Err((
                "at most a list a row, items of 1 to 32 bits".to_owned(),
                found,
            ));
        }
        // Not a number is neither.
        if !(list >= 0.0 && row >= 0.0) {
            return Err((
                "margins of at least 0".to_owned(),
                format!("{list} and {row}"),
            ));
        }
        let margins = Margins { list, nearest, row };
        Ok(Self {
            rows,
            lists,
            item_bits,
            margins,
        })
    }

    pub(super) fn to_bytes(self) -> impl Iterator<Item = u8> {
        let counts = [self.lists, self.item_bits, self.margins.nearest].map(u32::to_le_bytes);
        let margins = [self.margins.list, self.margins.row].map(f32::to_le_bytes);
        counts.into_iter().chain(margins).flatten()
    }
}

impl Entry {
    fn read(bytes: [u8; ENTRY_BYTES]) -> Self {
        let [place, first, count, scale, gain_scale, factor_scale] =
            std::array::from_fn(|i| std::array::from_fn(|j| bytes[4 * i + j]));
        Self {
            place: u32::from_le_bytes(place),
            first: u32::from_le_bytes(first),
            count: u32::from_le_bytes(count),
            scale: f32::from_le_bytes(scale),
            gain_scale: f32::from_le_bytes(gain_scale),
            factor_scale: f32::from_le_bytes(factor_scale),
        }
    }

    fn to_bytes(self) -> impl Iterator<Item = u8> {
        let numbers = [self.place, self.first, self.count].map(u32::to_le_bytes);
        let scales = [self.scale, self.gain_scale, self.factor_scale].map(f32::to_le_bytes);
        numbers.into_iter().chain(scales).flatten()
    }
}

fn float<const AT: usize>(entry: &[u8; ENTRY_BYTES]) -> f32 {
    f32::from_le_bytes(std::array::from_fn(|i| entry[AT + i]))
}

impl<'a> Lists<'a> {
    /// Of sections whose lengths were compared with the head; what `rows` holds is for [`Lists::check_rows`].
    pub(super) fn new(
        head: ListHead,
        dim: usize,
        form: Form,
        [table, rows]: [&'a [u8]; 2],
        centroids: &'a [i8],
        storage: Option<Storage<'a>>,
    ) -> Self {
        Self {
            head,
            dim,
            centroids,
            table,
            rows,
            form,
            lengths: layout::lengths(head.rows, dim, head.item_bits),
            storage,
        }
    }

    /// Number of lists.
    pub(super) fn len(&self) -> usize {
        self.head.lists as usize
    }

    /// Whether the lists have as many rows as the head says, and no more than their bytes can hold: from then on memory
    /// can be taken by that number. Or what was expected and found.
    pub(super) fn check_rows(&self) -> Result<(), (String, String)> {
        let expected = self.head.rows;
        let bytes: u64 = self.lengths.iter().sum();
        let fits = match self.form {
            Form::Together => bytes == self.rows.len() as u64,
            Form::Apart => bytes <= self.rows.len() as u64,
        };
        let (entries, _) = self.table.as_chunks();
        let counts = entries
            .iter()
            .map(|&entry| u64::from(Entry::read(entry).count));
        let found = counts.sum::<u64>();
        if found == u64::from(expected) && fits {
            return Ok(());
        }
        Err((
            format!("{expected} rows in all lists, and bytes for them"),
            format!("{found} in {} bytes", self.rows.len()),
        ))
    }

    fn entry(&self, list: usize) -> Entry {
        let (entries, _) = self.table.as_chunks();
        Entry::read(entries[list])
    }

    /// Scale of each list's centroid, which may be damaged.
    fn scales(&self) -> impl ExactSizeIterator<Item = f32> {
        self.floats::<SCALE_AT>()
    }

    /// Scale of each list's factors, which may be damaged.
    fn factor_scales(&self) -> impl ExactSizeIterator<Item = f32> {
        self.floats::<FACTOR_SCALE_AT>()
    }

    /// Scale of a list's factors, which may be damaged.
    fn factor_scale(&self, list: usize) -> f32 {
        let (entries, _) = self.table.as_chunks();
        float::<FACTOR_SCALE_AT>(&entries[list])
    }

    fn floats<const AT: usize>(&self) -> impl ExactSizeIterator<Item = f32> {
        let (entries, _) = self.table.as_chunks();
        entries.iter().map(float::<AT>)
    }

    /// A list, or what is wrong with it: expected, found. Its numbers are finite.
    #[inline(never)]
    fn list(&self, list: usize) -> Result<List<'a>, Damage> {
        let entry = self.entry(list);
        let damage = |expected: String, found: String| Damage {
            list,
            expected,
            found,
        };
        let Some(window) = self.window(list) else {
            let found = format!(
                "{} rows from {} at {}",
                entry.count, entry.first, entry.place
            );
            return Err(damage(
                format!("rows inside of {} bytes", self.rows.len()),
                found,
            ));
        };
        let numbers = [entry.scale, entry.gain_scale, entry.factor_scale];
        if let Some(number) = numbers.iter().find(|n| !n.is_finite() || **n < 0.0) {
            return Err(damage(
                "scales that are finite and not negative".to_owned(),
                number.to_string(),
            ));
        }
        let part = |part: Part| &self.rows[window.part(part)];
        Ok(List {
            entry,
            centroid: &self.centroids[list * self.dim..][..self.dim],
            codes: CodeRows {
                signs: part(Part::Signs),
                codes: part(Part::Codes),
            },
            gains: part(Part::Gains),
            factors: part(Part::Factors),
            items: part(Part::Items),
            item_bits: self.head.item_bits,
            shift_bits: self.form.shift_bits(),
            window,
        })
    }

    /// Where a list lies, if that is inside of the rows.
    #[inline(never)]
    fn window(&self, list: usize) -> Option<Window> {
        let (entry, bits) = (&self.entry(list), self.head.item_bits);
        match self.form {
            Form::Apart => Window::apart(entry, self.dim, bits, self.rows.len()),
            Form::Together => {
                Window::together(entry, self.dim, bits, self.head.rows, &self.lengths)
            }
        }
    }
}

/// Where a row lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ListedRow {
    pub(super) item: u32,
    list: u32,
    row: u32,
}

impl Lists<'_> {
    /// All rows in the order of their items.
    pub(super) fn rows_by_item(&self) -> Result<Vec<ListedRow>, Damage> {
        let mut rows = Vec::with_capacity(self.head.rows as usize);
        for number in 0..self.len() {
            self.fetch_ahead(number, &[Part::Items]);
            let list = self.list(number)?;
            rows.extend(list.window.own.clone().map(|row| ListedRow {
                item: list.item(row),
                list: number as u32,
                row: row as u32,
            }));
        }
        rows.sort_unstable();
        Ok(rows)
    }

    /// The vector of a row, with whatever the codes say of padding dimensions behind.
    pub(super) fn decode(&self, row: &ListedRow) -> Result<Vec<f32>, Damage> {
        let list = self.list(row.list as usize)?;
        let at = row.row as usize;
        let (gain, shift) = list.gain(at);
        let scale = f64::from(list.entry.scale);
        let numbers = (0..self.dim).map(|i| {
            let odd = f64::from(2 * (i32::from(list.codes.code(at, i, self.dim)) + shift) - 127);
            (f64::from(list.centroid[i]) * scale + gain * odd) as f32
        });
        Ok(numbers.collect())
    }

    /// Reads all lists: they must follow each other without gaps, and each of the `items` must have a row.
    pub(super) fn verify(&self, items: u32) -> Result<(), Damage> {
        let mut has_row = vec![false; items as usize];
        let (mut first, mut end) = (0u32, 0usize);
        for number in 0..self.len() {
            let list = self.list(number)?;
            let damage = |expected: String, found: String| Damage {
                list: number,
                expected,
                found,
            };
            let entry = list.entry;
            let start = match self.form {
                Form::Apart => end.next_multiple_of(LIST_ALIGNMENT),
                Form::Together => 0,
            };
            if entry.place as usize * LIST_ALIGNMENT != start
                || entry.first != first
                || entry.count == 0
            {
                let expected = format!("rows from {first} at {start}");
                let found = format!(
                    "{} rows from {} at {}",
                    entry.count,
                    entry.first,
                    entry.place as usize * LIST_ALIGNMENT
                );
                return Err(damage(expected, found));
            }
            for row in list.window.own.clone() {
                let item = list.item(row);
                let Some(place) = has_row.get_mut(item as usize) else {
                    return Err(damage(format!("one of {items} items"), item.to_string()));
                };
                *place = true;
            }
            end = list.window.part(Part::Items).end;
            first = first.saturating_add(entry.count);
        }
        let damage = |expected: String, found: String| Damage {
            list: self.len(),
            expected,
            found,
        };
        let end = match self.form {
            Form::Apart => end.next_multiple_of(LIST_ALIGNMENT),
            Form::Together => end,
        };
        if first != self.head.rows || end != self.rows.len() {
            let expected = format!("{} rows in {} bytes", self.head.rows, self.rows.len());
            return Err(damage(expected, format!("{first} rows in {end} bytes")));
        }
        match has_row.iter().position(|has| !has) {
            None => Ok(()),
            Some(item) => Err(damage(
                "a row an item".to_owned(),
                format!("none of item {item}"),
            )),
        }
    }
}

/// What is wrong with a list of a damaged segment.
#[derive(Debug)]
pub(super) struct Damage {
    pub(super) list: usize,
    pub(super) expected: String,
    pub(super) found: String,
}

impl<'a> List<'a> {
    fn signs(&self, asked: Option<&'a [u16]>) -> SignRows<'a> {
        SignRows {
            skipped: self.window.own.start,
            count: self.window.own.end,
            signs: self.codes.signs,
            factors: self.factors,
            asked,
        }
    }

    /// Blocks of its window.
    fn blocks(&self) -> usize {
        self.window.own.end.div_ceil(BLOCK)
    }

    /// What the numbers of a row's code count, and what is added to each of them before.
    fn gain(&self, row: usize) -> (f64, i32) {
        let number = u16::from_le_bytes([self.gains[2 * row], self.gains[2 * row + 1]]);
        let shifts = 1 << self.shift_bits;
        let shift = i32::from(number) % shifts - shifts / 2;
        let gain = f64::from(number >> self.shift_bits) * f64::from(self.entry.gain_scale);
        (gain, shift)
    }

    /// Number of the item of a row, not checked.
    fn item(&self, row: usize) -> u32 {
        packed(self.items, row, self.item_bits)
    }
}

/// Number `i` of a list of numbers of `bits` bits each, lowest bits first.
fn packed(bytes: &[u8], i: usize, bits: u32) -> u32 {
    let at = i * bits as usize;
    let window = &bytes[at / 8..];
    let word = match window.first_chunk() {
        Some(chunk) => u64::from_le_bytes(*chunk),
        None => {
            let mut chunk = [0; 8];
            chunk[..window.len()].copy_from_slice(window);
            u64::from_le_bytes(chunk)
        }
    };
    (word >> (at % 8) & ((1 << bits) - 1)) as u32
}
