//! Locks and threads of a session: those of the system, or those of `loom` in the test that tries every order in which
//! threads can run (`session/model.rs`).

#[cfg(all(test, loom))]
pub(super) use loom::{
    sync::{Condvar, Mutex, MutexGuard},
    thread,
};
#[cfg(not(all(test, loom)))]
pub(super) use std::{
    sync::{Condvar, Mutex, MutexGuard},
    thread,
};
