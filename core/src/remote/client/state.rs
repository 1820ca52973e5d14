//! What a client remembers from one question to the next.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::super::Blocked;
use super::super::breaker::Breaker;
use super::super::cache::Cache;
use super::super::clock::since;
use super::super::contract::Meta;
use super::super::retry::RetryBudget;
use crate::fingerprint::Fingerprint;

#[derive(Default)]
pub(super) struct State {
    /// What the server has, by model.
    pub(super) metas: HashMap<Fingerprint, Meta>,
    /// Models whose descriptors the server does not understand: never asked with again.
    pub(super) refused: HashSet<Fingerprint>,
    pub(super) cache: Cache,
    pub(super) breaker: Breaker,
    pub(super) budget: RetryBudget,
    /// Since when, and for how long the server asked to be left alone.
    pub(super) pause: Option<(Duration, Duration)>,
    /// When the last frame of a live session was sent.
    pub(super) last_live: Option<Duration>,
}

impl State {
    /// What stands against sending a descriptor of this model at `now`.
    pub(super) fn blocked(
        &self,
        model: Fingerprint,
        live: bool,
        now: Duration,
        live_interval: Duration,
    ) -> Option<Blocked> {
        if self.refused.contains(&model) {
            return Some(Blocked::ModelRefused);
        }
        if self.breaker.is_open(now) {
            return Some(Blocked::BreakerOpen);
        }
        if self
            .pause
            .is_some_and(|(from, length)| since(from, now) < length)
        {
            return Some(Blocked::Paused);
        }
        let paced = live
            && self
                .last_live
                .is_some_and(|last| since(last, now) < live_interval);
        paced.then_some(Blocked::Paced)
    }
}
