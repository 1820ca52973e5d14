//! A verdict in the cache: a small JSON file for each delegate and bundle.

use std::fs;
use std::io::{self, Write as _};
use std::path::PathBuf;

use super::{DelegateVerdict, SelectOptions};
use crate::backbone::delegate::DelegateDescription;
use crate::container::write_atomically;
use crate::fingerprint::Fingerprint;

/// Longest file that is read, bytes.
const LONGEST: u64 = 1 << 16;

/// What was found, and of which device.
#[derive(serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Record {
    pub(super) device: String,
    pub(super) description: Option<DelegateDescription>,
    pub(super) verdict: DelegateVerdict,
}

impl Record {
    /// The verdict of an earlier start; `None` where there is none, it is of another device or operating
    /// system, or cannot be read.
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
        (record.device == options.device).then_some(record)
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
