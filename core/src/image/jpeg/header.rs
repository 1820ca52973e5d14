//! The segments before the scan (T.81, annex B): what decoding needs, or nothing.

use super::Scale;
use super::color::ColorSpace;
use super::huffman::Code;
use super::scan::{self, Channel, Geometry};
use crate::image::Pixels;

/// A component of the frame (T.81, B.2.2).
#[derive(Debug, Clone, Copy)]
struct FrameComponent {
    id: u8,
    /// Blocks of an MCU across, 1..=4.
    across: usize,
    /// Blocks of an MCU down, 1..=4.
    down: usize,
    quantisation: usize,
}

/// All that stands before the entropy-coded data of a file that this decoder reads.
pub(crate) struct Header<'a> {
    width: u32,
    height: u32,
    components: Vec<FrameComponent>,
    /// The DC and the AC table of each component.
    codes: Vec<(usize, usize)>,
    /// In zigzag order.
    quantisations: [Option<[u16; 64]>; 4],
    dc: [Option<Code>; 4],
    ac: [Option<Code>; 4],
    /// MCUs between restart markers; 0 for none.
    restart_interval: usize,
    jfif: bool,
    adobe_transform: Option<u8>,
    exif: &'a [u8],
    /// The entropy-coded data and all that follows.
    data: &'a [u8],
}

