//! Is the whole file there? Checks what the decoders let pass.
//!
//! The JPEG decoder paints what a cut file lacks in grey, as browsers do; an index must not learn
//! a half-grey picture, and a search for one should say why it fails. A WebP chunk may claim more
//! bytes than the file has, and the decoder allocates what it claims. PNG needs no help: its
//! decoder follows length and checksum of every chunk.

use super::{Format, ImageError, Limits};

/// Refuses a file that ends before its image does, and a WebP frame above the limits that hides
/// behind a small canvas. Reads headers and scans for markers: well under a millisecond a
/// megabyte.
pub(super) fn check(format: Format, bytes: &[u8], limits: &Limits) -> Result<(), ImageError> {
    let damaged = |reason: &str| ImageError::Decoding {
        format,
        reason: reason.to_owned(),
    };
    match format {
        Format::Jpeg if !jpeg_ends(bytes) => {
            Err(damaged("the file ends before its end-of-image marker"))
        }
        Format::WebP => {
            let chunks = bytes.get(12..).unwrap_or_default();
            let frames = webp_frames(chunks)
                .ok_or_else(|| damaged("a chunk reaches beyond the end of the file"))?;
            frames
                .into_iter()
                .try_for_each(|(width, height)| limits.check_size(width, height))
        }
        Format::Jpeg | Format::Png => Ok(()),
    }
}

/// Whether an end-of-image marker follows the first scan. Segments are skipped by their length,
/// so that the marker of an EXIF thumbnail does not count.
fn jpeg_ends(bytes: &[u8]) -> bool {
    ends(bytes.get(2..).unwrap_or_default(), false)
}

/// Whether an end-of-image marker follows in what stands behind the first scan of a JPEG.
pub(super) fn image_ends(rest: &[u8]) -> bool {
    ends(rest, true)
}

fn ends(mut rest: &[u8], mut scanned: bool) -> bool {
    const START_OF_SCAN: u8 = 0xDA;
    const END_OF_IMAGE: u8 = 0xD9;
    // What lies before a marker is either entropy-coded data or stray bytes.
    while let Some(at) = rest.iter().position(|&byte| byte == 0xFF) {
        let Some(&marker) = rest.get(at + 1) else {
            return false;
        };
        match marker {
            // A fill byte; the marker may start with the next one.
            0xFF => rest = &rest[at + 1..],
            // A stuffed 0xFF, TEM or a restart marker: no segment follows.
            0x00 | 0x01 | 0xD0..=0xD8 => rest = &rest[at + 2..],
            END_OF_IMAGE => return scanned,
            _ => {
                scanned |= marker == START_OF_SCAN;
                let Some(&[high, low]) = rest.get(at + 2..at + 4) else {
                    return false;
                };
                let length = usize::from(u16::from_be_bytes([high, low]));
                rest = rest.get(at + 2 + length.max(2)..).unwrap_or_default();
            }
        }
    }
    false
}

/// Sizes of the lossy frames among chunks, those of animation frames included; `None` when a
/// chunk is longer than what holds it.
///
/// Only lossy frames have buffers of their own size; lossless ones are compared with the canvas
/// first.
fn webp_frames(chunks: &[u8]) -> Option<Vec<(u32, u32)>> {
    /// Bytes of an animation frame's header, before its own chunks.
    const FRAME_HEADER: usize = 16;
    let mut frames = Vec::new();
    let mut rest = chunks;
    while let Some((header, body)) = rest.split_at_checked(8) {
        let (name, length) = header.split_at(4);
        let length = u32::from_le_bytes(length.try_into().ok()?) as usize;
        let payload = body.get(..length)?;
        match name {
            b"VP8 " => frames.extend(lossy_size(payload)),
            b"ANMF" => frames.extend(webp_frames(payload.get(FRAME_HEADER..)?)?),
            _ => {}
        }
        // Odd chunks are padded to even, but files whose last byte is missing exist and decode.
        rest = body.get(length + length % 2..).unwrap_or_default();
    }
    Some(frames)
}

/// Width and height in a VP8 key frame's header (RFC 6386, section 9.1).
fn lossy_size(payload: &[u8]) -> Option<(u32, u32)> {
    let &[_, _, _, 0x9D, 0x01, 0x2A, w0, w1, h0, h1] = payload.get(..10)? else {
        return None;
    };
    let side = |low, high| u32::from(u16::from_le_bytes([low, high]) & 0x3FFF);
    Some((side(w0, w1), side(h0, h1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_end_of_the_image_itself_ends_a_jpeg() {
        let thumbnail = [0xFF, 0xE1, 0, 6, 0xFF, 0xDA, 0xFF, 0xD9].as_slice();
        let scan = [0xFF, 0xDA, 0, 2, 1, 0xFF, 0, 2, 0xFF, 0xD0, 3].as_slice();
        let start = [0xFF, 0xD8].as_slice();
        let end = [0xFF, 0xFF, 0xD9].as_slice();
        assert!(jpeg_ends(&[start, thumbnail, scan, end].concat()));
        assert!(jpeg_ends(&[start, scan, scan, end, scan].concat()));
        assert!(!jpeg_ends(&[start, thumbnail, scan].concat()));
        assert!(!jpeg_ends(&[start, thumbnail].concat()));
        assert!(!jpeg_ends(&[start, end].concat()));
        assert!(!jpeg_ends(&[start, scan, &[0xFF]].concat()));
        assert!(!jpeg_ends(
            &[start, scan, &[0xFF, 0xDA, 0xFF, 0xFF]].concat()
        ));
        assert!(!jpeg_ends(&[]));
    }

    #[test]
    fn webp_chunks_must_fit_into_the_file_and_into_their_frame() {
        let frame = [0, 0, 0, 0x9D, 1, 0x2A, 5, 0, 7, 0x40];
        let chunk = |name: &[u8; 4], payload: &[u8]| {
            [
                name.as_slice(),
                &(payload.len() as u32).to_le_bytes(),
                payload,
            ]
            .concat()
        };
        let still = chunk(b"VP8 ", &frame);
        assert_eq!(webp_frames(&still), Some(vec![(5, 7)]));
        let animated = chunk(b"ANMF", &[&[0; 16], still.as_slice()].concat());
        let file = [chunk(b"EXIF", &[1, 2]), animated.clone()].concat();
        assert_eq!(webp_frames(&file), Some(vec![(5, 7)]));
        assert_eq!(webp_frames(&file[..file.len() - 1]), None);
        let mut hidden = animated;
        hidden[8 + 16 + 4] = 11;
        assert_eq!(webp_frames(&hidden), None);
    }
}
