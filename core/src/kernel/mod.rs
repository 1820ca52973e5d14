//! SIMD kernels: one folder an operation, one file an instruction set.
//!
//! In each folder `generic.rs` is the specification; every other file must give the same bits and
//! is held to that by a suite of tests that one macro instantiates. `mod.rs` is the one place that
//! chooses, from a [`Cpu`] value.

mod cpu;
pub(crate) mod dot;

pub(crate) use cpu::Cpu;
