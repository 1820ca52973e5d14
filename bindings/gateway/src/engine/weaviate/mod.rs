//! Weaviate as an engine: a catalogue that one machine does not hold, sharded and replicated.
//!
//! A collection a model: `Shop_<fingerprint>`, so that the index of the next model stands beside that of the present one
//! while devices are updated; removed items lie in `Shop_<fingerprint>_gone`. What the gateway must know of an index
//! (calibration, columns, version) is the description of its collection: the gateway itself keeps nothing.
//!
//! Searches and batches go by gRPC (`protocol` has its messages), the schema by REST, since Weaviate has no other way to it.

mod address;
mod circle;
mod connection;
mod filter;
mod grpc;
mod listing;
mod nearest;
mod objects;
mod protocol;
mod push;
mod schema;

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use pocketlens::fingerprint::Fingerprint;
use pocketlens::remote::contract::Meta;

pub use address::{BadAddress, EngineAddress};
use connection::Connection;
use schema::Description;

use super::grouped::grouped;
use super::{Engine, EngineAnswer, EngineError, EngineQuery};

/// How long what a collection says of itself is believed.
const FRESH: Duration = Duration::from_secs(2);
/// How long is waited for news of it.
const REFRESH: Duration = Duration::from_millis(700);
/// Best items that are looked at for groups, votes and the rival, as in the index of a device.
const VOTERS: usize = pocketlens::index::VOTERS;
/// Most objects of one answer (Weaviate's default limit).
const MAX_OBJECTS: usize = 10_000;

/// A cluster, and the name of a catalogue on it.
pub struct Weaviate {
    connection: Connection,
    name: String,
    known: Mutex<HashMap<Fingerprint, (Instant, Description)>>,
}

impl Weaviate {
    /// A catalogue at this address; `key` is an API key of the cluster. Sends nothing yet.
    ///
    /// # Errors
    /// [`EngineError::Failed`] where no HTTP client can be made, or the key cannot be sent.
    pub fn new(address: &EngineAddress, key: Option<String>) -> Result<Self, EngineError> {
        Ok(Self {
            connection: Connection::new(address, key)?,
            name: address.catalogue.clone(),
            known: Mutex::default(),
        })
    }

    fn collection(&self, model: Fingerprint) -> String {
        format!("{}_{model}", self.name)
    }

    /// What the collection of a model says of itself; `None` where there is none.
    ///
    /// What was said before holds while a cluster that has lost a node is busy with itself.
    async fn description(&self, model: Fingerprint) -> Result<Option<Description>, EngineError> {
        let before = {
            let mut known = self.known();
            match known.get_mut(&model) {
                Some((when, description)) if when.elapsed() < FRESH => {
                    return Ok(Some(description.clone()));
                }
                Some((when, description)) => {
                    // One asks again; the others go on with what is known.
                    *when = Instant::now();
                    Some(description.clone())
                }
                None => None,
            }
        };
        let path = format!("/v1/schema/{}", self.collection(model));
        let asked = self.connection.get_local(&path);
        let class = match (tokio::time::timeout(REFRESH, asked).await, before) {
            (Ok(Ok(class)), _) => class,
            (_, Some(before)) => return Ok(Some(before)),
            (Ok(Err(error)), None) => return Err(error),
            (Err(_), None) => return Err(EngineError::TimedOut),
        };
        let Some(class) = class else {
            self.known().remove(&model);
            return Ok(None);
        };
        let description = Description::of_class(&class)?;
        // As many as there are models; a hostile request cannot add one.
        let fresh = (Instant::now(), description.clone());
        self.known().insert(model, fresh);
        Ok(Some(description))
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Fingerprint, (Instant, Description)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The newest index of the catalogue.
    async fn newest(&self) -> Result<Description, EngineError> {
        let schema = self
            .connection
            .get_local("/v1/schema")
            .await?
            .unwrap_or_default();
        let classes = schema["classes"].as_array().into_iter().flatten();
        let own = classes.filter(|class| {
            let name = class["class"].as_str().unwrap_or_default();
            let model = name
                .strip_prefix(&self.name)
                .and_then(|rest| rest.strip_prefix('_'));
            model.is_some_and(|model| model.parse::<Fingerprint>().is_ok())
        });
        let own = own.filter_map(|class| Description::of_class(class).ok());
        own.max_by_key(|description| description.pushed_at)
            .ok_or_else(|| {
                let reason = format!("no index is there under the name {}; push one", self.name);
                EngineError::NotReady(reason)
            })
    }
}

#[async_trait]
impl Engine for Weaviate {
    async fn meta(&self, model: Option<Fingerprint>) -> Result<Meta, EngineError> {
        if let Some(model) = model
            && let Some(description) = self.description(model).await?
        {
            return Ok(description.meta);
        }
        Ok(self.newest().await?.meta)
    }

    async fn search(&self, query: EngineQuery) -> Result<EngineAnswer, EngineError> {
        let within = query.within;
        tokio::time::timeout(within, self.search_in_time(&query))
            .await
            .unwrap_or(Err(EngineError::TimedOut))
    }

    async fn ready(&self) -> Result<(), EngineError> {
        match self.connection.get("/v1/.well-known/ready").await {
            Ok(_) => self.newest().await.map(|_| ()),
            Err(error) => Err(EngineError::NotReady(error.to_string())),
        }
    }
}

impl Weaviate {
    async fn search_in_time(&self, query: &EngineQuery) -> Result<EngineAnswer, EngineError> {
        let Some(description) = self.description(query.model).await? else {
            let has = self.newest().await?.meta.model_id;
            let asked = query.model;
            return Err(EngineError::WrongModel { has, asked });
        };
        let asked = match &query.filter {
            Some(filter) => Some(filter::asked_of(filter, &description.columns)?),
            None => None,
        };
        let looked_through = asked.as_ref().is_some_and(|asked| !asked.is_exact);
        let several = query.group_by.is_some() || looked_through;
        let mut wanted = match several {
            true => query.k.saturating_mul(4).max(VOTERS),
            // One more group than the first hit's is usually among the best few.
            false => query.k.max(VOTERS),
        };
        loop {
            let limit = wanted
                .saturating_mul(description.most_photos)
                .min(MAX_OBJECTS);
            let found = self.nearest(query, asked.as_ref(), limit).await?;
            let all = found.objects < limit;
            let rival = found.hits.first().and_then(|first| {
                let others = found.hits.iter().find(|hit| hit.group != first.group);
                others.map(|hit| hit.score)
            });
            let mut hits = match &query.group_by {
                Some(group_by) => grouped(found.hits, group_by),
                None => found.hits,
            };
            if several && !all && hits.len() < query.k {
                if limit < MAX_OBJECTS {
                    wanted = wanted.saturating_mul(8);
                    continue;
                }
                if looked_through {
                    let reason = format!(
                        "the filter leaves too few of the {MAX_OBJECTS} nearest photos, and Weaviate cannot be asked all of it \
                         (geo_radius, is_null, fields of fields, except of tags); narrow it by what else you know"
                    );
                    return Err(EngineError::BadQuery(reason));
                }
            }
            hits.truncate(query.k);
            return Ok(EngineAnswer {
                hits,
                gone: found.gone,
                rival,
                index_version: description.meta.index_version,
            });
        }
    }
}
