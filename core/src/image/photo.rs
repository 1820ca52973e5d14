//! A photo decoded no larger than its use needs.

#[cfg(feature = "codecs")]
use std::path::Path;

#[cfg(feature = "codecs")]
use super::decode::{decode, orientation_of, read_file};
#[cfg(feature = "codecs")]
use super::jpeg::{Header, Scale};
use super::resize::{Part, resize_means, resize_part};
use super::{Crop, ImageError, Orientation, Pixels, Region, Sizing};
#[cfg(feature = "codecs")]
use super::{Format, Limits, complete, sniff};

/// An upright photo, perhaps with fewer pixels than its file has. Regions mean its full size.
///
/// # Examples
/// ```
/// use pocketlens::image::{Photo, Pixels, Sizing};
///
/// let photo = Photo::from(Pixels::from_rgb(400, 300, vec![128; 400 * 300 * 3]).unwrap());
/// let input = photo.fit(None, &Sizing::default())?;
/// assert_eq!((input.width(), input.height()), (320, 256));
/// # Ok::<(), pocketlens::image::ImageError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Photo {
    pixels: Pixels,
    width: u32,
    height: u32,
    /// A pixel stands for a square of this many of the full photo's, along a side.
    divisor: u32,
    /// Columns and rows of the full photo that the first squares lack: where a side was turned round, the
    /// square that reaches beyond the photo comes first.
    missing: [u32; 2],
    /// Whether a pixel is the mean of its square.
    means: bool,
}

impl From<Pixels> for Photo {
    /// The full photo.
    fn from(pixels: Pixels) -> Self {
        Self {
            width: pixels.width(),
            height: pixels.height(),
            pixels,
            divisor: 1,
            missing: [0; 2],
            means: false,
        }
    }
}

impl Photo {
    /// A photo of `width`×`height` as it lies in its file, of which one pixel for each square is at hand.
    pub(super) fn reduced(
        pixels: Pixels,
        [width, height]: [u32; 2],
        divisor: u32,
        orientation: Orientation,
        means: bool,
    ) -> Self {
        let (mut sides, mut missing) = ([width, height], [0; 2]);
        if orientation.swaps_sides() {
            sides.reverse();
        }
        let pixels = orientation.apply(pixels);
        let reversed = orientation.reverses();
        for (axis, side) in [pixels.width(), pixels.height()].into_iter().enumerate() {
            if reversed[axis] {
                missing[axis] = side * divisor - sides[axis];
            }
        }
        Self {
            pixels,
            width: sides[0],
            height: sides[1],
            divisor,
            missing,
            means,
        }
    }

    /// Decodes a JPEG, PNG or WebP for [`Photo::fit`] with the same region and sizing.
    ///
    /// A sequential JPEG, as cameras write it, is decoded at 1/8, 1/4 or 1/2 of its size where
    /// that suffices: where the region still has at least the target's pixels on both sides, so
    /// that what remains to do is to shrink. Its pixels are means of squares (at 1/8) or low-passed
    /// samples, and the triangle filter that follows is as wide as what is left to shrink. Other
    /// files are decoded in full.
    ///
    /// # Errors
    /// As [`decode`], and [`ImageError::Parameter`] for a region outside of the photo or an
    /// impossible sizing.
    #[cfg(feature = "codecs")]
    pub fn decode(
        bytes: &[u8],
        region: Option<&Region>,
        sizing: &Sizing,
        limits: &Limits,
    ) -> Result<Self, ImageError> {
        limits.check_encoded(bytes.len() as u64)?;
        sizing.check()?;
        if let Some(header) = sequential_jpeg(bytes, limits) {
            let orientation = orientation_of(header.exif());
            let (mut width, mut height) = (header.width(), header.height());
            if orientation.swaps_sides() {
                (width, height) = (height, width);
            }
            let scale = Scale::of(divisor_for(width, height, region, sizing)?);
            let size = [header.width(), header.height()];
            let [columns, rows] = size.map(|side| u64::from(side.div_ceil(scale.divisor())));
            if limits.check_decoded(columns * rows * 3).is_ok()
                && let Some((pixels, rest)) = header.decode(scale)
                && complete::image_ends(rest)
            {
                let means = scale == Scale::Eighth;
                return Ok(Self::reduced(
                    pixels,
                    size,
                    scale.divisor(),
                    orientation,
                    means,
                ));
            }
        }
        Ok(decode(bytes, limits)?.into())
    }

    /// [`Photo::decode`] for a file, as [`read_photo`](super::read_photo) reads it.
    ///
    /// # Errors
    /// As [`Photo::decode`], and [`ImageError::Io`] for a path that cannot be read.
    #[cfg(feature = "codecs")]
    pub fn read(
        path: impl AsRef<Path>,
        region: Option<&Region>,
        sizing: &Sizing,
        limits: &Limits,
    ) -> Result<Self, ImageError> {
        Self::decode(&read_file(path.as_ref(), limits)?, region, sizing, limits)
    }

    /// Columns of the full upright photo.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Rows of the full upright photo.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// What was decoded: sides of `ceil(full / divisor)` for a divisor of 1, 2, 4 or 8.
    pub fn pixels(&self) -> &Pixels {
        &self.pixels
    }

    /// The region (the whole photo without one) at the size a backbone reads: the size that
    /// [`fit`](super::fit) gives for the full photo. Edges may lie within decoded pixels.
    ///
    /// # Errors
    /// [`ImageError::Parameter`] for a region outside of the photo or an impossible sizing.
    pub fn fit(&self, region: Option<&Region>, sizing: &Sizing) -> Result<Pixels, ImageError> {
        sizing.check()?;
        let crop = crop_of(self.width, self.height, region)?;
        let (width, height) = sizing.target(crop.width, crop.height);
        // Exact: the divisor is a power of two.
        let scaled = |side: u32| f64::from(side) / f64::from(self.divisor);
        let part = Part {
            x: scaled(crop.x + self.missing[0]),
            y: scaled(crop.y + self.missing[1]),
            width: scaled(crop.width),
            height: scaled(crop.height),
        };
        let resize = if self.means {
            resize_means
        } else {
            resize_part
        };
        Ok(resize(&self.pixels, part, width, height))
    }
}

/// The header of a JPEG that can be decoded scaled and is within the limits.
#[cfg(feature = "codecs")]
fn sequential_jpeg<'a>(bytes: &'a [u8], limits: &Limits) -> Option<Header<'a>> {
    let header = (sniff(bytes) == Some(Format::Jpeg)).then(|| Header::parse(bytes))??;
    limits.check_size(header.width(), header.height()).ok()?;
    Some(header)
}

/// The largest of 8, 4, 2 and 1 by which the region may shrink and still have the pixels of its target
/// on both sides.
pub(super) fn divisor_for(
    width: u32,
    height: u32,
    region: Option<&Region>,
    sizing: &Sizing,
) -> Result<u32, ImageError> {
    let crop = crop_of(width, height, region)?;
    let target = sizing.target(crop.width, crop.height);
    let suffices =
        |divisor: &u32| crop.width / divisor >= target.0 && crop.height / divisor >= target.1;
    Ok([8, 4, 2].into_iter().find(suffices).unwrap_or(1))
}

fn crop_of(width: u32, height: u32, region: Option<&Region>) -> Result<Crop, ImageError> {
    match region {
        Some(region) => region.resolve(width, height),
        None => Ok(Crop::whole(width, height)),
    }
}
