//! Frames of a camera, borrowed for the time of one call and kept no larger than the network reads.

use std::sync::Arc;

use pocketlens::image::{self, Orientation, Pixels, Plane};

use crate::{Bundle, PocketlensError, Region};

/// What a camera saw, cut to its region, upright, at the size that the model reads: the camera has its buffer back.
#[derive(uniffi::Object)]
pub struct Frame {
    input: Pixels,
}

/// How the bytes of a frame of one buffer lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum FrameFormat {
    /// Luma, then red and blue chroma in turns, of half the sides: Android's oldest.
    Nv21,
    /// Luma, then blue and red chroma in turns.
    Nv12,
    /// Luma, then blue chroma, then red chroma.
    I420,
    /// Four bytes a pixel, red first: Android's bitmaps.
    Rgba,
    /// Four bytes a pixel, blue first: iOS.
    Bgra,
    /// Three bytes a pixel, red first, without gaps: numpy. Treated as a decoded photo is.
    Rgb,
}

/// What a frame shows.
#[derive(Clone, Copy, Debug, PartialEq, uniffi::Record)]
pub struct FrameLayout {
    /// Columns, as the sensor has them.
    pub width: u32,
    /// Rows, as the sensor has them.
    pub height: u32,
    /// What makes it upright.
    #[uniffi(default = None)]
    pub rotation: Option<Rotation>,
    /// Where to look, in the upright frame; all of it when absent.
    #[uniffi(default = None)]
    pub region: Option<Region>,
    /// What luma and chroma mean; as Android's cameras have it when absent.
    #[uniffi(default = None)]
    pub colors: Option<YuvColors>,
}

/// A frame of one buffer: one record, because each record and enum of a call costs Kotlin a buffer of its own.
#[derive(Clone, Copy, Debug, PartialEq, uniffi::Record)]
pub struct PackedLayout {
    /// How its bytes lie.
    pub format: FrameFormat,
    /// What it shows.
    pub layout: FrameLayout,
    /// Bytes from row to row of RGBA and BGRA, where there are gaps.
    #[uniffi(default = None)]
    pub row_stride: Option<u32>,
}

/// A turn that makes a frame upright: Android's `rotationDegrees`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum Rotation {
    /// A quarter turn clockwise.
    Clockwise90,
    /// Half a turn.
    Half,
    /// A quarter turn against the clock.
    Clockwise270,
}

/// Which colours a luma and two chromas mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum YuvColors {
    /// BT.601, 0 to 255: Android, JPEG, iOS `420f`.
    Bt601Full,
    /// BT.601, 16 to 235: iOS `420v`.
    Bt601Video,
    /// BT.709, 0 to 255.
    Bt709Full,
    /// BT.709, 16 to 235.
    Bt709Video,
}

/// Bytes from one row or sample to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Record)]
pub struct PlaneStrides {
    /// From one row of luma to the next.
    pub luma_row: u32,
    /// From one row of chroma to the next.
    pub chroma_row: u32,
    /// From one sample of chroma to the next: 1 for planes of their own, 2 for interleaved ones.
    pub chroma_pixel: u32,
}

#[uniffi::export]
impl Frame {
    /// A frame of one buffer.
    ///
    /// # Errors
    /// [`PocketlensError::BadInput`] when the bytes are too few or the region is outside of the frame.
    #[uniffi::constructor]
    pub fn packed(
        bundle: &Bundle,
        bytes: &[u8],
        packed: PackedLayout,
    ) -> Result<Arc<Self>, PocketlensError> {
        if packed.format == FrameFormat::Rgb {
            return Self::upright(bundle, bytes, &packed.layout);
        }
        Self::fit(bundle, &packed.view(bytes)?, &packed.layout)
    }

    /// A frame of three planes: `YUV_420_888` of Android; of two where blue and red chroma are parts of one.
    ///
    /// # Errors
    /// As [`Frame::packed`].
    #[uniffi::constructor]
    pub fn planes(
        bundle: &Bundle,
        luma: &[u8],
        blue: &[u8],
        red: &[u8],
        strides: PlaneStrides,
        layout: FrameLayout,
    ) -> Result<Arc<Self>, PocketlensError> {
        Self::fit(bundle, &planes(luma, blue, red, strides, &layout)?, &layout)
    }

