//! The index: a directory that holds the descriptors of a catalogue, its keys and payloads, and
//! the model that made them; mapped and searched in place.
//!
//! [`IndexWriter`] makes one, [`Index`] opens and searches it, [`IndexUpdate`] adds, replaces and
//! removes items, [`Index::compact`] takes small segments together, [`diff`] and [`apply`] carry a
//! change to other devices. The files are drawn in `FORMAT.md` beside this one.
//!
//! Small segments hold int8 vectors and are scanned in full; large ones hold lists ([`Plan`]).
//! Scores and order are the same bits on every platform.

mod batch;
mod columns;
mod compaction;
mod delta;
mod directory;
mod error;
pub mod filter;
mod grouped;
mod items;
mod lists;
mod live;
mod local;
mod lock;
mod manifest;
mod merge;
#[cfg(test)]
mod power_cut;
mod quantise;
mod reader;
mod search;
mod segment;
mod segment_writer;
mod storage;
mod tombstones;
mod top;
mod update;
mod writer;

pub use columns::{ColumnInfo, ColumnKind, MAX_COLUMNS, Schema, SchemaError};
pub use compaction::{Compacted, CompactionOptions};
pub use delta::{Delta, PackError, Packed, apply, diff, rollback};
#[cfg(feature = "signature")]
pub use delta::{PublicKey, SigningKey};
pub use error::{IndexError, ItemFault, VectorFault};
pub use grouped::{GroupBy, VOTERS};
pub use items::{ItemPhoto, MAX_NAME_BYTES, MAX_PAYLOAD_BYTES};
pub use live::StoredItem;
pub use merge::{merge, shard_of};
pub use quantise::MAX_DIM;
pub use reader::{Index, IndexInfo, Verified};
pub use search::{Hit, IndexQuery, Neighbour, Plan, Ranking};
pub use update::IndexUpdate;
pub use writer::IndexWriter;
