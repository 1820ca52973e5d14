//! A made-up catalogue with columns of every kind, and questions to it with their exact answers: what engines are tested
//! against.
//!
//! ```text
//! cargo run --release -p pocketlens-gateway --example catalogue -- OUT [ITEMS] [QUESTIONS]
//! ```
//!
//! Writes `OUT/shop.plx` and `OUT/questions.jsonl`: a search request and the 10 nearest keys with their scores a line.
//! At least 4,096 items, since smaller segments have no other plan than the exact one.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

use pocketlens::fingerprint::Fingerprint;
use pocketlens::index::filter::Filter;
use pocketlens::index::{Index, IndexQuery, IndexWriter, ItemPhoto, Plan};
use pocketlens::remote::EncodedVector;
use pocketlens::remote::contract::{Dtype, SearchRequest};
use serde_json::{Value, json};

const DIM: usize = 256;
const K: usize = 10;
const LEAST: usize = 4096;

fn payload(random: &mut fastrand::Rng, item: usize) -> Value {
    let brands = ["Nike", "Puma", "Ésprit & Co", "no \"brand\"", "nike"];
    let tags = ["new", "sale", "vegan", "it's"];
    let mut payload = json!({
        "brand": brands[item % brands.len()],
        "price": (random.f64() * 10_000.0).round() / 100.0,
        "stock": random.i64(-5..1000),
        "open": random.bool(),
        "added": format!("20{:02}-{:02}-{:02}T{:02}:30:00{}", 10 + item % 16, 1 + item % 12, 1 + item % 28, item % 24, ["Z", "+02:00"][item % 2]),
        "tags": tags.iter().filter(|_| random.u8(0..3) == 0).collect::<Vec<_>>(),
        "place": {"lat": random.f64() * 170.0 - 85.0, "lon": random.f64() * 360.0 - 180.0},
        "maker": {"country": (["DE", "FR", "IT"][item % 3])},
    });
    // Fields that some items do not have.
    for (name, share) in [("brand", 9), ("price", 7), ("place", 5)] {
        if item.is_multiple_of(share) {
            payload.as_object_mut().expect("an object").remove(name);
        }
    }
    payload
}

fn filters() -> Vec<Value> {
    let one = |condition: Value| json!({"must": [condition]});
    vec![
        one(json!({"key": "brand", "match": {"value": "Nike"}})),
        one(json!({"key": "brand", "match": {"any": ["Puma", "Ésprit & Co"]}})),
        one(json!({"key": "brand", "match": {"except": ["Nike", "no \"brand\""]}})),
        one(json!({"key": "price", "range": {"gte": 20, "lt": 50}})),
        one(json!({"key": "stock", "range": {"gt": 990}})),
        one(json!({"key": "stock", "match": {"any": [1, 2, 3, 500]}})),
        one(json!({"key": "open", "match": {"value": true}})),
        one(
            json!({"key": "added", "range": {"gte": "2019-01-01", "lt": "2021-06-01T12:00:00+02:00"}}),
        ),
        one(json!({"key": "tags", "match": {"value": "it's"}})),
        one(
            json!({"key": "place", "geo_bounding_box": {"top_left": {"lat": 60, "lon": 170}, "bottom_right": {"lat": -10, "lon": -120}}}),
        ),
        one(json!({"is_empty": {"key": "brand"}})),
        one(json!({"is_empty": {"key": "tags"}})),
        one(json!({"has_id": ["item-17", "item-42", "none"]})),
        one(json!({"key": "colour", "match": {"value": "none has one"}})),
        json!({
            "must": [{"should": [{"key": "price", "range": {"lt": 5}}, {"key": "price", "range": {"gt": 95}}]}],
            "must_not": [{"key": "brand", "match": {"value": "Puma"}}, {"key": "tags", "match": {"value": "sale"}}],
        }),
        json!({"must_not": [{"key": "brand", "match": {"value": "Nike"}}]}),
        one(
            json!({"key": "place", "geo_radius": {"center": {"lat": 50, "lon": 8}, "radius": 2_000_000}}),
        ),
    ]
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let out = PathBuf::from(arguments.next().ok_or("expected a folder to write to")?);
    let mut number = |otherwise: usize| arguments.next().map_or(Ok(otherwise), |text| text.parse());
    let (items, questions) = (number(10_000)?, number(200)?);
    if items < LEAST {
        return Err(format!("expected at least {LEAST} items").into());
    }
    let model = Fingerprint::of_parts([b"made up".as_slice()]);
    let mut random = fastrand::Rng::with_seed(11);
    let centres: Vec<Vec<f32>> = (0..items / 50)
        .map(|_| (0..DIM).map(|_| random.f32() - 0.5).collect())
        .collect();
    let near = |random: &mut fastrand::Rng| -> Vec<f32> {
        let centre = &centres[random.usize(0..centres.len())];
        let noise = |random: &mut fastrand::Rng| (0..4).map(|_| random.f32() - 0.5).sum::<f32>();
        centre
            .iter()
            .map(|value| value + 0.6 * noise(random))
            .collect()
    };

    let path = out.join("shop.plx");
    let mut writer = IndexWriter::create(&path, b"bundle", model, DIM)?;
    for item in 0..items {
        let (key, group) = (format!("item-{item}"), format!("group-{}", item / 3));
        let payload = payload(&mut random, item);
        let vector = near(&mut random);
        writer.push(&ItemPhoto {
            key: &key,
            group: Some(&group),
            payload: &payload,
            vector: &vector,
        })?;
    }
    writer.finish()?;

    let index = Index::open(&path)?;
    let mut keys = HashMap::new();
    let mut after: Option<String> = None;
    loop {
        let page = index.items(after.as_deref(), 1000)?;
        let Some(last) = page.last() else { break };
        after = Some(last.key.clone());
        for item in page {
            keys.insert(keys.len() as u64, item.key);
        }
    }
    let filters = filters();
    let mut lines = BufWriter::new(File::create(out.join("questions.jsonl"))?);
    for question in 0..questions {
        // Every second one without a filter, the others with each in turn.
        let filter = (question % 2 == 1).then(|| &filters[question / 2 % filters.len()]);
        let filter = filter
            .map(|filter| Filter::from_json(&filter.to_string()))
            .transpose()?;
        let prepared = filter
            .as_ref()
            .map(|filter| index.prepare(filter))
            .transpose()?;
        let vector = EncodedVector::of(&near(&mut random))?;
        let values = vector.decode(DIM)?;
        let query = IndexQuery {
            filter: prepared.as_ref(),
            ..IndexQuery::new(model, &values, K)
        };
        let nearest = index.nearest(&query, Plan::Exact)?;
        let nearest: Vec<Value> = nearest
            .iter()
            .map(|found| json!([keys[&found.item], found.score]))
            .collect();
        let request = SearchRequest {
            model_id: model,
            dim: DIM,
            dtype: Dtype::F16,
            vector,
            k: K,
            filter,
            group_by: None,
            deadline_ms: None,
        };
        writeln!(lines, "{}", json!({"request": request, "nearest": nearest}))?;
    }
    lines.flush()?;
    println!("{items} items, {questions} questions");
    Ok(())
}
