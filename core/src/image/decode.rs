//! From the bytes of a photo to upright RGB.
//!
//! What cameras, shops and the web write is read: 1 to 16 bits a channel, palettes, grey, alpha
//! (laid over white, as shops show it), CMYK and YCCK JPEG (as Adobe writes them, inverted; what
//! browsers assume too). Colour profiles are not applied: descriptors do not see the difference,
//! and the phone would pay for it at every search.

use std::fs::File;
use std::io::{self, Cursor, Read};
use std::path::Path;

#[cfg(feature = "webp")]
use image::codecs::webp::WebPDecoder;
use image::codecs::{jpeg::JpegDecoder, png::PngDecoder};
use image::{ColorType, ImageDecoder};

use super::format::name_unknown;
use super::{Format, ImageError, Limits, Orientation, Pixels, complete, sniff};

/// The upright picture in the bytes of a JPEG, PNG or WebP file; of an animation, its first frame.
///
/// The format is told from the bytes. A file that is cut short is an error, not a picture with a
/// grey rest; a damaged EXIF block loses the orientation, not the picture.
///
/// # Errors
/// [`ImageError::Unsupported`] for other formats, [`ImageError::Limits`] before memory is
/// allocated for a picture that is too large, [`ImageError::Decoding`] for a damaged file.
///
/// # Examples
/// ```
/// use pocketlens::image::{ImageError, Limits, decode};
///
/// let error = decode(b"GIF89a...", &Limits::default()).unwrap_err();
/// assert!(matches!(error, ImageError::Unsupported { found } if found == "GIF"));
/// ```
pub fn decode(bytes: &[u8], limits: &Limits) -> Result<Pixels, ImageError> {
    limits.check_encoded(bytes.len() as u64)?;
    let format = sniff(bytes).ok_or_else(|| ImageError::Unsupported {
        found: name_unknown(bytes).to_owned(),
    })?;
    if let Some((width, height)) = png_size(format, bytes) {
        // The PNG decoder allocates a row before it tells the size.
        limits.check_size(width, height)?;
    }
    let failed = |error| translate(error, format, limits);
    let reader = Cursor::new(bytes);
    match format {
        Format::Jpeg => JpegDecoder::new(reader)
            .map_err(failed)
            .and_then(|decoder| read(decoder, format, bytes, limits)),
        Format::Png => PngDecoder::with_limits(reader, decoder_limits(limits))
            .map_err(failed)
            .and_then(|decoder| read(decoder, format, bytes, limits)),
        #[cfg(not(feature = "webp"))]
        Format::WebP => Err(ImageError::Unsupported {
            found: "WebP, which this build leaves to the system (feature `webp`)".to_owned(),
        }),
        #[cfg(feature = "webp")]
        Format::WebP => WebPDecoder::new(reader)
            .map_err(failed)
            .and_then(|decoder| read(decoder, format, bytes, limits)),
    }
}

/// [`decode`] for a file, which is not read beyond `limits.max_encoded_bytes`.
///
/// # Errors
/// Those of [`decode`], and [`ImageError::Io`] for a path that is not a regular file (a pipe would
/// block for ever) or cannot be read.
pub fn read_photo(path: impl AsRef<Path>, limits: &Limits) -> Result<Pixels, ImageError> {
    decode(&read_file(path.as_ref(), limits)?, limits)
}

/// The bytes of a photo file, not many more than the limits allow.
pub(super) fn read_file(path: &Path, limits: &Limits) -> Result<Vec<u8>, ImageError> {
    read_limited(path, limits.max_encoded_bytes).map_err(|source| ImageError::Io {
        path: path.to_owned(),
        source,
    })
}

