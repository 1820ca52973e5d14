//! Filters as SQL on the payload: what `pocketlens::index::filter` defines, said again for rows.
//!
//! Every value is bound, none is written into the text. Lists are taken apart by `jsonb_path_query(…, 'lax $[*]')`, which
//! gives a value that is no list as it is. Texts that are times stand in the column `times` as microseconds.

use pocketlens::index::filter::{
    Condition, Filter, GeoBox, GeoRadius, Match, Number, Range, Scalar, Timestamp,
};
use serde_json::{Value, json};
use tokio_postgres::types::ToSql;

/// Mean radius of the earth in metres, as in filters of an index.
const EARTH: f64 = 6_371_008.8;

/// A statement's values.
#[derive(Default)]
pub(super) struct Sql {
    values: Vec<Box<dyn ToSql + Sync + Send>>,
}

impl Sql {
    /// The place of a value in the text.
    pub(super) fn bind(&mut self, value: impl ToSql + Sync + Send + 'static) -> String {
        self.values.push(Box::new(value));
        format!("${}", self.values.len())
    }

    pub(super) fn values(&self) -> Vec<&(dyn ToSql + Sync)> {
        let values = self.values.iter();
        values
            .map(|value| &**value as &(dyn ToSql + Sync))
            .collect()
    }

    /// The condition that a filter is; never empty.
    pub(super) fn filter(&mut self, filter: &Filter) -> String {
        let mut parts: Vec<String> = filter.must.iter().map(|one| self.condition(one)).collect();
        if !filter.should.is_empty() {
            let any: Vec<String> = filter
                .should
                .iter()
                .map(|one| self.condition(one))
                .collect();
            parts.push(format!("({})", any.join(" OR ")));
        }
        for one in &filter.must_not {
            let condition = self.condition(one);
            // Absence is not unknown here: what does not hold is false.
            parts.push(format!("NOT COALESCE({condition}, false)"));
        }
        match parts.is_empty() {
            true => "true".to_owned(),
            false => format!("({})", parts.join(" AND ")),
        }
    }

    fn condition(&mut self, condition: &Condition) -> String {
        match condition {
            Condition::HasId(keys) => format!("key = ANY({}::text[])", self.bind(keys.clone())),
            Condition::Filter(inner) => self.filter(inner),
            Condition::IsEmpty(key) => {
                let value = self.lookup(key);
                format!("COALESCE({value} IN ('null', '[]'), true)")
            }
            Condition::IsNull(key) => format!("COALESCE({} = 'null', false)", self.lookup(key)),
            Condition::Match { key, test } => {
                let value = self.lookup(key);
                let listed: Vec<Value> = test.operands().iter().map(json_of).collect();
                let listed = self.bind(listed);
                match test {
                    Match::Value(_) | Match::Any(_) => {
                        some(&value, &format!("e = ANY({listed}::jsonb[])"))
                    }
                    Match::Except(_) => some(
                        &value,
                        &format!("e <> 'null' AND e <> ALL({listed}::jsonb[])"),
                    ),
                }
            }
            Condition::Range { key, range } => {
                let value = self.lookup(key);
                let bounds = self.numbers(range.map_bounds());
                some(
                    &value,
                    &format!("CASE WHEN jsonb_typeof(e) = 'number' THEN {bounds} ELSE false END"),
                )
            }
            Condition::Time { key, range } => {
                let name = self.bind(key.clone());
                let bounds = self.numbers(micros(range));
                some(&format!("(times -> {name}::text)"), &bounds)
            }
            Condition::GeoRadius { key, circle } => {
                let value = self.lookup(key);
                let near = self.near(circle);
                some(&value, &point_and(&near))
            }
            Condition::GeoBox { key, area } => {
                let value = self.lookup(key);
                let inside = self.inside(area);
                some(&value, &point_and(&inside))
            }
        }
    }

    /// The field of that name, else the place that the name leads to.
    fn lookup(&mut self, key: &str) -> String {
        let whole = self.bind(key.to_owned());
        if !key.contains('.') {
            return format!("(payload -> {whole}::text)");
        }
        // Steps go through objects only: a number would otherwise be a place in a list.
        let mut value = "payload".to_owned();
        for step in key.split('.') {
            let step = self.bind(step.to_owned());
            value = format!(
                "(CASE WHEN jsonb_typeof({value}) = 'object' THEN {value} -> {step}::text END)"
            );
        }
        format!(
            "(CASE WHEN payload ? {whole}::text THEN payload -> {whole}::text ELSE {value} END)"
        )
    }

