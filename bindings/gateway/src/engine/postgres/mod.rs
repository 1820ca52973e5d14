//! PostgreSQL with pgvector as an engine: for catalogues that live beside the rest of a shop's data, with its backups
//! and replicas.
//!
//! A table a model, `shop_<fingerprint>`, a row a photo, near rows by an HNSW index; removed items lie in
//! `shop_<fingerprint>_gone`, and the table of tables, `pocketlens_indexes`, says what the gateway must know. Filters are
//! asked of the payload itself (`filter`), so that all of them are answered exactly as by an index file.

mod address;
mod filter;
mod push;
#[cfg(feature = "tls")]
mod tls;

use std::collections::HashSet;

use async_trait::async_trait;
use deadpool_postgres::{Manager, Object, Pool, Runtime};
use pocketlens::fingerprint::Fingerprint;
use pocketlens::remote::contract::{Meta, RemoteHit};
use serde_json::Value;
use tokio_postgres::config::SslMode;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Config, NoTls};

pub use address::{BadDatabase, DatabaseAddress};

use address::CONNECT;

use super::cause::with_cause;
use super::grouped::grouped;
use super::{Engine, EngineAnswer, EngineError, EngineQuery};

/// Connections to the database.
const CONNECTIONS: usize = 16;
/// Best items that are looked at for groups, votes and the rival, as in the index of a device.
const VOTERS: usize = pocketlens::index::VOTERS;
/// Most rows of one answer.
const MAX_ROWS: usize = 10_000;
/// Removed items that are looked at.
const GONE: i64 = 16;

/// A database, and the name of a catalogue in it.
pub struct Postgres {
    pool: Pool,
    catalogue: String,
}

/// What is known of an index that was pushed.
#[derive(Clone, Debug)]
struct Known {
    meta: Meta,
    most_photos: usize,
}

