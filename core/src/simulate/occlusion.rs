//! What gets in front of a picture: a finger, a price tag, other goods.

use fastrand::Rng;
use serde::{Deserialize, Serialize};

use super::Range;
use super::surroundings::surroundings;
use super::warp::Quad;
use crate::image::Pixels;

/// How often and how much is hidden.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Occlusion {
    /// Probability that something is in front, 0 to 1.
    pub probability: f32,
    /// Share of the picture's visible area that it hides, 0 to 1.
    pub share: Range,
}

impl Occlusion {
    /// Nothing is in front.
    pub const fn none() -> Self {
        Self {
            probability: 0.0,
            share: Range::only(0.0),
        }
    }

    /// Sometimes a corner is missing.
    pub const fn capture() -> Self {
        Self {
            probability: 0.3,
            share: Range::new(0.04, 0.22),
        }
    }

    pub(super) fn apply(
        &self,
        view: &mut Pixels,
        picture: &Quad,
        backdrop: Option<&Pixels>,
        rng: &mut Rng,
    ) {
        if rng.f32() < self.probability {
            let share = self.share.draw(rng);
            occlude(view, picture, share, backdrop, rng);
        }
    }
}

/// Hides a share of the visible part of the picture, whose corners are a convex quad in pixels of
/// the view: by a finger that reaches in, or by a round or angular piece of the backdrop (of a
/// plain colour without one).
pub fn occlude(
    view: &mut Pixels,
    picture: &Quad,
    share: f32,
    backdrop: Option<&Pixels>,
    rng: &mut Rng,
) {
    let places = visible_places(view.width(), view.height(), picture);
    if places.is_empty() || share <= 0.0 {
        return;
    }
    let shape = Shape::draw(picture, &places, rng);
    let size = shape.size_that_covers(share.min(1.0), &places);
    match shape.kind {
        Kind::Finger => {
            // From light to dark skin.
            let tone = rng.f32();
            let skin = [[236.0, 196.0, 170.0], [88.0, 56.0, 42.0]];
            let color: [f32; 3] =
                std::array::from_fn(|c| skin[0][c] + (skin[1][c] - skin[0][c]) * tone);
            // Near the lens, hence unsharp, and round, hence darker towards its sides.
            shape.paint(view, size, 3.0, |_, _, depth| {
                color.map(|c| c * (0.65 + 0.35 * depth))
            });
        }
        Kind::Round | Kind::Angular => {
            let cover = surroundings(backdrop, view.width(), view.height(), rng);
            shape.paint(view, size, 1.0, |x, y, _| cover.get(x, y).map(f32::from));
        }
    }
}

/// Points of a grid over the view that show the picture.
fn visible_places(width: u32, height: u32, picture: &Quad) -> Vec<[f32; 2]> {
    let step = (width.max(height) / 96).max(1);
    let places = (step / 2..height).step_by(step as usize).flat_map(|y| {
        (step / 2..width)
            .step_by(step as usize)
            .map(move |x| [x as f32 + 0.5, y as f32 + 0.5])
    });
    let inside = |&[x, y]: &[f32; 2]| {
        (0..4).all(|i| {
            let ([x0, y0], [x1, y1]) = (picture[i], picture[(i + 1) % 4]);
            (x1 - x0) * (f64::from(y) - y0) - (y1 - y0) * (f64::from(x) - x0) >= 0.0
        })
    };
    places.filter(inside).collect()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Finger,
    Round,
    Angular,
}

/// A shape that grows with its size, so that a larger size never hides less.
struct Shape {
    kind: Kind,
    /// Where it starts: for a finger a point at the picture's edge, else its middle.
    centre: [f32; 2],
    /// Unit vector: for a finger inwards, else along its longer side.
    direction: [f32; 2],
    /// Pixels a unit of size.
    unit: f32,
    /// Shorter side over longer side; for a finger its half width.
    slimness: f32,
}

