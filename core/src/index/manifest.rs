//! `manifest.json`: what an index consists of. It is the only file of an index that is ever
//! replaced, atomically; everything it names is immutable.
//!
//! The file is a JSON object whose last field is the SHA-256 of all bytes before that digest.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::segment_writer::SegmentForm;
use super::{IndexError, MAX_DIM, Schema};
use crate::fingerprint::Fingerprint;
use crate::rerank::Augmentation;
use crate::verdict::Calibration;

/// Version of the directory layout.
pub(super) const FORMAT: u32 = 1;
/// How an index of this version is searched.
pub(super) const PLAN: &str = "exact-i8";

const FILE_NAME: &str = "manifest.json";
const PREVIOUS_FILE_NAME: &str = "manifest.previous.json";
const KIND: &str = "pocketlens-index";
const METRIC: &str = "cosine";
/// What a reader must know when a segment has tombstones: else it would find dead items.
const TOMBSTONES: &str = "tombstones";
const MAX_BYTES: u64 = 16 * 1024 * 1024;
/// What stands before and behind the digest.
const BEFORE_DIGEST: &str = ",\n  \"sha256\": \"";
const BEHIND_DIGEST: &str = "\"\n}\n";

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Manifest {
    kind: String,
    format: u32,
    /// Features that a reader must know to read this index right.
    requires: Vec<String>,
    pub(super) created_by: String,
    pub(super) fingerprint: Fingerprint,
    pub(super) dim: usize,
    metric: String,
    plan: String,
    pub(super) items: u64,
    pub(super) rows: u64,
    pub(super) bundle: FileEntry,
    pub(super) segments: Vec<SegmentEntry>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) calibration: Option<Calibration>,
    /// Whether vectors were moved towards their neighbours when the index was built.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) augmented: Option<Augmentation>,
    /// Whether payloads tell what the bundle's heads say.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) attributes: bool,
    /// Kinds of columns that the catalogue demands.
    #[serde(default, skip_serializing_if = "Schema::is_empty")]
    pub(super) columns: Schema,
}

/// An immutable file of the index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FileEntry {
    /// Name inside of the directory.
    pub(super) file: String,
    /// Bytes.
    pub(super) length: u64,
    /// Of the whole file, hexadecimal.
    pub(super) sha256: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SegmentEntry {
    #[serde(flatten)]
    pub(super) file: FileEntry,
    /// Items in the file, dead ones included.
    pub(super) items: u32,
    /// Their photos.
    pub(super) rows: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) tombstones: Option<TombstoneEntry>,
}

/// Which items of a segment are dead.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct TombstoneEntry {
    #[serde(flatten)]
    pub(super) file: FileEntry,
    /// Dead items.
    pub(super) items: u32,
    /// Their photos.
    pub(super) rows: u32,
}

impl SegmentEntry {
    /// Items that can be found.
    pub(super) fn live_items(&self) -> u32 {
        let dead = self.tombstones.as_ref().map_or(0, |dead| dead.items);
        self.items.saturating_sub(dead)
    }

    /// Photos of the items that can be found.
    pub(super) fn live_rows(&self) -> u32 {
        let dead = self.tombstones.as_ref().map_or(0, |dead| dead.rows);
        self.rows.saturating_sub(dead)
    }

    fn counts_are_possible(&self) -> bool {
        let Some(dead) = &self.tombstones else {
            return true;
        };
        dead.items <= self.items && dead.items <= dead.rows && dead.rows <= self.rows
    }
}

/// The fields that every version has.
#[derive(Deserialize)]
struct Preamble {
    kind: String,
    format: u32,
    requires: Vec<String>,
}

impl Manifest {
    pub(super) fn new(
        fingerprint: Fingerprint,
        dim: usize,
        bundle: FileEntry,
        segments: Vec<SegmentEntry>,
    ) -> Self {
        let mut manifest = Self {
            kind: KIND.to_owned(),
            format: FORMAT,
            requires: Vec::new(),
            created_by: concat!("pocketlens ", env!("CARGO_PKG_VERSION")).to_owned(),
            fingerprint,
            dim,
            metric: METRIC.to_owned(),
            plan: PLAN.to_owned(),
            items: 0,
            rows: 0,
            bundle,
            segments: Vec::new(),
            calibration: None,
            augmented: None,
            attributes: false,
            columns: Schema::default(),
        };
        manifest.set_segments(segments);
        manifest
    }

