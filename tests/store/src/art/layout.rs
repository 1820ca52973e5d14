//! Layouts: where brand, name, flavour and emblem stand on the front of a package.

use std::f32::consts::{PI, TAU};

use fastrand::Rng;

use super::canvas::{Canvas, burst, circle, polygon, polyline, rectangle, rounded};
use super::emblem::{Emblem, Inks};
use super::lettering::{Align, Face};
use super::palette::{BLACK, Palette, WHITE, mix};
use super::pattern::Pattern;

/// How the front of a package is arranged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// Brand in big contoured letters, emblem in a burst, flavour on a ribbon.
    Loud,
    /// A paper field under a curve, the emblem across the edge.
    Split,
    /// An oval seal on a pattern, the brand along its rim.
    Seal,
    /// One flat colour, a grid, large type to the left.
    Swiss,
    /// Sun, hills, water, a title in the sky.
    Landscape,
    /// A grid of quarter circles.
    Bauhaus,
    /// Rings around an emblem.
    Rings,
    /// A framed plate with rules, old-fashioned.
    Plate,
    /// A vertical stack of colour bands.
    Bands,
    /// The emblem repeated in a large grid.
    Grid,
}

/// Everything that is printed on one product.
#[derive(Clone, Debug)]
pub(crate) struct Design {
    pub(crate) brand: &'static str,
    pub(crate) name: &'static str,
    pub(crate) word: &'static str,
    pub(crate) note: &'static str,
    pub(crate) palette: Palette,
    pub(crate) pattern: Pattern,
    pub(crate) emblem: Emblem,
    pub(crate) flavour: Emblem,
    pub(crate) layout: Layout,
    /// Shared by the variants of a line: what the brand's designer decided once.
    pub(crate) seed: u64,
}

impl Design {
    /// Paints the front. `margin` is the part of the width that stays free of text on each side,
    /// for surfaces that bend away.
    pub(crate) fn front(&self, width: u32, height: u32, margin: f32) -> Canvas {
        let mut canvas = Canvas::new(width, height);
        let page = Page {
            design: self,
            left: margin * canvas.width(),
        };
        page.paint(&mut canvas);
        canvas
    }

    /// Covers a face that carries no text.
    pub(crate) fn ground(&self, canvas: &mut Canvas) {
        let pitch = 0.16 * canvas.width().max(0.6 * canvas.height());
        let mut rng = Rng::with_seed(self.seed);
        self.pattern
            .cover(canvas, &self.palette, self.palette.tone(), pitch, &mut rng);
    }

    /// The emblem of the flavour in the colour of the variant.
    pub(crate) fn flavour_inks(&self) -> Inks {
        let p = &self.palette;
        let main = if super::palette::luma(p.ground) > 0.85 {
            p.second
        } else {
            p.ground
        };
        Inks {
            main,
            accent: mix(main, BLACK, 0.3),
            light: mix(main, WHITE, 0.8),
            dark: p.dark,
        }
    }
}

struct Page<'a> {
    design: &'a Design,
    left: f32,
}

