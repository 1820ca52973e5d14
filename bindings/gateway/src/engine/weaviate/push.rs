//! An index into a cluster, so that the cluster holds just what the index holds.
//!
//! Objects are named after what they are (item and photo) and carry a digest of their content. So a push that was cut
//! off goes on where it ended when it is started again, an update sends what has changed, and two pushes of one index do
//! the same as one.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::time::{SystemTime, UNIX_EPOCH};

use pocketlens::fingerprint::Fingerprint;
use pocketlens::index::{Index, StoredItem};
use pocketlens::remote::contract::Meta;
use prost::Message;
use serde_json::json;

use super::super::{EngineError, PushProgress, Pushed};
use super::Weaviate;
use super::objects::{Photo, gone_object};
use super::protocol::{BatchObject, BatchObjectsRequest, ConsistencyLevel};
use super::schema::{Column, Description, Existing, Stored, class, columns_of, gone_of};

/// Objects that are sent at a time…
const BATCH: usize = 256;
/// …and bytes, whatever payloads there are: Weaviate takes 100 MB.
const BATCH_BYTES: usize = 16 * 1024 * 1024;
/// Items that are read at a time.
const ITEMS: usize = 1024;
/// Most removed items that are kept, so that devices learn of them.
const MOST_GONE: usize = 10_000;

/// Where objects go.
struct Target<'a> {
    collection: &'a str,
    columns: &'a [Column],
    existing: Existing,
    pushed: Pushed,
    /// Names the push; with the number of the batch it stands in each object.
    push: String,
    batches: u32,
    batch: Vec<BatchObject>,
    batch_bytes: usize,
}

impl Weaviate {
    /// Makes the cluster hold what the index holds. `replicas` and `shards` matter when the collection is made.
    ///
    /// # Errors
    /// [`EngineError`]; started again, it goes on.
    pub async fn push(
        &self,
        index: &Index,
        replicas: usize,
        shards: Option<usize>,
        progress: PushProgress<'_>,
    ) -> Result<Pushed, EngineError> {
        let info = index.info();
        let columns = columns_of(index)?;
        let collection = self.collection(info.fingerprint);
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let mut description = Description {
            meta: Meta {
                model_id: info.fingerprint,
                dim: info.dim,
                // Answers change from here on.
                index_version: format!("{}+", index.version()),
                items: Some(info.items),
                calibration: index.calibration().cloned(),
            },
            columns,
            most_photos: 1,
            pushed_at: now.map_or(0, |since| since.as_secs()),
            pushing: Some(push_id()),
        };
        let push = description.pushing.clone().unwrap_or_default();
        let (columns, interrupted) = self
            .prepare(&collection, &mut description, replicas, shards)
            .await?;
        let mut existing = self.existing(&collection).await?;
        if let Some(interrupted) = interrupted {
            self.undo_last_batch(&collection, &interrupted, &mut existing)
                .await?;
        }
        let mut target = Target {
            existing,
            collection: &collection,
            columns: &columns,
            pushed: Pushed::default(),
            push,
            batches: 0,
            batch: Vec::new(),
            batch_bytes: 0,
        };
        let mut most_photos = 1;
        let (mut done, mut after): (u64, Option<String>) = (0, None);
        loop {
            let items = index.items(after.as_deref(), ITEMS)?;
            let Some(last) = items.last() else { break };
            after = Some(last.key.clone());
            for item in &items {
                most_photos = most_photos.max(item.vectors.len());
                target.add(item);
                if target.batch.len() >= BATCH || target.batch_bytes >= BATCH_BYTES {
                    self.flush(&mut target.batch).await?;
                    target.batches += 1;
                    target.batch_bytes = 0;
                }
            }
            done += items.len() as u64;
            progress(done, info.items);
        }
        self.flush(&mut target.batch).await?;
        let Target {
            existing,
            mut pushed,
            ..
        } = target;
        self.bury(&collection, existing, info.dim, &mut pushed)
            .await?;
        self.revive(&collection, index).await?;
        description.most_photos = most_photos;
        description.meta.index_version = index.version();
        description.pushing = None;
        self.describe(&collection, &description).await?;
        self.forget(info.fingerprint);
        Ok(pushed)
    }

