//! What can go wrong with an index, whose fault it is, and what to do.

use std::io;
use std::path::PathBuf;

use super::columns::ColumnKind;
use super::filter::FilterError;
use crate::cancel::Stopped;
use crate::container::ContainerError;
use crate::fingerprint::Fingerprint;

/// Why an index cannot be built, opened, trusted or searched.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// The file system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// File or directory concerned.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The directory holds no index.
    #[error("{}: not an index: {found}; expected a directory with a manifest.json made by \
        `pocketlens index build`", path.display())]
    NotAnIndex {
        /// Path given.
        path: PathBuf,
        /// What is there instead.
        found: String,
    },
    /// An index must not be built over something that is not one.
    #[error("{}: holds {found}, which is no part of an index; choose another directory or empty \
        this one", path.display())]
    Occupied {
        /// Path given.
        path: PathBuf,
        /// What is in the way.
        found: String,
    },
    /// Sound, but made by a newer version of this library.
    #[error("{}: needs {needs}; update pocketlens, or build the index again with this version",
        path.display())]
    Incompatible {
        /// File concerned.
        path: PathBuf,
        /// The version or feature that is unknown here.
        needs: String,
    },
    /// Bytes that no writer of this library produces, or files that do not belong together.
    #[error("{}: corrupt {what}: expected {expected}, found {found}; restore the file or build \
        the index again", path.display())]
    Corrupt {
        /// File concerned.
        path: PathBuf,
        /// Section and position, or field.
        what: String,
        /// What should be there.
        expected: String,
        /// What is there.
        found: String,
    },
    /// Another writer has the index.
    #[error("{}: another writer is changing this index; try again when it is done", path.display())]
    Busy {
        /// The index.
        path: PathBuf,
    },
    /// Two items that live under one key.
    #[error("{}: item {key:?} is in {} as well; remove it from one of them", path.display(), other.display())]
    DuplicateKey {
        /// Segment or index where it was met again.
        path: PathBuf,
        /// Segment or index where it was met first.
        other: PathBuf,
        /// The key.
        key: String,
    },
    /// Indexes that cannot become one.
    #[error("{}: cannot be merged with {}: its {what} is {found}, expected {expected}; build all \
        shards with one model and one bundle", path.display(), first.display())]
    ForeignShard {
        /// The index that differs.
        path: PathBuf,
        /// The one that it differs from.
        first: PathBuf,
        /// `fingerprint`, `dim` or `bundle`.
        what: &'static str,
        /// Of the first.
        expected: String,
        /// Of this one.
        found: String,
    },
    /// An index whose vectors were moved towards their neighbours cannot be a part of another.
    #[error("{}: cannot be merged: its vectors were moved towards the {neighbours} nearest of their own index, not of the \
        whole catalogue; build the whole in one go, or the parts without augmentation", path.display())]
    Augmented {
        /// The index.
        path: PathBuf,
        /// How many each was moved towards.
        neighbours: u32,
    },
    /// There is no index from before the last applied pack.
    #[error("{}: nothing to roll back to: no pack was applied since the index was built or rolled \
        back", path.display())]
    NoPrevious {
        /// The index.
        path: PathBuf,
    },
    /// A segment file cannot be opened or is damaged.
    #[error(transparent)]
    Segment(#[from] ContainerError),
    /// The query was made by another model than the index: scores would mean nothing.
    #[error(
        "the index was built with model {expected}, the query was made with {found}; build \
        the index again with this model, or query with the bundle inside of the index"
    )]
    ForeignFingerprint {
        /// Of the index.
        expected: Fingerprint,
        /// Of the query.
        found: Fingerprint,
    },
    /// A descriptor that cannot be indexed or searched for.
    #[error("{of}: {fault}")]
    BadVector {
        /// `the query`, or the item by its key.
        of: String,
        /// What is wrong with it.
        fault: VectorFault,
    },
    /// An item that breaks a rule of the catalogue.
    #[error("item {key:?}: {fault}")]
    BadItem {
        /// Key of the item, shortened when it is too long.
        key: String,
        /// What is wrong with it.
        fault: ItemFault,
    },
    /// A filter that cannot be understood or is too large.
    #[error(transparent)]
    BadFilter(#[from] FilterError),
    /// A condition asks a column for a kind of value that it does not hold.
    #[error(
        "the filter asks column {column:?} for a {condition}, but it holds {kind} values; compare it \
        with such a value, or build the index with another kind (--columns)"
    )]
    FilterKind {
        /// Name of the column.
        column: String,
        /// What it holds.
        kind: ColumnKind,
        /// What is asked of it.
        condition: String,
    },
    /// A filter was prepared for another index, or for this one before it was replaced.
    #[error("the filter was prepared for another index; prepare it for this one")]
    ForeignFilter,
    /// The search was stopped from outside.
    #[error("cancelled")]
    Cancelled,
    /// The deadline of the search has passed.
    #[error("out of time")]
    OutOfTime,
}

