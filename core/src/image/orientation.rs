//! The eight ways a camera can be held, and how to turn its picture upright.
//!
//! The numbers 1 to 8 are EXIF's tag 0x0112 (CIPA DC-008, section 4.6.5): they say which corner of
//! the scene the first stored pixel shows. Camera frames use the same type for their rotation.

use super::Pixels;

/// What to do to a stored picture to see it upright.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Orientation {
    /// Nothing (EXIF 1).
    #[default]
    Upright,
    /// Swap left and right (EXIF 2).
    FlipHorizontal,
    /// Turn by half (EXIF 3).
    Rotate180,
    /// Swap top and bottom (EXIF 4).
    FlipVertical,
    /// Mirror at the main diagonal: rows become columns (EXIF 5).
    Transpose,
    /// Turn a quarter clockwise (EXIF 6).
    Rotate90,
    /// Mirror at the other diagonal (EXIF 7).
    Transverse,
    /// Turn a quarter counter-clockwise (EXIF 8).
    Rotate270,
}

impl Orientation {
    /// All eight, in EXIF's order.
    pub const ALL: [Self; 8] = [
        Self::Upright,
        Self::FlipHorizontal,
        Self::Rotate180,
        Self::FlipVertical,
        Self::Transpose,
        Self::Rotate90,
        Self::Transverse,
        Self::Rotate270,
    ];

    /// EXIF's number, 1 to 8; `None` outside.
    pub fn from_exif(value: u16) -> Option<Self> {
        let at = usize::from(value).checked_sub(1)?;
        Self::ALL.get(at).copied()
    }

    /// Whether width and height change places.
    pub fn swaps_sides(self) -> bool {
        matches!(
            self,
            Self::Transpose | Self::Rotate90 | Self::Transverse | Self::Rotate270
        )
    }

    /// Whether the upright picture's columns, and its rows, begin at what was an end.
    pub(super) fn reverses(self) -> [bool; 2] {
        [
            matches!(
                self,
                Self::FlipHorizontal | Self::Rotate180 | Self::Rotate90 | Self::Transverse
            ),
            matches!(
                self,
                Self::Rotate180 | Self::FlipVertical | Self::Transverse | Self::Rotate270
            ),
        ]
    }

    /// The upright picture: every pixel moves, none changes. Copies the image once, except for
    /// [`Orientation::Upright`], which is free.
    pub fn apply(self, pixels: Pixels) -> Pixels {
        if self == Self::Upright {
            return pixels;
        }
        let (width, height) = (pixels.width() as usize, pixels.height() as usize);
        let source = pixels.data();
        let mut out = vec![0; source.len()];
        // Upright pixel (x, y) is stored pixel `first + x × right + y × down`.
        let (w, h) = (width as isize, height as isize);
        let (first, right, down) = match self {
            Self::Upright => (0, 1, w),
            Self::FlipHorizontal => (w - 1, -1, w),
            Self::Rotate180 => (w * h - 1, -1, -w),
            Self::FlipVertical => (w * (h - 1), 1, -w),
            Self::Transpose => (0, w, 1),
            Self::Rotate90 => (w * (h - 1), -w, 1),
            Self::Transverse => (w * h - 1, -w, -1),
            Self::Rotate270 => (w - 1, w, -1),
        };
        let (out_width, out_height) = if self.swaps_sides() {
            (height, width)
        } else {
            (width, height)
        };
        // Tiles keep both sides of a quarter turn in the cache.
        const TILE: usize = 32;
        for tile_y in (0..out_height).step_by(TILE) {
            for tile_x in (0..out_width).step_by(TILE) {
                for y in tile_y..out_height.min(tile_y + TILE) {
                    let x_end = out_width.min(tile_x + TILE);
                    let row = &mut out[3 * (y * out_width + tile_x)..3 * (y * out_width + x_end)];
                    let mut from = first + tile_x as isize * right + y as isize * down;
                    for pixel in row.chunks_exact_mut(3) {
                        let at = 3 * from as usize;
                        pixel.copy_from_slice(&source[at..at + 3]);
                        from += right;
                    }
                }
            }
        }
        Pixels::from_rgb(out_width as u32, out_height as u32, out).expect("the same pixels, moved")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grey(width: u32, height: u32, values: &[u8]) -> Pixels {
        Pixels::from_rgb(
            width,
            height,
            values.iter().flat_map(|&v| [v, v + 1, v + 2]).collect(),
        )
        .unwrap()
    }

    #[test]
    fn two_by_three_pixels_land_where_exif_says() {
        // 10 20
        // 30 40
        // 50 60
        let stored = grey(2, 3, &[10, 20, 30, 40, 50, 60]);
        let expected = [
            grey(2, 3, &[10, 20, 30, 40, 50, 60]),
            grey(2, 3, &[20, 10, 40, 30, 60, 50]),
            grey(2, 3, &[60, 50, 40, 30, 20, 10]),
            grey(2, 3, &[50, 60, 30, 40, 10, 20]),
            grey(3, 2, &[10, 30, 50, 20, 40, 60]),
            grey(3, 2, &[50, 30, 10, 60, 40, 20]),
            grey(3, 2, &[60, 40, 20, 50, 30, 10]),
            grey(3, 2, &[20, 40, 60, 10, 30, 50]),
        ];
        for (exif, upright) in (1..).zip(expected) {
            let orientation = Orientation::from_exif(exif).unwrap();
            assert!(orientation.apply(stored.clone()) == upright, "EXIF {exif}");
        }
        assert_eq!(Orientation::from_exif(0), None);
        assert_eq!(Orientation::from_exif(9), None);
    }

    #[test]
    fn turns_across_tiles_undo_each_other() {
        let (width, height) = (67, 41);
        let data = (0..width * height * 3)
            .map(|i| (i * 7 % 251) as u8)
            .collect();
        let stored = Pixels::from_rgb(width, height, data).unwrap();
        let undone = [0, 1, 2, 3, 4, 7, 6, 5];
        for (orientation, back) in Orientation::ALL.into_iter().zip(undone) {
            let there = orientation.apply(stored.clone());
            assert!(
                Orientation::ALL[back].apply(there) == stored,
                "{orientation:?}"
            );
        }
    }
}
