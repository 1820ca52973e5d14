//! Against the `image` crate's decoder, and against the full picture averaged.

use std::io::Cursor;

use image::codecs::jpeg::{JpegDecoder, JpegEncoder};
use image::{DynamicImage, ExtendedColorType};
use proptest::prelude::*;

use super::{Header, Scale};
use crate::image::Pixels;

fn stored(name: &str) -> Vec<u8> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/image/");
    std::fs::read(format!("{folder}{name}")).unwrap()
}

/// Files of libjpeg's `cjpeg`, named by luma's sampling; those below are decoded here.
const SAMPLED: [&str; 13] = [
    "1x1", "2x1", "1x2", "2x2", "4x1", "1x4", "4x2", "3x1", "3x2", "2x4", "restart", "rgb", "grey",
];

fn sampled(name: &str) -> Vec<u8> {
    stored(&format!("sampled/{name}.jpg"))
}

fn decoded(bytes: &[u8], scale: Scale) -> Option<Pixels> {
    Some(Header::parse(bytes)?.decode(scale)?.0)
}

/// What the full decoder of the `image` crate sees.
fn reference(bytes: &[u8]) -> Pixels {
    let decoder = JpegDecoder::new(Cursor::new(bytes)).unwrap();
    let rgb = DynamicImage::from_decoder(decoder).unwrap().into_rgb8();
    Pixels::from_rgb(rgb.width(), rgb.height(), rgb.into_raw()).unwrap()
}

/// Waves of every colour, a rectangle's hard edges and some noise.
fn texture(width: u32, height: u32, noise: u32) -> Vec<u8> {
    let mut state = 9_u32;
    let mut data = Vec::new();
    for y in 0..height {
        for x in 0..width {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let grain = ((state >> 16) % (2 * noise + 1)) as f32 - noise as f32;
            let (x, y) = (x as f32, y as f32);
            let edge = if (x - 40.0).abs() < 15.0 && (y - 25.0).abs() < 12.0 {
                60.0
            } else {
                0.0
            };
            let wave = [
                (x / 9.0).sin() * (y / 7.0).cos(),
                (x / 13.0 + y / 11.0).sin(),
                (y / 9.0 - x / 17.0).cos(),
            ];
            data.extend(
                wave.map(|wave| (110.0 + 80.0 * wave + edge + grain).clamp(0.0, 255.0) as u8),
            );
        }
    }
    data
}

fn encode(width: u32, height: u32, quality: u8, grey: bool) -> Vec<u8> {
    let mut data = texture(width, height, 6);
    let mut color = ExtendedColorType::Rgb8;
    if grey {
        data = data.into_iter().step_by(3).collect();
        color = ExtendedColorType::L8;
    }
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, quality)
        .encode(&data, width, height, color)
        .unwrap();
    bytes
}

/// Largest and mean difference.
fn differences(a: &[u8], b: &[u8]) -> (u8, f64) {
    assert_eq!(a.len(), b.len());
    let each = || a.iter().zip(b).map(|(&a, &b)| a.abs_diff(b));
    let sum: u64 = each().map(u64::from).sum();
    (each().max().unwrap(), sum as f64 / a.len() as f64)
}

/// Means of squares of `divisor` pixels, of what there is of them at the edges.
fn averaged(pixels: &Pixels, divisor: u32) -> Vec<u8> {
    let (width, height) = (pixels.width(), pixels.height());
    let mut out = Vec::new();
    for top in (0..height).step_by(divisor as usize) {
        for left in (0..width).step_by(divisor as usize) {
            let (right, bottom) = ((left + divisor).min(width), (top + divisor).min(height));
            let count = (right - left) * (bottom - top);
            for channel in 0..3 {
                let square = (top..bottom).flat_map(|y| (left..right).map(move |x| (x, y)));
                let sum: u32 = square
                    .map(|(x, y)| u32::from(pixels.get(x, y)[channel]))
                    .sum();
                out.push(((sum + count / 2) / count) as u8);
            }
        }
    }
    out
}

#[test]
fn the_full_picture_is_the_reference_s() {
    for name in SAMPLED {
        let bytes = sampled(name);
        let found = decoded(&bytes, Scale::Full).unwrap();
        // The reference knows neither plain RGB nor samplings of three: the same picture, coded
        // in another way, is near enough to tell wrong colours and places.
        let (expected, most) = match name {
            "rgb" => (reference(&sampled("1x1")), 40),
            "3x1" | "3x2" => (reference(&sampled("2x2")), 90),
            _ => (reference(&bytes), 3),
        };
        let (worst, mean) = differences(found.data(), expected.data());
        assert!(worst <= most && mean < 5.0, "{name}: {worst}, {mean}");
    }
    for (width, height) in [
        (1, 1),
        (7, 3),
        (8, 8),
        (9, 17),
        (64, 48),
        (65, 31),
        (3, 200),
    ] {
        for quality in [5, 50, 90, 100] {
            for grey in [false, true] {
                let bytes = encode(width, height, quality, grey);
                let found = decoded(&bytes, Scale::Full).unwrap();
                let (worst, _) = differences(found.data(), reference(&bytes).data());
                assert!(
                    worst <= 3,
                    "{width}×{height} at {quality}, grey {grey}: {worst}"
                );
            }
        }
    }
}

