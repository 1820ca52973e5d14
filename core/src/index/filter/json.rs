//! Filters from JSON and to JSON, and the limits on them.
//!
//! Read from a parsed value instead of by derived code, so that an error says where in the filter
//! it lies and what may stand there.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use serde_json::{Map, Value, json};

use super::{
    Condition, Filter, FilterError, FilterLimits, GeoBox, GeoPoint, GeoRadius, MAX_DEPTH, Match,
    Number, Range, Scalar, Timestamp,
};

type Result<T> = std::result::Result<T, FilterError>;

pub(super) fn parse(text: &str, limits: &FilterLimits) -> Result<Filter> {
    if text.len() > limits.json_bytes {
        let found = format!("{} bytes", text.len());
        return fail("$", format!("at most {} bytes", limits.json_bytes), found);
    }
    match serde_json::from_str(text) {
        Ok(value) => of_value(&value, limits),
        Err(error) => {
            let at = format!("line {} column {}", error.line(), error.column());
            fail(&at, "JSON", error.to_string())
        }
    }
}

fn of_value(value: &Value, limits: &FilterLimits) -> Result<Filter> {
    let mut reader = Reader {
        conditions: 0,
        values: 0,
        limits,
    };
    let fields = object("$", value, "a filter with must, should or must_not")?;
    reader.filter("$", fields, 1)
}

/// Counts what has been read.
struct Reader<'a> {
    conditions: usize,
    values: usize,
    limits: &'a FilterLimits,
}

impl Reader<'_> {
    fn filter(&mut self, at: &str, fields: &Map<String, Value>, depth: usize) -> Result<Filter> {
        // However deep the caller lets it be, it must not exhaust the stack.
        let most = self.limits.depth.min(MAX_DEPTH);
        if depth > most {
            return fail(
                at,
                format!("at most {most} filters in one another"),
                "more".into(),
            );
        }
        let mut filter = Filter::new();
        for (name, value) in fields {
            let at = format!("{at}.{name}");
            let list = match name.as_str() {
                "must" => &mut filter.must,
                "should" => &mut filter.should,
                "must_not" => &mut filter.must_not,
                _ => return fail(&at, "must, should or must_not", format!("{name:?}")),
            };
            match value {
                Value::Null => {}
                Value::Array(conditions) => {
                    for (i, condition) in conditions.iter().enumerate() {
                        list.push(self.condition(&format!("{at}[{i}]"), condition, depth)?);
                    }
                }
                one => list.push(self.condition(&at, one, depth)?),
            }
        }
        Ok(filter)
    }

    fn condition(&mut self, at: &str, value: &Value, depth: usize) -> Result<Condition> {
        const KINDS: &str = "one condition: a key with match, range, geo_radius or \
            geo_bounding_box; has_id, is_empty, is_null; or an inner filter";
        self.conditions += 1;
        if self.conditions > self.limits.conditions {
            return fail(
                at,
                format!("at most {} conditions", self.limits.conditions),
                "more".into(),
            );
        }
        let fields = object(at, value, KINDS)?;
        if ["must", "should", "must_not"]
            .iter()
            .any(|name| fields.contains_key(*name))
        {
            return self.filter(at, fields, depth + 1).map(Condition::Filter);
        }
        let mut tests = fields
            .iter()
            .filter(|(name, test)| *name != "key" && !test.is_null());
        let (Some((name, test)), None) = (tests.next(), tests.next()) else {
            return fail(at, KINDS, shorten(value));
        };
        let inside = format!("{at}.{name}");
        let key = || match fields.get("key") {
            Some(Value::String(key)) => Ok(key.clone()),
            Some(other) => fail(&format!("{at}.key"), "the name of a field", shorten(other)),
            None => fail(at, "a key", shorten(value)),
        };
        let keyless = |condition| match fields.get("key") {
            Some(_) => fail(
                &format!("{at}.key"),
                format!("no key beside {name}"),
                "one".into(),
            ),
            None => Ok(condition),
        };
        match name.as_str() {
            "match" => Ok(Condition::Match {
                key: key()?,
                test: self.matching(&inside, test)?,
            }),
            "range" => range(&inside, key()?, test),
            "geo_radius" => Ok(Condition::GeoRadius {
                key: key()?,
                circle: circle(&inside, test)?,
            }),
            "geo_bounding_box" => Ok(Condition::GeoBox {
                key: key()?,
                area: area(&inside, test)?,
            }),
            "has_id" => keyless(Condition::HasId(self.list(
                &inside,
                test,
                |at, id| match id {
                    Value::String(key) => Ok(key.clone()),
                    other => fail(at, "the key of an item", shorten(other)),
                },
            )?)),
            "is_empty" => keyless(Condition::IsEmpty(field(&inside, test)?)),
            "is_null" => keyless(Condition::IsNull(field(&inside, test)?)),
            _ => fail(&inside, KINDS, format!("{name:?}")),
        }
    }

    fn matching(&mut self, at: &str, value: &Value) -> Result<Match> {
        let expected = "an object with one of value, any, except";
        let fields = object(at, value, expected)?;
        let mut fields = fields.iter();
        let (Some((name, value)), None) = (fields.next(), fields.next()) else {
            return fail(at, expected, shorten(value));
        };
        let at = format!("{at}.{name}");
        match name.as_str() {
            "value" => scalar(&at, value).map(Match::Value),
            "any" => self.list(&at, value, scalar).map(Match::Any),
            "except" => self.list(&at, value, scalar).map(Match::Except),
            _ => fail(&at, expected, format!("{name:?}")),
        }
    }

    fn list<T>(
        &mut self,
        at: &str,
        value: &Value,
        element: impl Fn(&str, &Value) -> Result<T>,
    ) -> Result<Vec<T>> {
        let Value::Array(values) = value else {
            return fail(at, "a list", shorten(value));
        };
        self.values += values.len();
        if self.values > self.limits.values {
            return fail(
                at,
                format!("at most {} values in all lists", self.limits.values),
                "more".into(),
            );
        }
        let values = values.iter().enumerate();
        values
            .map(|(i, value)| element(&format!("{at}[{i}]"), value))
            .collect()
    }
}

