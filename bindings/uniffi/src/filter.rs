//! Which items may answer: conditions on the payload, as values.

use std::time::{SystemTime, UNIX_EPOCH};

use pocketlens::index::filter::{self as core, Match, Number, Range, Timestamp};

use crate::PocketlensError;

/// Items that meet all of `must`, none of `must_not` and, unless `should` is empty, one of `should`.
#[derive(Clone, Debug, Default, PartialEq, uniffi::Record)]
pub struct Filter {
    /// All of these hold.
    #[uniffi(default = [])]
    pub must: Vec<Condition>,
    /// One of these holds, if there are any.
    #[uniffi(default = [])]
    pub should: Vec<Condition>,
    /// None of these holds.
    #[uniffi(default = [])]
    pub must_not: Vec<Condition>,
}

/// Something that holds for an item or does not. A key names a field of the payload; `a.b` is a field of a field.
#[derive(Clone, Debug, PartialEq, uniffi::Enum)]
pub enum Condition {
    /// The field is, or its list holds, this value.
    Equals {
        /// The field.
        key: String,
        /// What it is compared with.
        value: Scalar,
    },
    /// The field is one of these.
    AnyOf {
        /// The field.
        key: String,
        /// What it is compared with.
        values: Vec<Scalar>,
    },
    /// The field has a value that is none of these.
    NoneOf {
        /// The field.
        key: String,
        /// What it is compared with.
        values: Vec<Scalar>,
    },
    /// The field is a number between bounds.
    Between {
        /// The field.
        key: String,
        /// The bounds.
        range: NumberRange,
    },
    /// The field is a time, as in RFC 3339, from one time on and before another.
    During {
        /// The field.
        key: String,
        /// The first time; any when absent.
        from: Option<SystemTime>,
        /// The time before which; any when absent.
        before: Option<SystemTime>,
    },
    /// The field is a point, `{"lat": …, "lon": …}`, within a distance.
    Within {
        /// The field.
        key: String,
        /// Of this point.
        center: GeoPoint,
        /// So many metres.
        radius: f64,
    },
    /// The field is a point in a box.
    InBox {
        /// The field.
        key: String,
        /// North-west corner.
        top_left: GeoPoint,
        /// South-east corner.
        bottom_right: GeoPoint,
    },
    /// The key of the item is one of these.
    HasId {
        /// Keys.
        keys: Vec<String>,
    },
    /// The field is absent, null or an empty list.
    IsEmpty {
        /// The field.
        key: String,
    },
    /// The field is there and null.
    IsNull {
        /// The field.
        key: String,
    },
    /// A filter in the filter.
    Nested {
        /// That filter.
        filter: Filter,
    },
}

/// A value that others can be equal to.
#[derive(Clone, Debug, PartialEq, uniffi::Enum)]
pub enum Scalar {
    /// A string.
    Text {
        /// Which.
        value: String,
    },
    /// A whole number.
    Integer {
        /// Which.
        value: i64,
    },
    /// Any number.
    Decimal {
        /// Which.
        value: f64,
    },
    /// `true` or `false`.
    Flag {
        /// Which.
        value: bool,
    },
}

/// Bounds of a number; what is absent does not bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, uniffi::Record)]
pub struct NumberRange {
    /// Above this.
    #[uniffi(default = None)]
    pub gt: Option<f64>,
    /// This or above.
    #[uniffi(default = None)]
    pub gte: Option<f64>,
    /// Below this.
    #[uniffi(default = None)]
    pub lt: Option<f64>,
    /// This or below.
    #[uniffi(default = None)]
    pub lte: Option<f64>,
}

/// A place on the earth.
#[derive(Clone, Copy, Debug, PartialEq, uniffi::Record)]
pub struct GeoPoint {
    /// Degrees north, -90 to 90.
    pub lat: f64,
    /// Degrees east, -180 to 180.
    pub lon: f64,
}

/// Reads a filter of JSON, in the vocabulary of Qdrant: for filters that a server sends.
///
/// # Errors
/// [`PocketlensError::BadInput`] with the place.
#[uniffi::export]
pub fn filter_from_json(json: &str) -> Result<Filter, PocketlensError> {
    Ok(core::Filter::from_json(json)?.into())
}

