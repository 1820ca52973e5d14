//! The project's own index files as an engine: needs nothing installed, and follows the directory when it is updated.
//!
//! A query keeps the index that it began with; the next one sees the new one. Files of an old index stay mapped until
//! its last query is done.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use pocketlens::cancel::Stop;
use pocketlens::current::Current;
use pocketlens::fingerprint::Fingerprint;
use pocketlens::index::{Hit, Index, IndexError, IndexQuery};
use pocketlens::remote::contract::{Meta, RemoteHit};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::Semaphore;

use super::prepared::PreparedFilters;
use super::{Engine, EngineAnswer, EngineError, EngineQuery};

/// Most removed items that are kept in mind.
const REMOVED: usize = 1024;

/// An index directory.
pub struct Embedded {
    dir: PathBuf,
    open: Current<Open>,
    /// As many searches at a time as there are processors: more would only wait for one another.
    running: Arc<Semaphore>,
}

/// What came of looking at the directory again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reloads {
    /// It holds what is open.
    Unchanged,
    /// It held something newer, which is open now.
    Reloaded,
}

impl Reloads {
    pub(crate) fn of(reloaded: bool) -> Self {
        match reloaded {
            true => Self::Reloaded,
            false => Self::Unchanged,
        }
    }
}

/// An index, and what is derived from it.
struct Open {
    index: Index,
    meta: Meta,
    filters: PreparedFilters,
    removed: Vec<Removed>,
}

/// A removed item: its key, and its photos.
struct Removed {
    key: String,
    vectors: Vec<Vec<f32>>,
}

impl Embedded {
    /// Opens an index directory.
    ///
    /// # Errors
    /// As [`Index::open`].
    pub fn open(dir: impl AsRef<Path>) -> Result<Self, IndexError> {
        let dir = dir.as_ref();
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Self {
            dir: dir.to_owned(),
            open: Current::new(Open::read(dir)?),
            running: Arc::new(Semaphore::new(cores)),
        })
    }

    /// Opens what the directory holds now, if that is something else. Blocks while it is opened; queries go on.
    ///
    /// # Errors
    /// As [`Index::open`]; what was open stays open.
    pub fn reload(&self) -> Result<Reloads, IndexError> {
        let reloaded = self.open.change(|open| match open.index.is_current()? {
            true => Ok(None),
            false => Open::read(&self.dir).map(Some),
        });
        reloaded.map(Reloads::of)
    }
}

impl Open {
    fn read(dir: &Path) -> Result<Self, IndexError> {
        let index = Index::open(dir)?;
        let removed = index.removed(REMOVED)?.into_iter().map(|item| Removed {
            key: item.key,
            vectors: item.vectors,
        });
        let removed = removed.collect();
        let meta = Meta {
            model_id: index.fingerprint(),
            dim: index.dim(),
            index_version: index.version(),
            items: Some(index.info().items),
            calibration: index.calibration().cloned(),
        };
        Ok(Self {
            index,
            meta,
            filters: PreparedFilters::default(),
            removed,
        })
    }

    fn search(&self, query: &EngineQuery, stop: Stop<'_>) -> Result<EngineAnswer, IndexError> {
        let filter = match &query.filter {
            Some(filter) => Some(self.filters.get(&self.index, filter)?),
            None => None,
        };
        let ranking = self.index.search(&IndexQuery {
            filter: filter.as_deref(),
            group_by: query.group_by.as_ref(),
            stop,
            ..IndexQuery::new(query.model, &query.vector, query.k)
        })?;
        let least = match ranking.hits.last() {
            Some(last) if ranking.hits.len() == query.k => last.score,
            _ => -1.0,
        };
        Ok(EngineAnswer {
            gone: self.gone(&query.vector, least),
            hits: ranking.hits.into_iter().map(remote_hit).collect(),
            rival: ranking.rival,
            index_version: self.meta.index_version.clone(),
        })
    }

    /// Removed items that score at least that much.
    fn gone(&self, vector: &[f32], least: f32) -> Vec<String> {
        let norm = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
        let near = |stored: &Vec<f32>| {
            let dot: f32 = stored.iter().zip(vector).map(|(a, b)| a * b).sum();
            // A device's own score may differ by the rounding of what was sent.
            dot >= (least - 0.01) * norm
        };
        let gone = self.removed.iter();
        let gone = gone.filter(|item| item.vectors.iter().any(near));
        gone.map(|item| item.key.clone()).collect()
    }
}

fn remote_hit(hit: Hit) -> RemoteHit {
    RemoteHit {
        key: hit.key,
        group: Some(hit.group),
        score: hit.score,
        payload: hit.payload,
        votes: hit.votes,
    }
}

#[async_trait]
impl Engine for Embedded {
    async fn meta(&self, _: Option<Fingerprint>) -> Result<Meta, EngineError> {
        Ok(self.open.get().meta.clone())
    }

    async fn search(&self, query: EngineQuery) -> Result<EngineAnswer, EngineError> {
        let within = query.within;
        // Work that has begun is not taken from its thread: it looks at the clock itself.
        let stop = Stop {
            deadline: Instant::now().checked_add(within),
            ..Stop::default()
        };
        let search = async {
            let running = Arc::clone(&self.running);
            let permit = running.acquire_owned().await.expect("never closed");
            let open = self.open.get();
            let search = move || {
                // Kept to the end of the work, also where nobody waits for it any more.
                let _permit = permit;
                open.search(&query, stop)
            };
            let found = match Handle::current().runtime_flavor() {
                // On this thread, while others take over the rest: two changes of threads would cost more than many a
                // search, above all where processors are busy.
                RuntimeFlavor::MultiThread => tokio::task::block_in_place(search),
                _ => tokio::task::spawn_blocking(search)
                    .await
                    .map_err(|error| EngineError::Failed(error.to_string()))?,
            };
            found.map_err(EngineError::from)
        };
        tokio::time::timeout(within, search)
            .await
            .unwrap_or(Err(EngineError::TimedOut))
    }

    async fn ready(&self) -> Result<(), EngineError> {
        Ok(())
    }
}

impl From<IndexError> for EngineError {
    fn from(error: IndexError) -> Self {
        match error {
            IndexError::ForeignFingerprint { expected, found } => Self::WrongModel {
                has: expected,
                asked: found,
            },
            IndexError::BadVector { .. }
            | IndexError::BadFilter(_)
            | IndexError::FilterKind { .. } => Self::BadQuery(error.to_string()),
            IndexError::OutOfTime => Self::TimedOut,
            other => Self::Failed(other.to_string()),
        }
    }
}
