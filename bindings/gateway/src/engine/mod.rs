//! What searches behind the gateway: a trait, and one file an engine.

mod cause;
mod embedded;
mod grouped;
mod postgres;
mod prepared;
mod pushed;
mod weaviate;

use std::time::Duration;

use async_trait::async_trait;
use pocketlens::fingerprint::Fingerprint;
use pocketlens::index::GroupBy;
use pocketlens::index::filter::Filter;
use pocketlens::remote::contract::{Meta, RemoteHit};

pub use embedded::{Embedded, Reloads};
pub use postgres::{BadDatabase, DatabaseAddress, Postgres};
pub use pushed::{PushProgress, Pushed};
pub use weaviate::{BadAddress, EngineAddress, Weaviate};

/// A search, checked and within limits.
#[derive(Clone)]
pub struct EngineQuery {
    /// The model that made the vector.
    pub model: Fingerprint,
    /// The descriptor: finite, not all zeros.
    pub vector: Vec<f32>,
    /// Hits wanted, at least 1.
    pub k: usize,
    /// Answer only with items that meet these conditions.
    pub filter: Option<Filter>,
    /// One hit a group instead of one an item.
    pub group_by: Option<GroupBy>,
    /// After which nobody waits any more.
    pub within: Duration,
}

/// What an engine found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EngineAnswer {
    /// Best first.
    pub hits: Vec<RemoteHit>,
    /// Keys of removed items that would be among the hits.
    pub gone: Vec<String>,
    /// The best score of another group than that of the first hit.
    pub rival: Option<f32>,
    /// Of the index that answered.
    pub index_version: String,
}

/// Why an engine does not answer.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The query is of a model that it has no index of.
    #[error(
        "the index is of model {has}, the query of {asked}; update the bundle of the device or the index"
    )]
    WrongModel {
        /// Of the index.
        has: Fingerprint,
        /// Of the query.
        asked: Fingerprint,
    },
    /// The query cannot be answered as it is.
    #[error("{0}")]
    BadQuery(String),
    /// It does not let the key do this: the operator's to mend, not the asker's.
    #[error("the engine refuses its key: {0}; give it a key (--engine-key) whose role may do this")]
    KeyRefused(String),
    /// It did not answer in time.
    #[error("the engine did not answer in time")]
    TimedOut,
    /// It is not ready.
    #[error("the engine is not ready: {0}")]
    NotReady(String),
    /// It failed.
    #[error("the engine failed: {0}")]
    Failed(String),
}

/// Finds near vectors. Cheap to ask concurrently.
#[async_trait]
pub trait Engine: Send + Sync + 'static {
    /// What it has for descriptors of `model`, or, where it has nothing for them or none is named, its newest index.
    async fn meta(&self, model: Option<Fingerprint>) -> Result<Meta, EngineError>;

    /// The nearest items.
    async fn search(&self, query: EngineQuery) -> Result<EngineAnswer, EngineError>;

    /// Whether it can answer now.
    ///
    /// # Errors
    /// Why not.
    async fn ready(&self) -> Result<(), EngineError>;
}
