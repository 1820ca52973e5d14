//! Where the camera stands: the corners of the picture in the view.
//!
//! The picture is a flat rectangle in front of a pinhole camera. It is turned in its plane, tilted
//! about a random axis, brought nearer or farther and moved aside. Nothing is mirrored: labels and
//! signs never are.

use fastrand::Rng;
use serde::{Deserialize, Serialize};

use super::Range;
use super::warp::Quad;

/// How much the place of the camera varies.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Geometry {
    /// Side of the picture, where 1 just fits into the view: below, the surroundings show; above,
    /// the picture is cropped. Every ratio is equally likely.
    pub scale: Range,
    /// Most that the picture is turned in its plane, either way, in degrees.
    pub rotation_degrees: f32,
    /// Most that the picture is tilted away, about any axis, in degrees, below 60.
    pub tilt_degrees: f32,
    /// Most that the aspect ratio changes, as a ratio of at least 1: 1.2 is 20 % either way.
    pub stretch: f32,
    /// Most that the picture is moved aside, either way: at 1 it reaches the border of the view
    /// (or the view the border of the picture), above it goes beyond.
    pub shift: f32,
    /// Probability, 0 to 1, that the view has a phone's shape (3:4 or 4:3) and not the picture's.
    pub reframe: f32,
}

impl Geometry {
    /// The picture fills the view.
    pub const fn none() -> Self {
        Self {
            scale: Range::only(1.0),
            rotation_degrees: 0.0,
            tilt_degrees: 0.0,
            stretch: 1.0,
            shift: 0.0,
            reframe: 0.0,
        }
    }

    /// From a product two metres off to a close-up of its label.
    pub const fn capture() -> Self {
        Self {
            scale: Range::new(0.45, 1.6),
            rotation_degrees: 20.0,
            tilt_degrees: 35.0,
            stretch: 1.1,
            shift: 1.0,
            reframe: 0.7,
        }
    }

    /// As [`Geometry::capture`], from a third to more than twice the size of the view.
    pub const fn wide() -> Self {
        Self {
            scale: Range::new(0.3, 2.2),
            ..Self::capture()
        }
    }

    /// As [`Geometry::capture`], by a user who points at the product: most of it is in the view, and
    /// nearly in the middle.
    pub const fn aimed() -> Self {
        Self {
            scale: Range::new(0.6, 1.2),
            shift: 0.6,
            ..Self::capture()
        }
    }

    /// Width and height of the view of a picture of `shape` (width, height), `longest` pixels along
    /// its longer side.
    pub fn view_size(&self, shape: [u32; 2], longest: u32, rng: &mut Rng) -> [u32; 2] {
        let [width, height] = shape.map(f64::from);
        let aspect = if rng.f32() >= self.reframe {
            width / height
        } else if (rng.f32() < 0.75) == (width < height) {
            // Most people hold the phone as the picture lies.
            3.0 / 4.0
        } else {
            4.0 / 3.0
        };
        let short = f64::from(longest) * aspect.min(1.0 / aspect);
        let short = (short.round() as u32).max(1);
        if aspect >= 1.0 {
            [longest, short]
        } else {
            [short, longest]
        }
    }

    /// The corners, in pixels of the view, of a picture of `shape`; both as width and height.
    pub fn place(&self, shape: [u32; 2], view: [u32; 2], rng: &mut Rng) -> Quad {
        let either_way = |most: f32, rng: &mut Rng| f64::from(Range::new(-most, most).draw(rng));
        let rotation = either_way(self.rotation_degrees, rng).to_radians();
        let tilt = f64::from(Range::new(0.0, self.tilt_degrees.min(60.0)).draw(rng)).to_radians();
        let axis = f64::from(rng.f32()) * std::f64::consts::TAU;
        let stretch = f64::from(Range::new(1.0 / self.stretch, self.stretch).draw_ratio(rng));
        let scale = f64::from(self.scale.draw_ratio(rng));
        let [aside, above] = [0, 1].map(|_| either_way(self.shift, rng));

        let ([wide, high], [width, height]) = (shape.map(f64::from), view.map(f64::from));
        let fit = (width / wide).min(height / high);
        let half = |side: f64| (side * fit).round().max(1.0) * scale / 2.0;
        let half = [half(wide) * stretch.sqrt(), half(high) / stretch.sqrt()];
        // A phone's main camera sees 1.2 times its distance along the longer side.
        let quad = project(half, rotation, tilt, axis, width.max(height) / 1.2);
        let (x, y) = (
            offset(&quad, 0, width, aside),
            offset(&quad, 1, height, above),
        );
        quad.map(|corner| [corner[0] + x, corner[1] + y])
    }
}

