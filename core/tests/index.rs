//! The index against its definition: order, ties, k, groups, reproducible bytes, replacement, and
//! what it refuses.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use pocketlens::fingerprint::Fingerprint;
use pocketlens::index::{
    Index, IndexError, IndexQuery, IndexWriter, ItemFault, ItemPhoto, Ranking, VectorFault,
};
use pocketlens::verdict::{Calibration, Step};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};
use tempfile::TempDir;

fn model() -> Fingerprint {
    Fingerprint::of_parts([b"weights".as_slice()])
}

#[derive(Clone, Debug)]
struct Photo {
    key: String,
    group: Option<String>,
    vector: Vec<f32>,
}

fn photo(key: &str, group: Option<&str>, vector: &[f32]) -> Photo {
    Photo {
        key: key.to_owned(),
        group: group.map(str::to_owned),
        vector: vector.to_owned(),
    }
}

fn writer(path: &Path, photos: &[Photo], dim: usize) -> IndexWriter {
    let mut writer = IndexWriter::create(path, b"the bundle", model(), dim).unwrap();
    for photo in photos {
        let payload = &json!({ "title": photo.key, "price": 9.99 });
        let Photo { key, group, vector } = photo;
        writer
            .push(&ItemPhoto {
                key,
                group: group.as_deref(),
                payload,
                vector,
            })
            .unwrap();
    }
    writer
}

fn built(photos: &[Photo], dim: usize, segment_rows: u32) -> (TempDir, Index) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("shop.plx");
    writer(&path, photos, dim)
        .with_segment_rows(segment_rows)
        .finish()
        .unwrap();
    let index = Index::open(&path).unwrap();
    index.verify().unwrap();
    (dir, index)
}

fn search(index: &Index, vector: &[f32], k: usize) -> Ranking {
    index.search(&IndexQuery::new(model(), vector, k)).unwrap()
}

fn keys(ranking: &Ranking) -> Vec<&str> {
    ranking.hits.iter().map(|hit| hit.key.as_str()).collect()
}

/// Every file of a directory.
fn contents(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    entries
        .map(|entry| (entry.file_name().into(), fs::read(entry.path()).unwrap()))
        .collect()
}

fn shop() -> Vec<Photo> {
    vec![
        photo("mug-red", Some("mug"), &[1.0, 0.1, 0.0]),
        photo("mug-blue", Some("mug"), &[1.0, 0.2, 0.0]),
        photo("vase", None, &[0.0, 1.0, 0.0]),
        photo("vase", None, &[0.9, 1.0, 0.0]),
        photo("lamp", None, &[0.0, 0.0, 1.0]),
    ]
}

#[test]
fn the_nearest_item_comes_first_with_all_that_was_indexed() {
    let (_dir, index) = built(&shop(), 3, u32::MAX);
    let ranking = search(&index, &[2.0, 0.2, 0.0], 2);
    assert_eq!(keys(&ranking), ["mug-red", "mug-blue"]);
    let hit = &ranking.hits[0];
    assert_eq!((hit.group.as_str(), hit.score), ("mug", 1.0));
    assert_eq!(hit.payload, json!({ "title": "mug-red", "price": 9.99 }));
    // The rival is the better photo of the vase: (1, .1) against (.9, 1).
    let rival = ranking.rival.unwrap();
    assert!((rival - 0.739_6).abs() < 0.01, "{rival}");
    let standing = ranking.standing().unwrap();
    assert_eq!((standing.score, standing.margin), (1.0, 1.0 - rival));
}

