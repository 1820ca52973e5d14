//! An open index: its manifest, its mapped segments, and what they add up to.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::IndexError;
use super::live::LiveItems;
use super::manifest::{FORMAT, FileEntry, Manifest, PLAN, hexadecimal, sha256};
use super::segment::Segment;
use super::tombstones::Tombstones;
use crate::container::{Access, ContainerError};
use crate::fingerprint::Fingerprint;
use crate::rerank::Augmentation;
use crate::verdict::Calibration;

/// An index, open and ready to be searched, from any number of threads.
///
/// It stays what it was when it was opened, whatever happens to the directory afterwards.
///
/// ```
/// use pocketlens::fingerprint::Fingerprint;
/// use pocketlens::index::{Index, IndexQuery, IndexWriter, ItemPhoto};
///
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("shop.plx");
/// let model = Fingerprint::of_parts([b"weights".as_slice()]);
/// let mut writer = IndexWriter::create(&path, b"the bundle", model, 2)?;
/// for (key, vector) in [("mug", [1.0, 0.0]), ("vase", [0.0, 1.0])] {
///     let payload = &serde_json::json!({ "price": 12 });
///     writer.push(&ItemPhoto { key, group: None, payload, vector: &vector })?;
/// }
/// writer.finish()?;
///
/// let index = Index::open(&path)?;
/// let ranking = index.search(&IndexQuery::new(model, &[0.9, 0.1], 1))?;
/// assert_eq!(ranking.hits[0].key, "mug");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Index {
    dir: PathBuf,
    access: Access,
    manifest: Manifest,
    segments: Vec<Segment>,
}

/// What an index holds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct IndexInfo {
    /// Things that can be found.
    pub items: u64,
    /// Photos of them, at least one each.
    pub rows: u64,
    /// Numbers in a descriptor.
    pub dim: usize,
    /// Bytes of manifest, segments and tombstones, without the bundle.
    pub bytes: u64,
    /// `bytes / items`; 0 for an empty index.
    pub bytes_per_item: f64,
    /// Bytes of the segments without keys, groups and payloads.
    pub vector_bytes: u64,
    /// Bytes of the bundle.
    pub bundle_bytes: u64,
    /// How the index is searched: `exact-i8`, or `lists` where a segment has them.
    pub plan: &'static str,
    /// Number of segment files.
    pub segments: usize,
    /// Removed or replaced items that still take space; compaction reclaims it.
    pub dead_items: u64,
    /// Of the model.
    pub fingerprint: Fingerprint,
    /// Version of the directory layout.
    pub format: u32,
    /// Whether a calibration is stored.
    pub calibrated: bool,
    /// How vectors were moved towards their neighbours when the index was built; `None` where they are as the model gives
    /// them. Items that were added afterwards are not moved.
    pub augmented: Option<Augmentation>,
    /// Whether payloads tell what the bundle's heads say; those of items that are added do then, too.
    pub attributes: bool,
    /// The library that built it.
    pub created_by: String,
}

/// What [`Index::verify`] has read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// Files, the manifest and the bundle included.
    pub files: usize,
    /// Bytes of all of them.
    pub bytes: u64,
}

impl Index {
    /// Opens an index: reads the manifest, maps the segments and checks that lengths and bounds
    /// agree. The vectors are not read; see [`Self::verify`].
    ///
    /// # Errors
    /// [`IndexError::NotAnIndex`], [`IndexError::Incompatible`] for a newer format, and
    /// [`IndexError::Corrupt`] or [`IndexError::Segment`] for damaged or missing files.
    pub fn open(dir: &Path) -> Result<Self, IndexError> {
        Self::open_with(dir, Access::Map)
    }

