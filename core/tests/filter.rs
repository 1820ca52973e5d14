//! Filters and grouped answers against their definitions: every filter on every payload as a naive
//! reading of the JSON, k hits whatever is left, and what is refused.

use std::collections::BTreeMap;

use pocketlens::fingerprint::Fingerprint;
use pocketlens::index::filter::{Condition, Filter, Number, Range};
use pocketlens::index::{
    ColumnKind, GroupBy, Index, IndexError, IndexQuery, IndexUpdate, IndexWriter, ItemPhoto,
    Ranking, Schema,
};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use tempfile::TempDir;

fn model() -> Fingerprint {
    Fingerprint::of_parts([b"weights".as_slice()])
}

/// Keys `0000`, `0001`, …; the nearer to the query [1, 0] the smaller the number.
fn built(payloads: &[Value], segment_rows: u32, schema: &Schema) -> (TempDir, Index) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("shop.plx");
    let mut writer = IndexWriter::create(&path, b"the bundle", model(), 2).unwrap();
    writer.set_columns(schema.clone());
    for (i, payload) in payloads.iter().enumerate() {
        let angle = i as f32 / payloads.len() as f32;
        let (key, vector) = (format!("{i:04}"), [angle.cos(), angle.sin()]);
        let group = format!("group {}", i % 5);
        let photo = ItemPhoto {
            key: &key,
            group: Some(&group),
            payload,
            vector: &vector,
        };
        writer.push(&photo).unwrap();
    }
    let index = writer.with_segment_rows(segment_rows).finish().unwrap();
    index.verify().unwrap();
    (dir, index)
}

fn search(index: &Index, filter: &str, k: usize, group_by: Option<&GroupBy>) -> Ranking {
    let filter = index.prepare(&Filter::from_json(filter).unwrap()).unwrap();
    let query = IndexQuery::new(model(), &[1.0, 0.0], k);
    index
        .search(&IndexQuery {
            filter: Some(&filter),
            group_by,
            ..query
        })
        .unwrap()
}

fn keys(ranking: &Ranking) -> Vec<&str> {
    ranking.hits.iter().map(|hit| hit.key.as_str()).collect()
}

/// What the filter's JSON says of an item, read as plainly as it can be.
fn naive(filter: &Value, key: &str, payload: &Value) -> bool {
    let list = |name: &str| filter[name].as_array().cloned().unwrap_or_default();
    let holds = |condition: &Value| naive_condition(condition, key, payload);
    list("must").iter().all(holds)
        && !list("must_not").iter().any(holds)
        && (list("should").is_empty() || list("should").iter().any(holds))
}

fn naive_condition(condition: &Value, key: &str, payload: &Value) -> bool {
    if let Some(ids) = condition["has_id"].as_array() {
        return ids.contains(&key.into());
    }
    let field = |name: &Value| {
        let name = name.as_str().unwrap();
        let nested = || payload.pointer(&format!("/{}", name.replace('.', "/")));
        payload.get(name).or_else(nested).cloned()
    };
    if let Some(empty) = condition.get("is_empty") {
        return matches!(field(&empty["key"]), None | Some(Value::Null))
            || field(&empty["key"]) == Some(json!([]));
    }
    if let Some(null) = condition.get("is_null") {
        return field(&null["key"]) == Some(Value::Null);
    }
    if condition.get("key").is_none() {
        return naive(condition, key, payload);
    }
    let values = match field(&condition["key"]) {
        None => vec![],
        Some(Value::Array(values)) => values,
        Some(value) => vec![value],
    };
    let equal = |a: &Value, b: &Value| match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => a == b,
        _ => a == b,
    };
    let test = &condition["match"];
    let any = |list: &[Value], value: &Value| list.iter().any(|listed| equal(listed, value));
    values.iter().any(|value| {
        if let Some(wanted) = test.get("value") {
            equal(wanted, value)
        } else if let Some(list) = test["any"].as_array() {
            any(list, value)
        } else if let Some(list) = test["except"].as_array() {
            !value.is_null() && !any(list, value)
        } else if let Some(range) = condition["range"].as_object() {
            naive_range(range, value)
        } else if let Some(circle) = condition.get("geo_radius") {
            naive_point(value).is_some_and(|(lat, lon)| {
                let (lat2, lon2) = naive_point(&circle["center"]).unwrap();
                let [a, b, c, d] = [lat, lon, lat2, lon2].map(f64::to_radians);
                // The spherical law of cosines; points of the test are far from the edge.
                let cosine = a.sin() * c.sin() + a.cos() * c.cos() * (b - d).cos();
                6_371_008.8 * cosine.clamp(-1.0, 1.0).acos() <= circle["radius"].as_f64().unwrap()
            })
        } else {
            let area = &condition["geo_bounding_box"];
            let (north, west) = naive_point(&area["top_left"]).unwrap();
            let (south, east) = naive_point(&area["bottom_right"]).unwrap();
            naive_point(value).is_some_and(|(lat, lon)| {
                let east = if east < west { east + 360.0 } else { east };
                south <= lat
                    && lat <= north
                    && [lon - 360.0, lon, lon + 360.0]
                        .iter()
                        .any(|lon| west <= *lon && *lon <= east)
            })
        }
    })
}