impl From<Stopped> for IndexError {
    fn from(stopped: Stopped) -> Self {
        match stopped {
            Stopped::Cancelled => Self::Cancelled,
            Stopped::OutOfTime => Self::OutOfTime,
        }
    }
}

/// What is wrong with a vector.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VectorFault {
    /// Another number of dimensions than the index.
    #[error("expected a descriptor of {expected} numbers, found {found}")]
    Dim {
        /// Dimensions of the index.
        expected: usize,
        /// Numbers in the vector.
        found: usize,
    },
    /// No index has this many dimensions.
    #[error("expected 1 to {limit} dimensions, found {found}")]
    Width {
        /// Most dimensions.
        limit: usize,
        /// Dimensions asked for.
        found: usize,
    },
    /// Not a number, or infinite.
    #[error("number {at} of the descriptor is not finite")]
    NotFinite {
        /// Position in the vector.
        at: usize,
    },
    /// No direction, hence no cosine.
    #[error("the descriptor is all zeros")]
    Zero,
}

/// What is wrong with an item.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ItemFault {
    /// A key or a group is 1 to 1,024 bytes.
    #[error("expected a {field} of 1 to {limit} bytes, found {found}")]
    NameLength {
        /// `key` or `group`.
        field: &'static str,
        /// Most bytes.
        limit: usize,
        /// Bytes found.
        found: usize,
    },
    /// A payload is a JSON object or null.
    #[error("expected a JSON object as payload, found {found}")]
    PayloadNotObject {
        /// What was found, as JSON, shortened.
        found: String,
    },
    /// A payload is at most 64 KiB as compact JSON.
    #[error(
        "expected a payload of at most {limit} bytes as JSON, found {found}; keep large data \
        elsewhere, under the key"
    )]
    PayloadLength {
        /// Most bytes.
        limit: usize,
        /// Bytes found.
        found: usize,
    },
    /// Local features belong to a photo.
    #[error("expected a photo of the item before its local features, found none")]
    NoPhoto,
    /// The column was demanded to be of another kind.
    #[error("expected {column:?} to be {expected} as the columns demand, found {found}")]
    ColumnKind {
        /// Name of the column.
        column: String,
        /// Kind demanded.
        expected: ColumnKind,
        /// Value found, as JSON, shortened.
        found: String,
    },
    /// Photos of one item disagree about it.
    #[error(
        "the {field} was {first}, a further photo says {again}; all photos of an item must \
        have the same"
    )]
    Conflict {
        /// `group` or `payload`.
        field: &'static str,
        /// Value of the photo pushed first, shortened.
        first: String,
        /// Value of this photo, shortened.
        again: String,
    },
    /// An index holds at most 2³² - 1 photos.
    #[error("the index is full: it holds {limit} photos")]
    TooMany {
        /// Most photos.
        limit: u32,
    },
}
