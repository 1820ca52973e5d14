//! Planar perspective: what a flat picture looks like from elsewhere.
//!
//! Points are in pixels from the top left corner of an image, so that the centre of the first
//! pixel is (0.5, 0.5) and an image of `width` × `height` fills the rectangle from (0, 0) to
//! (`width`, `height`). Quads are listed clockwise from the top left.

use crate::image::{Crop, Pixels, resize};

/// Corners: top left, top right, bottom right, bottom left.
pub type Quad = [[f64; 2]; 4];

/// An invertible projective map of the plane, with its inverse.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Homography {
    forward: [f64; 9],
    backward: [f64; 9],
}

impl Homography {
    /// Leaves every point where it is.
    pub const IDENTITY: Self = Self {
        forward: [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
        backward: [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
    };

    /// The map `(x, y, 1) → matrix · (x, y, 1)`, rows first; `None` when it has no inverse.
    ///
    /// Points whose third coordinate becomes zero or negative lie behind the camera.
    pub fn from_matrix(matrix: [f64; 9]) -> Option<Self> {
        let [a, b, c, d, e, f, g, h, i] = matrix;
        let cofactors = [
            e * i - f * h,
            c * h - b * i,
            b * f - c * e,
            f * g - d * i,
            a * i - c * g,
            c * d - a * f,
            d * h - e * g,
            b * g - a * h,
            a * e - b * d,
        ];
        let determinant = a * cofactors[0] + b * cofactors[3] + c * cofactors[6];
        let backward = cofactors.map(|cofactor| cofactor / determinant);
        backward.iter().all(|v| v.is_finite()).then_some(Self {
            forward: matrix,
            backward,
        })
    }

    /// The map that takes an image of `width` × `height` pixels to a quad; `None` unless the quad
    /// is convex (a quad listed counter-clockwise mirrors the image).
    ///
    /// P. Heckbert, "Fundamentals of Texture Mapping and Image Warping", 1989, section 2.2.3.
    pub fn from_rectangle(width: f64, height: f64, to: &Quad) -> Option<Self> {
        let [[x0, y0], [x1, y1], [x2, y2], [x3, y3]] = *to;
        let (dx1, dx2, sx) = (x1 - x2, x3 - x2, x0 - x1 + x2 - x3);
        let (dy1, dy2, sy) = (y1 - y2, y3 - y2, y0 - y1 + y2 - y3);
        let area = dx1 * dy2 - dx2 * dy1;
        let g = (sx * dy2 - dx2 * sy) / area;
        let h = (dx1 * sy - sx * dy1) / area;
        // The third coordinate at the corners; the first is 1.
        if ![1.0 + g, 1.0 + g + h, 1.0 + h].iter().all(|&w| w > 1e-9) {
            return None;
        }
        let (a, b) = (x1 - x0 + g * x1, x3 - x0 + h * x3);
        let (d, e) = (y1 - y0 + g * y1, y3 - y0 + h * y3);
        let (w, t) = (width, height);
        Self::from_matrix([a / w, b / t, x0, d / w, e / t, y0, g / w, h / t, 1.0])
    }

    /// The map that takes one quad to another; `None` unless both are convex.
    pub fn from_quads(from: &Quad, to: &Quad) -> Option<Self> {
        let from = Self::from_rectangle(1.0, 1.0, from)?;
        Some(from.inverse().then(&Self::from_rectangle(1.0, 1.0, to)?))
    }

    /// The map back.
    pub fn inverse(&self) -> Self {
        Self {
            forward: self.backward,
            backward: self.forward,
        }
    }

    /// This map, then `next`.
    pub fn then(&self, next: &Self) -> Self {
        Self {
            forward: product(&next.forward, &self.forward),
            backward: product(&self.backward, &next.backward),
        }
    }

    /// Where a point goes; `None` when that is behind the camera.
    pub fn apply(&self, [x, y]: [f64; 2]) -> Option<[f64; 2]> {
        let [a, b, c, d, e, f, g, h, i] = self.forward;
        let w = g * x + h * y + i;
        (w > 0.0).then(|| [(a * x + b * y + c) / w, (d * x + e * y + f) / w])
    }
}

fn product(left: &[f64; 9], right: &[f64; 9]) -> [f64; 9] {
    std::array::from_fn(|at| {
        let (row, column) = (at / 3 * 3, at % 3);
        (0..3).map(|k| left[row + k] * right[3 * k + column]).sum()
    })
}

/// What shows where the picture does not reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Border {
    /// The picture's nearest pixel.
    Extend,
    /// A colour; the picture's edge is smooth against it.
    Plain([u8; 3]),
}

/// The picture seen through a map from its pixels to those of a new image, `width` × `height`.
///
/// Where the map shrinks, the picture is first averaged down, so that nothing flickers. Takes time
/// in the order of the pixels of both images.
///
/// # Panics
/// When `width` or `height` is zero.
pub fn perspective(
    picture: &Pixels,
    width: u32,
    height: u32,
    map: &Homography,
    border: Border,
) -> Pixels {
    let fill = match border {
        Border::Extend => [0; 3],
        Border::Plain(color) => color,
    };
    let data = fill.repeat(width as usize * height as usize);
    let mut canvas = Pixels::from_rgb(width, height, data).expect("a size above zero");
    draw(picture, &mut canvas, map, border == Border::Extend);
    canvas
}

/// Lays the picture onto a canvas, where a map from its pixels to the canvas's puts it. The edge is
/// smooth, the rest of the canvas stays.
pub fn paste(picture: &Pixels, canvas: &mut Pixels, map: &Homography) {
    draw(picture, canvas, map, false);
}

fn draw(picture: &Pixels, canvas: &mut Pixels, map: &Homography, extend: bool) {
    let scaled = Scaled::new(picture, map);
    let (width, height) = (canvas.width() as usize, canvas.height() as usize);
    let (columns, rows) = if extend {
        (0..width, 0..height)
    } else {
        bounds(picture, map, width, height)
    };
    let [a, b, c, d, e, f, g, h, i] = map.backward;
    for row in rows {
        let y = row as f64 + 0.5;
        let (from_u, from_v, from_w) = (b * y + c, e * y + f, h * y + i);
        let line = &mut canvas.data_mut()[3 * row * width..][..3 * width];
        let pixels = line.chunks_exact_mut(3).enumerate();
        for (column, pixel) in pixels.skip(columns.start).take(columns.len()) {
            let x = column as f64 + 0.5;
            // Behind the camera means infinitely far out, hence outside of the picture.
            let w = 1.0 / (g * x + from_w).max(1e-9);
            let u = (a * x + from_u) * w * scaled.shrink[0];
            let v = (d * x + from_v) * w * scaled.shrink[1];
            let alpha = if extend { 256 } else { scaled.coverage(u, v) };
            if alpha > 0 {
                let color = scaled.sample(u, v);
                for (old, new) in pixel.iter_mut().zip(color) {
                    *old = ((u32::from(*old) * (256 - alpha) + new * alpha + 128) >> 8) as u8;
                }
            }
        }
    }
}

/// Columns and rows of the canvas that the picture may touch.
fn bounds(
    picture: &Pixels,
    map: &Homography,
    width: usize,
    height: usize,
) -> (std::ops::Range<usize>, std::ops::Range<usize>) {
    let Some(quad) = corners(picture, map) else {
        return (0..width, 0..height);
    };
    let range = |axis: usize, side: usize| {
        let low = quad
            .iter()
            .map(|corner| corner[axis])
            .fold(f64::INFINITY, f64::min);
        let high = quad
            .iter()
            .map(|corner| corner[axis])
            .fold(f64::NEG_INFINITY, f64::max);
        // Casts saturate; half a pixel of smooth edge and one of rounding.
        let end = side.min((high + 2.0) as usize);
        ((low - 2.0) as usize).min(end)..end
    };
    (range(0, width), range(1, height))
}

/// Where the picture's corners go; `None` when one is behind the camera.
fn corners(picture: &Pixels, map: &Homography) -> Option<Quad> {
    let (width, height) = (f64::from(picture.width()), f64::from(picture.height()));
    let [a, b] = [map.apply([0.0, 0.0])?, map.apply([width, 0.0])?];
    let [c, d] = [map.apply([width, height])?, map.apply([0.0, height])?];
    Some([a, b, c, d])
}

/// The picture, averaged down to about the size at which it will be seen.
struct Scaled<'a> {
    picture: std::borrow::Cow<'a, Pixels>,
    /// Averaged pixels a picture's pixel, at most 1, across and down.
    shrink: [f64; 2],
    /// Canvas pixels an averaged pixel, about, across and down.
    enlarge: [f64; 2],
}

