//! Typed columns: the fields of the payloads, field by field instead of item by item, so that a
//! filter scans a flat array and parses no JSON.
//!
//! Columns make filters fast and never decide them: a column says exactly what the payloads say, a
//! field without one is read from the payloads. `infer` chooses the types, `encode` lays the section
//! out (`../FORMAT.md`), `read` uses it in place.

mod encode;
mod infer;
mod read;

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::filter::{Number, Timestamp, as_point, is_absent};
use super::items::Item;
use super::segment::Segment;
use super::{IndexError, ItemFault};
use crate::container::{ContainerWriter, Tag};

pub(super) use read::{Column, Columns, Data, Words};

/// The section of a segment; absent when no payload has a field.
pub(super) const TAG: Tag = Tag(*b"cols");

/// Most columns of an index.
pub const MAX_COLUMNS: usize = 64;

/// What the values of a column are. A field that is absent, `null` or an empty list has no value and
/// fits every column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u32)]
pub enum ColumnKind {
    /// Whatever the payloads hold: filters read the payloads.
    Unindexed = 0,
    /// Texts, compared byte by byte.
    Keyword = 1,
    /// Lists of texts; a text alone is a list of one.
    Tags = 2,
    /// Whole numbers of 64 bits.
    Integer = 3,
    /// Numbers in double precision; whole ones up to 2⁵³.
    Float = 4,
    /// `true` and `false`.
    Bool = 5,
    /// Texts that are times as in RFC 3339.
    Timestamp = 6,
    /// `{"lat": …, "lon": …}`.
    Geo = 7,
}

impl ColumnKind {
    /// In the order of preference where several fit.
    const INDEXED: [Self; 7] = [
        Self::Bool,
        Self::Integer,
        Self::Float,
        Self::Timestamp,
        Self::Geo,
        Self::Keyword,
        Self::Tags,
    ];

    /// The kind of that number.
    fn of_number(number: u32) -> Option<Self> {
        let all = Self::INDEXED.into_iter().chain([Self::Unindexed]);
        all.into_iter().find(|kind| *kind as u32 == number)
    }

    /// Whether a value can stand in a column of this kind.
    fn fits(self, value: &Value) -> bool {
        let number = || match value {
            Value::Number(number) => Number::of_json(number),
            _ => None,
        };
        is_absent(Some(value))
            || match self {
                Self::Unindexed => true,
                Self::Keyword => value.is_string(),
                Self::Tags => match value {
                    Value::Array(elements) => elements.iter().all(Value::is_string),
                    value => value.is_string(),
                },
                Self::Integer => matches!(number(), Some(Number::Integer(_))),
                Self::Float => number().and_then(as_double).is_some(),
                Self::Bool => value.is_boolean(),
                Self::Timestamp => value
                    .as_str()
                    .is_some_and(|text| text.parse::<Timestamp>().is_ok()),
                Self::Geo => as_point(value).is_some(),
            }
    }
}

/// A number that is the same in double precision. Integers beyond 2⁶³ are none of them: they have
/// been rounded.
fn as_double(number: Number) -> Option<f64> {
    match number {
        Number::Integer(value) => (value.unsigned_abs() <= 1 << 53).then_some(value as f64),
        Number::Float(value) => Some(value),
    }
}

impl fmt::Display for ColumnKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unindexed => "unindexed",
            Self::Keyword => "keyword",
            Self::Tags => "tags",
            Self::Integer => "integer",
            Self::Float => "float",
            Self::Bool => "bool",
            Self::Timestamp => "timestamp",
            Self::Geo => "geo",
        })
    }
}

/// Kinds that are demanded instead of inferred, by field: as JSON,
/// `{"brand": "keyword", "price": "float", "description": "unindexed"}`.
///
/// A field without an entry gets the first of bool, integer, float, timestamp, geo, keyword, tags
/// that fits all its values in a segment, or no column: when none fits, when a text is longer than
/// 256 bytes, or when it has more than 1,024 different texts and most values are different (titles,
/// file names). At most 64 fields get a column, those that most items have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Schema(BTreeMap<String, ColumnKind>);

