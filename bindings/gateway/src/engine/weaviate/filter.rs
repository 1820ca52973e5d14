//! Filters as Weaviate's `Filters`: the same items are left as in an index, or the filter is refused.
//!
//! Each column of the index is a property; a point has its latitude and longitude as numbers beside it, since Weaviate
//! knows circles but no boxes.

use pocketlens::index::filter::{
    Condition, Filter, GeoBox, Match, Number, Range, Scalar, Timestamp,
};
use pocketlens::index::{ColumnKind, MAX_COLUMNS};

use super::super::EngineError;
use super::protocol::{FilterTarget, Filters, GeoCircle, Operator, TestValue, TextArray};
use super::schema::{Column, lat_of, lon_of, text_of};

/// `None` for a filter that leaves everything.
pub(super) fn where_of(
    filter: &Filter,
    columns: &[Column],
) -> Result<Option<Filters>, EngineError> {
    let each = |conditions: &[Condition]| {
        let conditions = conditions
            .iter()
            .map(|condition| of_condition(condition, columns));
        conditions.collect::<Result<Vec<_>, _>>()
    };
    let mut parts = each(&filter.must)?;
    if !filter.should.is_empty() {
        parts.push(any_of(each(&filter.should)?));
    }
    parts.extend(each(&filter.must_not)?.into_iter().map(not));
    Ok(match parts.len() {
        0 => None,
        _ => Some(all_of(parts)),
    })
}

fn of_condition(condition: &Condition, columns: &[Column]) -> Result<Filters, EngineError> {
    match condition {
        Condition::HasId(keys) if keys.is_empty() => Ok(nothing()),
        Condition::HasId(keys) => Ok(any_text_of("plx_key", keys.iter().cloned())),
        Condition::Filter(inner) => Ok(where_of(inner, columns)?.unwrap_or_else(everything)),
        Condition::IsNull(_) => Err(EngineError::BadQuery(
            "is_null cannot be told from absent here; ask for is_empty".to_owned(),
        )),
        Condition::Match { key, .. }
        | Condition::Range { key, .. }
        | Condition::Time { key, .. }
        | Condition::GeoRadius { key, .. }
        | Condition::GeoBox { key, .. }
        | Condition::IsEmpty(key) => {
            let Some(column) = columns.iter().find(|column| column.name == *key) else {
                // `a.b` may be a field of a field; and of very many fields some have no column.
                let outer = key.split('.').next().unwrap_or_default();
                let may_exist = columns.iter().any(|column| column.name == outer);
                if may_exist || columns.len() >= MAX_COLUMNS {
                    let reason =
                        format!("{key:?} is no column of the index: it cannot be filtered by here");
                    return Err(EngineError::BadQuery(reason));
                }
                // A key that no item has.
                return Ok(match condition {
                    Condition::IsEmpty(_) => everything(),
                    _ => nothing(),
                });
            };
            if column.kind == ColumnKind::Unindexed {
                let reason = format!(
                    "the values of {key:?} are of several kinds: they cannot be filtered by here"
                );
                return Err(EngineError::BadQuery(reason));
            }
            on_column(condition, column)
        }
    }
}

fn on_column(condition: &Condition, column: &Column) -> Result<Filters, EngineError> {
    let path = column.property.as_str();
    let mismatch = |asked: &str| {
        let (key, kind) = (&column.name, column.kind);
        EngineError::BadQuery(format!(
            "the filter asks {key:?} for a {asked}, but it holds {kind} values"
        ))
    };
    match condition {
        Condition::IsEmpty(_) => Ok(is_null(path, true)),
        Condition::Match { test, .. } => {
            let listed: Vec<Filters> = test
                .operands()
                .iter()
                .filter_map(|operand| equals(column, operand))
                .collect();
            if listed.is_empty() && !test.operands().is_empty() {
                return Err(mismatch("value of another kind"));
            }
            let listed = any_of(listed);
            if matches!(test, Match::Except(_)) && column.kind == ColumnKind::Tags {
                // It holds where one tag is none of these; only "no tag is one of these" can be asked there.
                let reason = format!(
                    "except cannot be asked of the tags {:?} here; ask must_not",
                    column.name
                );
                return Err(EngineError::BadQuery(reason));
            }
            Ok(match test {
                Match::Except(_) => all_of(vec![is_null(path, false), not(listed)]),
                Match::Value(_) | Match::Any(_) => listed,
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
            ColumnKind::Geo => {
                let circle = GeoCircle {
                    latitude: circle.center.lat as f32,
                    longitude: circle.center.lon as f32,
                    distance: circle.radius as f32,
                };
                Ok(compare(
                    Operator::WithinGeoRange,
                    path,
                    TestValue::Geo(circle),
                ))
            }
            _ => Err(mismatch("geo_radius")),
        },
        Condition::GeoBox { area, .. } => match column.kind {
            ColumnKind::Geo => Ok(within(path, area)),
            _ => Err(mismatch("geo_bounding_box")),
        },
        Condition::HasId(_) | Condition::IsNull(_) | Condition::Filter(_) => {
            unreachable!("no conditions on a column")
        }
    }
}

/// `None` where no value of the column can be equal.
fn equals(column: &Column, operand: &Scalar) -> Option<Filters> {
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

fn times(path: &str, range: &Range<Timestamp>) -> Vec<Filters> {
    let bounds = range.bounds();
    bounds
        .map(|(name, time)| compare(operator(name), path, TestValue::Text(time.to_string())))
        .collect()
}

fn within(path: &str, area: &GeoBox) -> Filters {
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
    compare(
        Operator::ContainsAny,
        property,
        TestValue::Texts(TextArray { values }),
    )
}

fn compare(operator: Operator, property: &str, value: TestValue) -> Filters {
    Filters {
        operator: operator.into(),
        operands: Vec::new(),
        value: Some(value),
        target: Some(FilterTarget {
            property: Some(property.to_owned()),
        }),
    }
}

fn is_null(property: &str, value: bool) -> Filters {
    compare(Operator::IsNull, property, TestValue::Boolean(value))
}

fn everything() -> Filters {
    is_null("plx_key", false)
}

fn nothing() -> Filters {
    is_null("plx_key", true)
}

fn not(condition: Filters) -> Filters {
    operation(Operator::Not, vec![condition])
}

fn all_of(conditions: Vec<Filters>) -> Filters {
    joined(Operator::And, conditions, everything)
}

fn any_of(conditions: Vec<Filters>) -> Filters {
    joined(Operator::Or, conditions, nothing)
}

fn joined(operator: Operator, mut conditions: Vec<Filters>, empty: fn() -> Filters) -> Filters {
    match conditions.len() {
        0 => empty(),
        1 => conditions.remove(0),
        _ => operation(operator, conditions),
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
