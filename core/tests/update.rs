//! Updates against a model in memory: whatever is added, replaced, removed, compacted and carried
//! in packs, the index says what a new build of the same items says.

#![cfg(feature = "signature")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use pocketlens::fingerprint::Fingerprint;
use pocketlens::index::{
    CompactionOptions, Delta, Hit, Index, IndexError, IndexQuery, IndexUpdate, IndexWriter,
    ItemPhoto, PackError, apply, diff, merge, rollback, shard_of,
};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::json;

fn model() -> Fingerprint {
    Fingerprint::of_parts([b"weights".as_slice()])
}

type Items = BTreeMap<String, (String, Vec<Vec<f32>>)>;

fn push(
    key: &str,
    (group, vectors): &(String, Vec<Vec<f32>>),
    mut to: impl FnMut(&ItemPhoto<'_>) -> Result<(), IndexError>,
) {
    for vector in vectors {
        to(&ItemPhoto {
            key,
            group: Some(group),
            payload: &json!({ "photos": vectors.len() }),
            vector,
        })
        .unwrap();
    }
}

fn build<'a>(
    dir: &Path,
    items: impl IntoIterator<Item = (&'a String, &'a (String, Vec<Vec<f32>>))>,
) -> Index {
    let mut writer = IndexWriter::create(dir, b"the bundle", model(), 3).unwrap();
    for (key, item) in items {
        push(key, item, |photo| writer.push(photo));
    }
    writer.finish().unwrap()
}

fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    entries
        .map(|entry| (entry.file_name().into(), fs::read(entry.path()).unwrap()))
        .collect()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for (name, bytes) in files(from) {
        fs::write(to.join(name), bytes).unwrap();
    }
}

/// Hits without the rows, which depend on the segments, and the rival.
fn answer(index: &Index, vector: &[f32], k: usize) -> (Vec<Hit>, Option<f32>) {
    let ranking = index.search(&IndexQuery::new(model(), vector, k)).unwrap();
    let hits = ranking.hits.into_iter().map(|hit| Hit { row: 0, ..hit });
    (hits.collect(), ranking.rival)
}

fn assert_same(found: &Index, expected: &Index) {
    found.verify().unwrap();
    assert_eq!(
        found.items(None, usize::MAX).unwrap(),
        expected.items(None, usize::MAX).unwrap()
    );
    assert_eq!(found.info().items, expected.info().items);
    assert_eq!(found.info().rows, expected.info().rows);
    for vector in [[1.0, 0.0, 0.0], [0.3, -1.0, 0.5], [0.0, 0.2, 1.0]] {
        for k in [1, 3, 1000] {
            assert_eq!(answer(found, &vector, k), answer(expected, &vector, k));
        }
    }
}

fn pack(old: Option<&Path>, new: &Path, out: &Path) {
    let sign = None;
    diff(&Delta { old, new, sign }, out).unwrap();
}

fn item() -> impl Strategy<Value = (String, Vec<Vec<f32>>)> {
    let vector = vec(-4i8..5, 3)
        .prop_filter("a direction", |v| v.iter().any(|&q| q != 0))
        .prop_map(|v| v.into_iter().map(f32::from).collect::<Vec<_>>());
    ("[ab]", vec(vector, 1..4))
}

fn items() -> impl Strategy<Value = Items> {
    proptest::collection::btree_map("[a-e]{1,2}", item(), 0..20)
}

/// Part of a commit: a key, and the group and vectors that it is to have, or none to remove it.
type Change = (String, Option<(String, Vec<Vec<f32>>)>);

