//! What can go wrong with a pack, whose fault it is, and what to do.

use std::io;
use std::path::PathBuf;

use super::super::IndexError;

/// Why a pack cannot be made or applied. The index is as it was.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// The file system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// File or directory concerned.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another sort of file.
    #[error("{}: not a pack: it begins with {found:?}; expected a file made by `pocketlens index \
        diff`", path.display())]
    NotAPack {
        /// File given.
        path: PathBuf,
        /// Its first bytes.
        found: String,
    },
    /// Made by a newer version of this library.
    #[error("{}: needs {needs}; update pocketlens", path.display())]
    Incompatible {
        /// The pack.
        path: PathBuf,
        /// What is unknown here.
        needs: String,
    },
    /// Truncated, damaged or forged.
    #[error("{}: corrupt {what} at byte {offset}: expected {expected}, found {found}; fetch the pack \
        again", path.display())]
    Corrupt {
        /// The pack.
        path: PathBuf,
        /// Part of the pack.
        what: String,
        /// Where the part begins.
        offset: u64,
        /// What should be there.
        expected: String,
        /// What is there.
        found: String,
    },
    /// The pack begins from another index than the one given.
    #[error("{}: the pack begins from index {expected}, found {found}; fetch the pack for this \
        index, or a full one", path.display())]
    ForeignBase {
        /// The index.
        path: PathBuf,
        /// SHA-256 of the manifest that the pack begins from.
        expected: String,
        /// SHA-256 of the manifest that is there, or `no index`.
        found: String,
    },
    /// A key was given, and the pack has no signature.
    #[error("{}: the pack is not signed; refuse it, or ask its maker for a signed one", path.display())]
    NotSigned {
        /// The pack.
        path: PathBuf,
    },
    /// The signature was made with another key, or for another pack.
    #[error("{}: the signature is not by key {key}; refuse the pack", path.display())]
    BadSignature {
        /// The pack.
        path: PathBuf,
        /// The public key that was expected, in hexadecimal.
        key: String,
    },
    /// A file holds no key.
    #[error("{}: expected a key of 64 hexadecimal digits, found {found}", path.display())]
    BadKey {
        /// The key file.
        path: PathBuf,
        /// What is there.
        found: String,
    },
    /// The index cannot be read, verified or written.
    #[error(transparent)]
    Index(#[from] IndexError),
}