/// A schema that cannot be read, or that demands too much.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// Not a JSON object from names of fields to kinds.
    #[error(
        "expected columns as JSON, {{\"brand\": \"keyword\", …}} with the kinds unindexed, \
        keyword, tags, integer, float, bool, timestamp, geo; found: {0}"
    )]
    Json(#[from] serde_json::Error),
    /// More than [`MAX_COLUMNS`].
    #[error(
        "expected at most {MAX_COLUMNS} columns, found {found}; leave out what no filter asks for"
    )]
    TooMany {
        /// Columns demanded.
        found: usize,
    },
}

impl Schema {
    /// Reads a schema from JSON.
    ///
    /// # Errors
    /// [`SchemaError`].
    pub fn from_json(text: &str) -> Result<Self, SchemaError> {
        Self::new(serde_json::from_str(text)?)
    }

    /// A schema of these kinds, by field.
    ///
    /// # Errors
    /// [`SchemaError::TooMany`].
    pub fn new(kinds: BTreeMap<String, ColumnKind>) -> Result<Self, SchemaError> {
        match kinds.len() {
            0..=MAX_COLUMNS => Ok(Self(kinds)),
            found => Err(SchemaError::TooMany { found }),
        }
    }

    /// Whether nothing is demanded.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a payload has what is demanded.
    pub(super) fn check(&self, payload: &Value) -> Result<(), ItemFault> {
        for (name, kind) in &self.0 {
            if let Some(value) = payload.get(name)
                && !kind.fits(value)
            {
                return Err(ItemFault::ColumnKind {
                    column: name.clone(),
                    expected: *kind,
                    found: super::items::shorten(&value.to_string()),
                });
            }
        }
        Ok(())
    }
}

/// A column of an index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ColumnInfo {
    /// The field of the payloads.
    pub name: String,
    /// What it holds; `Unindexed` where segments disagree.
    pub kind: ColumnKind,
}

/// Adds the columns of these items to their segment.
pub(super) fn add_to(writer: &mut ContainerWriter<'_>, items: &[(String, Item)], schema: &Schema) {
    let payload = |item: u32| {
        let payload = &items[item as usize].1.payload;
        Ok::<Value, std::convert::Infallible>(
            serde_json::from_slice(payload).expect("compact JSON, written by us"),
        )
    };
    let count = items.len() as u32;
    let Ok(kinds) = infer::kinds(schema, count, payload);
    if kinds.is_empty() {
        return;
    }
    match encode::section(&kinds, count, payload) {
        Ok(Ok(section)) => {
            writer.section(TAG, section);
        }
        Ok(Err(misfit)) => unreachable!("kinds fit the payloads they come from: {misfit:?}"),
    }
}

/// Whether the section is, byte for byte, what the payloads and its own kinds make.
pub(super) fn verify(segment: &Segment) -> Result<(), IndexError> {
    let Some(columns) = Columns::of(segment)? else {
        return Ok(());
    };
    let kinds: BTreeMap<String, ColumnKind> = columns
        .iter()
        .map(|column| (column.name.to_owned(), column.kind))
        .collect();
    let found = segment.container().section(TAG).unwrap_or_default();
    let expected = match encode::section(&kinds, segment.items(), |item| segment.payload(item))? {
        Ok(expected) => expected,
        Err(misfit) => {
            let what = format!("column {:?}", misfit.column);
            let expected = format!("a column that fits item {}", misfit.item);
            return Err(segment.corrupt(&what, expected, misfit.kind));
        }
    };
    if expected == found {
        return Ok(());
    }
    let at = expected.iter().zip(found).position(|(a, b)| a != b);
    let at = at.unwrap_or(expected.len().min(found.len()));
    Err(segment.corrupt(
        &format!("section {TAG} at {at}"),
        "what the payloads say",
        "something else",
    ))
}