fn change() -> impl Strategy<Value = Vec<Change>> {
    vec(("[a-e]{1,2}", proptest::option::of(item())), 0..8)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn an_updated_index_says_what_a_new_build_says(
        first in items(),
        changes in vec(change(), 0..6),
        compact_after in 0..6usize,
    ) {
        let holder = tempfile::tempdir().unwrap();
        let [dir, fresh, old, made] = ["dir", "fresh", "old", "pack"].map(|n| holder.path().join(n));
        let mut expected = first.clone();
        build(&dir, &first);
        build(&fresh, &first);
        copy(&dir, &old);
        for (number, change) in changes.iter().enumerate() {
            let mut update = IndexUpdate::open(&dir).unwrap();
            let mut this_time = BTreeMap::new();
            for (key, item) in change {
                let is_there = expected.contains_key(key) || this_time.contains_key(key);
                match item {
                    // Put again, it would be a further photo.
                    Some(_) if this_time.contains_key(key) => {}
                    Some(item) => {
                        push(key, item, |photo| update.put(photo));
                        this_time.insert(key, item);
                    }
                    None => {
                        prop_assert_eq!(update.remove(key).unwrap(), is_there);
                        expected.remove(key);
                        this_time.remove(key);
                    }
                }
            }
            for (key, item) in this_time {
                expected.insert(key.clone(), item.clone());
            }
            update.commit().unwrap();
            if number == compact_after {
                Index::compact(&dir, &CompactionOptions::default()).unwrap();
            }
            assert_same(&Index::open(&dir).unwrap(), &build(&fresh, &expected));
        }

        // A pack leads to the same bytes, and a rollback back to the old ones.
        pack(Some(&old), &dir, &made);
        let before = files(&old);
        apply(&old, &made, None).unwrap();
        let mut after = files(&old);
        after.remove(Path::new("manifest.previous.json"));
        for (name, bytes) in files(&dir) {
            prop_assert_eq!(after.get(&name), Some(&bytes));
        }
        if files(&dir) != before {
            rollback(&old).unwrap();
            prop_assert_eq!(files(&old), before);
        }

        // Compacted in full it has the bytes of a new build.
        let all = CompactionOptions { all: true, ..CompactionOptions::default() };
        Index::compact(&dir, &all).unwrap();
        prop_assert_eq!(files(&dir), files(&fresh));
    }

    #[test]
    fn merged_shards_have_the_bytes_of_one_build(
        items in items(),
        count in 1..5u32,
        order in any::<prop::sample::Index>(),
    ) {
        let holder = tempfile::tempdir().unwrap();
        let [whole, merged] = ["whole", "merged"].map(|name| holder.path().join(name));
        build(&whole, &items);
        let mut shards = Vec::new();
        for shard in 0..count {
            let dir = holder.path().join(shard.to_string());
            build(&dir, items.iter().filter(|(key, _)| shard_of(key, count) == shard));
            shards.push(dir);
        }
        let first = order.index(shards.len());
        shards.rotate_left(first);
        merge(&shards, &merged).unwrap();
        prop_assert_eq!(files(&merged), files(&whole));
    }

    #[test]
    fn scrolling_meets_every_item_once(items in items(), limit in 1..7usize) {
        let holder = tempfile::tempdir().unwrap();
        let index = build(&holder.path().join("dir"), &items);
        let mut after: Option<String> = None;
        let mut found = Vec::new();
        loop {
            let page = index.items(after.as_deref(), limit).unwrap();
            let Some(last) = page.last() else { break };
            after = Some(last.key.clone());
            found.extend(page);
        }
        prop_assert_eq!(found.iter().map(|item| &item.key).collect::<Vec<_>>(), items.keys().collect::<Vec<_>>());
        // Exported vectors give the same bytes again.
        let again = found.into_iter().map(|item| (item.key, (item.group, item.vectors)));
        let other = holder.path().join("other");
        build(&other, &again.collect::<Items>());
        prop_assert_eq!(files(&other), files(&holder.path().join("dir")));
    }

    /// Every flipped bit and every truncation of a pack is refused, and the index stays.
    #[test]
    fn damaged_packs_are_refused(at in any::<prop::sample::Index>(), bit in 0..8, cut in any::<bool>()) {
        let (holder, old, made) = prepared();
        let mut bytes = fs::read(&made).unwrap();
        let at = at.index(bytes.len());
        if cut {
            bytes.truncate(at);
        } else {
            bytes[at] ^= 1u8 << bit;
        }
        fs::write(&made, bytes).unwrap();
        let before = files(&old);
        apply(&old, &made, None).unwrap_err();
        prop_assert_eq!(files(&old), before);
        drop(holder);
    }
}

fn some_items(keys: &[&str]) -> Items {
    let item = |(number, key): (usize, &&str)| {
        let vectors = vec![vec![1.0, number as f32, -0.5]];
        ((*key).to_owned(), ("all".to_owned(), vectors))
    };
    keys.iter().enumerate().map(item).collect()
}

/// An index, and a pack that begins from it.
fn prepared() -> (tempfile::TempDir, PathBuf, PathBuf) {
    let holder = tempfile::tempdir().unwrap();
    let [old, new, made] = ["old", "new", "pack"].map(|name| holder.path().join(name));
    build(&old, &some_items(&["lamp", "mug", "vase"]));
    copy(&old, &new);
    let mut update = IndexUpdate::open(&new).unwrap();
    update.remove("mug").unwrap();
    update.commit().unwrap();
    pack(Some(&old), &new, &made);
    (holder, old, made)
}

#[test]
fn one_writer_at_a_time_and_readers_keep_their_snapshot() {
    let holder = tempfile::tempdir().unwrap();
    let dir = holder.path().join("dir");
    let items = some_items(&["lamp", "mug"]);
    let mut reader = build(&dir, &items);
    let mut update = IndexUpdate::open(&dir).unwrap();
    assert!(matches!(
        IndexUpdate::open(&dir),
        Err(IndexError::Busy { .. })
    ));
    assert!(update.remove("mug").unwrap());
    assert!(!update.remove("mug").unwrap());
    assert!(!update.remove("nothing").unwrap());
    assert!(reader.is_current().unwrap() && !reader.refresh().unwrap());
    update.commit().unwrap();
    assert!(!reader.is_current().unwrap());
    assert_eq!(reader.items(None, 9).unwrap().len(), 2);
    assert_eq!(answer(&reader, &[1.0, 0.0, 0.0], 9).0.len(), 2);
    assert!(reader.refresh().unwrap());
    assert_eq!(reader.items(None, 9).unwrap().len(), 1);
    assert_eq!(reader.info().dead_items, 1);
}

