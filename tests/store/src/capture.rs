//! What a hand-held camera does to a view: uneven light, glare, blur, noise; and what gets in the
//! way: fingers, a sticker.

use std::f32::consts::TAU;

use fastrand::Rng;
use glam::{Vec2, Vec3, vec2};
use image::RgbImage;

use crate::art::canvas::{Canvas, burst, circle, polyline};
use crate::art::lettering::{Align, Face};
use crate::art::palette::{BLACK, Rgb, WHITE, mix};

/// The frame's box that the product fills: low and high corner.
pub(crate) type Target = (Vec2, Vec2);

/// Fingers that hold the product from a side: at most a fifth of the target.
pub(crate) fn fingers(picture: &mut RgbImage, target: Target, rng: &mut Rng) {
    const SKIN: [Rgb; 5] = [
        [236, 188, 160],
        [222, 168, 132],
        [188, 130, 94],
        [134, 88, 62],
        [92, 60, 44],
    ];
    let skin = SKIN[rng.usize(..SKIN.len())];
    let (low, high) = target;
    let extent = high - low;
    let from_left = rng.bool();
    let width = (0.1 * extent.y).min(0.2 * extent.x);
    let count = rng.usize(2..5);
    let reach = (0.16 + 0.12 * rng.f32()) * extent.x;
    let start = low.y + (0.3 + 0.25 * rng.f32()) * extent.y;
    let mut canvas = Canvas::new(picture.width(), picture.height());
    for finger in 0..count {
        let length = reach * [0.8, 1.0, 0.95, 0.7][finger];
        let y = start + 1.06 * width * finger as f32;
        let (tip, root) = if from_left {
            (low.x + length - width / 2.0, low.x - 0.5 * extent.x - 60.0)
        } else {
            (
                high.x - length + width / 2.0,
                high.x + 0.5 * extent.x + 60.0,
            )
        };
        let lean = 0.5 * width * (rng.f32() - 0.3);
        let bone = polyline([
            (root, y + 2.0 * width),
            (0.5 * (root + tip), y + 0.8 * width),
            (tip, y + lean),
        ]);
        canvas.stroke_tint(&bone, BLACK, 1.25 * width, 0.12);
        canvas.stroke(&bone, mix(skin, BLACK, 0.3), width);
        canvas.stroke(&bone, mix(skin, BLACK, 0.1), 0.86 * width);
        canvas.stroke(&bone, skin, 0.6 * width);
        canvas.stroke_tint(&bone, WHITE, 0.2 * width, 0.12);
        let nail = (tip + if from_left { 0.12 } else { -0.12 } * width, y + lean);
        canvas.fill(
            &circle(nail.0, nail.1, 0.24 * width),
            mix(skin, WHITE, 0.35),
        );
    }
    lay_over(picture, &canvas);
}

/// A price or offer sticker on the product.
pub(crate) fn sticker(picture: &mut RgbImage, target: Target, rng: &mut Rng) {
    const PAINT: [Rgb; 4] = [
        [246, 222, 40],
        [226, 40, 46],
        [250, 250, 246],
        [70, 180, 70],
    ];
    let (low, high) = target;
    let radius = (0.13 + 0.07 * rng.f32()) * (high - low).min_element();
    let at = low + (high - low) * vec2(0.22 + 0.56 * rng.f32(), 0.2 + 0.6 * rng.f32());
    let paint = PAINT[rng.usize(..PAINT.len())];
    let text = ["-20%", "SALE", "2 for 1", "9.99", "NEW"][rng.usize(..5)];
    let mut canvas = Canvas::new(picture.width(), picture.height());
    canvas.tint(&circle(at.x + 2.0, at.y + 3.0, 1.02 * radius), BLACK, 0.2);
    canvas.at((at.x, at.y), radius, 30.0 * (rng.f32() - 0.5), |c| {
        c.fill(&burst(0.0, 0.0, 1.0, 0.92, 20), paint);
        let place = (-0.68, -0.3, 1.36, 0.6);
        c.letters(
            text,
            Face::BLACK,
            place,
            Align::Centre,
            mix(paint, BLACK, 0.85),
        );
    });
    lay_over(picture, &canvas);
}

fn lay_over(picture: &mut RgbImage, canvas: &Canvas) {
    for (pixel, over) in picture.pixels_mut().zip(canvas.pixels()) {
        if over[3] > 0 {
            for (below, &above) in pixel.0.iter_mut().zip(over) {
                *below = above + (u16::from(*below) * u16::from(255 - over[3]) / 255) as u8;
            }
        }
    }
}

/// Light, lens and sensor of one exposure.
#[derive(Clone, Debug)]
pub(crate) struct Exposure {
    /// Multiplies red, green, blue: brightness and white balance.
    gain: Vec3,
    /// How much brighter the frame gets over its width and height.
    slope: Vec2,
    vignette: f32,
    /// A soft shadow over the frame: its edge's normal and offset, its depth.
    shadow: Option<(Vec2, f32, f32)>,
    /// A reflection: middle, half axes, turn, strength (0 to 255).
    glare: Option<(Vec2, Vec2, Vec2, f32)>,
    /// Movement during the exposure, in pixels.
    shake: Vec2,
    /// Passes of a 3×3 binomial blur.
    defocus: u8,
    /// Standard deviation, in levels.
    noise: f32,
}

