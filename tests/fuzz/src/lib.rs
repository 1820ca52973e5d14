//! Everything that reads bytes of others, a function each: what a fuzzer of `targets` calls with made bytes, and an
//! ordinary test (`core/tests/corpus`) with the files of `tests/corpus`.
//!
//! Checksums and digests that stand before a parser are put right on the way, for those who attack can do it too. A
//! function returns whatever the bytes are, or panics where there is a bug.

mod ask;
mod digest;
mod parts;
mod place;
pub mod sample;

pub mod bundle;
pub mod container;
pub mod filter;
pub mod frame;
pub mod manifest;
#[cfg(feature = "build")]
pub mod moments;
#[cfg(feature = "build")]
pub mod onnx;
pub mod pack;
pub mod photo;
pub mod segment;
pub mod server;

/// Reads bytes of others; whether they were sound.
pub type Feed = fn(&[u8]) -> bool;

/// Each by its name: the folder of its corpus and the file of its fuzzer.
pub const PARSERS: &[(&str, Feed)] = &[
    ("bundle", bundle::feed),
    ("container", container::feed),
    ("filter", filter::feed),
    ("frame", frame::feed),
    ("manifest", manifest::feed),
    #[cfg(feature = "build")]
    ("moments", moments::feed),
    #[cfg(feature = "build")]
    ("onnx", onnx::feed),
    ("pack", pack::feed),
    ("photo", photo::feed),
    ("segment", segment::feed),
    ("server", server::feed),
];