impl From<Filter> for core::Filter {
    fn from(filter: Filter) -> Self {
        let of = |conditions: Vec<Condition>| conditions.into_iter().map(Into::into).collect();
        Self {
            must: of(filter.must),
            should: of(filter.should),
            must_not: of(filter.must_not),
        }
    }
}

impl From<core::Filter> for Filter {
    fn from(filter: core::Filter) -> Self {
        let of =
            |conditions: Vec<core::Condition>| conditions.into_iter().map(Into::into).collect();
        Self {
            must: of(filter.must),
            should: of(filter.should),
            must_not: of(filter.must_not),
        }
    }
}

impl From<Condition> for core::Condition {
    fn from(condition: Condition) -> Self {
        match condition {
            Condition::Equals { key, value } => Self::Match {
                key,
                test: Match::Value(value.into()),
            },
            Condition::AnyOf { key, values } => Self::Match {
                key,
                test: Match::Any(values.into_iter().map(Into::into).collect()),
            },
            Condition::NoneOf { key, values } => Self::Match {
                key,
                test: Match::Except(values.into_iter().map(Into::into).collect()),
            },
            Condition::Between { key, range } => Self::Range {
                key,
                range: Range {
                    gt: range.gt.map(Into::into),
                    gte: range.gte.map(Into::into),
                    lt: range.lt.map(Into::into),
                    lte: range.lte.map(Into::into),
                },
            },
            Condition::During { key, from, before } => Self::Time {
                key,
                range: Range {
                    gte: from.map(timestamp),
                    lt: before.map(timestamp),
                    ..Range::default()
                },
            },
            Condition::Within {
                key,
                center,
                radius,
            } => Self::GeoRadius {
                key,
                circle: core::GeoRadius {
                    center: center.into(),
                    radius,
                },
            },
            Condition::InBox {
                key,
                top_left,
                bottom_right,
            } => Self::GeoBox {
                key,
                area: core::GeoBox {
                    top_left: top_left.into(),
                    bottom_right: bottom_right.into(),
                },
            },
            Condition::HasId { keys } => Self::HasId(keys),
            Condition::IsEmpty { key } => Self::IsEmpty(key),
            Condition::IsNull { key } => Self::IsNull(key),
            Condition::Nested { filter } => Self::Filter(filter.into()),
        }
    }
}

impl From<core::Condition> for Condition {
    fn from(condition: core::Condition) -> Self {
        use core::Condition as Core;
        let all = |values: Vec<core::Scalar>| values.into_iter().map(Into::into).collect();
        match condition {
            Core::Match { key, test } => match test {
                Match::Value(value) => Self::Equals {
                    key,
                    value: value.into(),
                },
                Match::Any(values) => Self::AnyOf {
                    key,
                    values: all(values),
                },
                Match::Except(values) => Self::NoneOf {
                    key,
                    values: all(values),
                },
            },
            Core::Range { key, range } => Self::Between {
                key,
                range: NumberRange {
                    gt: range.gt.map(decimal),
                    gte: range.gte.map(decimal),
                    lt: range.lt.map(decimal),
                    lte: range.lte.map(decimal),
                },
            },
            // In whole microseconds, every bound is one from which or before which.
            Core::Time { key, range } => {
                let next = |time: Timestamp| Timestamp::from_micros(time.micros() + 1);
                let from = range.gte.into_iter().chain(range.gt.map(next)).max();
                let before = range.lt.into_iter().chain(range.lte.map(next)).min();
                Self::During {
                    key,
                    from: from.map(system_time),
                    before: before.map(system_time),
                }
            }
            Core::GeoRadius { key, circle } => Self::Within {
                key,
                center: circle.center.into(),
                radius: circle.radius,
            },
            Core::GeoBox { key, area } => Self::InBox {
                key,
                top_left: area.top_left.into(),
                bottom_right: area.bottom_right.into(),
            },
            Core::HasId(keys) => Self::HasId { keys },
            Core::IsEmpty(key) => Self::IsEmpty { key },
            Core::IsNull(key) => Self::IsNull { key },
            Core::Filter(filter) => Self::Nested {
                filter: filter.into(),
            },
        }
    }
}

