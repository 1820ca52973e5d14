//! A segment of an index and its tombstones, under right checksums and a manifest that names them.

use std::fs;

use pocketlens::container::{ContainerWriter, Kind, Tag};
use serde_json::{Value, json};

use super::digest::{hexadecimal, signed};
use super::place::Place;
use super::{ask, parts, sample};

/// Widest vectors.
const MAX_DIM: u32 = 256;

/// Writes its parts as sections of a segment (`dead` as tombstones) and asks the index in every way.
pub fn feed(bytes: &[u8]) -> bool {
    let mut parts = parts::split(bytes);
    parts.truncate(32);
    let head = parts::first(&parts, b"head");
    let number = |at: usize| {
        let word = head.get(4 * at..).and_then(<[u8]>::first_chunk);
        u32::from_le_bytes(word.copied().unwrap_or_default())
    };
    let (dim, rows, items) = (number(0), number(2), number(3));
    let mut writer = ContainerWriter::new(Kind::Segment, sample::model());
    for (at, (tag, content)) in parts.iter().enumerate() {
        if tag != b"dead" && parts[..at].iter().all(|(before, _)| before != tag) {
            writer.section(Tag(*tag), *content);
        }
    }
    let place = Place::new();
    let write = |name: &str, bytes: &[u8]| {
        fs::write(place.path(name), bytes).expect("a file of the fuzzer's own");
        json!({ "file": name, "length": bytes.len(), "sha256": hexadecimal(bytes) })
    };
    let mut segment = write("segment-0.seg", &writer.to_bytes());
    segment["items"] = items.into();
    segment["rows"] = rows.into();
    let (mut live_items, mut live_rows) = (u64::from(items), u64::from(rows));
    let bits = parts::first(&parts, b"dead");
    if !bits.is_empty() {
        let mut writer = ContainerWriter::new(Kind::Tombstones, sample::model());
        let of = segment["sha256"].as_str().unwrap_or_default().to_owned();
        writer.section(Tag(*b"segm"), of.as_bytes());
        writer.section(Tag(*b"dead"), bits);
        let mut dead = write("dead-0.del", &writer.to_bytes());
        let count: u32 = bits.iter().map(|byte| byte.count_ones()).sum();
        dead["items"] = count.into();
        dead["rows"] = count.into();
        live_items = live_items.saturating_sub(count.into());
        live_rows = live_rows.saturating_sub(count.into());
        segment["tombstones"] = dead;
    }
    let bundle = write("bundle-0.lens", b"the bundle");
    let manifest = json!({
        "kind": "pocketlens-index",
        "format": 1,
        "requires": [],
        "created_by": "a fuzzer",
        "fingerprint": sample::model(),
        "dim": if dim <= MAX_DIM { Value::from(dim) } else { json!(sample::DIM) },
        "metric": "cosine",
        "plan": "exact-i8",
        "items": live_items,
        "rows": live_rows,
        "bundle": bundle,
        "segments": [segment],
    });
    let body = serde_json::to_string(&manifest).expect("plain data");
    let fields = body.strip_suffix('}').expect("an object");
    fs::write(place.path("manifest.json"), signed(fields)).expect("a file of the fuzzer's own");
    ask::ask(&place.path(""))
}
