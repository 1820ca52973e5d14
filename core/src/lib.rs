//! Pocketlens: visual search on the device. A photo goes in, the matching products or places come
//! out, offline.
//!
//! The modules stand in the order in which data flows: [`image`] (pixels in), [`backbone`]
//! (feature maps), [`descriptor`] (maps to a unit vector), [`index`] (nearest items), [`verdict`]
//! (is it really there). [`bundle`] holds what decides a descriptor, [`lens`] is the whole job as
//! one object.

pub mod container;
pub mod fingerprint;
pub mod image;
pub mod index;
pub(crate) mod kernel;
#[cfg(feature = "build")]
pub mod simulate;
pub mod verdict;
