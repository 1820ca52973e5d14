//! Where the work is done: on threads that wait for it, never on the caller's.

use pocketlens::cancel::CancelToken;

use crate::PocketlensError;

/// Runs `work` on a thread for blocking work. A future that is dropped before its end, as a cancelled coroutine does,
/// raises the token.
pub(crate) async fn run<T: Send + 'static>(
    cancel: CancelToken,
    work: impl FnOnce(CancelToken) -> Result<T, PocketlensError> + Send + 'static,
) -> Result<T, PocketlensError> {
    let mut unless_done = CancelOnDrop(Some(cancel.clone()));
    let done = blocking::unblock(move || {
        if cancel.is_cancelled() {
            return Err(PocketlensError::cancelled());
        }
        work(cancel)
    })
    .await;
    unless_done.0 = None;
    done
}

/// As [`run`], for work that is done to its end once it has begun.
pub(crate) async fn run_whole<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, PocketlensError> + Send + 'static,
) -> Result<T, PocketlensError> {
    // A task of `blocking` that is dropped and has begun goes on.
    blocking::unblock(work).await
}

struct CancelOnDrop(Option<CancelToken>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        if let Some(cancel) = &self.0 {
            cancel.cancel();
        }
    }
}