    /// Removes the collections of a model, such as the one before the last.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn drop_model(&self, model: Fingerprint) -> Result<(), EngineError> {
        let collection = self.collection(model);
        for name in [gone_of(&collection), collection] {
            self.connection
                .delete(&format!("/v1/schema/{name}"), None)
                .await?;
        }
        self.forget(model);
        Ok(())
    }

    fn forget(&self, model: Fingerprint) {
        self.known().remove(&model);
    }

    /// Both collections, made where they are missing. The columns as they stand there: a column that is new, or of
    /// another kind, needs a property of its own.
    async fn prepare(
        &self,
        collection: &str,
        description: &mut Description,
        replicas: usize,
        shards: Option<usize>,
    ) -> Result<(Vec<Column>, Option<String>), EngineError> {
        let path = format!("/v1/schema/{collection}");
        let gone = gone_of(collection);
        if self
            .connection
            .get(&format!("/v1/schema/{gone}"))
            .await?
            .is_none()
        {
            let made = class(&gone, description, &[], replicas, Some(1));
            self.connection.post("/v1/schema", &made).await?;
        }
        let Some(found) = self.connection.get(&path).await? else {
            let made = class(
                collection,
                description,
                &description.columns,
                replicas,
                shards,
            );
            self.connection.post("/v1/schema", &made).await?;
            return Ok((description.columns.clone(), None));
        };
        let before = Description::of_class(&found)?;
        description.most_photos = before.most_photos;
        let mut free = before.columns.len();
        let taken = before
            .columns
            .iter()
            .filter_map(|column| column.property.strip_prefix('c')?.parse::<usize>().ok());
        free = free.max(taken.max().map_or(0, |most| most + 1));
        for column in &mut description.columns {
            let known = before
                .columns
                .iter()
                .find(|known| (&known.name, known.kind) == (&column.name, column.kind));
            if let Some(known) = known {
                column.property.clone_from(&known.property);
                continue;
            }
            column.property = format!("c{free}");
            free += 1;
            let made = class(collection, &before, std::slice::from_ref(column), 1, None);
            let added = made["properties"].as_array().into_iter().flatten();
            for property in added.filter(|property| {
                !property["name"]
                    .as_str()
                    .unwrap_or("plx_")
                    .starts_with("plx_")
            }) {
                self.connection
                    .post(&format!("{path}/properties"), property)
                    .await?;
            }
        }
        self.describe(collection, description).await?;
        Ok((description.columns.clone(), before.pushing))
    }

    /// Removes what the last batch of a push that was cut off has left: an object may be stored and not yet be among the
    /// near ones, and sending it again would not change that.
    async fn undo_last_batch(
        &self,
        collection: &str,
        interrupted: &str,
        existing: &mut Existing,
    ) -> Result<(), EngineError> {
        let of_push = |stored: &&Stored| stored.batch.starts_with(interrupted);
        let Some(last) = existing
            .values()
            .filter(of_push)
            .map(|stored| &stored.batch)
            .max()
        else {
            return Ok(());
        };
        let last = last.clone();
        let doubtful = existing.iter().filter(|(_, stored)| stored.batch == last);
        let doubtful: Vec<String> = doubtful.map(|(id, _)| id.clone()).collect();
        for id in doubtful {
            let path = format!("/v1/objects/{collection}/{id}?consistency_level=QUORUM");
            self.connection.delete(&path, None).await?;
            existing.remove(&id);
        }
        Ok(())
    }

    /// Sets what a collection says of itself.
    async fn describe(
        &self,
        collection: &str,
        description: &Description,
    ) -> Result<(), EngineError> {
        let path = format!("/v1/schema/{collection}");
        let missing = || EngineError::Failed(format!("collection {collection} has vanished"));
        let mut found = self.connection.get(&path).await?.ok_or_else(missing)?;
        found["description"] =
            json!(serde_json::to_string(description).expect("a description is JSON"));
        self.connection.put(&path, &found).await?;
        Ok(())
    }

    /// All objects of a collection by id: some 150 bytes an object.
    async fn existing(&self, collection: &str) -> Result<Existing, EngineError> {
        let listed = self.list(collection, ["plx_digest", "plx_batch"]).await?;
        let stored = listed
            .into_iter()
            .map(|(id, [digest, batch])| (id, Stored { digest, batch }));
        Ok(stored.collect())
    }

    async fn flush(&self, batch: &mut Vec<BatchObject>) -> Result<(), EngineError> {
        if batch.is_empty() {
            return Ok(());
        }
        let request = BatchObjectsRequest {
            objects: std::mem::take(batch),
            consistency_level: Some(ConsistencyLevel::Quorum.into()),
        };
        let reply = self.connection.batch(&request).await?;
        match reply.errors.first() {
            None => Ok(()),
            Some(refused) => {
                let reason: String = refused.error.chars().take(500).collect();
                let reason = format!("Weaviate refuses an object: {reason}");
                Err(EngineError::Failed(reason))
            }
        }
    }

    /// Moves what is left over to the removed items.
    async fn bury(
        &self,
        collection: &str,
        left: Existing,
        dim: usize,
        pushed: &mut Pushed,
    ) -> Result<(), EngineError> {
        let gone = gone_of(collection);
        let left: Vec<String> = left.into_keys().collect();
        for ids in left[..left.len().min(MOST_GONE)].chunks(BATCH) {
            let whole = self.whole(collection, ids, dim).await?.into_iter();
            let buried =
                whole.map(|object| gone_object(&gone, object.id, object.key, object.vector));
            self.flush(&mut buried.collect()).await?;
        }
        for id in &left {
            let path = format!("/v1/objects/{collection}/{id}?consistency_level=QUORUM");
            self.connection.delete(&path, None).await?;
            pushed.removed += 1;
        }
        Ok(())
    }

    /// Takes items that are there (again) out of the removed ones.
    async fn revive(&self, collection: &str, index: &Index) -> Result<(), EngineError> {
        let gone = gone_of(collection);
        for (id, [key]) in self.list(&gone, ["plx_key"]).await? {
            if index.item(&key)?.is_some() {
                let path = format!("/v1/objects/{gone}/{id}");
                self.connection.delete(&path, None).await?;
            }
        }
        Ok(())
    }
}

impl Target<'_> {
    /// Queues the photos of an item, unless they are there.
    fn add(&mut self, item: &StoredItem) {
        for photo in Photo::of(item, self.columns) {
            let stored = self.existing.remove(&photo.id);
            if stored.is_some_and(|stored| stored.digest == photo.digest) {
                self.pushed.unchanged += 1;
                continue;
            }
            let batch = format!("{}-{:08}", self.push, self.batches);
            let object = photo.object(self.collection, batch);
            self.batch_bytes += object.encoded_len();
            self.batch.push(object);
            self.pushed.sent += 1;
        }
    }
}

/// A name that no other push has.
fn push_id() -> String {
    // Hash maps are seeded with numbers that differ.
    let random = RandomState::new().build_hasher().finish();
    format!("{random:016x}")
}
