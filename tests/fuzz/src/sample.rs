//! A small sound index, the same each time: what manifests, packs and filters are fed to.

use std::fs;
use std::path::{Path, PathBuf};

use pocketlens::fingerprint::Fingerprint;
use pocketlens::index::{IndexUpdate, IndexWriter, ItemPhoto};
use serde_json::{Value, json};

/// Numbers in a vector.
pub const DIM: usize = 4;

/// The model of all that is fed.
pub fn model() -> Fingerprint {
    Fingerprint::of_parts([b"fuzzed".as_slice()])
}

/// What to search for.
pub fn query() -> Vec<f32> {
    vec![0.9, 0.1, -0.3, 0.2]
}

/// A payload of every kind of value.
pub fn payload(number: usize) -> Value {
    json!({
        "price": number,
        "weight": number as f64 / 7.0,
        "brand": (["red", "blue", "green"])[number % 3],
        "tags": ["a", format!("t{number}")],
        "new": number.is_multiple_of(2),
        "since": format!("2026-01-{:02}T10:00:00Z", 1 + number % 28),
        "at": { "lat": number as f64, "lon": 8.5 },
        "note": if number.is_multiple_of(4) { Value::Null } else { json!({ "deep": number }) },
    })
}

/// Makes it in `dir`: two segments, one of them with a dead item.
pub fn index(dir: &Path) -> PathBuf {
    let path = dir.join("sample.plx");
    let photo = |number: usize, push: &mut dyn FnMut(&ItemPhoto<'_>)| {
        push(&ItemPhoto {
            key: &format!("item{number}"),
            group: number.is_multiple_of(3).then_some("thirds"),
            payload: &payload(number),
            vector: &[1.0, number as f32 / 5.0, -0.5, (number % 4) as f32],
        });
    };
    let mut writer = IndexWriter::create(&path, b"the bundle", model(), DIM).expect("a new index");
    for number in 0..9 {
        photo(number, &mut |photo| {
            writer.push(photo).expect("a sound photo");
        });
    }
    writer.finish().expect("a sound index");
    let mut update = IndexUpdate::open(&path).expect("a sound index");
    for number in [4, 20] {
        photo(number, &mut |photo| {
            update.put(photo).expect("a sound photo");
        });
    }
    update.commit().expect("a sound update");
    path
}

/// The files of the index but for its lock, by name.
pub fn files(index: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(index).expect("an index");
    let mut files: Vec<_> = entries
        .map(|entry| {
            let path = entry.expect("an entry").path();
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            (name, fs::read(&path).expect("a file"))
        })
        .filter(|(name, _)| name != "lock")
        .collect();
    files.sort();
    files
}
