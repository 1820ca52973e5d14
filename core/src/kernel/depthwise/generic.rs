//! The specification, in plain Rust.

use super::{Depthwise, Requantise, check, each_row, place};

pub(super) fn depthwise_rows(
    rows: &[&[u8]],
    width: usize,
    zero_in: u8,
    pad_left: usize,
    weights: &Depthwise<'_>,
    requantise: &Requantise<'_>,
    out: &mut [u8],
) {
    check(rows, width, weights, requantise, out);
    let location = weights.channels.next_multiple_of(8);
    for (rows, out) in each_row(rows, weights, out) {
        for (x, out) in out.chunks_exact_mut(location).enumerate() {
            for (c, out) in out[..weights.channels].iter_mut().enumerate() {
                let mut sum = weights.bias[c];
                for (ky, row) in rows.iter().enumerate() {
                    for kx in 0..weights.size {
                        let column = (x * weights.stride + kx).checked_sub(pad_left);
                        let value = match column {
                            Some(column) if column < width => row[column * location + c],
                            _ => zero_in,
                        };
                        let weight = weights.packed[place(weights.size, c, ky, kx)] as i8;
                        sum += i32::from(value) * i32::from(weight);
                    }
                }
                *out = requantise.apply(c, sum, None);
            }
        }
    }
}