#[test]
fn an_excluded_group_is_as_good_as_absent() {
    let (_dir, index) = built(&shop(), 3, u32::MAX);
    let without: Vec<_> = shop().into_iter().filter(|p| p.group.is_none()).collect();
    let (_dir, smaller) = built(&without, 3, u32::MAX);
    let query = IndexQuery::new(model(), &[2.0, 0.2, 0.0], 9);
    let excluding = IndexQuery {
        excluding_groups: &["mug"],
        ..query
    };
    let [mut found, expected] = [
        index.search(&excluding).unwrap(),
        smaller.search(&query).unwrap(),
    ];
    // The same but for the rows, which count the excluded ones.
    found
        .hits
        .iter_mut()
        .zip(&expected.hits)
        .for_each(|(hit, other)| hit.row = other.row);
    assert_eq!(found, expected);
    let unknown = IndexQuery {
        excluding_groups: &["no such group"],
        ..query
    };
    assert_eq!(
        index.search(&unknown).unwrap(),
        index.search(&query).unwrap()
    );
}

#[test]
fn an_excluded_photo_is_as_good_as_absent() {
    let (_dir, index) = built(&shop(), 3, u32::MAX);
    for left_out in shop() {
        let without: Vec<_> = shop()
            .into_iter()
            .filter(|photo| photo.vector != left_out.vector)
            .collect();
        let (_dir, smaller) = built(&without, 3, u32::MAX);
        let query = IndexQuery::new(model(), &[2.0, 0.2, 0.1], 9);
        let excluding = IndexQuery {
            excluding_photo: Some(&left_out.vector),
            ..query
        };
        let mut found = index.search(&excluding).unwrap();
        let expected = smaller.search(&query).unwrap();
        let rows = found.hits.iter_mut().zip(&expected.hits);
        rows.for_each(|(hit, other)| hit.row = other.row);
        assert_eq!(found, expected, "without {:?}", left_out.vector);
    }
    let query = IndexQuery {
        excluding_photo: Some(&[1.0]),
        ..IndexQuery::new(model(), &[2.0, 0.2, 0.1], 9)
    };
    let refused = index.search(&query).unwrap_err().to_string();
    assert!(refused.contains("the photo to leave out"), "{refused}");
}

#[test]
fn equal_scores_are_ordered_by_key_whatever_the_segments() {
    let keys_in = ["pear", "apple", "quince", "fig", "Apple", "äpfel"];
    let photos: Vec<_> = keys_in
        .iter()
        .map(|key| photo(key, None, &[3.0, 4.0]))
        .collect();
    for segment_rows in [u32::MAX, 2] {
        let (_dir, index) = built(&photos, 2, segment_rows);
        let all = ["Apple", "apple", "fig", "pear", "quince", "äpfel"];
        for k in 0..9 {
            assert_eq!(
                keys(&search(&index, &[3.0, 4.0], k)),
                all[..k.min(6)],
                "{k}"
            );
        }
    }
}

#[test]
fn without_another_group_there_is_no_rival() {
    let photos = [
        photo("a", Some("g"), &[1.0, 0.0]),
        photo("b", Some("g"), &[0.0, 1.0]),
    ];
    let (_dir, index) = built(&photos, 2, u32::MAX);
    assert_eq!(search(&index, &[1.0, 0.0], 2).rival, None);
    assert_eq!(search(&index, &[1.0, 0.0], 0), Ranking::default());
    let (_dir, empty) = built(&[], 2, u32::MAX);
    assert_eq!(search(&empty, &[1.0, 0.0], 3), Ranking::default());
    assert_eq!(empty.info().items, 0);
}

#[test]
fn info_counts_what_is_there() {
    let (dir, index) = built(&shop(), 3, 2);
    let info = index.info();
    assert_eq!(
        (info.items, info.rows, info.dim, info.segments),
        (4, 5, 3, 3)
    );
    assert_eq!(
        (info.plan, info.format, info.fingerprint),
        ("exact-i8", 1, model())
    );
    let files = contents(&dir.path().join("shop.plx"));
    let bytes: usize = files.values().map(Vec::len).sum();
    assert_eq!(info.bytes + info.bundle_bytes, bytes as u64);
    let verified = index.verify().unwrap();
    assert_eq!(
        (verified.bytes, verified.files),
        (bytes as u64, files.len())
    );
    assert_eq!(fs::read(index.bundle_path()).unwrap(), b"the bundle");
}

