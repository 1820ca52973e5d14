//! Lettering as outlines. Two free typefaces (Ubuntu Light, Hack) carry the whole store: weight
//! comes from a stroke around the outline, slant and width from a transform.

use std::f32::consts::FRAC_PI_2;
use std::sync::LazyLock;

use ab_glyph::{Font, FontRef, OutlineCurve};
use tiny_skia::{Path, PathBuilder, Transform};

use super::canvas::Canvas;
use super::palette::Rgb;

static SANS: LazyLock<FontRef<'static>> = LazyLock::new(|| {
    FontRef::try_from_slice(epaint_default_fonts::UBUNTU_LIGHT).expect("an OpenType font")
});
static MONO: LazyLock<FontRef<'static>> = LazyLock::new(|| {
    FontRef::try_from_slice(epaint_default_fonts::HACK_REGULAR).expect("an OpenType font")
});

/// A cut of a typeface. Weight is the width of the stroke around the outline, in em.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Face {
    mono: bool,
    weight: f32,
    slant: f32,
    tracking: f32,
    capitals: bool,
}

impl Face {
    pub(crate) const LIGHT: Self = Self {
        mono: false,
        weight: 0.0,
        slant: 0.0,
        tracking: 0.0,
        capitals: false,
    };
    pub(crate) const BOOK: Self = Self {
        weight: 0.035,
        ..Self::LIGHT
    };
    pub(crate) const BLACK: Self = Self {
        weight: 0.115,
        tracking: 0.06,
        ..Self::LIGHT
    };
    pub(crate) const SCRIPT: Self = Self {
        weight: 0.075,
        slant: 0.28,
        ..Self::LIGHT
    };
    pub(crate) const CAPITALS: Self = Self {
        weight: 0.06,
        tracking: 0.14,
        capitals: true,
        ..Self::LIGHT
    };
    pub(crate) const POSTER: Self = Self {
        capitals: true,
        ..Self::BLACK
    };
    pub(crate) const MONO: Self = Self {
        mono: true,
        weight: 0.02,
        ..Self::LIGHT
    };

    fn font(&self) -> &'static FontRef<'static> {
        if self.mono { &MONO } else { &SANS }
    }

    fn spell(&self, text: &str) -> String {
        if self.capitals {
            text.to_uppercase()
        } else {
            text.to_owned()
        }
    }
}

/// Where a text stands in its box from left to right.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Align {
    Left,
    Centre,
}

impl Canvas {
    /// Fills the box (x, y, width, height) as far as one line of text can. Long words are
    /// condensed to three quarters of their width before the size gives in.
    pub(crate) fn letters(
        &mut self,
        text: &str,
        face: Face,
        (x, y, width, height): (f32, f32, f32, f32),
        align: Align,
        colour: Rgb,
    ) {
        let spelt = face.spell(text);
        let Some(path) = line(&spelt, face) else {
            return;
        };
        let bounds = path.bounds();
        let (w, h) = (bounds.width() + face.weight, bounds.height() + face.weight);
        let sy = (height / h).min(width / w / 0.75);
        let sx = (width / w).min(sy);
        let left = match align {
            Align::Left => x,
            Align::Centre => x + (width - sx * w) / 2.0,
        };
        let place = Transform::from_translate(-bounds.left(), -bounds.top())
            .post_translate(face.weight / 2.0, face.weight / 2.0)
            .post_scale(sx, sy)
            .post_translate(left, y + (height - sy * h) / 2.0);
        self.with(place, |canvas| canvas.ink(&path, face, colour));
    }

