//! Drawing on a picture: fills, strokes, gradients, clips, in a coordinate system that can be
//! moved. A thin face of `tiny-skia` with the few calls that the artworks need.

use std::f32::consts::TAU;

use tiny_skia::{
    Color, FillRule, GradientStop, LineCap, LineJoin, LinearGradient, Mask, Paint, Path,
    PathBuilder, Pixmap, Point, Rect, Shader, SpreadMode, Stroke, Transform,
};

use super::palette::Rgb;

/// A picture under the brush, transparent at first.
pub(crate) struct Canvas {
    pixmap: Pixmap,
    transform: Transform,
    clip: Option<Mask>,
}

impl Canvas {
    pub(crate) fn new(width: u32, height: u32) -> Self {
        let pixmap = Pixmap::new(width, height).expect("a canvas has sides of at least one pixel");
        Self {
            pixmap,
            transform: Transform::identity(),
            clip: None,
        }
    }

    pub(crate) fn width(&self) -> f32 {
        self.pixmap.width() as f32
    }

    pub(crate) fn height(&self) -> f32 {
        self.pixmap.height() as f32
    }

    /// The picture so far, with premultiplied alpha.
    pub(crate) fn into_pixmap(self) -> Pixmap {
        self.pixmap
    }

    /// Premultiplied red, green, blue, alpha, row by row.
    pub(crate) fn pixels(&self) -> &[[u8; 4]] {
        self.pixmap.data().as_chunks().0
    }

    pub(crate) fn flood(&mut self, colour: Rgb) {
        let (width, height) = (self.width(), self.height());
        self.fill(&rectangle(0.0, 0.0, width, height), colour);
    }

    pub(crate) fn fill(&mut self, path: &Path, colour: Rgb) {
        self.tint(path, colour, 1.0);
    }

    /// Fills with an opacity from 0 to 1.
    pub(crate) fn tint(&mut self, path: &Path, colour: Rgb, opacity: f32) {
        self.paint(path, Shader::SolidColor(color(colour, opacity)));
    }

    pub(crate) fn stroke(&mut self, path: &Path, colour: Rgb, width: f32) {
        self.stroke_tint(path, colour, width, 1.0);
    }

    /// Strokes with round caps and joins.
    pub(crate) fn stroke_tint(&mut self, path: &Path, colour: Rgb, width: f32, opacity: f32) {
        let shader = Shader::SolidColor(color(colour, opacity));
        let paint = Paint {
            shader,
            anti_alias: true,
            ..Paint::default()
        };
        let stroke = Stroke {
            width,
            line_cap: LineCap::Round,
            line_join: LineJoin::Round,
            ..Stroke::default()
        };
        self.pixmap
            .stroke_path(path, &paint, &stroke, self.transform, self.clip.as_ref());
    }

    /// Fills with a linear gradient from one coloured point to another.
    pub(crate) fn blend(&mut self, path: &Path, from: ((f32, f32), Rgb), to: ((f32, f32), Rgb)) {
        let stops = vec![
            GradientStop::new(0.0, color(from.1, 1.0)),
            GradientStop::new(1.0, color(to.1, 1.0)),
        ];
        let shader = LinearGradient::new(
            Point::from(from.0),
            Point::from(to.0),
            stops,
            SpreadMode::Pad,
            Transform::identity(),
        );
        self.paint(
            path,
            shader.unwrap_or(Shader::SolidColor(color(from.1, 1.0))),
        );
    }

    /// Draws in coordinates that are scaled, turned (degrees) and moved.
    pub(crate) fn at(
        &mut self,
        place: (f32, f32),
        scale: f32,
        turn: f32,
        draw: impl FnOnce(&mut Self),
    ) {
        let inner = Transform::from_rotate(turn)
            .post_scale(scale, scale)
            .post_translate(place.0, place.1);
        self.with(inner, draw);
    }

    /// Draws in coordinates that `inner` maps to the present ones.
    pub(crate) fn with(&mut self, inner: Transform, draw: impl FnOnce(&mut Self)) {
        let outer = self.transform;
        self.transform = outer.pre_concat(inner);
        draw(self);
        self.transform = outer;
    }