#[test]
fn a_query_of_another_model_is_refused_with_a_way_out() {
    let (_dir, index) = built(&shop(), 3, u32::MAX);
    let foreign = Fingerprint::of_parts([b"other weights".as_slice()]);
    let error = index
        .search(&IndexQuery::new(foreign, &[1.0, 0.0, 0.0], 1))
        .unwrap_err();
    assert!(matches!(
        error,
        IndexError::ForeignFingerprint { expected, found } if expected == model() && found == foreign
    ));
    assert!(
        error.to_string().contains("bundle inside of the index"),
        "{error}"
    );
}

#[test]
fn unusable_queries_are_refused() {
    let (_dir, index) = built(&shop(), 3, u32::MAX);
    for (vector, expected) in [
        (
            vec![1.0, 0.0],
            VectorFault::Dim {
                expected: 3,
                found: 2,
            },
        ),
        (vec![0.0, 0.0, 0.0], VectorFault::Zero),
        (vec![0.0, f32::NAN, 0.0], VectorFault::NotFinite { at: 1 }),
    ] {
        let error = index
            .search(&IndexQuery::new(model(), &vector, 1))
            .unwrap_err();
        assert!(matches!(&error, IndexError::BadVector { fault, .. } if *fault == expected));
        assert!(error.to_string().starts_with("the query: "), "{error}");
    }
}

#[test]
fn unusable_items_are_refused_by_name_and_leave_the_writer_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("shop.plx");
    let mut writer = writer(&path, &shop(), 3);
    let vector = [1.0, 0.0, 0.0];
    let good = ItemPhoto {
        key: "mug-red",
        group: Some("mug"),
        payload: &Value::Null,
        vector: &vector,
    };
    let long = "x".repeat(1025);
    let large = json!({ "text": "x".repeat(65_536) });
    for (item, field) in [
        (good, "payload"),
        (
            ItemPhoto {
                group: None,
                ..good
            },
            "group",
        ),
        (ItemPhoto { key: "", ..good }, "key"),
        (ItemPhoto { key: &long, ..good }, "key"),
        (
            ItemPhoto {
                key: "new",
                group: Some(""),
                ..good
            },
            "group",
        ),
        (
            ItemPhoto {
                key: "new",
                payload: &json!([1]),
                ..good
            },
            "object",
        ),
        (
            ItemPhoto {
                key: "new",
                payload: &large,
                ..good
            },
            "payload",
        ),
        (
            ItemPhoto {
                key: "new",
                vector: &[0.0; 3],
                ..good
            },
            "zeros",
        ),
        (
            ItemPhoto {
                key: "new",
                vector: &[0.0; 4],
                ..good
            },
            "numbers",
        ),
    ] {
        let error = writer.push(&item).unwrap_err().to_string();
        let name = if item.key.len() > 100 {
            "xxxx…"
        } else {
            item.key
        };
        assert!(
            error.contains(name) && error.contains(field) && error.len() < 400,
            "{error}"
        );
    }
    let conflict = writer.push(&good).unwrap_err();
    assert!(matches!(
        conflict,
        IndexError::BadItem {
            fault: ItemFault::Conflict {
                field: "payload",
                ..
            },
            ..
        }
    ));
    assert_eq!(writer.finish().unwrap().info().rows, 5);
}

#[test]
fn a_width_that_no_index_has_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    for dim in [0, 65_537] {
        let error = IndexWriter::create(&dir.path().join("x"), b"", model(), dim).unwrap_err();
        assert!(matches!(
            error,
            IndexError::BadVector {
                fault: VectorFault::Width { .. },
                ..
            }
        ));
    }
}

