//! Where the work is done: on threads that wait for it, never on the caller's.

use std::sync::{Arc, Mutex, PoisonError};

use pocketlens::cancel::CancelToken;

use crate::PocketlensError;

/// Runs `work` on a thread for blocking work. A future that is dropped before its end, as a cancelled coroutine does,
/// raises the token.
pub(crate) async fn run<T: Send + 'static>(
    cancel: CancelToken,
    work: impl FnOnce(CancelToken) -> Result<T, PocketlensError> + Send + 'static,
) -> Result<T, PocketlensError> {
    let mut unless_done = CancelOnDrop(Some(cancel.clone()));
    let done = on_thread(move || {
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
    on_thread(work).await
}

/// Refuses the thread that the process began with: on a phone it draws, and must not wait for a search. A host that is no
/// phone has no such thread for Kotlin: the virtual machine begins on another.
pub(crate) fn refuse_first_thread() -> Result<(), PocketlensError> {
    thread_local! {
        static IS_FIRST: bool = is_first_thread();
    }
    match IS_FIRST.with(|&is_first| is_first) {
        true => Err(PocketlensError::bad_input(
            "a search that blocks was asked for on the thread that the process began with: call it from another, or call \
             the one that does not block",
        )),
        false => Ok(()),
    }
}

/// Linux and Android say `PID/task/TID`; elsewhere nobody is refused.
fn is_first_thread() -> bool {
    let Ok(thread) = std::fs::read_link("/proc/thread-self") else {
        return false;
    };
    let mut parts = thread.iter();
    parts.next() == parts.nth(1)
}

/// What `work` gives. Its type stays outside of the executor, which is in the library once instead of once a function.
async fn on_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let result = Arc::new(Mutex::new(None));
    let place = result.clone();
    let job: Box<dyn FnOnce() + Send> = Box::new(move || {
        let done = work();
        *place.lock().unwrap_or_else(PoisonError::into_inner) = Some(done);
    });
    blocking::unblock(job).await;
    let mut result = result.lock().unwrap_or_else(PoisonError::into_inner);
    result.take().expect("work that panics panics above")
}

struct CancelOnDrop(Option<CancelToken>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        if let Some(cancel) = &self.0 {
            cancel.cancel();
        }
    }
}
