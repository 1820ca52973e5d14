//! An item as objects, one a photo: named after what they are, with a digest of what they hold.

use std::collections::HashMap;

use pocketlens::index::StoredItem;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::protocol::{
    BatchObject, BatchProperties, Kind, NamedTextArray, Struct, StructValue, bytes_of,
};
use super::schema::{Column, properties};

/// A photo of an item, and the digest of all that its object holds.
pub(super) struct Photo {
    pub(super) id: String,
    pub(super) digest: String,
    properties: Map<String, Value>,
    vector: Vec<u8>,
}

impl Photo {
    /// All photos of an item.
    pub(super) fn of<'a>(
        item: &'a StoredItem,
        columns: &[Column],
    ) -> impl Iterator<Item = Self> + use<'a> {
        let properties = properties(&item.key, &item.group, &item.payload, columns);
        item.vectors.iter().enumerate().map(move |(photo, vector)| {
            let vector = bytes_of(vector);
            Self {
                id: id_of(&item.key, photo),
                digest: digest_of(&properties, &vector),
                properties: properties.clone(),
                vector,
            }
        })
    }

    /// As it is stored, with the name of the batch that brings it.
    pub(super) fn object(mut self, collection: &str, batch: String) -> BatchObject {
        let mut set = |name: &str, value: String| {
            self.properties
                .insert(name.to_owned(), Value::String(value));
        };
        set("plx_digest", self.digest);
        set("plx_batch", batch);
        BatchObject {
            uuid: self.id,
            properties: Some(batch_properties(self.properties)),
            collection: collection.to_owned(),
            vector: self.vector,
        }
    }
}

/// What is left of a removed item.
pub(super) fn gone_object(
    collection: &str,
    id: String,
    key: String,
    vector: Vec<u8>,
) -> BatchObject {
    let key = Map::from_iter([("plx_key".to_owned(), Value::String(key))]);
    BatchObject {
        uuid: id,
        properties: Some(batch_properties(key)),
        collection: collection.to_owned(),
        vector,
    }
}

fn batch_properties(properties: Map<String, Value>) -> BatchProperties {
    let mut fields = HashMap::new();
    let mut text_arrays = Vec::new();
    for (name, value) in properties {
        match value {
            Value::Array(values) => {
                let texts = values.into_iter().filter_map(|value| match value {
                    Value::String(text) => Some(text),
                    _ => None,
                });
                let values = texts.collect();
                text_arrays.push(NamedTextArray { values, name });
            }
            value => {
                fields.insert(name, struct_value(value));
            }
        }
    }
    BatchProperties {
        single: Some(Struct { fields }),
        text_arrays,
    }
}

fn struct_value(value: Value) -> StructValue {
    let kind = match value {
        Value::Bool(value) => Some(Kind::Bool(value)),
        Value::Number(number) => number.as_f64().map(Kind::Number),
        Value::String(text) => Some(Kind::Text(text)),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    };
    StructValue { kind }
}

/// The same for the same photo of the same item: a UUID of version 8 (RFC 9562), made of a digest.
fn id_of(key: &str, photo: usize) -> String {
    let mut hash = Sha256::new();
    hash.update((photo as u64).to_le_bytes());
    hash.update(key);
    let mut bytes: [u8; 16] = hash.finalize()[..16]
        .try_into()
        .expect("a digest is longer");
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let parts = [
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..],
    ];
    parts.join("-")
}

fn digest_of(properties: &Map<String, Value>, vector: &[u8]) -> String {
    let mut hash = Sha256::new();
    hash.update(serde_json::to_vec(properties).expect("properties are JSON"));
    hash.update(vector);
    let hex = hash.finalize();
    hex[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn ids_are_uuids_that_tell_items_and_photos_apart() {
        let id = id_of("mug", 0);
        assert_eq!(id, id_of("mug", 0));
        assert_ne!(id, id_of("mug", 1));
        assert_ne!(id, id_of("mug2", 0));
        let lengths: Vec<usize> = id.split('-').map(str::len).collect();
        assert_eq!((lengths, &id[14..15]), (vec![8, 4, 4, 4, 12], "8"));
    }

    #[test]
    fn lists_stand_beside_other_values() {
        let Value::Object(properties) = json!({"price": 3, "tags": ["new", "sale"]}) else {
            unreachable!("an object");
        };
        let sent = batch_properties(properties);
        assert_eq!(sent.text_arrays[0].values, ["new", "sale"]);
        let fields = sent.single.unwrap().fields;
        assert_eq!(fields["price"].kind, Some(Kind::Number(3.0)));
    }
}