    /// A frame of luma and one plane of blue and red chroma in turns: iOS's bi-planar formats.
    ///
    /// # Errors
    /// As [`Frame::packed`].
    #[uniffi::constructor]
    pub fn bi_planar(
        bundle: &Bundle,
        luma: &[u8],
        chroma: &[u8],
        strides: PlaneStrides,
        layout: FrameLayout,
    ) -> Result<Arc<Self>, PocketlensError> {
        let red = chroma.get(1..).unwrap_or_default();
        Self::fit(
            bundle,
            &planes(luma, chroma, red, strides, &layout)?,
            &layout,
        )
    }
}

impl Frame {
    fn fit(
        bundle: &Bundle,
        frame: &image::Frame<'_>,
        layout: &FrameLayout,
    ) -> Result<Arc<Self>, PocketlensError> {
        let region = layout.region.map(Into::into);
        let input = frame.fit(region.as_ref(), bundle.embedder()?.sizing())?;
        Ok(Arc::new(Self { input }))
    }

    fn upright(
        bundle: &Bundle,
        bytes: &[u8],
        layout: &FrameLayout,
    ) -> Result<Arc<Self>, PocketlensError> {
        let pixels = Pixels::from_rgb(layout.width, layout.height, bytes.to_vec());
        let pixels = pixels.ok_or_else(|| {
            PocketlensError::bad_input(format!(
                "three bytes a pixel of {}×{} expected, found {} bytes",
                layout.width,
                layout.height,
                bytes.len()
            ))
        })?;
        let pixels = orientation(layout.rotation).apply(pixels);
        let region = layout.region.map(Into::into);
        let input = bundle.embedder()?.input(&pixels, region.as_ref())?;
        Ok(Arc::new(Self { input }))
    }

    pub(crate) fn input(&self) -> &Pixels {
        &self.input
    }
}

impl PackedLayout {
    /// The core's view of a buffer.
    pub(crate) fn view<'a>(&self, bytes: &'a [u8]) -> Result<image::Frame<'a>, PocketlensError> {
        let (width, height) = (self.layout.width, self.layout.height);
        let gapless = (width as usize).saturating_mul(4);
        let row_stride = self.row_stride.map_or(gapless, |stride| stride as usize);
        let frame = match self.format {
            FrameFormat::Nv21 => image::Frame::nv21(bytes, width, height),
            FrameFormat::Nv12 => image::Frame::nv12(bytes, width, height),
            FrameFormat::I420 => image::Frame::i420(bytes, width, height),
            FrameFormat::Rgba => image::Frame::rgba(bytes, width, height, row_stride),
            FrameFormat::Bgra => image::Frame::bgra(bytes, width, height, row_stride),
            FrameFormat::Rgb => {
                return Err(PocketlensError::bad_input(
                    "a live camera gives no frames of three bytes a pixel; use RGBA or YUV",
                ));
            }
        };
        Ok(shown(frame?, &self.layout))
    }
}

/// The core's view of planes.
pub(crate) fn planes<'a>(
    luma: &'a [u8],
    blue: &'a [u8],
    red: &'a [u8],
    strides: PlaneStrides,
    layout: &FrameLayout,
) -> Result<image::Frame<'a>, PocketlensError> {
    let plane = |data, row: u32, pixel: u32| Plane {
        data,
        row_stride: row as usize,
        pixel_stride: pixel as usize,
    };
    let chroma = |data| plane(data, strides.chroma_row, strides.chroma_pixel);
    let planes = [plane(luma, strides.luma_row, 1), chroma(blue), chroma(red)];
    let frame = image::Frame::yuv420(
        planes,
        layout.width,
        layout.height,
        image::YuvColors::default(),
    )?;
    Ok(shown(frame, layout))
}

fn shown<'a>(frame: image::Frame<'a>, layout: &FrameLayout) -> image::Frame<'a> {
    let colors = match layout.colors {
        None | Some(YuvColors::Bt601Full) => image::YuvColors::Bt601Full,
        Some(YuvColors::Bt601Video) => image::YuvColors::Bt601Video,
        Some(YuvColors::Bt709Full) => image::YuvColors::Bt709Full,
        Some(YuvColors::Bt709Video) => image::YuvColors::Bt709Video,
    };
    frame.turned(orientation(layout.rotation)).colored(colors)
}

fn orientation(rotation: Option<Rotation>) -> Orientation {
    match rotation {
        None => Orientation::Upright,
        Some(Rotation::Clockwise90) => Orientation::Rotate90,
        Some(Rotation::Half) => Orientation::Rotate180,
        Some(Rotation::Clockwise270) => Orientation::Rotate270,
    }
}
