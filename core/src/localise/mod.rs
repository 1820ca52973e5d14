//! Where the thing is: boxes in a photo, read from the maps that describe it.
//!
//! A photo of a thing is often a photo of its surroundings. The maps of a first look say where the thing lies, by what
//! stands out ([`salient`]) or by a detector that a bundle brings ([`detected`]); a second look at that place alone shows
//! it larger and without what is around it.

mod detector;
mod saliency;

pub use detector::detected;
pub use saliency::salient;

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::image::Region;

/// What says where the thing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Focus {
    /// What stands out from the photo's border: at most one box. Any bundle can.
    Saliency,
    /// The bundle's detector: its best boxes. A bundle without one finds nothing.
    Detector,
}

/// The text names no [`Focus`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected saliency or detector, found {0:?}")]
pub struct ParseFocusError(String);

impl FromStr for Focus {
    type Err = ParseFocusError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "saliency" => Ok(Self::Saliency),
            "detector" => Ok(Self::Detector),
            _ => Err(ParseFocusError(text.chars().take(32).collect())),
        }
    }
}

/// A box in a picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Located {
    /// Left edge, in fractions of the width, 0..=1.
    pub x: f64,
    /// Top edge, in fractions of the height, 0..=1.
    pub y: f64,
    /// Share of the width, above 0.
    pub width: f64,
    /// Share of the height, above 0.
    pub height: f64,
    /// How sure it is that something is there, 0..=1: a detector's probability, or the share of what stands out.
    pub score: f32,
}

impl Located {
    /// The box between two corners, in fractions of the picture, cut to it; `None` where nothing is left.
    fn between(left: f64, top: f64, right: f64, bottom: f64, score: f32) -> Option<Self> {
        let [x, y, right, bottom] = [left, top, right, bottom].map(|edge| edge.clamp(0.0, 1.0));
        let located = Self {
            x,
            y,
            width: right - x,
            height: bottom - y,
            score,
        };
        // False as well where an edge is not a number.
        (located.width > 0.0 && located.height > 0.0).then_some(located)
    }

    /// The same box as a region of interest.
    pub fn region(&self) -> Region {
        Region::Relative {
            x: self.x,
            y: self.y,
            width: self.width,
            height: self.height,
        }
    }

    /// Share of the picture, 0..=1.
    pub fn area(&self) -> f64 {
        self.width * self.height
    }

    /// The area that two boxes share, over the area that they cover together, 0..=1.
    pub fn overlap(&self, other: &Self) -> f64 {
        let shared = |a: f64, a_side: f64, b: f64, b_side: f64| {
            ((a + a_side).min(b + b_side) - a.max(b)).max(0.0)
        };
        let both = shared(self.x, self.width, other.x, other.width)
            * shared(self.y, self.height, other.y, other.height);
        both / (self.area() + other.area() - both)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn located(left: f64, top: f64, right: f64, bottom: f64) -> Option<Located> {
        Located::between(left, top, right, bottom, 1.0)
    }

    #[test]
    fn boxes_are_cut_to_the_picture() {
        let cut = located(-1.0, 0.25, 0.5, 9.0).unwrap();
        assert_eq!(
            (cut.x, cut.y, cut.width, cut.height),
            (0.0, 0.25, 0.5, 0.75)
        );
        for (left, right) in [(0.5, 0.5), (0.6, 0.5), (1.5, 2.0), (f64::NAN, 0.5)] {
            assert_eq!(located(left, 0.0, right, 1.0), None);
        }
    }

    #[test]
    fn overlap_is_intersection_over_union() {
        let [a, b] = [(0.0, 0.5), (0.25, 0.75)].map(|(l, r)| located(l, 0.0, r, 1.0).unwrap());
        assert!((a.overlap(&b) - 1.0 / 3.0).abs() < 1e-12);
        assert_eq!(a.overlap(&a), 1.0);
        let far = located(0.5, 0.0, 1.0, 1.0).unwrap();
        assert_eq!(a.overlap(&far), 0.0);
    }
}
