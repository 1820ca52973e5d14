//! The region of interest: the part of a photo that the user points at.

use std::str::FromStr;

use super::ImageError;

/// A rectangle in the upright image, which may reach beyond it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Region {
    /// In pixels from the top left.
    Pixels {
        /// Left edge.
        x: i32,
        /// Top edge.
        y: i32,
        /// Columns, at least 1.
        width: u32,
        /// Rows, at least 1.
        height: u32,
    },
    /// In fractions of the image's width and height: 0 is left or top, 1 is right or bottom.
    Relative {
        /// Left edge.
        x: f64,
        /// Top edge.
        y: f64,
        /// Share of the width, above 0.
        width: f64,
        /// Share of the height, above 0.
        height: f64,
    },
}

/// A rectangle of whole pixels, not empty, that lies within an image: what [`Region::resolve`]
/// and [`Crop::whole`] give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crop {
    /// Left column.
    pub x: u32,
    /// Top row.
    pub y: u32,
    /// Columns, at least 1.
    pub width: u32,
    /// Rows, at least 1.
    pub height: u32,
}

impl Crop {
    /// All of an image of `width` × `height` pixels.
    pub fn whole(width: u32, height: u32) -> Self {
        Self {
            x: 0,
            y: 0,
            width,
            height,
        }
    }
}

impl Region {
    /// The pixels that the region covers in an image of `width` × `height`: its edges are rounded
    /// to the nearest pixel and clamped to the image, a sliver keeps one pixel.
    ///
    /// # Errors
    /// [`ImageError::Parameter`] when the region is empty, not finite, or wholly outside.
    pub fn resolve(&self, width: u32, height: u32) -> Result<Crop, ImageError> {
        let ((x, y), (wide, high), (unit_x, unit_y)) = match *self {
            Self::Pixels {
                x,
                y,
                width,
                height,
            } => (
                (x.into(), y.into()),
                (width.into(), height.into()),
                (1.0, 1.0),
            ),
            Self::Relative {
                x,
                y,
                width: wide,
                height: high,
            } => ((x, y), (wide, high), (f64::from(width), f64::from(height))),
        };
        let (x, width) = clamp(x * unit_x, wide * unit_x, width)
            .ok_or_else(|| self.outside("columns", width))?;
        let (y, height) =
            clamp(y * unit_y, high * unit_y, height).ok_or_else(|| self.outside("rows", height))?;
        Ok(Crop {
            x,
            y,
            width,
            height,
        })
    }

    /// A part of a region (of the whole image without one), as a region of the image of `width` × `height`.
    ///
    /// # Errors
    /// As [`Region::resolve`], of either.
    pub fn within(
        &self,
        outer: Option<&Self>,
        width: u32,
        height: u32,
    ) -> Result<Self, ImageError> {
        let outer = match outer {
            Some(outer) => outer.resolve(width, height)?,
            None => Crop::whole(width, height),
        };
        let inner = self.resolve(outer.width, outer.height)?;
        // Sides of images are far below 2³¹.
        let corner = |a: u32, b: u32| i32::try_from(a + b).unwrap_or(i32::MAX);
        Ok(Self::Pixels {
            x: corner(outer.x, inner.x),
            y: corner(outer.y, inner.y),
            width: inner.width,
            height: inner.height,
        })
    }

    fn outside(&self, axis: &str, side: u32) -> ImageError {
        wrong(format!("{self:?} holds none of the image's {side} {axis}"))
    }
}

/// The whole pixels, at least one, of the interval `start .. start + length` within `0 .. side`.
fn clamp(start: f64, length: f64, side: u32) -> Option<(u32, u32)> {
    let side = f64::from(side);
    let end = start + length;
    // False as well where a value is not a number.
    let overlaps =
        start.is_finite() && end.is_finite() && length > 0.0 && start < side && end > 0.0;
    if !overlaps {
        return None;
    }
    let first = start.round().clamp(0.0, side - 1.0);
    let last = end.round().clamp(first + 1.0, side);
    Some((first as u32, (last - first) as u32))
}

/// `x,y,width,height`: whole numbers are pixels; with a decimal point in any of them, all four are
/// fractions of the image from 0 to 1.
impl FromStr for Region {
    type Err = ImageError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let expected = || {
            wrong(format!(
                "expected x,y,width,height in pixels (10,20,300,200) or as fractions from 0 to 1 \
                 (0.1,0.2,0.5,0.5), found {:?}",
                text.chars().take(64).collect::<String>(),
            ))
        };
        let parts: Vec<&str> = text.split(',').map(str::trim).collect();
        let [x, y, width, height] = parts[..] else {
            return Err(expected());
        };
        if text.contains('.') {
            let fraction = |part: &str| {
                let value = part
                    .parse()
                    .ok()
                    .filter(|value| (0.0..=1.0).contains(value));
                value.ok_or_else(expected)
            };
            let (x, y) = (fraction(x)?, fraction(y)?);
            Ok(Self::Relative {
                x,
                y,
                width: fraction(width)?,
                height: fraction(height)?,
            })
        } else {
            let corner = |part: &str| part.parse().map_err(|_| expected());
            let side = |part: &str| part.parse().map_err(|_| expected());
            let (x, y) = (corner(x)?, corner(y)?);
            Ok(Self::Pixels {
                x,
                y,
                width: side(width)?,
                height: side(height)?,
            })
        }
    }
}

