//! Updates over the air: a pack holds what turns one index into another, byte for byte.
//!
//! [`diff`] makes it where both are at hand, [`apply`] checks it and swaps the index atomically,
//! [`rollback`] brings the index before it back. A full pack is a difference from nothing. The pack
//! is drawn in `FORMAT.md` of this folder.

mod apply;
mod chunk;
mod diff;
mod error;
mod head;
mod matcher;
#[cfg(feature = "signature")]
mod signature;

pub use apply::{apply, rollback};
pub use diff::{Delta, Packed, diff};
pub use error::PackError;
#[cfg(feature = "signature")]
pub use signature::{PublicKey, SigningKey};

#[cfg(test)]
pub(super) use apply::{apply_on, rollback_on};

use super::Index;
use super::segment::Segment;

/// What the copies of a pack read: the segments of the base, one behind the other.
fn sources(base: &Index) -> Vec<&[u8]> {
    let bytes_of = |segment| Segment::container(segment).bytes();
    base.segments().iter().map(bytes_of).collect()
}
