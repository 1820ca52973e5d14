//! What the host may watch: messages, and what each answer cost.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, PoisonError, RwLock};

use crate::Times;

/// How loud a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum LogLevel {
    /// For whoever looks for a fault.
    Debug,
    /// As expected, and seldom.
    Info,
    /// Went on, but worse than it could.
    Warning,
}

/// Watches from the host's side. Called on the library's threads; a failure of it is swallowed.
#[uniffi::export(with_foreign)]
pub trait Observer: Send + Sync {
    /// A message. No photo, no descriptor and no payload is ever part of it.
    fn log(&self, level: LogLevel, text: String);
    /// What an answer cost, stage by stage.
    fn timed(&self, times: Times);
}

static OBSERVER: RwLock<Option<Arc<dyn Observer>>> = RwLock::new(None);

/// Sets who watches; nobody when absent.
#[uniffi::export]
pub fn set_observer(observer: Option<Arc<dyn Observer>>) {
    *OBSERVER.write().unwrap_or_else(PoisonError::into_inner) = observer;
}

fn current() -> Option<Arc<dyn Observer>> {
    let observer = OBSERVER.read().unwrap_or_else(PoisonError::into_inner);
    observer.clone()
}

pub(crate) fn log(level: LogLevel, text: impl FnOnce() -> String) {
    if let Some(observer) = current() {
        guarded(|| observer.log(level, text()));
    }
}

pub(crate) fn timed(times: Times) {
    if let Some(observer) = current() {
        guarded(|| observer.timed(times));
    }
}

/// Calls the host. An exception there arrives here as a panic, and ends here: it must not take an answer with it.
pub(crate) fn guarded(call: impl FnOnce()) {
    let _ = catch_unwind(AssertUnwindSafe(call));
}
