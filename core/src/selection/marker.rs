//! A file that lies in the cache while a delegate is tried: found at a start, it says that the process
//! before ended over it.
//!
//! A process may end for other reasons: the user swipes it away, memory runs out. So one end is
//! forgiven, and only two in a row count as the delegate's fault.

use std::fs;
use std::io::{self, Write as _};
use std::path::PathBuf;

use super::SelectOptions;
use super::record::path;
use crate::container::write_atomically;
use crate::fingerprint::Fingerprint;

/// Ends in a row after which a delegate is not tried again.
const FORGIVEN: u32 = 1;

pub(super) struct Marker(PathBuf);

impl Marker {
    /// Lays it, so that it is there after a crash of the whole device, too; `None` where too many processes
    /// before ended over it, on the same device and operating system.
    pub(super) fn set(
        options: &SelectOptions,
        name: &str,
        fingerprint: Fingerprint,
    ) -> io::Result<Option<Self>> {
        fs::create_dir_all(&options.cache)?;
        let file = path(options, name, fingerprint, "trying");
        let left = fs::read_to_string(&file).unwrap_or_default();
        let ended = match left.split_once('\n') {
            Some((count, device)) if device == options.device => count.parse().unwrap_or(0),
            _ => 0,
        };
        if ended > FORGIVEN {
            return Ok(None);
        }
        let text = format!("{}\n{}", ended + 1, options.device);
        write_atomically(&file, |file| file.write_all(text.as_bytes()))?;
        Ok(Some(Self(file)))
    }

    /// Takes it away: the delegate was survived.
    pub(super) fn clear(self) {
        // Left, it counts as an end, which is safe.
        let _ = fs::remove_file(self.0);
    }
}
