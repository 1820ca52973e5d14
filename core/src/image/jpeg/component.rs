//! Where the samples of a component go, and at what size its blocks are inverted.

use super::idct::{Inverse, Samples, flat};
use super::scan::{Channel, Geometry};

/// How a component's samples lie in relation to the pixels of the result.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Ratio {
    /// Pixels …
    pub(super) pixels: usize,
    /// … that this many samples cover.
    pub(super) samples: usize,
}

impl Ratio {
    /// Whether a sample covers two pixels.
    pub(super) fn is_half(self) -> bool {
        self.pixels == 2 * self.samples
    }

    /// Whether a sample covers one pixel.
    pub(super) fn is_whole(self) -> bool {
        self.pixels == self.samples
    }

    /// The sample in which the middle of a pixel lies.
    pub(super) fn nearest(self, pixel: usize) -> usize {
        (2 * pixel + 1) * self.samples / (2 * self.pixels)
    }

    /// Samples that cover a side of `pixels` pixels.
    fn cover(self, pixels: usize) -> usize {
        (pixels * self.samples).div_ceil(self.pixels)
    }
}

/// The samples of a component that is coarser than the result.
pub(super) struct Plane {
    pub(super) samples: Vec<u8>,
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) across: Ratio,
    pub(super) down: Ratio,
}

/// A component's blocks, on their way to samples.
pub(super) struct Target {
    block: (usize, usize),
    inverse: Inverse,
    /// The last coefficient, in zigzag order, that the inverse transform needs.
    pub(super) needed: usize,
    /// `None` for a component as fine as the result: its samples go straight into the pixels.
    pub(super) plane: Option<Plane>,
    /// The component's byte of a pixel.
    channel: usize,
}

impl Target {
    /// Chooses the size of the inverse DCT on each side: the result's, doubled as long as the
    /// component does not become finer than the result, up to eight. Chroma of 4:2:0 thus needs no upsampling
    /// in a picture of half the size or less.
    pub(super) fn new(geometry: &Geometry, channel: usize, of: &Channel<'_>) -> Self {
        let (width, across) = side(geometry.block, geometry.across, of.across);
        let (height, down) = side(geometry.block, geometry.down, of.down);
        let plane = (!(across.is_whole() && down.is_whole())).then(|| {
            let (width, height) = (across.cover(geometry.width), down.cover(geometry.height));
            Plane {
                samples: vec![0; width * height],
                width,
                height,
                across,
                down,
            }
        });
        let needed = (0..64).rfind(|&k| {
            let place = ZIGZAG[k];
            place % 8 < width && place / 8 < height
        });
        Self {
            block: (width, height),
            inverse: Inverse::new(width, height),
            needed: needed.unwrap_or_default(),
            plane,
            channel,
        }
    }

    /// Writes the samples of a block, the `column`th from the left and the `row`th from the top;
    /// what reaches beyond the picture is dropped. `coefficients` are nothing but `dc` where absent.
    #[inline(always)]
    pub(super) fn write(
        &mut self,
        (column, row): (usize, usize),
        dc: i32,
        coefficients: Option<&[i32; 64]>,
        pixels: &mut [u8],
        size: (usize, usize),
    ) {
        let (width, height) = match &self.plane {
            Some(plane) => (plane.width, plane.height),
            None => size,
        };
        let (left, top) = (column * self.block.0, row * self.block.1);
        if left >= width || top >= height {
            return;
        }
        let first = top * width + left;
        if self.block == (1, 1) && self.plane.is_none() {
            pixels[3 * first + self.channel] = flat(dc);
            return;
        }
        let (wide, high) = (
            self.block.0.min(width - left),
            self.block.1.min(height - top),
        );
        let samples: Samples = match coefficients {
            Some(coefficients) => self.inverse.apply(coefficients),
            None => [flat(dc); 64],
        };
        let samples = samples.chunks_exact(8).take(high);
        if let Some(plane) = &mut self.plane {
            let rows = plane.samples[first..].chunks_mut(width);
            for (row, samples) in rows.zip(samples) {
                row[..wide].copy_from_slice(&samples[..wide]);
            }
        } else {
            let rows = pixels[3 * first..].chunks_mut(3 * width);
            for (row, samples) in rows.zip(samples) {
                let row = row.chunks_exact_mut(3).take(wide);
                row.zip(samples)
                    .for_each(|(pixel, &sample)| pixel[self.channel] = sample);
            }
        }
    }
}

/// Size of the inverse DCT along a side, and the ratio that is left to upsampling.
fn side(block: usize, most: usize, sampling: usize) -> (usize, Ratio) {
    let pixels = most * block;
    let mut size = block;
    while size < 8 && 2 * size * sampling <= pixels {
        size *= 2;
    }
    let samples = size * sampling;
    (size, Ratio { pixels, samples })
}

/// Places of the coefficients, row by row, in the order of the stream (T.81, figure A.6).
pub(super) const ZIGZAG: [usize; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20,
    13, 6, 7, 14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59,
    52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coarse_components_take_larger_transforms_before_they_are_upsampled() {
        let ratio = |pixels, samples| Ratio { pixels, samples };
        assert_eq!(side(8, 2, 1), (8, ratio(16, 8)));
        assert_eq!(side(4, 2, 1), (8, ratio(8, 8)));
        assert_eq!(side(1, 2, 1), (2, ratio(2, 2)));
        assert_eq!(side(1, 2, 2), (1, ratio(2, 2)));
        assert_eq!(side(1, 4, 1), (4, ratio(4, 4)));
        assert_eq!(side(4, 4, 1), (8, ratio(16, 8)));
        assert_eq!(side(1, 3, 1), (2, ratio(3, 2)));
        assert_eq!(side(2, 3, 2), (2, ratio(6, 4)));
    }
}
