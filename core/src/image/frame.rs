//! Camera frames: planes as phones hand them over, with a pixel no smaller than its use needs.
//!
//! A preview of 1,920×1,080 becomes an input of 320 pixels: colours are converted after squares of the
//! frame were averaged, once for each pixel that is left, and turning upright comes last, when little
//! is left to turn. All arithmetic is in integers: the same bytes on every platform.

use super::photo::{Photo, divisor_for};
use super::plane::{Plane, means};
use super::{ImageError, Orientation, Pixels, Region, Sizing};
use crate::kernel::Cpu;
use crate::kernel::color::{FRACTION, Factors, to_rgb};

/// The most pixels along a side; a frame is in memory already, so this only catches mistakes.
const LONGEST: u32 = 1 << 14;

/// Which red, green and blue a luma and two chromas mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum YuvColors {
    /// ITU-R BT.601, 0 to 255: JPEG's, and what Android's cameras give.
    #[default]
    Bt601Full,
    /// ITU-R BT.601, luma 16 to 235: `420v` of iOS, most video.
    Bt601Video,
    /// ITU-R BT.709, 0 to 255.
    Bt709Full,
    /// ITU-R BT.709, luma 16 to 235: video in high definition.
    Bt709Video,
}

/// A frame of a camera, borrowed.
///
/// ```
/// use pocketlens::image::{Frame, Orientation, Sizing};
///
/// let (width, height) = (640, 480);
/// let bytes = vec![128; 640 * 480 * 3 / 2];
/// // A phone held upright: the sensor's rows run from bottom to top.
/// let frame = Frame::nv21(&bytes, width, height)?.turned(Orientation::from_exif(6).unwrap());
/// let input = frame.fit(None, &Sizing::default())?;
/// assert_eq!((input.width(), input.height()), (256, 320));
/// # Ok::<(), pocketlens::image::ImageError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    width: u32,
    height: u32,
    samples: Samples<'a>,
    orientation: Orientation,
}

