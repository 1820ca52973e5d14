//! Baseline JPEG, decoded at 1/1, 1/2, 1/4 or 1/8 of its size.
//!
//! A 12-megapixel photo becomes a 320-pixel network input: decoding it in full and averaging most
//! of it away is wasted work. A block's low DCT coefficients are a smaller picture of the block,
//! so that a scaled decoder parses the whole stream, skips the coefficients that it does not need
//! and inverts a DCT of 4×4, 2×2 or 1×1 (ITU T.81; the idea is libjpeg's). All arithmetic is in
//! integers: the same bytes on every platform.
//!
//! Read here: 8-bit Huffman-coded sequential files (SOF0, SOF1) of one or three components in one
//! scan, which is what cameras write. Everything else, progressive and CMYK files among it, and
//! every file with something wrong in it is left to the full decoder by a `None`: it reads more,
//! and it is the one judge of what is damaged.

mod bits;
mod color;
mod component;
mod header;
mod huffman;
mod idct;
mod scan;
#[cfg(test)]
mod tests;
mod upsample;

pub(super) use header::Header;

/// By how much a picture shrinks while it is decoded: sides become `ceil(side / divisor)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scale {
    Full,
    Half,
    Quarter,
    Eighth,
}

impl Scale {
    /// From the smallest picture to the largest.
    #[cfg(test)]
    pub(super) const ALL: [Self; 4] = [Self::Eighth, Self::Quarter, Self::Half, Self::Full];

    /// The scale of a divisor: 8, 4 or 2, else the full picture.
    pub(super) fn of(divisor: u32) -> Self {
        match divisor {
            8 => Self::Eighth,
            4 => Self::Quarter,
            2 => Self::Half,
            _ => Self::Full,
        }
    }

    /// 1, 2, 4 or 8.
    pub(super) fn divisor(self) -> u32 {
        match self {
            Self::Full => 1,
            Self::Half => 2,
            Self::Quarter => 4,
            Self::Eighth => 8,
        }
    }

    /// Samples along a side that a block of eight leaves: 8, 4, 2 or 1.
    fn block(self) -> usize {
        8 / self.divisor() as usize
    }
}
