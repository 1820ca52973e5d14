//! What is left of the time for one question.

use std::time::Duration;

/// Only ever runs down: a clock that is set back gives no time back.
pub(super) struct Deadline {
    start: Duration,
    total: Duration,
    left: Duration,
}

impl Deadline {
    pub(super) fn new(now: Duration, total: Duration) -> Self {
        Self {
            start: now,
            total,
            left: total,
        }
    }

    /// Time left at `now`.
    pub(super) fn left(&mut self, now: Duration) -> Duration {
        let passed = now.saturating_sub(self.start);
        self.left = self.left.min(self.total.saturating_sub(passed));
        self.left
    }

    /// Takes away what was waited for, whatever the clock says of it.
    pub(super) fn spend(&mut self, time: Duration) {
        self.left = self.left.saturating_sub(time);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn it_only_runs_down() {
        let mut deadline = Deadline::new(ms(5000), ms(1500));
        assert_eq!(deadline.left(ms(5400)), ms(1100));
        // The clock is set back, then far ahead.
        assert_eq!(deadline.left(ms(0)), ms(1100));
        deadline.spend(ms(600));
        assert_eq!(deadline.left(ms(5000)), ms(500));
        assert_eq!(deadline.left(ms(9_000_000)), ms(0));
        assert_eq!(deadline.left(ms(5000)), ms(0));
    }
}
