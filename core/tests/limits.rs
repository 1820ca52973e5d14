//! Each limit of a lens: what is within it is answered, what is beyond it is a typed error.

#![cfg(feature = "codecs")]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use pocketlens::backbone::{BackboneError, RunOptions};
use pocketlens::bundle::Bundle;
use pocketlens::cancel::{CancelToken, Stop};
use pocketlens::embedder::EmbedError;
use pocketlens::image::{self, ImageError, Pixels};
use pocketlens::index::filter::{Filter, FilterLimits};
use pocketlens::index::{IndexError, IndexQuery, Plan};
use pocketlens::lens::{Lens, LensError, NewPhoto, Query};
use pocketlens::limits::{LimitExceeded, Limits};
use pocketlens::rerank::Rerank;
use tempfile::TempDir;

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../tests")
        .join(name)
}

/// 24×40 pixels.
fn photo() -> Vec<u8> {
    std::fs::read(file("corpus/photo/plain.jpg")).unwrap()
}

fn picture() -> Pixels {
    let bytes = (0..64 * 64 * 3u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 9) as u8);
    Pixels::from_rgb(64, 64, bytes.collect()).unwrap()
}

/// A lens of two segments of an item each.
fn lens() -> (TempDir, Lens) {
    let dir = tempfile::tempdir().unwrap();
    let bundle = Bundle::open(file("compat/v1/tiny.lens")).unwrap();
    let mut lens = Lens::create(dir.path().join("shop.plx"), &bundle).unwrap();
    for key in ["mug", "vase"] {
        let mut update = lens.update().unwrap();
        let item = NewPhoto {
            key,
            group: None,
            payload: &serde_json::json!({ "price": 3 }),
        };
        update.put(&item, &picture()).unwrap();
        lens = update.commit().unwrap();
    }
    (dir, lens)
}

fn within(limits: Limits) -> (TempDir, Lens) {
    let (dir, lens) = lens();
    let lens = lens.with_limits(limits).unwrap();
    (dir, lens)
}

fn exceeded(error: &LensError) -> &LimitExceeded {
    match error {
        LensError::Limit(exceeded) => exceeded,
        other => panic!("{other}"),
    }
}

#[test]
fn the_defaults_let_everything_sensible_pass() {
    let (_dir, lens) = within(Limits::default());
    let answer = lens.search_encoded(&photo(), &Query::default()).unwrap();
    assert_eq!(answer.hits.len(), 2);
}

#[test]
fn a_photo_keeps_its_bytes_pixels_sides_and_samples() {
    type Change = fn(&mut image::Limits);
    let bytes = photo().len() as u64;
    let changes: [(&str, Change); 4] = [
        ("file size in bytes", |limits| {
            limits.max_encoded_bytes = 100;
        }),
        ("area in pixels", |limits| limits.max_pixels = 24 * 40 - 1),
        ("longest side in pixels", |limits| limits.max_side = 39),
        ("decoded size in bytes", |limits| {
            limits.max_decoded_bytes = 24 * 40 * 3 - 1;
        }),
    ];
    assert!(bytes > 100);
    for (what, change) in changes {
        let mut limits = Limits::default();
        change(&mut limits.photo);
        let (_dir, lens) = within(limits);
        let refused = lens
            .search_encoded(&photo(), &Query::default())
            .unwrap_err();
        let LensError::Image(ImageError::Limits { what: found, .. }) = refused else {
            panic!("{what}: {refused}");
        };
        assert_eq!(found, what);
        // The same for what is added to the index.
        let mut update = lens.update().unwrap();
        let payload = serde_json::json!({});
        let item = NewPhoto {
            key: "new",
            group: None,
            payload: &payload,
        };
        let refused = update.put_encoded(&item, &photo()).unwrap_err();
        assert!(
            matches!(refused, LensError::Image(ImageError::Limits { .. })),
            "{refused}"
        );
    }
    let exact = image::Limits {
        max_pixels: 24 * 40,
        max_side: 40,
        max_encoded_bytes: bytes,
        max_decoded_bytes: 24 * 40 * 3,
    };
    let (_dir, lens) = within(Limits {
        photo: exact,
        ..Limits::default()
    });
    lens.search_encoded(&photo(), &Query::default()).unwrap();
}

#[test]
fn a_network_keeps_its_memory() {
    let (_dir, lens) = lens();
    let limits = |network_bytes| Limits {
        network_bytes,
        ..Limits::default()
    };
    let Err(refused) = lens.reopened().unwrap().with_limits(limits(1000)) else {
        panic!("an input has more than 1,000 bytes");
    };
    let exceeded = exceeded(&refused);
    assert_eq!(
        (exceeded.what, exceeded.limit),
        ("input of the network in bytes", 1000)
    );
    // Enough for the input, and for the maps of a small network too.
    let lens = lens.with_limits(limits(exceeded.found as usize)).unwrap();
    lens.search(&picture(), &Query::default()).unwrap();
    let run = |max_bytes| {
        let options = RunOptions {
            max_bytes,
            ..RunOptions::default()
        };
        lens.embedder().embed_with(&picture(), None, &options)
    };
    let refused = run(1000).unwrap_err();
    let EmbedError::Backbone(BackboneError::Unrunnable { reason, .. }) = refused else {
        panic!("{refused}");
    };
    assert!(reason.contains("at most 1000 are given"), "{reason}");
    run(RunOptions::default().max_bytes).unwrap();
}