fn wrong(reason: String) -> ImageError {
    ImageError::Parameter {
        name: "region",
        reason,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pixels(x: i32, y: i32, width: u32, height: u32) -> Region {
        Region::Pixels {
            x,
            y,
            width,
            height,
        }
    }

    fn relative(x: f64, y: f64, width: f64, height: f64) -> Region {
        Region::Relative {
            x,
            y,
            width,
            height,
        }
    }

    #[test]
    fn regions_are_clamped_to_the_image() {
        for (region, x, y, width, height) in [
            (pixels(10, 20, 30, 25), 10, 20, 30, 25),
            (pixels(90, 40, 30, 40), 90, 40, 10, 10),
            (pixels(-10, -20, 30, 40), 0, 0, 20, 20),
            (pixels(-5, -5, u32::MAX, u32::MAX), 0, 0, 100, 50),
            (relative(0.0, 0.0, 1.0, 1.0), 0, 0, 100, 50),
            (relative(0.1, 0.2, 0.3, 0.4), 10, 10, 30, 20),
            (relative(0.9, 0.9, 0.5, 0.5), 90, 45, 10, 5),
            (relative(0.999, 0.5, 0.0001, 0.0001), 99, 25, 1, 1),
        ] {
            let crop = region.resolve(100, 50).unwrap();
            assert_eq!(
                crop,
                Crop {
                    x,
                    y,
                    width,
                    height
                },
                "{region:?}"
            );
        }
    }

    #[test]
    fn empty_and_meaningless_regions_are_refused() {
        for region in [
            pixels(0, 0, 0, 10),
            pixels(0, 0, 10, 0),
            pixels(100, 0, 10, 10),
            pixels(0, 50, 10, 10),
            pixels(-10, 0, 10, 10),
            relative(0.0, 0.0, 0.0, 1.0),
            relative(0.5, 0.5, -0.1, 0.1),
            relative(1.0, 0.0, 0.5, 0.5),
            relative(f64::NAN, 0.0, 1.0, 1.0),
            relative(0.0, 0.0, f64::NAN, 1.0),
            relative(0.0, 0.0, 1.0, f64::INFINITY),
            relative(f64::NEG_INFINITY, 0.0, f64::INFINITY, 1.0),
        ] {
            let error = region.resolve(100, 50).unwrap_err();
            assert!(
                matches!(error, ImageError::Parameter { name: "region", .. }),
                "{error}"
            );
        }
    }

    #[test]
    fn a_part_of_a_region_is_a_region_of_the_image() {
        let middle = relative(0.25, 0.25, 0.5, 0.5);
        assert_eq!(
            middle.within(None, 100, 60).unwrap(),
            pixels(25, 15, 50, 30)
        );
        let right = relative(0.5, 0.0, 0.5, 1.0);
        assert_eq!(
            middle.within(Some(&right), 100, 60).unwrap(),
            pixels(63, 15, 25, 30)
        );
        assert!(pixels(60, 0, 5, 5).within(Some(&right), 100, 60).is_err());
        assert!(middle.within(Some(&pixels(100, 0, 1, 1)), 100, 60).is_err());
    }

    #[test]
    fn text_is_pixels_or_with_a_decimal_point_fractions() {
        assert_eq!("1,2,3,4".parse::<Region>().unwrap(), pixels(1, 2, 3, 4));
        assert_eq!(
            " -1, 2 ,3,4".parse::<Region>().unwrap(),
            pixels(-1, 2, 3, 4)
        );
        assert_eq!(
            "0,0,1,0.5".parse::<Region>().unwrap(),
            relative(0.0, 0.0, 1.0, 0.5)
        );
        assert_eq!(
            "0.1,0.2,.3,1.".parse::<Region>().unwrap(),
            relative(0.1, 0.2, 0.3, 1.0)
        );
        for bad in [
            "",
            "1,2,3",
            "1,2,3,4,5",
            "a,b,c,d",
            "1,2,-3,4",
            "0.5,0,2,1",
            "-0.1,0,1,1",
        ] {
            assert!(bad.parse::<Region>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn a_crop_is_never_empty_and_never_outside(
            x in -2.0..2.0f64, y in -2.0..2.0f64, w in -1.0..3.0f64, h in -1.0..3.0f64,
            width in 1..5000u32, height in 1..5000u32,
        ) {
            if let Ok(crop) = relative(x, y, w, h).resolve(width, height) {
                prop_assert!(crop.width > 0 && crop.x + crop.width <= width);
                prop_assert!(crop.height > 0 && crop.y + crop.height <= height);
            }
        }
    }
}
