//! Light: exposure, white balance, contrast, uneven lighting and glare.
//!
//! All of it works on the stored, gamma-encoded values: a change of a stop is a factor of
//! 2^(1/2.2). Photometric changes are kept mild: stronger ones were measured to lower the accuracy
//! of whitening learned from simulated views.

use fastrand::Rng;
use serde::{Deserialize, Serialize};

use super::Range;
use crate::image::Pixels;

/// How much the light differs from the catalogue's.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Light {
    /// Exposure in stops (a factor of 2 in light), either way.
    pub exposure: Range,
    /// Exponent of the tone curve: above 1 darkens the middle tones.
    pub gamma: Range,
    /// Slope around middle grey: above 1 is harder.
    pub contrast: Range,
    /// Most that red or blue is raised or lowered against green, as a share: 0.1 is ±10 %.
    pub white_balance: f32,
    /// Loss of light from the bright side of the view to the dark one, as a share.
    pub gradient: Range,
    /// Loss of light in the corners, as a share.
    pub vignette: Range,
    /// Probability of a glare spot, 0 to 1.
    pub glare_probability: f32,
    /// White added at the middle of the spot, as a share of full white.
    pub glare: Range,
}

impl Light {
    /// Leaves the colours as they are.
    pub const fn none() -> Self {
        Self {
            exposure: Range::only(0.0),
            gamma: Range::only(1.0),
            contrast: Range::only(1.0),
            white_balance: 0.0,
            gradient: Range::only(0.0),
            vignette: Range::only(0.0),
            glare_probability: 0.0,
            glare: Range::only(0.0),
        }
    }

    /// Rooms and streets by day and lamp, with the camera's own correction.
    pub const fn capture() -> Self {
        Self {
            exposure: Range::new(-0.6, 0.4),
            gamma: Range::new(0.85, 1.2),
            contrast: Range::new(0.8, 1.15),
            white_balance: 0.08,
            gradient: Range::new(0.0, 0.3),
            vignette: Range::new(0.0, 0.2),
            glare_probability: 0.15,
            glare: Range::new(0.1, 0.5),
        }
    }

    pub(super) fn apply(&self, pixels: &mut Pixels, rng: &mut Rng) {
        let lift = libm::exp2f(self.exposure.draw(rng) / 2.2);
        let tint = Range::new(1.0 - self.white_balance, 1.0 + self.white_balance);
        let gain = [lift * tint.draw(rng), lift, lift * tint.draw(rng)];
        tone(pixels, gain, self.gamma.draw(rng), self.contrast.draw(rng));
        let angle = Range::new(0.0, std::f32::consts::TAU).draw(rng);
        shade(
            pixels,
            self.gradient.draw(rng),
            angle,
            self.vignette.draw(rng),
        );
        if rng.f32() < self.glare_probability {
            let centre = [rng.f32(), rng.f32()];
            let radius = Range::new(0.05, 0.25).draw(rng);
            glare(pixels, centre, radius, self.glare.draw(rng));
        }
    }
}

/// Applies gain (red, green, blue), then the exponent `gamma` (above 0), then the slope `contrast`
/// around middle grey, to values from 0 to 1.
pub fn tone(pixels: &mut Pixels, gain: [f32; 3], gamma: f32, contrast: f32) {
    let curves = gain.map(|gain| -> [u8; 256] {
        std::array::from_fn(|value| {
            let lit = (value as f32 / 255.0 * gain).clamp(0.0, 1.0);
            let bent = if gamma == 1.0 {
                lit
            } else {
                libm::powf(lit, gamma)
            };
            // Casts saturate.
            (((bent - 0.5) * contrast + 0.5) * 255.0 + 0.5) as u8
        })
    });
    for pixel in pixels.data_mut().chunks_exact_mut(3) {
        for (value, curve) in pixel.iter_mut().zip(&curves) {
            *value = curve[usize::from(*value)];
        }
    }
}

