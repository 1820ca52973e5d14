//! The specification, compiled for AVX2.

#![allow(unsafe_code)]

use super::{Cpu, Elementwise, Rounding, generic};

pub(super) fn elementwise(cpu: Cpu) -> Option<Elementwise> {
    cpu.has_avx2().then_some(Elementwise {
        // SAFETY: this is given away only if the processor has AVX2.
        multiply: |values, zero, factors, rounding, out| unsafe {
            multiply(values, zero, factors, rounding, out);
        },
        // SAFETY: as above.
        add: |left, right, factors, rounding, out| unsafe {
            add(left, right, factors, rounding, out);
        },
        // SAFETY: as above.
        accumulate: |values, sums| unsafe { accumulate(values, sums) },
    })
}

#[target_feature(enable = "avx2")]
pub(super) fn multiply(
    values: &[u8],
    zero: f32,
    factors: &[f32],
    rounding: Rounding,
    out: &mut [u8],
) {
    generic::multiply(values, zero, factors, rounding, out);
}

#[target_feature(enable = "avx2")]
fn add(left: &[u8], right: &[u8], factors: [f32; 2], rounding: Rounding, out: &mut [u8]) {
    generic::add(left, right, factors, rounding, out);
}

#[target_feature(enable = "avx2")]
pub(super) fn accumulate(values: &[u8], sums: &mut [u32]) {
    generic::accumulate(values, sums);
}
