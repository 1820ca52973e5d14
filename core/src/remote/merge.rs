//! Two answers to one question become one: what the device found, and what the server found.

use std::collections::HashSet;

use serde_json::Value;

use super::RemoteAnswer;
use crate::index::{GroupBy, Hit};
use crate::lens::Source;

/// A hit, and who found it.
#[derive(Clone, Debug, PartialEq)]
pub struct SourcedHit {
    /// Names the item.
    pub key: String,
    /// The group it belongs to; its own key when none was given.
    pub group: String,
    /// Cosine, -1 to 1.
    pub score: f32,
    /// What was indexed with the item.
    pub payload: Value,
    /// Where hits are groups: how many of the best items are of this one.
    pub votes: Option<u32>,
    /// Who found it.
    pub source: Source,
}

impl SourcedHit {
    /// A hit of the device's index.
    pub fn local(hit: &Hit) -> Self {
        Self {
            key: hit.key.clone(),
            group: hit.group.clone(),
            score: hit.score,
            payload: hit.payload.clone(),
            votes: hit.votes,
            source: Source::Local,
        }
    }
}

/// At most `k` hits of both, best first: by score, equal scores by key. Of an item (or, where hits are groups, a group)
/// that both found, the server's hit stays, with the server's score; what the server says is gone goes. `O(n log n)`.
///
/// Evidence of a local second look does not carry over: the order is that of the scores.
pub fn merge(
    local: &[Hit],
    remote: &RemoteAnswer,
    k: usize,
    group_by: Option<&GroupBy>,
) -> Vec<SourcedHit> {
    let gone: HashSet<&str> = remote.gone.iter().map(String::as_str).collect();
    let mut keys = HashSet::new();
    let mut groups = HashSet::new();
    let mut merged = Vec::with_capacity(remote.hits.len() + local.len());
    let candidates = remote.hits.iter().cloned();
    let candidates = candidates.chain(local.iter().map(SourcedHit::local));
    for hit in candidates {
        let identity =
            group_by.map(|group_by| group_by.identity_of(&hit.key, &hit.group, &hit.payload));
        if !gone.contains(hit.key.as_str())
            && !keys.contains(&hit.key)
            && identity.is_none_or(|identity| groups.insert(identity))
        {
            keys.insert(hit.key.clone());
            merged.push(hit);
        }
    }
    merged.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.key.cmp(&b.key)));
    merged.truncate(k);
    merged
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn local(key: &str, group: &str, score: f32) -> Hit {
        Hit {
            key: key.to_owned(),
            group: group.to_owned(),
            score,
            payload: json!({"of": "device"}),
            row: 0,
            votes: None,
        }
    }

    fn remote(hits: &[(&str, &str, f32)], gone: &[&str]) -> RemoteAnswer {
        let hits = hits.iter().map(|&(key, group, score)| SourcedHit {
            source: Source::Server,
            payload: json!({"of": "server"}),
            ..SourcedHit::local(&local(key, group, score))
        });
        RemoteAnswer {
            hits: hits.collect(),
            gone: gone.iter().map(ToString::to_string).collect(),
            ..RemoteAnswer::default()
        }
    }

    fn keys(hits: &[SourcedHit]) -> Vec<(&str, f32, Source)> {
        let rows = hits.iter();
        rows.map(|hit| (hit.key.as_str(), hit.score, hit.source))
            .collect()
    }

    #[test]
    fn the_score_of_the_server_wins_and_gone_items_go() {
        let device = [
            local("a", "a", 0.9),
            local("b", "b", 0.8),
            local("c", "c", 0.7),
        ];
        let server = remote(&[("d", "d", 0.85), ("a", "a", 0.6)], &["b"]);
        assert_eq!(
            keys(&merge(&device, &server, 10, None)),
            [
                ("d", 0.85, Source::Server),
                ("c", 0.7, Source::Local),
                ("a", 0.6, Source::Server)
            ]
        );
        assert_eq!(merge(&device, &server, 1, None).len(), 1);
    }

    #[test]
    fn a_group_is_one_hit() {
        let device = [local("a1", "a", 0.9), local("b1", "b", 0.5)];
        let server = remote(&[("a2", "a", 0.7)], &[]);
        let merged = merge(&device, &server, 10, Some(&GroupBy::Group));
        assert_eq!(
            keys(&merged),
            [("a2", 0.7, Source::Server), ("b1", 0.5, Source::Local)]
        );
    }

    proptest! {
        #[test]
        fn merged_hits_are_sorted_and_none_twice(
            device in prop::collection::vec((0u8..12, -1f32..1.0), 0..12),
            server in prop::collection::vec((0u8..12, -1f32..1.0), 0..12),
            gone in prop::collection::vec(0u8..12, 0..4),
            k in 0usize..12,
        ) {
            let device: Vec<Hit> = device.iter().map(|(key, score)| local(&key.to_string(), "g", *score)).collect();
            let server: Vec<(String, f32)> = server.iter().map(|(key, score)| (key.to_string(), *score)).collect();
            let server: Vec<(&str, &str, f32)> = server.iter().map(|(key, score)| (key.as_str(), "g", *score)).collect();
            let gone: Vec<String> = gone.iter().map(ToString::to_string).collect();
            let gone: Vec<&str> = gone.iter().map(String::as_str).collect();
            let merged = merge(&device, &remote(&server, &gone), k, None);
            prop_assert!(merged.len() <= k);
            prop_assert!(merged.windows(2).all(|pair| pair[0].score >= pair[1].score));
            let unique: HashSet<&String> = merged.iter().map(|hit| &hit.key).collect();
            prop_assert_eq!(unique.len(), merged.len());
            for hit in &merged {
                prop_assert!(!gone.contains(&hit.key.as_str()));
                let first = server.iter().find(|(key, ..)| *key == hit.key);
                prop_assert_eq!(hit.source == Source::Server, first.is_some());
                if let Some((_, _, score)) = first {
                    prop_assert_eq!(hit.score, *score);
                }
            }
        }
    }
}
