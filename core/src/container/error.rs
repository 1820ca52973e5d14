//! What can be wrong with a container, and what to do about it.

use std::io;
use std::path::PathBuf;

use super::Kind;

/// Why a container cannot be opened, trusted or written.
#[derive(Debug, thiserror::Error)]
pub enum ContainerError {
    /// The file system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// File concerned.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another sort of file.
    #[error("{}: not a {expected}: its first bytes are \"{found}\", expected \"{}\"",
        path.display(), expected.magic().escape_ascii())]
    NotThisKind {
        /// File concerned.
        path: PathBuf,
        /// What the caller wanted.
        expected: Kind,
        /// The first eight bytes, escaped.
        found: String,
    },
    /// Sound, but made by a newer version of this library.
    #[error("{}: needs {needs}; update pocketlens, or make the file again with this version",
        path.display())]
    Incompatible {
        /// File concerned.
        path: PathBuf,
        /// The format version or the features that are unknown here.
        needs: String,
    },
    /// Shorter than its header says: an interrupted copy or download.
    #[error("{}: truncated: expected {expected} bytes, found {found}; copy the file again",
        path.display())]
    Truncated {
        /// File concerned.
        path: PathBuf,
        /// Least length in bytes.
        expected: u64,
        /// Actual length in bytes.
        found: u64,
    },
    /// Bytes that no writer of this library produces.
    #[error("{}: corrupt {section} at byte {offset}: expected {expected}, found {found}; \
        restore or rebuild the file", path.display())]
    Corrupt {
        /// File concerned.
        path: PathBuf,
        /// Section name, `header` or `padding`.
        section: String,
        /// Position in the file.
        offset: u64,
        /// What should be there.
        expected: String,
        /// What is there.
        found: String,
    },
}