#[derive(Clone, Copy, Debug)]
enum Samples<'a> {
    /// Luma, then two chromas of half the sides, rounded up.
    Yuv([Plane<'a>; 3], YuvColors),
    /// Red, green and blue.
    Rgb([Plane<'a>; 3]),
}

impl<'a> Frame<'a> {
    /// Luma and chroma planes with strides of any kind: Android's `YUV_420_888`, iOS's bi-planar
    /// formats.
    ///
    /// # Errors
    /// [`ImageError::Parameter`] when a plane is shorter than its strides and the size ask for.
    pub fn yuv420(
        [y, u, v]: [Plane<'a>; 3],
        width: u32,
        height: u32,
        colors: YuvColors,
    ) -> Result<Self, ImageError> {
        let (columns, rows) = (width.div_ceil(2), height.div_ceil(2));
        check("luma plane", &y, width, height)?;
        check("first chroma plane", &u, columns, rows)?;
        check("second chroma plane", &v, columns, rows)?;
        Ok(Self::new(width, height, Samples::Yuv([y, u, v], colors)))
    }

    /// Luma, then blue and red chroma, a plane each, without gaps (I420).
    ///
    /// # Errors
    /// As [`Frame::yuv420`].
    pub fn i420(data: &'a [u8], width: u32, height: u32) -> Result<Self, ImageError> {
        let chroma = (width.div_ceil(2) as usize).saturating_mul(height.div_ceil(2) as usize);
        let luma = (width as usize).saturating_mul(height as usize);
        let planes = [
            plane(data, 0, width as usize, 1),
            plane(data, luma, width.div_ceil(2) as usize, 1),
            plane(
                data,
                luma.saturating_add(chroma),
                width.div_ceil(2) as usize,
                1,
            ),
        ];
        Self::yuv420(planes, width, height, YuvColors::default())
    }

    /// Luma, then blue and red chroma in turns, without gaps (NV12).
    ///
    /// # Errors
    /// As [`Frame::yuv420`].
    pub fn nv12(data: &'a [u8], width: u32, height: u32) -> Result<Self, ImageError> {
        Self::semi_planar(data, width, height, [0, 1])
    }

    /// Luma, then red and blue chroma in turns, without gaps (NV21, Android's oldest).
    ///
    /// # Errors
    /// As [`Frame::yuv420`].
    pub fn nv21(data: &'a [u8], width: u32, height: u32) -> Result<Self, ImageError> {
        Self::semi_planar(data, width, height, [1, 0])
    }

    fn semi_planar(
        data: &'a [u8],
        width: u32,
        height: u32,
        [u, v]: [usize; 2],
    ) -> Result<Self, ImageError> {
        let luma = (width as usize).saturating_mul(height as usize);
        let row = (width as usize).next_multiple_of(2);
        let planes = [
            plane(data, 0, width as usize, 1),
            plane(data, luma.saturating_add(u), row, 2),
            plane(data, luma.saturating_add(v), row, 2),
        ];
        Self::yuv420(planes, width, height, YuvColors::default())
    }

    /// Pixels of four bytes, red first, with `row_stride` bytes a row.
    ///
    /// # Errors
    /// As [`Frame::yuv420`].
    pub fn rgba(
        data: &'a [u8],
        width: u32,
        height: u32,
        row_stride: usize,
    ) -> Result<Self, ImageError> {
        Self::interleaved(data, width, height, row_stride, [0, 1, 2])
    }

    /// Pixels of four bytes, blue first, with `row_stride` bytes a row.
    ///
    /// # Errors
    /// As [`Frame::yuv420`].
    pub fn bgra(
        data: &'a [u8],
        width: u32,
        height: u32,
        row_stride: usize,
    ) -> Result<Self, ImageError> {
        Self::interleaved(data, width, height, row_stride, [2, 1, 0])
    }

    fn interleaved(
        data: &'a [u8],
        width: u32,
        height: u32,
        row_stride: usize,
        order: [usize; 3],
    ) -> Result<Self, ImageError> {
        let planes = order.map(|first| plane(data, first, row_stride, 4));
        for plane in &planes {
            check("pixel plane", plane, width, height)?;
        }
        Ok(Self::new(width, height, Samples::Rgb(planes)))
    }

    fn new(width: u32, height: u32, samples: Samples<'a>) -> Self {
        Self {
            width,
            height,
            samples,
            orientation: Orientation::Upright,
        }
    }

    /// The same frame with what makes it upright: EXIF's 6 for a quarter turn clockwise, 3 for a half,
    /// 8 for three quarters.
    pub fn turned(self, orientation: Orientation) -> Self {
        Self {
            orientation,
            ..self
        }
    }

    /// The same frame with other colours; pixels of red, green and blue stay as they are.
    pub fn colored(self, colors: YuvColors) -> Self {
        let samples = match self.samples {
            Samples::Yuv(planes, _) => Samples::Yuv(planes, colors),
            rgb @ Samples::Rgb(_) => rgb,
        };
        Self { samples, ..self }
    }

    /// Columns, as the camera's sensor has them.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Rows, as the camera's sensor has them.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// Columns and rows of the upright frame.
    pub(crate) fn upright_size(&self) -> [u32; 2] {
        match self.orientation.swaps_sides() {
            true => [self.height, self.width],
            false => [self.width, self.height],
        }
    }

    /// About how bright a sample of the sensor is, 0 to 255; 0 outside of the frame.
    pub(crate) fn light(&self, x: u32, y: u32) -> u8 {
        let of = |plane: &Plane<'_>| {
            let at = y as usize * plane.row_stride + x as usize * plane.pixel_stride;
            plane.data.get(at).copied().unwrap_or(0)
        };
        match &self.samples {
            Samples::Yuv([luma, ..], _) => of(luma),
            Samples::Rgb(planes) => {
                let [red, green, blue] = planes.each_ref().map(|plane| u16::from(of(plane)));
                ((red + 2 * green + blue) / 4) as u8
            }
        }
    }

    /// The region (of the upright frame; the whole without one) at the size a backbone reads.
    ///
    /// O(pixels of the frame), one pass.
    ///
    /// # Errors
    /// [`ImageError::Parameter`] for a region outside of the frame or an impossible sizing.
    pub fn fit(&self, region: Option<&Region>, sizing: &Sizing) -> Result<Pixels, ImageError> {
        sizing.check()?;
        let [width, height] = self.upright_size();
        let divisor = divisor_for(width, height, region, sizing)?;
        let size = [self.width, self.height];
        let means = divisor > 1;
        Photo::reduced(
            self.reduced(divisor),
            size,
            divisor,
            self.orientation,
            means,
        )
        .fit(region, sizing)
    }

    /// The mean colour of each square of `divisor` pixels a side.
    fn reduced(&self, divisor: u32) -> Pixels {
        let size = [self.width, self.height];
        let [columns, rows] = size.map(|side| side.div_ceil(divisor));
        let mut bytes = vec![0; columns as usize * rows as usize * 3];
        let mut lines = [const { Vec::new() }; 3];
        let mut half_line = Vec::new();
        for (row, out) in (0..rows).zip(bytes.chunks_exact_mut(3 * columns as usize)) {
            match &self.samples {
                Samples::Rgb(planes) => {
                    for (line, plane) in lines.iter_mut().zip(planes) {
                        means(plane, size, divisor, row, line);
                    }
                    let [red, green, blue] = &lines;
                    let samples = red.iter().zip(green).zip(blue);
                    for (pixel, ((&red, &green), &blue)) in
                        out.as_chunks_mut().0.iter_mut().zip(samples)
                    {
                        *pixel = [red, green, blue];
                    }
                }
                Samples::Yuv(planes, colors) => {
                    let half = size.map(|side| side.div_ceil(2));
                    means(&planes[0], size, divisor, row, &mut lines[0]);
                    for (line, plane) in lines.iter_mut().zip(planes).skip(1) {
                        match divisor {
                            // A chroma stands for two columns of the full frame, as for two rows.
                            1 if row % 2 == 1 => {}
                            1 => {
                                means(plane, half, 1, row / 2, &mut half_line);
                                line.clear();
                                line.extend(half_line.iter().flat_map(|&chroma| [chroma; 2]));
                                line.truncate(columns as usize);
                            }
                            _ => means(plane, half, divisor / 2, row, line),
                        }
                    }
                    let planes = lines.each_ref().map(Vec::as_slice);
                    to_rgb(Cpu::native())(&factors(*colors), planes, out);
                }
            }
        }
        Pixels::from_rgb(columns, rows, bytes).expect("three bytes a pixel")
    }
}

fn plane(data: &[u8], first: usize, row_stride: usize, pixel_stride: usize) -> Plane<'_> {
    Plane {
        data: data.get(first..).unwrap_or_default(),
        row_stride,
        pixel_stride,
    }
}

/// Whether every sample lies inside of the plane.
fn check(name: &'static str, plane: &Plane<'_>, columns: u32, rows: u32) -> Result<(), ImageError> {
    let refuse = |reason: String| Err(ImageError::Parameter { name, reason });
    if !(1..=LONGEST).contains(&columns) || !(1..=LONGEST).contains(&rows) {
        return refuse(format!(
            "sides of 1 to {LONGEST} expected, found {columns}×{rows}"
        ));
    }
    let last = |count: u32, stride: usize| (count as usize - 1).checked_mul(stride);
    let end = last(rows, plane.row_stride)
        .zip(last(columns, plane.pixel_stride))
        .and_then(|(row, column)| row.checked_add(column)?.checked_add(1));
    match end {
        Some(end) if end <= plane.data.len() && plane.pixel_stride > 0 => Ok(()),
        _ => refuse(format!(
            "{rows} rows {} bytes apart of {columns} samples {} apart expected, found {} bytes",
            plane.row_stride,
            plane.pixel_stride,
            plane.data.len()
        )),
    }
}

/// From the shares of red and blue in luma: 0.299 and 0.114 (BT.601), 0.2126 and 0.0722 (BT.709).
fn factors(colors: YuvColors) -> Factors {
    let (red, blue, full) = match colors {
        YuvColors::Bt601Full => (0.299, 0.114, true),
        YuvColors::Bt601Video => (0.299, 0.114, false),
        YuvColors::Bt709Full => (0.2126, 0.0722, true),
        YuvColors::Bt709Video => (0.2126, 0.0722, false),
    };
    let green = 1.0 - red - blue;
    let (black, luma, chroma) = match full {
        true => (0, 1.0, 1.0),
        false => (16, 255.0 / 219.0, 255.0 / 224.0),
    };
    let fixed = |x: f64| (x * f64::from(1 << FRACTION)).round() as i32;
    Factors {
        black,
        luma: fixed(luma),
        red_of_red: fixed(2.0 * (1.0 - red) * chroma),
        green_of_blue: fixed(-2.0 * (1.0 - blue) * blue / green * chroma),
        green_of_red: fixed(-2.0 * (1.0 - red) * red / green * chroma),
        blue_of_blue: fixed(2.0 * (1.0 - blue) * chroma),
    }
}
