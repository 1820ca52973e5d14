//! SIMD kernels: one folder an operation, one file an instruction set.
//!
//! In each folder `generic.rs` is the specification; every other file must give the same bits and
//! is held to that by a suite of tests that one macro instantiates. `mod.rs` is the one place that
//! chooses, from a [`Cpu`] value.

#![allow(
    clippy::needless_range_loop,
    reason = "registers are named by constants, which iterators hide from the unrolling"
)]

pub(crate) mod codes;
pub(crate) mod color;
mod cpu;
pub(crate) mod depthwise;
pub(crate) mod distance;
pub(crate) mod dot;
pub(crate) mod elementwise;
pub(crate) mod gemm;
pub(crate) mod pack;
mod prefetch;
pub(crate) mod requantise;
pub(crate) mod signs;
pub(crate) mod stem;
pub(crate) mod weighted_sum;

pub(crate) use cpu::Cpu;
pub(crate) use prefetch::prefetch;
