//! The index: a directory that holds the descriptors of a catalogue, its keys and payloads, and
//! the model that made them; mapped and searched in place.
//!
//! [`IndexWriter`] makes one, [`Index`] opens and searches it. The files are drawn in `FORMAT.md`
//! beside this one. Vectors are int8, the search is an exact scan of all of them:
//! scores and order are the same bits on every platform.

mod columns;
mod error;
pub mod filter;
mod grouped;
mod items;
mod lists;
mod manifest;
mod quantise;
mod reader;
mod search;
mod segment;
mod segment_writer;
mod top;
mod writer;

pub use columns::{ColumnInfo, ColumnKind, MAX_COLUMNS, Schema, SchemaError};
pub use error::{IndexError, ItemFault, VectorFault};
pub use grouped::{GroupBy, VOTERS};
pub use items::{ItemPhoto, MAX_NAME_BYTES, MAX_PAYLOAD_BYTES};
pub use quantise::MAX_DIM;
pub use reader::{Index, IndexInfo, Verified};
pub use search::{Hit, IndexQuery, Neighbour, Plan, Ranking};
pub use writer::IndexWriter;
