//! PostgreSQL with pgvector as an engine: for catalogues that live beside the rest of a shop's data, with its backups
//! and replicas.
//!
//! A table a model, `shop_<fingerprint>`, a row a photo, near rows by an HNSW index; removed items lie in
//! `shop_<fingerprint>_gone`, and the table of tables, `pocketlens_indexes`, says what the gateway must know. Filters are
//! asked of the payload itself (`filter`), so that all of them are answered exactly as by an index file.

mod filter;
mod push;

use std::collections::HashSet;
use std::str::FromStr;
use std::time::Duration;

use async_trait::async_trait;
use deadpool_postgres::{Manager, Object, Pool, Runtime};
use pocketlens::fingerprint::Fingerprint;
use pocketlens::remote::contract::{Meta, RemoteHit};
use serde_json::Value;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Config, NoTls};

use super::grouped::grouped;
use super::{Engine, EngineAnswer, EngineError, EngineQuery};

/// Connections to the database.
const CONNECTIONS: usize = 16;
/// For a connection.
const CONNECT: Duration = Duration::from_secs(2);
/// Best items that are looked at for groups, votes and the rival, as in the index of a device.
const VOTERS: usize = pocketlens::index::VOTERS;
/// Most rows of one answer.
const MAX_ROWS: usize = 10_000;
/// Removed items that are looked at.
const GONE: i64 = 16;
/// Scans go on until there are enough rows behind a filter, in the order of their distance.
const SETTINGS: &str = "-c hnsw.iterative_scan=strict_order -c hnsw.ef_search=200 -c hnsw.max_scan_tuples=1000000 -c jit=off";

/// A database, and the name of a catalogue in it.
pub struct Postgres {
    pool: Pool,
    catalogue: String,
}

/// The text is no address of a database.
#[derive(Debug, thiserror::Error)]
#[error(
    "no address of a database: {reason}; expected postgres://USER@HOST:PORT/DATABASE[?catalogue=name], the password in the variable POCKETLENS_ENGINE_KEY"
)]
pub struct BadDatabase {
    reason: String,
}

/// Where a database is: `postgres://USER@HOST:PORT/DATABASE[?catalogue=name]`.
#[derive(Clone, Debug)]
pub struct DatabaseAddress {
    config: Config,
    catalogue: String,
}

impl DatabaseAddress {
    /// Whether a text means a database.
    pub fn is_meant_by(text: &str) -> bool {
        text.starts_with("postgres://") || text.starts_with("postgresql://")
    }
}

impl FromStr for DatabaseAddress {
    type Err = BadDatabase;

    fn from_str(text: &str) -> Result<Self, BadDatabase> {
        let (url, catalogue) = text.split_once("?catalogue=").unwrap_or((text, "shop"));
        let is_name = catalogue.starts_with(|c: char| c.is_ascii_lowercase())
            && catalogue.len() <= 20
            && catalogue
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        if !Self::is_meant_by(text) || !is_name {
            let reason = "a catalogue is a small letter and up to 19 small letters and digits";
            return Err(BadDatabase {
                reason: reason.to_owned(),
            });
        }
        // What is wrong with it, and not the text: a password may stand in it.
        let mut config: Config = url.parse().map_err(|error: tokio_postgres::Error| {
            let reason = std::error::Error::source(&error)
                .map_or_else(|| error.to_string(), ToString::to_string);
            BadDatabase { reason }
        })?;
        if config.get_password().is_some() {
            let reason = "every process of a machine can read a password in an argument";
            return Err(BadDatabase {
                reason: reason.to_owned(),
            });
        }
        config
            .options(SETTINGS)
            .connect_timeout(CONNECT)
            .application_name("pocketlens");
        Ok(Self {
            config,
            catalogue: catalogue.to_owned(),
        })
    }
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
    /// [`EngineError::Failed`] where no pool can be made.
    pub fn new(address: &DatabaseAddress, password: Option<&str>) -> Result<Self, EngineError> {
        let mut config = address.config.clone();
        if let Some(password) = password {
            config.password(password);
        }
        let pool = Pool::builder(Manager::new(config, NoTls))
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
        got.map_err(|error| EngineError::NotReady(error.to_string()))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let address: DatabaseAddress = "postgres://shop@127.0.0.1:5432/shop?catalogue=shoes2"
            .parse()
            .unwrap();
        assert_eq!(address.catalogue, "shoes2");
        assert_eq!(
            "postgres://a@b/c"
                .parse::<DatabaseAddress>()
                .unwrap()
                .catalogue,
            "shop"
        );
        for bad in [
            "",
            "weaviate://a:1",
            "postgres://a@b/c?catalogue=Shop",
            "postgres://a@b/c?catalogue=x;drop",
            "postgres://a@b:port/c",
        ] {
            assert!(bad.parse::<DatabaseAddress>().is_err(), "{bad}");
        }
        let reason = "postgres://a:hunter2@b/c"
            .parse::<DatabaseAddress>()
            .unwrap_err()
            .to_string();
        assert!(!reason.contains("hunter2"), "{reason}");
    }
}