impl<'a> Scaled<'a> {
    fn new(picture: &'a Pixels, map: &Homography) -> Self {
        let (width, height) = (picture.width(), picture.height());
        let Some([a, b, c, d]) = corners(picture, map) else {
            let picture = std::borrow::Cow::Borrowed(picture);
            return Self {
                picture,
                shrink: [1.0; 2],
                enlarge: [1.0; 2],
            };
        };
        let seen_width = (distance(a, b) + distance(d, c)) / 2.0;
        let seen_height = (distance(a, d) + distance(b, c)) / 2.0;
        let small_width = (seen_width.round() as u32).clamp(1, width);
        let small_height = (seen_height.round() as u32).clamp(1, height);
        let picture = if (small_width, small_height) == (width, height) {
            std::borrow::Cow::Borrowed(picture)
        } else {
            let whole = Crop::whole(width, height);
            std::borrow::Cow::Owned(resize(picture, whole, small_width, small_height))
        };
        Self {
            picture,
            shrink: [
                f64::from(small_width) / f64::from(width),
                f64::from(small_height) / f64::from(height),
            ],
            enlarge: [
                seen_width / f64::from(small_width),
                seen_height / f64::from(small_height),
            ],
        }
    }

    /// How much of a canvas pixel at (u, v) the picture covers, out of 256.
    fn coverage(&self, u: f64, v: f64) -> u32 {
        let inside = |at: f64, side: u32, enlarge: f64| {
            (at.min(f64::from(side) - at) * enlarge + 0.5).clamp(0.0, 1.0)
        };
        let across = inside(u, self.picture.width(), self.enlarge[0]);
        let down = inside(v, self.picture.height(), self.enlarge[1]);
        (across * down * 256.0 + 0.5) as u32
    }