/// The file's bytes, or the first `limit + 1` of them.
fn read_limited(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let metadata = std::fs::metadata(path)?;
    if !metadata.is_file() {
        let what = if metadata.is_dir() {
            "it is a directory"
        } else {
            "it is not a regular file"
        };
        return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
    }
    let most = limit.saturating_add(1);
    let mut bytes = Vec::with_capacity(metadata.len().min(most) as usize);
    File::open(path)?.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The rest is the same for every format: check, read the samples, convert, turn upright.
fn read(
    mut decoder: impl ImageDecoder,
    format: Format,
    bytes: &[u8],
    limits: &Limits,
) -> Result<Pixels, ImageError> {
    let failed = |error| translate(error, format, limits);
    let (width, height) = decoder.dimensions();
    limits.check_size(width, height)?;
    limits.check_decoded(decoder.total_bytes())?;
    complete::check(format, bytes, limits)?;
    decoder.set_limits(decoder_limits(limits)).map_err(failed)?;
    let orientation = orientation(&mut decoder);
    let color = decoder.color_type();
    let mut samples = vec![0; decoder.total_bytes() as usize];
    decoder.read_image(&mut samples).map_err(failed)?;
    let pixels = to_rgb(color, samples)?;
    let pixels = Pixels::from_rgb(width, height, pixels).ok_or_else(|| ImageError::Decoding {
        format,
        reason: format!("expected pixels, found an image of {width}×{height}"),
    })?;
    Ok(orientation.apply(pixels))
}

/// What EXIF says, upright where it says nothing sensible.
fn orientation(decoder: &mut impl ImageDecoder) -> Orientation {
    let exif = decoder.exif_metadata().ok().flatten().unwrap_or_default();
    // Some WebP writers keep the prefix that EXIF has in a JPEG.
    orientation_of(exif.strip_prefix(b"Exif\0\0").unwrap_or(&exif))
}

/// What the TIFF block of EXIF says, upright where it says nothing sensible.
pub(super) fn orientation_of(exif: &[u8]) -> Orientation {
    image::metadata::Orientation::from_exif_chunk(exif)
        .and_then(|orientation| Orientation::from_exif(orientation.to_exif().into()))
        .unwrap_or_default()
}

/// Samples as the decoder gives them (16 bits in the machine's byte order) to RGB bytes.
fn to_rgb(color: ColorType, samples: Vec<u8>) -> Result<Vec<u8>, ImageError> {
    let wide = |at: &[u8]| u32::from(u16::from_ne_bytes([at[0], at[1]]));
    Ok(match color {
        ColorType::Rgb8 => samples,
        ColorType::L8 => samples.iter().flat_map(|&grey| [grey; 3]).collect(),
        ColorType::La8 => {
            let over = |p: &[u8]| [over_white(p[0].into(), p[1].into(), 255); 3];
            samples.chunks_exact(2).flat_map(over).collect()
        }
        ColorType::Rgba8 => {
            let over = |p: &[u8]| [0, 1, 2].map(|c| over_white(p[c].into(), p[3].into(), 255));
            samples.chunks_exact(4).flat_map(over).collect()
        }
        ColorType::L16 => {
            let grey = |p: &[u8]| [over_white(wide(p), 65_535, 65_535); 3];
            samples.chunks_exact(2).flat_map(grey).collect()
        }
        ColorType::La16 => {
            let over = |p: &[u8]| [over_white(wide(p), wide(&p[2..]), 65_535); 3];
            samples.chunks_exact(4).flat_map(over).collect()
        }
        ColorType::Rgb16 => samples
            .chunks_exact(2)
            .map(|p| over_white(wide(p), 65_535, 65_535))
            .collect(),
        ColorType::Rgba16 => {
            let over =
                |p: &[u8]| [0, 2, 4].map(|c| over_white(wide(&p[c..]), wide(&p[6..]), 65_535));
            samples.chunks_exact(8).flat_map(over).collect()
        }
        other => {
            return Err(ImageError::Unsupported {
                found: format!("{other:?} samples"),
            });
        }
    })
}

/// A sample of opacity `alpha`, both out of `max`, in front of white: rounded to 0..=255 once.
fn over_white(value: u32, alpha: u32, max: u64) -> u8 {
    let (value, alpha) = (u64::from(value), u64::from(alpha));
    let scaled = value * alpha + max * (max - alpha);
    ((scaled * 255 + max * max / 2) / (max * max)) as u8
}

/// Width and height in a PNG's header, which has a fixed place.
fn png_size(format: Format, bytes: &[u8]) -> Option<(u32, u32)> {
    let side = |at: usize| Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    if format == Format::Png && bytes.get(12..16) == Some(b"IHDR".as_slice()) {
        Some((side(16)?, side(20)?))
    } else {
        None
    }
}

fn decoder_limits(limits: &Limits) -> image::Limits {
    let mut decoder = image::Limits::default();
    decoder.max_image_width = Some(limits.max_side);
    decoder.max_image_height = Some(limits.max_side);
    decoder.max_alloc = Some(limits.max_decoded_bytes);
    decoder
}

fn translate(error: image::ImageError, format: Format, limits: &Limits) -> ImageError {
    use image::ImageError as E;
    match error {
        E::Limits(_) => {
            let limit = limits.max_decoded_bytes;
            let found = limit.saturating_add(1);
            ImageError::Limits {
                what: "decoder memory in bytes",
                limit,
                found,
            }
        }
        E::Unsupported(error) => ImageError::Unsupported {
            found: error.to_string(),
        },
        // The reader is a slice: the only failure it knows is to end too early.
        E::IoError(_) => ImageError::Decoding {
            format,
            reason: "the file ends too early".into(),
        },
        error => ImageError::Decoding {
            format,
            reason: error.to_string(),
        },
    }
}
