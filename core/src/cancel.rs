//! Stopping work from another thread: a user who turned away pays for no answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// A flag that is raised once. Clones are the same flag.
///
/// ```
/// use pocketlens::cancel::CancelToken;
///
/// let token = CancelToken::new();
/// let elsewhere = token.clone();
/// elsewhere.cancel();
/// assert!(token.is_cancelled());
/// ```
#[derive(Clone, Debug, Default)]
pub struct CancelToken(Arc<AtomicBool>);

impl CancelToken {
    /// A flag that is down.
    pub fn new() -> Self {
        Self::default()
    }

    /// Raises the flag: whoever works for it stops before the next layer of the network.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether the flag was raised.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// The flag itself, as [`RunOptions`](crate::backbone::RunOptions) takes it.
    pub fn flag(&self) -> &AtomicBool {
        &self.0
    }
}

/// When work is to stop before it is done. The default never stops it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stop<'a> {
    /// Stops the work once it is true.
    pub cancel: Option<&'a AtomicBool>,
    /// Stops the work once this moment has passed.
    pub deadline: Option<Instant>,
}

/// Why work was stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stopped {
    Cancelled,
    OutOfTime,
}

impl Stop<'_> {
    /// Whether to go on.
    pub(crate) fn check(&self) -> Result<(), Stopped> {
        if self
            .cancel
            .is_some_and(|cancel| cancel.load(Ordering::Relaxed))
        {
            return Err(Stopped::Cancelled);
        }
        match self.deadline {
            Some(deadline) if Instant::now() >= deadline => Err(Stopped::OutOfTime),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_flag_or_a_deadline_stops_and_nothing_else() {
        assert_eq!(Stop::default().check(), Ok(()));
        let (token, now) = (CancelToken::new(), Instant::now());
        let stop = Stop {
            cancel: Some(token.flag()),
            deadline: Some(now + Duration::from_secs(3600)),
        };
        assert_eq!(stop.check(), Ok(()));
        let late = Stop {
            deadline: Some(now),
            ..stop
        };
        assert_eq!(late.check(), Err(Stopped::OutOfTime));
        token.cancel();
        assert_eq!(stop.check(), Err(Stopped::Cancelled));
    }
}
