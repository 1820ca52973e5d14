//! Damaged and hostile indexes: a typed error or an answer, never a panic.

use std::fs;
use std::path::{Path, PathBuf};

use pocketlens::container::{Container, ContainerWriter, Kind, Tag};
use pocketlens::fingerprint::Fingerprint;
use pocketlens::index::filter::Filter;
use pocketlens::index::{Index, IndexError, IndexQuery, IndexWriter, ItemPhoto};
use proptest::prelude::*;
use serde_json::json;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

const DIM: usize = 3;

fn model() -> Fingerprint {
    Fingerprint::of_parts([b"weights".as_slice()])
}

/// An index of three items: `cup` with two photos in the group `set`, `jar`, and `pot` in `set`.
fn sample() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("shop.plx");
    let mut writer = IndexWriter::create(&path, b"the bundle", model(), DIM).unwrap();
    for (key, group, vector) in [
        ("cup", Some("set"), [1.0, 0.0, 0.0]),
        ("cup", Some("set"), [0.9, 0.1, 0.0]),
        ("jar", None, [0.0, 1.0, 0.0]),
        ("pot", Some("set"), [0.0, 0.0, 1.0]),
    ] {
        let payload = &json!({ "price": 3, "tags": ["a", key], "new": true });
        writer
            .push(&ItemPhoto {
                key,
                group,
                payload,
                vector: &vector,
            })
            .unwrap();
    }
    writer.finish().unwrap();
    (dir, path)
}

fn file_with(dir: &Path, prefix: &str) -> PathBuf {
    let mut names = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    names
        .find(|path| {
            path.file_name()
                .unwrap()
                .to_str()
                .unwrap()
                .starts_with(prefix)
        })
        .unwrap()
}