    /// Bilinear in fixed point: exact at the centre of a pixel.
    fn sample(&self, u: f64, v: f64) -> [u32; 3] {
        const ONE: u32 = 1 << 11;
        let (width, height) = (
            self.picture.width() as usize,
            self.picture.height() as usize,
        );
        let locate = |at: f64, side: usize| {
            let at = (at - 0.5).clamp(0.0, (side - 1) as f64);
            let first = at as usize;
            let weight = ((at - first as f64) * f64::from(ONE) + 0.5) as u32;
            (first, (first + 1).min(side - 1), weight)
        };
        let (left, right, across) = locate(u, width);
        let (top, bottom, down) = locate(v, height);
        let data = self.picture.data();
        let pixel = |x: usize, y: usize| &data[3 * (y * width + x)..][..3];
        let (p, q) = (pixel(left, top), pixel(right, top));
        let (r, s) = (pixel(left, bottom), pixel(right, bottom));
        std::array::from_fn(|c| {
            let upper = u32::from(p[c]) * (ONE - across) + u32::from(q[c]) * across;
            let lower = u32::from(r[c]) * (ONE - across) + u32::from(s[c]) * across;
            (upper * (ONE - down) + lower * down + ONE * ONE / 2) / (ONE * ONE)
        })
    }
}

