//! What an update costs: 1,000 items into an index of 100,000 (random vectors, 128-d), and packs
//! for a change of 1 % of the items, committed or built anew.
//!
//! `cargo run --release -p pocketlens --example update --no-default-features`

use std::path::Path;
use std::time::{Duration, Instant};

use pocketlens::fingerprint::Fingerprint;
use pocketlens::index::{
    CompactionOptions, Delta, Index, IndexUpdate, IndexWriter, ItemPhoto, apply, diff,
};
use serde_json::json;

const ITEMS: u64 = 100_000;
const CHANGED: u64 = 1_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let holder = tempfile::tempdir()?;
    let [base, updated, replaced, inserted, made] =
        ["base", "updated", "replaced", "inserted", "pack"].map(|name| holder.path().join(name));
    let every = ITEMS / CHANGED;
    build(&base, (0..ITEMS).map(|n| (10 * n, 0)))?;

    let mut times = Vec::new();
    for _ in 0..5 {
        let _ = std::fs::remove_dir_all(&updated);
        copy(&base, &updated)?;
        let photos: Vec<_> = (0..CHANGED).map(|n| (10 * n * every + 1, 0)).collect();
        let vectors: Vec<_> = photos
            .iter()
            .map(|&(n, version)| vector(n, version))
            .collect();
        let start = Instant::now();
        let mut update = IndexUpdate::open(&updated)?;
        for (&(n, _), vector) in photos.iter().zip(&vectors) {
            push(n, vector, |photo| update.put(photo))?;
        }
        update.commit()?;
        times.push(start.elapsed());
    }
    times.sort_unstable();
    let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
    println!(
        "insert of {CHANGED} items into {ITEMS}: {:.1} ms (median of {}, slowest {:.1})",
        milliseconds(times[times.len() / 2]),
        times.len(),
        milliseconds(times[times.len() - 1]),
    );

    let version = |n: u64| u64::from(n.is_multiple_of(every));
    build(&replaced, (0..ITEMS).map(|n| (10 * n, version(n))))?;
    let added = (0..CHANGED).map(|n| (10 * n * every + 1, 0));
    build(&inserted, (0..ITEMS).map(|n| (10 * n, 0)).chain(added))?;
    for (what, new) in [
        ("1 % inserted, committed", &updated),
        ("1 % replaced, built anew", &replaced),
        ("1 % inserted, built anew", &inserted),
    ] {
        let start = Instant::now();
        let packed = diff(
            &Delta {
                old: Some(&base),
                new,
                #[cfg(feature = "signature")]
                sign: None,
            },
            &made,
        )?;
        let diffed = start.elapsed();
        let device = holder.path().join("device");
        let _ = std::fs::remove_dir_all(&device);
        copy(&base, &device)?;
        let start = Instant::now();
        apply(
            &device,
            &made,
            #[cfg(feature = "signature")]
            None,
        )?;
        println!(
            "{what}: pack of {} bytes, {:.2} % of {}; diff {:.0} ms, apply {:.0} ms",
            packed.bytes,
            100.0 * packed.bytes as f64 / packed.of as f64,
            packed.of,
            milliseconds(diffed),
            milliseconds(start.elapsed()),
        );
    }

    let all = CompactionOptions {
        all: true,
        ..CompactionOptions::default()
    };
    let start = Instant::now();
    Index::compact(&updated, &all)?;
    println!("compaction of all: {:.0} ms", milliseconds(start.elapsed()));
    Ok(())
}

fn build(
    dir: &Path,
    photos: impl Iterator<Item = (u64, u64)>,
) -> Result<(), Box<dyn std::error::Error>> {
    let model = Fingerprint::of_parts([b"weights".as_slice()]);
    let mut writer = IndexWriter::create(dir, b"the bundle", model, 128)?;
    for (n, version) in photos {
        push(n, &vector(n, version), |photo| writer.push(photo))?;
    }
    writer.finish()?;
    Ok(())
}

fn push<T>(n: u64, vector: &[f32], to: impl FnOnce(&ItemPhoto<'_>) -> T) -> T {
    to(&ItemPhoto {
        key: &format!("item-{n:08}"),
        group: None,
        payload: &json!({ "title": format!("item number {n}"), "price": n % 997 }),
        vector,
    })
}

/// SplitMix64, as numbers from -1 to 1.
fn vector(n: u64, version: u64) -> Vec<f32> {
    let mut state = n << 8 | version;
    let mut next = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ z >> 31) as i64 as f32 / 9.3e18
    };
    (0..128).map(|_| next()).collect()
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        std::fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(())
}