    fn numbers(&mut self, bounds: Vec<(&'static str, Value)>) -> String {
        let mut parts = vec!["true".to_owned()];
        for (name, bound) in bounds {
            let operator = match name {
                "gt" => ">",
                "gte" => ">=",
                "lt" => "<",
                _ => "<=",
            };
            // As JSON numbers, which are compared exactly.
            parts.push(format!("e {operator} {}::jsonb", self.bind(bound)));
        }
        parts.join(" AND ")
    }

    fn near(&mut self, circle: &GeoRadius) -> String {
        let (lat, lon) = (self.bind(circle.center.lat), self.bind(circle.center.lon));
        let radius = self.bind(circle.radius);
        format!(
            "2 * {EARTH} * asin(least(1, sqrt(power(sin(radians((e ->> 'lat')::float8 - {lat}::float8) / 2), 2) + \
             cos(radians({lat}::float8)) * cos(radians((e ->> 'lat')::float8)) * power(sin(radians((e ->> 'lon')::float8 - {lon}::float8) / 2), 2)))) \
             <= {radius}::float8"
        )
    }

    fn inside(&mut self, area: &GeoBox) -> String {
        let (north, south) = (
            self.bind(area.top_left.lat),
            self.bind(area.bottom_right.lat),
        );
        let (west, east) = (
            self.bind(area.top_left.lon),
            self.bind(area.bottom_right.lon),
        );
        // Over the 180th meridian, where west is behind east.
        let joined = if area.top_left.lon <= area.bottom_right.lon {
            "AND"
        } else {
            "OR"
        };
        format!(
            "(e ->> 'lat')::float8 <= {north}::float8 AND (e ->> 'lat')::float8 >= {south}::float8 AND \
             ((e ->> 'lon')::float8 >= {west}::float8 {joined} (e ->> 'lon')::float8 <= {east}::float8)"
        )
    }
}

/// Whether a value, or an element of a list of them, passes.
fn some(value: &str, test: &str) -> String {
    format!("EXISTS (SELECT 1 FROM jsonb_path_query({value}, 'lax $[*]') AS e WHERE {test})")
}

/// A test of `e`, asked only where that is a point.
fn point_and(test: &str) -> String {
    format!(
        "CASE WHEN jsonb_typeof(e -> 'lat') = 'number' AND jsonb_typeof(e -> 'lon') = 'number' THEN {test} ELSE false END"
    )
}

fn json_of(scalar: &Scalar) -> Value {
    match scalar {
        Scalar::Text(text) => json!(text),
        Scalar::Bool(value) => json!(value),
        Scalar::Number(number) => json_of_number(*number),
    }
}

fn json_of_number(number: Number) -> Value {
    match number {
        Number::Integer(value) => json!(value),
        Number::Float(value) => json!(value),
    }
}

fn micros(range: &Range<Timestamp>) -> Vec<(&'static str, Value)> {
    let bounds = range.bounds();
    bounds
        .map(|(name, time)| (name, json!(time.micros())))
        .collect()
}

/// Bounds as JSON numbers.
trait MapBounds {
    fn map_bounds(&self) -> Vec<(&'static str, Value)>;
}

impl MapBounds for Range<Number> {
    fn map_bounds(&self) -> Vec<(&'static str, Value)> {
        let bounds = self.bounds();
        bounds
            .map(|(name, number)| (name, json_of_number(number)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_filter_is_written_into_the_text() {
        let filter = Filter::from_json(
            r#"{"must": [{"key": "a'b.c", "match": {"value": "'; DROP TABLE shop; --"}}], "must_not": [{"has_id": ["x'"]}]}"#,
        )
        .unwrap();
        let mut sql = Sql::default();
        let text = sql.filter(&filter);
        assert!(
            !text.contains("DROP") && !text.contains("a'b") && !text.contains("x'"),
            "{text}"
        );
        assert_eq!(sql.values().len(), 5);
    }
}