impl Shape {
    fn draw(picture: &Quad, places: &[[f32; 2]], rng: &mut Rng) -> Self {
        let kind = [Kind::Finger, Kind::Round, Kind::Angular][rng.usize(..3)];
        let count = places.len() as f32;
        let middle = [0, 1].map(|axis| places.iter().map(|place| place[axis]).sum::<f32>() / count);
        let side = (0..4).map(|i| {
            let ([x0, y0], [x1, y1]) = (picture[i], picture[(i + 1) % 4]);
            (x1 - x0).hypot(y1 - y0) as f32
        });
        let unit = side.sum::<f32>() / 4.0;
        let angle = Range::new(0.0, std::f32::consts::TAU).draw(rng);
        let outwards = [libm::cosf(angle), libm::sinf(angle)];
        // The visible place farthest out in that direction is at the edge.
        let out = |place: &[f32; 2]| {
            (place[0] - middle[0]) * outwards[0] + (place[1] - middle[1]) * outwards[1]
        };
        let edge = *places
            .iter()
            .max_by(|a, b| out(a).total_cmp(&out(b)))
            .unwrap_or(&middle);
        match kind {
            Kind::Finger => {
                // Inwards, up to half a radian beside the middle.
                let bend = Range::new(-0.5, 0.5).draw(rng);
                let (x, y) = (middle[0] - edge[0], middle[1] - edge[1]);
                let length = (x * x + y * y).sqrt().max(1.0);
                let (sine, cosine) = (libm::sinf(bend), libm::cosf(bend));
                let direction = [
                    (x * cosine - y * sine) / length,
                    (x * sine + y * cosine) / length,
                ];
                let slimness = Range::new(0.1, 0.16).draw(rng);
                Self {
                    kind,
                    centre: edge,
                    direction,
                    unit,
                    slimness,
                }
            }
            Kind::Round | Kind::Angular => {
                let away = Range::new(0.4, 1.0).draw(rng);
                let centre = [0, 1].map(|i| middle[i] + (edge[i] - middle[i]) * away);
                let turn = Range::new(0.0, std::f32::consts::PI).draw(rng);
                let direction = [libm::cosf(turn), libm::sinf(turn)];
                let slimness = Range::new(0.4, 1.0).draw(rng);
                Self {
                    kind,
                    centre,
                    direction,
                    unit,
                    slimness,
                }
            }
        }
    }

    /// Distance in pixels from the outline, about, and negative inside.
    fn outside(&self, [x, y]: [f32; 2], size: f32) -> f32 {
        let (dx, dy) = (x - self.centre[0], y - self.centre[1]);
        let along = dx * self.direction[0] + dy * self.direction[1];
        let across = (dy * self.direction[0] - dx * self.direction[1]).abs();
        match self.kind {
            Kind::Finger => {
                // A half line with a round tip, which starts just outside of the picture.
                let half_width = self.half_width(size);
                let tip = self.unit * size - half_width;
                let beyond = (along - tip).max(0.0);
                (beyond * beyond + across * across).sqrt() - half_width
            }
            Kind::Round => {
                let half = [self.unit * size, self.unit * size * self.slimness];
                let (u, v) = (along / half[0], across / half[1]);
                ((u * u + v * v).sqrt() - 1.0) * half[1]
            }
            Kind::Angular => {
                let half = [self.unit * size, self.unit * size * self.slimness];
                (along.abs() - half[0]).max(across - half[1])
            }
        }
    }

    fn half_width(&self, size: f32) -> f32 {
        // Long fingers become thick ones, or they would never hide much.
        self.unit * self.slimness * (0.7 + 0.6 * size)
    }

