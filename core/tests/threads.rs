//! Readers and a writer of one index at a time: whoever searches sees one state of it, whole. The thread sanitizer runs
//! this too (`tests/sanitizers/run`).

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, RwLock};
use std::thread;

use pocketlens::fingerprint::Fingerprint;
use pocketlens::index::{
    CompactionOptions, Index, IndexQuery, IndexUpdate, IndexWriter, ItemPhoto,
};
use serde_json::json;

const UPDATES: u64 = 12;
const READERS: usize = 3;

fn model() -> Fingerprint {
    Fingerprint::of_parts([b"weights".as_slice()])
}

/// Puts two items that belong to the same state.
fn put_both(number: u64, mut put: impl FnMut(&ItemPhoto<'_>)) {
    for (key, vector) in [("left", [1.0, 0.2]), ("right", [0.2, 1.0])] {
        put(&ItemPhoto {
            key,
            group: None,
            payload: &json!({ "state": number }),
            vector: &vector,
        });
    }
}

/// The state that a search sees, of both items.
fn state(index: &Index) -> u64 {
    let query = IndexQuery::new(model(), &[1.0, 1.0], 5);
    let hits = index.search(&query).unwrap().hits;
    let states: Vec<u64> = hits
        .iter()
        .map(|hit| hit.payload["state"].as_u64().unwrap())
        .collect();
    assert_eq!(states.len(), 2, "{hits:?}");
    assert_eq!(states[0], states[1], "one state of both");
    states[0]
}

fn write(path: &Path, current: &RwLock<Arc<Index>>) {
    for number in 1..=UPDATES {
        let mut update = IndexUpdate::open(path).unwrap();
        put_both(number, |photo| update.put(photo).unwrap());
        let index = update.commit().unwrap();
        *current.write().unwrap() = Arc::new(index);
        if number.is_multiple_of(5) {
            Index::compact(path, &CompactionOptions::default()).unwrap();
        }
    }
}

#[test]
fn readers_see_whole_states_in_their_order_while_a_writer_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("shop.plx");
    let mut writer = IndexWriter::create(&path, b"the bundle", model(), 2).unwrap();
    put_both(0, |photo| writer.push(photo).unwrap());
    let current = RwLock::new(Arc::new(writer.finish().unwrap()));
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for reader in 0..READERS {
            let (path, current, done) = (&path, &current, &done);
            scope.spawn(move || {
                let mut own = Index::open(path).unwrap();
                let mut last = 0;
                while !done.load(Ordering::Acquire) {
                    // Some follow the files, some are handed what is current.
                    let seen = if reader.is_multiple_of(2) {
                        own.refresh().unwrap();
                        state(&own)
                    } else {
                        let index = current.read().unwrap().clone();
                        state(&index)
                    };
                    assert!(seen >= last, "{seen} after {last}");
                    last = seen;
                }
            });
        }
        write(&path, &current);
        done.store(true, Ordering::Release);
    });
    assert_eq!(state(&Index::open(&path).unwrap()), UPDATES);
}
