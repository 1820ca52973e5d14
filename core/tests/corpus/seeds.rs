//! Writes the seeds of `tests/corpus`: small sound files of every kind, made by this library.
//! `cargo test --workspace --locked --test corpus -- --ignored`, after a format got something new.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use image::codecs::{jpeg::JpegEncoder, png::PngEncoder, webp::WebPEncoder};
use image::{ExtendedColorType, ImageEncoder as _};
use pocketlens::backbone::{Preprocessing, QuantiseOptions, quantise};
use pocketlens::bundle::{self, Bundle, Card, Network, Spec};
use pocketlens::container::{Container, ContainerWriter, Kind, Tag};
use pocketlens::descriptor::{
    Codebook, Learned, LocalFeatures, Mixture, Part, Pool, Recipe, Root, Weighting, Whitening,
};
use pocketlens::image::{Pixels, Sizing};
use pocketlens::index::{Delta, IndexWriter, ItemPhoto, diff};
use pocketlens::verdict::Calibration;
use serde_json::{Value, json};

use super::folder;
use super::parsers::sample;

/// A part of an input, as `tests/fuzz/src/parts.rs` reads it.
fn part(name: &[u8; 4], content: &[u8]) -> Vec<u8> {
    [b"@@ ", &name[..], b"\n", content, b"\n"].concat()
}

fn write(parser: &str, name: &str, bytes: &[u8]) {
    fs::create_dir_all(folder(parser)).unwrap();
    fs::write(folder(parser).join(name), bytes).unwrap();
}

fn sections_of(path: &Path, kind: Kind) -> BTreeMap<[u8; 4], Vec<u8>> {
    let container = Container::open(path, kind).unwrap();
    let section = |section: &pocketlens::container::Section| {
        let bytes = container.section(section.tag).unwrap();
        (section.tag.0, bytes.to_vec())
    };
    container.sections().iter().map(section).collect()
}

fn parts_of(sections: &BTreeMap<[u8; 4], Vec<u8>>) -> Vec<u8> {
    let parts = sections.iter().map(|(name, bytes)| part(name, bytes));
    parts.collect::<Vec<_>>().concat()
}

#[test]
#[ignore = "writes files"]
fn write_seeds() {
    photos();
    frames();
    containers();
    bundles();
    indexes();
    filters();
    servers();
    moments();
}

fn photos() {
    let data: Vec<u8> = (0..24 * 40 * 3u32)
        .map(|at| ((at * at) >> 7) as u8)
        .collect();
    let (width, height) = (24, 40);
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, 80)
        .write_image(&data, width, height, ExtendedColorType::Rgb8)
        .unwrap();
    write("photo", "plain.jpg", &bytes);
    // A TIFF block with one tag, a quarter turn.
    let exif = b"Exif\0\0II\x2A\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
    let length = (exif.len() as u16 + 2).to_be_bytes();
    let turned = [&bytes[..2], &[0xff, 0xe1], &length, exif, &bytes[2..]].concat();
    write("photo", "turned.jpg", &turned);
    let mut bytes = Vec::new();
    PngEncoder::new(&mut bytes)
        .write_image(&data, width, height, ExtendedColorType::Rgb8)
        .unwrap();
    write("photo", "rgb.png", &bytes);
    let mut bytes = Vec::new();
    PngEncoder::new(&mut bytes)
        .write_image(&data[..24 * 10 * 8], 24, 10, ExtendedColorType::Rgba16)
        .unwrap();
    write("photo", "rgba16.png", &bytes);
    let mut bytes = Vec::new();
    WebPEncoder::new_lossless(&mut bytes)
        .write_image(&data[..24 * 30 * 4], 24, 30, ExtendedColorType::Rgba8)
        .unwrap();
    write("photo", "rgba.webp", &bytes);
    let frozen = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/image");
    for name in [
        "cmyk-progressive.jpg",
        "lossy-alpha.webp",
        "lossy.webp",
        "subsampled.jpg",
        "ycck.jpg",
        "sampled/1x4.jpg",
        "sampled/4x1.jpg",
        "sampled/grey.jpg",
        "sampled/planes.jpg",
        "sampled/restart.jpg",
    ] {
        let bytes = fs::read(frozen.join(name)).unwrap();
        write("photo", name.rsplit('/').next().unwrap(), &bytes);
    }
}