impl Postgres {
    /// A catalogue at this address. Sends nothing yet.
    ///
    /// # Errors
    /// [`EngineError::Failed`] where no pool can be made, or TLS is asked for and cannot be had.
    pub fn new(address: &DatabaseAddress, password: Option<&str>) -> Result<Self, EngineError> {
        let mut config = address.config.clone();
        if let Some(password) = password {
            config.password(password);
        }
        let pool = Pool::builder(manager(config)?)
            .max_size(CONNECTIONS)
            .wait_timeout(Some(CONNECT))
            .create_timeout(Some(CONNECT))
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|error| EngineError::Failed(error.to_string()))?;
        Ok(Self {
            pool,
            catalogue: address.catalogue.clone(),
        })
    }

    async fn client(&self) -> Result<Object, EngineError> {
        let got = self.pool.get().await;
        got.map_err(|error| EngineError::NotReady(with_cause(&error)))
    }

    fn table(&self, model: Fingerprint) -> String {
        format!("{}_{model}", self.catalogue)
    }

    /// What was pushed of a model, or, where none is named, last.
    async fn known(&self, model: Option<Fingerprint>) -> Result<Option<Known>, EngineError> {
        let client = self.client().await?;
        let text = "SELECT meta, most_photos FROM pocketlens_indexes WHERE catalogue = $1 AND ($2::text IS NULL OR model = $2) \
                    ORDER BY pushed_at DESC LIMIT 1";
        let statement = match client.prepare_cached(text).await {
            Ok(statement) => statement,
            // Nothing was ever pushed here.
            Err(error)
                if error.code() == Some(&tokio_postgres::error::SqlState::UNDEFINED_TABLE) =>
            {
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        };
        let model = model.map(|model| model.to_string());
        let Some(row) = client
            .query_opt(&statement, &[&self.catalogue, &model])
            .await?
        else {
            return Ok(None);
        };
        let (meta, most_photos): (Value, i32) = (row.try_get(0)?, row.try_get(1)?);
        let meta =
            serde_json::from_value(meta).map_err(|error| EngineError::Failed(error.to_string()))?;
        Ok(Some(Known {
            meta,
            most_photos: usize::try_from(most_photos).unwrap_or(1).max(1),
        }))
    }

    async fn newest(&self) -> Result<Known, EngineError> {
        self.known(None).await?.ok_or_else(|| {
            let reason = format!(
                "no index is there under the name {}; push one",
                self.catalogue
            );
            EngineError::NotReady(reason)
        })
    }

    async fn search_in_time(&self, query: &EngineQuery) -> Result<EngineAnswer, EngineError> {
        let Some(known) = self.known(Some(query.model)).await? else {
            let has = self.newest().await?.meta.model_id;
            let asked = query.model;
            return Err(EngineError::WrongModel { has, asked });
        };
        let several = query.group_by.is_some();
        let mut wanted = match several {
            true => query.k.saturating_mul(4).max(VOTERS),
            // One more group than the first hit's is usually among the best few.
            false => query.k.max(VOTERS),
        };
        loop {
            let limit = wanted.saturating_mul(known.most_photos).min(MAX_ROWS);
            let (rows, hits) = self.nearest(query, limit).await?;
            let all = rows < limit || limit == MAX_ROWS;
            let rival = hits.first().and_then(|first| {
                let other = hits.iter().find(|hit| hit.group != first.group);
                other.map(|hit| hit.score)
            });
            let mut hits = match &query.group_by {
                Some(group_by) => grouped(hits, group_by),
                None => hits,
            };
            if several && !all && hits.len() < query.k {
                wanted = wanted.saturating_mul(8);
                continue;
            }
            hits.truncate(query.k);
            let least = match hits.last() {
                Some(last) if hits.len() == query.k => last.score - 0.01,
                _ => -1.0,
            };
            return Ok(EngineAnswer {
                gone: self.gone(query, least).await?,
                hits,
                rival,
                index_version: known.meta.index_version,
            });
        }
    }

    /// How many rows came, and their items.
    async fn nearest(
        &self,
        query: &EngineQuery,
        limit: usize,
    ) -> Result<(usize, Vec<RemoteHit>), EngineError> {
        let (vector, limit) = (vector_text(&query.vector), limit as i64);
        let mut condition = filter::Sql::default();
        condition.bind(vector);
        condition.bind(limit);
        let condition_text = match &query.filter {
            Some(filter) => format!("WHERE {}", condition.filter(filter)),
            None => String::new(),
        };
        let table = self.table(query.model);
        let text = format!(
            "SELECT key, grp, payload, 1 - (vector <=> $1::text::halfvec) FROM {table} {condition_text} \
             ORDER BY vector <=> $1::text::halfvec LIMIT $2"
        );
        let client = self.client().await?;
        // Filters differ without end; what is asked without one is prepared once.
        let statement = match query.filter {
            None => client.prepare_cached(&text).await?,
            Some(_) => client.prepare(&text).await?,
        };
        let rows = client.query(&statement, &condition.values()).await?;
        let mut seen = HashSet::new();
        let mut hits = Vec::new();
        for row in &rows {
            let key: String = row.try_get(0)?;
            // The best photo of an item comes first.
            if seen.insert(key.clone()) {
                hits.push(RemoteHit {
                    key,
                    group: Some(row.try_get(1)?),
                    payload: row.try_get(2)?,
                    score: row.try_get::<_, f64>(3)? as f32,
                    votes: None,
                });
            }
        }
        // As in an index: equal scores by key.
        hits.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.key.cmp(&b.key)));
        Ok((rows.len(), hits))
    }

    async fn gone(&self, query: &EngineQuery, least: f32) -> Result<Vec<String>, EngineError> {
        let table = self.table(query.model);
        let text = format!(
            "SELECT DISTINCT key FROM (SELECT key, vector <=> $1::text::halfvec AS distance FROM {table}_gone ORDER BY 2 LIMIT $2) near \
             WHERE distance <= $3 ORDER BY key"
        );
        let client = self.client().await?;
        let statement = client.prepare_cached(&text).await?;
        let values: [&(dyn ToSql + Sync); 3] = [
            &vector_text(&query.vector),
            &GONE,
            &(1.0 - f64::from(least)),
        ];
        let rows = client.query(&statement, &values).await?;
        rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
    }
}

#[async_trait]
impl Engine for Postgres {
    async fn meta(&self, model: Option<Fingerprint>) -> Result<Meta, EngineError> {
        if model.is_some()
            && let Some(known) = self.known(model).await?
        {
            return Ok(known.meta);
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
        self.newest().await.map(|_| ())
    }
}

/// Makes connections: with TLS where the address says `sslmode=require`, else without.
fn manager(config: Config) -> Result<Manager, EngineError> {
    match config.get_ssl_mode() {
        #[cfg(feature = "tls")]
        SslMode::Require => Ok(Manager::new(config, tls::checked()?)),
        #[cfg(not(feature = "tls"))]
        SslMode::Require => {
            let reason = "this build has no TLS (feature `tls`), and the address asks for it";
            Err(EngineError::Failed(reason.to_owned()))
        }
        _ => Ok(Manager::new(config, NoTls)),
    }
}

/// As pgvector reads vectors.
fn vector_text(values: &[f32]) -> String {
    let values: Vec<String> = values.iter().map(ToString::to_string).collect();
    format!("[{}]", values.join(","))
}

impl From<tokio_postgres::Error> for EngineError {
    fn from(error: tokio_postgres::Error) -> Self {
        let reason = match error.as_db_error() {
            Some(error) => error.message().to_owned(),
            None => error.to_string(),
        };
        Self::Failed(format!("PostgreSQL: {reason}"))
    }
}