fn naive_point(value: &Value) -> Option<(f64, f64)> {
    let (lat, lon) = (value.get("lat")?.as_f64()?, value.get("lon")?.as_f64()?);
    (lat.abs() <= 90.0 && lon.abs() <= 180.0).then_some((lat, lon))
}

/// Times of the test are dates alone, whose order is that of their text.
fn naive_range(range: &Map<String, Value>, value: &Value) -> bool {
    range.iter().all(|(name, bound)| {
        let order = match (value, bound) {
            (Value::Number(a), Value::Number(b)) => a.as_f64().partial_cmp(&b.as_f64()),
            (Value::String(a), Value::String(b)) if a.starts_with("20") => Some(a.cmp(b)),
            _ => None,
        };
        order.is_some_and(|order| match name.as_str() {
            "gt" => order.is_gt(),
            "gte" => order.is_ge(),
            "lt" => order.is_lt(),
            _ => order.is_le(),
        })
    })
}

fn text() -> impl Strategy<Value = Value> {
    prop::sample::select(vec!["", "a", "b", "Nike", "ä", "2024-02-29", "2025-01-01"])
        .prop_map(Value::from)
}

fn number() -> impl Strategy<Value = Value> {
    prop_oneof![
        (-3..4i32).prop_map(Value::from),
        (-6..7i32).prop_map(|halves| json!(f64::from(halves) / 2.0))
    ]
}

fn date() -> impl Strategy<Value = Value> {
    prop::sample::select(vec!["2024-02-29", "2025-01-01", "2026-07-31"]).prop_map(Value::from)
}

fn point() -> impl Strategy<Value = Value> {
    (-9..10i32, -18..19i32).prop_map(|(lat, lon)| json!({ "lat": lat * 10, "lon": lon * 10 }))
}

fn anything() -> impl Strategy<Value = Value> {
    prop_oneof![
        text(),
        number(),
        date(),
        point(),
        any::<bool>().prop_map(Value::from),
        Just(json!(null)),
        Just(json!([])),
        Just(json!({"deep": 1, "b": "a"})),
        vec(prop_oneof![text(), number(), Just(json!(null))], 0..3).prop_map(Value::from),
    ]
}

const FIELDS: [&str; 9] = [
    "text", "tags", "whole", "real", "flag", "date", "place", "mixed", "a.b",
];

/// Mostly of one kind a field, so that columns of every kind arise.
fn payload() -> impl Strategy<Value = Value> {
    let of = |some: BoxedStrategy<Value>| prop::option::weighted(0.8, some);
    let fields = (
        of(text().boxed()),
        of(vec(text(), 0..4).prop_map(Value::from).boxed()),
        of((-3..4i32).prop_map(Value::from).boxed()),
        of(number().boxed()),
        of(any::<bool>().prop_map(Value::from).boxed()),
        of(date().boxed()),
        of(point().boxed()),
        of(anything().boxed()),
        of(text().boxed()),
        prop::option::of(anything()),
    );
    fields.prop_map(|(a, b, c, d, e, f, g, h, i, nested)| {
        let values = [a, b, c, d, e, f, g, h, i];
        let mut fields: Map<String, Value> = FIELDS
            .iter()
            .zip(values)
            .filter_map(|(name, value)| Some(((*name).to_owned(), value?)))
            .collect();
        if let Some(nested) = nested {
            fields.insert("a".to_owned(), json!({ "b": nested }));
        }
        Value::Object(fields)
    })
}