fn frames() {
    for (form, name) in ["yuv420", "i420", "nv12", "nv21", "rgba", "bgra"]
        .into_iter()
        .enumerate()
    {
        for region in 0..3u8 {
            let mut bytes = vec![form as u8, region, 6 - region];
            let bytes_a_pixel = if form < 4 { 1u16 } else { 4 };
            for number in [90, 60, 90 * bytes_a_pixel, bytes_a_pixel, 46, 1, 46, 1] {
                bytes.extend(u16::to_le_bytes(number));
            }
            let planes: [u32; 3] = [0, 90 * 60, 90 * 60 + 46 * 30];
            bytes.extend(planes.map(u32::to_le_bytes).concat());
            bytes.extend(64u32.to_le_bytes());
            bytes.extend([32, region]);
            match region {
                0 => {}
                1 => bytes.extend([10, 10, 40, 30].map(u32::to_le_bytes).concat()),
                _ => bytes.extend([0.1, 0.2, 0.5, 0.7].map(f64::to_le_bytes).concat()),
            }
            bytes.extend((90 * 60 * 4u32).to_le_bytes());
            bytes.extend((0..64u8).map(|at| at.wrapping_mul(41)));
            write("frame", &format!("{name}-{region}"), &bytes);
        }
    }
}

/// Headers of files of zeros, without their checksum.
fn containers() {
    let kinds = [Kind::Bundle, Kind::Segment, Kind::Tombstones, Kind::Moments];
    for (kind, sections) in kinds.into_iter().zip(0..) {
        let mut writer = ContainerWriter::new(kind, sample::model());
        for (section, name) in b"abc".iter().enumerate().take(sections) {
            writer.section(Tag([*name; 4]), vec![0; 70 * section]);
        }
        let header = 48 + 24 * sections;
        write(
            "container",
            &format!("{sections}-sections"),
            &writer.to_bytes()[..header],
        );
    }
}

fn whitening(channels: usize, dim: usize) -> Whitening {
    let value = |at: usize| (at * 37 % 19) as f32 / 9.0 - 1.0;
    let projection: Vec<f32> = (0..channels * dim).map(value).collect();
    Whitening::new(vec![0.1; channels], &projection).unwrap()
}

fn codebook(channels: usize, local: usize, centres: usize, mixture: bool) -> Codebook {
    let values = (0..centres * local).map(|at| (at * 53 % 17) as f32 / 8.0 - 1.0);
    let mixture = mixture.then(|| Mixture {
        weights: vec![1.0 / centres as f32; centres],
        deviations: vec![0.5; centres * local],
    });
    Codebook::new(whitening(channels, local), values.collect(), mixture).unwrap()
}

