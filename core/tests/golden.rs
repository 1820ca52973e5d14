//! Golden vectors of the bundles: pictures made by integer arithmetic, and the descriptors that
//! they had when the bundle was released, bit for bit. Every instruction set and every number of
//! threads must give them. `POCKETLENS_BLESS=1 cargo test --workspace golden` writes them anew, after
//! a change that is meant to change descriptors.

#![cfg(feature = "embedded")]

use std::path::Path;

use pocketlens::backbone::{Backbone, RunOptions};
use pocketlens::bundle::Bundle;
use pocketlens::embedder::Embedder;
use pocketlens::image::Pixels;
use pocketlens::selftest::{self, GOLDEN_SIZES, picture};
use serde_json::{Value, json};

fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn blessing() -> bool {
    std::env::var_os("POCKETLENS_BLESS").is_some()
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

fn default_bundle() -> Embedder {
    Embedder::new(Bundle::embedded().unwrap()).unwrap()
}

fn small_bundle() -> Embedder {
    Embedder::new(Bundle::open(repository().join("models/nano.lens")).unwrap()).unwrap()
}

#[test]
fn default_bundle_gives_its_golden_descriptors_on_every_instruction_set() {
    check(&default_bundle(), "default.json");
}

#[test]
fn small_bundle_gives_its_golden_descriptors_on_every_instruction_set() {
    check(&small_bundle(), "nano.json");
}

/// What the self-test compares with, where there are no vectors: a line a bundle.
#[test]
fn the_self_test_knows_the_digests_of_both() {
    let digests = [default_bundle(), small_bundle()].map(|embedder| {
        let digest = selftest::digest(&embedder, "generic").unwrap();
        format!("{} {digest}\n", embedder.bundle().fingerprint())
    });
    let file = repository().join("core/src/selftest/golden.txt");
    if blessing() {
        std::fs::write(&file, digests.concat()).unwrap();
    }
    assert_eq!(std::fs::read_to_string(file).unwrap(), digests.concat());
}

fn check(embedder: &Embedder, vectors: &str) {
    let file = repository().join("tests/golden").join(vectors);
    let pictures: Vec<Pixels> = GOLDEN_SIZES
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
    if blessing() {
        let vectors = pictures.iter().zip(GOLDEN_SIZES).map(|(photo, (width, height))| {
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
