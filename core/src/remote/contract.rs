//! What device and server say to each other, as JSON: `GET /v1/meta` tells which model's descriptors the server
//! understands, `POST /v1/search` asks with one of them. Refusals are [`Problem`](super::Problem)s.
//!
//! Replies may grow fields, which an older device does not look at. A request with an unknown field is refused: a
//! misspelt filter must not be an unfiltered answer.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::EncodedVector;
use crate::fingerprint::Fingerprint;
use crate::index::filter::Filter;
use crate::verdict::Calibration;

/// Path of [`Meta`]; `?model_id=…` asks for that model, where a server has several.
pub const META_PATH: &str = "/v1/meta";
/// Path of [`SearchRequest`].
pub const SEARCH_PATH: &str = "/v1/search";

/// What a server searches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Meta {
    /// Fingerprint of the model whose descriptors it understands.
    pub model_id: Fingerprint,
    /// Numbers in a descriptor.
    pub dim: usize,
    /// Changes whenever answers may change; compared for equality only.
    pub index_version: String,
    /// Things that can be found, where the server counts them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub items: Option<u64>,
    /// From scores to confidence, as fitted to the server's index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibration: Option<Calibration>,
}

/// How the numbers of a vector are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dtype {
    /// IEEE 754 half precision, little-endian, as base64.
    F16,
}

/// A search.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SearchRequest {
    /// Of the model that made the vector; another one than the server's is refused (409).
    pub model_id: Fingerprint,
    /// Numbers in the vector.
    pub dim: usize,
    /// How they are written.
    pub dtype: Dtype,
    /// The descriptor.
    pub vector: EncodedVector,
    /// Hits wanted, at least 1; a server may give fewer than asked for.
    pub k: usize,
    /// Conditions on the payload, in the vocabulary of [`Filter::from_json`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<Filter>,
    /// One hit a group: `group`, or a field of the payload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_by: Option<String>,
    /// Milliseconds after which nobody waits for the answer any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_ms: Option<u32>,
}

/// An item that a server found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RemoteHit {
    /// Names the item.
    pub key: String,
    /// The group it belongs to; its own key when it has none.
    #[serde(default)]
    pub group: Option<String>,
    /// Cosine with the query, -1 to 1.
    pub score: f32,
    /// What was indexed with the item.
    #[serde(default)]
    pub payload: Value,
    /// Where hits are groups: how many of the best items are of this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub votes: Option<u32>,
}

/// The answer to a search.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SearchReply {
    /// Best first.
    pub hits: Vec<RemoteHit>,
    /// Keys that were removed from the server's index, of items that would be among the hits: a device that still has
    /// them is not to show them.
    #[serde(default)]
    pub gone: Vec<String>,
    /// As in [`Meta`].
    pub index_version: String,
    /// Seconds for which the same question need not be asked again.
    #[serde(default)]
    pub ttl_s: u32,
    /// The best score of an item of another group than the first hit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rival: Option<f32>,
}
