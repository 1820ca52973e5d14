//! Filters as Weaviate's `Filters`. What it cannot be asked, it is asked more widely: its answer is then looked through
//! with the filter itself, so that the same items are left as in an index.
//!
//! Each column of the index is a property, and a point is two of them, its latitude and longitude. Weaviate's own points
//! serve no filter: of all that lie in a circle it finds the 800 that its graph comes across.

use pocketlens::index::filter::{
    Condition, Filter, GeoBox, Match, Number, Range, Scalar, Timestamp,
};
use pocketlens::index::{ColumnKind, MAX_COLUMNS};

use super::super::EngineError;
use super::circle::box_around;
use super::protocol::{FilterTarget, Filters, Operator, TestValue, TextArray};
use super::schema::{Column, lat_of, lon_of, text_of};

/// What Weaviate is asked.
pub(super) struct Asked {
    /// They leave at least what the filter leaves.
    pub(super) conditions: Filters,
    /// They leave just that.
    pub(super) is_exact: bool,
}

/// # Errors
/// [`EngineError::BadQuery`] for a condition that does not suit the kind of its column.
pub(super) fn asked_of(filter: &Filter, columns: &[Column]) -> Result<Asked, EngineError> {
    let each = |conditions: &[Condition]| {
        let conditions = conditions.iter();
        let conditions = conditions.map(|condition| of_condition(condition, columns));
        conditions.collect::<Result<Vec<_>, _>>()
    };
    let mut parts = each(&filter.must)?;
    if !filter.should.is_empty() {
        parts.push(any_of(each(&filter.should)?));
    }
    parts.extend(each(&filter.must_not)?.into_iter().map(not));
    Ok(all_of(parts))
}

fn of_condition(condition: &Condition, columns: &[Column]) -> Result<Asked, EngineError> {
    let key = match condition {
        Condition::HasId(keys) if keys.is_empty() => return Ok(nothing()),
        Condition::HasId(keys) => return Ok(exact(any_text_of("plx_key", keys.iter().cloned()))),
        Condition::Filter(inner) => return asked_of(inner, columns),
        of_field => of_field.key().unwrap_or_default(),
    };
    match columns.iter().find(|column| column.name == key) {
        Some(column) if column.kind == ColumnKind::Unindexed => Ok(wide(everything())),
        Some(column) => on_column(condition, column),
        None => {
            // `a.b` may be a field of a field; and of very many fields some have no column.
            let outer = key.split('.').next().unwrap_or_default();
            let may_exist = columns.iter().any(|column| column.name == outer);
            Ok(match condition {
                _ if may_exist || columns.len() >= MAX_COLUMNS => wide(everything()),
                // A key that no item has.
                Condition::IsEmpty(_) => everything(),
                _ => nothing(),
            })
        }
    }
}

fn on_column(condition: &Condition, column: &Column) -> Result<Asked, EngineError> {
    let path = column.property.as_str();
    let present = match column.kind {
        ColumnKind::Geo => lat_of(path),
        _ => path.to_owned(),
    };
    let mismatch = |asked: &str| {
        let (key, kind) = (&column.name, column.kind);
        EngineError::BadQuery(format!(
            "the filter asks {key:?} for a {asked}, but it holds {kind} values"
        ))
    };
    match condition {
        Condition::IsEmpty(_) => Ok(is_null(&present, true)),
        // Which Weaviate cannot tell from absent.
        Condition::IsNull(_) => Ok(wide(is_null(&present, true))),
        Condition::Match { test, .. } => {
            let operands = test.operands().iter();
            let listed: Vec<_> = operands.filter_map(|value| equals(column, value)).collect();
            if listed.is_empty() && !test.operands().is_empty() {
                return Err(mismatch("value of another kind"));
            }
            let listed = any_of(listed);
            Ok(match test {
                Match::Value(_) | Match::Any(_) => listed,
                // It holds where one tag is none of these; "no tag is one of these" is all that can be asked there.
                Match::Except(_) if column.kind == ColumnKind::Tags => {
                    wide(is_null(&present, false))
                }
                Match::Except(_) => all_of(vec![is_null(&present, false), not(listed)]),
            })
        }
        Condition::Range { range, .. } => match column.kind {
            ColumnKind::Integer | ColumnKind::Float => {
                let bounds = range.bounds().map(|(name, number)| {
                    compare(operator(name), path, TestValue::Number(as_float(number)))
                });
                Ok(all_of(bounds.collect()))
            }
            _ => Err(mismatch("range of numbers")),
        },
        Condition::Time { range, .. } => match column.kind {
            ColumnKind::Timestamp => Ok(all_of(times(path, range))),
            _ => Err(mismatch("range of times")),
        },
        Condition::GeoRadius { circle, .. } => match column.kind {
            ColumnKind::Geo => Ok(wide(within(path, &box_around(circle)))),
            _ => Err(mismatch("geo_radius")),
        },
        Condition::GeoBox { area, .. } => match column.kind {
            ColumnKind::Geo => Ok(within(path, area)),
            _ => Err(mismatch("geo_bounding_box")),
        },
        Condition::HasId(_) | Condition::Filter(_) => {
            unreachable!("no conditions on a column")
        }
    }
}

