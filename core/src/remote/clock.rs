//! Time as the client sees it: injected, so that tests need not wait and a jump can be tried.

use std::time::{Duration, Instant};

/// A clock and a way to wait.
///
/// Nothing breaks when it jumps: what lies in its future counts as long ago.
pub trait Clock: Send + Sync {
    /// Time since some moment, the same for the life of the clock.
    fn now(&self) -> Duration;
    /// Returns when that much time has passed.
    fn sleep(&self, time: Duration);
}

/// The system's monotonic clock.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock(Instant);

impl Default for SystemClock {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Duration {
        self.0.elapsed()
    }

    fn sleep(&self, time: Duration) {
        std::thread::sleep(time);
    }
}

/// Time from `earlier` to `now`; very long when the clock was set back in between.
pub(super) fn since(earlier: Duration, now: Duration) -> Duration {
    now.checked_sub(earlier).unwrap_or(Duration::MAX)
}
