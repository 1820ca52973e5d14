//! A pack: its head, its chunks, and what applying it leaves behind.

use std::cell::RefCell;
use std::path::PathBuf;

use pocketlens::index::{Index, apply};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::digest::{hexadecimal, signed};
use super::place::Place;
use super::{parts, sample};

/// Most bytes that a chunk yields, so that a small input cannot ask for much.
const STEPS: u8 = 6;

thread_local! {
    static SAMPLE: RefCell<Option<(Place, PathBuf, String)>> = const { RefCell::new(None) };
}

/// Makes a pack of its parts and applies it, to nothing or to a sound index. The parts are `head` (the JSON of the
/// head; the digest of the manifest in it is put right, and `base` when it is `true`), then, in any order, `deft` (what a
/// chunk yields as a number of four bytes, and its payload, which is packed with DEFLATE here) and `raw ` (bytes as
/// they are).
pub fn feed(bytes: &[u8]) -> bool {
    SAMPLE.with_borrow_mut(|kept| {
        let (place, index, version) = kept.get_or_insert_with(|| {
            let place = Place::new();
            let index = sample::index(&place.path(""));
            let version = Index::open(&index).expect("sound").version();
            (place, index, version)
        });
        let parts = parts::split(bytes);
        let manifest = std::fs::read(index.join("manifest.json")).expect("sound");
        let pack = place.path("fuzzed.pack");
        std::fs::write(&pack, pack_of(&parts, &manifest)).expect("a file of the fuzzer's own");
        let fresh = place.path("fresh.plx");
        let made = apply(&fresh, &pack, None).is_ok();
        if made {
            Index::open(&fresh).expect("what was published is sound");
        }
        let _ = std::fs::remove_dir_all(&fresh);
        let applied = apply(index, &pack, None).is_ok();
        let after = Index::open(index).expect("the old or the new index");
        after.verify().expect("the old or the new index");
        if applied {
            // The next input finds the sample again.
            *kept = None;
        } else {
            assert_eq!(after.version(), *version, "a refused pack changes nothing");
        }
        made || applied
    })
}

fn pack_of(parts: &[([u8; 4], &[u8])], base: &[u8]) -> Vec<u8> {
    let head = parts::first(parts, b"head");
    let head = righted(head, base).unwrap_or_else(|| head.to_vec());
    let mut pack = b"PLXPACK\n".to_vec();
    pack.extend(1u32.to_le_bytes());
    pack.extend((head.len() as u32).to_le_bytes());
    pack.extend(head);
    pack.extend(Sha256::digest(&pack));
    // No signature.
    pack.push(0);
    for (name, content) in parts {
        match (name, content.split_first_chunk::<4>()) {
            (b"raw ", _) => pack.extend(*content),
            (b"deft", Some((yields, payload))) => {
                let stored = miniz_oxide::deflate::compress_to_vec(payload, STEPS);
                pack.extend(yields);
                pack.extend((stored.len() as u32).to_le_bytes());
                // Right for a chunk whose payload is new bytes alone, behind its operations.
                let fresh = payload
                    .len()
                    .saturating_sub(u32::from_le_bytes(*yields) as usize);
                pack.extend(Sha256::digest(&payload[fresh..]));
                pack.extend(stored);
            }
            _ => {}
        }
    }
    pack.extend(Sha256::digest(&pack));
    pack
}

/// The head with the digests that belong into it; `None` where it is not what a head is.
fn righted(head: &[u8], base: &[u8]) -> Option<Vec<u8>> {
    let mut head: Value = serde_json::from_slice(head).ok()?;
    let manifest = head.get("manifest")?.as_str()?;
    let (fields, _) = manifest.split_once(",\n  \"sha256\"")?;
    head["manifest"] = signed(fields).into();
    if head.get("base") == Some(&Value::Bool(true)) {
        head["base"] = hexadecimal(base).into();
    }
    serde_json::to_vec(&head).ok()
}
