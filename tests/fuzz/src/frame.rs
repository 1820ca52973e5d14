//! A frame of a camera: planes, strides, format, turn, colours and region from bytes.

use pocketlens::image::{Frame, ImageError, Orientation, Plane, Region, Sizing, YuvColors};
use pocketlens::live::Signature;

/// Longest planes.
const LONGEST: usize = 1 << 17;

/// Makes a frame of it and looks at it as a search and a live session do.
pub fn feed(bytes: &[u8]) -> bool {
    let mut numbers = Numbers(bytes);
    let form = numbers.byte();
    let colors = match numbers.byte() % 4 {
        0 => YuvColors::Bt601Full,
        1 => YuvColors::Bt601Video,
        2 => YuvColors::Bt709Full,
        _ => YuvColors::Bt709Video,
    };
    let turn = Orientation::from_exif(numbers.byte().into()).unwrap_or_default();
    let [width, height] = [(); 2].map(|()| numbers.side(form));
    let strides = [(); 6].map(|()| numbers.stride(form));
    let starts = [(); 3].map(|()| numbers.number() as usize);
    let sizing = Sizing {
        longest_side: numbers.number() % 400,
        multiple: numbers.byte().into(),
    };
    let region = numbers.region();
    let length = numbers.number() as usize % LONGEST;
    let samples: Vec<u8> = numbers.0.iter().copied().cycle().take(length).collect();
    let data = |at: usize| samples.get(starts[at]..).unwrap_or_default();
    let plane = |at: usize| Plane {
        data: data(at),
        row_stride: strides[2 * at],
        pixel_stride: strides[2 * at + 1],
    };
    let frame: Result<Frame<'_>, ImageError> = match form % 6 {
        0 => Frame::yuv420([plane(0), plane(1), plane(2)], width, height, colors),
        1 => Frame::i420(data(0), width, height),
        2 => Frame::nv12(data(0), width, height),
        3 => Frame::nv21(data(0), width, height),
        4 => Frame::rgba(data(0), width, height, strides[0]),
        _ => Frame::bgra(data(0), width, height, strides[0]),
    };
    let Ok(frame) = frame else { return false };
    let frame = frame.turned(turn).colored(colors);
    let signature = Signature::of(&frame);
    assert_eq!(signature.distance(&signature), 0.0);
    let Ok(input) = frame.fit(region.as_ref(), &sizing) else {
        return false;
    };
    assert_eq!(input.width().max(input.height()), sizing.longest_side);
    true
}

/// What is left of the input.
struct Numbers<'a>(&'a [u8]);

impl Numbers<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let (taken, rest) = self.0.split_at(N.min(self.0.len()));
        self.0 = rest;
        std::array::from_fn(|at| taken.get(at).copied().unwrap_or_default())
    }

    fn byte(&mut self) -> u8 {
        self.take::<1>()[0]
    }

    fn number(&mut self) -> u32 {
        u32::from_le_bytes(self.take())
    }

    /// Mostly of a small frame, at times anything.
    fn side(&mut self, form: u8) -> u32 {
        match form >> 7 {
            0 => u32::from(u16::from_le_bytes(self.take())) % 512,
            _ => self.number(),
        }
    }

    /// Mostly of a small frame, at times anything.
    fn stride(&mut self, form: u8) -> usize {
        match form >> 7 {
            0 => usize::from(u16::from_le_bytes(self.take()) % 2048),
            _ => u64::from_le_bytes(self.take()) as usize,
        }
    }

    fn region(&mut self) -> Option<Region> {
        match self.byte() % 3 {
            0 => None,
            1 => {
                let [x, y] = [(); 2].map(|()| self.number().cast_signed());
                let [width, height] = [(); 2].map(|()| self.number());
                Some(Region::Pixels {
                    x,
                    y,
                    width,
                    height,
                })
            }
            _ => {
                let [x, y, width, height] = [(); 4].map(|()| f64::from_le_bytes(self.take()));
                Some(Region::Relative {
                    x,
                    y,
                    width,
                    height,
                })
            }
        }
    }
}