/// Opens, searches in every way, and verifies: the first error, or none.
fn use_fully(path: &Path) -> Result<(), IndexError> {
    let index = Index::open(path)?;
    let mut results = Vec::new();
    for excluding_groups in [&[][..], &["set"], &["set", "jar"]] {
        let query = IndexQuery::new(model(), &[1.0, 0.5, 0.2], 9);
        results.push(
            index
                .search(&IndexQuery {
                    excluding_groups,
                    ..query
                })
                .map(|_| ()),
        );
    }
    for condition in [
        r#"{"key": "price", "range": {"gt": 1}}"#,
        r#"{"key": "tags", "match": {"any": ["a", "jar"]}}"#,
        r#"{"key": "tags", "match": {"except": ["a"]}}"#,
        r#"{"key": "tags", "range": {"lt": "2026-01-01"}}"#,
        r#"{"key": "new", "match": {"value": true}}"#,
        r#"{"has_id": ["pot"]}"#,
        r#"{"is_empty": {"key": "price"}}"#,
        r#"{"is_null": {"key": "tags"}}"#,
    ] {
        let filter = Filter::from_json(&format!(r#"{{"must": [{condition}]}}"#)).unwrap();
        results.push(match index.prepare(&filter) {
            // A forged kind is a wrong answer to a right question; `verify` finds it.
            Err(IndexError::FilterKind { .. }) => Ok(()),
            prepared => prepared.map(|_| ()),
        });
    }
    results.push(index.columns().map(|_| ()));
    results.push(index.verify().map(|_| ()));
    results.into_iter().collect()
}

/// Rewrites the one segment with sections changed by `edit` and all checksums right, and the
/// manifest with its length and digests: what only malice or a bug of a writer produces.
fn forge_segment(path: &Path, edit: impl Fn(Tag, &mut Vec<u8>)) {
    let segment = file_with(path, "segment-");
    let old = fs::read(&segment).unwrap();
    let container = Container::open(&segment, Kind::Segment).unwrap();
    let mut writer = ContainerWriter::new(Kind::Segment, model());
    for section in container.sections() {
        let mut bytes = container.section(section.tag).unwrap().to_vec();
        edit(section.tag, &mut bytes);
        writer.section(section.tag, bytes);
    }
    writer.write(&segment).unwrap();
    let new = fs::read(&segment).unwrap();
    forge_manifest(path, |text| {
        text.replace(&hex(&old), &hex(&new)).replace(
            &format!("\"length\": {},", old.len()),
            &format!("\"length\": {},", new.len()),
        )
    });
}

/// Rewrites the manifest with a right digest.
fn forge_manifest(path: &Path, edit: impl Fn(&str) -> String) {
    let manifest = path.join("manifest.json");
    let text = fs::read_to_string(&manifest).unwrap();
    let body_end = text.len() - 64 - "\"\n}\n".len();
    let body = edit(&text[..body_end]);
    fs::write(&manifest, format!("{body}{}\"\n}}\n", hex(body.as_bytes()))).unwrap();
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn put(bytes: &mut [u8], at: usize, new: &[u8]) {
    bytes[at..at + new.len()].copy_from_slice(new);
}

#[test]
fn forging_nothing_leaves_a_sound_index() {
    let (_dir, path) = sample();
    forge_segment(&path, |_, _| {});
    forge_manifest(&path, str::to_owned);
    use_fully(&path).unwrap();
}

#[test]
fn what_is_not_an_index_is_said_to_be_none() {
    let (dir, path) = sample();
    for (place, found) in [
        (dir.path().join("missing"), "nothing"),
        (dir.path().to_owned(), "a directory without manifest.json"),
        (path.join("manifest.json"), "a file"),
    ] {
        let error = Index::open(&place).unwrap_err();
        assert!(
            matches!(&error, IndexError::NotAnIndex { found: f, .. } if f == found),
            "{error}"
        );
    }
}

#[test]
fn missing_and_mixed_up_files_are_found_at_opening() {
    for prefix in ["segment-", "bundle-"] {
        let (_dir, path) = sample();
        let file = file_with(&path, prefix);
        fs::remove_file(&file).unwrap();
        let error = Index::open(&path).unwrap_err();
        assert!(matches!(error, IndexError::Io { .. }), "{error}");
        assert!(error.to_string().contains(prefix), "{error}");
        fs::write(&file, b"").unwrap();
        let error = Index::open(&path).unwrap_err();
        assert!(matches!(error, IndexError::Corrupt { .. }), "{error}");
    }
}

#[test]
fn truncation_at_every_edge_is_found_at_opening() {
    let (_dir, path) = sample();
    let segment = file_with(&path, "segment-");
    let sections = Container::open(&segment, Kind::Segment)
        .unwrap()
        .sections()
        .to_vec();
    let bytes = fs::read(&segment).unwrap();
    for section in sections {
        for cut in [
            section.offset - 1,
            section.offset,
            section.offset + section.length - 1,
        ] {
            // A new file: the old one may be mapped.
            fs::remove_file(&segment).unwrap();
            fs::write(&segment, &bytes[..cut as usize]).unwrap();
            assert!(
                matches!(Index::open(&path), Err(IndexError::Corrupt { .. })),
                "{cut}"
            );
        }
    }
    let manifest = path.join("manifest.json");
    let bytes = fs::read(&manifest).unwrap();
    for cut in 0..bytes.len() {
        fs::write(&manifest, &bytes[..cut]).unwrap();
        assert!(
            matches!(Index::open(&path), Err(IndexError::Corrupt { .. })),
            "{cut}"
        );
    }
}

#[test]
fn hostile_tables_give_typed_errors() {
    type Forgery = (&'static str, &'static [u8; 4], usize, Vec<u8>);
    let huge = u32::MAX.to_le_bytes().to_vec();
    let forgeries: Vec<Forgery> = vec![
        ("another dim", b"head", 0, vec![4]),
        ("another stride", b"head", 4, vec![128]),
        ("huge rows", b"head", 8, huge.clone()),
        ("huge items", b"head", 12, huge.clone()),
        ("huge groups", b"head", 16, huge.clone()),
        ("unknown encoding", b"head", 20, vec![2]),
        (
            "norm that is no number",
            b"norm",
            0,
            f32::NAN.to_le_bytes().to_vec(),
        ),
        (
            "infinite norm",
            b"norm",
            4,
            f32::INFINITY.to_le_bytes().to_vec(),
        ),
        ("wrong norm", b"norm", 8, 0.5f32.to_le_bytes().to_vec()),
        ("row of nothing", b"rows", 0, vec![0; 64]),
        ("row of a huge item", b"rowi", 4, huge.clone()),
        ("rows out of order", b"rowi", 0, vec![1]),
        ("item without rows", b"rowi", 12, vec![1]),
        ("text at a huge offset", b"item", 0, vec![255; 8]),
        ("text past the end", b"item", 0, vec![0, 1]),
        ("huge key", b"item", 8, huge.clone()),
        ("empty key", b"item", 8, vec![0]),
        ("huge payload", b"item", 28, huge.clone()),
        ("short payload", b"item", 12, vec![3]),
        ("huge group", b"grup", 0, huge.clone()),
        ("one group too far", b"grup", 4, vec![2]),
        ("group name at a huge offset", b"grup", 12, vec![255; 8]),
        ("huge group name", b"grup", 20, huge),
        ("group names out of order", b"grup", 24, vec![0]),
        ("key that is not UTF-8", b"text", 1, vec![0xff]),
        ("key out of order", b"text", 0, b"z".to_vec()),
        ("payload that is not JSON", b"text", 4, b"}".to_vec()),
        ("too many columns", b"cols", 0, vec![65]),
        ("more columns than the section", b"cols", 0, vec![64]),
        ("unknown flag", b"cols", 4, vec![2]),
        ("another kind", b"cols", 8, vec![0]),
        ("a kind that does not fit", b"cols", 48, vec![6]),
        ("unknown kind", b"cols", 8, vec![8]),
        ("huge name of a column", b"cols", 12, vec![255; 4]),
        ("name of a column far away", b"cols", 16, vec![255; 8]),
        ("values far away", b"cols", 24, vec![255; 8]),
        ("values of another length", b"cols", 32, vec![1]),
        ("huge number of texts", b"cols", 120, vec![255; 8]),
        ("no texts", b"cols", 120, vec![0]),
        ("another value", b"cols", 160, vec![1]),
    ];
    for (what, tag, at, new) in forgeries {
        let (_dir, path) = sample();
        forge_segment(&path, |found, bytes| {
            if found == Tag(*tag) {
                put(bytes, at, &new);
            }
        });
        let error = use_fully(&path).expect_err(what);
        assert!(
            matches!(
                error,
                IndexError::Corrupt { .. } | IndexError::Incompatible { .. }
            ),
            "{what}: {error}"
        );
    }
}

#[test]
fn tables_of_another_length_are_found_at_opening() {
    for tag in [b"head", b"rows", b"norm", b"rowi", b"item", b"grup"] {
        let (_dir, path) = sample();
        forge_segment(&path, |found, bytes| {
            if found == Tag(*tag) {
                bytes.pop();
            }
        });
        let error = Index::open(&path).unwrap_err();
        assert!(
            error
                .to_string()
                .contains(std::str::from_utf8(tag).unwrap()),
            "{error}"
        );
    }
}

#[test]
fn hostile_manifests_give_typed_errors() {
    for (from, to) in [
        ("\"format\": 1", "\"format\": 2"),
        ("\"requires\": []", "\"requires\": [\"teleport\"]"),
        ("\"metric\": \"cosine\"", "\"metric\": \"l2\""),
        ("\"dim\": 3", "\"dim\": 0"),
        ("\"dim\": 3", "\"dim\": 99999999999"),
        ("\"dim\": 3", "\"dim\": 4"),
        ("\"rows\": 4", "\"rows\": 5"),
        ("\"file\": \"bundle-", "\"file\": \"../bundle-"),
        ("\"file\": \"segment-", "\"file\": \"/etc/segment-"),
        ("\"file\": \"segment-", "\"file\": \".segment-"),
        (
            "\"kind\": \"pocketlens-index\"",
            "\"kind\": \"something else\"",
        ),
        ("\"length\": ", "\"length\": 1"),
    ] {
        let (_dir, path) = sample();
        forge_manifest(&path, |text| {
            assert!(text.contains(from), "{from}");
            text.replacen(from, to, 1)
        });
        let error = Index::open(&path).expect_err(to);
        assert!(
            matches!(
                error,
                IndexError::Corrupt { .. } | IndexError::Incompatible { .. }
            ),
            "{to}: {error}"
        );
    }
}

#[test]
fn a_segment_of_another_model_is_found_at_opening() {
    let (_dir, path) = sample();
    let foreign = Fingerprint::of_parts([b"other".as_slice()]).to_string();
    forge_manifest(&path, |text| text.replace(&model().to_string(), &foreign));
    let error = Index::open(&path).unwrap_err();
    assert!(error.to_string().contains(&foreign), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_flipped_bit_of_the_manifest_is_found_at_opening(at in any::<prop::sample::Index>(), bit in 0..8) {
        let (_dir, path) = sample();
        let manifest = path.join("manifest.json");
        let mut bytes = fs::read(&manifest).unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= 1u8 << bit;
        fs::write(&manifest, bytes).unwrap();
        prop_assert!(Index::open(&path).is_err());
    }

    #[test]
    fn any_flipped_bit_of_another_file_is_found_by_verify(
        prefix in prop::sample::select(vec!["segment-", "bundle-"]),
        at in any::<prop::sample::Index>(),
        bit in 0..8,
    ) {
        let (_dir, path) = sample();
        let file = file_with(&path, prefix);
        let mut bytes = fs::read(&file).unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= 1u8 << bit;
        fs::write(&file, bytes).unwrap();
        prop_assert!(use_fully(&path).is_err());
    }

    /// With right checksums over wrong tables, anything may come out but a panic.
    #[test]
    fn forged_tables_never_panic(
        tag in prop::sample::select(vec![b"head", b"norm", b"rowi", b"item", b"grup", b"text", b"cols"]),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let (_dir, path) = sample();
        forge_segment(&path, |found, bytes| {
            if found == Tag(*tag) {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
        });
        let _ = use_fully(&path);
    }
}
