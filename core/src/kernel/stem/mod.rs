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
/// Outputs that kernels work on at a time: that many more may be read than are asked for.
pub(crate) const TILE: usize = 8;
/// Bytes of a row of a window, in dwords.
const WIDE: usize = 12;
/// Taps of a window, each row in dwords.
const TAPS: usize = SIZE * WIDE;
/// Inputs that the widened weights have.
pub(crate) const INPUTS: usize = TAPS.next_multiple_of(8);

/// Bytes that a call for `count` outputs reads in each row.
pub(crate) const fn reach(count: usize, stride: usize) -> usize {
    let last = count.next_multiple_of(TILE).saturating_sub(1);
    last * stride * DEPTH + WIDE
}

/// `out[x][n] = requantise(bias[n] + Σ rows[ky][3·stride·x + k] · w[n][ky][k])`, the sum over three rows of nine bytes.
///
/// The weights are those of [`widen`], `stride` is 1 or 2. Each row has [`reach`] bytes; what is behind the windows that
/// are asked for means nothing. Writes each location up to the channels rounded up to a multiple of 8. Panics when the
/// lengths disagree.
pub(crate) type Stem = fn(
    rows: [&[u8]; SIZE],
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
