//! What is near a vector in a collection, and among its removed items: the requests, and what is made of the replies.

use std::collections::HashSet;

use pocketlens::remote::contract::RemoteHit;

use super::super::{EngineError, EngineQuery};
use super::Weaviate;
use super::filter::Asked;
use super::protocol::{
    MetadataRequest, NearVector, PropertiesRequest, SearchReply, SearchRequest, SearchResult,
    Vector, VectorType, bytes_of,
};
use super::schema::gone_of;

/// Removed items that are looked at.
const GONE: usize = 16;
/// A device's own score may differ by the rounding of what was sent.
const ROUNDING: f32 = 0.01;

pub(super) struct Found {
    /// Before several photos of an item became one.
    pub(super) objects: usize,
    /// Best first.
    pub(super) hits: Vec<RemoteHit>,
    pub(super) gone: Vec<String>,
}

impl Weaviate {
    /// The `limit` nearest objects that meet the conditions, and the removed items that would be among them.
    pub(super) async fn nearest(
        &self,
        query: &EngineQuery,
        asked: Option<&Asked>,
        limit: usize,
    ) -> Result<Found, EngineError> {
        let collection = self.collection(query.model);
        let present = SearchRequest {
            filters: asked.map(|asked| asked.conditions.clone()),
            ..request(
                &collection,
                &query.vector,
                limit,
                &["plx_key", "plx_group", "plx_payload"],
            )
        };
        let removed = request(&gone_of(&collection), &query.vector, GONE, &["plx_key"]);
        let (present, removed) = tokio::try_join!(
            self.connection.search(&present, query.within),
            self.connection.search(&removed, query.within),
        )?;
        let objects = present.results.len();
        let mut hits = hits_of(present)?;
        if let Some(filter) = &query.filter
            && asked.is_some_and(|asked| !asked.is_exact)
        {
            hits.retain(|hit| filter.leaves(&hit.key, &hit.payload));
        }
        let least = match hits.get(query.k.saturating_sub(1)) {
            Some(last) => last.score - ROUNDING,
            None => -1.0,
        };
        Ok(Found {
            objects,
            hits,
            gone: removed_of(removed, least)?,
        })
    }
}

fn request(collection: &str, vector: &[f32], limit: usize, names: &[&str]) -> SearchRequest {
    SearchRequest {
        collection: collection.to_owned(),
        properties: Some(PropertiesRequest::of(names)),
        metadata: Some(MetadataRequest {
            distance: true,
            ..MetadataRequest::default()
        }),
        limit: u32::try_from(limit).unwrap_or(u32::MAX),
        near_vector: Some(NearVector {
            vectors: vec![Vector {
                values: bytes_of(vector),
                kind: VectorType::SingleFp32.into(),
            }],
        }),
        uses_127_api: true,
        ..SearchRequest::default()
    }
}

/// One hit an item, as an index orders them: best first, equal scores by key.
fn hits_of(reply: SearchReply) -> Result<Vec<RemoteHit>, EngineError> {
    let mut hits = Vec::with_capacity(reply.results.len());
    for mut object in reply.results {
        let payload = object.text("plx_payload")?;
        hits.push(RemoteHit {
            score: score_of(&object)?,
            key: object.text("plx_key")?,
            group: Some(object.text("plx_group")?),
            payload: serde_json::from_str(&payload).map_err(|error| {
                EngineError::Failed(format!(
                    "Weaviate answers with a payload that is no JSON: {error}"
                ))
            })?,
            votes: None,
        });
    }
    hits.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.key.cmp(&b.key)));
    // The best photo of an item comes first.
    let mut seen = HashSet::new();
    hits.retain(|hit| seen.insert(hit.key.clone()));
    Ok(hits)
}

/// Keys of removed items that score at least that much.
fn removed_of(reply: SearchReply, least: f32) -> Result<Vec<String>, EngineError> {
    let mut keys = Vec::new();
    for mut object in reply.results {
        if score_of(&object)? >= least {
            keys.push(object.text("plx_key")?);
        }
    }
    Ok(keys)
}

/// The cosine, of a distance that is 1 less it.
fn score_of(object: &SearchResult) -> Result<f32, EngineError> {
    let metadata = object.metadata.as_ref();
    match metadata {
        Some(metadata) if metadata.distance_present && metadata.distance.is_finite() => {
            Ok(1.0 - metadata.distance)
        }
        _ => {
            let reason = "Weaviate answers with an object without a distance";
            Err(EngineError::Failed(reason.to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use prost::Message;

    use super::super::protocol::{MetadataResult, Properties, PropertiesResult, PropertyValue};
    use super::*;

    fn object(key: &str, payload: &str, distance: f32) -> SearchResult {
        let fields = [
            ("plx_key", key),
            ("plx_group", "g"),
            ("plx_payload", payload),
        ];
        let fields = fields.map(|(name, text)| {
            let text = Some(text.to_owned());
            (name.to_owned(), PropertyValue { text })
        });
        SearchResult {
            properties: Some(PropertiesResult {
                own: Some(Properties {
                    fields: HashMap::from(fields),
                }),
            }),
            metadata: Some(MetadataResult {
                distance,
                distance_present: true,
                ..MetadataResult::default()
            }),
        }
    }

    #[test]
    fn photos_of_an_item_are_one_hit_and_equal_scores_go_by_key() {
        let results = vec![
            object("b", "1", 0.25),
            object("a", "2", 0.25),
            object("c", "3", 0.0),
            object("a", "2", 0.5),
        ];
        let hits = hits_of(SearchReply { results }).unwrap();
        let rows: Vec<_> = hits
            .iter()
            .map(|hit| (hit.key.as_str(), hit.score))
            .collect();
        assert_eq!(rows, [("c", 1.0), ("a", 0.75), ("b", 0.75)]);
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        let spoiled: [fn(&mut SearchResult); 6] = [
            |object| object.metadata = None,
            |object| object.properties = None,
            |object| *object = super::tests::object("a", "{", 0.0),
            |object| object.metadata.as_mut().unwrap().distance_present = false,
            |object| object.metadata.as_mut().unwrap().distance = f32::NAN,
            |object| {
                let own = object.properties.as_mut().unwrap().own.as_mut().unwrap();
                own.fields.remove("plx_key");
            },
        ];
        for (at, spoil) in spoiled.iter().enumerate() {
            let mut results = vec![object("a", "1", 0.0), object("b", "1", 0.1)];
            spoil(&mut results[1]);
            let answer = hits_of(SearchReply { results });
            assert!(matches!(answer, Err(EngineError::Failed(_))), "{at}");
        }
    }

    #[test]
    fn damaged_replies_are_errors_or_sound_answers() {
        let results = vec![object("a", "{\"price\": 3}", 0.1), object("b", "1", 0.2)];
        let whole = SearchReply { results }.encode_to_vec();
        let mut random = fastrand::Rng::with_seed(3);
        for round in 0..20_000 {
            let mut bytes = whole.clone();
            match round % 2 {
                0 => bytes.truncate(random.usize(..whole.len())),
                _ => bytes[random.usize(..whole.len())] = random.u8(..),
            }
            let Ok(reply) = SearchReply::decode(bytes.as_slice()) else {
                continue;
            };
            for hit in hits_of(reply).into_iter().flatten() {
                assert!(hit.score.is_finite());
            }
        }
    }
}
