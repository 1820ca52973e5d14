//! Camera frames against a slow definition in floating point: convert, turn, and resize all of it.

use pocketlens::image::{
    Frame, ImageError, Orientation, Pixels, Plane, Region, Sizing, YuvColors, fit,
};

/// Smooth shapes, as cameras see them: what is averaged before or after conversion differs little.
fn sample(x: u32, y: u32, phase: u32) -> u8 {
    let wave = |at: u32, length: u32| {
        let at = (at + phase) % (2 * length);
        at.min(2 * length - at) * 255 / length
    };
    ((wave(x, 97) + wave(y, 71) + wave(x + y, 131)) / 3) as u8
}

fn planes(width: u32, height: u32) -> [Vec<u8>; 3] {
    let (columns, rows) = (width.div_ceil(2), height.div_ceil(2));
    let fill = |width: u32, height: u32, step: u32, phase: u32| {
        let samples = (0..height).flat_map(|y| (0..width).map(move |x| (x * step, y * step)));
        samples.map(|(x, y)| sample(x, y, phase)).collect()
    };
    [
        fill(width, height, 1, 0),
        fill(columns, rows, 2, 40),
        fill(columns, rows, 2, 90),
    ]
}

/// BT.601, 0 to 255.
fn convert([y, u, v]: [u8; 3]) -> [u8; 3] {
    let [y, u, v] = [f64::from(y), f64::from(u) - 128.0, f64::from(v) - 128.0];
    let rgb = [
        y + 1.402 * v,
        y - 0.344_136 * u - 0.714_136 * v,
        y + 1.772 * u,
    ];
    rgb.map(|channel| channel.round().clamp(0.0, 255.0) as u8)
}

fn converted([y, u, v]: &[Vec<u8>; 3], width: u32, height: u32) -> Pixels {
    let bytes = (0..height).flat_map(|row| (0..width).map(move |column| (row, column)));
    let bytes = bytes.flat_map(|(row, column)| {
        let chroma = (row / 2 * width.div_ceil(2) + column / 2) as usize;
        convert([y[(row * width + column) as usize], u[chroma], v[chroma]])
    });
    Pixels::from_rgb(width, height, bytes.collect()).unwrap()
}

fn differences(a: &Pixels, b: &Pixels) -> (f64, u8) {
    assert_eq!((a.width(), a.height()), (b.width(), b.height()));
    let differences: Vec<u8> = a
        .data()
        .iter()
        .zip(b.data())
        .map(|(a, b)| a.abs_diff(*b))
        .collect();
    let sum: f64 = differences
        .iter()
        .map(|&difference| f64::from(difference))
        .sum();
    (
        sum / differences.len() as f64,
        *differences.iter().max().unwrap(),
    )
}

#[test]
fn frames_become_what_a_full_conversion_becomes() {
    for (width, height) in [
        (640, 480),
        (1281, 721),
        (322, 259),
        (1920, 1080),
        (2600, 1950),
    ] {
        let planes = planes(width, height);
        let i420 = planes.concat();
        for exif in [1, 3, 6, 8, 2, 5] {
            let turn = Orientation::from_exif(exif).unwrap();
            let frame = Frame::i420(&i420, width, height).unwrap().turned(turn);
            let upright = turn.apply(converted(&planes, width, height));
            let middle = Region::Relative {
                x: 0.25,
                y: 0.25,
                width: 0.5,
                height: 0.5,
            };
            for region in [None, Some(&middle)] {
                let found = frame.fit(region, &Sizing::default()).unwrap();
                let expected = fit(&upright, region, &Sizing::default()).unwrap();
                let (mean, largest) = differences(&found, &expected);
                assert!(
                    mean < 1.5 && largest <= 16,
                    "{width}×{height}, EXIF {exif}, {region:?}: {mean} {largest}"
                );
            }
        }
    }
}