impl<'a> Header<'a> {
    /// Reads the segments up to and with the first scan's header. `None` for a file that is not
    /// of the kind read here, or that looks wrong.
    pub(crate) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let mut header = Self {
            width: 0,
            height: 0,
            components: Vec::new(),
            codes: Vec::new(),
            quantisations: [None; 4],
            dc: Default::default(),
            ac: Default::default(),
            restart_interval: 0,
            jfif: false,
            adobe_transform: None,
            exif: &[],
            data: &[],
        };
        let mut rest = bytes.strip_prefix(&[0xFF, 0xD8])?;
        loop {
            let [0xFF, marker, ..] = *rest else {
                return None;
            };
            if marker == 0xFF {
                // A fill byte.
                rest = &rest[1..];
                continue;
            }
            let length = usize::from(word(rest, 2)?);
            let segment = rest.get(4..length.checked_add(2)?)?;
            rest = &rest[2 + length..];
            match marker {
                0xC0 | 0xC1 => header.frame(segment)?,
                0xC4 => header.huffman_codes(segment)?,
                0xDA => {
                    header.scan(segment)?;
                    header.data = rest;
                    return Some(header);
                }
                0xDB => header.quantisation_tables(segment)?,
                0xDD => header.restart_interval = word(segment, 0)?.into(),
                0xE0 => header.jfif |= segment.starts_with(b"JFIF\0"),
                0xE1 => {
                    if let Some(exif) = segment.strip_prefix(b"Exif\0\0") {
                        header.exif = exif;
                    }
                }
                0xEE if segment.starts_with(b"Adobe") => {
                    header.adobe_transform = Some(*segment.get(11)?);
                }
                0xE2..=0xEF | 0xFE => {}
                // Other processes (progressive, lossless, arithmetic), a hierarchy, or no header.
                _ => return None,
            }
        }
    }

    /// Columns as stored.
    pub(crate) fn width(&self) -> u32 {
        self.width
    }

    /// Rows as stored.
    pub(crate) fn height(&self) -> u32 {
        self.height
    }

    /// The TIFF block of the last EXIF segment, or nothing.
    pub(crate) fn exif(&self) -> &'a [u8] {
        self.exif
    }

    /// The picture as stored, `ceil(height / s) × ceil(width / s)` pixels, and what follows its
    /// entropy-coded data in the file.
    ///
    /// `None` for data that ends early or makes no sense. Time is in the order of the file's
    /// length; three bytes a decoded pixel are allocated, and up to one more for chroma that is
    /// coarser than the result.
    pub(crate) fn decode(&self, scale: Scale) -> Option<(Pixels, &'a [u8])> {
        let most = |side: fn(&FrameComponent) -> usize| self.components.iter().map(side).max();
        let geometry = Geometry {
            width: self.width.div_ceil(scale.divisor()) as usize,
            height: self.height.div_ceil(scale.divisor()) as usize,
            across: most(|component| component.across)?,
            down: most(|component| component.down)?,
            block: scale.block(),
            mcus: (
                (self.width as usize).div_ceil(8 * most(|component| component.across)?),
                (self.height as usize).div_ceil(8 * most(|component| component.down)?),
            ),
        };
        let channels = self.components.iter().zip(&self.codes);
        let channels = channels.map(|(component, &(dc, ac))| {
            Some(Channel {
                across: component.across,
                down: component.down,
                quantisation: self.quantisations[component.quantisation].as_ref()?,
                dc: self.dc[dc].as_ref()?,
                ac: self.ac[ac].as_ref()?,
            })
        });
        let channels = channels.collect::<Option<Vec<_>>>()?;
        let (pixels, rest) = scan::decode(
            self.data,
            &geometry,
            &channels,
            self.restart_interval,
            self.color_space(),
        )?;
        let pixels = Pixels::from_rgb(geometry.width as u32, geometry.height as u32, pixels)?;
        Some((pixels, rest))
    }

    /// As libjpeg decides: JFIF is YCbCr, Adobe says what it is, and else the names tell.
    fn color_space(&self) -> ColorSpace {
        let named = |names: &[u8; 3]| self.components.iter().map(|c| c.id).eq(*names);
        match (self.components.len(), self.jfif, self.adobe_transform) {
            (1, ..) => ColorSpace::Grey,
            (_, false, Some(0)) => ColorSpace::Rgb,
            (_, false, None) if named(b"RGB") => ColorSpace::Rgb,
            _ => ColorSpace::YCbCr,
        }
    }

    /// B.2.2.
    fn frame(&mut self, segment: &[u8]) -> Option<()> {
        let &[8, h1, h0, w1, w0, count, ref components @ ..] = segment else {
            return None;
        };
        if !self.components.is_empty() || components.len() != 3 * usize::from(count) {
            return None;
        }
        self.width = u16::from_be_bytes([w1, w0]).into();
        self.height = u16::from_be_bytes([h1, h0]).into();
        for component in components.chunks_exact(3) {
            self.components.push(FrameComponent {
                id: component[0],
                across: (component[1] >> 4).into(),
                down: (component[1] & 15).into(),
                quantisation: component[2].into(),
            });
        }
        // A lone component is not interleaved, whatever its sampling (A.2.2).
        if let [only] = &mut self.components[..] {
            (only.across, only.down) = (1, 1);
        }
        let sound = self.components.iter().all(|component| {
            let sides = 1..=4;
            sides.contains(&component.across)
                && sides.contains(&component.down)
                && component.quantisation < 4
        });
        let read = self.width > 0 && self.height > 0 && matches!(count, 1 | 3);
        (sound && read).then_some(())
    }

    /// B.2.3: one scan of all components, in the frame's order.
    fn scan(&mut self, segment: &[u8]) -> Option<()> {
        let (&count, rest) = segment.split_first()?;
        let count = usize::from(count);
        if count == 0 || count != self.components.len() || rest.len() != 2 * count + 3 {
            return None;
        }
        let (components, spectrum) = rest.split_at(2 * count);
        for (chosen, component) in components.chunks_exact(2).zip(&self.components) {
            let (dc, ac) = (usize::from(chosen[1] >> 4), usize::from(chosen[1] & 15));
            if chosen[0] != component.id || dc > 3 || ac > 3 {
                return None;
            }
            self.codes.push((dc, ac));
        }
        (spectrum == [0, 63, 0]).then_some(())
    }

    /// B.2.4.1.
    fn quantisation_tables(&mut self, mut segment: &[u8]) -> Option<()> {
        while let Some((&kind, rest)) = segment.split_first() {
            let bytes = match kind >> 4 {
                0 => 1,
                1 => 2,
                _ => return None,
            };
            let (values, rest) = rest.split_at_checked(64 * bytes)?;
            let mut table = [0; 64];
            for (value, bytes) in table.iter_mut().zip(values.chunks_exact(bytes)) {
                *value = bytes.iter().fold(0, |v, &byte| (v << 8) | u16::from(byte));
            }
            *self.quantisations.get_mut(usize::from(kind & 15))? = Some(table);
            segment = rest;
        }
        Some(())
    }

    /// B.2.4.2.
    fn huffman_codes(&mut self, mut segment: &[u8]) -> Option<()> {
        while let Some((&kind, rest)) = segment.split_first() {
            let (lengths, rest) = rest.split_first_chunk::<16>()?;
            let count = lengths.iter().map(|&n| usize::from(n)).sum();
            let (symbols, rest) = rest.split_at_checked(count)?;
            let tables = match kind >> 4 {
                0 => &mut self.dc,
                1 => &mut self.ac,
                _ => return None,
            };
            *tables.get_mut(usize::from(kind & 15))? = Some(Code::new(lengths, symbols)?);
            segment = rest;
        }
        Some(())
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u16> {
    let bytes = bytes.get(at..at + 2)?;
    Some(u16::from_be_bytes([bytes[0], bytes[1]]))
}