    /// Lettering with a contour around it, as on a cereal box.
    pub(crate) fn contoured(
        &mut self,
        text: &str,
        face: Face,
        place: (f32, f32, f32, f32),
        fill: Rgb,
        contour: Rgb,
    ) {
        let (x, y, width, height) = place;
        let inset = 0.07 * height;
        let inner = (
            x + inset,
            y + inset,
            width - 2.0 * inset,
            height - 2.0 * inset,
        );
        let heavy = Face {
            weight: face.weight + 0.13,
            ..face
        };
        // The same box for both, so that fill and contour share their baseline.
        let spelt = face.spell(text);
        let Some(path) = line(&spelt, heavy) else {
            return;
        };
        let bounds = path.bounds();
        let (w, h) = (
            bounds.width() + heavy.weight,
            bounds.height() + heavy.weight,
        );
        let sy = (inner.3 / h).min(inner.2 / w / 0.75);
        let sx = (inner.2 / w).min(sy);
        let at = Transform::from_translate(-bounds.left(), -bounds.top())
            .post_translate(heavy.weight / 2.0, heavy.weight / 2.0)
            .post_scale(sx, sy)
            .post_translate(
                inner.0 + (inner.2 - sx * w) / 2.0,
                inner.1 + (inner.3 - sy * h) / 2.0,
            );
        self.with(at, |canvas| {
            canvas.ink(&path, heavy, contour);
            canvas.ink(&path, face, fill);
        });
    }

    /// Text along a circle, its middle at `angle` (0 = top, clockwise), `size` pixels an em.
    pub(crate) fn curved(
        &mut self,
        text: &str,
        face: Face,
        ((x, y), radius): ((f32, f32), f32),
        angle: f32,
        size: f32,
        colour: Rgb,
    ) {
        let spelt = face.spell(text);
        let steps: Vec<_> = spelt
            .chars()
            .map(|c| advance(c, face) + face.tracking)
            .collect();
        let mut along = -steps.iter().sum::<f32>() / 2.0;
        for (letter, step) in spelt.chars().zip(&steps) {
            let turn = angle + (along + step / 2.0) * size / radius;
            let (sin, cos) = (turn - FRAC_PI_2).sin_cos();
            let place = (x + radius * cos, y + radius * sin);
            if let Some(path) = line(letter.encode_utf8(&mut [0; 4]), face) {
                self.at(place, size, turn.to_degrees(), |canvas| {
                    canvas.with(Transform::from_translate(-step / 2.0, 0.0), |canvas| {
                        canvas.ink(&path, face, colour);
                    });
                });
            }
            along += step;
        }
    }

    fn ink(&mut self, path: &Path, face: Face, colour: Rgb) {
        self.fill(path, colour);
        if face.weight > 0.0 {
            self.stroke(path, colour, face.weight);
        }
    }
}

fn advance(letter: char, face: Face) -> f32 {
    let font = face.font();
    font.h_advance_unscaled(font.glyph_id(letter)) / units(font)
}

/// The outline of a line of text, one em high, its baseline at zero. `None` for blanks.
fn line(text: &str, face: Face) -> Option<Path> {
    let font = face.font();
    let unit = units(font);
    let mut path = PathBuilder::new();
    let mut pen = 0.0;
    for letter in text.chars() {
        let place = |p: ab_glyph::Point| (pen + (p.x + face.slant * p.y) / unit, -p.y / unit);
        let mut last = None;
        let glyph = font.outline(font.glyph_id(letter));
        for curve in glyph.iter().flat_map(|outline| &outline.curves) {
            let (start, end) = match *curve {
                OutlineCurve::Line(a, b) => (a, b),
                OutlineCurve::Quad(a, _, b) => (a, b),
                OutlineCurve::Cubic(a, _, _, b) => (a, b),
            };
            if last != Some(start) {
                if last.is_some() {
                    path.close();
                }
                let (x, y) = place(start);
                path.move_to(x, y);
            }
            last = Some(end);
            let (x, y) = place(end);
            match *curve {
                OutlineCurve::Line(..) => path.line_to(x, y),
                OutlineCurve::Quad(_, c, _) => {
                    let (cx, cy) = place(c);
                    path.quad_to(cx, cy, x, y);
                }
                OutlineCurve::Cubic(_, c, d, _) => {
                    let ((cx, cy), (dx, dy)) = (place(c), place(d));
                    path.cubic_to(cx, cy, dx, dy, x, y);
                }
            }
        }
        if last.is_some() {
            path.close();
        }
        pen += advance(letter, face) + face.tracking;
    }
    path.finish()
}

fn units(font: &FontRef<'_>) -> f32 {
    font.units_per_em().unwrap_or(1000.0)
}