/// `None` where no value of the column can be equal.
fn equals(column: &Column, operand: &Scalar) -> Option<Asked> {
    let path = column.property.as_str();
    let (path, value) = match (column.kind, operand) {
        (ColumnKind::Keyword | ColumnKind::Tags, Scalar::Text(text)) => {
            (path.to_owned(), TestValue::Text(text.clone()))
        }
        (ColumnKind::Timestamp, Scalar::Text(text)) => {
            (text_of(path), TestValue::Text(text.clone()))
        }
        (ColumnKind::Integer | ColumnKind::Float, Scalar::Number(number)) => {
            (path.to_owned(), TestValue::Number(as_float(*number)))
        }
        (ColumnKind::Bool, Scalar::Bool(value)) => (path.to_owned(), TestValue::Boolean(*value)),
        _ => return None,
    };
    Some(compare(Operator::Equal, &path, value))
}

fn times(path: &str, range: &Range<Timestamp>) -> Vec<Asked> {
    let bounds = range.bounds();
    bounds
        .map(|(name, time)| compare(operator(name), path, TestValue::Text(time.to_string())))
        .collect()
}

fn within(path: &str, area: &GeoBox) -> Asked {
    let number =
        |path: String, operator, value: f64| compare(operator, &path, TestValue::Number(value));
    let (north, south) = (area.top_left.lat, area.bottom_right.lat);
    let (west, east) = (area.top_left.lon, area.bottom_right.lon);
    let from_west = number(lon_of(path), Operator::GreaterThanEqual, west);
    let to_east = number(lon_of(path), Operator::LessThanEqual, east);
    let across = if west <= east {
        all_of(vec![from_west, to_east])
    } else {
        // Over the 180th meridian.
        any_of(vec![from_west, to_east])
    };
    all_of(vec![
        number(lat_of(path), Operator::LessThanEqual, north),
        number(lat_of(path), Operator::GreaterThanEqual, south),
        across,
    ])
}

fn operator(bound: &str) -> Operator {
    match bound {
        "gt" => Operator::GreaterThan,
        "gte" => Operator::GreaterThanEqual,
        "lt" => Operator::LessThan,
        _ => Operator::LessThanEqual,
    }
}

fn as_float(number: Number) -> f64 {
    match number {
        Number::Integer(value) => value as f64,
        Number::Float(value) => value,
    }
}

/// One of these texts.
pub(super) fn any_text_of(property: &str, texts: impl IntoIterator<Item = String>) -> Filters {
    let values = texts.into_iter().collect();
    test(
        Operator::ContainsAny,
        property,
        TestValue::Texts(TextArray { values }),
    )
}

fn test(operator: Operator, property: &str, value: TestValue) -> Filters {
    Filters {
        operator: operator.into(),
        operands: Vec::new(),
        value: Some(value),
        target: Some(FilterTarget {
            property: Some(property.to_owned()),
        }),
    }
}

fn compare(operator: Operator, property: &str, value: TestValue) -> Asked {
    exact(test(operator, property, value))
}

fn exact(conditions: Filters) -> Asked {
    Asked {
        conditions,
        is_exact: true,
    }
}

/// What leaves more than it should.
fn wide(asked: Asked) -> Asked {
    Asked {
        is_exact: false,
        ..asked
    }
}

fn is_null(property: &str, value: bool) -> Asked {
    compare(Operator::IsNull, property, TestValue::Boolean(value))
}

fn everything() -> Asked {
    is_null("plx_key", false)
}

fn nothing() -> Asked {
    is_null("plx_key", true)
}

fn not(asked: Asked) -> Asked {
    match asked.is_exact {
        true => exact(operation(Operator::Not, vec![asked.conditions])),
        // What leaves too much would take too much away.
        false => wide(everything()),
    }
}

fn all_of(parts: Vec<Asked>) -> Asked {
    joined(Operator::And, parts, everything)
}

fn any_of(parts: Vec<Asked>) -> Asked {
    joined(Operator::Or, parts, nothing)
}

fn joined(operator: Operator, mut parts: Vec<Asked>, empty: fn() -> Asked) -> Asked {
    match parts.len() {
        0 => empty(),
        1 => parts.remove(0),
        _ => Asked {
            is_exact: parts.iter().all(|part| part.is_exact),
            conditions: operation(
                operator,
                parts.into_iter().map(|part| part.conditions).collect(),
            ),
        },
    }
}

fn operation(operator: Operator, operands: Vec<Filters>) -> Filters {
    Filters {
        operator: operator.into(),
        operands,
        value: None,
        target: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_widely_takes_nothing_away() {
        let columns = [Column {
            name: "tags".to_owned(),
            kind: ColumnKind::Tags,
            property: "c0".to_owned(),
        }];
        let asked = |json: &str| asked_of(&Filter::from_json(json).unwrap(), &columns).unwrap();
        let wide = r#"{"key": "tags", "match": {"except": ["new"]}}"#;
        let exact = r#"{"key": "tags", "match": {"value": "new"}}"#;
        assert!(asked(&format!(r#"{{"must": [{exact}], "must_not": [{exact}]}}"#)).is_exact);
        let without = asked(&format!(r#"{{"must_not": [{wide}]}}"#));
        assert!(!without.is_exact);
        assert_eq!(without.conditions, everything().conditions);
    }
}