    /// The size at which the share of the places is hidden.
    fn size_that_covers(&self, share: f32, places: &[[f32; 2]]) -> f32 {
        let wanted = share * places.len() as f32;
        let covers = |size: f32| {
            let hidden = places
                .iter()
                .filter(|&&place| self.outside(place, size) < 0.0)
                .count();
            hidden as f32 >= wanted
        };
        let (mut low, mut high) = (0.0, 0.25);
        while !covers(high) && high < 64.0 {
            (low, high) = (high, 2.0 * high);
        }
        for _ in 0..12 {
            let middle = (low + high) / 2.0;
            if covers(middle) {
                high = middle;
            } else {
                low = middle;
            }
        }
        high
    }

    /// Paints the shape with an edge `soft` pixels wide. The colour is asked for with the place and
    /// the depth below the outline, from 0 at the outline to 1 at the middle.
    fn paint(
        &self,
        view: &mut Pixels,
        size: f32,
        soft: f32,
        color: impl Fn(u32, u32, f32) -> [f32; 3],
    ) {
        let deepest = self.half_width(size).max(1.0);
        let width = view.width() as usize;
        for (y, line) in (0..).zip(view.data_mut().chunks_exact_mut(3 * width)) {
            for (x, pixel) in (0..).zip(line.chunks_exact_mut(3)) {
                let outside = self.outside([x as f32 + 0.5, y as f32 + 0.5], size);
                let alpha = (0.5 - outside / soft).clamp(0.0, 1.0);
                if alpha > 0.0 {
                    let depth = (-outside / deepest).clamp(0.0, 1.0);
                    for (old, new) in pixel.iter_mut().zip(color(x, y, depth.sqrt())) {
                        *old = (f32::from(*old) * (1.0 - alpha) + new * alpha + 0.5) as u8;
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUAD: Quad = [[50.0, 20.0], [260.0, 40.0], [240.0, 200.0], [60.0, 220.0]];

    /// Share of the quad's pixels in a black view that are not black any more.
    fn hidden(share: f32, seed: u64, quad: &Quad) -> f64 {
        let mut view = Pixels::from_rgb(320, 240, vec![0; 320 * 240 * 3]).unwrap();
        let white = Pixels::from_rgb(8, 8, vec![255; 8 * 8 * 3]).unwrap();
        occlude(
            &mut view,
            quad,
            share,
            Some(&white),
            &mut Rng::with_seed(seed),
        );
        let (mut all, mut changed) = (0.0, 0.0);
        for y in 0..240 {
            for x in 0..320 {
                let inside = (0..4).all(|i| {
                    let ([x0, y0], [x1, y1]) = (quad[i], quad[(i + 1) % 4]);
                    let (x, y) = (f64::from(x) + 0.5, f64::from(y) + 0.5);
                    (x1 - x0) * (y - y0) - (y1 - y0) * (x - x0) >= 0.0
                });
                if inside {
                    all += 1.0;
                    // Half of the darkest skin, hence half way across a soft edge.
                    changed += f64::from(u8::from(view.get(x, y)[0] >= 28));
                }
            }
        }
        changed / all
    }

    #[test]
    fn the_share_asked_for_is_hidden() {
        let close_up = QUAD.map(|[x, y]| [3.0 * x - 300.0, 3.0 * y - 200.0]);
        for quad in [QUAD, close_up] {
            for seed in 0..60 {
                for share in [0.05, 0.2, 0.5] {
                    let found = hidden(share, seed, &quad);
                    let error = found - f64::from(share);
                    assert!(error.abs() < 0.025, "seed {seed}: {found} of {share}");
                }
            }
        }
    }

    #[test]
    fn nothing_asked_for_or_nothing_visible_changes_nothing() {
        assert_eq!(hidden(0.0, 1, &QUAD), 0.0);
        let mut view = Pixels::from_rgb(20, 20, vec![7; 1200]).unwrap();
        let elsewhere = QUAD.map(|[x, y]| [x + 500.0, y]);
        occlude(&mut view, &elsewhere, 0.5, None, &mut Rng::with_seed(1));
        assert!(view.data().iter().all(|&v| v == 7));
    }
}
