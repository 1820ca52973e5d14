//! What a bundle's heads say of a photo in words.

use std::collections::HashMap;

use serde_json::{Map, Value};

use crate::bundle::{AttributeHead, Labelling};
use crate::descriptor::{DescribeError, Maps};

/// A label that a head is sure enough of.
#[derive(Clone, Debug, PartialEq)]
pub struct Attribute {
    /// The head's name, such as `sleeve`.
    pub name: String,
    /// What it says, such as `long`.
    pub label: String,
    /// How sure it is, 0..=1.
    pub probability: f32,
}

/// Of heads whose labels exclude each other the likeliest label, of others all that are likelier than not, in the order of
/// heads and labels. O(H·W·labels).
///
/// # Errors
/// [`DescribeError`] for a head without an output, or with another number of labels than its output has channels.
pub fn attributes(
    heads: &[AttributeHead],
    maps: &Maps<'_>,
) -> Result<Vec<Attribute>, DescribeError> {
    let mut said = Vec::new();
    for head in heads {
        let map = maps.of(&head.tap)?;
        if map.channels() != head.labels.len() {
            return Err(DescribeError::Channels {
                tap: head.tap.clone(),
                expected: head.labels.len(),
                found: map.channels(),
            });
        }
        let mut logits = vec![0.0f64; map.channels()];
        for location in map.locations() {
            for (sum, &value) in logits.iter_mut().zip(location) {
                *sum += f64::from(value);
            }
        }
        let places = (map.height() * map.width()) as f64;
        logits.iter_mut().for_each(|sum| *sum /= places);
        let mut tell = |at: usize, probability: f64| {
            said.push(Attribute {
                name: head.name.clone(),
                label: head.labels[at].clone(),
                probability: probability as f32,
            });
        };
        match head.labelling {
            Labelling::OneOf => {
                let (likeliest, probability) = softmax_peak(&logits);
                tell(likeliest, probability);
            }
            Labelling::AnyOf => {
                let probabilities = logits.iter().map(|&logit| sigmoid(logit));
                for (at, probability) in probabilities.enumerate().filter(|&(_, p)| p > 0.5) {
                    tell(at, probability);
                }
            }
        }
    }
    Ok(said)
}

/// What is said of the items of an index, for their payloads: of each item's first photo, since photos of one item share a
/// payload.
#[derive(Debug, Default)]
pub(crate) struct ItemAttributes(HashMap<String, Vec<Attribute>>);

impl ItemAttributes {
    /// The payload of a photo of the item `key`, of which `said` is said, or what was kept of the item: with a field for
    /// each head, its label or, where labels do not exclude each other, the list of them. Fields that are there already
    /// stay as they are; what is no object is left to be refused.
    pub(crate) fn payload(
        &self,
        key: &str,
        payload: &Value,
        heads: &[AttributeHead],
        said: &[Attribute],
    ) -> Value {
        let said = self.0.get(key).map_or(said, Vec::as_slice);
        let mut fields = match payload {
            Value::Object(fields) => fields.clone(),
            Value::Null => Map::new(),
            other => return other.clone(),
        };
        for head in heads {
            let labels = said.iter().filter(|one| one.name == head.name);
            let mut labels = labels.map(|one| Value::from(one.label.as_str()));
            let value = match head.labelling {
                Labelling::OneOf => labels.next().unwrap_or_default(),
                Labelling::AnyOf => labels.collect(),
            };
            fields.entry(&head.name).or_insert(value);
        }
        fields.into()
    }

    /// Keeps what is said of a photo of the item `key` that was taken, unless it is a further one.
    pub(crate) fn keep(&mut self, key: &str, said: Vec<Attribute>) {
        self.0.entry(key.to_owned()).or_insert(said);
    }

    /// Forgets an item: the next photo of that key is its first.
    pub(crate) fn forget(&mut self, key: &str) {
        self.0.remove(key);
    }
}

fn sigmoid(logit: f64) -> f64 {
    1.0 / (1.0 + libm::exp(-logit))
}

