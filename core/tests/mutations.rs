//! Ten thousand random mutations of the files of an index and of a pack: verifying refuses each of
//! them, and what opens without verifying answers or refuses, and never crashes.

#![cfg(feature = "signature")]

use std::fs;
use std::path::{Path, PathBuf};

use pocketlens::fingerprint::Fingerprint;
use pocketlens::index::{
    Delta, Index, IndexError, IndexQuery, IndexUpdate, IndexWriter, ItemPhoto, Plan, apply, diff,
};
use serde_json::json;

const MUTATIONS: usize = 10_000;
const DIM: usize = 8;
/// Enough for lists.
const ITEMS: usize = 4_200;

fn model() -> Fingerprint {
    Fingerprint::of_parts([b"weights".as_slice()])
}

fn vector(seed: usize) -> Vec<f32> {
    let mut rng = fastrand::Rng::with_seed(seed as u64);
    (0..DIM).map(|_| rng.f32() - 0.5).collect()
}

/// An index of a segment in lists with dead items and of one that is scanned, and a full pack of it.
fn sample(dir: &Path) -> (PathBuf, PathBuf) {
    let [index, pack] = ["shop.plx", "shop.pack"].map(|name| dir.join(name));
    let mut writer = IndexWriter::create(&index, b"the bundle", model(), DIM).unwrap();
    let photo = |number: usize, push: &mut dyn FnMut(&ItemPhoto<'_>)| {
        push(&ItemPhoto {
            key: &format!("{number}"),
            group: Some(&format!("g{}", number / 3)),
            payload: &json!({ "price": number }),
            vector: &vector(number),
        });
    };
    for number in 0..ITEMS {
        photo(number, &mut |photo| writer.push(photo).unwrap());
    }
    writer.finish().unwrap();
    let mut update = IndexUpdate::open(&index).unwrap();
    for number in [7, 9_001, 9_002] {
        photo(number, &mut |photo| update.put(photo).unwrap());
    }
    assert!(update.remove("11").unwrap());
    update.commit().unwrap();
    let delta = Delta {
        old: None,
        new: &index,
        sign: None,
    };
    diff(&delta, &pack).unwrap();
    (index, pack)
}

/// One of: a flipped bit, a cut end, a block of zeros, a block from elsewhere in the file.
fn mutate(bytes: &mut Vec<u8>, rng: &mut fastrand::Rng) -> &'static str {
    let at = rng.usize(..bytes.len());
    let length = (1 << rng.usize(..12)).min(bytes.len() - at);
    match rng.u8(..4) {
        0 => {
            bytes[at] ^= 1 << rng.u8(..8);
            "flipped bit"
        }
        1 => {
            bytes.truncate(at);
            "truncated"
        }
        2 => {
            bytes[at..at + length].fill(0);
            "zeroed block"
        }
        _ => {
            let from = rng.usize(..=bytes.len() - length);
            bytes.copy_within(from..from + length, at);
            "spliced block"
        }
    }
}

/// Opens without verifying and asks in every way; an answer may be wrong, for nobody verified.
fn ask(path: &Path, seed: usize) -> Result<Index, IndexError> {
    let index = Index::open(path)?;
    let vector = vector(seed);
    let query = IndexQuery::new(model(), &vector, 20);
    for plan in [Plan::Lists, Plan::Signs, Plan::Exact] {
        let _ = index.nearest(&query, plan);
    }
    let _ = index.search(&query);
    let _ = index.items(Some("41"), 50);
    Ok(index)
}

#[test]
fn no_mutation_crashes_and_verifying_refuses_each() {
    let holder = tempfile::tempdir().unwrap();
    let (index, pack) = sample(holder.path());
    let scratch = holder.path().join("scratch.plx");
    fs::create_dir(&scratch).unwrap();
    let mut files = Vec::new();
    for entry in fs::read_dir(&index).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_owned();
        if name != "lock" {
            let bytes = fs::read(&path).unwrap();
            fs::write(scratch.join(&name), &bytes).unwrap();
            files.push((name, bytes));
        }
    }
    files.sort();
    assert!(files.len() >= 5, "{files:?}");
    let packed = fs::read(&pack).unwrap();

    for number in 0..MUTATIONS {
        let mut rng = fastrand::Rng::with_seed(number as u64);
        let target = rng.usize(..=files.len());
        let original = files.get(target).map_or(&packed, |(_, bytes)| bytes);
        let mut bytes = original.clone();
        let how = mutate(&mut bytes, &mut rng);
        let is_changed = bytes != *original;
        let (what, refused) = match files.get(target) {
            Some((name, _)) => {
                let path = scratch.join(name);
                // A new file, for a mapped one must not change; and it may be mapped no longer.
                fs::remove_file(&path).unwrap();
                fs::write(&path, &bytes).unwrap();
                let verified = ask(&scratch, number).and_then(|index| index.verify());
                fs::remove_file(&path).unwrap();
                fs::write(&path, original).unwrap();
                (name.to_string_lossy().into_owned(), verified.is_err())
            }
            None => {
                fs::write(&pack, &bytes).unwrap();
                let target = holder.path().join("applied.plx");
                let applied = apply(&target, &pack, None);
                let _ = fs::remove_dir_all(&target);
                ("pack".to_owned(), applied.is_err())
            }
        };
        assert_eq!(refused, is_changed, "{how} of {what}, seed {number}");
    }
}
