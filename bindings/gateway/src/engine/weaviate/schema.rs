//! The collections of an index: a property a column, and a description that says what the gateway must know.

use std::collections::BTreeMap;

use pocketlens::index::filter::Timestamp;
use pocketlens::index::{ColumnKind, Index, IndexError};
use pocketlens::remote::contract::Meta;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::super::EngineError;

/// A column of the index, and the property that holds it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) kind: ColumnKind,
    /// A name that Weaviate takes, whatever the column's is.
    pub(super) property: String,
}

/// What a collection says of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Description {
    pub(super) meta: Meta,
    pub(super) columns: Vec<Column>,
    /// Most photos of one item: so many objects have its key.
    pub(super) most_photos: usize,
    /// Seconds since 1970, by the clock of who pushed.
    pub(super) pushed_at: u64,
    /// The push that is under way, or was cut off.
    pub(super) pushing: Option<String>,
}

impl Description {
    pub(super) fn of_class(class: &Value) -> Result<Self, EngineError> {
        let text = class["description"].as_str().unwrap_or_default();
        serde_json::from_str(text).map_err(|_| {
            let name = class["class"].as_str().unwrap_or_default();
            EngineError::NotReady(format!(
                "collection {name} was not made by `pocketlens push`"
            ))
        })
    }
}

/// The text of a column that holds times: what Weaviate knows is the time alone.
pub(super) fn text_of(property: &str) -> String {
    format!("{property}_text")
}

pub(super) fn lat_of(property: &str) -> String {
    format!("{property}_lat")
}

pub(super) fn lon_of(property: &str) -> String {
    format!("{property}_lon")
}

/// The columns of an index, numbered: a property is named after its place, since columns may have any name.
pub(super) fn columns_of(index: &Index) -> Result<Vec<Column>, IndexError> {
    let columns = index.columns()?.into_iter().enumerate();
    let columns = columns.map(|(place, column)| Column {
        name: column.name,
        kind: column.kind,
        property: format!("c{place}"),
    });
    Ok(columns.collect())
}

/// What a collection is made with.
pub(super) fn class(
    name: &str,
    description: &Description,
    columns: &[Column],
    replicas: usize,
    shards: Option<usize>,
) -> Value {
    let text = |name: &str, filterable: bool| {
        json!({
            "name": name, "dataType": ["text"], "tokenization": "field",
            "indexFilterable": filterable, "indexSearchable": false,
        })
    };
    let of =
        |name: &str, kind: &str| json!({"name": name, "dataType": [kind], "indexFilterable": true});
    let ordered = |name: &str, kind: &str| {
        let mut property = of(name, kind);
        property["indexRangeFilters"] = json!(true);
        property
    };
    let mut properties = vec![
        text("plx_key", true),
        text("plx_group", true),
        text("plx_payload", false),
        text("plx_digest", false),
        text("plx_batch", false),
    ];
    for column in columns {
        let name = column.property.as_str();
        match column.kind {
            ColumnKind::Keyword => properties.push(text(name, true)),
            ColumnKind::Tags => {
                let mut tags = text(name, true);
                tags["dataType"] = json!(["text[]"]);
                properties.push(tags);
            }
            ColumnKind::Integer | ColumnKind::Float => properties.push(ordered(name, "number")),
            ColumnKind::Bool => properties.push(of(name, "boolean")),
            ColumnKind::Timestamp => {
                properties.push(ordered(name, "date"));
                properties.push(text(&text_of(name), true));
            }
            ColumnKind::Geo => {
                properties.push(ordered(&lat_of(name), "number"));
                properties.push(ordered(&lon_of(name), "number"));
            }
            ColumnKind::Unindexed => {}
        }
    }
    let mut class = json!({
        "class": name,
        "description": serde_json::to_string(description).expect("a description is JSON"),
        "vectorizer": "none",
        "vectorIndexType": "hnsw",
        "vectorIndexConfig": {"distance": "cosine", "efConstruction": 128, "maxConnections": 32, "ef": 128},
        "invertedIndexConfig": {"indexNullState": true},
        "replicationConfig": {"factor": replicas, "asyncEnabled": replicas > 1},
        "properties": properties,
    });
    if let Some(shards) = shards {
        class["shardingConfig"] = json!({ "desiredCount": shards });
    }
    class
}

/// The properties of an item: what is filtered by, beside the whole payload as text.
pub(super) fn properties(
    key: &str,
    group: &str,
    payload: &Value,
    columns: &[Column],
) -> Map<String, Value> {
    let mut properties = Map::new();
    let mut set = |name: &str, value: Value| properties.insert(name.to_owned(), value);
    set("plx_key", json!(key));
    set("plx_group", json!(group));
    set("plx_payload", json!(payload.to_string()));
    for column in columns {
        let Some(value) = lookup(payload, &column.name) else {
            continue;
        };
        let name = column.property.as_str();
        match (column.kind, value) {
            (ColumnKind::Tags, Value::Array(tags)) if tags.is_empty() => {}
            (ColumnKind::Tags, Value::Array(_)) => {
                set(name, value.clone());
            }
            (ColumnKind::Tags, Value::String(_)) => {
                set(name, json!([value]));
            }
            (ColumnKind::Timestamp, Value::String(text)) => {
                if let Ok(time) = text.parse::<Timestamp>() {
                    set(name, json!(time.to_string()));
                    set(&text_of(name), value.clone());
                }
            }
            (ColumnKind::Geo, Value::Object(point)) => {
                let degrees = |name: &str| point.get(name).and_then(Value::as_f64);
                if let (Some(lat), Some(lon)) = (degrees("lat"), degrees("lon")) {
                    set(&lat_of(name), json!(lat));
                    set(&lon_of(name), json!(lon));
                }
            }
            (ColumnKind::Keyword, Value::String(_))
            | (ColumnKind::Integer | ColumnKind::Float, Value::Number(_))
            | (ColumnKind::Bool, Value::Bool(_)) => {
                set(name, value.clone());
            }
            _ => {}
        }
    }
    properties
}

/// As filters look things up: the field of that name, else the place that the name leads to.
fn lookup<'a>(payload: &'a Value, name: &str) -> Option<&'a Value> {
    payload.get(name).or_else(|| {
        let mut steps = name.split('.');
        steps.try_fold(payload, |value, step| value.as_object()?.get(step))
    })
}

/// The collection of the removed items of a collection.
pub(super) fn gone_of(collection: &str) -> String {
    format!("{collection}_gone")
}

/// An object that is there.
pub(super) struct Stored {
    /// Of what it holds.
    pub(super) digest: String,
    /// The push and the batch that brought it.
    pub(super) batch: String,
}

/// Objects that are there, by id.
pub(super) type Existing = BTreeMap<String, Stored>;