#[test]
fn shards_that_do_not_belong_together_are_refused() {
    let holder = tempfile::tempdir().unwrap();
    let [a, b, c, out] = ["a", "b", "c", "out"].map(|name| holder.path().join(name));
    build(&a, &some_items(&["lamp", "mug"]));
    build(&b, &some_items(&["mug", "vase"]));
    let other = Fingerprint::of_parts([b"other".as_slice()]);
    IndexWriter::create(&c, b"the bundle", other, 3)
        .unwrap()
        .finish()
        .unwrap();
    let error = merge(&[a.clone(), b], &out).unwrap_err();
    assert!(
        matches!(&error, IndexError::DuplicateKey { key, .. } if key == "mug"),
        "{error}"
    );
    let error = merge(&[a, c], &out).unwrap_err();
    assert!(
        matches!(
            error,
            IndexError::ForeignShard {
                what: "fingerprint",
                ..
            }
        ),
        "{error}"
    );
    assert!(merge(&[], &out).is_err());
    assert!(!out.exists());
}

#[test]
fn packs_for_another_index_are_refused_and_a_second_time_is_no_change() {
    let (holder, old, made) = prepared();
    let other = holder.path().join("other");
    let error = apply(&other, &made, None).unwrap_err();
    assert!(matches!(error, PackError::ForeignBase { .. }), "{error}");
    assert!(!other.exists());
    build(&other, &some_items(&["chair"]));
    let error = apply(&other, &made, None).unwrap_err();
    assert!(matches!(error, PackError::ForeignBase { .. }), "{error}");

    assert!(matches!(rollback(&old), Err(IndexError::NoPrevious { .. })));
    apply(&old, &made, None).unwrap();
    let after = files(&old);
    apply(&old, &made, None).unwrap();
    assert_eq!(files(&old), after);
}

#[test]
fn a_pack_is_refused_when_the_key_does_not_match() {
    use pocketlens::index::SigningKey;
    let (holder, old, unsigned) = prepared();
    let new = holder.path().join("new");
    let signed = holder.path().join("signed");
    let [ours, theirs] = [[1; 32], [2; 32]].map(|bytes| SigningKey::from_bytes(&bytes));
    let delta = Delta {
        old: Some(&old),
        new: &new,
        sign: Some(&ours),
    };
    diff(&delta, &signed).unwrap();
    let before = files(&old);
    let error = apply(&old, &unsigned, Some(&ours.public_key())).unwrap_err();
    assert!(matches!(error, PackError::NotSigned { .. }), "{error}");
    let error = apply(&old, &signed, Some(&theirs.public_key())).unwrap_err();
    assert!(matches!(error, PackError::BadSignature { .. }), "{error}");
    assert_eq!(files(&old), before);
    apply(&old, &signed, Some(&ours.public_key())).unwrap();
    assert_eq!(Index::open(&old).unwrap().info().items, 2);
}

#[test]
fn what_was_removed_is_told_until_it_is_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("shop.plx");
    let items: Items = ["a", "b", "c"]
        .into_iter()
        .zip([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
        .map(|(key, vector)| (key.to_owned(), (key.to_owned(), vec![vector.to_vec()])))
        .collect();
    let index = build(&path, &items);
    let version = index.version();
    assert_eq!(version, Index::open(&path).unwrap().version());
    assert!(index.removed(10).unwrap().is_empty());
    assert_eq!(index.item("b").unwrap().unwrap().group, "b");
    assert_eq!(index.item("d").unwrap(), None);

    let mut update = IndexUpdate::open(&path).unwrap();
    update.remove("a").unwrap();
    update.remove("b").unwrap();
    let index = update.commit().unwrap();
    assert_ne!(index.version(), version);
    let removed = |index: &Index, limit| {
        let mut keys: Vec<String> = index
            .removed(limit)
            .unwrap()
            .into_iter()
            .map(|item| item.key)
            .collect();
        keys.sort();
        keys
    };
    assert_eq!(removed(&index, 10), ["a", "b"]);
    assert_eq!(removed(&index, 1).len(), 1);
    let a = index
        .removed(10)
        .unwrap()
        .into_iter()
        .find(|item| item.key == "a");
    assert!(a.unwrap().vectors[0][0] > 0.99);
    assert_eq!(index.item("b").unwrap(), None);

    // What is added again is back.
    let mut update = IndexUpdate::open(&path).unwrap();
    push("b", &items["b"], |photo| update.put(photo));
    let index = update.commit().unwrap();
    assert_eq!(removed(&index, 10), ["a"]);
    assert!(index.item("b").unwrap().is_some());
}