/// Mostly on the fields whose kind it is for.
fn condition() -> impl Strategy<Value = Value> {
    let key = |own: &[&'static str]| {
        let own = own.to_vec();
        prop_oneof![4 => prop::sample::select(own), 1 => prop::sample::select(vec!["mixed", "a.b", "none"])]
    };
    let scalar = || {
        prop_oneof![
            text(),
            number(),
            any::<bool>().prop_map(Value::from),
            date()
        ]
    };
    let bounds = |bound: BoxedStrategy<Value>| {
        prop::collection::btree_map(
            prop::sample::select(vec!["gt", "gte", "lt", "lte"]),
            bound,
            1..3,
        )
    };
    let matching = prop_oneof![
        scalar().prop_map(|value| json!({ "value": value })),
        vec(scalar(), 0..3).prop_map(|values| json!({ "any": values })),
        vec(scalar(), 0..3).prop_map(|values| json!({ "except": values })),
    ];
    prop_oneof![
        (key(&FIELDS), matching).prop_map(|(key, test)| json!({ "key": key, "match": test })),
        (key(&["whole", "real"]), bounds(number().boxed()))
            .prop_map(|(key, range)| json!({ "key": key, "range": range })),
        (key(&["date", "text"]), bounds(date().boxed()))
            .prop_map(|(key, range)| json!({ "key": key, "range": range })),
        (key(&["place"]), point(), 1..18u32).prop_map(|(key, center, tenths)| json!({
            "key": key, "geo_radius": { "center": center, "radius": tenths * 1_111_950 + 300_001 }
        })),
        (key(&["place"]), point(), point()).prop_filter_map("north first", |(key, a, b)| {
            (a["lat"].as_i64() >= b["lat"].as_i64()).then(|| {
                json!({
                    "key": key, "geo_bounding_box": { "top_left": a, "bottom_right": b }
                })
            })
        }),
        vec((0..60u32).prop_map(|i| format!("{i:04}")), 0..20)
            .prop_map(|keys| json!({ "has_id": keys })),
        key(&FIELDS).prop_map(|key| json!({ "is_empty": { "key": key } })),
        key(&FIELDS).prop_map(|key| json!({ "is_null": { "key": key } })),
    ]
}

