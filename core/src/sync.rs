//! Locks and threads: those of the system, or those of `loom` in the tests that try every order in which threads can run
//! (`current/model.rs`, `live/session/model.rs`).

#[cfg(all(test, loom))]
pub(crate) use loom::{
    sync::{Condvar, Mutex, MutexGuard, RwLock},
    thread,
};
#[cfg(not(all(test, loom)))]
pub(crate) use std::{
    sync::{Condvar, Mutex, MutexGuard, RwLock},
    thread,
};
