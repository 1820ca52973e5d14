//! Payloads to the section of columns: a function of the payloads and the kinds alone, so that
//! `verify` can make it again and compare.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{ColumnKind, as_double};
use crate::index::filter::{Number, Timestamp, as_point, is_absent};

pub(super) const HEAD_BYTES: usize = 8;
pub(super) const ENTRY_BYTES: usize = 40;
/// There are fields that are no columns, because there are too many.
pub(super) const MORE_FIELDS: u32 = 1;

/// A value that a column of its kind cannot hold.
#[derive(Debug)]
pub(super) struct Misfit {
    pub(super) column: String,
    pub(super) kind: ColumnKind,
    pub(super) item: u32,
}

/// The section for `0..items` payloads.
pub(super) fn section<E>(
    kinds: &BTreeMap<String, ColumnKind>,
    items: u32,
    payload: impl Fn(u32) -> Result<Value, E>,
) -> Result<Result<Vec<u8>, Misfit>, E> {
    let mut columns: Vec<_> = kinds
        .iter()
        .map(|(name, kind)| (name, *kind, Builder::new(*kind, items)))
        .collect();
    let mut flags = 0;
    for item in 0..items {
        let payload = payload(item)?;
        let fields = payload.as_object().into_iter().flatten();
        if fields
            .into_iter()
            .any(|(name, _)| !kinds.contains_key(name))
        {
            flags = MORE_FIELDS;
        }
        for (name, kind, builder) in &mut columns {
            let value = payload
                .get(name.as_str())
                .filter(|&value| !is_absent(Some(value)));
            let Some(value) = value else { continue };
            if !kind.fits(value) {
                let (column, kind) = ((*name).clone(), *kind);
                return Ok(Err(Misfit { column, kind, item }));
            }
            builder.push(item, value);
        }
    }

    let mut head: Vec<u8> = (columns.len() as u32).to_le_bytes().to_vec();
    head.extend(flags.to_le_bytes());
    let mut behind = Vec::new();
    let start = HEAD_BYTES + ENTRY_BYTES * columns.len();
    for (name, kind, builder) in columns {
        let (texts, data) = builder.finish();
        let name_at = start + behind.len();
        behind.extend(name.bytes());
        behind.resize((start + behind.len()).next_multiple_of(8) - start, 0);
        let data_at = start + behind.len();
        head.extend((kind as u32).to_le_bytes());
        head.extend((name.len() as u32).to_le_bytes());
        head.extend((name_at as u64).to_le_bytes());
        head.extend((data_at as u64).to_le_bytes());
        head.extend((data.len() as u64).to_le_bytes());
        head.extend(u64::from(texts).to_le_bytes());
        behind.extend(data);
    }
    head.extend(behind);
    Ok(Ok(head))
}

/// A column while it is built.
struct Builder {
    kind: ColumnKind,
    /// Bit `i % 64` of word `i / 64`: item `i` has a value.
    present: Vec<u64>,
    /// For truth values, those that are true.
    truths: Vec<u64>,
    /// Eight bytes a value, or sixteen.
    values: Vec<u8>,
    /// The items of each text.
    postings: BTreeMap<String, BTreeSet<u32>>,
}

impl Builder {
    fn new(kind: ColumnKind, items: u32) -> Self {
        let words = items.div_ceil(64) as usize;
        let width = match kind {
            ColumnKind::Integer | ColumnKind::Float | ColumnKind::Timestamp => 8,
            ColumnKind::Geo => 16,
            _ => 0,
        };
        Self {
            kind,
            present: vec![0; words],
            truths: vec![0; words],
            values: vec![0; width * items as usize],
            postings: BTreeMap::new(),
        }
    }

    /// Takes a value that fits.
    fn push(&mut self, item: u32, value: &Value) {
        let (word, bit) = (item as usize / 64, 1 << (item % 64));
        self.present[word] |= bit;
        let mut put = |part: usize, parts: usize, bytes: [u8; 8]| {
            let at = 8 * (parts * item as usize + part);
            self.values[at..at + 8].copy_from_slice(&bytes);
        };
        match (self.kind, value) {
            (ColumnKind::Bool, Value::Bool(true)) => self.truths[word] |= bit,
            (ColumnKind::Integer, Value::Number(number)) => {
                put(0, 1, number.as_i64().unwrap_or_default().to_le_bytes());
            }
            (ColumnKind::Float, Value::Number(number)) => {
                let value = Number::of_json(number)
                    .and_then(as_double)
                    .unwrap_or_default();
                put(0, 1, value.to_le_bytes());
            }
            (ColumnKind::Timestamp, Value::String(text)) => {
                let micros = text.parse().map_or(0, Timestamp::micros);
                put(0, 1, micros.to_le_bytes());
            }
            (ColumnKind::Geo, value) => {
                if let Some(point) = as_point(value) {
                    put(0, 2, point.lat.to_le_bytes());
                    put(1, 2, point.lon.to_le_bytes());
                }
            }
            (ColumnKind::Keyword | ColumnKind::Tags, Value::Array(texts)) => {
                for text in texts {
                    self.post(item, text.as_str().unwrap_or_default());
                }
            }
            (ColumnKind::Keyword | ColumnKind::Tags, Value::String(text)) => self.post(item, text),
            _ => {}
        }
    }

    fn post(&mut self, item: u32, text: &str) {
        match self.postings.get_mut(text) {
            Some(items) => items.insert(item),
            None => self
                .postings
                .entry(text.to_owned())
                .or_default()
                .insert(item),
        };
    }

    /// Number of different texts, and the column's bytes.
    fn finish(self) -> (u32, Vec<u8>) {
        let words = |words: &[u64]| words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let present: Vec<u8> = words(&self.present);
        match self.kind {
            ColumnKind::Unindexed => (0, Vec::new()),
            ColumnKind::Bool => (0, [present, words(&self.truths)].concat()),
            ColumnKind::Keyword | ColumnKind::Tags => self.finish_texts(),
            _ => (0, [present, self.values].concat()),
        }
    }

    fn finish_texts(self) -> (u32, Vec<u8>) {
        let (mut starts, mut ends) = (vec![0u64], vec![0u64]);
        let (mut items, mut texts): (Vec<u32>, Vec<u8>) = (Vec::new(), Vec::new());
        for (text, posting) in &self.postings {
            items.extend(posting);
            texts.extend(text.bytes());
            starts.push(items.len() as u64);
            ends.push(texts.len() as u64);
        }
        let tables = starts.iter().chain(&ends).flat_map(|n| n.to_le_bytes());
        let items = items.iter().flat_map(|item| item.to_le_bytes());
        let data = tables.chain(items).chain(texts).collect();
        (self.postings.len() as u32, data)
    }
}
