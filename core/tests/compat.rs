//! Files of the first version of every format, frozen under `tests/compat/v1`: what was written once
//! must be read for ever, with the same bits. `README.md` there says how they came to be.

#![cfg(feature = "signature")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use pocketlens::bundle::Bundle;
use pocketlens::embedder::Embedder;
use pocketlens::image::Pixels;
use pocketlens::index::filter::Filter;
use pocketlens::index::{
    Delta, GroupBy, Index, IndexQuery, IndexUpdate, IndexWriter, ItemPhoto, SigningKey, apply, diff,
};
use pocketlens::verdict::{Calibration, Standing, Step};
use serde_json::{Value, json};

/// Items of the shop, enough for a segment in lists.
const ITEMS: u32 = 4_100;
const QUERIES: [u32; 4] = [1, 77, 4_099, 5_000];

fn frozen(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/compat/v1")
        .join(name)
}

/// A picture of integer arithmetic, 64×64.
fn picture(seed: u32) -> Pixels {
    let mut bytes = Vec::new();
    for (y, x) in (0..64u32).flat_map(|y| (0..64u32).map(move |x| (y, x))) {
        let tile = (x / (4 + seed % 7) + y / (3 + seed % 5)) % 2;
        bytes.extend([seed, seed / 7, seed / 49].map(|c| (x * (c % 7) + y + 97 * tile) as u8));
    }
    Pixels::from_rgb(64, 64, bytes).unwrap()
}

/// Of the first photo of an item, which the network does not need to see.
fn vector(seed: u32, dim: usize) -> Vec<f32> {
    let mut rng = fastrand::Rng::with_seed(seed.into());
    (0..dim).map(|_| rng.f32() - 0.5).collect()
}

fn payload(number: u32) -> Value {
    json!({
        "price": number,
        "colour": (["red", "blue", "green"])[number as usize % 3],
        "since": format!("2026-01-{:02}", 1 + number % 28),
        "at": { "lat": f64::from(number % 90), "lon": 8.5 },
    })
}

/// What the index says to the queries, scores as bits.
fn answers(index: &Index, embedder: &Embedder) -> Value {
    let filter = json!({ "must": [
        { "key": "colour", "match": { "value": "red" } },
        { "key": "price", "range": { "lt": 3000 } },
    ]});
    let filter = index
        .prepare(&Filter::from_json(&filter.to_string()).unwrap())
        .unwrap();
    let mut all = Vec::new();
    let seen = embedder.embed(&picture(3), None).unwrap().descriptor.values;
    let vectors = QUERIES.map(|seed| vector(seed, index.dim()));
    for vector in vectors.iter().chain([&seen]) {
        let query = IndexQuery::new(index.fingerprint(), vector, 4);
        for query in [
            query,
            IndexQuery {
                filter: Some(&filter),
                ..query
            },
            IndexQuery {
                group_by: Some(&GroupBy::Group),
                ..query
            },
        ] {
            let ranking = index.search(&query).unwrap();
            let hits = ranking.hits.iter().map(|hit| {
                json!([
                    hit.key,
                    hit.group,
                    hit.score.to_bits(),
                    hit.payload["price"],
                    hit.votes
                ])
            });
            all.push(json!({
                "hits": hits.collect::<Vec<_>>(),
                "rival": ranking.rival.map(f32::to_bits),
            }));
        }
    }
    let calibration = index.calibration().unwrap();
    let standing = Standing {
        score: 0.5,
        margin: 0.1,
        agreement: None,
    };
    json!({
        "answers": all,
        "descriptor": seen.iter().map(|value| value.to_bits()).collect::<Vec<_>>(),
        "confidence": calibration.confidence(standing).to_bits(),
        "items": index.info().items,
        "dead": index.info().dead_items,
    })
}

fn expected() -> Value {
    serde_json::from_str(&fs::read_to_string(frozen("expected.json")).unwrap()).unwrap()
}

fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    entries
        .map(|entry| (entry.file_name().into(), fs::read(entry.path()).unwrap()))
        .collect()
}

