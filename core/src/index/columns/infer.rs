//! Which fields become columns, and of which kind: the narrowest that fits every value.

use std::collections::{BTreeMap, HashSet};

use serde_json::Value;

use super::{ColumnKind, MAX_COLUMNS, Schema};
use crate::index::filter::is_absent;

/// A longer text is a description, which nobody filters for by its every byte.
const MAX_TEXT_BYTES: usize = 256;
/// Fewer different texts are worth a column even if no two items share one.
const FEW_TEXTS: usize = 1024;

/// What is known of a field.
struct Field {
    /// Items that have a value.
    values: usize,
    /// Kinds that fit all of them.
    fitting: Vec<ColumnKind>,
    texts: usize,
    different: HashSet<String>,
    long: bool,
}

impl Default for Field {
    fn default() -> Self {
        Self {
            values: 0,
            fitting: ColumnKind::INDEXED.to_vec(),
            texts: 0,
            different: HashSet::new(),
            long: false,
        }
    }
}

impl Field {
    fn push(&mut self, value: &Value) {
        self.fitting.retain(|kind| kind.fits(value));
        if is_absent(Some(value)) {
            return;
        }
        self.values += 1;
        // Texts are counted only for a field that may become a column of texts.
        if self.long || !self.fitting.contains(&ColumnKind::Tags) {
            self.different = HashSet::new();
            return;
        }
        for text in value
            .as_array()
            .map_or(std::slice::from_ref(value), Vec::as_slice)
        {
            let text = text.as_str().unwrap_or_default();
            self.texts += 1;
            self.long |= text.len() > MAX_TEXT_BYTES;
            if !self.long && !self.different.contains(text) {
                self.different.insert(text.to_owned());
            }
        }
    }

    fn kind(&self) -> ColumnKind {
        match self.fitting.first() {
            _ if self.values == 0 => ColumnKind::Unindexed,
            None => ColumnKind::Unindexed,
            Some(ColumnKind::Keyword | ColumnKind::Tags) if self.is_prose() => {
                ColumnKind::Unindexed
            }
            Some(kind) => *kind,
        }
    }

    fn is_prose(&self) -> bool {
        let different = self.different.len();
        self.long || different > FEW_TEXTS && 2 * different > self.texts
    }
}

/// The fields of `0..items` payloads with their kinds: those demanded, then those that most items
/// have, by name where equally many do.
pub(super) fn kinds<E>(
    schema: &Schema,
    items: u32,
    payload: impl Fn(u32) -> Result<Value, E>,
) -> Result<BTreeMap<String, ColumnKind>, E> {
    let mut fields: BTreeMap<String, Field> = BTreeMap::new();
    for item in 0..items {
        let payload = payload(item)?;
        for (name, value) in payload.as_object().into_iter().flatten() {
            match fields.get_mut(name) {
                Some(field) => field.push(value),
                None => fields.entry(name.clone()).or_default().push(value),
            }
        }
    }
    // What is demanded but nowhere found makes no section of its own.
    let demanded = schema
        .0
        .iter()
        .filter(|(name, _)| fields.contains_key(*name));
    let demanded = demanded.take(MAX_COLUMNS);
    let mut kinds: BTreeMap<String, ColumnKind> =
        demanded.map(|(name, kind)| (name.clone(), *kind)).collect();
    let mut others: Vec<_> = fields
        .iter()
        .filter(|(name, _)| !kinds.contains_key(*name))
        .collect();
    others.sort_by_key(|(_, field)| std::cmp::Reverse(field.values));
    let places = MAX_COLUMNS.saturating_sub(kinds.len());
    let others = others.into_iter().take(places);
    kinds.extend(others.map(|(name, field)| (name.clone(), field.kind())));
    Ok(kinds)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn inferred(values: &[Value]) -> ColumnKind {
        let payload = |item: u32| Ok::<_, ()>(json!({ "field": values[item as usize] }));
        kinds(&Schema::default(), values.len() as u32, payload).unwrap()["field"]
    }

    #[test]
    fn the_narrowest_kind_that_fits_all_values() {
        for (values, kind) in [
            (vec![json!(true), json!(null)], ColumnKind::Bool),
            (vec![json!(1), json!(-7), json!([])], ColumnKind::Integer),
            (vec![json!(1), json!(2.5)], ColumnKind::Float),
            (vec![json!(1), json!(u64::MAX)], ColumnKind::Float),
            (
                vec![json!((1i64 << 53) + 1), json!(2.5)],
                ColumnKind::Unindexed,
            ),
            (
                vec![json!("2026-01-01"), json!("2026-01-01T10:00:00Z")],
                ColumnKind::Timestamp,
            ),
            (
                vec![json!("2026-01-01"), json!("soon")],
                ColumnKind::Keyword,
            ),
            (vec![json!("red"), json!(["red", "blue"])], ColumnKind::Tags),
            (vec![json!(["2026-01-01"])], ColumnKind::Tags),
            (vec![json!({"lat": 1, "lon": 2.5})], ColumnKind::Geo),
            (vec![json!({"lat": 91, "lon": 2.5})], ColumnKind::Unindexed),
            (vec![json!(1), json!("1")], ColumnKind::Unindexed),
            (vec![json!(["a", null])], ColumnKind::Unindexed),
            (vec![json!([1, 2])], ColumnKind::Unindexed),
            (vec![json!(null), json!([])], ColumnKind::Unindexed),
            (vec![json!("x".repeat(256))], ColumnKind::Keyword),
            (vec![json!("x".repeat(257))], ColumnKind::Unindexed),
            (
                (0..1024).map(|i| json!(i.to_string())).collect(),
                ColumnKind::Keyword,
            ),
            (
                (0..1025).map(|i| json!(i.to_string())).collect(),
                ColumnKind::Unindexed,
            ),
            (
                (0..5000).map(|i| json!((i % 2500).to_string())).collect(),
                ColumnKind::Keyword,
            ),
        ] {
            assert_eq!(inferred(&values), kind, "{:?}…", values[0]);
        }
    }

    #[test]
    fn demanded_kinds_and_frequent_fields_come_first() {
        let payload = |item: u32| {
            let mut fields: serde_json::Map<String, Value> = (0..70)
                .map(|i| (format!("field {i:02}"), json!(i)))
                .collect();
            if item == 0 {
                fields.insert("aa rare".to_owned(), json!("x"));
                fields.insert("ab demanded".to_owned(), json!("2026-01-01"));
            }
            Ok::<_, ()>(Value::Object(fields))
        };
        let schema = Schema::from_json(r#"{"ab demanded": "keyword", "absent": "bool"}"#).unwrap();
        let kinds = kinds(&schema, 3, payload).unwrap();
        assert_eq!(kinds.len(), MAX_COLUMNS);
        assert_eq!(kinds["ab demanded"], ColumnKind::Keyword);
        assert!(kinds.contains_key("field 62") && !kinds.contains_key("field 63"));
        assert!(!kinds.contains_key("aa rare") && !kinds.contains_key("absent"));
    }
}
