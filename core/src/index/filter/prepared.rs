//! A filter that has been evaluated for an open index: ask it many times, pay for it once.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use super::super::columns::{ColumnInfo, ColumnKind, Columns};
use super::super::lists::RowMask;
use super::super::{Index, IndexError};
use super::test::lookup;
use super::{Condition, Filter, ItemSet, Scalar};

/// The items of an index that a filter leaves, as a bit an item.
#[derive(Clone, Debug)]
pub struct PreparedFilter {
    /// One for each segment.
    sets: Vec<FilteredItems>,
    /// Digests of the segments, within which items are numbered, and of their tombstones.
    of: Vec<String>,
}

/// What a filter leaves of a segment.
#[derive(Clone, Debug)]
pub(in crate::index) struct FilteredItems {
    pub(in crate::index) items: ItemSet,
    /// The same as rows that live, where a search of lists has asked for it.
    pub(in crate::index) rows: OnceLock<Arc<RowMask>>,
}

impl PreparedFilter {
    /// Items that the filter leaves, each of which a search can find.
    pub fn count(&self) -> u64 {
        self.sets
            .iter()
            .map(|set| u64::from(set.items.count()))
            .sum()
    }

    /// For each segment the items left.
    ///
    /// # Errors
    /// [`IndexError::ForeignFilter`] when it was prepared for another index.
    pub(in crate::index) fn sets(&self, index: &Index) -> Result<&[FilteredItems], IndexError> {
        if !segments_of(index).eq(self.of.iter()) {
            return Err(IndexError::ForeignFilter);
        }
        Ok(&self.sets)
    }
}

fn segments_of(index: &Index) -> impl Iterator<Item = &String> {
    index.manifest().segments.iter().flat_map(|entry| {
        let tombstones = entry.tombstones.as_ref().map(|dead| &dead.file.sha256);
        std::iter::once(&entry.file.sha256).chain(tombstones)
    })
}

impl Index {
    /// Evaluates a filter for the whole index, to be used in any number of queries.
    ///
    /// A key that no item has leaves nothing, as in the well-known engines;
    /// [`Self::unknown_keys`] tells.
    ///
    /// # Errors
    /// [`IndexError::BadFilter`] over the limits, [`IndexError::FilterKind`] when a condition asks a
    /// column for another kind of value than it has, [`IndexError::Corrupt`] for damage.
    pub fn prepare(&self, filter: &Filter) -> Result<PreparedFilter, IndexError> {
        filter.check()?;
        self.check_kinds(filter)?;
        let sets = self.segments().iter().map(|segment| {
            let mut items = filter.select(segment)?;
            if let Some(dead) = &segment.tombstones {
                items.subtract(&dead.to_set());
            }
            Ok(FilteredItems {
                items,
                rows: OnceLock::new(),
            })
        });
        Ok(PreparedFilter {
            sets: sets.collect::<Result<_, IndexError>>()?,
            of: segments_of(self).cloned().collect(),
        })
    }

    /// The columns by name.
    ///
    /// # Errors
    /// [`IndexError::Corrupt`] for a damaged directory of columns.
    pub fn columns(&self) -> Result<Vec<ColumnInfo>, IndexError> {
        let mut found: Vec<ColumnInfo> = Vec::new();
        for segment in self.segments() {
            for column in Columns::of(segment)?.iter().flat_map(Columns::iter) {
                match found.iter_mut().find(|info| info.name == column.name) {
                    Some(info) if info.kind != column.kind => info.kind = ColumnKind::Unindexed,
                    Some(_) => {}
                    None => found.push(ColumnInfo {
                        name: column.name.to_owned(),
                        kind: column.kind,
                    }),
                }
            }
        }
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    /// Those of these keys that no payload has, in the order given: most likely misspelt.
    ///
    /// # Errors
    /// [`IndexError::Corrupt`] for damage.
    pub fn unknown_keys<'a>(
        &self,
        keys: impl IntoIterator<Item = &'a str>,
    ) -> Result<Vec<&'a str>, IndexError> {
        let mut unknown = Vec::new();
        for key in keys {
            if !unknown.contains(&key) && !self.has_key(key)? {
                unknown.push(key);
            }
        }
        Ok(unknown)
    }

    fn has_key(&self, key: &str) -> Result<bool, IndexError> {
        for segment in self.segments() {
            let columns = Columns::of(segment)?;
            if let Some(columns) = &columns {
                if columns.get(key).is_some() {
                    return Ok(true);
                }
                if columns.exclude(key) {
                    continue;
                }
            }
            for item in 0..segment.items() {
                if lookup(&segment.payload(item)?, key).is_some() {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// A condition is refused when every segment that has the field has it as a column that no value
    /// of the condition can be in: that is a mistake, not an empty answer.
    fn check_kinds(&self, filter: &Filter) -> Result<(), IndexError> {
        let mut columns = Vec::new();
        for segment in self.segments() {
            columns.push(Columns::of(segment)?);
        }
        for condition in filter.conditions() {
            let Some((key, needs)) = demand(condition) else {
                continue;
            };
            let mut other = None;
            let fits = columns.iter().any(|columns| match columns {
                None => true,
                Some(columns) => match columns.get(key).map(|column| column.kind) {
                    None => !columns.exclude(key),
                    Some(ColumnKind::Unindexed) => true,
                    Some(kind) => {
                        other = Some(kind);
                        needs.kinds.contains(&kind)
                    }
                },
            });
            if let (false, Some(kind)) = (fits, other) {
                return Err(IndexError::FilterKind {
                    column: key.to_owned(),
                    kind,
                    condition: needs.name,
                });
            }
        }
        Ok(())
    }
}

/// What a condition asks of its column.
struct Demand {
    name: String,
    kinds: BTreeSet<ColumnKind>,
}

const TEXTS: [ColumnKind; 3] = [ColumnKind::Keyword, ColumnKind::Tags, ColumnKind::Timestamp];
const NUMBERS: [ColumnKind; 2] = [ColumnKind::Integer, ColumnKind::Float];

fn demand(condition: &Condition) -> Option<(&str, Demand)> {
    let (name, kinds): (&str, Vec<ColumnKind>) = match condition {
        Condition::Match { test, .. } => {
            let kinds = test.operands().iter().flat_map(|operand| match operand {
                Scalar::Text(_) => TEXTS.as_slice(),
                Scalar::Number(_) => &NUMBERS,
                Scalar::Bool(_) => &[ColumnKind::Bool],
            });
            let kinds: Vec<ColumnKind> = kinds.copied().collect();
            // An empty list asks for nothing in particular.
            let name = match kinds.first()? {
                ColumnKind::Keyword => "match with a text",
                ColumnKind::Integer => "match with a number",
                _ => "match with true or false",
            };
            (name, kinds)
        }
        Condition::Range { .. } => ("range of numbers", NUMBERS.to_vec()),
        Condition::Time { .. } => ("range of times", TEXTS.to_vec()),
        Condition::GeoRadius { .. } => ("geo_radius", vec![ColumnKind::Geo]),
        Condition::GeoBox { .. } => ("geo_bounding_box", vec![ColumnKind::Geo]),
        _ => return None,
    };
    let demand = Demand {
        name: name.to_owned(),
        kinds: kinds.into_iter().collect(),
    };
    Some((condition.key()?, demand))
}