/// Darkens towards one side by the share `gradient` (the light comes from `angle`, in radians from
/// the x axis towards the y axis) and towards the corners by the share `vignette`.
pub fn shade(pixels: &mut Pixels, gradient: f32, angle: f32, vignette: f32) {
    if gradient == 0.0 && vignette == 0.0 {
        return;
    }
    let (cosine, sine) = (libm::cosf(angle), libm::sinf(angle));
    for_each_place(pixels, |x, y, pixel| {
        // From 0 at the lit side to 1 at the dark one: |cos| + |sin| is the square's half extent.
        let across = 0.5 - (x * cosine + y * sine) / (2.0 * (cosine.abs() + sine.abs()));
        let light = (1.0 - gradient * across) * (1.0 - vignette * (x * x + y * y) / 2.0);
        for value in pixel {
            *value = (f32::from(*value) * light + 0.5) as u8;
        }
    });
}

/// Adds a soft white spot: `centre` as shares of width and height, `radius` (where a quarter of it
/// is left) as a share of the half sides, `strength` at its middle as a share of full white.
pub fn glare(pixels: &mut Pixels, centre: [f32; 2], radius: f32, strength: f32) {
    let [centre_x, centre_y] = centre.map(|share| 2.0 * share - 1.0);
    let narrow = 1.0 / (radius * radius).max(1e-6);
    for_each_place(pixels, |x, y, pixel| {
        let squared = ((x - centre_x) * (x - centre_x) + (y - centre_y) * (y - centre_y)) * narrow;
        let white = 255.0 * strength / ((1.0 + squared) * (1.0 + squared));
        for value in pixel {
            *value = (f32::from(*value) + white + 0.5) as u8;
        }
    });
}

/// Calls with x and y from -1 to 1 over the image.
fn for_each_place(pixels: &mut Pixels, mut change: impl FnMut(f32, f32, &mut [u8])) {
    let (width, height) = (pixels.width() as usize, pixels.height() as usize);
    for (row, line) in pixels.data_mut().chunks_exact_mut(3 * width).enumerate() {
        let y = (2 * row + 1) as f32 / height as f32 - 1.0;
        for (column, pixel) in line.chunks_exact_mut(3).enumerate() {
            let x = (2 * column + 1) as f32 / width as f32 - 1.0;
            change(x, y, pixel);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flat(value: u8) -> Pixels {
        Pixels::from_rgb(40, 20, vec![value; 40 * 20 * 3]).unwrap()
    }

    #[test]
    fn no_change_changes_nothing() {
        let ramp: Vec<u8> = (0..768).map(|i| (i / 3) as u8).collect();
        let mut pixels = Pixels::from_rgb(16, 16, ramp.clone()).unwrap();
        Light::none().apply(&mut pixels, &mut Rng::with_seed(1));
        assert_eq!(pixels.data(), ramp);
    }

    #[test]
    fn tone_follows_its_formula() {
        let mut pixels = flat(100);
        tone(&mut pixels, [1.0, 2.0, 5.0], 1.0, 1.0);
        assert_eq!(pixels.get(3, 3), [100, 200, 255]);
        let mut pixels = flat(64);
        tone(&mut pixels, [1.0; 3], 2.0, 1.0);
        assert_eq!(pixels.get(0, 0), [16; 3]); // 64² / 255
        let mut pixels = flat(64);
        tone(&mut pixels, [1.0; 3], 1.0, 0.5);
        assert_eq!(pixels.get(0, 0), [96; 3]); // half way to 127.5
    }

    #[test]
    fn shade_darkens_the_far_side_and_the_corners() {
        let mut pixels = flat(200);
        shade(&mut pixels, 0.5, 0.0, 0.0);
        assert!(pixels.get(39, 10)[0] >= 198 && pixels.get(0, 10)[0].abs_diff(101) <= 2);
        let mut pixels = flat(200);
        shade(&mut pixels, 0.0, 0.0, 0.5);
        assert!(pixels.get(20, 10)[0] >= 199 && pixels.get(0, 0)[0].abs_diff(105) <= 4);
    }

    #[test]
    fn glare_is_brightest_at_its_centre() {
        let mut pixels = flat(50);
        glare(&mut pixels, [0.25, 0.5], 0.2, 0.5);
        assert!(pixels.get(10, 10)[0] > 155, "{:?}", pixels.get(10, 10));
        assert!(pixels.get(39, 10)[0] < 55);
    }
}
