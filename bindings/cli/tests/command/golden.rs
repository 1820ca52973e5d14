//! Golden vectors of the default bundle: pictures made by integer arithmetic, and the descriptors
//! that they had when the bundle was released. `POCKETLENS_BLESS=1 cargo test -p pocketlens-cli
//! golden` writes them anew, after a change that is meant to change descriptors.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::{lines, picture};

/// The size of the network's input, one that is scaled up, one that is scaled down and turned.
const SIZES: [(u32, u32); 3] = [(320, 256), (150, 200), (700, 460)];

fn file() -> PathBuf {
    PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/golden/default.json"
    ))
}

#[test]
fn default_bundle_gives_its_golden_descriptors() {
    let folder = tempfile::tempdir().unwrap();
    let mut arguments = vec!["embed".to_owned(), "--json".to_owned()];
    for (seed, (width, height)) in SIZES.into_iter().enumerate() {
        let path = folder.path().join(format!("{width}x{height}.png"));
        picture(width, height, seed as u32).save(&path).unwrap();
        arguments.push(path.display().to_string());
    }
    let found = lines(&arguments);
    if std::env::var_os("POCKETLENS_BLESS").is_some() {
        let vectors = found.iter().zip(SIZES).map(|(line, (width, height))| {
            json!({"picture": [width, height], "descriptor": line["descriptor"]})
        });
        let golden = json!({
            "fingerprint": found[0]["fingerprint"],
            "vectors": vectors.collect::<Vec<_>>(),
        });
        std::fs::write(file(), format!("{golden:#}\n")).unwrap();
    }
    let golden: Value = serde_json::from_slice(&std::fs::read(file()).unwrap()).unwrap();
    for (line, vector) in found.iter().zip(golden["vectors"].as_array().unwrap()) {
        assert_eq!(
            line["fingerprint"], golden["fingerprint"],
            "another bundle or pipeline"
        );
        let cosine: f64 = numbers(&line["descriptor"])
            .zip(numbers(&vector["descriptor"]))
            .map(|(a, b)| a * b)
            .sum();
        // Float networks sum in an order that depends on the processor.
        assert!(cosine > 0.999_99, "{}: cosine {cosine}", vector["picture"]);
    }
}

fn numbers(list: &Value) -> impl Iterator<Item = f64> {
    list.as_array()
        .unwrap()
        .iter()
        .map(|number| number.as_f64().unwrap())
}
