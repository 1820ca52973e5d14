//! A circuit breaker: a server that fails again and again is left alone for a while, then tried with one question.

use std::time::Duration;

use super::clock::since;

/// Failures in a row that open it.
const THRESHOLD: u32 = 5;
/// How long it stays open at first; twice as long after every failed trial.
const COOL_DOWN: Duration = Duration::from_secs(15);
const MAX_COOL_DOWN: Duration = Duration::from_secs(300);

/// Counts failures in a row.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    failures: u32,
    /// Since when it is open, or since when the one trial runs.
    opened: Option<Duration>,
    cool_down: Duration,
}

impl Breaker {
    /// Whether nothing may be sent now.
    pub(super) fn is_open(&self, now: Duration) -> bool {
        self.opened
            .is_some_and(|opened| since(opened, now) < self.cool_down)
    }

    /// Takes leave to send; of those who ask while it is half open, one gets it.
    pub(super) fn admit(&mut self, now: Duration) -> bool {
        if self.is_open(now) {
            return false;
        }
        if self.opened.is_some() {
            // The next one waits until this trial has had its time.
            self.opened = Some(now);
        }
        true
    }

    /// The server answered.
    pub(super) fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// The server did not.
    pub(super) fn failed(&mut self, now: Duration) {
        self.failures = self.failures.saturating_add(1);
        if self.opened.is_some() {
            self.cool_down = (2 * self.cool_down).min(MAX_COOL_DOWN);
            self.opened = Some(now);
        } else if self.failures >= THRESHOLD {
            self.cool_down = COOL_DOWN;
            self.opened = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(s: u64) -> Duration {
        Duration::from_secs(s)
    }

    fn open_at(now: Duration) -> Breaker {
        let mut breaker = Breaker::default();
        for _ in 0..THRESHOLD {
            assert!(breaker.admit(now));
            breaker.failed(now);
        }
        breaker
    }

    #[test]
    fn it_opens_after_failures_in_a_row_only() {
        let mut breaker = Breaker::default();
        for _ in 0..20 {
            breaker.failed(s(1));
            breaker.succeeded();
        }
        assert!(!breaker.is_open(s(1)));
        assert!(open_at(s(1)).is_open(s(2)));
    }

    #[test]
    fn one_trial_at_a_time_and_longer_waits_after_failed_ones() {
        let mut breaker = open_at(s(100));
        assert!(!breaker.admit(s(114)));
        assert!(breaker.admit(s(115)) && !breaker.admit(s(115)));
        breaker.failed(s(116));
        assert!(!breaker.admit(s(145)) && breaker.admit(s(146)));
        breaker.succeeded();
        assert!(breaker.admit(s(146)) && breaker.admit(s(146)));
    }

    #[test]
    fn a_clock_set_back_does_not_keep_it_open() {
        assert!(!open_at(s(1_000_000)).is_open(s(10)));
    }
}
