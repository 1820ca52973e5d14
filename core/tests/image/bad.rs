//! Bad files: each is a typed error that says whose fault it is; none panics or fills the memory.

use std::path::Path;

use pocketlens::image::{Format, ImageError, Limits, Photo, Sizing, decode, read_photo};
use proptest::prelude::*;

use crate::made::{self, Png};

/// Small enough that every JPEG here is decoded at an eighth of its size.
const TINY: Sizing = Sizing {
    longest_side: 4,
    multiple: 1,
};

/// What both ways to decode say.
fn error(bytes: &[u8]) -> ImageError {
    let error = decode(bytes, &Limits::default()).expect_err("the file is bad");
    let scaled =
        Photo::decode(bytes, None, &TINY, &Limits::default()).expect_err("the file is bad");
    assert_eq!(scaled.to_string(), error.to_string());
    error
}

#[track_caller]
fn assert_damaged(bytes: &[u8], expected: Format, what: &str) {
    if let Ok(photo) = Photo::decode(bytes, None, &TINY, &Limits::default()) {
        panic!("{what}: expected a damaged {expected}, found {photo:?}");
    }
    match decode(bytes, &Limits::default()) {
        Err(ImageError::Decoding { format, .. }) if format == expected => {}
        other => panic!("{what}: expected a damaged {expected}, found {other:?}"),
    }
}

fn valid() -> [(Format, Vec<u8>); 6] {
    let stored = |name: &str| {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/image/");
        std::fs::read(format!("{folder}{name}")).unwrap()
    };
    [
        (Format::Jpeg, made::jpeg_with_exif(&made::exif(6, true))),
        (Format::Jpeg, stored("progressive.jpg")),
        (Format::Jpeg, stored("ycck.jpg")),
        (Format::Png, Png::scene().bytes()),
        (Format::WebP, made::webp()),
        (Format::WebP, stored("lossy-alpha.webp")),
    ]
}

#[test]
fn other_formats_are_unsupported_by_name() {
    for (bytes, name) in [
        (b"".as_slice(), "an empty file"),
        (b"GIF89a\x01\0", "GIF"),
        (b"\0\0\0\x18ftypheic\0\0", "HEIC"),
        (b"<html><body>404 not found</body></html>", "text"),
        (b"\xFF\xD8", "unknown bytes"),
        (&[0; 5000], "unknown bytes"),
    ] {
        match error(bytes) {
            ImageError::Unsupported { found } => assert_eq!(found, name),
            other => panic!("expected an unsupported {name}, found {other}"),
        }
    }
}

#[test]
fn a_magic_number_and_garbage_is_a_damaged_file() {
    let garbage: Vec<u8> = (0..4000_u32).map(|i| (i * i % 251) as u8).collect();
    for (format, file) in valid() {
        assert_damaged(&[&file[..12], &garbage].concat(), format, "garbage");
        assert_damaged(&file[..12], format, "magic number only");
    }
}

#[test]
fn files_cut_short_anywhere_are_damaged() {
    for (format, file) in valid() {
        // What follows the samples of a PNG is its end chunk only: 12 bytes, and the checksums.
        let last = if format == Format::Png {
            file.len() - 20
        } else {
            file.len()
        };
        for length in (12..last).step_by(7).chain([last - 1]) {
            let what = format!("{length} of {} bytes", file.len());
            assert_damaged(&file[..length], format, &what);
        }
    }
}

#[test]
fn files_whose_rest_is_zero_are_damaged() {
    // What an interrupted download leaves behind in a file of the final length.
    for (format, file) in valid() {
        if file.len() > 600 && format != Format::WebP {
            let mut file = file;
            file[500..].fill(0);
            assert_damaged(&file, format, "zeros from byte 500 on");
        }
    }
}

#[test]
fn headers_without_pixels_are_damaged() {
    for (width, height) in [(0, 8), (8, 0), (0, 0)] {
        let png = Png::new(width, height, 8, 0, vec![0; 64]).bytes();
        assert_damaged(&png, Format::Png, &format!("{width}×{height}"));
    }
    let mut jpeg = made::jpeg();
    let size = jpeg_size_at(&jpeg);
    jpeg[size..size + 2].fill(0);
    assert_damaged(&jpeg, Format::Jpeg, "no rows");
    jpeg[size..size + 4].copy_from_slice(&[0, 64, 0, 0]);
    assert_damaged(&jpeg, Format::Jpeg, "no columns");
}

