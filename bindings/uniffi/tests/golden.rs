//! The golden vectors through the foreign interface: what Kotlin, Swift and Python call gives the core's bits.

use std::path::Path;

use futures_lite::future::block_on;
use pocketlens::selftest::picture;
use pocketlens_ffi::{Bundle, Frame, FrameFormat, FrameLayout, PackedLayout};
use serde_json::Value;

#[test]
fn frames_of_the_golden_pictures_have_the_golden_descriptors() {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    let golden = std::fs::read(root.join("tests/golden/default.json")).unwrap();
    let golden: Value = serde_json::from_slice(&golden).unwrap();
    let bundle = root.join("models/default.lens").display().to_string();
    let bundle = block_on(Bundle::open(bundle, None)).unwrap();
    assert_eq!(golden["fingerprint"], bundle.info().fingerprint.as_str());
    for (vector, seed) in golden["vectors"].as_array().unwrap().iter().zip(0..) {
        let (width, height): (u32, u32) =
            serde_json::from_value(vector["picture"].clone()).unwrap();
        let pixels = picture((width, height), seed);
        let layout = FrameLayout {
            width,
            height,
            rotation: None,
            region: None,
            colors: None,
        };
        let packed = PackedLayout {
            format: FrameFormat::Rgb,
            layout,
            row_stride: None,
        };
        let frame = Frame::packed(&bundle, pixels.data(), packed).unwrap();
        let found = block_on(bundle.clone().describe(frame, None)).unwrap();
        let expected: Vec<f32> = serde_json::from_value(vector["descriptor"].clone()).unwrap();
        let bits = |values: &[f32]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&found.values), bits(&expected), "picture {seed}");
    }
}
