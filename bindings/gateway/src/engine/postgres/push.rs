//! An index into a database, so that the database holds just what the index holds: as for a cluster, rows carry a digest
//! of their content, so that a push goes on where one was cut off, and an update sends what has changed.

use std::collections::HashMap;

use pocketlens::fingerprint::Fingerprint;
use pocketlens::index::filter::Timestamp;
use pocketlens::index::{Index, StoredItem};
use pocketlens::remote::contract::Meta;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use tokio_postgres::Client;

use super::super::{EngineError, PushProgress, Pushed};
use super::{Postgres, vector_text};

/// Items that are read and sent at a time.
const ITEMS: usize = 256;

/// A photo of an item, as it is stored.
type Place = (String, i32);

impl Postgres {
    /// Makes the database hold what the index holds.
    ///
    /// # Errors
    /// [`EngineError`]; started again, it goes on.
    pub async fn push(
        &self,
        index: &Index,
        progress: PushProgress<'_>,
    ) -> Result<Pushed, EngineError> {
        let info = index.info();
        let table = self.table(info.fingerprint);
        let client = self.client().await?;
        prepare(&client, &table, info.dim).await?;
        let mut meta = Meta {
            model_id: info.fingerprint,
            dim: info.dim,
            // Answers change from here on.
            index_version: format!("{}+", index.version()),
            items: Some(info.items),
            calibration: index.calibration().cloned(),
        };
        let rows = client
            .query(&format!("SELECT key, photo, digest FROM {table}"), &[])
            .await?;
        let mut existing: HashMap<Place, String> = HashMap::with_capacity(rows.len());
        let mut most_photos = 1;
        for row in &rows {
            let place: Place = (row.try_get(0)?, row.try_get(1)?);
            most_photos = most_photos.max(place.1 + 1);
            existing.insert(place, row.try_get(2)?);
        }
        self.describe(&client, &meta, most_photos).await?;
        let mut pushed = Pushed::default();
        let (mut done, mut after): (u64, Option<String>) = (0, None);
        loop {
            let items = index.items(after.as_deref(), ITEMS)?;
            let Some(last) = items.last() else { break };
            after = Some(last.key.clone());
            let mut batch = Vec::new();
            for item in &items {
                let count = i32::try_from(item.vectors.len()).unwrap_or(i32::MAX);
                most_photos = most_photos.max(count);
                add(item, &mut existing, &mut batch, &mut pushed);
            }
            send(&client, &table, batch).await?;
            done += items.len() as u64;
            progress(done, info.items);
        }
        bury(&client, &table, existing.into_keys().collect(), &mut pushed).await?;
        // The index of near rows is made of the whole table: far faster than row by row.
        let made = format!(
            "CREATE INDEX IF NOT EXISTS {table}_near ON {table} USING hnsw (vector halfvec_cosine_ops) WITH (m = 32, ef_construction = 128)"
        );
        client.batch_execute(&made).await?;
        client.batch_execute(&format!("ANALYZE {table}")).await?;
        meta.index_version = index.version();
        self.describe(&client, &meta, most_photos).await?;
        Ok(pushed)
    }

    /// Removes what is there of a model, such as the one before the last.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn drop_model(&self, model: Fingerprint) -> Result<(), EngineError> {
        let table = self.table(model);
        let client = self.client().await?;
        let forget = "DELETE FROM pocketlens_indexes WHERE catalogue = $1 AND model = $2";
        client
            .execute(forget, &[&self.catalogue, &model.to_string()])
            .await?;
        client
            .batch_execute(&format!("DROP TABLE IF EXISTS {table}, {table}_gone"))
            .await?;
        Ok(())
    }

    async fn describe(
        &self,
        client: &Client,
        meta: &Meta,
        most_photos: i32,
    ) -> Result<(), EngineError> {
        let text = "INSERT INTO pocketlens_indexes (catalogue, model, meta, most_photos, pushed_at) VALUES ($1, $2, $3, $4, now()) \
                    ON CONFLICT (catalogue, model) DO UPDATE SET meta = $3, most_photos = $4, pushed_at = now()";
        let json = serde_json::to_value(meta).expect("meta is JSON");
        let model = meta.model_id.to_string();
        client
            .execute(text, &[&self.catalogue, &model, &json, &most_photos])
            .await?;
        Ok(())
    }
}

async fn prepare(client: &Client, table: &str, dim: usize) -> Result<(), EngineError> {
    let text = format!(
        "CREATE EXTENSION IF NOT EXISTS vector;
         CREATE TABLE IF NOT EXISTS pocketlens_indexes (
             catalogue text, model text, meta jsonb NOT NULL, most_photos int NOT NULL, pushed_at timestamptz NOT NULL,
             PRIMARY KEY (catalogue, model));
         CREATE TABLE IF NOT EXISTS {table} (
             key text, photo int, grp text NOT NULL, payload jsonb NOT NULL, times jsonb NOT NULL, digest text NOT NULL,
             vector halfvec({dim}) NOT NULL, PRIMARY KEY (key, photo));
         CREATE TABLE IF NOT EXISTS {table}_gone (
             key text, photo int, vector halfvec({dim}) NOT NULL, PRIMARY KEY (key, photo));"
    );
    Ok(client.batch_execute(&text).await?)
}

