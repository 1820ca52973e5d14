//! The messages of Weaviate's gRPC interface, with the fields that are used here and the numbers that they have in its
//! `grpc/proto/v1/*.proto`. Written by hand: the build needs no protocol compiler, and what is not asked for is not read.

use std::collections::HashMap;

use prost::{Enumeration, Message, Oneof};

use super::super::EngineError;

/// `/weaviate.v1.Weaviate/Search`: what is asked of one collection.
#[derive(Clone, PartialEq, Message)]
pub(super) struct SearchRequest {
    #[prost(string, tag = "1")]
    pub(super) collection: String,
    #[prost(enumeration = "ConsistencyLevel", optional, tag = "11")]
    pub(super) consistency_level: Option<i32>,
    #[prost(message, optional, tag = "20")]
    pub(super) properties: Option<PropertiesRequest>,
    #[prost(message, optional, tag = "21")]
    pub(super) metadata: Option<MetadataRequest>,
    #[prost(uint32, tag = "30")]
    pub(super) limit: u32,
    /// Objects behind this id, in the order of ids.
    #[prost(string, tag = "33")]
    pub(super) after: String,
    #[prost(message, optional, tag = "40")]
    pub(super) filters: Option<Filters>,
    #[prost(message, optional, tag = "43")]
    pub(super) near_vector: Option<NearVector>,
    /// Properties come as they do since 1.27.
    #[prost(bool, tag = "102")]
    pub(super) uses_127_api: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct PropertiesRequest {
    #[prost(string, repeated, tag = "1")]
    pub(super) names: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct MetadataRequest {
    #[prost(bool, tag = "1")]
    pub(super) uuid: bool,
    #[prost(bool, tag = "2")]
    pub(super) vector: bool,
    #[prost(bool, tag = "5")]
    pub(super) distance: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Enumeration)]
#[repr(i32)]
pub(super) enum ConsistencyLevel {
    Unspecified = 0,
    Quorum = 2,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct NearVector {
    #[prost(message, repeated, tag = "9")]
    pub(super) vectors: Vec<Vector>,
}

/// A vector without a name.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Vector {
    /// Little-endian f32.
    #[prost(bytes = "vec", tag = "3")]
    pub(super) values: Vec<u8>,
    #[prost(enumeration = "VectorType", tag = "4")]
    pub(super) kind: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Enumeration)]
#[repr(i32)]
pub(super) enum VectorType {
    Unspecified = 0,
    SingleFp32 = 1,
}

/// A condition on a property, or conditions joined.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Filters {
    #[prost(enumeration = "Operator", tag = "1")]
    pub(super) operator: i32,
    #[prost(message, repeated, tag = "3")]
    pub(super) operands: Vec<Filters>,
    #[prost(oneof = "TestValue", tags = "4, 6, 7, 9")]
    pub(super) value: Option<TestValue>,
    #[prost(message, optional, tag = "20")]
    pub(super) target: Option<FilterTarget>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Enumeration)]
#[repr(i32)]
pub(super) enum Operator {
    Unspecified = 0,
    Equal = 1,
    GreaterThan = 3,
    GreaterThanEqual = 4,
    LessThan = 5,
    LessThanEqual = 6,
    And = 7,
    Or = 8,
    IsNull = 11,
    ContainsAny = 12,
    Not = 15,
}

