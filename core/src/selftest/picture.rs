//! The pictures of the golden vectors, made by integer arithmetic: `picture` of other languages is this one.

use crate::image::Pixels;

/// A picture of waves, tiles and a disc, the same for a seed everywhere.
///
/// # Panics
/// When a side is 0.
pub fn picture((width, height): (u32, u32), seed: u32) -> Pixels {
    let mut bytes = Vec::new();
    for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
        let wave = |a: u32, b: u32| (x * a + y * b + seed * 31) % 256;
        let tile = (x / 24 + y / 24 + seed).is_multiple_of(3);
        let inside = x.abs_diff(width / 2).pow(2) + y.abs_diff(height / 2).pow(2)
            < (30 + 7 * (seed % 9)).pow(2);
        bytes.extend([(1, 2), (3, 1), (0, 2)].map(|(a, b)| {
            let value = wave(a + seed % 5, b + seed % 3);
            let value = value.min(255 - value) * if tile { 1 } else { 2 };
            (if inside { 255 - value } else { value }) as u8
        }));
    }
    Pixels::from_rgb(width, height, bytes).expect("three bytes a pixel")
}