fn filter() -> impl Strategy<Value = Value> {
    let of = |condition: BoxedStrategy<Value>| {
        (vec(condition.clone(), 0..3), vec(condition.clone(), 0..3), vec(condition, 0..2))
            .prop_map(|(must, should, must_not)| json!({ "must": must, "should": should, "must_not": must_not }))
    };
    condition()
        .prop_recursive(3, 20, 4, move |inner| of(inner.boxed()))
        .prop_map(|condition| json!({ "must": [condition] }))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    /// Also that a filter comes back from JSON as it was.
    #[test]
    fn a_filter_leaves_what_its_json_says(
        payloads in vec(payload(), 1..50),
        filters in vec(filter(), 1..12),
        segment_rows in prop::sample::select(vec![7, 1000]),
        k in 1..60usize,
    ) {
        let (_dir, index) = built(&payloads, segment_rows, &Schema::default());
        for json in filters {
            let parsed = Filter::from_json(&json.to_string()).unwrap();
            prop_assert_eq!(&serde_json::from_str::<Filter>(&serde_json::to_string(&parsed).unwrap()).unwrap(), &parsed);
            let expected: Vec<String> = payloads.iter().enumerate()
                .map(|(i, payload)| (format!("{i:04}"), payload))
                .filter(|(key, payload)| naive(&json, key, payload))
                .map(|(key, _)| key)
                .collect();
            let prepared = match index.prepare(&parsed) {
                Err(IndexError::FilterKind { .. }) => continue,
                prepared => prepared.unwrap(),
            };
            prop_assert_eq!(prepared.count() as usize, expected.len(), "{}", json);
            for (i, payload) in payloads.iter().enumerate() {
                let key = format!("{i:04}");
                prop_assert_eq!(parsed.leaves(&key, payload), expected.contains(&key), "{}", json);
            }
            let query = IndexQuery::new(model(), &[1.0, 0.0], k);
            let found = index.search(&IndexQuery { filter: Some(&prepared), ..query }).unwrap();
            let mut found = keys(&found).into_iter().map(str::to_owned).collect::<Vec<_>>();
            found.sort();
            prop_assert_eq!(found.len(), k.min(expected.len()));
            if k >= expected.len() {
                prop_assert_eq!(found, expected, "{}", json);
            } else {
                prop_assert!(found.iter().all(|key| expected.contains(key)), "{}", json);
            }
        }
    }

    #[test]
    fn any_json_is_a_filter_or_refused(value in anything(), filter in filter(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let _ = Filter::from_json(&value.to_string());
        let mut bytes = filter.to_string().into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = Filter::from_json(&String::from_utf8_lossy(&bytes));
    }
}

#[test]
fn k_hits_at_every_selectivity() {
    let payloads: Vec<Value> = (0..500).map(|i| json!({ "rank": i })).collect();
    let (_dir, index) = built(&payloads, 128, &Schema::default());
    for left in [0, 1, 2, 9, 10, 11, 250, 499, 500] {
        let filter =
            json!({ "must": { "key": "rank", "range": { "gte": 500 - left } } }).to_string();
        for k in [1, 10, 600] {
            let found = search(&index, &filter, k, None);
            let expected: Vec<String> = (500 - left..500)
                .take(k)
                .map(|i| format!("{i:04}"))
                .collect();
            assert_eq!(keys(&found), expected, "{left} left, k {k}");
        }
    }
}

#[test]
fn a_filter_acts_as_if_the_others_were_not_there() {
    let payloads: Vec<Value> = (0..10).map(|i| json!({ "rank": i })).collect();
    let (_dir, index) = built(&payloads, 1000, &Schema::default());
    let found = search(
        &index,
        r#"{"must": [{"key": "rank", "match": {"any": [2, 7]}}]}"#,
        5,
        None,
    );
    assert_eq!(keys(&found), ["0002", "0007"]);
    // Both are of group 2: there is no rival.
    assert_eq!(found.rival, None);
}

#[test]
fn groups_are_ranked_by_their_best_item_and_further_items_vote() {
    let payloads: Vec<Value> = (0..100)
        .map(|i| match i {
            0..90 => json!({ "brand": "big" }),
            90..95 => json!({ "brand": format!("small {i}") }),
            _ => json!({}),
        })
        .collect();
    let (_dir, index) = built(&payloads, 40, &Schema::default());
    let by_brand = GroupBy::Column("brand".to_owned());
    let found = search(&index, "{}", 8, Some(&by_brand));
    // More than 4 k items of one brand stand before the second: the search goes deeper.
    assert_eq!(
        keys(&found),
        [
            "0000", "0090", "0091", "0092", "0093", "0094", "0095", "0096"
        ]
    );
    assert_eq!(found.hits[0].votes, Some(32));
    assert_eq!(found.hits[1].votes, Some(0));
    for k in 1..20 {
        let fewer = search(&index, "{}", k, Some(&by_brand));
        assert_eq!(fewer.hits.len(), k.min(11));
        let shared = fewer.hits.len().min(8);
        assert_eq!(
            fewer.hits[..shared],
            found.hits[..shared],
            "does not depend on k"
        );
    }
    let found = search(&index, "{}", 9, Some(&GroupBy::Group));
    assert_eq!(keys(&found), ["0000", "0001", "0002", "0003", "0004"]);
    assert_eq!(
        found.hits.iter().map(|hit| hit.votes).collect::<Vec<_>>(),
        [7, 7, 6, 6, 6].map(Some)
    );
    assert_eq!(search(&index, "{}", 0, Some(&by_brand)).hits, []);
}

#[test]
fn another_kind_of_value_is_refused_by_name() {
    let payloads = [
        json!({ "brand": "Nike", "price": 3, "place": { "lat": 1, "lon": 2 }, "mixed": 1 }),
        json!({ "mixed": "x" }),
    ];
    let (_dir, index) = built(&payloads, 1000, &Schema::default());
    for (condition, says) in [
        (
            json!({ "key": "brand", "match": { "value": 3 } }),
            "\"brand\" for a match with a number, but it holds keyword",
        ),
        (
            json!({ "key": "brand", "range": { "gt": 3 } }),
            "\"brand\" for a range of numbers, but it holds keyword",
        ),
        (
            json!({ "key": "price", "match": { "value": "3" } }),
            "\"price\" for a match with a text, but it holds integer",
        ),
        (
            json!({ "key": "price", "range": { "gt": "2026-01-01" } }),
            "\"price\" for a range of times, but it holds integer",
        ),
        (
            json!({ "key": "place", "match": { "value": true } }),
            "\"place\" for a match with true or false, but it holds geo",
        ),
    ] {
        for wrap in ["must", "should", "must_not"] {
            let filter = json!({ "must": [{ wrap: [condition.clone()] }] }).to_string();
            let error = index
                .prepare(&Filter::from_json(&filter).unwrap())
                .unwrap_err();
            assert!(matches!(error, IndexError::FilterKind { .. }), "{error}");
            assert!(error.to_string().contains(says), "{error}");
        }
    }
    assert_eq!(
        keys(&search(
            &index,
            r#"{"must": [{"key": "mixed", "match": {"value": "x"}}]}"#,
            9,
            None
        )),
        ["0001"]
    );
    assert_eq!(
        search(
            &index,
            r#"{"must": [{"key": "brnad", "match": {"value": "Nike"}}]}"#,
            9,
            None
        )
        .hits,
        []
    );
    assert_eq!(
        index
            .unknown_keys(["brnad", "brand", "brnad", "place.lat", "place.x"])
            .unwrap(),
        ["brnad", "place.x"]
    );
}

#[test]
fn demanded_kinds_are_kept_and_checked() {
    let schema =
        Schema::from_json(r#"{"sku": "keyword", "price": "float", "note": "unindexed"}"#).unwrap();
    let payloads = [json!({ "sku": "2026-01-01", "price": 3, "note": "x", "size": 4 })];
    let (_dir, index) = built(&payloads, 1000, &schema);
    let kinds: BTreeMap<String, ColumnKind> = index
        .columns()
        .unwrap()
        .into_iter()
        .map(|c| (c.name, c.kind))
        .collect();
    let expected = [
        ("note", ColumnKind::Unindexed),
        ("price", ColumnKind::Float),
        ("size", ColumnKind::Integer),
        ("sku", ColumnKind::Keyword),
    ];
    assert_eq!(
        kinds,
        expected.map(|(name, kind)| (name.to_owned(), kind)).into()
    );
    assert_eq!(
        search(
            &index,
            r#"{"must": [{"key": "note", "match": {"value": "x"}}]}"#,
            9,
            None
        )
        .hits
        .len(),
        1
    );

    let dir = tempfile::tempdir().unwrap();
    let mut writer = IndexWriter::create(&dir.path().join("shop.plx"), b"", model(), 2).unwrap();
    writer.set_columns(schema);
    let payload = &json!({ "price": "three" });
    let error = writer
        .push(&ItemPhoto {
            key: "cup",
            group: None,
            payload,
            vector: &[1.0, 0.0],
        })
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        r#"item "cup": expected "price" to be float as the columns demand, found "three""#
    );
    for bad in ["[]", r#"{"a": "text"}"#, "{"] {
        assert!(
            Schema::from_json(bad)
                .unwrap_err()
                .to_string()
                .contains("expected columns as JSON")
        );
    }
}

#[test]
fn hostile_filters_are_refused_with_their_place() {
    let nested = |depth: usize| format!("{}{}", r#"{"must":["#.repeat(depth), "]}".repeat(depth));
    assert!(Filter::from_json(&nested(16)).is_ok());
    let many = |count: usize| {
        format!(
            r#"{{"must":[{}]}}"#,
            vec![r#"{"has_id":[]}"#; count].join(",")
        )
    };
    assert!(Filter::from_json(&many(1024)).is_ok());
    let list = |count: usize| {
        format!(
            r#"{{"must":[{{"key":"k","match":{{"any":[{}]}}}}]}}"#,
            vec!["1"; count].join(",")
        )
    };
    assert!(Filter::from_json(&list(65_536)).is_ok());
    for (filter, at) in [
        (nested(17), "must[0].must[0]: expected at most 16"),
        (nested(5_000), "line 1 column"),
        (many(1025), "$.must[1024]: expected at most 1024"),
        (list(65_537), "$.must[0].match.any: expected at most 65536"),
        (format!("\"{}\"", "x".repeat(5 << 20)), "$: expected at most 4194304 bytes"),
        ("[]".into(), "$: expected a filter"),
        ("nonsense".into(), "line 1 column"),
        (r#"{"filter": []}"#.into(), "$.filter: expected must, should or must_not"),
        (r#"{"must": 1}"#.into(), "$.must: expected one condition"),
        (r#"{"must": [{"key": "a"}]}"#.into(), "$.must[0]: expected one condition"),
        (r#"{"must": [{"match": {"value": 1}}]}"#.into(), "$.must[0]: expected a key"),
        (r#"{"must": [{"key": 1, "match": {"value": 1}}]}"#.into(), "$.must[0].key: expected the name"),
        (r#"{"must": [{"key": "a", "match": {"value": [1]}}]}"#.into(), "$.must[0].match.value: expected a text, a number"),
        (r#"{"must": [{"key": "a", "match": {"text": "x"}}]}"#.into(), "$.must[0].match.text: expected an object"),
        (r#"{"must": [{"key": "a", "range": {"gt": NaN}}]}"#.into(), "line 1 column"),
        (r#"{"must": [{"key": "a", "range": {"gt": 1e999}}]}"#.into(), "line 1 column"),
        (r#"{"must": [{"key": "a", "range": {"gt": "soon"}}]}"#.into(), "$.must[0].range.gt: expected a number, or a time"),
        (r#"{"must": [{"key": "a", "range": {"gt": 1, "lt": "2026-01-01"}}]}"#.into(), "$.must[0].range: expected numbers or times"),
        (r#"{"must": [{"key": "a", "range": {}}]}"#.into(), "$.must[0].range: expected an object"),
        (r#"{"must": [{"key": "a", "range": {"above": 1}}]}"#.into(), "$.must[0].range.above: expected gt"),
        (r#"{"must": [{"key": "a", "geo_radius": {"center": {"lat": 91, "lon": 0}, "radius": 1}}]}"#.into(), "geo_radius.center: expected lat"),
        (r#"{"must": [{"key": "a", "geo_radius": {"center": {"lat": 1, "lon": 0}, "radius": -1}}]}"#.into(), "geo_radius.radius: expected metres"),
        (r#"{"should": [{"has_id": [1]}]}"#.into(), "$.should[0].has_id[0]: expected the key"),
        (r#"{"must_not": [{"is_empty": "a"}]}"#.into(), "$.must_not[0].is_empty: expected an object"),
    ] {
        let error = Filter::from_json(&filter).unwrap_err().to_string();
        assert!(error.contains(at), "{error}");
        assert!(error.len() < 600, "{}", error.len());
    }
}

#[test]
fn filters_built_in_rust_keep_the_limits_too() {
    let (_dir, index) = built(&[json!({ "price": 3 })], 1000, &Schema::default());
    let nan = Range {
        gt: Some(Number::Float(f64::NAN)),
        ..Range::default()
    };
    let mut deep = Filter::new();
    for _ in 0..40 {
        deep = Filter::new().must(Condition::Filter(deep));
    }
    for filter in [Filter::new().must(Condition::range("price", nan)), deep] {
        assert!(matches!(
            index.prepare(&filter),
            Err(IndexError::BadFilter(_))
        ));
    }
}

#[test]
fn a_prepared_filter_belongs_to_its_index() {
    let (_dir, index) = built(&[json!({ "price": 3 })], 1000, &Schema::default());
    let (_dir, other) = built(&[json!({ "price": 4 })], 1000, &Schema::default());
    let filter = index.prepare(&Filter::new()).unwrap();
    let query = IndexQuery {
        filter: Some(&filter),
        ..IndexQuery::new(model(), &[1.0, 0.0], 1)
    };
    assert!(index.search(&query).is_ok());
    assert!(matches!(
        other.search(&query),
        Err(IndexError::ForeignFilter)
    ));
}

#[test]
fn a_filter_counts_what_a_search_can_find() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("shop.plx");
    let mut writer = IndexWriter::create(&path, b"the bundle", model(), 2).unwrap();
    let item = |key, price| (key, json!({ "price": price }));
    for (key, payload) in [item("a", 1), item("b", 2), item("c", 3)] {
        let photo = ItemPhoto {
            key,
            group: None,
            payload: &payload,
            vector: &[1.0, 0.5],
        };
        writer.push(&photo).unwrap();
    }
    writer.finish().unwrap();
    let mut update = IndexUpdate::open(&path).unwrap();
    update.remove("a").unwrap();
    let (key, payload) = item("b", 2);
    update
        .put(&ItemPhoto {
            key,
            group: None,
            payload: &payload,
            vector: &[0.0, 1.0],
        })
        .unwrap();
    let index = update.commit().unwrap();
    let filter = Filter::from_json(r#"{"must": [{"key": "price", "range": {"lt": 3}}]}"#).unwrap();
    // `a` was removed, and `b` is in the old segment as well.
    assert_eq!(index.prepare(&filter).unwrap().count(), 1);
    assert_eq!(index.prepare(&Filter::new()).unwrap().count(), 2);
}