impl Page<'_> {
    /// A box in fractions of the safe area, in pixels.
    fn part(&self, c: &Canvas, x: f32, y: f32, w: f32, h: f32) -> (f32, f32, f32, f32) {
        let width = c.width() - 2.0 * self.left;
        (
            self.left + x * width,
            y * c.height(),
            w * width,
            h * c.height(),
        )
    }

    fn paint(&self, c: &mut Canvas) {
        match self.design.layout {
            Layout::Loud => self.loud(c),
            Layout::Split => self.split(c),
            Layout::Seal => self.seal(c),
            Layout::Swiss => self.swiss(c),
            Layout::Landscape => self.landscape(c),
            Layout::Bauhaus => self.bauhaus(c),
            Layout::Rings => self.rings(c),
            Layout::Plate => self.plate(c),
            Layout::Bands => self.bands(c),
            Layout::Grid => self.grid(c),
        }
    }

    fn loud(&self, c: &mut Canvas) {
        let (d, p) = (self.design, &self.design.palette);
        d.ground(c);
        let (w, h) = (c.width(), c.height());
        let r = 0.36 * (w - 2.0 * self.left).min(0.72 * h);
        let centre = (w / 2.0, 0.6 * h);
        c.fill(&burst(centre.0, centre.1, 1.22 * r, 1.02 * r, 22), p.second);
        c.fill(&circle(centre.0, centre.1, r), p.paper);
        d.flavour.draw(c, centre, 0.72 * r, d.flavour_inks());
        let place = self.part(c, 0.02, 0.03, 0.96, 0.2);
        c.contoured(d.brand, Face::BLACK, place, p.paper, p.dark);
        let place = self.part(c, 0.2, 0.225, 0.6, 0.075);
        c.letters(
            d.name,
            Face::SCRIPT,
            place,
            Align::Centre,
            p.ink_on(p.ground),
        );
        let (y, fold) = (0.83 * h, 0.03 * h);
        let x = self.left + 0.03 * w;
        c.fill(
            &polygon([
                (x, y),
                (w - x, y - fold),
                (w - x, y + 0.11 * h - fold),
                (x, y + 0.11 * h),
            ]),
            p.dark,
        );
        let place = self.part(c, 0.1, 0.833, 0.8, 0.075);
        c.letters(d.word, Face::POSTER, place, Align::Centre, p.paper);
        let place = self.part(c, 0.68, 0.95, 0.28, 0.03);
        c.letters(d.note, Face::BOOK, place, Align::Centre, p.ink_on(p.ground));
    }

    fn split(&self, c: &mut Canvas) {
        let (d, p) = (self.design, &self.design.palette);
        d.ground(c);
        let (w, h) = (c.width(), c.height());
        for (lift, colour) in [(0.0, p.second), (0.025, p.paper)] {
            let top = |x: f32| (0.44 + lift + 0.06 * (TAU * x * 0.55 + 0.6).sin()) * h;
            let curve = (0..=24).map(|i| (i as f32 / 24.0 * w, top(i as f32 / 24.0)));
            c.fill(&polygon(curve.chain([(w, h), (0.0, h)])), colour);
        }
        let place = self.part(c, 0.06, 0.06, 0.88, 0.15);
        c.letters(
            d.brand,
            Face::CAPITALS,
            place,
            Align::Centre,
            p.ink_on(p.ground),
        );
        let place = self.part(c, 0.15, 0.23, 0.7, 0.07);
        c.letters(
            d.name,
            Face::LIGHT,
            place,
            Align::Centre,
            p.ink_on(p.ground),
        );
        let r = 0.27 * (w - 2.0 * self.left).min(0.7 * h);
        c.fill(&circle(w / 2.0, 0.55 * h, 1.2 * r), p.paper);
        d.flavour.draw(c, (w / 2.0, 0.55 * h), r, d.flavour_inks());
        let place = self.part(c, 0.08, 0.78, 0.84, 0.1);
        c.letters(d.word, Face::SCRIPT, place, Align::Centre, p.dark);
        let place = self.part(c, 0.3, 0.915, 0.4, 0.035);
        c.letters(
            d.note,
            Face::CAPITALS,
            place,
            Align::Centre,
            mix(p.dark, WHITE, 0.25),
        );
    }

    fn seal(&self, c: &mut Canvas) {
        let (d, p) = (self.design, &self.design.palette);
        d.ground(c);
        let (w, h) = (c.width(), c.height());
        let r = 0.43 * (w - 2.0 * self.left).min(0.86 * h);
        let (x, y) = (w / 2.0, 0.43 * h);
        for (radius, colour) in [
            (r, p.second),
            (0.96 * r, p.paper),
            (0.72 * r, p.dark),
            (0.7 * r, p.paper),
        ] {
            c.fill(&circle(x, y, radius), colour);
        }
        let size = (0.2 * r).min(3.6 * r / d.brand.chars().count() as f32);
        c.curved(
            d.brand,
            Face::CAPITALS,
            ((x, y), 0.76 * r),
            0.0,
            size,
            p.dark,
        );
        for side in [-2.35_f32, 2.35] {
            let (sin, cos) = side.sin_cos();
            c.fill(
                &burst(
                    x + 0.83 * r * sin,
                    y - 0.83 * r * cos,
                    0.09 * r,
                    0.04 * r,
                    5,
                ),
                p.second,
            );
        }
        d.emblem
            .draw(c, (x, y - 0.08 * r), 0.46 * r, d.flavour_inks());
        c.letters(
            d.name,
            Face::BOOK,
            (x - 0.4 * r, y + 0.42 * r, 0.8 * r, 0.14 * r),
            Align::Centre,
            p.dark,
        );
        let (left, _, wide, _) = self.part(c, 0.08, 0.0, 0.84, 0.0);
        c.fill(&rounded(left, 0.82 * h, wide, 0.12 * h, 0.06 * h), p.dark);
        let place = self.part(c, 0.16, 0.842, 0.68, 0.076);
        c.letters(d.word, Face::CAPITALS, place, Align::Centre, p.paper);
    }

    fn swiss(&self, c: &mut Canvas) {
        let (d, p) = (self.design, &self.design.palette);
        c.flood(p.ground);
        let (w, h) = (c.width(), c.height());
        let ink = p.ink_on(p.ground);
        let place = self.part(c, 0.07, 0.06, 0.86, 0.13);
        c.letters(d.word, Face::BLACK, place, Align::Left, ink);
        let place = self.part(c, 0.07, 0.205, 0.7, 0.065);
        c.letters(d.name, Face::LIGHT, place, Align::Left, ink);
        c.fill(
            &rectangle(
                self.left + 0.07 * w,
                0.3 * h,
                0.86 * w - 2.0 * self.left,
                0.006 * h,
            ),
            ink,
        );
        let mut rng = Rng::with_seed(d.seed);
        let accent = p.accent_on(p.ground);
        let unit = 0.155 * w;
        for (i, j) in (0..5).flat_map(|i| (0..3).map(move |j| (i, j))) {
            let (x, y) = (
                (0.11 + 0.195 * i as f32) * w,
                0.46 * h + 1.2 * unit * j as f32,
            );
            let colour = if rng.f32() < 0.4 { accent } else { ink };
            match rng.u8(..4) {
                0 => c.fill(&circle(x, y, 0.5 * unit), colour),
                1 => c.fill(
                    &rectangle(x - 0.5 * unit, y - 0.5 * unit, unit, unit),
                    colour,
                ),
                2 => c.fill(
                    &polygon([
                        (x - 0.5 * unit, y + 0.5 * unit),
                        (x + 0.5 * unit, y + 0.5 * unit),
                        (x + 0.5 * unit, y - 0.5 * unit),
                    ]),
                    colour,
                ),
                _ => c.stroke(&circle(x, y, 0.4 * unit), colour, 0.14 * unit),
            }
        }
        let place = self.part(c, 0.07, 0.9, 0.5, 0.045);
        c.letters(d.brand, Face::CAPITALS, place, Align::Left, ink);
        let place = self.part(c, 0.7, 0.905, 0.23, 0.035);
        c.letters(d.note, Face::MONO, place, Align::Left, ink);
    }

    fn landscape(&self, c: &mut Canvas) {
        let (d, p) = (self.design, &self.design.palette);
        let (w, h) = (c.width(), c.height());
        let mut rng = Rng::with_seed(d.seed);
        let sky = rectangle(0.0, 0.0, w, h);
        c.blend(
            &sky,
            ((0.0, 0.0), p.ground),
            ((0.0, 0.75 * h), mix(p.ground, p.paper, 0.8)),
        );
        let sun = ((0.3 + 0.4 * rng.f32()) * w, 0.42 * h);
        c.fill(&circle(sun.0, sun.1, 0.17 * w), mix(p.second, WHITE, 0.15));
        let far = mix(mix(p.ground, p.paper, 0.45), p.second, 0.2);
        for layer in 0..5_i16 {
            let t = f32::from(layer) / 4.0;
            let (base, swing) = (
                0.5 + 0.1 * f32::from(layer),
                0.085 - 0.012 * f32::from(layer),
            );
            let (a, b, phase) = (
                1.0 + 2.0 * rng.f32(),
                3.0 + 4.0 * rng.f32(),
                TAU * rng.f32(),
            );
            let sharp = d.pattern == Pattern::Triangles;
            let ridge = (0..=64).map(|i| {
                let x = i as f32 / 64.0;
                let bend = |v: f32| {
                    if sharp {
                        2.0 * (v / PI).rem_euclid(1.0).mul_add(2.0, -1.0).abs() - 1.0
                    } else {
                        v.sin()
                    }
                };
                let y =
                    base + swing * (bend(TAU * a * x + phase) + 0.45 * bend(TAU * b * x - phase));
                (x * w, y * h)
            });
            c.fill(
                &polygon(ridge.chain([(w, h), (0.0, h)])),
                mix(far, p.dark, t),
            );
        }
        let r = 0.13 * w;
        d.flavour.draw(
            c,
            (w / 2.0, 0.8 * h),
            r,
            Inks {
                main: p.second,
                accent: mix(p.second, BLACK, 0.25),
                light: p.paper,
                dark: p.dark,
            },
        );
        let ink = p.ink_on(p.ground);
        let place = self.part(c, 0.07, 0.055, 0.86, 0.12);
        c.letters(d.word, Face::POSTER, place, Align::Centre, ink);
        let place = self.part(c, 0.15, 0.19, 0.7, 0.05);
        c.letters(d.name, Face::LIGHT, place, Align::Centre, ink);
        let place = self.part(c, 0.2, 0.92, 0.6, 0.042);
        c.letters(d.brand, Face::CAPITALS, place, Align::Centre, p.paper);
    }

    fn bauhaus(&self, c: &mut Canvas) {
        let (d, p) = (self.design, &self.design.palette);
        c.flood(p.paper);
        let (w, h) = (c.width(), c.height());
        let mut rng = Rng::with_seed(d.seed);
        let (columns, cell) = (4, w / 4.0);
        let rows = (0.74 * h / cell).round().max(1.0) as i32;
        let inks = [
            p.ground,
            p.second,
            p.dark,
            mix(p.ground, p.paper, 0.5),
            p.paper,
        ];
        for (i, j) in (0..columns).flat_map(|i| (0..rows).map(move |j| (i, j))) {
            let (x, y) = (i as f32 * cell, j as f32 * cell);
            let (back, front) = (rng.usize(..5), rng.usize(1..5));
            let square = rectangle(x, y, cell + 0.5, cell + 0.5);
            c.fill(&square, inks[back]);
            let figure = inks[(back + front) % 5];
            let (a, b) = (f32::from(rng.u8(..2)), f32::from(rng.u8(..2)));
            let kind = rng.u8(..3);
            c.inside(&square, |c| match kind {
                0 => c.fill(&circle(x + a * cell, y + b * cell, cell), figure),
                1 => c.fill(&circle(x + a * cell, y + 0.5 * cell, 0.5 * cell), figure),
                _ => {
                    c.fill(&circle(x + a * cell, y + b * cell, cell), figure);
                    c.fill(&circle(x + a * cell, y + b * cell, 0.5 * cell), inks[back]);
                }
            });
        }
        let top = rows as f32 * cell / h;
        c.fill(&rectangle(0.0, top * h, w, h), p.paper);
        let place = self.part(c, 0.05, top + 0.26 * (1.0 - top), 0.9, 0.42 * (1.0 - top));
        c.letters(d.word, Face::BLACK, place, Align::Left, p.dark);
        let place = self.part(c, 0.05, top + 0.76 * (1.0 - top), 0.6, 0.16 * (1.0 - top));
        c.letters(d.brand, Face::BOOK, place, Align::Left, p.dark);
    }

    fn rings(&self, c: &mut Canvas) {
        let (d, p) = (self.design, &self.design.palette);
        c.flood(p.ground);
        let (w, h) = (c.width(), c.height());
        let mut rng = Rng::with_seed(d.seed);
        let (x, y) = ((0.4 + 0.2 * rng.f32()) * w, 0.52 * h);
        let count = rng.i32(5..9);
        for ring in (0..count).rev() {
            let t = ring as f32 / count as f32;
            let colour = match ring % 3 {
                0 => p.accent_on(p.ground),
                1 => p.ground,
                _ => mix(p.paper, p.ground, 0.5 * t),
            };
            let shift = 0.05 * w * t * if ring % 2 == 0 { 1.0 } else { -1.0 };
            c.fill(&circle(x + shift, y, (0.14 + 0.4 * t) * w), colour);
        }
        c.fill(&circle(x, y, 0.17 * w), p.paper);
        d.flavour.draw(c, (x, y), 0.13 * w, d.flavour_inks());
        let ink = p.ink_on(p.ground);
        let place = self.part(c, 0.05, 0.035, 0.9, 0.1);
        c.letters(d.word, Face::CAPITALS, place, Align::Left, ink);
        let place = self.part(c, 0.05, 0.9, 0.9, 0.06);
        c.letters(d.brand, Face::BOOK, place, Align::Left, ink);
    }

    fn plate(&self, c: &mut Canvas) {
        let (d, p) = (self.design, &self.design.palette);
        d.ground(c);
        let (x, y, w, h) = self.part(c, 0.09, 0.08, 0.82, 0.84);
        let inset = 0.025 * c.width();
        c.fill(&rounded(x, y, w, h, 2.0 * inset), p.paper);
        c.stroke(
            &rounded(
                x + inset,
                y + inset,
                w - 2.0 * inset,
                h - 2.0 * inset,
                1.4 * inset,
            ),
            p.second,
            0.4 * inset,
        );
        let place = self.part(c, 0.2, 0.14, 0.6, 0.09);
        c.letters(d.brand, Face::CAPITALS, place, Align::Centre, p.dark);
        let rule = |c: &mut Canvas, at: f32| {
            let (x, y, w, _) = self.part(c, 0.22, at, 0.56, 0.0);
            let (middle, r) = (x + w / 2.0, 0.012 * c.width());
            c.fill(&rectangle(x, y, 0.42 * w, 0.3 * r), p.second);
            c.fill(&rectangle(x + 0.58 * w, y, 0.42 * w, 0.3 * r), p.second);
            c.fill(&burst(middle, y, 2.0 * r, 0.8 * r, 4), p.second);
        };
        rule(c, 0.265);
        let r = 0.21 * (c.width() - 2.0 * self.left).min(0.8 * c.height());
        let centre = (c.width() / 2.0, 0.455 * c.height());
        d.flavour.draw(c, centre, r, d.flavour_inks());
        rule(c, 0.65);
        let place = self.part(c, 0.17, 0.69, 0.66, 0.085);
        c.letters(
            d.word,
            Face::SCRIPT,
            place,
            Align::Centre,
            mix(d.flavour_inks().main, BLACK, 0.35),
        );
        let place = self.part(c, 0.25, 0.81, 0.5, 0.04);
        c.letters(d.name, Face::CAPITALS, place, Align::Centre, p.dark);
    }

    fn bands(&self, c: &mut Canvas) {
        let (d, p) = (self.design, &self.design.palette);
        d.ground(c);
        let (w, h) = (c.width(), c.height());
        c.fill(&rectangle(0.0, 0.0, w, 0.25 * h), p.dark);
        c.fill(&rectangle(0.0, 0.25 * h, w, 0.025 * h), p.second);
        c.fill(&rectangle(0.0, 0.68 * h, w, 0.2 * h), p.paper);
        c.fill(&rectangle(0.0, 0.88 * h, w, 0.025 * h), p.second);
        let place = self.part(c, 0.07, 0.06, 0.86, 0.13);
        c.letters(
            d.brand,
            Face::POSTER,
            place,
            Align::Centre,
            p.accent_on(p.dark),
        );
        let r = 0.17 * h.min(1.5 * (w - 2.0 * self.left));
        c.fill(&circle(w / 2.0, 0.47 * h, 1.12 * r), p.dark);
        c.fill(&circle(w / 2.0, 0.47 * h, 1.04 * r), p.paper);
        d.flavour
            .draw(c, (w / 2.0, 0.47 * h), 0.78 * r, d.flavour_inks());
        let place = self.part(c, 0.08, 0.7, 0.84, 0.1);
        c.letters(d.word, Face::BLACK, place, Align::Centre, p.dark);
        let place = self.part(c, 0.2, 0.82, 0.6, 0.042);
        c.letters(d.name, Face::BOOK, place, Align::Centre, p.dark);
    }

    fn grid(&self, c: &mut Canvas) {
        let (d, p) = (self.design, &self.design.palette);
        c.flood(p.paper);
        let (w, h) = (c.width(), c.height());
        let cell = (w - 2.0 * self.left) / 3.0;
        let top = 0.2 * h;
        let rows = ((0.62 * h) / cell).floor().max(1.0) as i32;
        let scale = 0.64 * h / (rows as f32 * cell);
        let across = ((w / cell) as i32 / 2 + 1) * 2 + 1;
        for (i, j) in (0..across).flat_map(|i| (0..rows).map(move |j| (i, j))) {
            let x = w / 2.0 + (i - across / 2) as f32 * cell;
            let y = top + (j as f32 + 0.5) * cell * scale;
            let back = [p.ground, p.second, p.dark][((i + 2 * j) % 3) as usize];
            c.fill(
                &rectangle(
                    x - cell / 2.0,
                    y - cell * scale / 2.0,
                    cell + 0.5,
                    cell * scale + 0.5,
                ),
                back,
            );
            let inks = Inks {
                main: p.paper,
                accent: mix(p.paper, back, 0.4),
                light: back,
                dark: mix(back, BLACK, 0.5),
            };
            let emblem = if (i + j) % 2 == 0 {
                d.flavour
            } else {
                d.emblem
            };
            emblem.draw(c, (x, y), 0.36 * cell * scale.min(1.0), inks);
        }
        let place = self.part(c, 0.06, 0.055, 0.88, 0.095);
        c.letters(d.brand, Face::POSTER, place, Align::Centre, p.dark);
        let place = self.part(c, 0.06, 0.875, 0.88, 0.075);
        c.letters(
            d.word,
            Face::CAPITALS,
            place,
            Align::Centre,
            mix(p.ground, BLACK, 0.3),
        );
    }
}

