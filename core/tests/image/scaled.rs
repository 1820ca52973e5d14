//! Photos decoded no larger than their use needs show what the full photo shows.

use image::ExtendedColorType;
use image::codecs::jpeg::JpegEncoder;
use pocketlens::image::{ImageError, Limits, Photo, Pixels, Region, Sizing, decode, fit};

use crate::made;

const SMALL: Sizing = Sizing {
    longest_side: 32,
    multiple: 8,
};

/// Waves, another one a channel, with a rectangle a quarter of the sides in.
fn picture(width: u32, height: u32) -> Pixels {
    let mut data = Vec::new();
    for y in 0..height {
        for x in 0..width {
            let inside =
                (width / 4..width / 2).contains(&x) && (height / 4..height / 2).contains(&y);
            let (u, v) = (x as f32 / 37.0, y as f32 / 29.0);
            let wave = [u.sin() * v.cos(), (u + v).sin(), (2.0 * v - u).cos()];
            let shift = if inside { 50.0 } else { 0.0 };
            data.extend(wave.map(|wave| (100.0 + 90.0 * wave + shift) as u8));
        }
    }
    Pixels::from_rgb(width, height, data).unwrap()
}

fn encoded(pixels: &Pixels) -> Vec<u8> {
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, 90)
        .encode(
            pixels.data(),
            pixels.width(),
            pixels.height(),
            ExtendedColorType::Rgb8,
        )
        .unwrap();
    bytes
}

fn photo(bytes: &[u8], region: Option<&Region>, sizing: &Sizing) -> Photo {
    Photo::decode(bytes, region, sizing, &Limits::default()).unwrap()
}

fn sides(pixels: &Pixels) -> (u32, u32) {
    (pixels.width(), pixels.height())
}

fn mean_difference(a: &Pixels, b: &Pixels) -> f64 {
    assert_eq!(sides(a), sides(b));
    let each = a
        .data()
        .iter()
        .zip(b.data())
        .map(|(&a, &b)| u64::from(a.abs_diff(b)));
    each.sum::<u64>() as f64 / a.data().len() as f64
}

#[test]
fn a_photo_is_decoded_at_the_smallest_size_that_only_shrinks() {
    for ((width, height), expected) in [
        ((256, 192), (32, 24)),
        ((255, 192), (64, 48)),
        ((300, 203), (38, 26)),
        ((256, 190), (64, 48)),
        ((200, 150), (50, 38)),
        ((64, 64), (32, 32)),
        ((63, 64), (63, 64)),
        ((20, 10), (20, 10)),
        // The shorter side's target is never below a multiple.
        ((400, 20), (200, 10)),
    ] {
        let found = photo(&encoded(&picture(width, height)), None, &SMALL);
        assert_eq!((found.width(), found.height()), (width, height));
        assert_eq!(sides(found.pixels()), expected, "{width}×{height}");
    }
}

#[test]
fn the_input_is_that_of_the_full_photo() {
    let corner = Region::Relative {
        x: 0.25,
        y: 0.25,
        width: 0.25,
        height: 0.25,
    };
    let pixels = Region::Pixels {
        x: 131,
        y: 77,
        width: 301,
        height: 123,
    };
    let beyond = Region::Pixels {
        x: 500,
        y: -40,
        width: 400,
        height: 300,
    };
    for (width, height) in [(640, 480), (643, 477), (321, 700)] {
        let bytes = encoded(&picture(width, height));
        let full = decode(&bytes, &Limits::default()).unwrap();
        for sizing in [
            SMALL,
            Sizing {
                longest_side: 96,
                multiple: 32,
            },
        ] {
            for region in [None, Some(&corner), Some(&pixels), Some(&beyond)] {
                let Ok(expected) = fit(&full, region, &sizing) else {
                    assert!(Photo::decode(&bytes, region, &sizing, &Limits::default()).is_err());
                    continue;
                };
                let found = photo(&bytes, region, &sizing).fit(region, &sizing).unwrap();
                let mean = mean_difference(&found, &expected);
                assert!(
                    mean < 3.0,
                    "{width}×{height}, {region:?}, {sizing:?}: {mean}"
                );
            }
        }
    }
}

