//! Crop and resize in one pass: from an upright photo to the input of a backbone.
//!
//! The filter is the triangle (bilinear) widened by the scale when it shrinks, so that every
//! source pixel counts: without that, fine texture aliases and the descriptor changes with the
//! distance to the camera. Sharper filters (Lanczos) gain nothing at the input of a network, ring
//! at edges, and take sines, which differ between platforms. Triangle weights are sums and
//! products only, and the sums over pixels are integers: the same bytes on every processor.

use fast_image_resize as fir;
use fast_image_resize::images::{TypedCroppedImage, TypedImage, TypedImageRef};
use fast_image_resize::pixels::U8x3;
use serde::{Deserialize, Serialize};

use super::{Crop, ImageError, Pixels, Region};

/// The size a backbone reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sizing {
    /// The longer side of the result in pixels, a multiple of `multiple`. Default: 320.
    pub longest_side: u32,
    /// What both sides are multiples of: the backbone's largest stride. Default: 32.
    pub multiple: u32,
}

impl Default for Sizing {
    fn default() -> Self {
        Self {
            longest_side: 320,
            multiple: 32,
        }
    }
}

impl Sizing {
    /// Refuses sizes that no image could have.
    ///
    /// # Errors
    /// [`ImageError::Parameter`] unless `longest_side` is a multiple, from 1 on, of `multiple`,
    /// and at most 8192.
    pub fn check(&self) -> Result<(), ImageError> {
        let Self {
            longest_side,
            multiple,
        } = *self;
        let whole = longest_side.checked_rem(multiple) == Some(0);
        if whole && (1..=8192).contains(&longest_side) {
            return Ok(());
        }
        let reason = format!(
            "expected a longest side from 1 to 8192 that is a multiple of {multiple}, \
             found {longest_side}",
        );
        Err(ImageError::Parameter {
            name: "sizing",
            reason,
        })
    }

    /// Width and height of the result for an image (or region) of `width` × `height` pixels.
    ///
    /// The longer side becomes `longest_side`, in small images too; the other keeps the aspect
    /// ratio as nearly as multiples allow, and is at least one multiple. Halves round up.
    pub fn target(&self, width: u32, height: u32) -> (u32, u32) {
        let longer = u64::from(width.max(height).max(1));
        let shorter = u64::from(width.min(height));
        let (longest, multiple) = (
            u64::from(self.longest_side),
            u64::from(self.multiple.max(1)),
        );
        let multiples = (2 * shorter * longest + longer * multiple) / (2 * longer * multiple);
        // At most `longest_side`, hence it fits.
        let short_side = (multiples.max(1) * multiple) as u32;
        if width >= height {
            (self.longest_side, short_side)
        } else {
            (short_side, self.longest_side)
        }
    }
}

/// The region (the whole image without one) at the size a backbone reads. Neither the region nor
/// the scaled image is copied on the way.
///
/// # Errors
/// [`ImageError::Parameter`] for a region outside of the image or an impossible sizing.
///
/// # Examples
/// ```
/// use pocketlens::image::{Pixels, Region, Sizing, fit};
///
/// let photo = Pixels::from_rgb(400, 300, vec![128; 400 * 300 * 3]).unwrap();
/// let input = fit(&photo, None, &Sizing::default())?;
/// assert_eq!((input.width(), input.height()), (320, 256));
///
/// let label: Region = "0.5,0.5,0.2,0.4".parse()?;
/// let input = fit(&photo, Some(&label), &Sizing::default())?;
/// assert_eq!((input.width(), input.height()), (224, 320));
/// # Ok::<(), pocketlens::image::ImageError>(())
/// ```
pub fn fit(
    pixels: &Pixels,
    region: Option<&Region>,
    sizing: &Sizing,
) -> Result<Pixels, ImageError> {
    sizing.check()?;
    let (width, height) = (pixels.width(), pixels.height());
    let crop = match region {
        Some(region) => region.resolve(width, height)?,
        None => Crop::whole(width, height),
    };
    let (width, height) = sizing.target(crop.width, crop.height);
    Ok(resize(pixels, crop, width, height))
}

/// The crop, scaled to `width` × `height`. Pixels outside of the crop have no influence.
///
/// Takes time in the order of the crop's pixels and holds one image of `crop.width` × `height`.
///
/// # Panics
/// When the crop reaches beyond the image, or it or the result is empty.
pub fn resize(pixels: &Pixels, crop: Crop, width: u32, height: u32) -> Pixels {
    resize_with(&mut fir::Resizer::new(), pixels, crop, width, height)
}

/// A rectangle whose edges may lie within pixels, in pixels from the top left.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) width: f64,
    pub(super) height: f64,
}

/// [`resize`] for a rectangle that need not be whole pixels: those that it cuts count for their
/// part. It must lie within the image.
pub(super) fn resize_part(pixels: &Pixels, part: Part, width: u32, height: u32) -> Pixels {
    let options = fir::ResizeOptions::new();
    resize_part_with(pixels, part, options.resize_alg(triangle()), width, height)
}

