//! Pocketlens: visual search on the device. A photo goes in, the matching products or places come
//! out, offline.
//!
//! The modules stand in the order in which data flows: [`image`] (pixels in), [`backbone`]
//! (feature maps), [`descriptor`] (maps to a unit vector), [`localise`] (where the thing is), [`index`] (nearest items), [`rerank`]
//! (a closer look at the best), [`verdict`] (is it really there). [`bundle`] holds what decides a descriptor; `embedder` makes it ready to
//! run, and [`lens`] is the whole job as one object, within [`limits`]; [`live`] asks it with the
//! frames of a camera, [`selection`] judges what may run the network instead of the processor, and `remote` asks a server
//! where a device does not know.

pub mod image;

pub mod attributes;
pub mod backbone;
pub mod bundle;
pub mod descriptor;
pub mod embedder;
pub mod fingerprint;
pub mod localise;

pub mod container;
pub mod index;
pub(crate) mod kernel;
pub mod rerank;
pub mod verdict;

pub mod cancel;
pub mod current;
pub mod lens;
pub mod limits;
pub mod live;
pub mod selection;
pub mod selftest;

mod sync;

#[cfg(feature = "remote")]
pub mod remote;

#[cfg(feature = "catalogue")]
pub mod build;
#[cfg(feature = "build")]
pub mod evaluation;
#[cfg(feature = "build")]
pub mod fit;
#[cfg(feature = "build")]
pub mod mining;
#[cfg(feature = "simulate")]
pub mod simulate;