#[test]
fn bundle_of_the_first_version_is_read() {
    let bundle = Bundle::open(frozen("tiny.lens")).unwrap();
    bundle.verify().unwrap();
    assert_eq!(
        (bundle.dim(), bundle.fingerprint().to_string().as_str()),
        (16, "9b5975be9516a9584e9776dfd470b94a")
    );
}

#[test]
fn index_of_the_first_version_answers_as_it_did() {
    let index = Index::open(&frozen("shop.plx")).unwrap();
    index.verify().unwrap();
    let embedder = Embedder::new(Bundle::open(index.bundle_path()).unwrap()).unwrap();
    assert_eq!(answers(&index, &embedder), expected());
}

#[test]
fn packs_of_the_first_version_are_applied() {
    let holder = tempfile::tempdir().unwrap();
    let dir = holder.path().join("shop.plx");
    let key = SigningKey::from_bytes(&[7; 32]).public_key();
    apply(&dir, &frozen("full.pack"), Some(&key)).unwrap();
    let old = files(&dir);
    apply(&dir, &frozen("update.pack"), Some(&key)).unwrap();
    let mut new = files(&dir);
    assert_ne!(old, new);
    new.retain(|name, _| name != Path::new("manifest.previous.json"));
    for (name, bytes) in files(&frozen("shop.plx")) {
        assert_eq!(new.get(&name), Some(&bytes), "{}", name.display());
    }
}

/// Writes what is frozen. Not for a format that was released: a change there needs a new folder.
#[test]
#[ignore = "writes the frozen files anew"]
fn write_frozen_files() {
    let bundle = Bundle::open(frozen("tiny.lens")).unwrap();
    let embedder = Embedder::new(Bundle::open(frozen("tiny.lens")).unwrap()).unwrap();
    let dir = frozen("shop.plx");
    let _ = fs::remove_dir_all(&dir);
    let push = |number: u32, vector: &[f32], to: &mut dyn FnMut(&ItemPhoto<'_>)| {
        to(&ItemPhoto {
            key: &format!("item-{number:04}"),
            group: (!number.is_multiple_of(5))
                .then(|| format!("group-{}", number / 2))
                .as_deref(),
            payload: &payload(number),
            vector,
        });
    };
    let mut writer =
        IndexWriter::create(&dir, bundle.bytes(), bundle.fingerprint(), bundle.dim()).unwrap();
    for number in 0..ITEMS {
        push(number, &vector(number, bundle.dim()), &mut |photo| {
            writer.push(photo).unwrap();
        });
    }
    writer.set_calibration(Calibration {
        curve: vec![Step {
            confidence: 0.5,
            precision: 0.7,
        }],
        samples: 77,
        ..Calibration::default()
    });
    writer.finish().unwrap();

    let sign = Some(SigningKey::from_bytes(&[7; 32]));
    let pack = |old: Option<&Path>, name: &str| {
        let sign = sign.as_ref();
        let new = &dir;
        diff(&Delta { old, new, sign }, &frozen(name)).unwrap();
    };
    pack(None, "full.pack");
    let holder = tempfile::tempdir().unwrap();
    let old = holder.path().join("old.plx");
    fs::create_dir(&old).unwrap();
    for (name, bytes) in files(&dir) {
        fs::write(old.join(name), bytes).unwrap();
    }
    let mut update = IndexUpdate::open(&dir).unwrap();
    for number in [77, 6_001, 6_002] {
        let seen = embedder.embed(&picture(number), None).unwrap();
        push(number, &seen.descriptor.values, &mut |photo| {
            update.put(photo).unwrap();
        });
    }
    assert!(update.remove("item-0001").unwrap());
    update.commit().unwrap();
    pack(Some(&old), "update.pack");
    let index = Index::open(&dir).unwrap();
    let text = serde_json::to_string_pretty(&answers(&index, &embedder)).unwrap();
    fs::write(frozen("expected.json"), text + "\n").unwrap();
}
