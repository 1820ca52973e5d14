//! What was measured, in the cache: a small JSON file for each delegate and bundle.

use std::fs;
use std::io::{self, Write as _};
use std::path::PathBuf;

use super::{Measured, SelectOptions};
use crate::backbone::delegate::DelegateDescription;
use crate::container::write_atomically;
use crate::fingerprint::Fingerprint;

/// Longest file that is read, bytes.
const LONGEST: u64 = 1 << 16;

/// What was measured, and of what.
#[derive(serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Record {
    /// Of this library: another may tell the network in another way.
    library: String,
    device: String,
    sizes: Vec<[u32; 2]>,
    pub(super) description: DelegateDescription,
    pub(super) measured: Measured,
}

impl Record {
    pub(super) fn new(
        options: &SelectOptions,
        description: &DelegateDescription,
        measured: Measured,
    ) -> Self {
        Self {
            library: env!("CARGO_PKG_VERSION").to_owned(),
            device: options.device.clone(),
            sizes: options.sizes.clone(),
            description: description.clone(),
            measured,
        }
    }

    /// What an earlier start measured; `None` where there is nothing, it is of another device, operating
    /// system, library or sizes, or cannot be read.
    pub(super) fn read(
        options: &SelectOptions,
        name: &str,
        fingerprint: Fingerprint,
    ) -> Option<Self> {
        let file = path(options, name, fingerprint, "json");
        if fs::metadata(&file).ok()?.len() > LONGEST {
            return None;
        }
        let record: Self = serde_json::from_slice(&fs::read(file).ok()?).ok()?;
        let holds = record.library == env!("CARGO_PKG_VERSION")
            && record.device == options.device
            && record.sizes == options.sizes;
        holds.then_some(record)
    }

    pub(super) fn write(
        &self,
        options: &SelectOptions,
        name: &str,
        fingerprint: Fingerprint,
    ) -> io::Result<()> {
        let json = serde_json::to_vec_pretty(self)?;
        let file = path(options, name, fingerprint, "json");
        write_atomically(&file, |file| file.write_all(&json))
    }
}

/// `delegate-NAME-FINGERPRINT.EXTENSION`.
pub(super) fn path(
    options: &SelectOptions,
    name: &str,
    fingerprint: Fingerprint,
    extension: &str,
) -> PathBuf {
    let plain = |character: char| match character.is_ascii_alphanumeric() {
        true => character,
        false => '-',
    };
    let name: String = name.chars().take(32).map(plain).collect();
    let file = format!("delegate-{name}-{fingerprint}.{extension}");
    options.cache.join(file)
}