/// A row as JSON, which the database takes apart: one statement a batch.
fn add(
    item: &StoredItem,
    existing: &mut HashMap<Place, String>,
    batch: &mut Vec<Value>,
    pushed: &mut Pushed,
) {
    for (photo, vector) in (0i32..).zip(&item.vectors) {
        let row = json!({
            "key": item.key, "photo": photo, "grp": item.group, "payload": item.payload, "times": times_of(&item.payload),
            "vector": vector_text(vector),
        });
        let digest: String = Sha256::digest(row.to_string())[..16]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        if existing.remove(&(item.key.clone(), photo)).as_deref() == Some(digest.as_str()) {
            pushed.unchanged += 1;
            continue;
        }
        let mut row = row;
        row["digest"] = json!(digest);
        batch.push(row);
        pushed.sent += 1;
    }
}

async fn send(client: &Client, table: &str, batch: Vec<Value>) -> Result<(), EngineError> {
    if batch.is_empty() {
        return Ok(());
    }
    let text = format!(
        "WITH sent AS (
             INSERT INTO {table} (key, photo, grp, payload, times, digest, vector)
             SELECT key, photo, grp, payload, times, digest, vector::halfvec
             FROM jsonb_to_recordset($1) AS r(key text, photo int, grp text, payload jsonb, times jsonb, digest text, vector text)
             ON CONFLICT (key, photo) DO UPDATE SET grp = excluded.grp, payload = excluded.payload, times = excluded.times,
                 digest = excluded.digest, vector = excluded.vector
             RETURNING key)
         DELETE FROM {table}_gone WHERE key IN (SELECT key FROM sent)"
    );
    client.execute(&text, &[&Value::Array(batch)]).await?;
    Ok(())
}

/// Moves rows to the removed ones. A photo less of an item that stays is no removed item.
async fn bury(
    client: &Client,
    table: &str,
    places: Vec<Place>,
    pushed: &mut Pushed,
) -> Result<(), EngineError> {
    let text = format!(
        "WITH place AS (SELECT * FROM unnest($1::text[], $2::int[]) AS p(key, photo)),
              dead AS (DELETE FROM {table} t USING place p WHERE t.key = p.key AND t.photo = p.photo RETURNING t.key, t.photo, t.vector)
         INSERT INTO {table}_gone SELECT key, photo, vector FROM dead
         WHERE key NOT IN (SELECT t.key FROM {table} t LEFT JOIN place p ON t.key = p.key AND t.photo = p.photo WHERE p.key IS NULL AND t.key IN (SELECT key FROM dead))
         ON CONFLICT DO NOTHING"
    );
    let (keys, photos): (Vec<String>, Vec<i32>) = places.into_iter().unzip();
    pushed.removed = keys.len() as u64;
    if !keys.is_empty() {
        client.execute(&text, &[&keys, &photos]).await?;
    }
    Ok(())
}

/// Texts of the payload that are times, as microseconds since 1970, by the name that a filter gives their place.
fn times_of(payload: &Value) -> Value {
    let mut times = Map::new();
    collect("", payload, &mut times);
    Value::Object(times)
}

fn collect(prefix: &str, value: &Value, times: &mut Map<String, Value>) {
    let micros = |text: &str| {
        text.parse::<Timestamp>()
            .ok()
            .map(|time| json!(time.micros()))
    };
    for (name, value) in value.as_object().into_iter().flatten() {
        let name = format!("{prefix}{name}");
        let found = match value {
            Value::String(text) => micros(text),
            Value::Array(elements) => {
                let found: Vec<Value> = elements
                    .iter()
                    .filter_map(|element| micros(element.as_str()?))
                    .collect();
                (!found.is_empty()).then_some(Value::Array(found))
            }
            Value::Object(_) => {
                collect(&format!("{name}."), value, times);
                None
            }
            _ => None,
        };
        if let Some(found) = found {
            // A field of the whole name comes before a place that it leads to.
            if prefix.is_empty() || !times.contains_key(&name) {
                times.insert(name, found);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_found_where_filters_look_for_them() {
        let payload = json!({
            "added": "1970-01-01T00:00:01Z", "brand": "Nike", "sold": ["1970-01-02", "never", 3],
            "maker": {"since": "1970-01-01"}, "maker.since": "1970-01-01T00:00:00.000007Z",
        });
        let expected = json!({"added": 1_000_000, "sold": [86_400_000_000u64], "maker.since": 7});
        assert_eq!(times_of(&payload), expected);
    }
}
