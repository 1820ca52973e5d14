//! A folder of files that are fed: empty at the beginning, gone at the end.

use std::path::PathBuf;

use tempfile::TempDir;

/// A folder of its own.
pub struct Place(TempDir);

impl Place {
    /// An empty folder under `TMPDIR`.
    pub fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder of the fuzzer's own"))
    }

    /// A file in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}