fn range(at: &str, key: String, value: &Value) -> Result<Condition> {
    let expected = "an object with gt, gte, lt or lte";
    let fields = object(at, value, expected)?;
    let mut numbers = Range::default();
    let mut times = Range::default();
    for (name, bound) in fields.iter().filter(|(_, bound)| !bound.is_null()) {
        let at = format!("{at}.{name}");
        let bad = || fail(&at, "a number, or a time as in RFC 3339", shorten(bound));
        match bound {
            Value::Number(number) => match Number::of_json(number) {
                Some(number) => *side(&mut numbers, name, &at)? = Some(number),
                None => return bad(),
            },
            Value::String(text) => match text.parse::<Timestamp>() {
                Ok(time) => *side(&mut times, name, &at)? = Some(time),
                Err(_) => return bad(),
            },
            _ => return bad(),
        }
    }
    match (numbers != Range::default(), times != Range::default()) {
        (true, false) => Ok(Condition::Range {
            key,
            range: numbers,
        }),
        (false, true) => Ok(Condition::Time { key, range: times }),
        (true, true) => fail(at, "numbers or times", "both".into()),
        (false, false) => fail(at, expected, shorten(value)),
    }
}

fn side<'a, T>(range: &'a mut Range<T>, name: &str, at: &str) -> Result<&'a mut Option<T>> {
    match name {
        "gt" => Ok(&mut range.gt),
        "gte" => Ok(&mut range.gte),
        "lt" => Ok(&mut range.lt),
        "lte" => Ok(&mut range.lte),
        _ => fail(at, "gt, gte, lt or lte", format!("{name:?}")),
    }
}

