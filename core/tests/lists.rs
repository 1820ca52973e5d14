//! Large segments from outside: what they find, filtered and updated, and what they do when damaged.

use std::fs;
use std::num::NonZero;
use std::path::{Path, PathBuf};

use pocketlens::container::{Access, Container, ContainerWriter, Kind};
use pocketlens::fingerprint::Fingerprint;
use pocketlens::index::filter::Filter;
use pocketlens::index::{
    CompactionOptions, Index, IndexError, IndexQuery, IndexUpdate, IndexWriter, ItemPhoto, Plan,
};
use serde_json::json;
use tempfile::TempDir;

const DIM: usize = 24;
const ITEMS: usize = 4500;

fn model() -> Fingerprint {
    Fingerprint::of_parts([b"weights".as_slice()])
}

/// Integers from a linear congruential generator.
fn numbers(seed: u64) -> impl FnMut(u64) -> u64 {
    let mut state = seed;
    move |below| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    }
}

/// Around one of fifty centres.
fn vector(item: usize) -> Vec<f32> {
    let mut of_centre = numbers(item as u64 % 50);
    let mut of_item = numbers(1000 + item as u64);
    (0..DIM)
        .map(|_| of_centre(1000) as f32 - 500.0 + (of_item(400) as f32 - 200.0))
        .collect()
}

fn key(item: usize) -> String {
    format!("{item:05}")
}

/// Groups of two items; every tenth is on sale.
fn build() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("shop.plx");
    let mut writer = IndexWriter::create(&path, b"the bundle", model(), DIM).unwrap();
    for item in 0..ITEMS {
        let group = format!("g{}", item / 2);
        writer
            .push(&ItemPhoto {
                key: &key(item),
                group: Some(&group),
                payload: &json!({ "sale": item % 10 == 0 }),
                vector: &vector(item),
            })
            .unwrap();
    }
    assert_eq!(writer.finish().unwrap().info().plan, "lists");
    (dir, path)
}

fn keys(index: &Index, query: &IndexQuery<'_>) -> Vec<String> {
    let hits = index.search(query).unwrap().hits;
    hits.into_iter().map(|hit| hit.key).collect()
}