/// The corners, around the middle of the view, of a rectangle with these half sides in pixels:
/// turned in its plane by `rotation`, then by `tilt` about the axis at the angle `axis`.
fn project(half: [f64; 2], rotation: f64, tilt: f64, axis: f64, focal: f64) -> Quad {
    let (turn_sine, turn_cosine) = (libm::sin(rotation), libm::cos(rotation));
    let (axis_sine, axis_cosine) = (libm::sin(axis), libm::cos(axis));
    let (tilt_sine, tilt_cosine) = (libm::sin(tilt), libm::cos(tilt));
    // Large tilted pictures must not reach the camera: they stand back, at the same size.
    let reach = (half[0] * half[0] + half[1] * half[1]).sqrt() * tilt_sine;
    let distance = focal.max(3.0 * reach);
    let corners = [[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]];
    corners.map(|[x, y]: [f64; 2]| {
        let (x, y) = (x * half[0], y * half[1]);
        let (x, y) = (
            x * turn_cosine - y * turn_sine,
            x * turn_sine + y * turn_cosine,
        );
        // Along the axis nothing changes; across it, the picture recedes.
        let along = x * axis_cosine + y * axis_sine;
        let across = y * axis_cosine - x * axis_sine;
        let nearer = distance / (distance + across * tilt_sine);
        let (along, across) = (along * nearer, across * tilt_cosine * nearer);
        [
            along * axis_cosine - across * axis_sine,
            along * axis_sine + across * axis_cosine,
        ]
    })
}

