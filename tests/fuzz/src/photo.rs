//! A photo file: the decoder of JPEG of this library and those of the crate `image`, EXIF, crop and resize.

use pocketlens::image::{Limits, Photo, Region, Sizing, decode};

const LIMITS: Limits = Limits {
    max_pixels: 1 << 18,
    max_side: 4096,
    max_encoded_bytes: 1 << 18,
    max_decoded_bytes: 1 << 20,
};
const SIZING: Sizing = Sizing {
    longest_side: 64,
    multiple: 32,
};
const CORNER: Region = Region::Relative {
    x: 0.6,
    y: -0.1,
    width: 0.7,
    height: 0.4,
};

/// Decodes it in full and reduced. What comes out keeps the limits.
pub fn feed(bytes: &[u8]) -> bool {
    let full = decode(bytes, &LIMITS);
    let mut understood = full.is_ok();
    if let Ok(pixels) = &full {
        let (width, height) = (pixels.width(), pixels.height());
        LIMITS.check_size(width, height).expect("checked before");
    }
    for region in [None, Some(&CORNER)] {
        let Ok(photo) = Photo::decode(bytes, region, &SIZING, &LIMITS) else {
            continue;
        };
        let size = (photo.width(), photo.height());
        LIMITS.check_size(size.0, size.1).expect("checked before");
        if let Ok(full) = &full {
            assert_eq!(size, (full.width(), full.height()));
        }
        let input = photo
            .fit(region, &SIZING)
            .expect("looked at while decoding");
        assert_eq!(input.width().max(input.height()), SIZING.longest_side);
        understood = true;
    }
    understood
}