/// A bundle a pooling, on the networks of the corpus of `onnx`.
fn bundles() {
    let picture = Pixels::from_rgb(32, 32, vec![90; 32 * 32 * 3]).unwrap();
    let preprocessing = Preprocessing {
        sizing: Sizing {
            longest_side: 64,
            multiple: 32,
        },
        ..Preprocessing::default()
    };
    let taps = ["features".to_owned()];
    let plan = |name: &str| {
        let onnx = fs::read(folder("onnx").join(name)).unwrap();
        let options = QuantiseOptions::default();
        quantise(
            &onnx,
            &preprocessing,
            &taps,
            std::slice::from_ref(&picture),
            &options,
        )
        .unwrap()
    };
    let pools: [(&str, Pool, usize); 12] = [
        ("average", Pool::Average, 0),
        ("centre", Pool::Centre { sigma: 0.4 }, 0),
        ("max", Pool::Max, 0),
        ("gem", Pool::Gem { p: 3.0 }, 0),
        ("rmac", Pool::Rmac { levels: 2 }, 0),
        ("spoc", Pool::RegionalSpoc { levels: 2 }, 0),
        ("crow", Pool::Crow, 0),
        (
            "vlad",
            Pool::Vlad {
                centres: 3,
                local: 2,
            },
            1,
        ),
        (
            "netvlad",
            Pool::NetVlad {
                centres: 3,
                local: 2,
                alpha: 10.0,
            },
            1,
        ),
        (
            "mop",
            Pool::Mop {
                centres: 2,
                local: 2,
            },
            2,
        ),
        (
            "fisher",
            Pool::Fisher {
                centres: 2,
                local: 2,
            },
            1,
        ),
        (
            "second",
            Pool::SecondOrder {
                local: 3,
                root: Root::Matrix,
                mean: true,
            },
            1,
        ),
    ];
    let holder = tempfile::tempdir().unwrap();
    let path = holder.path().join("seed.lens");
    for (at, (name, pool, levels)) in pools.into_iter().enumerate() {
        let (plan, channels) = match at % 2 {
            0 => (plan("gated.onnx"), 8),
            _ => (plan("resized.onnx"), 6),
        };
        let mut taken = Part::new("features", pool, 4);
        taken.weighting = matches!(pool, Pool::Centre { .. }).then_some(Weighting::BorderDistance);
        let mut recipe = Recipe::new(name, vec![taken]);
        if at == 2 {
            recipe.views.mirrored = true;
        }
        let (centres, local) = match pool {
            Pool::SecondOrder { local, .. } => (0, local),
            Pool::Vlad { centres, local }
            | Pool::NetVlad { centres, local, .. }
            | Pool::Mop { centres, local }
            | Pool::Fisher { centres, local } => (centres, local),
            _ => (0, 0),
        };
        let length = match pool {
            Pool::Vlad { .. } | Pool::NetVlad { .. } => centres * local,
            Pool::Mop { .. } => local + 2 * centres * local,
            Pool::Fisher { .. } => 2 * centres * local,
            Pool::SecondOrder { .. } => local * (local + 1) / 2 + local,
            _ => channels,
        };
        let books = |_| {
            codebook(
                channels,
                local,
                centres,
                matches!(pool, Pool::Fisher { .. }),
            )
        };
        let learned = Learned {
            whitenings: vec![whitening(length, 4)],
            codebooks: vec![(0..levels).map(books).collect()],
            joint: None,
        };
        let spec = Spec::new(preprocessing.clone(), recipe);
        let card = Card::default();
        match bundle::write(&path, &spec, &card, Network::Plan(&plan), &learned) {
            Ok(_) => write("bundle", name, &parts_of(&sections_of(&path, Kind::Bundle))),
            Err(error) => println!("{name}: {error}"),
        }
    }
    // Two taps, joined late.
    let tiny = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/compat/v1/tiny.lens");
    Bundle::open(&tiny).unwrap().verify().unwrap();
    write(
        "bundle",
        "tiny",
        &parts_of(&sections_of(&tiny, Kind::Bundle)),
    );
}

fn indexes() {
    let holder = tempfile::tempdir().unwrap();
    let path = sample::index(holder.path());
    let files = sample::files(&path);
    let (tombstones, _) = files
        .iter()
        .find(|(name, _)| name.starts_with("tombstones"))
        .unwrap();
    let dead = sections_of(&path.join(tombstones), Kind::Tombstones)
        .remove(b"dead")
        .unwrap();
    let segments = files.iter().filter(|(name, _)| name.starts_with("segment"));
    for (at, (name, _)) in segments.enumerate() {
        let sections = sections_of(&path.join(name), Kind::Segment);
        write("segment", &format!("scanned-{at}"), &parts_of(&sections));
        if sections[b"rowi"].len() > 4 * 4 {
            let with_dead = [parts_of(&sections), part(b"dead", &dead)].concat();
            write("segment", "dead", &with_dead);
        }
    }
    let manifest = fs::read_to_string(path.join("manifest.json")).unwrap();
    let fields = manifest.split_once(",\n  \"sha256\": \"").map(|_| {
        let end = manifest.rfind(",\n  \"sha256\": \"").unwrap();
        &manifest[..end]
    });
    write("manifest", "sample", fields.unwrap().as_bytes());
    local(holder.path());
    lists(holder.path());
    packs(holder.path(), &path);
}

/// A segment with local features.
fn local(dir: &Path) {
    let path = dir.join("local.plx");
    let mut writer =
        IndexWriter::create(&path, b"the bundle", sample::model(), sample::DIM).unwrap();
    let map = pocketlens::backbone::FeatureMap::new(2, 2, 3, (0..12).map(|at| at as f32).collect());
    let features = LocalFeatures::of_map(&map.unwrap(), &whitening(3, 2), 2).unwrap();
    for number in 0..3 {
        let key = format!("item{number}");
        let payload = sample::payload(number);
        let photo = ItemPhoto {
            key: &key,
            group: None,
            payload: &payload,
            vector: &[1.0, number as f32, 0.0, 2.0],
        };
        writer.push(&photo).unwrap();
        writer.push_local(&key, &features).unwrap();
    }
    writer.finish().unwrap();
    let files = sample::files(&path);
    let (name, _) = files
        .iter()
        .find(|(name, _)| name.starts_with("segment"))
        .unwrap();
    write(
        "segment",
        "local",
        &parts_of(&sections_of(&path.join(name), Kind::Segment)),
    );
}

