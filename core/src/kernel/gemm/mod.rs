//! The product of a matrix of 8-bit values with one of 8-bit weights, requantised: pointwise and
//! laid-out convolutions, fully connected layers.
//!
//! Weights lie as all kernels read them: `[outputs/16][inputs/4][16][4]`, so that 64 bytes hold four
//! neighbouring inputs of sixteen outputs. AVX2 reads 32 of them at a time, VNNI 64, NEON 16, and
//! two neighbouring groups zipped are what the 8-bit matrix product of arm64 takes. One layout costs
//! no kernel anything, so a bundle holds one copy of the weights and opening it copies nothing.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512vnni;
#[cfg(target_arch = "x86_64")]
mod avxvnni;
mod generic;
#[cfg(target_arch = "aarch64")]
mod i8mm;
mod matrix;
#[cfg(target_arch = "aarch64")]
mod neon;
#[cfg(target_arch = "aarch64")]
mod sdot;
#[cfg(test)]
mod tests;

use super::Cpu;
use super::pack::{OUTPUTS, TAPS};
use super::requantise::Requantise;

pub(crate) use matrix::{Rows, RowsMut};

/// Packed weights of a layer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Weights<'a> {
    /// Inputs, padded to a multiple of 8 with weights of 0.
    pub(crate) inputs: usize,
    /// Outputs, without padding.
    pub(crate) outputs: usize,
    /// Signed bytes in the layout of this module.
    pub(crate) packed: &'a [u8],
    /// What each sum begins with, padded to a multiple of 16.
    pub(crate) bias: &'a [i32],
    /// The sum of each output's weights, padded likewise: for kernels that know signed values only.
    pub(crate) sums: &'a [i32],
    /// Whether they are pair safe, see [`Survey`](super::pack::Survey).
    pub(crate) pair_safe: bool,
}

/// `out[i][n] = requantise(bias[n] + Σ_k a[i][k] · w[n][k])` for every row `i`.
///
/// Writes each row up to the outputs rounded up to a multiple of 8; what stands in the padding is
/// not specified. Panics when the lengths disagree.
pub(crate) type Gemm = fn(
    a: &Rows<'_>,
    weights: &Weights<'_>,
    requantise: &Requantise<'_>,
    residual: Option<&Rows<'_>>,
    out: &mut RowsMut<'_>,
);

/// The fastest implementation for a processor.
pub(crate) fn gemm(cpu: Cpu) -> Gemm {
    #[cfg(target_arch = "x86_64")]
    {
        let kernels = [avx512vnni::gemm, avxvnni::gemm, avx2::gemm];
        if let Some(kernel) = kernels.iter().find_map(|kernel| kernel(cpu)) {
            return kernel;
        }
    }
    #[cfg(target_arch = "aarch64")]
    {
        let kernels = [i8mm::gemm, sdot::gemm, neon::gemm];
        if let Some(kernel) = kernels.iter().find_map(|kernel| kernel(cpu)) {
            return kernel;
        }
    }
    let _ = cpu;
    generic::gemm
}

/// Packs `outputs × inputs` weights, row by row.
pub(crate) fn pack(weights: &[i8], outputs: usize, inputs: usize) -> Vec<u8> {
    assert_eq!(weights.len(), outputs * inputs, "weights do not match");
    let groups = inputs.next_multiple_of(8) / TAPS;
    let mut packed = vec![0; outputs.div_ceil(OUTPUTS) * groups * OUTPUTS * TAPS];
    for (n, row) in weights.chunks_exact(inputs).enumerate() {
        for (k, &weight) in row.iter().enumerate() {
            packed[place(n, k, groups)] = weight.cast_unsigned();
        }
    }
    packed
}

/// The weights as they were before [`pack`].
pub(crate) fn unpack(packed: &[u8], outputs: usize, inputs: usize) -> Vec<i8> {
    let groups = inputs.next_multiple_of(8) / TAPS;
    let rows = (0..outputs).flat_map(|n| (0..inputs).map(move |k| place(n, k, groups)));
    rows.map(|place| packed[place].cast_signed()).collect()
}

/// Where the weight of output `n` and input `k` lies.
fn place(n: usize, k: usize, groups: usize) -> usize {
    (((n / OUTPUTS) * groups + k / TAPS) * OUTPUTS + n % OUTPUTS) * TAPS + k % TAPS
}

/// What makes the pointers of a kernel sound.
fn check(
    a: &Rows<'_>,
    weights: &Weights<'_>,
    requantise: &Requantise<'_>,
    residual: Option<&Rows<'_>>,
    out: &RowsMut<'_>,
) {
    let padded = weights.outputs.next_multiple_of(OUTPUTS);
    let written = weights.outputs.next_multiple_of(8);
    assert!(
        weights.inputs.is_multiple_of(8) && weights.inputs <= 1 << 16,
        "inputs do not match"
    );
    assert_eq!(
        weights.packed.len(),
        padded * weights.inputs,
        "weights do not match"
    );
    let tables = [
        weights.bias.len(),
        weights.sums.len(),
        requantise.multiplier.len(),
    ];
    assert!(
        tables.iter().all(|&length| length >= padded),
        "tables do not match"
    );
    assert!(
        a.count == out.count && a.hold(weights.inputs),
        "rows do not match"
    );
    assert!(out.hold(written), "output does not match");
    if let Some(residual) = residual {
        assert!(
            residual.count == out.count && residual.hold(written),
            "residual does not match"
        );
    }
}
