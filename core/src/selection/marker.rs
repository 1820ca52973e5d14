//! A file that lies in the cache while a delegate is tried: found at a start, it says that the process
//! before died of it.

use std::fs;
use std::io;
use std::path::PathBuf;

use super::SelectOptions;
use super::record::path;
use crate::container::write_atomically;
use crate::fingerprint::Fingerprint;

pub(super) struct Marker(PathBuf);

impl Marker {
    /// Whether an earlier process left it, on the same device and operating system.
    pub(super) fn is_left(options: &SelectOptions, name: &str, fingerprint: Fingerprint) -> bool {
        let file = path(options, name, fingerprint, "trying");
        fs::read(file).is_ok_and(|device| device == options.device.as_bytes())
    }

    /// Lays it, so that it is there after a crash of the whole device, too.
    pub(super) fn set(
        options: &SelectOptions,
        name: &str,
        fingerprint: Fingerprint,
    ) -> io::Result<Self> {
        use io::Write as _;

        fs::create_dir_all(&options.cache)?;
        let file = path(options, name, fingerprint, "trying");
        write_atomically(&file, |file| file.write_all(options.device.as_bytes()))?;
        Ok(Self(file))
    }

    /// Takes it away: the delegate was survived.
    pub(super) fn clear(self) {
        // Left, the delegate is not tried again, which is safe.
        let _ = fs::remove_file(self.0);
    }
}
