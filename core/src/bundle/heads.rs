//! What a bundle's network says of a photo besides its descriptor.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

/// The most heads, and the most labels of one.
const MOST_HEADS: usize = 64;
const MOST_LABELS: usize = 4096;

/// Outputs of the network that are no part of the descriptor; none when absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Heads {
    /// The output whose places say where things are: `H×W×5`, as
    /// [`detected`](crate::localise::detected) reads it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detector: Option<String>,
    /// What is said of the thing in words.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub attributes: Vec<AttributeHead>,
}

/// An output whose channels are labels: its values, averaged over places, are logits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttributeHead {
    /// What is told, such as `sleeve`.
    pub name: String,
    /// The network's output.
    pub tap: String,
    /// A label a channel.
    pub labels: Vec<String>,
    /// Whether labels exclude each other.
    #[serde(default)]
    pub labelling: Labelling,
}

/// Whether labels exclude each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Labelling {
    /// Exactly one is right: probabilities are a softmax.
    #[default]
    OneOf,
    /// Each is right or not: probabilities are sigmoids.
    AnyOf,
}

impl Heads {
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The outputs of the network that are read.
    pub fn taps(&self) -> impl Iterator<Item = &String> {
        let attributes = self.attributes.iter().map(|head| &head.tap);
        self.detector.iter().chain(attributes)
    }

    /// Checks ranges, so that what comes from a file can be trusted.
    ///
    /// # Errors
    /// What is wrong, and what would be right.
    pub fn check(&self) -> Result<(), String> {
        if self.attributes.len() > MOST_HEADS {
            let found = self.attributes.len();
            return Err(format!("at most {MOST_HEADS} attributes, found {found}"));
        }
        let mut names = HashSet::new();
        for head in &self.attributes {
            let name = &head.name;
            if name.is_empty() || !names.insert(name) {
                return Err(format!(
                    "attributes need names of their own, found {name:?} again or empty"
                ));
            }
            if !(1..=MOST_LABELS).contains(&head.labels.len()) {
                let found = head.labels.len();
                return Err(format!(
                    "attribute {name:?}: 1 to {MOST_LABELS} labels, found {found}"
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(name: &str, labels: usize) -> AttributeHead {
        AttributeHead {
            name: name.to_owned(),
            tap: "logits".to_owned(),
            labels: (0..labels).map(|at| at.to_string()).collect(),
            labelling: Labelling::OneOf,
        }
    }

    #[test]
    fn heads_out_of_range_are_named() {
        let told = |attributes| {
            let heads = Heads {
                attributes,
                ..Heads::default()
            };
            heads.check().unwrap_err()
        };
        assert!(told(vec![head("", 2)]).contains("names of their own"));
        assert!(told(vec![head("a", 2), head("a", 3)]).contains("\"a\" again"));
        assert!(told(vec![head("a", 0)]).contains("1 to 4096 labels, found 0"));
        assert!(told(vec![head("a", 1); 65]).contains("at most 64 attributes"));
    }

    #[test]
    fn json_is_what_people_write() {
        let json =
            r#"{"attributes": [{"name": "sleeve", "tap": "s", "labels": ["long", "short"]}]}"#;
        let heads: Heads = serde_json::from_str(json).unwrap();
        assert_eq!((heads.check(), heads.taps().count()), (Ok(()), 1));
        assert_eq!(heads.attributes[0].labelling, Labelling::OneOf);
        assert!(serde_json::from_str::<Heads>(r#"{"detectors": "x"}"#).is_err());
    }
}
