//! Pixels in: from the bytes of a photo to the upright RGB image that a backbone reads.
//!
//! [`decode`] turns JPEG, PNG or WebP bytes into [`Pixels`], upright whatever the camera's EXIF
//! says; [`Photo`] is one decoded no larger than its use needs; [`fit`] crops a [`Region`] and resizes it to the [`Sizing`] of a backbone in one pass.
//! [`Limits`] are checked before memory is allocated, and every failure is an [`ImageError`] that
//! says whose fault it is.

#[cfg(feature = "codecs")]
mod complete;
#[cfg(feature = "codecs")]
mod decode;
mod error;
mod format;
mod frame;
#[cfg(feature = "codecs")]
mod jpeg;
mod limits;
mod orientation;
mod photo;
mod pixels;
mod plane;
mod region;
mod resize;

#[cfg(feature = "codecs")]
pub use decode::{decode, read_photo};
pub use error::ImageError;
pub use format::{Format, sniff};
pub use frame::{Frame, YuvColors};
pub use limits::Limits;
pub use orientation::Orientation;
pub use photo::Photo;
pub use pixels::Pixels;
pub use plane::Plane;
pub use region::{Crop, Region};
pub use resize::{Sizing, fit, resize};
