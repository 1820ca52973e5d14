//! One hit a group: the variants of a product, the photos of a landmark.
//!
//! A group is represented by its best item and ranked by that item's score, so that the order does
//! not depend on how many hits are asked for, nor on how many items a group has. How many of the best items are
//! of the same group stands beside it, as votes.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

use serde_json::Value;

use super::filter::{is_absent, lookup};
use super::{Hit, IndexError, Ranking};

/// The best items that vote for their groups.
pub const VOTERS: usize = 32;

/// What makes items answer as one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupBy {
    /// The group that an item was indexed with; its own key where none was given.
    Group,
    /// Equal values of this field of the payload, of any kind; an item without one stands for
    /// itself. `a.b` is a field of a field.
    Column(String),
}

/// `group`, or the name of a field.
impl FromStr for GroupBy {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text {
            "group" => Self::Group,
            name => Self::Column(name.to_owned()),
        })
    }
}

impl fmt::Display for GroupBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Group => "group",
            Self::Column(name) => name,
        })
    }
}

impl GroupBy {
    /// As [`Self::identity_of`].
    pub(super) fn identity(&self, hit: &Hit) -> (bool, String) {
        self.identity_of(&hit.key, &hit.group, &hit.payload)
    }

    /// Equal for items that answer as one: of an item's key, group and payload.
    pub fn identity_of(&self, key: &str, group: &str, payload: &Value) -> (bool, String) {
        match self {
            Self::Group => (true, group.to_owned()),
            Self::Column(name) => match lookup(payload, name) {
                Some(value) if !is_absent(Some(value)) => (true, value.to_string()),
                _ => (false, key.to_owned()),
            },
        }
    }

    /// The first `k` groups of a ranking of items, each with its best item and its votes.
    fn first_of_each(&self, hits: Vec<Hit>, k: usize) -> Vec<Hit> {
        let mut groups: Vec<Hit> = Vec::new();
        let mut place_of = HashMap::new();
        for (rank, mut hit) in hits.into_iter().enumerate() {
            let vote = u32::from(rank < VOTERS);
            match place_of.entry(self.identity(&hit)) {
                Entry::Occupied(place) => {
                    let group: &mut Hit = &mut groups[*place.get()];
                    group.votes = group.votes.map(|votes| votes + vote);
                }
                Entry::Vacant(place) => {
                    place.insert(groups.len());
                    hit.votes = Some(vote);
                    groups.push(hit);
                }
            }
        }
        groups.truncate(k);
        groups
    }

    /// The `k` best groups, of a search for the `n` best items. It is asked for more of them until
    /// there are enough groups or no more items.
    pub(super) fn rank(
        &self,
        k: usize,
        search: impl Fn(usize) -> Result<Ranking, IndexError>,
    ) -> Result<Ranking, IndexError> {
        let mut items = k.saturating_mul(4).max(VOTERS);
        loop {
            let mut ranking = search(items)?;
            let all = ranking.hits.len() < items;
            ranking.hits = self.first_of_each(ranking.hits, k);
            if all || ranking.hits.len() == k {
                return Ok(ranking);
            }
            items = items.saturating_mul(8);
        }
    }
}
