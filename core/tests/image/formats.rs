//! What cameras, shops and the web write decodes to the colours that were meant.

use pocketlens::image::{Limits, Orientation, Pixels, decode, read_photo};

use crate::made::{self, Png};

fn decoded(bytes: &[u8]) -> Pixels {
    decode(bytes, &Limits::default()).unwrap()
}

fn stored(name: &str) -> Pixels {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/image/");
    read_photo(format!("{folder}{name}"), &Limits::default()).unwrap()
}

#[track_caller]
fn assert_close(found: [u8; 3], expected: [u8; 3], tolerance: u8, what: &str) {
    let close = found
        .iter()
        .zip(expected)
        .all(|(&a, b)| a.abs_diff(b) <= tolerance);
    assert!(
        close,
        "{what}: expected {expected:?} ± {tolerance}, found {found:?}"
    );
}

/// Compares with the scene at the middle of every flat block, turned as `orientation` says.
#[track_caller]
fn assert_shows_scene(found: &Pixels, orientation: Orientation, tolerance: u8, what: &str) {
    let (width, height, data) = made::scene();
    let expected = orientation.apply(Pixels::from_rgb(width, height, data).unwrap());
    assert_eq!(
        (found.width(), found.height()),
        (expected.width(), expected.height()),
        "{what}"
    );
    for y in (4..found.height()).step_by(8) {
        for x in (4..found.width()).step_by(8) {
            assert_close(found.get(x, y), expected.get(x, y), tolerance, what);
        }
    }
}

#[test]
fn plain_files_show_the_scene() {
    assert_shows_scene(&decoded(&made::jpeg()), Orientation::Upright, 3, "JPEG");
    assert_shows_scene(
        &decoded(&Png::scene().bytes()),
        Orientation::Upright,
        0,
        "PNG",
    );
    assert_shows_scene(&decoded(&made::webp()), Orientation::Upright, 0, "WebP");
}

#[test]
fn exif_turns_jpeg_png_and_webp_upright() {
    for number in 1..=8 {
        let orientation = Orientation::from_exif(number).unwrap();
        for big_endian in [false, true] {
            let exif = made::exif(number, big_endian);
            let what = format!("EXIF {number}, big endian {big_endian}");

            let jpeg = made::jpeg_with_exif(&exif);
            assert_shows_scene(&decoded(&jpeg), orientation, 3, &what);

            let mut png = Png::scene();
            png.before.push(made::png_chunk(b"eXIf", &exif));
            assert_shows_scene(&decoded(&png.bytes()), orientation, 0, &what);

            let bitstream = made::webp()[12..].to_vec();
            for prefix in [b"".as_slice(), b"Exif\0\0"] {
                let chunk = made::webp_chunk(b"EXIF", &[prefix, &exif].concat());
                let webp = made::webp_extended(0x08, &[bitstream.clone(), chunk]);
                assert_shows_scene(&decoded(&webp), orientation, 0, &what);
            }
        }
    }
}

#[test]
fn a_damaged_exif_block_loses_the_orientation_only() {
    let whole = made::exif(6, true);
    let blocks = [
        made::exif(0, true),
        made::exif(9, false),
        b"nonsense".to_vec(),
    ];
    let cut = (0..18).map(|length| whole[..length].to_vec());
    for exif in blocks.into_iter().chain(cut) {
        let jpeg = made::jpeg_with_exif(&exif);
        assert_shows_scene(
            &decoded(&jpeg),
            Orientation::Upright,
            3,
            &format!("{exif:?}"),
        );
    }
}