/// [`resize_part`] of pixels that are the means of squares of a larger image. Averaging has
/// blurred them already: a narrower triangle makes up for it, so that both together spread a point
/// (in variance) as far as the triangle alone does in the larger image. Shrinking by r asks for
/// `r² - 1/2` in place of `r²`; the factor here is right for an r of 1.9 and near enough from 1.4.
pub(super) fn resize_means(pixels: &Pixels, part: Part, width: u32, height: u32) -> Pixels {
    const RADIUS: f64 = 0.93;
    let narrow = fir::Filter::new("triangle", |x| (1.0 - x.abs() / RADIUS).max(0.0), RADIUS);
    let narrow = fir::FilterType::Custom(narrow.expect("the radius is positive"));
    let options = fir::ResizeOptions::new().resize_alg(fir::ResizeAlg::Convolution(narrow));
    resize_part_with(pixels, part, options, width, height)
}

fn resize_part_with(
    pixels: &Pixels,
    part: Part,
    options: fir::ResizeOptions,
    width: u32,
    height: u32,
) -> Pixels {
    let first = |edge: f64| edge.floor() as u32;
    let (x, y) = (first(part.x), first(part.y));
    let crop = Crop {
        x,
        y,
        width: (part.x + part.width).ceil() as u32 - x,
        height: (part.y + part.height).ceil() as u32 - y,
    };
    let within = Part {
        x: part.x - f64::from(x),
        y: part.y - f64::from(y),
        ..part
    };
    let options = options.crop(within.x, within.y, within.width, within.height);
    resize_options(
        &mut fir::Resizer::new(),
        pixels,
        crop,
        options,
        width,
        height,
    )
}

fn resize_with(
    resizer: &mut fir::Resizer,
    pixels: &Pixels,
    crop: Crop,
    width: u32,
    height: u32,
) -> Pixels {
    resize_options(
        resizer,
        pixels,
        crop,
        fir::ResizeOptions::new().resize_alg(triangle()),
        width,
        height,
    )
}

fn triangle() -> fir::ResizeAlg {
    fir::ResizeAlg::Convolution(fir::FilterType::Bilinear)
}

