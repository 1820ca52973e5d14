//! A model bundle: preprocessing and recipe, the quantised plan, whitenings, codebooks; and a run of what opens.

use std::fs;

use pocketlens::backbone::RunOptions;
use pocketlens::bundle::{Bundle, Network};
use pocketlens::container::{ContainerWriter, Kind, Tag};
use pocketlens::embedder::Embedder;
use pocketlens::fingerprint::Fingerprint;
use pocketlens::image::Pixels;

use super::parts;
use super::place::Place;

/// Writes its parts as sections under right checksums, opens the file without verifying, and describes a small picture.
pub fn feed(bytes: &[u8]) -> bool {
    let mut parts = parts::split(bytes);
    parts.truncate(16);
    let fingerprint = Fingerprint::of_parts([b"fuzzed".as_slice()]);
    let mut writer = ContainerWriter::new(Kind::Bundle, fingerprint);
    for (at, (tag, content)) in parts.iter().enumerate() {
        if parts[..at].iter().all(|(before, _)| before != tag) {
            writer.section(Tag(*tag), *content);
        }
    }
    let place = Place::new();
    let path = place.path("fuzzed.lens");
    fs::write(&path, writer.to_bytes()).expect("a file of the fuzzer's own");
    let Ok(bundle) = Bundle::open(&path) else {
        return false;
    };
    let _ = bundle.verify();
    // The engine of ONNX networks is not ours; its panics become errors, which a fuzzer does not see.
    if matches!(bundle.network(), Network::Onnx(_)) {
        return false;
    }
    let Ok(embedder) = Embedder::new(bundle) else {
        return false;
    };
    let picture = (0..48 * 40 * 3u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 9) as u8);
    let picture = Pixels::from_rgb(48, 40, picture.collect()).expect("three bytes a pixel");
    let Ok((embedding, maps)) = embedder.look(&picture, &RunOptions::default()) else {
        return false;
    };
    let values = &embedding.descriptor.values;
    assert!(values.iter().all(|value| value.is_finite()), "{values:?}");
    let _ = embedder.local_features(&maps);
    let _ = embedder.backbone().network(48, 40);
    let _ = embedder.heat_map(&maps, values);
    true
}
