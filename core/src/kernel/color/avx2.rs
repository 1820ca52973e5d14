//! The specification, compiled for AVX2.

#![allow(unsafe_code)]

use super::{Cpu, Factors, ToRgb, generic};

pub(super) fn to_rgb(cpu: Cpu) -> Option<ToRgb> {
    cpu.has_avx2().then_some(run as ToRgb)
}

// Reached only through the function above.
fn run(factors: &Factors, planes: [&[u8]; 3], out: &mut [u8]) {
    // SAFETY: `to_rgb` gives this function away only if the processor has AVX2.
    unsafe { compiled(factors, planes, out) }
}

#[target_feature(enable = "avx2")]
fn compiled(factors: &Factors, planes: [&[u8]; 3], out: &mut [u8]) {
    generic::to_rgb(factors, planes, out);
}