/// The back or the side of a package: brand upright, lines of small print, a bar code.
pub(crate) fn side(design: &Design, width: u32, height: u32) -> Canvas {
    let mut canvas = Canvas::new(width, height);
    let c = &mut canvas;
    let p = &design.palette;
    let (w, h) = (c.width(), c.height());
    c.flood(p.ground);
    let ink = p.ink_on(p.ground);
    c.at((w / 2.0, 0.3 * h), 1.0, -90.0, |c| {
        let place = (-0.24 * h, -0.3 * w, 0.48 * h, 0.6 * w);
        c.letters(
            design.brand,
            Face::BLACK,
            place,
            Align::Centre,
            p.accent_on(p.ground),
        );
    });
    let mut rng = Rng::with_seed(design.seed);
    for line in 0..9 {
        let y = (0.58 + 0.022 * line as f32) * h;
        c.stroke_tint(
            &polyline([(0.14 * w, y), ((0.5 + 0.36 * rng.f32()) * w, y)]),
            ink,
            0.006 * h,
            0.6,
        );
    }
    c.fill(&rectangle(0.14 * w, 0.82 * h, 0.72 * w, 0.12 * h), WHITE);
    let mut x = 0.2;
    while x < 0.78 {
        let bar = 0.01 + 0.03 * rng.f32();
        c.fill(&rectangle(x * w, 0.835 * h, bar * w, 0.09 * h), BLACK);
        x += bar + 0.015 + 0.03 * rng.f32();
    }
    canvas
}