#[test]
fn a_calibration_comes_back_bit_for_bit() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("shop.plx");
    let fitted = Calibration {
        intercept: -1.0 / 3.0,
        curve: vec![Step {
            confidence: 1.0 / 3.0,
            precision: 0.7,
        }],
        samples: 77,
        ..Calibration::default()
    };
    let mut writer = writer(&path, &shop(), 3);
    writer.set_calibration(Calibration::default());
    let index = writer
        .finish_with(|index| {
            // The index is complete, and nobody else sees it yet.
            assert_eq!(keys(&search(index, &[0.0, 0.0, 1.0], 1)), ["lamp"]);
            assert!(matches!(
                Index::open(&path),
                Err(IndexError::NotAnIndex { .. })
            ));
            Ok::<_, IndexError>(Some(fitted.clone()))
        })
        .unwrap();
    assert_eq!(index.calibration(), Some(&fitted));
    assert_eq!(Index::open(&path).unwrap().calibration(), Some(&fitted));
}

#[test]
fn a_failed_build_leaves_the_old_index_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("shop.plx");
    let fail = |_: &Index| {
        Err(IndexError::NotAnIndex {
            path: PathBuf::new(),
            found: "a failure".to_owned(),
        })
    };
    writer(&path, &shop(), 3).finish_with(fail).unwrap_err();
    assert!(!path.exists());

    writer(&path, &shop(), 3).finish().unwrap();
    let before = contents(&path);
    let mut other = IndexWriter::create(&path, b"another bundle", model(), 3).unwrap();
    let payload = &Value::Null;
    other
        .push(&ItemPhoto {
            key: "chair",
            group: None,
            payload,
            vector: &[1.0; 3],
        })
        .unwrap();
    other.finish_with(fail).unwrap_err();
    assert_eq!(contents(&path), before);
    Index::open(&path).unwrap().verify().unwrap();
}

#[test]
fn a_replaced_index_is_new_for_new_readers_and_old_for_old_ones() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("shop.plx");
    writer(&path, &shop(), 3)
        .with_segment_rows(1)
        .finish()
        .unwrap();
    let old = Index::open(&path).unwrap();
    // What a user put there, and what a killed build left there.
    fs::write(path.join("notes.txt"), "mine").unwrap();
    fs::write(path.join(".segment-0123456789abcdef.seg.7-0.tmp"), "half").unwrap();
    writer(&path, &[photo("chair", None, &[1.0; 3])], 3)
        .finish()
        .unwrap();
    assert_eq!(keys(&search(&old, &[0.0, 0.0, 1.0], 1)), ["lamp"]);
    assert_eq!(
        keys(&search(&Index::open(&path).unwrap(), &[0.0, 0.0, 1.0], 1)),
        ["chair"]
    );
    assert_eq!(contents(&path).len(), 4, "{:?}", contents(&path).keys());
    assert_eq!(fs::read(path.join("notes.txt")).unwrap(), b"mine");
}

#[test]
fn a_damaged_index_can_be_replaced_and_other_directories_cannot() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("shop.plx");
    writer(&path, &shop(), 3).finish().unwrap();
    let manifest = path.join("manifest.json");
    let mut bytes = fs::read(&manifest).unwrap();
    bytes.truncate(100);
    fs::write(&manifest, bytes).unwrap();
    assert!(Index::open(&path).is_err());
    writer(&path, &shop(), 3).finish().unwrap();
    Index::open(&path).unwrap().verify().unwrap();

    let photos = dir.path().join("photos");
    fs::create_dir(&photos).unwrap();
    assert!(
        IndexWriter::create(&photos, b"", model(), 3).is_ok(),
        "an empty directory is free"
    );
    fs::write(photos.join("holiday.jpg"), b"precious").unwrap();
    for taken in [photos.clone(), photos.join("holiday.jpg")] {
        let error = IndexWriter::create(&taken, b"", model(), 3).unwrap_err();
        assert!(matches!(error, IndexError::Occupied { .. }), "{error}");
    }
    fs::write(photos.join("manifest.json"), "{\"name\": \"some web app\"}").unwrap();
    let error = IndexWriter::create(&photos, b"", model(), 3).unwrap_err();
    assert!(matches!(error, IndexError::Occupied { .. }), "{error}");
    assert_eq!(contents(&photos).len(), 2);
}

