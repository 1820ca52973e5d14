//! How large a photo may be: what stands between a decompression bomb and a phone's memory.

use super::ImageError;

/// Limits that hold before a byte of pixels is allocated.
///
/// The defaults suit a phone with 2 GB of memory: every phone camera's photo passes (the largest
/// common sensors write 50 megapixels), and decoding never holds more than about
/// `max_decoded_bytes` of samples at a time. (A progressive JPEG needs 6 bytes a pixel more
/// while it is decoded; catalogues use those, cameras do not.)
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most pixels, width × height. Default: 50 million.
    pub max_pixels: u64,
    /// Longest width or height in pixels. Default: 20,000.
    pub max_side: u32,
    /// Longest file in bytes. Default: 64 MiB.
    pub max_encoded_bytes: u64,
    /// Most bytes of decoded samples at a time. Default: 200 million, four a pixel of the largest
    /// photo: 8-bit RGBA up to `max_pixels`, and half of that at 16 bits. A JPEG that is decoded at
    /// a fraction of its size needs a fraction of them.
    pub max_decoded_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_pixels: 50_000_000,
            max_side: 20_000,
            max_encoded_bytes: 64 << 20,
            max_decoded_bytes: 200_000_000,
        }
    }
}

impl Limits {
    /// Refuses a file of `bytes` bytes that is too long.
    pub fn check_encoded(&self, bytes: u64) -> Result<(), ImageError> {
        at_most("file size in bytes", self.max_encoded_bytes, bytes)
    }

    /// Refuses an image of `width` × `height` pixels that is too large.
    pub fn check_size(&self, width: u32, height: u32) -> Result<(), ImageError> {
        at_most(
            "longest side in pixels",
            self.max_side.into(),
            width.max(height).into(),
        )?;
        at_most(
            "area in pixels",
            self.max_pixels,
            u64::from(width) * u64::from(height),
        )
    }

    /// Refuses samples of `bytes` bytes in all.
    #[cfg(feature = "codecs")]
    pub(super) fn check_decoded(&self, bytes: u64) -> Result<(), ImageError> {
        at_most("decoded size in bytes", self.max_decoded_bytes, bytes)
    }
}

fn at_most(what: &'static str, limit: u64, found: u64) -> Result<(), ImageError> {
    if found <= limit {
        Ok(())
    } else {
        Err(ImageError::Limits { what, limit, found })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_holds_at_its_edge() {
        let limits = Limits {
            max_pixels: 12,
            max_side: 6,
            max_encoded_bytes: 100,
            ..Limits::default()
        };
        assert!(limits.check_size(6, 2).is_ok());
        assert!(limits.check_size(7, 1).is_err());
        assert!(limits.check_size(1, 7).is_err());
        assert!(limits.check_size(4, 4).is_err());
        assert!(limits.check_size(u32::MAX, u32::MAX).is_err());
        assert!(limits.check_encoded(100).is_ok());
        let error = limits.check_encoded(101).unwrap_err();
        assert_eq!(
            error.to_string(),
            "image too large: file size in bytes is limited to 100, found 101",
        );
    }
}
