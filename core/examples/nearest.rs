//! The index alone, on vectors from a file of little-endian `f32`: what `tests/peers/nearest` times.
//!
//!     cargo run --release --workspace --example nearest -- build INDEX VECTORS.f32 DIM
//!     cargo run --release --workspace --example nearest -- search INDEX QUERIES.f32 K [ROUNDS] [lists|signs|exact] [PERCENT]
//!
//! Prints a JSON object. Items are named by their number in the file; with PERCENT only those are asked for whose number
//! modulo 100 is below it. `first_ms` is from before opening to the first answer, `anonymous_kb` the memory that this took
//! beside the map.

use std::error::Error;
use std::path::Path;
use std::time::Instant;

use pocketlens::fingerprint::Fingerprint;
use pocketlens::index::filter::Filter;
use pocketlens::index::{Index, IndexQuery, IndexWriter, ItemPhoto, Plan};
use serde_json::{Value, json};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let answer = match &words[..] {
        ["build", index, vectors, dim] => build(Path::new(index), &floats(vectors)?, dim.parse()?)?,
        ["search", index, queries, k, rest @ ..] => {
            let rounds = rest.first().map_or(Ok(1), |rounds| rounds.parse())?;
            let plan = match rest.get(1).copied().unwrap_or("lists") {
                "lists" => Plan::Lists,
                "signs" => Plan::Signs,
                "exact" => Plan::Exact,
                other => return Err(format!("no plan {other:?}").into()),
            };
            let percent = rest.get(2).map(|percent| percent.parse()).transpose()?;
            search(
                Path::new(index),
                &floats(queries)?,
                k.parse()?,
                rounds,
                plan,
                percent,
            )?
        }
        _ => {
            return Err(
                "arguments: build INDEX VECTORS DIM | search INDEX QUERIES K [ROUNDS] [PLAN] [PERCENT]"
                    .into(),
            );
        }
    };
    println!("{answer}");
    Ok(())
}

fn floats(path: &str) -> std::io::Result<Vec<f32>> {
    let bytes = std::fs::read(path)?;
    let (values, _) = bytes.as_chunks();
    Ok(values
        .iter()
        .map(|&value| f32::from_le_bytes(value))
        .collect())
}

fn model() -> Fingerprint {
    Fingerprint::of_parts([b"nearest".as_slice()])
}

fn build(path: &Path, vectors: &[f32], dim: usize) -> Result<Value, Box<dyn Error>> {
    let start = Instant::now();
    let mut writer = IndexWriter::create(path, b"no model", model(), dim)?;
    for (number, vector) in vectors.chunks_exact(dim).enumerate() {
        let (key, payload) = (format!("{number:08}"), &json!({ "slot": number % 100 }));
        writer.push(&ItemPhoto {
            key: &key,
            group: None,
            payload,
            vector,
        })?;
    }
    let index = writer.finish()?;
    Ok(json!({"seconds": start.elapsed().as_secs_f64(), "vector_bytes": index.info().vector_bytes}))
}

fn search(
    path: &Path,
    queries: &[f32],
    k: usize,
    rounds: usize,
    plan: Plan,
    percent: Option<u32>,
) -> Result<Value, Box<dyn Error>> {
    let before = anonymous_kb();
    let opened = Instant::now();
    let index = Index::open(path)?;
    let filter = percent
        .map(|percent| {
            let condition = json!({ "must": [{ "key": "slot", "range": { "lt": percent } }] });
            index.prepare(&Filter::from_json(&condition.to_string())?)
        })
        .transpose()?;
    let ask = |vector: &[f32]| {
        let query = IndexQuery {
            filter: filter.as_ref(),
            ..IndexQuery::new(model(), vector, k)
        };
        index.nearest(&query, plan)
    };
    ask(&queries[..index.dim()])?;
    let first_ms = opened.elapsed().as_secs_f64() * 1e3;
    let anonymous_kb = anonymous_kb().saturating_sub(before);
    let mut items = Vec::new();
    let mut us = Vec::new();
    for round in 0..rounds {
        for query in queries.chunks_exact(index.dim()) {
            let start = Instant::now();
            let found = ask(query)?;
            us.push(start.elapsed().as_secs_f64() * 1e6);
            if round == 0 {
                items.push(
                    found
                        .iter()
                        .map(|neighbour| neighbour.item)
                        .collect::<Vec<_>>(),
                );
            }
        }
    }
    Ok(json!({"us": us, "items": items, "first_ms": first_ms, "anonymous_kb": anonymous_kb}))
}

/// Memory of this process that no file stands behind; 0 where the system does not say.
fn anonymous_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.unwrap_or(0)
}
