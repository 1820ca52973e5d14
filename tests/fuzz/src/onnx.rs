//! An ONNX model, as `bundle convert` reads it: imported, simplified, quantised on a small picture.

use pocketlens::backbone::{Preprocessing, QuantiseOptions, quantise};
use pocketlens::image::Pixels;

/// Makes a plan of it where that can be.
pub fn feed(bytes: &[u8]) -> bool {
    let picture = (0..32 * 32 * 3u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 9) as u8);
    let picture = Pixels::from_rgb(32, 32, picture.collect()).expect("three bytes a pixel");
    let taps = ["features".to_owned()];
    let plan = quantise(
        bytes,
        &Preprocessing::default(),
        &taps,
        &[picture],
        &QuantiseOptions::default(),
    );
    plan.is_ok()
}