/// The first two lists of a segment that has them, as a segment of their own. `lists-apart` and `lists-apart-dead` were written
/// when each list lay by itself.
fn lists(dir: &Path) {
    const ENTRY: usize = 24;
    let path = dir.join("lists.plx");
    let mut writer =
        IndexWriter::create(&path, b"the bundle", sample::model(), sample::DIM).unwrap();
    let mut rng = fastrand::Rng::with_seed(5);
    // Most of them alike, as photos of one thing are.
    for number in 0..4_200 {
        let spread = if number % 50 == 0 { 1.0 } else { 0.2 };
        let vector = [(); 4].map(|()| 0.5 + spread * (rng.f32() - 0.5));
        let item = number % 6;
        let photo = ItemPhoto {
            key: &format!("item{item}"),
            group: Some("thirds"),
            payload: &sample::payload(item),
            vector: &vector,
        };
        writer.push(&photo).unwrap();
    }
    writer.finish().unwrap();
    let files = sample::files(&path);
    let (name, _) = files
        .iter()
        .find(|(name, _)| name.starts_with("segment"))
        .unwrap();
    let mut sections = sections_of(&path.join(name), Kind::Segment);
    let word = |bytes: &[u8], at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    let head = sections[b"head"].clone();
    let (stride, bits) = (word(&head, 4) as usize, word(&head, 28) as usize);
    let table = sections[b"list"][..2 * ENTRY].to_vec();
    let (all, kept) = (word(&head, 8), word(&table, 8) + word(&table, ENTRY + 8));
    // Signs, codes, gains, factors, items.
    let lengths = |rows: u32| {
        let (rows, blocks) = (rows as usize, rows.div_ceil(16) as usize);
        [
            blocks * 2 * stride,
            rows * stride * 3 / 4,
            rows * 2,
            blocks * 16,
            (rows * bits).div_ceil(8),
        ]
    };
    let mut rows = Vec::new();
    let mut start = 0;
    for (length, kept) in lengths(all).into_iter().zip(lengths(kept)) {
        rows.extend(&sections[b"rows"][start..start + kept]);
        start += length;
    }
    let head = sections.get_mut(b"head").unwrap();
    head[8..12].copy_from_slice(&kept.to_le_bytes());
    head[24..28].copy_from_slice(&2u32.to_le_bytes());
    sections.insert(*b"list", table);
    sections.insert(*b"rows", rows);
    sections.get_mut(b"cent").unwrap().truncate(2 * stride);
    write("segment", "lists", &parts_of(&sections));
    let with_dead = [parts_of(&sections), part(b"dead", &[4])].concat();
    write("segment", "lists-dead", &with_dead);
}

fn packs(dir: &Path, index: &Path) {
    let newer = dir.join("newer.plx");
    fs::create_dir(&newer).unwrap();
    for (name, bytes) in sample::files(index) {
        fs::write(newer.join(name), bytes).unwrap();
    }
    let mut update = pocketlens::index::IndexUpdate::open(&newer).unwrap();
    update.remove("item1").unwrap();
    update
        .put(&ItemPhoto {
            key: "item30",
            group: None,
            payload: &sample::payload(30),
            vector: &[0.0, 1.0, 0.0, 1.0],
        })
        .unwrap();
    update.commit().unwrap();
    for (old, name) in [(None, "full"), (Some(index), "update")] {
        let out = dir.join("seed.pack");
        let new = if old.is_some() { &newer } else { index };
        let delta = Delta {
            old,
            new,
            sign: None,
        };
        diff(&delta, &out).unwrap();
        let pack = fs::read(&out).unwrap();
        let length = u32::from_le_bytes(pack[12..16].try_into().unwrap()) as usize;
        let mut head: Value = serde_json::from_slice(&pack[16..16 + length]).unwrap();
        if old.is_some() {
            head["base"] = true.into();
        }
        let head = part(b"head", &serde_json::to_vec(&head).unwrap());
        let mut chunks = &pack[16 + length + 33..pack.len() - 32];
        write(
            "pack",
            &format!("{name}-raw"),
            &[&head[..], &part(b"raw ", chunks)].concat(),
        );
        let mut bytes = head;
        while let Some((prefix, rest)) = chunks.split_first_chunk::<40>() {
            let stored = u32::from_le_bytes(prefix[4..8].try_into().unwrap()) as usize;
            let payload = miniz_oxide::inflate::decompress_to_vec(&rest[..stored]).unwrap();
            // Long ones are mostly zeros between sections.
            if payload.len() < 6_000 {
                bytes.extend(part(b"deft", &[&prefix[..4], &payload].concat()));
            }
            chunks = &rest[stored..];
        }
        write("pack", &format!("{name}-unpacked"), &bytes);
    }
}

