//! Cancellation, shared with the host's own: a coroutine's, a task's.

use std::sync::Arc;

use pocketlens::cancel;

/// Ends work that nobody waits for. Raised once.
#[derive(Default, uniffi::Object)]
pub struct CancelToken(cancel::CancelToken);

#[uniffi::export]
impl CancelToken {
    /// A token that is not raised.
    #[uniffi::constructor]
    pub fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    /// Raises it: the work ends with [`PocketlensError::Cancelled`](crate::PocketlensError::Cancelled) before the next
    /// layer of the network.
    pub fn cancel(&self) {
        self.0.cancel();
    }

    /// Whether it was raised.
    pub fn is_cancelled(&self) -> bool {
        self.0.is_cancelled()
    }
}

impl CancelToken {
    pub(crate) fn inner(&self) -> cancel::CancelToken {
        self.0.clone()
    }
}