/// How far to move a quad along an axis of a view `side` pixels long: to the middle, and from there
/// by a share of the room between the two borders.
fn offset(quad: &Quad, axis: usize, side: f64, share: f64) -> f64 {
    let low = quad
        .iter()
        .map(|corner| corner[axis])
        .fold(f64::INFINITY, f64::min);
    let high = quad
        .iter()
        .map(|corner| corner[axis])
        .fold(f64::NEG_INFINITY, f64::max);
    let room = (side - (high - low)).abs() / 2.0;
    side / 2.0 - (low + high) / 2.0 + room * share
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::warp::Homography;

    const VIEW: [u32; 2] = [240, 320];

    #[test]
    fn without_changes_the_picture_fills_the_view() {
        let quad = Geometry::none().place([480, 640], VIEW, &mut Rng::with_seed(1));
        let expected = [[0.0, 0.0], [240.0, 0.0], [240.0, 320.0], [0.0, 320.0]];
        for (found, expected) in quad.iter().flatten().zip(expected.iter().flatten()) {
            assert!((found - expected).abs() < 1e-9, "{quad:?}");
        }
    }

    #[test]
    fn a_turn_keeps_lengths_and_angles() {
        let geometry = Geometry {
            rotation_degrees: 180.0,
            ..Geometry::none()
        };
        for seed in 0..20 {
            let [a, b, c, _] = geometry.place([100, 50], VIEW, &mut Rng::with_seed(seed));
            let (side, next) = ([b[0] - a[0], b[1] - a[1]], [c[0] - b[0], c[1] - b[1]]);
            assert!((side[0].hypot(side[1]) - 240.0).abs() < 1e-6);
            assert!((next[0].hypot(next[1]) - 120.0).abs() < 1e-6);
            assert!((side[0] * next[0] + side[1] * next[1]).abs() < 1e-6);
        }
    }

    #[test]
    fn a_tilt_is_a_view_of_a_flat_square() {
        // The homography of a square takes its two sides to directions in space that are equally
        // long and at a right angle (R. Hartley, A. Zisserman, "Multiple View Geometry", 8.5).
        for step in 0..100 {
            let (tilt, axis) = (0.01 * f64::from(step), 0.7 * f64::from(step));
            let quad = project([60.0, 60.0], 0.3, tilt, axis, 250.0);
            let map = Homography::from_rectangle(1.0, 1.0, &quad).unwrap();
            let [p, q] = [[1.0, 0.0], [0.0, 1.0]].map(|side| direction(&map, side, 250.0));
            let dot =
                |a: [f64; 3], b: [f64; 3]| -> f64 { a.iter().zip(b).map(|(a, b)| a * b).sum() };
            let length = dot(p, p);
            assert!(dot(p, q).abs() < 1e-6 * length, "tilt {tilt}: {p:?} {q:?}");
            assert!(
                (dot(q, q) / length - 1.0).abs() < 1e-6,
                "tilt {tilt}: {p:?} {q:?}"
            );
        }
    }

    /// The direction in space of a direction in the picture's plane, for a camera at the origin.
    fn direction(map: &Homography, [x, y]: [f64; 2], focal: f64) -> [f64; 3] {
        // The map takes t·(x, y) to (origin + t·column) / (1 + t·w). The points at t = 1 and 2
        // give w, and that the column.
        let origin = map.apply([0.0, 0.0]).unwrap();
        let point = map.apply([x, y]).unwrap();
        let double = map.apply([2.0 * x, 2.0 * y]).unwrap_or(point);
        let axis = usize::from((point[0] - origin[0]).abs() < (point[1] - origin[1]).abs());
        let (o, p, d) = (origin[axis], point[axis], double[axis]);
        let w = (2.0 * p - d - o) / (2.0 * (d - p));
        let column = [0, 1].map(|i| point[i] * (1.0 + w) - origin[i]);
        [column[0], column[1], w * focal]
    }

    #[test]
    fn shifted_pictures_stay_within_the_view() {
        let geometry = Geometry {
            scale: Range::new(0.2, 0.6),
            ..Geometry::capture()
        };
        for seed in 0..200 {
            let quad = geometry.place([100, 120], VIEW, &mut Rng::with_seed(seed));
            let inside = quad.iter().all(|&[x, y]| {
                (-1e-6..=240.0 + 1e-6).contains(&x) && (-1e-6..=320.0 + 1e-6).contains(&y)
            });
            assert!(inside, "{quad:?}");
        }
    }

    #[test]
    fn every_placement_has_a_homography() {
        let geometry = Geometry {
            tilt_degrees: 60.0,
            stretch: 2.0,
            ..Geometry::capture()
        };
        for seed in 0..500 {
            let shape = [[1, 1], [1, 500], [500, 1], [300, 200]][seed as usize % 4];
            let quad = geometry.place(shape, VIEW, &mut Rng::with_seed(seed));
            assert!(
                Homography::from_rectangle(1.0, 1.0, &quad).is_some(),
                "{shape:?} {quad:?}"
            );
        }
    }

    #[test]
    fn views_have_the_shape_of_the_picture_or_of_a_phone() {
        let rng = &mut Rng::with_seed(1);
        assert_eq!(
            Geometry::none().view_size([1000, 500], 320, rng),
            [320, 160]
        );
        assert_eq!(Geometry::none().view_size([1, 5000], 320, rng), [1, 320]);
        let phone = Geometry {
            reframe: 1.0,
            ..Geometry::none()
        };
        for _ in 0..20 {
            let size = phone.view_size([1, 5000], 320, rng);
            assert!(size == [320, 240] || size == [240, 320]);
        }
    }
}
