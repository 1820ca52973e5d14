//! Dense 3×3 convolutions of three channels, which every network of photos begins with. Windows are read where they
//! stand: laid out as rows of a matrix first ([`gemm`](super::gemm)), half of the time would go into copying.
//!
//! A row of a window is nine bytes, read as three dwords, of which the last three bytes meet weights of 0.

#[cfg(target_arch = "x86_64")]
mod avx512vnni;
#[cfg(test)]
mod tests;

use super::Cpu;
use super::gemm::{self, RowsMut, Weights};
use super::requantise::Requantise;

/// Bytes of a location.
pub(crate) const DEPTH: usize = 3;
/// Rows and columns of a window.
pub(crate) const SIZE: usize = 3;
/// Most columns from one output to the next.
pub(crate) const LONGEST_STRIDE: usize = 2;
/// Most outputs of a call.
pub(crate) const OUTPUTS_AT_ONCE: usize = 64;
/// Bytes of a row of a window, in dwords.
const WIDE: usize = 12;
/// Taps of a window, each row in dwords.
const TAPS: usize = SIZE * WIDE;
/// Inputs that the widened weights have.
pub(crate) const INPUTS: usize = TAPS.next_multiple_of(8);
/// Bytes that the windows of a call read in one row.
const REACH: usize = (OUTPUTS_AT_ONCE - 1) * LONGEST_STRIDE * DEPTH + WIDE;

/// Three rows of the photo, padding included, as far as the windows of one call reach. What is behind them means
/// nothing.
pub(crate) type Patch = [[u8; REACH]; SIZE];

/// A patch of zeros.
pub(crate) const EMPTY: Patch = [[0; REACH]; SIZE];

/// `out[x][n] = requantise(bias[n] + Σ patch[ky][3·stride·x + k] · w[n][ky][k])`, the sum over three rows of nine bytes.
///
/// The weights are those of [`widen`]. There are at most [`OUTPUTS_AT_ONCE`] outputs, `stride` is 1 or 2. Writes each
/// location up to the channels rounded up to a multiple of 8. Panics when the lengths disagree.
pub(crate) type Stem = fn(
    patch: &Patch,
    stride: usize,
    weights: &Weights<'_>,
    requantise: &Requantise<'_>,
    out: &mut RowsMut<'_>,
);

/// The fastest implementation for a processor; none where laying windows out is as fast.
pub(crate) fn stem(cpu: Cpu) -> Option<Stem> {
    #[cfg(target_arch = "x86_64")]
    return avx512vnni::stem(cpu);
    #[cfg(not(target_arch = "x86_64"))]
    {
        let _ = cpu;
        None
    }
}

/// The packed weights of `outputs` windows with each row of a window in dwords of its own.
pub(crate) fn widen(packed: &[u8], outputs: usize) -> Vec<u8> {
    let row = SIZE * DEPTH;
    let narrow = gemm::unpack(packed, outputs, SIZE * row);
    let mut wide = vec![0; outputs * TAPS];
    for (wide, narrow) in wide.chunks_exact_mut(WIDE).zip(narrow.chunks_exact(row)) {
        wide[..row].copy_from_slice(narrow);
    }
    gemm::pack(&wide, outputs, TAPS)
}
