//! Every change that this library makes to the directory of an index, as one small trait: create,
//! write, fsync, rename, unlink, fsync of the directory.
//!
//! Writers reach the disk through it alone, so that a test can cut the power at every single
//! operation (`power_cut.rs`). Reading needs no such care and goes to the file system directly.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// Where an index is written.
pub(super) trait Storage: Send + Sync {
    /// Makes a directory and those above it, unless they are there.
    fn create_dir(&self, path: &Path) -> io::Result<()>;
    /// Makes a file that must not be there yet.
    fn create(&self, path: &Path) -> io::Result<Box<dyn StoredFile>>;
    /// Gives a file another name in the same directory, replacing what had that name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Takes a file's name away; who has it open or mapped keeps it.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Removes an empty directory.
    fn remove_dir(&self, path: &Path) -> io::Result<()>;
    /// Makes all names given and taken in a directory so far outlast a power cut.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
}

/// A file that is being written.
pub(super) trait StoredFile: Write {
    /// Makes all bytes written so far outlast a power cut.
    fn sync(&mut self) -> io::Result<()>;
}

/// The file system.
#[derive(Debug)]
pub(super) struct Disk;

impl Storage for Disk {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(path)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn StoredFile>> {
        Ok(Box::new(BufWriter::with_capacity(
            256 * 1024,
            File::create_new(path)?,
        )))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir(path)
    }

    #[cfg(unix)]
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    // Elsewhere a directory cannot be opened as a file; the rename itself is the best there is.
    #[cfg(not(unix))]
    fn sync_dir(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }
}

impl StoredFile for BufWriter<File> {
    fn sync(&mut self) -> io::Result<()> {
        self.flush()?;
        self.get_ref().sync_all()
    }
}

/// A file under a temporary name. It gets its own by [`Self::publish`]; dropped before, it is
/// removed.
pub(super) struct PendingFile<'a> {
    storage: &'a dyn Storage,
    file: Box<dyn StoredFile>,
    temporary: PathBuf,
    published: bool,
}

impl<'a> PendingFile<'a> {
    /// Begins a file beside `path`, hence on the same file system: `.NAME.PROCESS-COUNT.tmp`.
    pub(super) fn beside(storage: &'a dyn Storage, path: &Path) -> io::Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = path.file_name().ok_or(io::ErrorKind::InvalidFilename)?;
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!(
            ".{}.{}-{count}.tmp",
            name.to_string_lossy(),
            std::process::id()
        );
        let temporary = path.with_file_name(name);
        Ok(Self {
            storage,
            file: storage.create(&temporary)?,
            temporary,
            published: false,
        })
    }

    /// Gives the file its name once its bytes are safe. The name itself is safe after the next
    /// [`Storage::sync_dir`].
    pub(super) fn publish(mut self, path: &Path) -> io::Result<()> {
        self.file.sync()?;
        self.storage.rename(&self.temporary, path)?;
        self.published = true;
        Ok(())
    }
}

impl Write for PendingFile<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for PendingFile<'_> {
    fn drop(&mut self) {
        if !self.published {
            // The error that led here is the one to report.
            let _ = self.storage.remove(&self.temporary);
        }
    }
}

/// Writes a whole file so that a reader sees the old content or the new.
pub(super) fn write_file(storage: &dyn Storage, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = PendingFile::beside(storage, path)?;
    file.write_all(bytes)?;
    file.publish(path)
}
