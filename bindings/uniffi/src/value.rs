//! Payloads: JSON as a value of the host's language.

use std::collections::HashMap;

use serde_json::{Map, Number};

use crate::PocketlensError;

/// A JSON value.
#[derive(Clone, Debug, PartialEq, uniffi::Enum)]
pub enum Value {
    /// `null`.
    Null,
    /// `true` or `false`.
    Flag {
        /// Which.
        value: bool,
    },
    /// A whole number of 64 bits.
    Integer {
        /// Which.
        value: i64,
    },
    /// Any other number.
    Decimal {
        /// Which.
        value: f64,
    },
    /// A string.
    Text {
        /// Which.
        value: String,
    },
    /// A list.
    Array {
        /// Its elements.
        values: Vec<Value>,
    },
    /// An object.
    Object {
        /// Its members.
        members: HashMap<String, Value>,
    },
}

impl From<serde_json::Value> for Value {
    fn from(json: serde_json::Value) -> Self {
        use serde_json::Value as Json;
        match json {
            Json::Null => Self::Null,
            Json::Bool(value) => Self::Flag { value },
            Json::Number(number) => match number.as_i64() {
                Some(value) => Self::Integer { value },
                None => Self::Decimal {
                    value: number.as_f64().unwrap_or(f64::NAN),
                },
            },
            Json::String(value) => Self::Text { value },
            Json::Array(values) => Self::Array {
                values: values.into_iter().map(Into::into).collect(),
            },
            Json::Object(members) => Self::Object {
                members: object(members),
            },
        }
    }
}

fn object(members: Map<String, serde_json::Value>) -> HashMap<String, Value> {
    let members = members.into_iter();
    members.map(|(name, value)| (name, value.into())).collect()
}

/// The members of a payload, which is an object or nothing.
pub(crate) fn members(payload: serde_json::Value) -> HashMap<String, Value> {
    match payload {
        serde_json::Value::Object(members) => object(members),
        _ => HashMap::new(),
    }
}

/// A payload as JSON.
pub(crate) fn payload(
    members: HashMap<String, Value>,
) -> Result<serde_json::Value, PocketlensError> {
    let members = members.into_iter();
    let members = members.map(|(name, value)| Ok((name, json(value)?)));
    Ok(serde_json::Value::Object(
        members.collect::<Result<_, PocketlensError>>()?,
    ))
}

fn json(value: Value) -> Result<serde_json::Value, PocketlensError> {
    Ok(match value {
        Value::Null => serde_json::Value::Null,
        Value::Flag { value } => value.into(),
        Value::Integer { value } => value.into(),
        Value::Decimal { value } => Number::from_f64(value)
            .ok_or_else(|| {
                PocketlensError::bad_input(format!("a payload holds {value}, which is no number"))
            })?
            .into(),
        Value::Text { value } => value.into(),
        Value::Array { values } => values
            .into_iter()
            .map(json)
            .collect::<Result<Vec<_>, _>>()?
            .into(),
        Value::Object { members } => payload(members)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_goes_there_and_back() {
        let json = serde_json::json!({"a": [1, 2.5, "x", null, true], "b": {"c": -3}});
        assert_eq!(payload(members(json.clone())).unwrap(), json);
    }

    #[test]
    fn what_json_cannot_hold_is_refused() {
        let members = HashMap::from([("price".to_owned(), Value::Decimal { value: f64::NAN })]);
        assert!(matches!(
            payload(members),
            Err(PocketlensError::BadInput { .. })
        ));
    }
}
