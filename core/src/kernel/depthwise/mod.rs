//! Depthwise convolutions, some rows of the output at a time, with requantisation.
//!
//! Each channel has a window of its own, 3×3 or 5×5. Sums are exact in 32 bits, so that all
//! implementations agree bit for bit. Four taps of one column stand together in the packed weights
//! ([`pack`]): rows that are interleaved bytewise meet them in one dot instruction.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512vnni;
mod generic;
#[cfg(target_arch = "aarch64")]
mod neon;
#[cfg(target_arch = "aarch64")]
mod sdot;
#[cfg(test)]
mod tests;

use super::Cpu;
use super::pack::{BLOCK, OUTPUTS, TAPS};
use super::requantise::Requantise;

/// The weights of one layer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Depthwise<'a> {
    /// The true number. Bytes of a location are `channels` rounded up to 8; the three slices below
    /// are padded to the next multiple of 16 channels.
    pub(crate) channels: usize,
    /// Side of the window: 3 or 5.
    pub(crate) size: usize,
    /// Columns from one output to the next: 1 or 2.
    pub(crate) stride: usize,
    /// Signed bytes, see [`pack`].
    pub(crate) packed: &'a [u8],
    /// What the sums begin with; holds the input's zero point.
    pub(crate) bias: &'a [i32],
    /// The sum of each channel's weights, for kernels that shift the activations to signed numbers.
    pub(crate) sums: &'a [i32],
}

/// What the rows have in common, for implementations that read them by address.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
struct Input {
    width: usize,
    /// Bytes from one location to the next.
    location: usize,
    zero: u8,
    pad_left: usize,
}

/// Some rows of the output: `out[y][x][c] = requantise(bias[c] + Σ rows[y·stride + ky][x·stride + kx - pad_left][c] ·
/// w[c][ky][kx])`.
///
/// `rows` are the `size + (count - 1)·stride` rows of `width` locations that `count` rows of the output look at; a row
/// outside of the image is one that is filled with `zero_in`, and so are the columns outside of it. `out` has one
/// location an output. What is written to the padding channels means nothing. Panics when the lengths disagree.
pub(crate) type DepthwiseRows = fn(
    rows: &[&[u8]],
    width: usize,
    zero_in: u8,
    pad_left: usize,
    weights: &Depthwise<'_>,
    requantise: &Requantise<'_>,
    out: &mut [u8],
);

/// The fastest implementation for a processor.
pub(crate) fn depthwise_rows(cpu: Cpu) -> DepthwiseRows {
    #[cfg(target_arch = "x86_64")]
    let fast = avx512vnni::depthwise_rows(cpu).or_else(|| avx2::depthwise_rows(cpu));
    #[cfg(target_arch = "aarch64")]
    let fast = sdot::depthwise_rows(cpu).or_else(|| neon::depthwise_rows(cpu));
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let fast = {
        let _ = cpu;
        None
    };
    fast.unwrap_or(generic::depthwise_rows)
}

/// Packs `weights[c][ky][kx]` with zeros for what is missing to a multiple of 16 channels and of 4
/// taps: `[c/16][kx][ky/4][c%16][ky%4]`.
#[cfg(any(test, feature = "build"))]
pub(crate) fn pack(weights: &[i8], channels: usize, size: usize) -> Vec<u8> {
    assert_eq!(
        weights.len(),
        channels * size * size,
        "weights do not match"
    );
    let mut packed = vec![0; channels.div_ceil(OUTPUTS) * block_length(size)];
    for c in 0..channels {
        for ky in 0..size {
            for kx in 0..size {
                let weight = weights[(c * size + ky) * size + kx];
                packed[place(size, c, ky, kx)] = weight as u8;
            }
        }
    }
    packed
}

/// The weights as they were before [`pack`].
pub(crate) fn unpack(packed: &[u8], channels: usize, size: usize) -> Vec<i8> {
    let places = (0..channels)
        .flat_map(|c| (0..size * size).map(move |at| place(size, c, at / size, at % size)));
    places.map(|place| packed[place].cast_signed()).collect()
}

/// Bytes of the packed weights of sixteen channels.
const fn block_length(size: usize) -> usize {
    size * size.div_ceil(TAPS) * BLOCK
}

/// Where `w[c][ky][kx]` stands.
fn place(size: usize, c: usize, ky: usize, kx: usize) -> usize {
    let groups = size.div_ceil(TAPS);
    c / OUTPUTS * block_length(size)
        + (kx * groups + ky / TAPS) * BLOCK
        + c % OUTPUTS * TAPS
        + ky % TAPS
}

/// The input's rows and the bytes of each row of the output.
fn each_row<'a>(
    rows: &'a [&'a [u8]],
    weights: &Depthwise<'_>,
    out: &'a mut [u8],
) -> impl Iterator<Item = (&'a [&'a [u8]], &'a mut [u8])> {
    let windows = rows.windows(weights.size).step_by(weights.stride);
    let row = out.len() / windows.len().max(1);
    windows.zip(out.chunks_exact_mut(row.max(1)))
}

/// What the unsafe code of all implementations relies on.
fn check(
    rows: &[&[u8]],
    width: usize,
    weights: &Depthwise<'_>,
    requantise: &Requantise<'_>,
    out: &[u8],
) {
    let padded = weights.channels.next_multiple_of(OUTPUTS);
    let location = weights.channels.next_multiple_of(8);
    assert!(
        matches!((weights.size, weights.stride), (3 | 5, 1 | 2)),
        "a window of {} at stride {}",
        weights.size,
        weights.stride
    );
    let more = rows.len().checked_sub(weights.size);
    let count = more.filter(|more| more.is_multiple_of(weights.stride));
    let count = count.map(|more| more / weights.stride + 1);
    let row = width.checked_mul(location);
    assert!(
        rows.iter().all(|bytes| Some(bytes.len()) == row),
        "lengths of rows do not match"
    );
    assert!(
        count.is_some_and(|count| location > 0 && out.len().is_multiple_of(count * location)),
        "outputs do not match"
    );
    assert_eq!(
        weights.packed.len(),
        padded / OUTPUTS * block_length(weights.size),
        "weights do not match"
    );
    assert!(
        weights.bias.len() >= padded
            && weights.sums.len() >= padded
            && requantise.multiplier.len() >= padded,
        "fewer than {padded} biases, sums or multipliers"
    );
}
