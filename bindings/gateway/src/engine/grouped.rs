//! One hit a group, of an engine's answer whose hits are items: as an index does it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use pocketlens::index::{GroupBy, VOTERS};
use pocketlens::remote::contract::RemoteHit;

/// The first hit of each group, with the votes of the best.
pub(super) fn grouped(hits: Vec<RemoteHit>, group_by: &GroupBy) -> Vec<RemoteHit> {
    let mut groups: Vec<RemoteHit> = Vec::new();
    let mut places = HashMap::new();
    for (rank, mut hit) in hits.into_iter().enumerate() {
        let vote = u32::from(rank < VOTERS);
        let group = hit.group.as_deref().unwrap_or(&hit.key);
        match places.entry(group_by.identity_of(&hit.key, group, &hit.payload)) {
            Entry::Occupied(place) => {
                let first: &mut RemoteHit = &mut groups[*place.get()];
                first.votes = first.votes.map(|votes| votes + vote);
            }
            Entry::Vacant(place) => {
                place.insert(groups.len());
                hit.votes = Some(vote);
                groups.push(hit);
            }
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn groups_are_as_in_an_index() {
        let hit = |key: &str, group: &str, score| RemoteHit {
            key: key.to_owned(),
            group: Some(group.to_owned()),
            score,
            payload: Value::Null,
            votes: None,
        };
        let hits = vec![hit("a", "x", 0.9), hit("b", "y", 0.8), hit("c", "x", 0.7)];
        let groups = grouped(hits, &GroupBy::Group);
        let rows: Vec<_> = groups
            .iter()
            .map(|hit| (hit.key.as_str(), hit.votes))
            .collect();
        assert_eq!(rows, [("a", Some(2)), ("b", Some(1))]);
    }
}
