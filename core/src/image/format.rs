//! Which format a file is in, told from its first bytes: names lie, downloads have none.

use std::fmt;

/// The formats that [`decode`](super::decode()) reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// ISO/IEC 10918-1, baseline and progressive.
    Jpeg,
    /// ISO/IEC 15948; of an animation, the default image.
    Png,
    /// RFC 9649, lossy and lossless; of an animation, the first frame.
    WebP,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Jpeg => "JPEG",
            Self::Png => "PNG",
            Self::WebP => "WebP",
        })
    }
}

/// The format that the first bytes announce, or `None`. Says nothing about the rest.
pub fn sniff(bytes: &[u8]) -> Option<Format> {
    if bytes.starts_with(&[0xFF, 0xD8, 0xFF]) {
        Some(Format::Jpeg)
    } else if bytes.starts_with(b"\x89PNG\r\n\x1A\n") {
        Some(Format::Png)
    } else if is_riff(bytes, b"WEBP") {
        Some(Format::WebP)
    } else {
        None
    }
}

/// A name for bytes that [`sniff`] does not know: what a user would call them, so that the error
/// tells more than "unknown".
#[cfg(feature = "codecs")]
pub(super) fn name_unknown(bytes: &[u8]) -> &'static str {
    let brand = |brands: &[&[u8; 4]]| {
        bytes.get(4..8) == Some(b"ftyp".as_slice())
            && brands
                .iter()
                .any(|brand| bytes.get(8..12) == Some(brand.as_slice()))
    };
    if bytes.is_empty() {
        "an empty file"
    } else if brand(&[
        b"heic", b"heix", b"heim", b"heis", b"mif1", b"msf1", b"hevc",
    ]) {
        "HEIC"
    } else if brand(&[b"avif", b"avis"]) {
        "AVIF"
    } else if bytes.starts_with(b"GIF8") {
        "GIF"
    } else if bytes.starts_with(b"BM") {
        "BMP"
    } else if bytes.starts_with(b"II*\0") || bytes.starts_with(b"MM\0*") {
        "TIFF"
    } else if bytes.starts_with(b"\xFF\x0A") || bytes.starts_with(b"\0\0\0\x0CJXL ") {
        "JPEG XL"
    } else if bytes.starts_with(b"%PDF") {
        "PDF"
    } else if bytes
        .iter()
        .take(64)
        .all(|b| matches!(b, b'\t' | b'\n' | b'\r' | b' '..=b'~'))
    {
        "text"
    } else {
        "unknown bytes"
    }
}

fn is_riff(bytes: &[u8], kind: &[u8; 4]) -> bool {
    bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(kind.as_slice())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_told_from_their_first_bytes() {
        assert_eq!(sniff(b"\xFF\xD8\xFF\xE0"), Some(Format::Jpeg));
        assert_eq!(sniff(b"\x89PNG\r\n\x1A\n...."), Some(Format::Png));
        assert_eq!(sniff(b"RIFF\0\0\0\0WEBPVP8 "), Some(Format::WebP));
        for other in [
            b"".as_slice(),
            b"\xFF\xD8",
            b"RIFF\0\0\0\0WAVE",
            b"RIFF",
            b"GIF89a",
        ] {
            assert_eq!(sniff(other), None, "{other:?}");
        }
    }

    #[cfg(feature = "codecs")]
    #[test]
    fn unknown_bytes_get_a_useful_name() {
        assert_eq!(name_unknown(b""), "an empty file");
        assert_eq!(name_unknown(b"\0\0\0\x18ftypheic\0\0\0\0"), "HEIC");
        assert_eq!(name_unknown(b"\0\0\0\x18ftypavif\0\0\0\0"), "AVIF");
        assert_eq!(name_unknown(b"<!DOCTYPE html>"), "text");
        assert_eq!(name_unknown(b"\x01\x02\x03"), "unknown bytes");
    }
}