#[test]
fn a_region_is_decoded_finely_enough_for_itself() {
    let bytes = encoded(&picture(640, 480));
    for (side, expected) in [(32, 640), (64, 320), (128, 160), (256, 80), (300, 80)] {
        let region = Region::Pixels {
            x: 10,
            y: 20,
            width: side,
            height: side,
        };
        let found = photo(&bytes, Some(&region), &SMALL);
        assert_eq!(found.pixels().width(), expected, "{side}");
        // Asked for another region than it was decoded for, it still gives that region's size.
        assert_eq!(sides(&found.fit(None, &SMALL).unwrap()), (32, 24));
    }
}

#[test]
fn exif_turns_scaled_photos_and_their_regions() {
    let stored = picture(400, 280);
    let plain = encoded(&stored);
    let region = Region::Pixels {
        x: 20,
        y: 60,
        width: 180,
        height: 150,
    };
    for number in 1..=8 {
        let bytes = made::with_exif(&plain, &made::exif(number, number % 2 == 0));
        let full = decode(&bytes, &Limits::default()).unwrap();
        let found = photo(&bytes, Some(&region), &SMALL);
        assert_eq!(
            (found.width(), found.height()),
            sides(&full),
            "EXIF {number}"
        );
        assert!(found.pixels().width() < full.width());
        let expected = fit(&full, Some(&region), &SMALL).unwrap();
        let mean = mean_difference(&found.fit(Some(&region), &SMALL).unwrap(), &expected);
        assert!(mean < 3.0, "EXIF {number}: {mean}");
    }
}

#[test]
fn what_is_not_sequential_jpeg_is_decoded_in_full() {
    for name in [
        "progressive.jpg",
        "cmyk.jpg",
        "sampled/progressive.jpg",
        "sampled/planes.jpg",
        "lossy.webp",
    ] {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/image/");
        let bytes = std::fs::read(format!("{folder}{name}")).unwrap();
        let full = decode(&bytes, &Limits::default()).unwrap();
        let tiny = Sizing {
            longest_side: 8,
            multiple: 8,
        };
        let found = photo(&bytes, None, &tiny);
        assert!(*found.pixels() == full, "{name}");
        assert!(
            found.fit(None, &tiny).unwrap() == fit(&full, None, &tiny).unwrap(),
            "{name}"
        );
    }
}

#[test]
fn regions_and_sizings_that_cannot_be_are_refused() {
    let bytes = encoded(&picture(100, 80));
    let outside = Region::Pixels {
        x: 100,
        y: 0,
        width: 5,
        height: 5,
    };
    let uneven = Sizing {
        longest_side: 33,
        multiple: 8,
    };
    for (region, sizing) in [(Some(&outside), &SMALL), (None, &uneven)] {
        let error = Photo::decode(&bytes, region, sizing, &Limits::default()).unwrap_err();
        assert!(matches!(error, ImageError::Parameter { .. }), "{error}");
    }
}

#[test]
fn limits_mean_the_full_photo() {
    let bytes = encoded(&picture(400, 300));
    let limits = Limits {
        max_pixels: 100_000,
        ..Limits::default()
    };
    match Photo::decode(&bytes, None, &SMALL, &limits).unwrap_err() {
        ImageError::Limits {
            what: "area in pixels",
            limit: 100_000,
            found: 120_000,
        } => {}
        other => panic!("{other}"),
    }
}

#[test]
fn the_same_bytes_on_every_platform() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/image/sampled/");
    let bytes = std::fs::read(format!("{folder}2x2.jpg")).unwrap();
    let checksum = |longest_side| {
        let sizing = Sizing {
            longest_side,
            multiple: 1,
        };
        crc32fast::hash(photo(&bytes, None, &sizing).pixels().data())
    };
    let found = [80, 40, 20, 10].map(checksum);
    assert_eq!(
        found,
        [811_289_239, 3_607_419_788, 3_473_495_108, 384_834_738]
    );
}
