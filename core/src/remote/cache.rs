//! Answers that need not be asked for again: the least recently used go, and all go when the server's index changes.
//!
//! Vectors are compared as they are quantised here, in steps of 1/127: pictures of a still hand share an answer (at 256
//! numbers their cosine is 0.999).

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use super::clock::since;
use super::{RemoteAnswer, RemoteQuery};
use crate::fingerprint::Fingerprint;

/// Most answers kept.
const ANSWERS: usize = 64;
/// Longest time for which an answer is kept, whatever the server says.
const MAX_TTL: Duration = Duration::from_secs(24 * 3600);

/// What makes two questions one.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Key {
    model: Fingerprint,
    vector: Vec<i8>,
    filter: Option<String>,
    group_by: Option<String>,
    k: usize,
}

impl Key {
    pub(super) fn of(query: &RemoteQuery<'_>) -> Self {
        let values = query.descriptor.values.iter();
        Self {
            model: query.descriptor.fingerprint,
            vector: values.map(|value| (127.0 * value).round() as i8).collect(),
            filter: query
                .filter
                .map(|filter| serde_json::Value::from(filter).to_string()),
            group_by: query.group_by.map(ToString::to_string),
            k: query.k,
        }
    }
}

struct Entry {
    key: Key,
    answer: RemoteAnswer,
    stored: Duration,
    ttl: Duration,
}

/// Few entries: looking at all of them is nothing beside a round trip.
#[derive(Default)]
pub(super) struct Cache {
    /// Of the server's index, by model.
    versions: HashMap<Fingerprint, String>,
    /// The most recently used first.
    entries: VecDeque<Entry>,
}

impl Cache {
    /// An answer that is still good at `now`.
    pub(super) fn get(&mut self, key: &Key, now: Duration) -> Option<RemoteAnswer> {
        // A clock that was set back makes an answer old, not young.
        self.entries
            .retain(|entry| since(entry.stored, now) < entry.ttl);
        let at = self.entries.iter().position(|entry| entry.key == *key)?;
        let entry = self.entries.remove(at)?;
        let answer = entry.answer.clone();
        self.entries.push_front(entry);
        Some(answer)
    }

    /// Drops what is of another version of the server's index for this model; whether there was one.
    pub(super) fn at_version(&mut self, model: Fingerprint, version: &str) -> bool {
        if self
            .versions
            .get(&model)
            .is_some_and(|known| known == version)
        {
            return false;
        }
        self.entries.retain(|entry| entry.key.model != model);
        if self.versions.len() >= ANSWERS {
            self.versions.clear();
        }
        self.versions.insert(model, version.to_owned()).is_some()
    }

    /// Keeps an answer of the present version for `ttl`.
    pub(super) fn put(&mut self, key: Key, answer: &RemoteAnswer, now: Duration, ttl: Duration) {
        self.entries.retain(|entry| entry.key != key);
        if ttl.is_zero() {
            return;
        }
        self.entries.truncate(ANSWERS - 1);
        self.entries.push_front(Entry {
            key,
            answer: answer.clone(),
            stored: now,
            ttl: ttl.min(MAX_TTL),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::descriptor::Descriptor;
    use crate::index::filter::{Condition, Filter};

    const fn s(s: u64) -> Duration {
        Duration::from_secs(s)
    }

    fn key(values: &[f32], k: usize, filter: Option<&Filter>) -> Key {
        let descriptor = Descriptor {
            fingerprint: Fingerprint([7; 16]),
            values: values.to_vec(),
        };
        Key::of(&RemoteQuery {
            filter,
            ..RemoteQuery::new(&descriptor, k)
        })
    }

    fn answer(key: &str) -> RemoteAnswer {
        RemoteAnswer {
            gone: vec![key.to_owned()],
            ..RemoteAnswer::default()
        }
    }

    #[test]
    fn an_answer_is_kept_for_its_time_and_for_its_question() {
        let mut cache = Cache::default();
        let (one, filter) = (
            key(&[0.6, 0.8], 3, None),
            Filter::new().must(Condition::value("a", 1)),
        );
        cache.put(one.clone(), &answer("a"), s(10), s(30));
        assert_eq!(
            cache.get(&key(&[0.601, 0.8], 3, None), s(39)),
            Some(answer("a"))
        );
        for other in [
            key(&[0.6, 0.7], 3, None),
            key(&[0.6, 0.8], 4, None),
            key(&[0.6, 0.8], 3, Some(&filter)),
        ] {
            assert_eq!(cache.get(&other, s(39)), None);
        }
        assert_eq!(cache.get(&one, s(40)), None);
        cache.put(one.clone(), &answer("a"), s(50), s(0));
        assert_eq!(cache.get(&one, s(50)), None);
    }

    #[test]
    fn a_clock_set_back_makes_answers_old() {
        let mut cache = Cache::default();
        let one = key(&[1.0], 1, None);
        cache.put(one.clone(), &answer("a"), s(1_000_000), s(30));
        assert_eq!(cache.get(&one, s(5)), None);
    }

    #[test]
    fn another_version_of_the_index_drops_everything() {
        let mut cache = Cache::default();
        let one = key(&[1.0], 1, None);
        let model = one.model;
        assert!(!cache.at_version(model, "1"));
        cache.put(one.clone(), &answer("a"), s(0), s(30));
        assert!(!cache.at_version(model, "1") && cache.get(&one, s(1)).is_some());
        assert!(!cache.at_version(Fingerprint([8; 16]), "2") && cache.get(&one, s(1)).is_some());
        assert!(cache.at_version(model, "2") && cache.get(&one, s(1)).is_none());
    }

    #[test]
    fn the_least_recently_used_goes() {
        let mut cache = Cache::default();
        let of = |i: usize| key(&[i as f32 / 127.0], 1, None);
        for i in 0..ANSWERS {
            cache.put(of(i), &answer("x"), s(0), s(30));
        }
        assert!(cache.get(&of(0), s(0)).is_some());
        cache.put(of(100), &answer("x"), s(0), s(30));
        assert!(cache.get(&of(0), s(0)).is_some() && cache.get(&of(1), s(0)).is_none());
    }
}