fn circle(at: &str, value: &Value) -> Result<GeoRadius> {
    let [center, radius] = exactly(at, value, ["center", "radius"])?;
    Ok(GeoRadius {
        center: point(&format!("{at}.center"), center)?,
        radius: match radius.as_f64() {
            Some(metres) if metres.is_finite() && metres >= 0.0 => metres,
            _ => {
                return fail(
                    &format!("{at}.radius"),
                    "metres, 0 or more",
                    shorten(radius),
                );
            }
        },
    })
}

fn area(at: &str, value: &Value) -> Result<GeoBox> {
    let [top_left, bottom_right] = exactly(at, value, ["top_left", "bottom_right"])?;
    let area = GeoBox {
        top_left: point(&format!("{at}.top_left"), top_left)?,
        bottom_right: point(&format!("{at}.bottom_right"), bottom_right)?,
    };
    if area.top_left.lat < area.bottom_right.lat {
        return fail(at, "top_left north of bottom_right", shorten(value));
    }
    Ok(area)
}

fn point(at: &str, value: &Value) -> Result<GeoPoint> {
    let [lat, lon] = exactly(at, value, ["lat", "lon"])?;
    let degrees = [lat, lon].map(Value::as_f64);
    match degrees {
        [Some(lat), Some(lon)] if (GeoPoint { lat, lon }).is_valid() => Ok(GeoPoint { lat, lon }),
        _ => fail(
            at,
            "lat from -90 to 90 and lon from -180 to 180",
            shorten(value),
        ),
    }
}

fn exactly<'a, const N: usize>(
    at: &str,
    value: &'a Value,
    names: [&str; N],
) -> Result<[&'a Value; N]> {
    let expected = format!("an object with {}", names.join(" and "));
    let fields = object(at, value, &expected)?;
    let found = names.map(|name| fields.get(name));
    if fields.len() != N || found.contains(&None) {
        return fail(at, expected, shorten(value));
    }
    Ok(found.map(|value| value.expect("looked at above")))
}

fn field(at: &str, value: &Value) -> Result<String> {
    let [key] = exactly(at, value, ["key"])?;
    match key {
        Value::String(key) => Ok(key.clone()),
        other => fail(&format!("{at}.key"), "the name of a field", shorten(other)),
    }
}

fn scalar(at: &str, value: &Value) -> Result<Scalar> {
    let number = |number| Number::of_json(number).map(Scalar::Number);
    let scalar = match value {
        Value::String(text) => Some(Scalar::Text(text.clone())),
        Value::Bool(value) => Some(Scalar::Bool(*value)),
        Value::Number(value) => number(value),
        _ => None,
    };
    scalar.map_or_else(
        || fail(at, "a text, a number, true or false", shorten(value)),
        Ok,
    )
}

fn object<'a>(at: &str, value: &'a Value, expected: &str) -> Result<&'a Map<String, Value>> {
    value
        .as_object()
        .map_or_else(|| fail(at, expected, shorten(value)), Ok)
}

fn fail<T>(at: &str, expected: impl Into<String>, found: String) -> Result<T> {
    // Names of a hostile filter can be long.
    let at = match at.char_indices().nth(200) {
        Some((end, _)) => format!("{}…", &at[..end]),
        None => at.to_owned(),
    };
    let expected = expected.into();
    Err(FilterError {
        at,
        expected,
        found,
    })
}

