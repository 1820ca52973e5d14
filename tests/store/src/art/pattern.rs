//! All-over patterns, the cheapest way in which two packages differ.

use std::f32::consts::TAU;

use fastrand::Rng;

use super::canvas::{Canvas, burst, circle, polygon, polyline, rectangle, svg};
use super::palette::{Palette, Rgb};

/// What covers the ground of a package.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pattern {
    Plain,
    Stripes,
    Bars,
    Dots,
    Waves,
    Triangles,
    Sunburst,
    Checks,
    Leaves,
    Chevrons,
    Scales,
    Confetti,
    Lattice,
}

impl Pattern {
    /// Covers the canvas: ground first, then the figures in `figure`. `pitch` is the distance of
    /// two figures in pixels.
    pub(crate) fn cover(
        self,
        canvas: &mut Canvas,
        palette: &Palette,
        figure: Rgb,
        pitch: f32,
        rng: &mut Rng,
    ) {
        canvas.flood(palette.ground);
        let (width, height) = (canvas.width(), canvas.height());
        let (columns, rows) = ((width / pitch) as i32 + 2, (height / pitch) as i32 + 2);
        let cells = move || (-1..rows).flat_map(move |j| (-1..columns).map(move |i| (i, j)));
        let corner = |i: i32, j: i32| (i as f32 * pitch, j as f32 * pitch);
        match self {
            Self::Plain => {}
            Self::Stripes => {
                for i in -(height / pitch) as i32 - 1..columns {
                    let x = i as f32 * pitch;
                    let half = 0.45 * pitch;
                    canvas.fill(
                        &polygon([
                            (x, 0.0),
                            (x + half, 0.0),
                            (x + half + height, height),
                            (x + height, height),
                        ]),
                        figure,
                    );
                }
            }
            Self::Bars => {
                for i in 0..columns {
                    canvas.fill(
                        &rectangle(i as f32 * pitch, 0.0, 0.5 * pitch, height),
                        figure,
                    );
                }
            }
            Self::Dots => {
                for (i, j) in cells() {
                    let (x, y) = corner(i, j);
                    let shift = if j % 2 == 0 { 0.0 } else { 0.5 * pitch };
                    canvas.fill(&circle(x + shift, y, 0.24 * pitch), figure);
                }
            }
            Self::Waves => {
                for j in -1..rows * 2 {
                    let y = 0.6 * pitch * j as f32;
                    let wave = (0..=(width / 4.0) as i32 + 1).map(|k| {
                        let x = 4.0 * k as f32;
                        (x, y + 0.22 * pitch * (TAU * x / (1.7 * pitch)).sin())
                    });
                    canvas.stroke(&polyline(wave), figure, 0.17 * pitch);
                }
            }
            Self::Triangles => {
                for (i, j) in cells() {
                    let (x, y) = corner(i, j);
                    let (up, opacity) = (rng.bool(), 0.35 + 0.65 * rng.f32());
                    let tip = if up { (x, y) } else { (x + pitch, y + pitch) };
                    let path = polygon([tip, (x + pitch, y), (x, y + pitch)]);
                    canvas.tint(&path, figure, opacity);
                }
            }
            Self::Sunburst => {
                let (x, y) = (width / 2.0, 0.46 * height);
                let rays = 18;
                for k in 0..rays {
                    let angle = |a: f32| {
                        let (sin, cos) = (TAU * a / rays as f32).sin_cos();
                        (x + 2.0 * height * cos, y + 2.0 * height * sin)
                    };
                    let k = k as f32;
                    canvas.fill(&polygon([(x, y), angle(k), angle(k + 0.5)]), figure);
                }
            }
            Self::Checks => {
                for (i, j) in cells().filter(|(i, j)| (i + j) % 2 == 0) {
                    let (x, y) = corner(i, j);
                    canvas.fill(&rectangle(x, y, pitch, pitch), figure);
                }
            }
            Self::Leaves => {
                let leaf = svg("M 0 -.5 C .42 -.2 .36 .3 0 .5 C -.36 .3 -.42 -.2 0 -.5 Z");
                for (i, j) in cells() {
                    let (x, y) = corner(i, j);
                    let shift = if j % 2 == 0 { 0.0 } else { 0.5 * pitch };
                    let turn = 45.0 + 90.0 * ((i + j) % 2) as f32 + 40.0 * (rng.f32() - 0.5);
                    let place = (x + shift, y);
                    canvas.at(place, 0.85 * pitch, turn, |c| c.fill(&leaf, figure));
                }
            }
            Self::Chevrons => {
                for j in -1..rows {
                    let zigzag = (0..=2 * columns).map(|k| {
                        let (x, y) = corner(k, j);
                        (0.5 * x, y + if k % 2 == 0 { 0.0 } else { 0.5 * pitch })
                    });
                    canvas.stroke(&polyline(zigzag), figure, 0.3 * pitch);
                }
            }
            Self::Scales => {
                for (i, j) in cells() {
                    let (x, y) = corner(i, j);
                    let centre = (x + if j % 2 == 0 { 0.0 } else { 0.5 * pitch }, 0.5 * y);
                    for (radius, colour) in [(0.5, figure), (0.41, palette.ground), (0.2, figure)] {
                        canvas.fill(&circle(centre.0, centre.1, radius * pitch), colour);
                    }
                }
            }
            Self::Confetti => {
                for (i, j) in cells() {
                    let (x, y) = corner(i, j);
                    let place = (x + pitch * rng.f32(), y + pitch * rng.f32());
                    let colour = [figure, palette.second, palette.paper][rng.usize(..3)];
                    let shape = match rng.u8(..3) {
                        0 => circle(0.0, 0.0, 0.16),
                        1 => rectangle(-0.3, -0.07, 0.6, 0.14),
                        _ => burst(0.0, 0.0, 0.24, 0.12, 3),
                    };
                    canvas.at(place, pitch, 360.0 * rng.f32(), |c| c.fill(&shape, colour));
                }
            }
            Self::Lattice => {
                for (i, j) in cells() {
                    let (x, y) = corner(i, j);
                    let (h, q) = (0.5 * pitch, 0.16 * pitch);
                    let diamond = polygon([
                        (x + h, y),
                        (x + pitch, y + h),
                        (x + h, y + pitch),
                        (x, y + h),
                    ]);
                    canvas.stroke(&diamond, figure, 0.07 * pitch);
                    canvas.fill(&circle(x + h, y + h, q), figure);
                }
            }
        }
    }
}
