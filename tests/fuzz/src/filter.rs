//! A filter as JSON: read, written again, and put to the items of an index.

use std::cell::OnceCell;

use pocketlens::index::filter::{Condition, Filter};
use pocketlens::index::{Index, IndexQuery};

use super::place::Place;
use super::sample;

thread_local! {
    static SAMPLE: OnceCell<(Place, Index)> = const { OnceCell::new() };
}

/// What is read comes back as it was written, and finds no more than there is.
pub fn feed(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return false;
    };
    let Ok(filter) = Filter::from_json(text) else {
        return false;
    };
    let json = serde_json::to_string(&filter).expect("plain data");
    assert_eq!(Filter::from_json(&json).as_ref(), Ok(&filter), "{json}");
    SAMPLE.with(|sample| {
        let (_, index) = sample.get_or_init(|| {
            let place = Place::new();
            let index = sample::index(&place.path(""));
            (place, Index::open(&index).expect("a sound index"))
        });
        let Ok(prepared) = index.prepare(&filter) else {
            return false;
        };
        let count = prepared.count();
        assert!(count <= index.info().items);
        let vector = sample::query();
        let query = IndexQuery {
            filter: Some(&prepared),
            ..IndexQuery::new(sample::model(), &vector, 100)
        };
        let ranking = index.search(&query).expect("a sound question");
        assert_eq!(ranking.hits.len() as u64, count, "{json}");
        let keys = filter.conditions().filter_map(Condition::key);
        let _ = index.unknown_keys(keys);
        count > 0
    })
}