impl From<Scalar> for core::Scalar {
    fn from(scalar: Scalar) -> Self {
        match scalar {
            Scalar::Text { value } => Self::Text(value),
            Scalar::Integer { value } => value.into(),
            Scalar::Decimal { value } => value.into(),
            Scalar::Flag { value } => value.into(),
        }
    }
}

impl From<core::Scalar> for Scalar {
    fn from(scalar: core::Scalar) -> Self {
        match scalar {
            core::Scalar::Text(value) => Self::Text { value },
            core::Scalar::Number(Number::Integer(value)) => Self::Integer { value },
            core::Scalar::Number(number) => Self::Decimal {
                value: decimal(number),
            },
            core::Scalar::Bool(value) => Self::Flag { value },
        }
    }
}

impl From<GeoPoint> for core::GeoPoint {
    fn from(point: GeoPoint) -> Self {
        Self {
            lat: point.lat,
            lon: point.lon,
        }
    }
}

impl From<core::GeoPoint> for GeoPoint {
    fn from(point: core::GeoPoint) -> Self {
        Self {
            lat: point.lat,
            lon: point.lon,
        }
    }
}

fn decimal(number: Number) -> f64 {
    match number {
        Number::Integer(integer) => integer as f64,
        Number::Float(float) => float,
    }
}

fn timestamp(time: SystemTime) -> Timestamp {
    let micros = |duration: std::time::Duration| i64::try_from(duration.as_micros());
    Timestamp::from_micros(match time.duration_since(UNIX_EPOCH) {
        Ok(after) => micros(after).unwrap_or(i64::MAX),
        Err(before) => micros(before.duration()).map_or(i64::MIN, |micros| -micros),
    })
}

fn system_time(time: Timestamp) -> SystemTime {
    let duration = std::time::Duration::from_micros(time.micros().unsigned_abs());
    match time.micros() {
        0.. => UNIX_EPOCH + duration,
        _ => UNIX_EPOCH - duration,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every condition that JSON can hold.
    const JSON: &str = r#"{
        "must": [
            {"key": "brand", "match": {"value": "Nike"}},
            {"key": "size", "match": {"any": [41, 42.5]}},
            {"key": "sold", "match": {"except": [true]}},
            {"key": "price", "range": {"gte": 10, "lt": 20.5}},
            {"key": "added", "range": {"gt": "2026-03-01T00:00:00Z", "lte": "2026-03-02T00:00:00Z"}}
        ],
        "should": [
            {"key": "at", "geo_radius": {"center": {"lat": 1.5, "lon": 2.5}, "radius": 100}},
            {"key": "at", "geo_bounding_box": {"top_left": {"lat": 9, "lon": 1}, "bottom_right": {"lat": 1, "lon": 9}}}
        ],
        "must_not": [
            {"has_id": ["a", "b"]},
            {"is_empty": {"key": "stock"}},
            {"is_null": {"key": "stock"}},
            {"must": [{"key": "brand", "match": {"value": "Puma"}}]}
        ]
    }"#;

    #[test]
    fn a_filter_goes_there_and_back() {
        let filter = filter_from_json(JSON).unwrap();
        let core = core::Filter::from(filter.clone());
        assert_eq!(Filter::from(core), filter);
        assert_eq!((filter.must.len(), filter.must_not.len()), (5, 4));
    }

    #[test]
    fn bounds_of_time_are_kept_to_the_microsecond() {
        let filter = filter_from_json(JSON).unwrap();
        let Condition::During { from, before, .. } = &filter.must[4] else {
            panic!("{:?}", filter.must[4]);
        };
        let micros = |time: &Option<SystemTime>| timestamp(time.unwrap()).micros();
        assert_eq!(micros(from) % 1_000_000, 1);
        assert_eq!(micros(before) - micros(from), 86_400_000_000);
    }

    #[test]
    fn times_before_1970_are_times() {
        let time = Timestamp::from_micros(-1_500_000);
        assert_eq!(timestamp(system_time(time)), time);
    }
}
