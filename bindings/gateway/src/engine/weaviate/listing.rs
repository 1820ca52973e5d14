//! Objects of a collection that are read one by one: all of them in the order of their ids, or some with their vectors.

use std::collections::BTreeMap;

use super::super::EngineError;
use super::Weaviate;
use super::filter::any_text_of;
use super::protocol::{ConsistencyLevel, MetadataRequest, PropertiesRequest, SearchRequest};

/// Objects that are listed at a time.
const PAGE: usize = 2000;

/// An object with its vector.
pub(super) struct Whole {
    pub(super) id: String,
    pub(super) key: String,
    /// Little-endian f32, as many as the collection's vectors have.
    pub(super) vector: Vec<u8>,
}

impl Weaviate {
    /// These properties of all objects, by id; empty text for what an object does not have.
    pub(super) async fn list<const N: usize>(
        &self,
        collection: &str,
        names: [&str; N],
    ) -> Result<BTreeMap<String, [String; N]>, EngineError> {
        let mut listed = BTreeMap::new();
        let mut request = SearchRequest {
            collection: collection.to_owned(),
            properties: Some(PropertiesRequest::of(&names)),
            metadata: Some(MetadataRequest {
                uuid: true,
                ..MetadataRequest::default()
            }),
            limit: PAGE as u32,
            uses_127_api: true,
            ..SearchRequest::default()
        };
        loop {
            let page = self.connection.list(&request).await?.results;
            let full = page.len() >= PAGE;
            for mut object in page {
                let id = object.id()?;
                if id <= request.after {
                    let reason = "Weaviate lists objects in another order than that of their ids";
                    return Err(EngineError::Failed(reason.to_owned()));
                }
                request.after.clone_from(&id);
                let texts = names.map(|name| object.text(name).unwrap_or_default());
                listed.insert(id, texts);
            }
            if !full {
                return Ok(listed);
            }
        }
    }

    /// The objects with these ids that are there, with their vectors of `dim` numbers.
    pub(super) async fn whole(
        &self,
        collection: &str,
        ids: &[String],
        dim: usize,
    ) -> Result<Vec<Whole>, EngineError> {
        let request = SearchRequest {
            collection: collection.to_owned(),
            consistency_level: Some(ConsistencyLevel::Quorum.into()),
            properties: Some(PropertiesRequest::of(&["plx_key"])),
            metadata: Some(MetadataRequest {
                uuid: true,
                vector: true,
                ..MetadataRequest::default()
            }),
            limit: u32::try_from(ids.len()).unwrap_or(u32::MAX),
            filters: Some(any_text_of("_id", ids.iter().cloned())),
            uses_127_api: true,
            ..SearchRequest::default()
        };
        let found = self.connection.list(&request).await?.results.into_iter();
        let whole = found.map(|mut object| {
            let (id, key) = (object.id()?, object.text("plx_key")?);
            let vector = object.metadata.unwrap_or_default().vector;
            let (expected, found) = (4 * dim, vector.len());
            if found != expected {
                let reason =
                    format!("the vector of object {id}: expected {expected} bytes, found {found}");
                return Err(EngineError::Failed(reason));
            }
            Ok(Whole { id, key, vector })
        });
        whole.collect()
    }
}