#[test]
fn scaled_pictures_are_averages_of_the_full_one() {
    let made = [(96, 64), (83, 61), (17, 9), (1, 1)].map(|(w, h)| encode(w, h, 90, false));
    let files = SAMPLED.map(|name| (name, sampled(name)));
    let made = made.into_iter().map(|bytes| ("made", bytes));
    for (name, bytes) in files.into_iter().chain(made) {
        let full = decoded(&bytes, Scale::Full).unwrap();
        for scale in [Scale::Half, Scale::Quarter, Scale::Eighth] {
            let found = decoded(&bytes, scale).unwrap();
            let divisor = scale.divisor();
            let sides = (
                full.width().div_ceil(divisor),
                full.height().div_ceil(divisor),
            );
            assert_eq!((found.width(), found.height()), sides);
            let (_, mean) = differences(found.data(), &averaged(&full, divisor));
            // Chroma of every third column has no scaled transform of its own.
            let most = if name.starts_with('3') { 12.0 } else { 6.0 };
            assert!(mean < most, "{name} {scale:?}: {mean}");
        }
    }
}

#[test]
fn blocks_of_a_flat_color_keep_it_at_every_scale() {
    let data: Vec<u8> = [200, 30, 90].repeat(50 * 40);
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, 95)
        .encode(&data, 50, 40, ExtendedColorType::Rgb8)
        .unwrap();
    let expected = reference(&bytes).get(0, 0);
    for scale in Scale::ALL {
        for pixel in decoded(&bytes, scale).unwrap().data().chunks_exact(3) {
            assert!(
                pixel.iter().zip(expected).all(|(&a, b)| a.abs_diff(b) <= 1),
                "{pixel:?}"
            );
        }
    }
}

#[test]
fn other_processes_are_left_to_the_full_decoder() {
    for name in [
        "progressive.jpg",
        "cmyk.jpg",
        "ycck.jpg",
        "sampled/progressive.jpg",
        "sampled/arithmetic.jpg",
        "sampled/planes.jpg",
    ] {
        assert!(Header::parse(&stored(name)).is_none(), "{name}");
    }
}

#[test]
fn missing_tables_and_odd_headers_are_left_to_the_full_decoder() {
    let bytes = sampled("2x2");
    let at = |marker: u8| {
        bytes
            .windows(2)
            .position(|pair| pair == [0xFF, marker])
            .unwrap()
    };
    for (what, place, value) in [
        ("no quantisation table", at(0xDB) + 4, 3),
        ("a quantisation table of no kind", at(0xDB) + 4, 0x20),
        ("no DC code", at(0xC4) + 4, 3),
        ("no sampling", at(0xC0) + 11, 0),
        ("a sampling of five", at(0xC0) + 11, 0x51),
        ("twelve bits", at(0xC0) + 4, 12),
        ("a table that cannot be", at(0xC0) + 12, 9),
        ("an unknown component", at(0xDA) + 5, 77),
        ("part of the spectrum", at(0xDA) + 12, 5),
        ("no columns", at(0xC0) + 8, 0),
    ] {
        let mut bytes = bytes.clone();
        bytes[place] = value;
        assert!(decoded(&bytes, Scale::Eighth).is_none(), "{what}");
    }
}

#[test]
fn data_that_ends_early_is_left_to_the_full_decoder() {
    for name in ["2x2", "restart", "grey"] {
        let bytes = sampled(name);
        let scan = bytes
            .windows(2)
            .position(|pair| pair == [0xFF, 0xDA])
            .unwrap();
        for end in [scan + 20, bytes.len() / 2, bytes.len() - 20] {
            let cut = [&bytes[..end.max(scan + 16)], &[0xFF, 0xD9]].concat();
            for scale in Scale::ALL {
                assert!(decoded(&cut, scale).is_none(), "{name} cut at {end}");
            }
        }
    }
}

#[test]
fn a_lost_restart_marker_is_noticed() {
    let mut bytes = sampled("restart");
    let marker = bytes
        .windows(2)
        .position(|pair| pair == [0xFF, 0xD1])
        .unwrap();
    bytes[marker + 1] = 0xD2;
    assert!(decoded(&bytes, Scale::Eighth).is_none());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn mutated_files_never_panic(
        which in 0..SAMPLED.len(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        cut in prop::option::weighted(0.2, any::<prop::sample::Index>()),
        scale in prop::sample::select(&Scale::ALL),
    ) {
        let mut file = sampled(SAMPLED[which]);
        for (at, value) in changes {
            let at = at.index(file.len());
            file[at] = value;
        }
        if let Some(cut) = cut {
            file.truncate(cut.index(file.len()));
        }
        if let Some(header) = Header::parse(&file)
            && u64::from(header.width()) * u64::from(header.height()) <= 1 << 20
        {
            header.decode(scale);
        }
    }
}