#[test]
fn filters_exclusions_and_updates_hold_in_lists() {
    let (_dir, path) = build();
    let index = Index::open(&path).unwrap();
    index.verify().unwrap();
    let vector_of_20 = vector(20);
    let query = IndexQuery::new(model(), &vector_of_20, 5);
    let found = keys(&index, &query);
    assert_eq!(found[0], "00020");

    let filter =
        Filter::from_json(r#"{"must": [{"key": "sale", "match": {"value": true}}]}"#).unwrap();
    let prepared = index.prepare(&filter).unwrap();
    let filter = Some(&prepared);
    let on_sale = keys(
        &index,
        &IndexQuery {
            k: 1000,
            filter,
            ..query
        },
    );
    assert_eq!(on_sale.len(), ITEMS.div_ceil(10));
    assert!(on_sale.iter().all(|key| key.ends_with('0')));

    let excluding_groups = &["g10"][..];
    let others = keys(
        &index,
        &IndexQuery {
            excluding_groups,
            k: ITEMS,
            ..query
        },
    );
    assert_eq!(others.len(), ITEMS - 2);
    let excluding_photo = Some(&vector_of_20[..]);
    assert!(
        !keys(
            &index,
            &IndexQuery {
                excluding_photo,
                ..query
            }
        )
        .contains(&key(20))
    );

    let mut update = IndexUpdate::open(&path).unwrap();
    assert!(update.remove("00020").unwrap());
    let payload = &json!({ "sale": true });
    let photo = |key| ItemPhoto {
        key,
        group: None,
        payload,
        vector: &vector_of_20,
    };
    update.put(&photo("00777")).unwrap();
    let updated = update.commit().unwrap();
    let now = keys(&updated, &query);
    assert_eq!(now[0], "00777");
    assert!(!now.contains(&key(20)));
    assert!(matches!(
        updated.search(&IndexQuery { filter, ..query }),
        Err(IndexError::ForeignFilter)
    ));
    // A reader that has the old one open keeps it.
    assert_eq!(keys(&index, &query), found);

    Index::compact(
        &path,
        &CompactionOptions {
            all: true,
            ..Default::default()
        },
    )
    .unwrap();
    let compacted = Index::open(&path).unwrap();
    compacted.verify().unwrap();
    assert_eq!(
        (compacted.info().items, compacted.info().segments),
        (ITEMS as u64 - 1, 1)
    );
    assert_eq!(keys(&compacted, &query)[0], "00777");
    assert_eq!(
        keys(&compacted, &IndexQuery { k: ITEMS, ..query }).len(),
        ITEMS - 1
    );
}

/// What goes through smaller segments is coded of the same bits.
#[test]
fn commits_compacted_in_full_give_the_bytes_of_a_build() {
    let (dir, path) = build();
    let grown = dir.path().join("grown.plx");
    let writer = IndexWriter::create(&grown, b"the bundle", model(), DIM).unwrap();
    writer.finish().unwrap();
    for part in 0..3 {
        let mut update = IndexUpdate::open(&grown).unwrap();
        for item in (0..ITEMS).filter(|item| item % 3 == part) {
            update
                .put(&ItemPhoto {
                    key: &key(item),
                    group: Some(&format!("g{}", item / 2)),
                    payload: &json!({ "sale": item % 10 == 0 }),
                    vector: &vector(item),
                })
                .unwrap();
        }
        assert_eq!(update.commit().unwrap().info().plan, "exact-i8");
        if part == 0 {
            let index = Index::open(&grown).unwrap();
            let stored = index.items(None, ITEMS).unwrap();
            for (item, found) in (0..ITEMS).step_by(3).zip(&stored) {
                let given = vector(item);
                let length = given.iter().map(|v| v * v).sum::<f32>().sqrt();
                let largest = given.iter().fold(0.0f32, |largest, v| largest.max(v.abs()));
                for (v, found) in given.iter().zip(&found.vectors[0]) {
                    // A sixteenth of a step of 127, whichever way it is rounded, and the length of what is rounded.
                    assert!((v / length - found).abs() < 1.1 * largest / length / 127.0 / 16.0);
                }
            }
        }
    }
    let options = CompactionOptions {
        all: true,
        ..CompactionOptions::default()
    };
    Index::compact(&grown, &options).unwrap();
    let segment = |index: &Path| fs::read(segment_of(index)).unwrap();
    assert!(segment(&grown) == segment(&path));
}

#[test]
fn a_build_gives_the_same_bytes_again_and_merged_of_shards() {
    let (dir, path) = build();
    let shards: Vec<PathBuf> = (0..2)
        .map(|shard| {
            let at = dir.path().join(format!("shard{shard}"));
            let mut writer = IndexWriter::create(&at, b"the bundle", model(), DIM)
                .unwrap()
                .as_shard();
            for item in (0..ITEMS).rev().filter(|item| item % 2 == shard) {
                let (key, group) = (key(item), format!("g{}", item / 2));
                let payload = &json!({ "sale": item % 10 == 0 });
                let vector = &vector(item);
                writer
                    .push(&ItemPhoto {
                        key: &key,
                        group: Some(&group),
                        payload,
                        vector,
                    })
                    .unwrap();
            }
            writer.finish().unwrap();
            at
        })
        .collect();
    let merged = dir.path().join("merged.plx");
    pocketlens::index::merge(&shards, &merged).unwrap();
    let segment = |index: &Path| fs::read(segment_of(index)).unwrap();
    assert!(segment(&merged) == segment(&path));
}

fn segment_of(index: &Path) -> PathBuf {
    let mut files = fs::read_dir(index)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    files
        .find(|path| path.extension().is_some_and(|e| e == "seg"))
        .unwrap()
}

/// Sections are changed at random and all checksums are right: what only malice produces.
#[test]
fn damage_is_an_error_or_an_answer() {
    let (_dir, path) = build();
    let segment = segment_of(&path);
    let sound = fs::read(&segment).unwrap();
    let mut random = numbers(5);
    let mut noticed = 0;
    for _ in 0..300 {
        fs::remove_file(&segment).unwrap();
        fs::write(&segment, &sound).unwrap();
        let container = Container::open(&segment, Kind::Segment).unwrap();
        let mut writer = ContainerWriter::new(Kind::Segment, model());
        let damaged = random(4);
        for (number, section) in container.sections().iter().enumerate() {
            let mut bytes = container.section(section.tag).unwrap().to_vec();
            if number as u64 == damaged {
                for _ in 0..1 + random(20) {
                    let at = random(bytes.len() as u64) as usize;
                    bytes[at] = match random(3) {
                        0 => 0,
                        1 => 255,
                        _ => random(256) as u8,
                    };
                }
            }
            writer.section(section.tag, bytes);
        }
        writer.write(&segment).unwrap();
        let Ok(index) = Index::open(&path) else {
            noticed += 1;
            continue;
        };
        for plan in [Plan::Lists, Plan::Signs, Plan::Exact] {
            let _ = index.nearest(&IndexQuery::new(model(), &vector(7), 10), plan);
        }
        let _ = index.search(&IndexQuery::new(model(), &vector(8), ITEMS));
        let _ = index.items(Some("04400"), 200);
        // Some edits change nothing; of all others the digest of the file is wrong.
        assert_eq!(
            index.verify().is_err(),
            fs::read(&segment).unwrap() != sound
        );
    }
    assert!(noticed > 20, "{noticed}");
}

#[test]
fn threads_and_reading_instead_of_mapping_change_no_answer() {
    let (_dir, path) = build();
    let mapped = Index::open(&path).unwrap();
    let read = Index::open_with(&path, Access::Read).unwrap();
    read.verify().unwrap();
    let vectors: Vec<Vec<f32>> = (0..50).map(|item| vector(item * 90)).collect();
    let ask = |vector| IndexQuery::new(model(), vector, 7);
    let mut queries: Vec<_> = vectors.iter().map(|vector| ask(vector)).collect();
    let expected: Vec<_> = queries
        .iter()
        .map(|query| mapped.search(query).unwrap())
        .collect();
    for threads in [1, 2, 3, 64] {
        let threads = NonZero::new(threads).unwrap();
        assert_eq!(read.search_many(&queries, threads).unwrap(), expected);
        assert_eq!(mapped.search_many(&[], threads).unwrap(), []);
    }

    queries[33].vector = &[];
    queries[44].fingerprint = Fingerprint::of_parts([b"other".as_slice()]);
    let error = mapped.search_many(&queries, NonZero::new(2).unwrap());
    assert!(
        matches!(error, Err(IndexError::BadVector { .. })),
        "{error:?}"
    );
}