fn shorten(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(80) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

impl Filter {
    /// Whether a filter that was put together in Rust keeps the limits and could be JSON.
    ///
    /// # Errors
    /// As [`Self::from_json`].
    pub(crate) fn check(&self) -> Result<()> {
        FilterLimits::default().check(self)?;
        self.conditions().try_for_each(check_numbers)
    }
}

fn check_numbers(condition: &Condition) -> Result<()> {
    let finite = match condition {
        Condition::Match { test, .. } => test.operands().iter().all(|operand| match operand {
            Scalar::Number(number) => number.is_finite(),
            _ => true,
        }),
        Condition::Range { range, .. } => range.bounds().all(|(_, bound)| bound.is_finite()),
        Condition::GeoRadius { circle, .. } => {
            circle.center.is_valid() && circle.radius.is_finite() && circle.radius >= 0.0
        }
        Condition::GeoBox { area, .. } => area.top_left.is_valid() && area.bottom_right.is_valid(),
        _ => true,
    };
    if finite {
        return Ok(());
    }
    let at = condition.key().unwrap_or_default();
    fail(
        &format!("the condition on {at:?}"),
        "finite numbers and valid degrees",
        format!("{condition:?}"),
    )
}

impl From<&Filter> for Value {
    fn from(filter: &Filter) -> Self {
        let lists = [
            ("must", &filter.must),
            ("should", &filter.should),
            ("must_not", &filter.must_not),
        ];
        let lists = lists.into_iter().filter(|(name, list)| {
            // An inner filter is known by one of its lists.
            !list.is_empty() || *name == "must"
        });
        let lists =
            lists.map(|(name, list)| (name.to_owned(), list.iter().map(Value::from).collect()));
        Value::Object(lists.collect())
    }
}

impl From<&Condition> for Value {
    fn from(condition: &Condition) -> Self {
        let point = |point: GeoPoint| json!({ "lat": point.lat, "lon": point.lon });
        match condition {
            Condition::Match { key, test } => {
                let values = || test.operands().iter().map(Value::from).collect();
                let test = match test {
                    Match::Value(value) => json!({ "value": Value::from(value) }),
                    Match::Any(_) => json!({ "any": Value::Array(values()) }),
                    Match::Except(_) => json!({ "except": Value::Array(values()) }),
                };
                json!({ "key": key, "match": test })
            }
            Condition::Range { key, range } => {
                let bounds = range
                    .bounds()
                    .map(|(name, bound)| (name.to_owned(), bound.into()));
                json!({ "key": key, "range": Value::Object(bounds.collect()) })
            }
            Condition::Time { key, range } => {
                let bounds = range
                    .bounds()
                    .map(|(name, bound)| (name.to_owned(), bound.to_string().into()));
                json!({ "key": key, "range": Value::Object(bounds.collect()) })
            }
            Condition::GeoRadius { key, circle } => {
                let circle = json!({ "center": point(circle.center), "radius": circle.radius });
                json!({ "key": key, "geo_radius": circle })
            }
            Condition::GeoBox { key, area } => {
                let (top_left, bottom_right) = (point(area.top_left), point(area.bottom_right));
                let area = json!({ "top_left": top_left, "bottom_right": bottom_right });
                json!({ "key": key, "geo_bounding_box": area })
            }
            Condition::HasId(keys) => json!({ "has_id": keys }),
            Condition::IsEmpty(key) => json!({ "is_empty": { "key": key } }),
            Condition::IsNull(key) => json!({ "is_null": { "key": key } }),
            Condition::Filter(filter) => filter.into(),
        }
    }
}

impl From<&Scalar> for Value {
    fn from(scalar: &Scalar) -> Self {
        match scalar {
            Scalar::Text(text) => text.as_str().into(),
            Scalar::Number(number) => (*number).into(),
            Scalar::Bool(value) => (*value).into(),
        }
    }
}

impl From<Number> for Value {
    fn from(number: Number) -> Self {
        match number {
            Number::Integer(value) => value.into(),
            Number::Float(value) => value.into(),
        }
    }
}

/// The JSON that [`Filter::from_json`] reads.
impl Serialize for Filter {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        Value::from(self).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Filter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        of_value(&Value::deserialize(deserializer)?, &FilterLimits::default())
            .map_err(D::Error::custom)
    }
}
