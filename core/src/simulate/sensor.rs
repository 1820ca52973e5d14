//! The camera itself: focus, shake, noise and the JPEG it writes.

use fastrand::Rng;
use image::codecs::jpeg::JpegEncoder;
use image::{ExtendedColorType, ImageEncoder};
use serde::{Deserialize, Serialize};

use super::{Range, blur};
use crate::image::{Limits, Pixels, decode};

/// How much the camera loses.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sensor {
    /// Radius of the disc of confusion, as a share of the view's longest side.
    pub defocus: Range,
    /// Probability of visible shake, 0 to 1.
    pub motion_probability: f32,
    /// Length of the shake, as a share of the view's longest side.
    pub motion: Range,
    /// Standard deviation of the noise in black, in levels of 255.
    pub read_noise: Range,
    /// Standard deviation that light adds at full white, in levels of 255; it grows with the
    /// square root of the level.
    pub shot_noise: Range,
    /// Quality of the JPEG, 1 to 100; none keeps the pixels as they are.
    pub jpeg_quality: Option<Range>,
}

impl Sensor {
    /// A perfect camera.
    pub const fn none() -> Self {
        Self {
            defocus: Range::only(0.0),
            motion_probability: 0.0,
            motion: Range::only(0.0),
            read_noise: Range::only(0.0),
            shot_noise: Range::only(0.0),
            jpeg_quality: None,
        }
    }

    /// A phone in the hand, its photo scaled down before it is searched with.
    pub const fn capture() -> Self {
        Self {
            defocus: Range::new(0.0, 0.005),
            motion_probability: 0.25,
            motion: Range::new(0.004, 0.018),
            read_noise: Range::new(0.0, 2.0),
            shot_noise: Range::new(0.0, 5.0),
            jpeg_quality: Some(Range::new(50.0, 95.0)),
        }
    }

    pub(super) fn apply(&self, mut pixels: Pixels, rng: &mut Rng) -> Pixels {
        let longest = pixels.width().max(pixels.height()) as f32;
        blur::defocus(&mut pixels, self.defocus.draw(rng) * longest);
        if rng.f32() < self.motion_probability {
            let angle = Range::new(0.0, std::f32::consts::PI).draw(rng);
            blur::motion(&mut pixels, self.motion.draw(rng) * longest, angle);
        }
        let (read, shot) = (self.read_noise.draw(rng), self.shot_noise.draw(rng));
        noise(&mut pixels, read, shot, rng);
        match self.jpeg_quality {
            Some(quality) => jpeg(&pixels, quality.draw(rng) as u8),
            None => pixels,
        }
    }
}

/// Adds noise, independent in every sample: its variance is `read`² + `shot`² × level / 255.
pub fn noise(pixels: &mut Pixels, read: f32, shot: f32, rng: &mut Rng) {
    if read == 0.0 && shot == 0.0 {
        return;
    }
    let deviations: [f32; 256] =
        std::array::from_fn(|level| (read * read + shot * shot * level as f32 / 255.0).sqrt());
    for value in pixels.data_mut() {
        let deviation = deviations[usize::from(*value)];
        // Casts saturate.
        *value = (f32::from(*value) + deviation * normal(rng) + 0.5) as u8;
    }
}

/// Nearly normal, mean 0, variance 1, at most ±3.5: the sum of four uniform numbers.
fn normal(rng: &mut Rng) -> f32 {
    let bits = rng.u64(..);
    let sum: u64 = (0..4).map(|part| (bits >> (16 * part)) & 0xFFFF).sum();
    // Four numbers uniform in 0..=65535: mean 131070, variance 4 × (65536² - 1) / 12.
    (sum as f32 - 131_070.0) / 37_837.23
}

/// What is left after JPEG compression at `quality` (clamped to 1..=100).
pub fn jpeg(pixels: &Pixels, quality: u8) -> Pixels {
    let mut bytes = Vec::new();
    let written = JpegEncoder::new_with_quality(&mut bytes, quality.clamp(1, 100)).write_image(
        pixels.data(),
        pixels.width(),
        pixels.height(),
        ExtendedColorType::Rgb8,
    );
    let limits = Limits {
        max_pixels: u64::MAX,
        max_side: u32::MAX,
        max_encoded_bytes: u64::MAX,
        max_decoded_bytes: u64::MAX,
    };
    // Only sides above 65,535 fail; those have no JPEG to lose anything in.
    match written {
        Ok(()) => decode(&bytes, &limits).expect("what was just encoded can be decoded"),
        Err(_) => pixels.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flat(value: u8) -> Pixels {
        Pixels::from_rgb(200, 100, vec![value; 200 * 100 * 3]).unwrap()
    }

    fn moments(pixels: &Pixels) -> (f64, f64) {
        let n = pixels.data().len() as f64;
        let mean = pixels.data().iter().map(|&v| f64::from(v)).sum::<f64>() / n;
        let squares = pixels.data().iter().map(|&v| (f64::from(v) - mean).powi(2));
        (mean, (squares.sum::<f64>() / n).sqrt())
    }

    #[test]
    fn a_perfect_camera_changes_nothing() {
        let seen = Sensor::none().apply(flat(77), &mut Rng::with_seed(1));
        assert!(seen == flat(77));
    }

    #[test]
    fn noise_has_the_mean_and_deviation_asked_for() {
        for (level, read, shot) in [(128, 4.0_f32, 0.0_f32), (128, 0.0, 8.0), (60, 3.0, 6.0)] {
            let mut pixels = flat(level);
            noise(&mut pixels, read, shot, &mut Rng::with_seed(7));
            let (mean, deviation) = moments(&pixels);
            let light = f64::from(level) / 255.0;
            let expected = (f64::from(read * read) + f64::from(shot * shot) * light).sqrt();
            assert!((mean - f64::from(level)).abs() < 0.1, "{mean}");
            assert!(
                (deviation / expected - 1.0).abs() < 0.03,
                "{deviation}, not {expected}"
            );
        }
    }

    #[test]
    fn jpeg_keeps_the_size_and_loses_more_at_lower_quality() {
        let mut texture = flat(128);
        noise(&mut texture, 30.0, 0.0, &mut Rng::with_seed(3));
        let loss = |quality| {
            let seen = jpeg(&texture, quality);
            assert_eq!((seen.width(), seen.height()), (200, 100));
            let lost = seen
                .data()
                .iter()
                .zip(texture.data())
                .map(|(a, b)| a.abs_diff(*b));
            lost.map(u64::from).sum::<u64>()
        };
        let (worst, bad, good) = (loss(0), loss(30), loss(95));
        assert!(
            worst > bad && bad > 2 * good && good > 0,
            "{worst} {bad} {good}"
        );
        assert!(
            jpeg(&flat(90), 80)
                .data()
                .iter()
                .all(|v| v.abs_diff(90) <= 1)
        );
    }
}