#[test]
fn png_of_every_kind_becomes_rgb() {
    let wide = |values: &[u16]| {
        values
            .iter()
            .flat_map(|v| v.to_be_bytes())
            .collect::<Vec<u8>>()
    };
    let palette = made::png_chunk(b"PLTE", &[255, 0, 0, 1, 2, 3]);
    let transparency = made::png_chunk(b"tRNS", &[0, 255]);
    let mut indexed = Png::new(2, 1, 1, 3, vec![0b0100_0000]);
    indexed.before = vec![palette.clone()];
    let mut see_through = Png::new(2, 1, 8, 3, vec![0, 1]);
    see_through.before = vec![palette, transparency];
    for (what, png, left, right) in [
        (
            "1-bit grey",
            Png::new(2, 1, 1, 0, vec![0b0100_0000]),
            [0; 3],
            [255; 3],
        ),
        (
            "4-bit grey",
            Png::new(2, 1, 4, 0, vec![0x3C]),
            [0x33; 3],
            [0xCC; 3],
        ),
        (
            "8-bit grey",
            Png::new(2, 1, 8, 0, vec![7, 200]),
            [7; 3],
            [200; 3],
        ),
        (
            "16-bit grey",
            Png::new(2, 1, 16, 0, wide(&[0x7FFF, 0xFFFF])),
            [127; 3],
            [255; 3],
        ),
        // 0.2 of 100 over 255 is 224; nothing over white is white.
        (
            "grey and alpha",
            Png::new(2, 1, 8, 4, vec![100, 51, 9, 0]),
            [224; 3],
            [255; 3],
        ),
        (
            "16-bit grey and alpha",
            Png::new(2, 1, 16, 4, wide(&[100 * 257, 51 * 257, 0, 0xFFFF])),
            [224; 3],
            [0; 3],
        ),
        (
            "16-bit RGB",
            Png::new(2, 1, 16, 2, wide(&[0, 128, 129, 257, 65_535, 25_700])),
            [0, 0, 1],
            [1, 255, 100],
        ),
        (
            "RGB and alpha",
            Png::new(2, 1, 8, 6, vec![100, 0, 255, 51, 1, 2, 3, 255]),
            [224, 204, 255],
            [1, 2, 3],
        ),
        (
            "16-bit RGB and alpha",
            Png::new(2, 1, 16, 6, wide(&[25_700, 0, 65_535, 13_107, 9, 9, 9, 0])),
            [224, 204, 255],
            [255; 3],
        ),
        ("1-bit palette", indexed, [255, 0, 0], [1, 2, 3]),
        ("palette with alpha", see_through, [255; 3], [1, 2, 3]),
    ] {
        let found = decoded(&png.bytes());
        assert_eq!((found.get(0, 0), found.get(1, 0)), (left, right), "{what}");
    }
}

#[test]
fn inverted_cmyk_and_ycck_jpeg_show_their_inks() {
    // Cyan, magenta, yellow and black, a quarter of the width each.
    let inks = [[0, 255, 255], [255, 0, 255], [255, 255, 0], [0, 0, 0]];
    for name in ["cmyk.jpg", "cmyk-progressive.jpg", "ycck.jpg"] {
        let found = stored(name);
        for (x, ink) in (4..).step_by(8).zip(inks) {
            assert_close(found.get(x, 12), ink, 4, name);
        }
    }
}

#[test]
fn progressive_subsampled_and_lossy_files_show_their_gradient() {
    // Red grows from left to right, green from top to bottom.
    for name in ["progressive.jpg", "subsampled.jpg", "lossy.webp"] {
        let found = stored(name);
        assert_eq!((found.width(), found.height()), (32, 24));
        for (x, y) in [(4, 4), (28, 4), (4, 20), (28, 20), (16, 12)] {
            let expected = [(x * 255 / 31) as u8, (y * 255 / 23) as u8, 64];
            assert_close(found.get(x, y), expected, 12, name);
        }
    }
    // The left half is transparent.
    let found = stored("lossy-alpha.webp");
    assert_eq!(found.get(3, 12), [255; 3]);
    assert_close(found.get(28, 12), [230, 133, 64], 12, "lossy-alpha.webp");
}

#[test]
fn animations_show_their_first_frame() {
    let (width, height, data) = made::scene();
    let other: Vec<u8> = data.iter().map(|&v| 255 - v).collect();

    // APNG: the default image is the first frame, a second one follows.
    let mut png = Png::scene();
    let control = |sequence: u8| {
        let (width, height) = (width.to_be_bytes(), height.to_be_bytes());
        let place = [[0, 0, 0, sequence], width, height, [0; 4], [0; 4]].concat();
        made::png_chunk(b"fcTL", &[place, vec![0, 1, 0, 10, 0, 0]].concat())
    };
    png.before = vec![
        made::png_chunk(b"acTL", &[0, 0, 0, 2, 0, 0, 0, 0]),
        control(0),
    ];
    let second = [vec![0, 0, 0, 2], made::png_data(&other, 3 * width as usize)].concat();
    png.after = vec![control(1), made::png_chunk(b"fdAT", &second)];
    assert_shows_scene(&decoded(&png.bytes()), Orientation::Upright, 0, "APNG");

    let bitstream = made::webp()[12..].to_vec();
    let frame = made::webp_frame(&bitstream);
    let animation = made::webp_chunk(b"ANIM", &[255, 255, 255, 255, 0, 0]);
    let webp = made::webp_extended(0x02, &[animation, frame.clone(), frame]);
    // The decoder blends the frame onto its canvas, which costs a level.
    assert_shows_scene(&decoded(&webp), Orientation::Upright, 1, "animated WebP");
}

#[test]
fn what_follows_the_image_does_not_matter() {
    // Phones append a second picture or a clip to a JPEG.
    let jpeg = [made::jpeg(), made::jpeg()[..200].to_vec()].concat();
    assert_shows_scene(&decoded(&jpeg), Orientation::Upright, 3, "JPEG and a half");
    let png = [Png::scene().bytes(), vec![0; 99]].concat();
    assert_shows_scene(&decoded(&png), Orientation::Upright, 0, "PNG and zeros");
}
