//! The entropy-coded data of an interleaved scan (T.81, F.2): blocks in, pixels out.

use super::bits::Bits;
use super::color::{self, ColorSpace};
use super::component::{Target, ZIGZAG};
use super::huffman::{Code, Decoder, END_OF_BLOCK};
use super::upsample;

/// What the sides of a picture become.
pub(super) struct Geometry {
    /// Columns of the result.
    pub(super) width: usize,
    /// Rows of the result.
    pub(super) height: usize,
    /// The finest component's blocks of an MCU across.
    pub(super) across: usize,
    /// The finest component's blocks of an MCU down.
    pub(super) down: usize,
    /// Pixels of the result along a side of a block of the finest component.
    pub(super) block: usize,
    /// MCUs across and down.
    pub(super) mcus: (usize, usize),
}

/// A component and its tables.
pub(super) struct Channel<'a> {
    /// Blocks of an MCU across.
    pub(super) across: usize,
    /// Blocks of an MCU down.
    pub(super) down: usize,
    pub(super) quantisation: &'a [u16; 64],
    pub(super) dc: &'a Code,
    pub(super) ac: &'a Code,
}

/// The RGB bytes, and the data from the marker that ends the scan on. `None` when the data ends
/// early, leaves its codes or lacks a restart marker.
pub(super) fn decode<'a>(
    data: &'a [u8],
    geometry: &Geometry,
    channels: &[Channel<'_>],
    restart_interval: usize,
    color_space: ColorSpace,
) -> Option<(Vec<u8>, &'a [u8])> {
    let decoders = channels.iter().map(|channel| {
        let dc = Decoder::dc(channel.dc)?;
        Some((dc, Decoder::ac(channel.ac)))
    });
    let decoders = decoders.collect::<Option<Vec<_>>>()?;
    let size = (geometry.width, geometry.height);
    let mut pixels = vec![0; 3 * size.0 * size.1];
    let mut targets: Vec<Target> = (0..)
        .zip(channels)
        .map(|(at, channel)| Target::new(geometry, at, channel))
        .collect();
    let mut bits = Bits::new(data);
    let mut predictions = [0; 3];
    let mut coefficients = [0; 64];
    for row in 0..geometry.mcus.1 {
        for column in 0..geometry.mcus.0 {
            let mcu = row * geometry.mcus.0 + column;
            if restart_interval > 0 && mcu > 0 && mcu.is_multiple_of(restart_interval) {
                bits.restart(mcu / restart_interval - 1)?;
                predictions = [0; 3];
            }
            let components = channels.iter().zip(&decoders).zip(&mut targets);
            for (((channel, decoder), target), prediction) in components.zip(&mut predictions) {
                for y in 0..channel.down {
                    for x in 0..channel.across {
                        let place = (column * channel.across + x, row * channel.down + y);
                        let table = channel.quantisation;
                        let difference = decoder.0.difference(&mut bits)?;
                        *prediction = i32::wrapping_add(*prediction, difference);
                        let dc = prediction.wrapping_mul(table[0].into());
                        let flat = if target.needed == 0 {
                            decoder.1.skip_rest(&mut bits, 1)?;
                            true
                        } else {
                            coefficients[0] = dc;
                            block(
                                &mut bits,
                                &decoder.1,
                                table,
                                target.needed,
                                &mut coefficients,
                            )?
                        };
                        let found = (!flat).then_some(&coefficients);
                        target.write(place, dc, found, &mut pixels, size);
                        if !flat {
                            coefficients = [0; 64];
                        }
                    }
                }
            }
        }
        if bits.exhausted() {
            return None;
        }
    }
    for (channel, target) in targets.iter().enumerate() {
        if let Some(plane) = &target.plane {
            upsample::write(plane, channel, size, &mut pixels);
        }
    }
    color::to_rgb(color_space, &mut pixels);
    Some((pixels, bits.rest()))
}

/// Reads the AC coefficients of a block, dequantises those up to place `needed` of the stream's
/// order, and tells whether there are none.
#[inline(always)]
fn block(
    bits: &mut Bits<'_>,
    decoder: &Decoder<'_>,
    quantisation: &[u16; 64],
    needed: usize,
    coefficients: &mut [i32; 64],
) -> Option<bool> {
    let mut flat = true;
    let mut k = 1;
    while k <= needed {
        let coefficient = decoder.coefficient(bits)?;
        k += coefficient.run;
        if k > 63 {
            return (coefficient.run == END_OF_BLOCK).then_some(flat);
        }
        let value = coefficient.value.wrapping_mul(quantisation[k].into());
        coefficients[ZIGZAG[k]] = value;
        flat &= value == 0;
        k += 1;
    }
    decoder.skip_rest(bits, k)?;
    Some(flat)
}
