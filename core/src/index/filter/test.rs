//! What a condition means: its truth for the JSON payload of one item.
//!
//! This is the definition. Columns answer the same for many items at once, and where a field has no
//! column that knows, this is what is asked.

use serde_json::Value;

use super::{Condition, Filter, GeoPoint, Match, Number, Range, Scalar, Timestamp};

/// The field of that name, else the place that the name leads to: `a.b` is the field `b` of `a`.
pub(in crate::index) fn lookup<'a>(payload: &'a Value, key: &str) -> Option<&'a Value> {
    payload.get(key).or_else(|| {
        let steps = key.contains('.').then(|| key.split('.'))?;
        steps
            .into_iter()
            .try_fold(payload, |value, step| value.as_object()?.get(step))
    })
}

/// Absent, `null` or an empty list.
pub(in crate::index) fn is_absent(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => true,
        Some(Value::Array(elements)) => elements.is_empty(),
        Some(_) => false,
    }
}

/// `{"lat": …, "lon": …}` with degrees on the earth; further fields do not matter.
pub(in crate::index) fn as_point(value: &Value) -> Option<GeoPoint> {
    let degrees = |name| value.as_object()?.get(name)?.as_f64();
    let point = GeoPoint {
        lat: degrees("lat")?,
        lon: degrees("lon")?,
    };
    point.is_valid().then_some(point)
}

impl Filter {
    /// Whether it leaves an item: for answers of an engine that cannot be asked all of it.
    pub fn leaves(&self, key: &str, payload: &Value) -> bool {
        let holds = |condition: &Condition| match condition {
            Condition::HasId(keys) => keys.iter().any(|listed| listed == key),
            Condition::Filter(inner) => inner.leaves(key, payload),
            of_field => of_field.holds_for(payload),
        };
        let one_of = self.should.is_empty() || self.should.iter().any(holds);
        one_of && self.must.iter().all(holds) && !self.must_not.iter().any(holds)
    }
}

impl Condition {
    /// Whether a condition on a field holds for a payload. `has_id` and inner filters are no
    /// conditions on a field: they never hold here.
    pub(super) fn holds_for(&self, payload: &Value) -> bool {
        let value = |key: &str| lookup(payload, key);
        match self {
            Self::Match { key, test } => some(value(key), |value| test.holds_for(value)),
            Self::Range { key, range } => some(value(key), |value| match value {
                Value::Number(number) => Number::of_json(number).is_some_and(|n| range.contains(n)),
                _ => false,
            }),
            Self::Time { key, range } => some(value(key), |value| {
                value
                    .as_str()
                    .is_some_and(|text| holds_for_text(range, text))
            }),
            Self::GeoRadius { key, circle } => some(value(key), |value| {
                as_point(value).is_some_and(|point| circle.contains(point))
            }),
            Self::GeoBox { key, area } => some(value(key), |value| {
                as_point(value).is_some_and(|point| area.contains(point))
            }),
            Self::IsEmpty(key) => is_absent(value(key)),
            Self::IsNull(key) => value(key).is_some_and(Value::is_null),
            Self::HasId(_) | Self::Filter(_) => false,
        }
    }
}

/// Whether a value, or an element of a list of them, passes.
fn some(value: Option<&Value>, test: impl Fn(&Value) -> bool) -> bool {
    match value {
        None => false,
        Some(Value::Array(elements)) => elements.iter().any(test),
        Some(value) => test(value),
    }
}

impl Match {
    fn holds_for(&self, value: &Value) -> bool {
        let listed = self.operands().iter().any(|operand| operand.equals(value));
        match self {
            Self::Value(_) | Self::Any(_) => listed,
            Self::Except(_) => !listed && !value.is_null(),
        }
    }
}

impl Scalar {
    fn equals(&self, value: &Value) -> bool {
        match (self, value) {
            (Self::Text(text), Value::String(found)) => text == found,
            (Self::Bool(expected), Value::Bool(found)) => expected == found,
            (Self::Number(number), Value::Number(found)) => Number::of_json(found) == Some(*number),
            _ => false,
        }
    }
}

/// Times as microseconds, so that one code compares them and numbers.
pub(super) fn micros(range: &Range<Timestamp>) -> Range<Number> {
    range.map(|time| Number::Integer(time.micros()))
}

/// Whether a text is a time within the range.
pub(super) fn holds_for_text(range: &Range<Timestamp>, text: &str) -> bool {
    let time = text.parse::<Timestamp>();
    time.is_ok_and(|time| micros(range).contains(Number::Integer(time.micros())))
}