/// The first of the largest logits, and its softmax.
fn softmax_peak(logits: &[f64]) -> (usize, f64) {
    let at = (1..logits.len()).fold(0, |best, at| match logits[at] > logits[best] {
        true => at,
        false => best,
    });
    let powers = logits.iter().map(|logit| libm::exp(logit - logits[at]));
    (at, 1.0 / powers.sum::<f64>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backbone::FeatureMap;

    fn head(tap: &str, labelling: Labelling, labels: &[&str]) -> AttributeHead {
        AttributeHead {
            name: format!("of {tap}"),
            tap: tap.to_owned(),
            labels: labels.iter().map(|&label| label.to_owned()).collect(),
            labelling,
        }
    }

    #[test]
    fn one_label_or_all_that_are_likely() {
        let taps = ["a".to_owned(), "b".to_owned()];
        // Two places, of which the mean counts: (0, ln 3) and (1, -1, 0).
        let maps = [
            FeatureMap::new(1, 2, 2, vec![1.0, 0.0, -1.0, 2.0 * 3f32.ln()]).unwrap(),
            FeatureMap::new(1, 1, 3, vec![1.0, -1.0, 0.0]).unwrap(),
        ];
        let maps = Maps::new(&taps, &maps);
        let heads = [
            head("a", Labelling::OneOf, &["long", "short"]),
            head("b", Labelling::AnyOf, &["striped", "dotted", "plain"]),
        ];
        let said = attributes(&heads, &maps).unwrap();
        let said: Vec<_> = said
            .iter()
            .map(|one| (one.name.as_str(), one.label.as_str(), one.probability))
            .collect();
        let [
            ("of a", "short", three_quarters),
            ("of b", "striped", sigmoid),
        ] = said[..]
        else {
            panic!("{said:?}");
        };
        assert!((three_quarters - 0.75).abs() < 1e-6 && (sigmoid - 0.731_058_6).abs() < 1e-6);
    }

    #[test]
    fn photos_of_an_item_share_what_is_said_of_the_first() {
        let heads = [
            head("a", Labelling::OneOf, &["long", "short"]),
            head("b", Labelling::AnyOf, &["striped", "dotted"]),
        ];
        let said = |labels: &[(&str, &str)]| {
            let attribute = |&(name, label): &(&str, &str)| Attribute {
                name: format!("of {name}"),
                label: label.to_owned(),
                probability: 0.9,
            };
            labels.iter().map(attribute).collect()
        };
        let mut items = ItemAttributes::default();
        let mut payload = |key, given: Value, labels: &[(&str, &str)]| {
            let said: Vec<Attribute> = said(labels);
            let payload = items.payload(key, &given, &heads, &said);
            items.keep(key, said);
            payload
        };
        let price = serde_json::json!({"price": 2});
        let first = payload("shirt", price.clone(), &[("a", "long"), ("b", "dotted")]);
        let told = serde_json::json!({"price": 2, "of a": "long", "of b": ["dotted"]});
        assert_eq!(first, told);
        assert_eq!(payload("shirt", price, &[("a", "short")]), told);
        // The catalogue knows better than the network.
        let known = serde_json::json!({"of a": "short"});
        assert_eq!(
            payload("skirt", known, &[("a", "long")]),
            serde_json::json!({"of a": "short", "of b": []})
        );
        assert_eq!(payload("bag", Value::Null, &[])["of a"], Value::Null);
        assert_eq!(payload("hat", "a text".into(), &[]), "a text");
        items.forget("shirt");
        let after = items.payload("shirt", &Value::Null, &heads, &said(&[("a", "short")]));
        assert_eq!(after, serde_json::json!({"of a": "short", "of b": []}));
    }

    #[test]
    fn heads_that_do_not_fit_the_network_are_refused() {
        let taps = ["a".to_owned()];
        let maps = [FeatureMap::new(1, 1, 2, vec![0.0, 0.0]).unwrap()];
        let maps = Maps::new(&taps, &maps);
        let told = |head| attributes(&[head], &maps).unwrap_err().to_string();
        assert!(told(head("a", Labelling::OneOf, &["x"])).contains("has 2 channels"));
        assert!(told(head("b", Labelling::OneOf, &["x"])).contains("no map of tap \"b\""));
    }
}