#[test]
fn small_files_with_huge_headers_are_refused_before_decoding() {
    let mut jpeg = made::jpeg();
    let size = jpeg_size_at(&jpeg);
    jpeg[size..size + 4].fill(0xFF);
    assert_limits(&jpeg, "longest side in pixels", 20_000, 65_535);
    jpeg[size..size + 4].copy_from_slice(&[0x40, 0, 0x40, 0]);
    assert_limits(&jpeg, "area in pixels", 50_000_000, 0x4000 * 0x4000);

    for side in [65_535, 0x7FFF_FFFF] {
        let png = Png::new(side, side, 16, 6, vec![0; 64]).bytes();
        assert_limits(&png, "longest side in pixels", 20_000, side.into());
    }
    let png = Png::new(20_000, 2000, 16, 6, vec![0; 64]).bytes();
    assert_limits(&png, "decoded size in bytes", 200_000_000, 320_000_000);

    // A small canvas whose only frame is large.
    let frame = [
        0x10, 0, 0, 0x9D, 1, 0x2A, 0xFF, 0x3F, 0xFF, 0x3F, 0, 0, 0, 0,
    ];
    let chunk = made::webp_chunk(b"VP8 ", &frame);
    let webp = made::webp_extended(0, std::slice::from_ref(&chunk));
    assert_limits(&webp, "area in pixels", 50_000_000, 16_383 * 16_383);
    let animation = made::webp_chunk(b"ANIM", &[0; 6]);
    let webp = made::webp_extended(0x02, &[animation, made::webp_frame(&chunk)]);
    assert_limits(&webp, "area in pixels", 50_000_000, 16_383 * 16_383);
}

#[test]
fn a_webp_chunk_that_claims_four_gigabytes_is_damaged() {
    let mut chunk = made::webp_chunk(b"EXIF", &made::exif(6, true));
    chunk[4..8].fill(0xFF);
    let webp = made::webp_extended(0x08, &[made::webp()[12..].to_vec(), chunk]);
    assert_damaged(&webp, Format::WebP, "a long EXIF chunk");
}

#[test]
fn a_png_that_inflates_without_end_is_cut_off() {
    // Stored blocks of zeros far beyond what the header announces.
    let mut png = Png::scene();
    png.samples = vec![0; 3_000_000];
    assert!(decode(&png.bytes(), &Limits::default()).is_ok_and(|found| found.width() == 40));
}

#[test]
fn long_files_are_not_read_to_their_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("long.jpg");
    // A sparse file of a terabyte.
    std::fs::File::create(&path)
        .unwrap()
        .set_len(1 << 40)
        .unwrap();
    let limits = Limits {
        max_encoded_bytes: 1000,
        ..Limits::default()
    };
    match read_photo(&path, &limits).unwrap_err() {
        ImageError::Limits {
            what: "file size in bytes",
            limit: 1000,
            found: 1001,
        } => {}
        other => panic!("{other}"),
    }
}

#[test]
fn paths_that_cannot_be_read_are_named() {
    let folder = tempfile::tempdir().unwrap();
    assert_io(folder.path(), "it is a directory");
    assert_io(&folder.path().join("missing.jpg"), "");
    assert_io(Path::new("/dev/null"), "it is not a regular file");
    #[cfg(unix)]
    {
        let pipe = folder.path().join("pipe.jpg");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        if made.is_ok_and(|status| status.success()) {
            assert_io(&pipe, "it is not a regular file");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn mutated_files_never_panic(
        which in 0..6usize,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        cut in prop::option::weighted(0.2, any::<prop::sample::Index>()),
    ) {
        let (_, mut file) = valid()[which].clone();
        for (at, value) in changes {
            let at = at.index(file.len());
            file[at] = value;
        }
        if let Some(cut) = cut {
            file.truncate(cut.index(file.len()));
        }
        let limits = Limits { max_pixels: 1 << 20, ..Limits::default() };
        if let Ok(found) = decode(&file, &limits) {
            prop_assert!(u64::from(found.width()) * u64::from(found.height()) <= 1 << 20);
        }
        if let Ok(found) = Photo::decode(&file, None, &TINY, &limits) {
            prop_assert!(found.fit(None, &TINY).is_ok());
        }
    }
}

#[track_caller]
fn assert_limits(bytes: &[u8], expected: &str, most: u64, asked: u64) {
    match error(bytes) {
        ImageError::Limits { what, limit, found } => {
            assert_eq!((what, limit, found), (expected, most, asked));
        }
        other => panic!("expected {expected}, found {other}"),
    }
}

#[track_caller]
fn assert_io(path: &Path, reason: &str) {
    match read_photo(path, &Limits::default()).unwrap_err() {
        error @ ImageError::Io { .. } => {
            let text = error.to_string();
            assert!(
                text.contains(path.to_str().unwrap()) && text.contains(reason),
                "{text}"
            );
        }
        other => panic!("{other}"),
    }
}

/// Where the height and width stand in the baseline frame header.
fn jpeg_size_at(jpeg: &[u8]) -> usize {
    jpeg.windows(2)
        .position(|marker| marker == [0xFF, 0xC0])
        .unwrap()
        + 5
}
