//! What can go wrong between a file and its pixels, sorted by whose fault it is.

use std::path::PathBuf;

use super::Format;

/// Why there are no pixels.
///
/// Only [`ImageError::Io`] names a file: the others come from bytes, and the caller knows where
/// those came from.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// The file's fault: it is damaged, cut short or breaks its format. Ask for another photo.
    #[error("damaged {format} image: {reason}")]
    Decoding {
        /// The format the first bytes announce.
        format: Format,
        /// What the decoder found.
        reason: String,
    },

    /// The photo is larger than the caller's [`Limits`](super::Limits) allow.
    #[error("image too large: {what} is limited to {limit}, found {found}")]
    Limits {
        /// What was measured, with its unit.
        what: &'static str,
        /// The most that is allowed.
        limit: u64,
        /// What the photo asks for, or a lower bound of it.
        found: u64,
    },

    /// The bytes may be fine, but are in a format or a variant that is not read here.
    #[error("unsupported image: found {found}, expected JPEG, PNG or WebP")]
    Unsupported {
        /// The format or feature found.
        found: String,
    },

    /// The caller's fault: an argument makes no sense.
    #[error("wrong {name}: {reason}")]
    Parameter {
        /// The argument.
        name: &'static str,
        /// What was expected and what was found.
        reason: String,
    },

    /// The file cannot be read at all.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
}