#[derive(Clone, PartialEq, Oneof)]
pub(super) enum TestValue {
    /// Times too, as RFC 3339.
    #[prost(string, tag = "4")]
    Text(String),
    #[prost(bool, tag = "6")]
    Boolean(bool),
    #[prost(double, tag = "7")]
    Number(f64),
    #[prost(message, tag = "9")]
    Texts(TextArray),
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct TextArray {
    #[prost(string, repeated, tag = "1")]
    pub(super) values: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct FilterTarget {
    #[prost(string, optional, tag = "1")]
    pub(super) property: Option<String>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct SearchReply {
    #[prost(message, repeated, tag = "2")]
    pub(super) results: Vec<SearchResult>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct SearchResult {
    #[prost(message, optional, tag = "1")]
    pub(super) properties: Option<PropertiesResult>,
    #[prost(message, optional, tag = "2")]
    pub(super) metadata: Option<MetadataResult>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct MetadataResult {
    #[prost(string, tag = "1")]
    pub(super) id: String,
    #[prost(float, tag = "7")]
    pub(super) distance: f32,
    #[prost(bool, tag = "8")]
    pub(super) distance_present: bool,
    /// Little-endian f32.
    #[prost(bytes = "vec", tag = "19")]
    pub(super) vector: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct PropertiesResult {
    #[prost(message, optional, tag = "11")]
    pub(super) own: Option<Properties>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Properties {
    #[prost(map = "string, message", tag = "1")]
    pub(super) fields: HashMap<String, PropertyValue>,
}

/// Of the kinds of values, the one that is read here.
#[derive(Clone, PartialEq, Message)]
pub(super) struct PropertyValue {
    #[prost(string, optional, tag = "13")]
    pub(super) text: Option<String>,
}

/// `/weaviate.v1.Weaviate/BatchObjects`: objects to be stored.
#[derive(Clone, PartialEq, Message)]
pub(super) struct BatchObjectsRequest {
    #[prost(message, repeated, tag = "1")]
    pub(super) objects: Vec<BatchObject>,
    #[prost(enumeration = "ConsistencyLevel", optional, tag = "2")]
    pub(super) consistency_level: Option<i32>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct BatchObject {
    #[prost(string, tag = "1")]
    pub(super) uuid: String,
    #[prost(message, optional, tag = "3")]
    pub(super) properties: Option<BatchProperties>,
    #[prost(string, tag = "4")]
    pub(super) collection: String,
    /// Little-endian f32.
    #[prost(bytes = "vec", tag = "6")]
    pub(super) vector: Vec<u8>,
}

/// Lists stand beside the other properties.
#[derive(Clone, PartialEq, Message)]
pub(super) struct BatchProperties {
    #[prost(message, optional, tag = "1")]
    pub(super) single: Option<Struct>,
    #[prost(message, repeated, tag = "6")]
    pub(super) text_arrays: Vec<NamedTextArray>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct NamedTextArray {
    #[prost(string, repeated, tag = "1")]
    pub(super) values: Vec<String>,
    #[prost(string, tag = "2")]
    pub(super) name: String,
}

/// `google.protobuf.Struct`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Struct {
    #[prost(map = "string, message", tag = "1")]
    pub(super) fields: HashMap<String, StructValue>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct StructValue {
    #[prost(oneof = "Kind", tags = "2, 3, 4")]
    pub(super) kind: Option<Kind>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(super) enum Kind {
    #[prost(double, tag = "2")]
    Number(f64),
    #[prost(string, tag = "3")]
    Text(String),
    #[prost(bool, tag = "4")]
    Bool(bool),
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct BatchObjectsReply {
    #[prost(message, repeated, tag = "2")]
    pub(super) errors: Vec<BatchError>,
}

/// Why an object was not stored.
#[derive(Clone, PartialEq, Message)]
pub(super) struct BatchError {
    /// Its place in the request.
    #[prost(int32, tag = "1")]
    pub(super) index: i32,
    #[prost(string, tag = "2")]
    pub(super) error: String,
}

/// As vectors travel: little-endian f32.
pub(super) fn bytes_of(vector: &[f32]) -> Vec<u8> {
    vector
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect()
}

impl PropertiesRequest {
    pub(super) fn of(names: &[&str]) -> Self {
        let names = names.iter().map(|&name| name.to_owned()).collect();
        Self { names }
    }
}

impl SearchResult {
    /// Takes the text of a property out of it.
    pub(super) fn text(&mut self, name: &str) -> Result<String, EngineError> {
        let properties = self.properties.as_mut();
        let own = properties.and_then(|properties| properties.own.as_mut());
        let text = own.and_then(|own| own.fields.remove(name)?.text);
        text.ok_or_else(|| {
            EngineError::Failed(format!(
                "Weaviate answers with an object without {name}: it was not made by `pocketlens push`"
            ))
        })
    }

    /// Its id, in the one spelling that UUIDs have there.
    pub(super) fn id(&self) -> Result<String, EngineError> {
        let id = self.metadata.as_ref().map_or("", |metadata| &metadata.id);
        let of_uuid = |c: char| matches!(c, '0'..='9' | 'a'..='f' | '-');
        match id.len() == 36 && id.chars().all(of_uuid) {
            true => Ok(id.to_owned()),
            false => Err(EngineError::Failed(
                "Weaviate answers with an object whose id is no UUID".to_owned(),
            )),
        }
    }
}