fn resize_options(
    resizer: &mut fir::Resizer,
    pixels: &Pixels,
    crop: Crop,
    options: fir::ResizeOptions,
    width: u32,
    height: u32,
) -> Pixels {
    assert!(
        width > 0 && height > 0 && crop.width > 0 && crop.height > 0,
        "nothing to resize"
    );
    // The type of the pixels is named, so that the library holds no code for the fourteen others.
    let source = TypedImageRef::<U8x3>::from_buffer(pixels.width(), pixels.height(), pixels.data())
        .expect("pixels are height × width × 3 bytes");
    let source = TypedCroppedImage::from_ref(&source, crop.x, crop.y, crop.width, crop.height)
        .expect("the crop lies within the image");
    let mut out = vec![0; width as usize * height as usize * 3];
    let mut target = TypedImage::<U8x3>::from_buffer(width, height, &mut out)
        .expect("the target is height × width × 3 bytes");
    resizer
        .resize_typed(&source, &mut target, &options)
        .expect("neither is empty");
    Pixels::from_rgb(width, height, out).expect("the target is height × width × 3")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Texture at all frequencies.
    fn noise(width: u32, height: u32) -> Pixels {
        let mut state = 0x9E37_79B9_u32;
        let data = (0..width * height * 3).map(|i| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            ((state >> 24) / 2 + (i * 127) / (width * height * 3)) as u8
        });
        Pixels::from_rgb(width, height, data.collect()).unwrap()
    }

    /// The triangle filter, one side at a time, in double precision.
    fn naive(pixels: &Pixels, crop: Crop, width: u32, height: u32) -> Vec<f64> {
        let weights = |from: u32, to: u32| -> Vec<Vec<f64>> {
            let scale = f64::from(from) / f64::from(to);
            let radius = scale.max(1.0);
            let row = |i: u32| {
                let centre = (f64::from(i) + 0.5) * scale;
                let weight = |j| (1.0 - (f64::from(j) + 0.5 - centre).abs() / radius).max(0.0);
                let row: Vec<f64> = (0..from).map(weight).collect();
                let sum: f64 = row.iter().sum();
                row.iter().map(|w| w / sum).collect()
            };
            (0..to).map(row).collect()
        };
        let (across, down) = (weights(crop.width, width), weights(crop.height, height));
        let mut out = Vec::new();
        for row in &down {
            for column in &across {
                for channel in 0..3 {
                    let mut sum = 0.0;
                    for (y, wy) in (0..).zip(row) {
                        for (x, wx) in (0..).zip(column) {
                            let value = pixels.get(crop.x + x, crop.y + y)[channel];
                            sum += wy * wx * f64::from(value);
                        }
                    }
                    out.push(sum);
                }
            }
        }
        out
    }

    #[test]
    fn targets_keep_the_aspect_ratio_in_multiples() {
        let sizing = Sizing::default();
        for (from, to) in [
            ((320, 320), (320, 320)),
            ((4000, 3000), (320, 256)), // 240 lies half way between 224 and 256
            ((3000, 4000), (256, 320)),
            ((1920, 1080), (320, 192)),
            ((10, 10), (320, 320)),
            ((100, 3), (320, 32)),
            ((1, 500), (32, 320)),
            ((20_000, 19_999), (320, 320)),
            ((u32::MAX, 1), (320, 32)),
        ] {
            assert_eq!(sizing.target(from.0, from.1), to, "{from:?}");
        }
        assert_eq!(
            Sizing {
                longest_side: 224,
                multiple: 1
            }
            .target(640, 480),
            (224, 168)
        );
    }

    #[test]
    fn impossible_sizings_are_refused() {
        let photo = noise(8, 8);
        for (longest_side, multiple) in [(0, 32), (300, 32), (320, 0), (16, 32), (8224, 32)] {
            let error = fit(
                &photo,
                None,
                &Sizing {
                    longest_side,
                    multiple,
                },
            )
            .unwrap_err();
            assert!(
                matches!(error, ImageError::Parameter { name: "sizing", .. }),
                "{error}"
            );
        }
    }

    #[test]
    fn agrees_with_the_triangle_filter_in_double_precision() {
        let photo = noise(97, 61);
        for (crop, width, height) in [
            (Crop::whole(97, 61), 32, 32),
            (Crop::whole(97, 61), 64, 40),
            (Crop::whole(97, 61), 128, 96),
            (
                Crop {
                    x: 13,
                    y: 7,
                    width: 50,
                    height: 33,
                },
                32,
                64,
            ),
            (
                Crop {
                    x: 96,
                    y: 60,
                    width: 1,
                    height: 1,
                },
                5,
                4,
            ),
            (
                Crop {
                    x: 20,
                    y: 5,
                    width: 32,
                    height: 40,
                },
                32,
                20,
            ),
        ] {
            let resized = resize(&photo, crop, width, height);
            let expected = naive(&photo, crop, width, height);
            let worst = resized
                .data()
                .iter()
                .zip(expected)
                .map(|(&a, b)| (f64::from(a) - b).abs());
            let worst = worst.fold(0.0, f64::max);
            assert!(worst <= 1.0, "{crop:?} to {width}×{height}: {worst}");
        }
    }

    #[test]
    fn every_instruction_set_gives_the_same_bytes() {
        let extensions = [
            fir::CpuExtensions::None,
            #[cfg(target_arch = "x86_64")]
            fir::CpuExtensions::Sse4_1,
            #[cfg(target_arch = "x86_64")]
            fir::CpuExtensions::Avx2,
            #[cfg(target_arch = "aarch64")]
            fir::CpuExtensions::Neon,
        ];
        let photo = noise(301, 203);
        let crops = [
            Crop::whole(301, 203),
            Crop {
                x: 17,
                y: 30,
                width: 131,
                height: 99,
            },
        ];
        for (width, height) in [(320, 224), (96, 64), (33, 47), (7, 200), (1, 1)] {
            for crop in crops {
                let expected = resize(&photo, crop, width, height);
                for extension in extensions
                    .into_iter()
                    .filter(fir::CpuExtensions::is_supported)
                {
                    let mut resizer = fir::Resizer::new();
                    #[expect(unsafe_code, reason = "the only way to force an instruction set")]
                    // SAFETY: the filter above keeps what this processor supports.
                    unsafe {
                        resizer.set_cpu_extensions(extension);
                    }
                    let same = resize_with(&mut resizer, &photo, crop, width, height) == expected;
                    assert!(same, "{extension:?}: {crop:?} to {width}×{height}");
                }
            }
        }
    }

    #[test]
    fn a_flat_photo_stays_flat_at_every_scale() {
        for value in [0, 1, 128, 254, 255] {
            for (width, height) in [(1, 1), (3, 2000), (5000, 3), (700, 500)] {
                let data = vec![value; (width * height * 3) as usize];
                let flat = Pixels::from_rgb(width, height, data).unwrap();
                let resized = fit(&flat, None, &Sizing::default()).unwrap();
                assert!(
                    resized.data().iter().all(|&v| v == value),
                    "{width}×{height} of {value}"
                );
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn pixels_outside_of_the_crop_have_no_influence(
            x in 0..40u32, y in 0..30u32, width in 1..20u32, height in 1..20u32,
            to_width in 1..70u32, to_height in 1..70u32,
        ) {
            let photo = noise(60, 50);
            let crop = Crop { x, y, width, height };
            let data = (y..y + height)
                .flat_map(|row| (x..x + width).flat_map(move |column| [(column, row)]))
                .flat_map(|(column, row)| photo.get(column, row));
            let cut = Pixels::from_rgb(width, height, data.collect()).unwrap();
            let expected = resize(&cut, Crop::whole(width, height), to_width, to_height);
            prop_assert!(resize(&photo, crop, to_width, to_height) == expected);
        }
    }
}