fn distance(a: [f64; 2], b: [f64; 2]) -> f64 {
    let (x, y) = (b[0] - a[0], b[1] - a[1]);
    (x * x + y * y).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUAD: Quad = [[20.0, 10.0], [90.0, 25.0], [80.0, 85.0], [10.0, 60.0]];

    fn flat(width: u32, height: u32, color: [u8; 3]) -> Pixels {
        Pixels::from_rgb(width, height, color.repeat((width * height) as usize)).unwrap()
    }

    #[track_caller]
    fn assert_near(found: Option<[f64; 2]>, expected: [f64; 2]) {
        let found = found.expect("in front of the camera");
        assert!(
            distance(found, expected) < 1e-9,
            "expected {expected:?}, found {found:?}"
        );
    }

    #[test]
    fn corners_go_where_they_must() {
        let map = Homography::from_rectangle(40.0, 30.0, &QUAD).unwrap();
        for (from, to) in [[0.0, 0.0], [40.0, 0.0], [40.0, 30.0], [0.0, 30.0]]
            .into_iter()
            .zip(QUAD)
        {
            assert_near(map.apply(from), to);
            assert_near(map.inverse().apply(to), from);
        }
        // A homography keeps lines, hence the crossing of the diagonals: here of y = x + …
        let cross = |p: [f64; 2], q: [f64; 2]| p[0] * q[1] - p[1] * q[0];
        let [a, b, c, d] = QUAD;
        let (p, q) = ([c[0] - a[0], c[1] - a[1]], [d[0] - b[0], d[1] - b[1]]);
        let t = cross([b[0] - a[0], b[1] - a[1]], q) / cross(p, q);
        assert_near(map.apply([20.0, 15.0]), [a[0] + t * p[0], a[1] + t * p[1]]);
    }

    #[test]
    fn a_map_between_quads_is_one_back_and_one_forth() {
        let other: Quad = [[0.0, 5.0], [50.0, 0.0], [60.0, 40.0], [-5.0, 45.0]];
        let map = Homography::from_quads(&QUAD, &other).unwrap();
        for (from, to) in QUAD.into_iter().zip(other) {
            assert_near(map.apply(from), to);
        }
        let there = Homography::from_rectangle(1.0, 1.0, &QUAD)
            .unwrap()
            .then(&map);
        assert_near(there.apply([1.0, 1.0]), other[2]);
    }

    #[test]
    fn folded_and_flat_quads_have_no_map() {
        let crossed = [QUAD[0], QUAD[2], QUAD[1], QUAD[3]];
        let line = [[0.0, 0.0], [1.0, 0.0], [2.0, 0.0], [3.0, 0.0]];
        let dent = [[0.0, 0.0], [10.0, 0.0], [2.0, 2.0], [0.0, 10.0]];
        for quad in [crossed, line, dent, [[1.0, 1.0]; 4], [[f64::NAN; 2]; 4]] {
            assert_eq!(
                Homography::from_rectangle(1.0, 1.0, &quad),
                None,
                "{quad:?}"
            );
        }
        assert_eq!(Homography::from_matrix([0.0; 9]), None);
    }

    #[test]
    fn the_identity_copies_and_a_shift_moves_whole_pixels() {
        let data: Vec<u8> = (0..20 * 10 * 3).map(|i| (i * 37 % 256) as u8).collect();
        let picture = Pixels::from_rgb(20, 10, data).unwrap();
        let same = perspective(
            &picture,
            20,
            10,
            &Homography::IDENTITY,
            Border::Plain([0; 3]),
        );
        assert!(same == picture);
        let shift = Homography::from_matrix([1.0, 0.0, 3.0, 0.0, 1.0, 2.0, 0.0, 0.0, 1.0]).unwrap();
        let moved = perspective(&picture, 30, 20, &shift, Border::Plain([9; 3]));
        assert_eq!(moved.get(3, 2), picture.get(0, 0));
        assert_eq!(moved.get(22, 11), picture.get(19, 9));
        assert_eq!((moved.get(2, 2), moved.get(23, 11)), ([9; 3], [9; 3]));
        let extended = perspective(&picture, 30, 20, &shift, Border::Extend);
        assert_eq!(extended.get(0, 0), picture.get(0, 0));
        assert_eq!(extended.get(29, 19), picture.get(19, 9));
    }

    #[test]
    fn the_picture_covers_the_area_of_its_quad() {
        let map = Homography::from_rectangle(40.0, 30.0, &QUAD).unwrap();
        let seen = perspective(
            &flat(40, 30, [255; 3]),
            100,
            100,
            &map,
            Border::Plain([0; 3]),
        );
        let covered: f64 = seen
            .data()
            .iter()
            .map(|&v| f64::from(v) / 255.0)
            .sum::<f64>()
            / 3.0;
        // The shoelace formula.
        let area = (0..4).map(|i| {
            let ([x0, y0], [x1, y1]) = (QUAD[i], QUAD[(i + 1) % 4]);
            (x0 * y1 - x1 * y0) / 2.0
        });
        let area: f64 = area.sum();
        assert!((covered / area - 1.0).abs() < 0.01, "{covered} of {area}");
        assert_eq!(seen.get(50, 45), [255; 3]);
        assert_eq!(seen.get(5, 5), [0; 3]);
    }

    #[test]
    fn a_fine_pattern_seen_small_is_grey() {
        let data =
            (0..200 * 200).flat_map(|i| [if (i % 200 + i / 200) % 2 == 0 { 0 } else { 255 }; 3]);
        let board = Pixels::from_rgb(200, 200, data.collect()).unwrap();
        let map = Homography::from_rectangle(200.0, 200.0, &QUAD.map(|[x, y]| [x / 2.0, y / 2.0]));
        let seen = perspective(&board, 50, 50, &map.unwrap(), Border::Extend);
        assert!(
            seen.data().iter().all(|&v| v.abs_diff(128) < 12),
            "{:?}",
            seen.data()
        );
    }

    #[test]
    fn what_is_behind_the_camera_is_outside() {
        let horizon = Homography::from_matrix([1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, -0.05, 1.0]);
        let seen = perspective(
            &flat(40, 40, [9; 3]),
            64,
            64,
            &horizon.unwrap(),
            Border::Plain([1; 3]),
        );
        assert_eq!(seen.get(5, 5), [9; 3]);
        assert_eq!(seen.get(63, 0), [1; 3]);
    }
}