    /// Draws inside of `path` only. An inner clip replaces an outer one.
    pub(crate) fn inside(&mut self, path: &Path, draw: impl FnOnce(&mut Self)) {
        let mut mask = Mask::new(self.pixmap.width(), self.pixmap.height())
            .expect("the canvas has sides of at least one pixel");
        mask.fill_path(path, FillRule::Winding, true, self.transform);
        let outer = self.clip.replace(mask);
        draw(self);
        self.clip = outer;
    }

    fn paint(&mut self, path: &Path, shader: Shader<'_>) {
        let paint = Paint {
            shader,
            anti_alias: true,
            ..Paint::default()
        };
        let clip = self.clip.as_ref();
        self.pixmap
            .fill_path(path, &paint, FillRule::Winding, self.transform, clip);
    }
}

fn color(colour: Rgb, opacity: f32) -> Color {
    let [r, g, b] = colour;
    Color::from_rgba8(r, g, b, (opacity.clamp(0.0, 1.0) * 255.0) as u8)
}

pub(crate) fn rectangle(x: f32, y: f32, width: f32, height: f32) -> Path {
    let rect = Rect::from_xywh(x, y, width.max(0.01), height.max(0.01));
    PathBuilder::from_rect(rect.expect("finite sides"))
}

pub(crate) fn rounded(x: f32, y: f32, width: f32, height: f32, radius: f32) -> Path {
    let (right, bottom, r) = (
        x + width,
        y + height,
        radius.min(width / 2.0).min(height / 2.0),
    );
    let mut path = PathBuilder::new();
    path.move_to(x + r, y);
    path.line_to(right - r, y);
    path.quad_to(right, y, right, y + r);
    path.line_to(right, bottom - r);
    path.quad_to(right, bottom, right - r, bottom);
    path.line_to(x + r, bottom);
    path.quad_to(x, bottom, x, bottom - r);
    path.line_to(x, y + r);
    path.quad_to(x, y, x + r, y);
    path.close();
    path.finish().expect("a rounded rectangle")
}

pub(crate) fn circle(x: f32, y: f32, radius: f32) -> Path {
    PathBuilder::from_circle(x, y, radius.max(0.01)).expect("finite radius")
}

pub(crate) fn polygon(points: impl IntoIterator<Item = (f32, f32)>) -> Path {
    outline(points, true)
}

pub(crate) fn polyline(points: impl IntoIterator<Item = (f32, f32)>) -> Path {
    outline(points, false)
}

fn outline(points: impl IntoIterator<Item = (f32, f32)>, closed: bool) -> Path {
    let mut path = PathBuilder::new();
    for (i, (x, y)) in points.into_iter().enumerate() {
        if i == 0 {
            path.move_to(x, y);
        } else {
            path.line_to(x, y);
        }
    }
    if closed {
        path.close();
    }
    path.finish().expect("at least two points")
}

/// A star or gear of `spikes` points between two radii.
pub(crate) fn burst(x: f32, y: f32, outer: f32, inner: f32, spikes: u32) -> Path {
    polygon((0..2 * spikes).map(|i| {
        let radius = if i % 2 == 0 { outer } else { inner };
        let angle = TAU * i as f32 / (2 * spikes) as f32;
        (x + radius * angle.sin(), y - radius * angle.cos())
    }))
}

/// A path in the notation of SVG (`M L Q C Z`, absolute), plus `O x y r` for a circle. Panics on
/// anything else: the notation is written in this crate only.
pub(crate) fn svg(notation: &str) -> Path {
    let mut words = notation.split_ascii_whitespace();
    let mut path = PathBuilder::new();
    while let Some(command) = words.next() {
        let mut n = || {
            words
                .next()
                .and_then(|w| w.parse().ok())
                .expect("a number in a path")
        };
        match command {
            "M" => path.move_to(n(), n()),
            "L" => path.line_to(n(), n()),
            "Q" => path.quad_to(n(), n(), n(), n()),
            "C" => path.cubic_to(n(), n(), n(), n(), n(), n()),
            "O" => path.push_circle(n(), n(), n()),
            "Z" => path.close(),
            other => panic!("no path command {other:?} in {notation:?}"),
        }
    }
    path.finish().expect("a path with at least two points")
}