    /// The same, with the segments mapped or read as `access` says.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_with(dir: &Path, access: Access) -> Result<Self, IndexError> {
        let manifest = Manifest::read(dir)?;
        match Self::of_manifest_with(dir, manifest.clone(), access) {
            // The index may have been replaced since the manifest was read, and its old files
            // removed. A second manifest that is the same says that a file is really missing.
            Err(error) if is_not_found(&error) => match Manifest::read(dir)? {
                newer if newer != manifest => Self::of_manifest_with(dir, newer, access),
                _ => Err(error),
            },
            opened => opened,
        }
    }

    /// Opens the files that a manifest names, whether it is published or not.
    pub(super) fn of_manifest(dir: &Path, manifest: Manifest) -> Result<Self, IndexError> {
        Self::of_manifest_with(dir, manifest, Access::Map)
    }

    fn of_manifest_with(
        dir: &Path,
        manifest: Manifest,
        access: Access,
    ) -> Result<Self, IndexError> {
        for entry in manifest.files() {
            check_length(dir, entry)?;
        }
        let mut segments = Vec::with_capacity(manifest.segments.len());
        for entry in &manifest.segments {
            let path = dir.join(&entry.file.file);
            let mut segment = Segment::open(&path, manifest.fingerprint, manifest.dim, access)?;
            if (segment.items(), segment.rows()) != (entry.items, entry.rows) {
                return Err(IndexError::Corrupt {
                    path,
                    what: "items and rows".to_owned(),
                    expected: format!("{} and {}", entry.items, entry.rows),
                    found: format!("{} and {}", segment.items(), segment.rows()),
                });
            }
            if let Some(dead) = &entry.tombstones {
                let path = dir.join(&dead.file.file);
                segment.tombstones =
                    Some(Tombstones::open(&path, manifest.fingerprint, entry, dead)?);
            }
            segments.push(segment);
        }
        Ok(Self {
            dir: dir.to_owned(),
            access,
            manifest,
            segments,
        })
    }

    /// Reads everything: digests of all files, checksums of all sections, order of all tables. For
    /// the moment of installation; takes as long as reading the files.
    pub fn verify(&self) -> Result<Verified, IndexError> {
        let mut bytes = self.manifest.to_bytes().len() as u64;
        for (segment, entry) in self.segments.iter().zip(&self.manifest.segments) {
            // The sections first: their errors say where the damage is.
            segment.verify()?;
            let found = sha256(segment.container().bytes());
            check_digest(&self.dir, &entry.file, found)?;
            bytes += entry.file.length;
            if let (Some(dead), Some(tombstones)) = (&entry.tombstones, &segment.tombstones) {
                let path = self.dir.join(&dead.file.file);
                let found = digest_of_file(&path).map_err(|source| IndexError::Io {
                    path: path.clone(),
                    source,
                })?;
                check_digest(&self.dir, &dead.file, found)?;
                let mut rows = 0;
                for item in tombstones.iter() {
                    rows += segment.photos(item)?.len();
                }
                if rows != dead.rows as usize {
                    return Err(IndexError::Corrupt {
                        path,
                        what: "rows of dead items".to_owned(),
                        expected: dead.rows.to_string(),
                        found: rows.to_string(),
                    });
                }
                bytes += dead.file.length;
            }
        }
        // Walking all keys in order notices one that lives twice.
        for item in LiveItems::all(&self.segments)? {
            item?;
        }
        let bundle = &self.manifest.bundle;
        let found = digest_of_file(&self.bundle_path()).map_err(|source| IndexError::Io {
            path: self.bundle_path(),
            source,
        })?;
        check_digest(&self.dir, bundle, found)?;
        Ok(Verified {
            files: self.manifest.files().count() + 1,
            bytes: bytes + bundle.length,
        })
    }

    /// What the index holds.
    pub fn info(&self) -> IndexInfo {
        let manifest = &self.manifest;
        let files: u64 = manifest.files().map(|entry| entry.length).sum();
        let bytes = files - manifest.bundle.length + manifest.to_bytes().len() as u64;
        let bytes_per_item = if manifest.items == 0 {
            0.0
        } else {
            bytes as f64 / manifest.items as f64
        };
        IndexInfo {
            items: manifest.items,
            rows: manifest.rows,
            dim: manifest.dim,
            bytes,
            bytes_per_item,
            vector_bytes: self.segments.iter().map(Segment::vector_bytes).sum(),
            bundle_bytes: manifest.bundle.length,
            plan: match self
                .segments
                .iter()
                .any(|segment| segment.lists().is_some())
            {
                true => "lists",
                false => PLAN,
            },
            segments: manifest.segments.len(),
            dead_items: manifest
                .segments
                .iter()
                .map(|segment| u64::from(segment.items - segment.live_items()))
                .sum(),
            fingerprint: manifest.fingerprint,
            format: FORMAT,
            calibrated: manifest.calibration.is_some(),
            augmented: manifest.augmented,
            attributes: manifest.attributes,
            created_by: manifest.created_by.clone(),
        }
    }

    /// Names this state of the index: 32 hexadecimal digits that change with every update. The same on every machine that
    /// holds the same files.
    pub fn version(&self) -> String {
        let mut version = sha256(&self.manifest.to_bytes());
        version.truncate(32);
        version
    }

    /// Whether the directory still holds the index that was opened here.
    ///
    /// # Errors
    /// As [`Self::open`], for the manifest that is there now.
    pub fn is_current(&self) -> Result<bool, IndexError> {
        Ok(Manifest::read(&self.dir)? == self.manifest)
    }

    /// Opens what the directory holds now, unless that is what is open already; whether it was
    /// something newer. On an error the index stays as it is.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn refresh(&mut self) -> Result<bool, IndexError> {
        if self.is_current()? {
            return Ok(false);
        }
        *self = Self::open_with(&self.dir, self.access)?;
        Ok(true)
    }

    /// The model bundle that made the descriptors.
    pub fn bundle_path(&self) -> PathBuf {
        self.dir.join(&self.manifest.bundle.file)
    }

    /// The function from scores to confidence that was fitted to this index.
    pub fn calibration(&self) -> Option<&Calibration> {
        self.manifest.calibration.as_ref()
    }

    /// Fingerprint of the model.
    pub fn fingerprint(&self) -> Fingerprint {
        self.manifest.fingerprint
    }

    /// Whether descriptors of this fingerprint can be compared with those of the index.
    ///
    /// # Errors
    /// [`IndexError::ForeignFingerprint`] when another model made them.
    pub fn check_fingerprint(&self, found: Fingerprint) -> Result<(), IndexError> {
        let expected = self.fingerprint();
        if found != expected {
            return Err(IndexError::ForeignFingerprint { expected, found });
        }
        Ok(())
    }

    /// Numbers in a descriptor.
    pub fn dim(&self) -> usize {
        self.manifest.dim
    }

    /// The directory that was opened.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    pub(super) fn segments(&self) -> &[Segment] {
        &self.segments
    }

    pub(super) fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    pub(super) fn manifest_mut(&mut self) -> &mut Manifest {
        &mut self.manifest
    }
}