#[test]
fn an_answer_keeps_its_time() {
    let (_dir, lens) = within(Limits {
        time: Duration::ZERO,
        ..Limits::default()
    });
    let late = lens.search(&picture(), &Query::default()).unwrap_err();
    let exceeded = exceeded(&late);
    assert_eq!(
        (exceeded.what, exceeded.limit),
        ("time of an answer in milliseconds", 0)
    );
    assert!(!late.is_cancelled());
    // The longest time that there is is no mistake.
    let (_dir, lens) = within(Limits {
        time: Duration::MAX,
        ..Limits::default()
    });
    lens.search(&picture(), &Query::default()).unwrap();
}

#[test]
fn a_search_stops_before_its_next_segment() {
    let (_dir, lens) = lens();
    let index = lens.index();
    assert_eq!(index.info().segments, 2);
    let vector = vec![1.0; index.dim()];
    let (token, past) = (CancelToken::new(), Instant::now());
    token.cancel();
    let late = Stop {
        deadline: Some(past),
        ..Stop::default()
    };
    let cancelled = Stop {
        cancel: Some(token.flag()),
        ..Stop::default()
    };
    let asked = |stop| {
        let query = IndexQuery {
            stop,
            ..IndexQuery::new(index.fingerprint(), &vector, 3)
        };
        let nearest = index.nearest(&query, Plan::default()).map(|_| ());
        [index.search(&query).map(|_| ()), nearest]
    };
    for found in asked(late) {
        assert!(matches!(found, Err(IndexError::OutOfTime)), "{found:?}");
    }
    for found in asked(cancelled) {
        assert!(matches!(found, Err(IndexError::Cancelled)), "{found:?}");
    }
    for found in asked(Stop::default()) {
        found.unwrap();
    }
}

#[test]
fn an_answer_keeps_its_number_of_hits() {
    let (_dir, lens) = within(Limits {
        hits: 5,
        ..Limits::default()
    });
    let of = |k| Query {
        k,
        ..Query::default()
    };
    assert_eq!(lens.search(&picture(), &of(5)).unwrap().hits.len(), 2);
    let mut deep = of(1);
    deep.rerank = Some(Rerank {
        depth: 6,
        ..Rerank::default()
    });
    for query in [of(6), of(usize::MAX), deep] {
        let refused = lens.search(&picture(), &query).unwrap_err();
        assert_eq!(
            (exceeded(&refused).what, exceeded(&refused).limit),
            ("number of hits", 5)
        );
    }
}

#[test]
fn a_filter_keeps_its_depth_conditions_values_and_bytes() {
    const FILTER: &str = r#"{"must": [
        {"key": "price", "match": {"any": [1, 2, 3]}},
        {"should": [{"is_null": {"key": "price"}}, {"has_id": ["mug", "vase"]}]}
    ]}"#;
    let exact = FilterLimits {
        depth: 2,
        conditions: 4,
        values: 5,
        json_bytes: FILTER.len(),
    };
    let filter = Filter::from_json_within(FILTER, &exact).unwrap();
    exact.check(&filter).unwrap();
    let tighter = [
        FilterLimits { depth: 1, ..exact },
        FilterLimits {
            conditions: 3,
            ..exact
        },
        FilterLimits { values: 4, ..exact },
    ];
    for limits in tighter {
        assert!(
            Filter::from_json_within(FILTER, &limits).is_err(),
            "{limits:?}"
        );
        assert!(limits.check(&filter).is_err(), "{limits:?}");
        let (_dir, lens) = within(Limits {
            filter: limits,
            ..Limits::default()
        });
        let query = Query {
            filter: Some(filter.clone()),
            ..Query::default()
        };
        let refused = lens.search(&picture(), &query).unwrap_err();
        assert!(
            matches!(refused, LensError::Index(IndexError::BadFilter(_))),
            "{refused}"
        );
    }
    let shorter = FilterLimits {
        json_bytes: FILTER.len() - 1,
        ..exact
    };
    assert!(Filter::from_json_within(FILTER, &shorter).is_err());
    // What an app allows beyond the fixed bounds does not hold.
    let deep = (0..20).fold("{}".to_owned(), |inner, _| {
        format!(r#"{{"must": [{inner}]}}"#)
    });
    let deep = deep.replace("[{}]", r#"[{"is_null": {"key": "a"}}]"#);
    let wide = FilterLimits {
        depth: usize::MAX,
        ..FilterLimits::default()
    };
    assert!(Filter::from_json_within(&deep, &wide).is_err());
}
