//! The specification, in plain Rust.

use super::Factors;

/// Pixels that vector code takes at a time.
const LANES: usize = 32;

#[inline(always)]
pub(super) fn to_rgb(factors: &Factors, planes: [&[u8]; 3], out: &mut [u8]) {
    for plane in planes {
        assert_eq!(3 * plane.len(), out.len(), "rows do not match");
    }
    let [luma, blue, red] = planes.map(|plane| plane.as_chunks::<LANES>());
    let (blocks, rest) = out.as_chunks_mut::<{ 3 * LANES }>();
    let rows = luma.0.iter().zip(blue.0).zip(red.0);
    for (block, ((luma, blue), red)) in blocks.iter_mut().zip(rows) {
        let mut channels = [[0; LANES]; 3];
        for i in 0..LANES {
            let rgb = factors.rgb(luma[i], blue[i], red[i]);
            for (channel, value) in channels.iter_mut().zip(rgb) {
                channel[i] = value;
            }
        }
        let [red, green, blue] = channels;
        for i in 0..LANES {
            block[3 * i] = red[i];
            block[3 * i + 1] = green[i];
            block[3 * i + 2] = blue[i];
        }
    }
    let (rest, _) = rest.as_chunks_mut::<3>();
    for (i, pixel) in rest.iter_mut().enumerate() {
        *pixel = factors.rgb(luma.1[i], blue.1[i], red.1[i]);
    }
}
