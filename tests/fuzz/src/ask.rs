//! An index that opened is asked in every way, verified or not.

use std::path::Path;

use pocketlens::index::filter::Filter;
use pocketlens::index::{GroupBy, Index, IndexQuery, Plan};

const CONDITIONS: [&str; 9] = [
    r#"{"key": "price", "range": {"gt": 1}}"#,
    r#"{"key": "weight", "range": {"lte": 0.5}}"#,
    r#"{"key": "tags", "match": {"any": ["a", "t4"]}}"#,
    r#"{"key": "brand", "match": {"except": ["red"]}}"#,
    r#"{"key": "since", "range": {"lt": "2026-01-09T00:00:00Z"}}"#,
    r#"{"key": "at", "geo_radius": {"center": {"lat": 3, "lon": 8}, "radius": 90000}}"#,
    r#"{"has_id": ["item3"]}"#,
    r#"{"is_empty": {"key": "note.deep"}}"#,
    r#"{"is_null": {"key": "note"}}"#,
];

/// Asks without verifying; answers may be wrong, but there is an answer or an error. Whether the index is sound.
pub fn ask(path: &Path) -> bool {
    let Ok(index) = Index::open(path) else {
        return false;
    };
    let vector: Vec<f32> = (0..index.dim()).map(|at| 0.9 - at as f32 / 3.0).collect();
    let plain = IndexQuery::new(index.fingerprint(), &vector, 5);
    let by_group = GroupBy::Group;
    let queries = [
        plain,
        IndexQuery { k: 40, ..plain },
        IndexQuery {
            excluding_groups: &["thirds"],
            ..plain
        },
        IndexQuery {
            group_by: Some(&by_group),
            ..plain
        },
        IndexQuery {
            excluding_photo: Some(&vector),
            ..plain
        },
    ];
    let mut keys = vec!["item3".to_owned()];
    for query in &queries {
        if let Ok(ranking) = index.search(query) {
            assert!(ranking.hits.len() <= query.k);
            keys.extend(ranking.hits.into_iter().map(|hit| hit.key).take(2));
        }
    }
    for plan in [Plan::Lists, Plan::Signs, Plan::Exact] {
        let _ = index.nearest(&plain, plan);
    }
    for condition in CONDITIONS {
        let filter = Filter::from_json(&format!(r#"{{"must": [{condition}]}}"#)).expect("sound");
        if let Ok(filter) = index.prepare(&filter) {
            let filter = Some(&filter);
            let _ = index.search(&IndexQuery { filter, ..plain });
        }
    }
    for key in &keys {
        let _ = (
            index.item(key),
            index.vectors(key),
            index.local_features(key),
        );
    }
    let _ = (
        index.items(None, 30),
        index.items(Some("item4"), 3),
        index.removed(5),
    );
    let _ = (index.columns(), index.info(), index.has_local_features());
    index.verify().is_ok()
}