#[test]
fn all_layouts_of_one_frame_give_the_same_bytes() {
    let (width, height) = (801, 603);
    let planes = planes(width, height);
    let expected = Frame::i420(&planes.concat(), width, height)
        .unwrap()
        .fit(None, &Sizing::default())
        .unwrap();
    let turns = |first: &[u8], second: &[u8]| -> Vec<u8> {
        first
            .iter()
            .zip(second)
            .flat_map(|(a, b)| [*a, *b])
            .collect()
    };
    let nv12 = [planes[0].clone(), turns(&planes[1], &planes[2])].concat();
    let nv21 = [planes[0].clone(), turns(&planes[2], &planes[1])].concat();
    // Rows further apart than they are long, the last one cut after its last sample.
    let spread = |plane: &[u8], width: u32| {
        let mut spread: Vec<u8> = plane
            .chunks(width as usize)
            .flat_map(|row| [row, &[77; 13]].concat())
            .collect();
        spread.truncate(spread.len() - 13);
        spread
    };
    let half = width.div_ceil(2);
    let spread = [
        spread(&planes[0], width),
        spread(&planes[1], half),
        spread(&planes[2], half),
    ];
    let strided = [(0, width), (1, half), (2, half)].map(|(at, width)| Plane {
        data: &spread[at],
        row_stride: width as usize + 13,
        pixel_stride: 1,
    });
    let frames = [
        Frame::nv12(&nv12, width, height),
        Frame::nv21(&nv21, width, height),
        Frame::yuv420(strided, width, height, YuvColors::default()),
    ];
    for frame in frames {
        assert!(frame.unwrap().fit(None, &Sizing::default()).unwrap() == expected);
    }
}

#[test]
fn colors_in_memory_stay_what_they_are() {
    let (width, height) = (320, 256);
    let pixels = converted(&planes(width, height), width, height);
    let of = |order: [usize; 3]| -> Vec<u8> {
        let pixels = pixels.data().chunks(3);
        pixels
            .flat_map(|p| [p[order[0]], p[order[1]], p[order[2]], 9])
            .collect()
    };
    let (rgba, bgra) = (of([0, 1, 2]), of([2, 1, 0]));
    let stride = 4 * width as usize;
    for frame in [
        Frame::rgba(&rgba, width, height, stride),
        Frame::bgra(&bgra, width, height, stride),
    ] {
        assert!(frame.unwrap().fit(None, &Sizing::default()).unwrap() == pixels);
    }
}

#[test]
fn video_range_is_stretched() {
    let bytes = [vec![16; 64 * 64], vec![128; 64 * 64 / 2]].concat();
    let black = Frame::nv12(&bytes, 64, 64)
        .unwrap()
        .colored(YuvColors::Bt601Video);
    assert!(
        black
            .fit(None, &Sizing::default())
            .unwrap()
            .data()
            .iter()
            .all(|&byte| byte == 0)
    );
    let bytes = [vec![235; 64 * 64], vec![128; 64 * 64 / 2]].concat();
    let white = Frame::nv12(&bytes, 64, 64)
        .unwrap()
        .colored(YuvColors::Bt709Video);
    assert!(
        white
            .fit(None, &Sizing::default())
            .unwrap()
            .data()
            .iter()
            .all(|&byte| byte == 255)
    );
}

#[test]
fn planes_that_are_too_short_are_refused() {
    let bytes = vec![0; 640 * 480 * 3 / 2];
    for (length, width, height) in [
        (bytes.len() - 1, 640, 480),
        (640 * 480, 640, 480),
        (10, 640, 480),
        (bytes.len(), 640, 482),
        (bytes.len(), 0, 480),
        (bytes.len(), 640, u32::MAX),
    ] {
        for frame in [
            Frame::i420(&bytes[..length], width, height),
            Frame::nv12(&bytes[..length], width, height),
            Frame::nv21(&bytes[..length], width, height),
        ] {
            assert!(
                matches!(frame, Err(ImageError::Parameter { .. })),
                "{length} {width} {height}"
            );
        }
    }
    assert!(Frame::rgba(&bytes, 640, 480, 640 * 4).is_err());
    let endless = Plane {
        data: &bytes,
        row_stride: usize::MAX,
        pixel_stride: 1,
    };
    assert!(Frame::yuv420([endless; 3], 64, 64, YuvColors::default()).is_err());
}