    /// Replaces the segments, and with them the counts and what a reader must know.
    pub(super) fn set_segments(&mut self, segments: Vec<SegmentEntry>) {
        let sum = |count: fn(&SegmentEntry) -> u32| {
            segments
                .iter()
                .map(|segment| u64::from(count(segment)))
                .sum()
        };
        self.items = sum(SegmentEntry::live_items);
        self.rows = sum(SegmentEntry::live_rows);
        let has_tombstones = segments.iter().any(|segment| segment.tombstones.is_some());
        self.requires = has_tombstones
            .then(|| TOMBSTONES.to_owned())
            .into_iter()
            .collect();
        self.segments = segments;
    }

    /// The form of further segments.
    pub(super) fn segment_form(&self) -> SegmentForm<'_> {
        SegmentForm {
            fingerprint: self.fingerprint,
            dim: self.dim,
            columns: &self.columns,
            lists: true,
        }
    }

    /// Where the manifest of an index lies.
    pub(super) fn path(dir: &Path) -> PathBuf {
        dir.join(FILE_NAME)
    }

    /// Where the manifest before the last applied pack lies: what a rollback brings back.
    pub(super) fn previous_path(dir: &Path) -> PathBuf {
        dir.join(PREVIOUS_FILE_NAME)
    }

    /// Reads the manifest before the last applied pack, unchecked; `None` when there is none.
    pub(super) fn read_previous_bytes(dir: &Path) -> Result<Option<Vec<u8>>, IndexError> {
        let path = Self::previous_path(dir);
        match read_limited(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(IndexError::Io { path, source }),
        }
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let json = serde_json::to_string_pretty(self).expect("a manifest is plain data");
        let body = json.strip_suffix("\n}").expect("an object with fields");
        let mut text = format!("{body}{BEFORE_DIGEST}");
        let digest = sha256(text.as_bytes());
        text.push_str(&digest);
        text.push_str(BEHIND_DIGEST);
        text.into_bytes()
    }

    /// Reads and checks the manifest of an index; opens no other file.
    pub(super) fn read(dir: &Path) -> Result<Self, IndexError> {
        Self::parse(&Self::read_bytes(dir)?, &Self::path(dir))
    }

    /// Reads the manifest of an index, unchecked.
    pub(super) fn read_bytes(dir: &Path) -> Result<Vec<u8>, IndexError> {
        let path = Self::path(dir);
        match read_limited(&path) {
            Ok(bytes) => Ok(bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound && dir.is_dir() => {
                let found = format!("a directory without {FILE_NAME}");
                Err(IndexError::NotAnIndex {
                    path: dir.to_owned(),
                    found,
                })
            }
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                let found = "a file".to_owned();
                Err(IndexError::NotAnIndex {
                    path: dir.to_owned(),
                    found,
                })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let found = "nothing".to_owned();
                Err(IndexError::NotAnIndex {
                    path: dir.to_owned(),
                    found,
                })
            }
            Err(source) => Err(IndexError::Io { path, source }),
        }
    }

    pub(super) fn parse(bytes: &[u8], path: &Path) -> Result<Self, IndexError> {
        let corrupt = |what: &str, expected: &str, found: String| IndexError::Corrupt {
            path: path.to_owned(),
            what: what.to_owned(),
            expected: expected.to_owned(),
            found,
        };
        let incompatible = |needs: String| IndexError::Incompatible {
            path: path.to_owned(),
            needs,
        };

        if bytes.len() as u64 > MAX_BYTES {
            return Err(corrupt("manifest", "at most 16 MiB", "more".to_owned()));
        }
        check_digest(bytes)
            .map_err(|(expected, found)| corrupt("digest on the last line", &expected, found))?;
        let not_json =
            |error: serde_json::Error| corrupt("manifest", "its fields", error.to_string());
        let preamble: Preamble = serde_json::from_slice(bytes).map_err(not_json)?;
        if preamble.kind != KIND {
            return Err(corrupt("kind", KIND, preamble.kind));
        }
        if preamble.format != FORMAT {
            let found = preamble.format;
            return Err(incompatible(format!(
                "index format {found} (this version reads {FORMAT})"
            )));
        }
        if preamble
            .requires
            .iter()
            .any(|feature| feature != TOMBSTONES)
        {
            return Err(incompatible(format!("features {:?}", preamble.requires)));
        }
        let manifest: Self = serde_json::from_slice(bytes).map_err(not_json)?;
        if (manifest.metric.as_str(), manifest.plan.as_str()) != (METRIC, PLAN) {
            let (metric, plan) = (manifest.metric, manifest.plan);
            return Err(incompatible(format!(
                "metric {metric:?} with plan {plan:?}"
            )));
        }
        if let Some(calibration) = &manifest.calibration
            && calibration.version != Calibration::VERSION
        {
            return Err(incompatible(format!(
                "calibration version {}",
                calibration.version
            )));
        }
        if !(1..=MAX_DIM).contains(&manifest.dim) {
            return Err(corrupt("dim", "1 to 65536", manifest.dim.to_string()));
        }
        let names = manifest.files().map(|entry| &entry.file);
        if let Some(name) = names.into_iter().find(|name| !is_file_name(name)) {
            return Err(corrupt(
                "file name",
                "a name in the same directory",
                format!("{name:?}"),
            ));
        }
        let sum = |count: fn(&SegmentEntry) -> u32| {
            manifest
                .segments
                .iter()
                .map(|segment| u64::from(count(segment)))
                .sum()
        };
        if let Some(entry) = manifest.segments.iter().find(|s| !s.counts_are_possible()) {
            let found = format!("{:?}", entry.tombstones);
            return Err(corrupt("dead items", "no more than the segment has", found));
        }
        let counted: (u64, u64) = (sum(SegmentEntry::live_items), sum(SegmentEntry::live_rows));
        if counted != (manifest.items, manifest.rows) {
            let found = format!("{} and {}", manifest.items, manifest.rows);
            let expected = format!("{} and {} as in the segments", counted.0, counted.1);
            return Err(corrupt("items and rows", &expected, found));
        }
        Ok(manifest)
    }

    /// All files that the manifest names.
    pub(super) fn files(&self) -> impl Iterator<Item = &FileEntry> {
        self.segments
            .iter()
            .flat_map(|segment| {
                let tombstones = segment.tombstones.as_ref().map(|dead| &dead.file);
                [Some(&segment.file), tombstones].into_iter().flatten()
            })
            .chain([&self.bundle])
    }

    /// Whether these first bytes of a `manifest.json` are ours, sound or not.
    pub(super) fn is_ours(first_bytes: &[u8]) -> bool {
        first_bytes.starts_with(format!("{{\n  \"kind\": \"{KIND}\"").as_bytes())
    }
}

/// One byte more than a manifest may have, at most.
fn read_limited(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(MAX_BYTES + 1)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// SHA-256 in hexadecimal.
pub(super) fn sha256(bytes: &[u8]) -> String {
    hexadecimal(&Sha256::digest(bytes))
}

pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Gives back the expected and the found digest when they differ.
fn check_digest(bytes: &[u8]) -> Result<(), (String, String)> {
    let signed = bytes
        .strip_suffix(BEHIND_DIGEST.as_bytes())
        .and_then(|bytes| bytes.split_last_chunk::<64>())
        .filter(|(body, _)| body.ends_with(BEFORE_DIGEST.as_bytes()));
    let Some((body, digest)) = signed else {
        return Err(("a line with \"sha256\"".to_owned(), "none".to_owned()));
    };
    let found = sha256(body);
    if found.as_bytes() == digest {
        return Ok(());
    }
    Err((digest.escape_ascii().to_string(), found))
}

/// A hostile manifest must not lead out of the directory.
fn is_file_name(name: &str) -> bool {
    !name.is_empty()
        && name != FILE_NAME
        && name != PREVIOUS_FILE_NAME
        && !name.starts_with('.')
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}
