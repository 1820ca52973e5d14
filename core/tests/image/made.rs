//! Builds image files byte by byte, so that tests can break them where they want.

use image::codecs::jpeg::JpegEncoder;
use image::codecs::webp::WebPEncoder;
use image::{ExtendedColorType, ImageEncoder};

/// Eight rows of five pixels: no symmetry, every corner another colour.
pub(crate) fn scene() -> (u32, u32, Vec<u8>) {
    let (width, height) = (40, 64);
    let data = (0..height)
        .flat_map(|y| (0..width).flat_map(move |x| color(x, y)))
        .collect();
    (width, height, data)
}

/// The scene's colour at a place: flat in blocks of 8, so that JPEG keeps it.
pub(crate) fn color(x: u32, y: u32) -> [u8; 3] {
    [(40 + x / 8 * 40) as u8, (20 + y / 8 * 28) as u8, 128]
}

pub(crate) fn jpeg() -> Vec<u8> {
    let (width, height, data) = scene();
    let mut bytes = Vec::new();
    let encoder = JpegEncoder::new_with_quality(&mut bytes, 95);
    encoder
        .write_image(&data, width, height, ExtendedColorType::Rgb8)
        .unwrap();
    bytes
}

/// The scene as a JPEG with an EXIF block.
pub(crate) fn jpeg_with_exif(tiff: &[u8]) -> Vec<u8> {
    with_exif(&jpeg(), tiff)
}

/// A JPEG with an APP1 segment behind its start-of-image marker.
pub(crate) fn with_exif(plain: &[u8], tiff: &[u8]) -> Vec<u8> {
    let length = (2 + 6 + tiff.len()) as u16;
    let app1 = [
        &[0xFF, 0xE1],
        length.to_be_bytes().as_slice(),
        b"Exif\0\0",
        tiff,
    ]
    .concat();
    [&plain[..2], &app1, &plain[2..]].concat()
}

/// A TIFF block with one tag, the orientation, in either byte order.
pub(crate) fn exif(orientation: u16, big_endian: bool) -> Vec<u8> {
    if big_endian {
        let value = orientation.to_be_bytes();
        let entry = [&[1, 0x12, 0, 3, 0, 0, 0, 1], value.as_slice(), &[0, 0]].concat();
        [b"MM\0\x2A\0\0\0\x08\0\x01", entry.as_slice(), &[0; 4]].concat()
    } else {
        let value = orientation.to_le_bytes();
        let entry = [&[0x12, 1, 3, 0, 1, 0, 0, 0], value.as_slice(), &[0, 0]].concat();
        [b"II\x2A\0\x08\0\0\0\x01\0", entry.as_slice(), &[0; 4]].concat()
    }
}

pub(crate) fn webp() -> Vec<u8> {
    let (width, height, data) = scene();
    let mut bytes = Vec::new();
    let encoder = WebPEncoder::new_lossless(&mut bytes);
    encoder
        .write_image(&data, width, height, ExtendedColorType::Rgb8)
        .unwrap();
    bytes
}

/// The lossless WebP, extended: `flags` in its VP8X header, other chunks after or around it.
pub(crate) fn webp_extended(flags: u8, chunks: &[Vec<u8>]) -> Vec<u8> {
    let (width, height, _) = scene();
    let side = |side: u32| (side - 1).to_le_bytes()[..3].to_vec();
    let canvas = [vec![flags, 0, 0, 0], side(width), side(height)].concat();
    let body = [webp_chunk(b"VP8X", &canvas), chunks.concat()].concat();
    let length = (4 + body.len()) as u32;
    [b"RIFF", length.to_le_bytes().as_slice(), b"WEBP", &body].concat()
}

pub(crate) fn webp_chunk(name: &[u8; 4], payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_le_bytes();
    let padding = &[0][..payload.len() % 2];
    [name, length.as_slice(), payload, padding].concat()
}

/// A frame as large as the canvas around a bitstream chunk.
pub(crate) fn webp_frame(bitstream: &[u8]) -> Vec<u8> {
    let (width, height, _) = scene();
    let side = |side: u32| (side - 1).to_le_bytes()[..3].to_vec();
    let header = [vec![0; 6], side(width), side(height), vec![100, 0, 0, 0]].concat();
    webp_chunk(b"ANMF", &[header.as_slice(), bitstream].concat())
}

/// A PNG of samples as they stand in the file, 8 rows being 8 × `samples.len() / height` bytes.
pub(crate) struct Png {
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// Bits a sample.
    pub(crate) depth: u8,
    /// 0 grey, 2 RGB, 3 palette, 4 grey and alpha, 6 RGB and alpha.
    pub(crate) color: u8,
    /// Chunks between the header and the samples.
    pub(crate) before: Vec<Vec<u8>>,
    pub(crate) samples: Vec<u8>,
    /// Chunks between the samples and the end.
    pub(crate) after: Vec<Vec<u8>>,
}

impl Png {
    pub(crate) fn new(width: u32, height: u32, depth: u8, color: u8, samples: Vec<u8>) -> Self {
        Self {
            width,
            height,
            depth,
            color,
            before: Vec::new(),
            samples,
            after: Vec::new(),
        }
    }

    pub(crate) fn scene() -> Self {
        let (width, height, data) = scene();
        Self::new(width, height, 8, 2, data)
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let (width, height) = (self.width.to_be_bytes(), self.height.to_be_bytes());
        let header = [
            &width,
            &height,
            [self.depth, self.color, 0, 0, 0].as_slice(),
        ]
        .concat();
        let stride = self.samples.len() / (self.height as usize).max(1);
        [
            b"\x89PNG\r\n\x1A\n".to_vec(),
            png_chunk(b"IHDR", &header),
            self.before.concat(),
            png_chunk(b"IDAT", &png_data(&self.samples, stride)),
            self.after.concat(),
            png_chunk(b"IEND", &[]),
        ]
        .concat()
    }
}

/// Rows of `stride` bytes, unfiltered, in a zlib stream that compresses nothing.
pub(crate) fn png_data(samples: &[u8], stride: usize) -> Vec<u8> {
    let rows: Vec<u8> = samples
        .chunks(stride.max(1))
        .flat_map(|row| [&[0], row].concat())
        .collect();
    let mut stream = vec![0x78, 0x01];
    let blocks = rows.chunks(65_535).count();
    for (i, block) in rows.chunks(65_535).enumerate() {
        let length = block.len() as u16;
        stream.push(u8::from(i + 1 == blocks));
        stream.extend(length.to_le_bytes());
        stream.extend((!length).to_le_bytes());
        stream.extend(block);
    }
    let (a, b) = rows.iter().fold((1, 0), |(a, b), &byte| {
        let a = (a + u32::from(byte)) % 65_521;
        (a, (b + a) % 65_521)
    });
    stream.extend((b << 16 | a).to_be_bytes());
    stream
}

pub(crate) fn png_chunk(name: &[u8; 4], payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    let checksum = crc32fast::hash(&[name, payload].concat()).to_be_bytes();
    [length.as_slice(), name, payload, &checksum].concat()
}
