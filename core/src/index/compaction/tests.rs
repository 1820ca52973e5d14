use serde_json::{Value, json};

use super::*;
use crate::fingerprint::Fingerprint;
use crate::index::{IndexUpdate, IndexWriter, ItemPhoto};

const MIB: u64 = 1 << 20;

fn size(mebibytes: u64) -> Size {
    Size {
        live_bytes: mebibytes * MIB,
        live_rows: 10,
        rows: 10,
    }
}

/// Commits between merging and publishing, in turn: a removal and a replacement in the merged
/// segments, an addition beside them. All of it must outlast the compaction.
#[test]
fn commits_during_a_compaction_are_kept() {
    let holder = tempfile::tempdir().unwrap();
    let dir = holder.path().join("shop.plx");
    let model = Fingerprint::of_parts([b"weights".as_slice()]);
    let put = |key: &str, x: f32, push: &mut dyn FnMut(&ItemPhoto<'_>)| {
        push(&ItemPhoto {
            key,
            group: None,
            payload: &json!({ "x": x }),
            vector: &[x, 1.0],
        });
    };
    let mut writer = IndexWriter::create(&dir, b"the bundle", model, 2)
        .unwrap()
        .with_segment_rows(2);
    for key in ["a", "b", "c", "d", "e"] {
        put(key, 1.0, &mut |photo| writer.push(photo).unwrap());
    }
    writer.finish().unwrap();
    let options = CompactionOptions {
        all: true,
        ..CompactionOptions::default()
    };
    let mut round = 0;
    compact_on(&Disk, &dir, &options, || {
        let mut update = IndexUpdate::open(&dir).unwrap();
        match round {
            0 => assert!(update.remove("b").unwrap()),
            1 => put("c", 5.0, &mut |photo| update.put(photo).unwrap()),
            2 => put("f", 6.0, &mut |photo| update.put(photo).unwrap()),
            _ => return,
        }
        round += 1;
        update.commit().unwrap();
    })
    .unwrap();
    assert!(round > 0);
    let index = Index::open(&dir).unwrap();
    index.verify().unwrap();
    let items = index.items(None, 10).unwrap();
    let found: Vec<_> = items
        .iter()
        .map(|item| (item.key.as_str(), item.payload["x"].as_f64().unwrap()))
        .collect();
    let mut expected = vec![("a", 1.0), ("c", 1.0), ("d", 1.0), ("e", 1.0)];
    if round > 1 {
        expected[1].1 = 5.0;
    }
    if round > 2 {
        expected.push(("f", 6.0));
    }
    assert_eq!(found, expected);
}

/// Another writer that takes the merged segments away each time: the compaction gives up with
/// an error that says so, and the other's index stays.
#[test]
fn a_compaction_that_is_overtaken_each_time_is_busy() {
    let holder = tempfile::tempdir().unwrap();
    let dir = holder.path().join("shop.plx");
    let model = Fingerprint::of_parts([b"weights".as_slice()]);
    let build = |x: f32| {
        let mut writer = IndexWriter::create(&dir, b"the bundle", model, 2)
            .unwrap()
            .with_segment_rows(2);
        for (key, y) in [("a", 1.0), ("b", 2.0), ("c", 3.0)] {
            writer
                .push(&ItemPhoto {
                    key,
                    group: None,
                    payload: &Value::Null,
                    vector: &[x, y],
                })
                .unwrap();
        }
        writer.finish().unwrap();
    };
    build(1.0);
    let options = CompactionOptions {
        all: true,
        ..CompactionOptions::default()
    };
    let mut rebuilt = 0;
    let outcome = compact_on(&Disk, &dir, &options, || {
        rebuilt += 1;
        build(1.0 + rebuilt as f32);
    });
    assert!(
        matches!(outcome, Err(IndexError::Busy { .. })),
        "{outcome:?}"
    );
    assert_eq!(rebuilt, ATTEMPTS);
    Index::open(&dir).unwrap().verify().unwrap();
}

fn due(segments: &[Size]) -> Vec<usize> {
    let options = CompactionOptions {
        memory: 1 << 40,
        all: false,
    };
    plan(segments, &options)
}

#[test]
fn four_of_a_size_are_due_and_the_smallest_tier_first() {
    assert!(due(&[]).is_empty());
    assert!(due(&[size(0), size(0), size(0), size(100)]).is_empty());
    assert_eq!(
        due(&[size(100), size(0), size(0), size(0), size(0)]),
        [1, 2, 3, 4]
    );
    let both = [5, 0, 5, 0, 0, 5, 0, 5].map(size);
    assert_eq!(due(&both), [1, 3, 4, 6]);
}

#[test]
fn a_segment_that_is_mostly_dead_is_due() {
    let half_dead = Size {
        rows: 20,
        ..size(3)
    };
    let mostly_dead = Size {
        rows: 21,
        ..size(3)
    };
    assert!(due(&[half_dead]).is_empty());
    assert_eq!(due(&[half_dead, mostly_dead]), [1]);
}

#[test]
fn what_does_not_fit_into_memory_stays() {
    let sizes = [2, 2, 2, 2, 3].map(size);
    let all = |memory| plan(&sizes, &CompactionOptions { memory, all: true });
    assert_eq!(all(u64::MAX), [0, 1, 2, 3, 4]);
    assert_eq!(all(4 * 8 * MIB), [0, 1, 2, 3]);
    assert_eq!(all(4 * 4 * MIB), [0, 1]);
    assert!(all(4 * 3 * MIB).is_empty());
    let many_rows = Size {
        live_rows: u64::from(SEGMENT_ROWS),
        rows: u64::from(SEGMENT_ROWS),
        ..size(1)
    };
    let options = CompactionOptions {
        memory: u64::MAX,
        all: true,
    };
    assert!(plan(&[many_rows, many_rows], &options).is_empty());
}
