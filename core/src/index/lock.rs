//! One writer at a time: an advisory, exclusive lock that ends with the process, however it ends.
//!
//! On Unix the directory itself is locked, so that nothing has to be made or tidied up.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;

use super::IndexError;

/// The right to change an index, until it is dropped.
#[derive(Debug)]
pub(super) struct WriterLock {
    _file: File,
}

impl WriterLock {
    /// Locks a directory that exists, without waiting.
    ///
    /// # Errors
    /// [`IndexError::Busy`] while another writer has it.
    pub(super) fn take(dir: &Path) -> Result<Self, IndexError> {
        let io_error = |source| IndexError::Io {
            path: dir.to_owned(),
            source,
        };
        let file = open(dir).map_err(io_error)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(IndexError::Busy {
                path: dir.to_owned(),
            }),
            Err(TryLockError::Error(source)) => Err(io_error(source)),
        }
    }
}

#[cfg(unix)]
fn open(dir: &Path) -> io::Result<File> {
    File::open(dir)
}

#[cfg(not(unix))]
fn open(dir: &Path) -> io::Result<File> {
    File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(dir.join(".writer.lock"))
}