impl Exposure {
    pub(crate) fn draw(target: Target, frame: Vec2, rng: &mut Rng) -> Self {
        let (low, high) = target;
        let brightness = 0.74 + 0.42 * rng.f32();
        let warmth = 0.24 * (rng.f32() - 0.45);
        let angle = Vec2::from_angle(TAU * rng.f32());
        let chance = |rng: &mut Rng, p: f32| rng.f32() < p;
        Self {
            gain: brightness * Vec3::new(1.0 + 0.5 * warmth, 1.0, 1.0 - 0.7 * warmth),
            slope: vec2(rng.f32() - 0.5, rng.f32() - 0.5) * 0.7,
            vignette: 0.35 * rng.f32(),
            shadow: chance(rng, 0.35).then(|| {
                let middle = 0.5 * (low + high) + 0.3 * (high - low) * (rng.f32() - 0.5);
                (angle, angle.dot(middle), 0.22 + 0.23 * rng.f32())
            }),
            glare: chance(rng, 0.4).then(|| {
                let at = low + (high - low) * vec2(rng.f32(), rng.f32());
                let axes = vec2(0.06 + 0.08 * rng.f32(), 0.18 + 0.2 * rng.f32()) * frame.y;
                (
                    at,
                    axes,
                    Vec2::from_angle(rng.f32() - 0.2),
                    60.0 + 110.0 * rng.f32(),
                )
            }),
            shake: if chance(rng, 0.3) {
                angle * (2.0 + 4.0 * rng.f32())
            } else {
                Vec2::ZERO
            },
            defocus: rng.u8(..4),
            noise: 1.5 + 6.5 * rng.f32() * rng.f32(),
        }
    }

    /// Takes the picture.
    pub(crate) fn apply(&self, picture: &mut RgbImage, rng: &mut Rng) {
        let frame = vec2(picture.width() as f32, picture.height() as f32);
        for (x, y, pixel) in picture.enumerate_pixels_mut() {
            let p = vec2(x as f32, y as f32);
            let q = p / frame - 0.5;
            let mut light =
                self.gain * (1.0 + self.slope.dot(q) - self.vignette * 2.0 * q.length_squared());
            if let Some((normal, offset, depth)) = self.shadow {
                let t = ((normal.dot(p) - offset) / (0.07 * frame.x) + 0.5).clamp(0.0, 1.0);
                light *= 1.0 - depth * t * t * (3.0 - 2.0 * t);
            }
            let mut glow = 0.0;
            if let Some((at, axes, turn, strength)) = self.glare {
                let d = turn.rotate(p - at) / axes;
                glow = strength * (-d.length_squared() * 1.5).exp();
            }
            for (value, gain) in pixel.0.iter_mut().zip(light.to_array()) {
                *value = (f32::from(*value) * gain + glow).clamp(0.0, 255.0) as u8;
            }
        }
        if self.shake != Vec2::ZERO {
            shake(picture, self.shake);
        }
        for _ in 0..self.defocus {
            soften(picture);
        }
        for value in picture.iter_mut() {
            // The sum of four uniform numbers is close enough to a normal one.
            let four = rng.u32(..).to_le_bytes().map(f32::from).iter().sum::<f32>();
            let grain = (four - 510.0) / 147.8 * self.noise;
            *value = (f32::from(*value) + grain).clamp(0.0, 255.0) as u8;
        }
    }
}

/// The mean of five copies along the movement.
fn shake(picture: &mut RgbImage, path: Vec2) {
    let still = picture.clone();
    let (width, height) = (picture.width() as i32, picture.height() as i32);
    let steps = [-0.5, -0.25, 0.0, 0.25, 0.5].map(|t| (path * t).round().as_ivec2());
    for (x, y, pixel) in picture.enumerate_pixels_mut() {
        let mut sum = [0_u16; 3];
        for step in steps {
            let x = (x as i32 + step.x).clamp(0, width - 1);
            let y = (y as i32 + step.y).clamp(0, height - 1);
            let from = still.get_pixel(x as u32, y as u32).0;
            (0..3).for_each(|i| sum[i] += u16::from(from[i]));
        }
        pixel.0 = sum.map(|v| (v / 5) as u8);
    }
}

/// Binomial 1-2-1 along rows, then along columns.
fn soften(picture: &mut RgbImage) {
    let width = 3 * picture.width() as usize;
    let rows = picture.height() as usize;
    let blend =
        |a: u8, b: u8, c: u8| ((u16::from(a) + 2 * u16::from(b) + u16::from(c) + 2) / 4) as u8;
    let source = picture.as_raw().clone();
    let mut across = source.clone();
    for (to, from) in across
        .chunks_exact_mut(width)
        .zip(source.chunks_exact(width))
    {
        for i in 3..width - 3 {
            to[i] = blend(from[i - 3], from[i], from[i + 3]);
        }
    }
    let out: &mut [u8] = picture;
    for row in 1..rows - 1 {
        for i in row * width..(row + 1) * width {
            out[i] = blend(across[i - width], across[i], across[i + width]);
        }
    }
}
