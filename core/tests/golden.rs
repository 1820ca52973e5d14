//! Golden vectors of the bundles: pictures made by integer arithmetic, and the descriptors that
//! they had when the bundle was released, bit for bit. Every instruction set and every number of
//! threads must give them. `POCKETLENS_BLESS=1 cargo test --workspace golden` writes them anew, after
//! a change that is meant to change descriptors.

#![cfg(feature = "embedded")]

#[path = "../../tests/golden/picture.rs"]
mod picture;

use std::path::Path;

use pocketlens::backbone::{Backbone, RunOptions};
use pocketlens::bundle::Bundle;
use pocketlens::embedder::Embedder;
use pocketlens::image::Pixels;
use serde_json::{Value, json};

use picture::picture;

/// The size of the network's input, one that is scaled up, one that is scaled down.
const SIZES: [(u32, u32); 3] = [(320, 256), (150, 200), (700, 460)];

fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

#[test]
fn default_bundle_gives_its_golden_descriptors_on_every_instruction_set() {
    check(Bundle::embedded().unwrap(), "default.json");
}

#[test]
fn small_bundle_gives_its_golden_descriptors_on_every_instruction_set() {
    let bundle = Bundle::open(repository().join("models/nano.lens")).unwrap();
    check(bundle, "nano.json");
}

fn check(bundle: Bundle, vectors: &str) {
    let file = repository().join("tests/golden").join(vectors);
    let embedder = Embedder::new(bundle).unwrap();
    let pictures: Vec<Pixels> = SIZES
        .into_iter()
        .zip(0..)
        .map(|(size, seed)| picture(size, seed))
        .collect();
    let describe = |photo: &Pixels, cpu, threads| {
        let options = RunOptions {
            cpu,
            threads,
            ..RunOptions::default()
        };
        let embedding = embedder.embed_with(photo, None, &options).unwrap();
        embedding.descriptor.values
    };
    if std::env::var_os("POCKETLENS_BLESS").is_some() {
        let vectors = pictures.iter().zip(SIZES).map(|(photo, (width, height))| {
            json!({"picture": [width, height], "descriptor": describe(photo, Some("generic"), 1)})
        });
        let golden = json!({
            "fingerprint": embedder.bundle().fingerprint(),
            "vectors": vectors.collect::<Vec<_>>(),
        });
        std::fs::write(&file, format!("{golden:#}\n")).unwrap();
    }
    let golden: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    assert_eq!(
        json!(embedder.bundle().fingerprint()),
        golden["fingerprint"]
    );
    for (photo, vector) in pictures.iter().zip(golden["vectors"].as_array().unwrap()) {
        let expected: Vec<f32> = serde_json::from_value(vector["descriptor"].clone()).unwrap();
        for cpu in Backbone::cpus() {
            for threads in [1, 3] {
                let found = describe(photo, Some(cpu), threads);
                assert_eq!(bits(&found), bits(&expected), "{cpu}, {threads} threads");
            }
        }
    }
}
