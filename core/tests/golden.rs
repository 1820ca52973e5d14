//! Golden vectors of the default bundle: pictures made by integer arithmetic, and the descriptors that
//! they had when the bundle was released, bit for bit. Every instruction set and every number of
//! threads must give them. `POCKETLENS_BLESS=1 cargo test --workspace golden` writes them anew, after
//! a change that is meant to change descriptors.

#![cfg(feature = "embedded")]

use std::path::PathBuf;

use pocketlens::backbone::{Backbone, RunOptions};
use pocketlens::bundle::Bundle;
use pocketlens::embedder::Embedder;
use pocketlens::image::Pixels;
use pocketlens::selftest::{self, GOLDEN_SIZES, picture};
use serde_json::{Value, json};

fn file() -> PathBuf {
    PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../tests/golden/default.json"
    ))
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

#[test]
fn default_bundle_gives_its_golden_descriptors_on_every_instruction_set() {
    let embedder = Embedder::new(Bundle::embedded().unwrap()).unwrap();
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
    if std::env::var_os("POCKETLENS_BLESS").is_some() {
        let vectors = pictures.iter().zip(GOLDEN_SIZES).map(|(photo, (width, height))| {
            json!({"picture": [width, height], "descriptor": describe(photo, Some("generic"), 1)})
        });
        let golden = json!({
            "fingerprint": embedder.bundle().fingerprint(),
            "vectors": vectors.collect::<Vec<_>>(),
        });
        std::fs::write(file(), format!("{golden:#}\n")).unwrap();
        let digest = selftest::digest(&embedder, "generic").unwrap();
        let line = format!("{} {digest}\n", embedder.bundle().fingerprint());
        std::fs::write(
            concat!(env!("CARGO_MANIFEST_DIR"), "/src/selftest/golden.txt"),
            line,
        )
        .unwrap();
    }
    let golden: Value = serde_json::from_slice(&std::fs::read(file()).unwrap()).unwrap();
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