fn filters() {
    let deep = (0..14).fold(r#"{"is_null": {"key": "note"}}"#.to_owned(), |inner, _| {
        format!(r#"{{"must_not": [{inner}]}}"#)
    });
    let filters = [
        r#"{"must": [{"key": "brand", "match": {"any": ["red", "blue"]}}, {"key": "price", "range": {"gte": 2, "lt": 7.5}}]}"#,
        r#"{"should": [{"key": "tags", "match": {"value": "t4"}}, {"key": "new", "match": {"except": [true]}}], "must_not": {"has_id": ["item3", "item20"]}}"#,
        r#"{"must": [{"key": "since", "range": {"gt": "2026-01-03T00:00:00+02:00", "lte": "2026-01-20"}}]}"#,
        r#"{"must": [{"key": "at", "geo_radius": {"center": {"lat": 3.5, "lon": 8.5}, "radius": 250000.0}}, {"key": "at", "geo_bounding_box": {"top_left": {"lat": 9, "lon": 170}, "bottom_right": {"lat": -9, "lon": -170}}}]}"#,
        r#"{"must": [{"is_empty": {"key": "note.deep"}}, {"should": [{"is_null": {"key": "note"}}, {"key": "note.deep", "range": {"gt": 3}}]}]}"#,
        r#"{"must": [{"key": "weight", "match": {"value": 1e-9}}, {"key": "price", "match": {"any": [18446744073709551615, -9223372036854775808, 0.1]}}]}"#,
        &deep,
    ];
    for (at, filter) in filters.into_iter().enumerate() {
        write("filter", &format!("{at}.json"), filter.as_bytes());
    }
}

fn servers() {
    let reply = json!({
        "hits": [
            { "key": "jar", "group": "jars", "score": 0.91, "payload": { "price": 3 }, "votes": 2 },
            { "key": "mug", "group": null, "score": -0.2 },
        ],
        "gone": ["mug"], "index_version": "1", "ttl_s": 60, "rival": 0.4,
    });
    let reply = serde_json::to_vec(&reply).unwrap();
    write("server", "reply", &part(b"body", &reply));
    let calibration = Calibration::default();
    let meta = json!({
        "model_id": sample::model(), "dim": sample::DIM, "index_version": "2", "items": 5, "calibration": calibration,
    });
    let meta = serde_json::to_vec(&meta).unwrap();
    write(
        "server",
        "meta",
        &[part(b"meta", &meta), part(b"body", &reply)].concat(),
    );
    for (status, kind, headers) in [
        (409, "wrong-model", ""),
        (429, "rate-limited", "Retry-After: 2\n"),
        (
            503,
            "unavailable",
            "retry-after: Wed, 21 Oct 2026 07:28:00 GMT\n",
        ),
        (401, "unauthorized", ""),
    ] {
        let problem = json!({
            "type": format!("urn:pocketlens:problem:{kind}"), "title": "t", "status": status, "detail": "d",
        });
        let parts = [
            part(b"stat", status.to_string().as_bytes()),
            part(b"head", headers.as_bytes()),
            part(b"body", &serde_json::to_vec(&problem).unwrap()),
        ];
        write("server", &format!("problem-{status}"), &parts.concat());
    }
    let request = json!({
        "model_id": sample::model(), "dim": 4, "dtype": "f16", "vector": "ADwAwAA4AAA=", "k": 3,
        "filter": { "must": [{ "key": "a", "match": { "value": 1 } }] }, "group_by": "group", "deadline_ms": 900,
    });
    write(
        "server",
        "request",
        &part(b"body", &serde_json::to_vec(&request).unwrap()),
    );
}

fn moments() {
    let mut bytes = Vec::new();
    for pairs in [0u32, 1] {
        bytes.extend(2u32.to_le_bytes());
        bytes.extend(pairs.to_le_bytes());
        let values = 2 + 3 * (1 + pairs as usize);
        bytes.extend((0..values).flat_map(|at| (0.5 + at as f32).to_le_bytes()));
    }
    write("moments", "two", &part(b"part", &bytes));
}