/// Up to 40 photos of up to 25 items in 4 groups, and a query.
fn catalogue() -> impl Strategy<Value = (Vec<Photo>, Vec<f32>)> {
    let vector = |dim| {
        vec(-1.0f32..1.0, dim).prop_filter("a direction", |v| v.iter().any(|v| v.abs() > 0.1))
    };
    (1..150usize).prop_flat_map(move |dim| {
        let photos = vec((0..25u8, vector(dim)), 1..40).prop_map(|photos| {
            let named = photos.into_iter().map(|(n, vector)| Photo {
                key: format!("item {n}"),
                group: (n % 5 < 4).then(|| format!("group {}", n % 5)),
                vector,
            });
            named.collect()
        });
        (photos, vector(dim))
    })
}

/// The definition, in f64 and without a thought for speed: best cosine of each item's vectors.
fn reference(photos: &[Photo], query: &[f32]) -> BTreeMap<String, f64> {
    let cosine = |a: &[f32], b: &[f32]| {
        let dot = |a: &[f32], b: &[f32]| {
            a.iter()
                .zip(b)
                .map(|(&a, &b)| f64::from(a) * f64::from(b))
                .sum::<f64>()
        };
        dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
    };
    let mut best = BTreeMap::new();
    for photo in photos {
        let score: &mut f64 = best.entry(photo.key.clone()).or_insert(-2.0);
        *score = score.max(cosine(&photo.vector, query));
    }
    best
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn scores_are_cosines_and_hits_are_in_order((photos, query) in catalogue(), rows in 1..50u32) {
        let (_dir, index) = built(&photos, query.len(), rows);
        let exact = reference(&photos, &query);
        let ranking = search(&index, &query, usize::MAX);
        prop_assert_eq!(ranking.hits.len(), exact.len());
        for pair in ranking.hits.windows(2) {
            let [a, b] = pair else { unreachable!() };
            prop_assert!(a.score > b.score || a.score == b.score && a.key < b.key);
        }
        // Rounding to int8 moves each vector by at most √dim/2 steps of a length of 127 or more.
        let tolerance = (query.len() as f64).sqrt() / 127.0 + 1e-6;
        for hit in &ranking.hits {
            prop_assert!((f64::from(hit.score) - exact[&hit.key]).abs() <= tolerance);
        }
    }

    #[test]
    fn hits_do_not_depend_on_k_or_on_segments((photos, query) in catalogue(), rows in 1..50u32) {
        let (_dir, index) = built(&photos, query.len(), u32::MAX);
        let (_split_dir, split) = built(&photos, query.len(), rows);
        let all = search(&index, &query, 1000);
        for k in 0..30 {
            let some = search(&index, &query, k);
            prop_assert_eq!(&some.hits[..], &all.hits[..k.min(all.hits.len())]);
            prop_assert_eq!(some.rival, if k == 0 { None } else { all.rival });
            prop_assert_eq!(search(&split, &query, k), some);
        }
    }

    #[test]
    fn the_rival_is_the_best_hit_of_another_group((photos, query) in catalogue(), rows in 1..50u32) {
        let (_dir, index) = built(&photos, query.len(), rows);
        let ranking = search(&index, &query, 1000);
        let others = ranking.hits.iter().filter(|hit| hit.group != ranking.hits[0].group);
        prop_assert_eq!(ranking.rival, others.map(|hit| hit.score).next());
    }

    #[test]
    fn equal_catalogues_give_equal_bytes(
        ((photos, query), shuffled) in catalogue().prop_flat_map(|(photos, query)| {
            let shuffled = Just(photos.clone()).prop_shuffle();
            (Just((photos, query)), shuffled)
        }),
        rows in 1..50u32,
    ) {
        let (a, _) = built(&photos, query.len(), rows);
        let (b, _) = built(&shuffled, query.len(), rows);
        let [a, b] = [a, b].map(|dir| contents(&dir.path().join("shop.plx")));
        prop_assert_eq!(a, b);
    }
}