impl std::fmt::Debug for Index {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Index")
            .field("dir", &self.dir)
            .field("manifest", &self.manifest)
            .finish()
    }
}

pub(super) fn check_length(dir: &Path, entry: &FileEntry) -> Result<(), IndexError> {
    let path = dir.join(&entry.file);
    let found = match fs::metadata(&path) {
        Ok(metadata) => metadata.len(),
        Err(source) => return Err(IndexError::Io { path, source }),
    };
    if found == entry.length {
        return Ok(());
    }
    Err(IndexError::Corrupt {
        path,
        what: "length".to_owned(),
        expected: format!("{} bytes", entry.length),
        found: found.to_string(),
    })
}

pub(super) fn check_digest(dir: &Path, entry: &FileEntry, found: String) -> Result<(), IndexError> {
    if found == entry.sha256 {
        return Ok(());
    }
    Err(IndexError::Corrupt {
        path: dir.join(&entry.file),
        what: "content".to_owned(),
        expected: format!("sha256 {}", entry.sha256),
        found,
    })
}

pub(super) fn digest_of_file(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hexadecimal(&hash.finalize())),
            count => hash.update(&buffer[..count]),
        }
    }
}

fn is_not_found(error: &IndexError) -> bool {
    let (IndexError::Io { source, .. } | IndexError::Segment(ContainerError::Io { source, .. })) =
        error
    else {
        return false;
    };
    source.kind() == io::ErrorKind::NotFound
}
