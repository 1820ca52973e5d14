//! Building an index. Nothing is written before [`IndexWriter::finish`]; then come the bundle and
//! the segments, named by their content, and at last the manifest, whose rename is the moment in
//! which the index exists or is replaced.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use super::items::{Item, ItemPhoto, Items, shorten};
use super::manifest::{FileEntry, Manifest, SegmentEntry, sha256};
use super::{Index, IndexError, MAX_DIM, Schema, VectorFault, columns, segment_writer};
use crate::container::write_atomically;
use crate::fingerprint::Fingerprint;
use crate::verdict::Calibration;

/// Most photos a segment file: 256 MiB of rows at 256 dimensions, which a 32-bit phone can map.
const SEGMENT_ROWS: u32 = 1 << 20;

/// Collects photos and writes them as an index.
///
/// Equal photos give equal files, in whatever order they are pushed. Only one writer may work on a
/// directory at a time; readers may come and go.
#[derive(Debug)]
pub struct IndexWriter {
    dir: PathBuf,
    bundle: Vec<u8>,
    fingerprint: Fingerprint,
    dim: usize,
    items: Items,
    calibration: Option<Calibration>,
    columns: Schema,
    segment_rows: u32,
}

impl IndexWriter {
    /// Starts an index at `dir`, which does not exist, is empty, or holds an index that is to be
    /// replaced (by [`Self::finish`], not before). `bundle` is the file of the model with this
    /// `fingerprint`, whose descriptors have `dim` numbers.
    ///
    /// # Errors
    /// [`IndexError::Occupied`] when something else is at `dir`.
    pub fn create(
        dir: &Path,
        bundle: &[u8],
        fingerprint: Fingerprint,
        dim: usize,
    ) -> Result<Self, IndexError> {
        if !(1..=MAX_DIM).contains(&dim) {
            let fault = VectorFault::Width {
                limit: MAX_DIM,
                found: dim,
            };
            return Err(IndexError::BadVector {
                of: "the index".to_owned(),
                fault,
            });
        }
        check_free(dir)?;
        Ok(Self {
            dir: dir.to_owned(),
            bundle: bundle.to_owned(),
            fingerprint,
            dim,
            items: Items::new(dim),
            calibration: None,
            columns: Schema::default(),
            segment_rows: SEGMENT_ROWS,
        })
    }

    /// Splits the index into segment files of at most this many photos (an item is never split).
    pub fn with_segment_rows(self, segment_rows: u32) -> Self {
        Self {
            segment_rows,
            ..self
        }
    }

    /// Adds a photo of an item. On an error the photo is left out and the writer is as before.
    ///
    /// # Errors
    /// [`IndexError::BadItem`] and [`IndexError::BadVector`], which name the key.
    pub fn push(&mut self, photo: &ItemPhoto<'_>) -> Result<(), IndexError> {
        if let Err(fault) = self.columns.check(photo.payload) {
            return Err(IndexError::BadItem {
                key: shorten(photo.key),
                fault,
            });
        }
        self.items.push(photo)
    }

    /// Demands kinds of columns instead of having them inferred, of items pushed from now on.
    pub fn set_columns(&mut self, columns: Schema) {
        self.columns = columns;
    }

    /// Stores the function from scores to confidence with the index.
    pub fn set_calibration(&mut self, calibration: Calibration) {
        self.calibration = Some(calibration);
    }

    /// Writes the index and opens it. On failure an index that was to be replaced is as it was.
    pub fn finish(self) -> Result<Index, IndexError> {
        self.finish_with(|_| Ok(None))
    }

    /// As [`Self::finish`], but `calibrate` sees the complete index before anybody else does: what
    /// it returns is stored with it, an error of it is a failed build.
    pub fn finish_with<E: From<IndexError>>(
        self,
        calibrate: impl FnOnce(&Index) -> Result<Option<Calibration>, E>,
    ) -> Result<Index, E> {
        check_free(&self.dir)?;
        let mut files = NewFiles::begin(&self.dir)?;
        let bundle = files.write("bundle-", &self.bundle, ".lens")?;
        let items = self.items.into_sorted();
        let mut segments = Vec::new();
        for items in split(&items, self.segment_rows) {
            let mut segment = segment_writer::segment(self.fingerprint, self.dim, items);
            columns::add_to(&mut segment, items, &self.columns);
            let bytes = segment.to_bytes();
            segments.push(SegmentEntry {
                file: files.write("segment-", &bytes, ".seg")?,
                items: items.len() as u32,
                rows: items.iter().map(|(_, item)| item.photos.len() as u32).sum(),
            });
        }
        let mut manifest = Manifest::new(self.fingerprint, self.dim, bundle, segments);
        manifest.calibration = self.calibration;
        manifest.columns = self.columns;

        let mut index = Index::of_manifest(&self.dir, manifest)?;
        if let Some(calibration) = calibrate(&index)? {
            index.manifest_mut().calibration = Some(calibration);
        }
        index.manifest().publish(&self.dir)?;
        files.keep();
        remove_unnamed(&self.dir, index.manifest());
        Ok(index)
    }
}

/// Cuts sorted items where a segment would get more than `limit` rows.
fn split(items: &[(String, Item)], limit: u32) -> impl Iterator<Item = &[(String, Item)]> {
    let mut rest = items;
    std::iter::from_fn(move || {
        let mut rows = 0;
        let fits = |(_, item): &&(String, Item)| {
            rows += item.photos.len();
            rows <= limit as usize
        };
        let count = rest.iter().take_while(fits).count().max(1).min(rest.len());
        let (segment, others) = rest.split_at(count);
        rest = others;
        (!segment.is_empty()).then_some(segment)
    })
}

/// The files of a build. Dropped before [`Self::keep`], they are removed again.
struct NewFiles<'a> {
    dir: &'a Path,
    made_dir: bool,
    written: Vec<PathBuf>,
}

impl<'a> NewFiles<'a> {
    fn begin(dir: &'a Path) -> Result<Self, IndexError> {
        let made_dir = !dir.exists();
        fs::create_dir_all(dir).map_err(|source| IndexError::Io {
            path: dir.to_owned(),
            source,
        })?;
        Ok(Self {
            dir,
            made_dir,
            written: Vec::new(),
        })
    }

    /// Writes an immutable file under a name made of its content.
    fn write(&mut self, prefix: &str, bytes: &[u8], suffix: &str) -> Result<FileEntry, IndexError> {
        let sha256 = sha256(bytes);
        let file = format!("{prefix}{}{suffix}", &sha256[..16]);
        let path = self.dir.join(&file);
        if !path.exists() {
            self.written.push(path.clone());
        }
        write_atomically(&path, |out| out.write_all(bytes))
            .map_err(|source| IndexError::Io { path, source })?;
        Ok(FileEntry {
            file,
            length: bytes.len() as u64,
            sha256,
        })
    }

    fn keep(&mut self) {
        self.written.clear();
        self.made_dir = false;
    }
}

impl Drop for NewFiles<'_> {
    fn drop(&mut self) {
        // Best effort: the build has failed already, and its error is the one to report.
        for path in &self.written {
            let _ = fs::remove_file(path);
        }
        if self.made_dir {
            let _ = fs::remove_dir(self.dir);
        }
    }
}

/// Refuses a directory that holds anything but an index, or the remains of a build.
fn check_free(dir: &Path) -> Result<(), IndexError> {
    let io_error = |source| IndexError::Io {
        path: dir.to_owned(),
        source,
    };
    let occupied = |found: String| {
        Err(IndexError::Occupied {
            path: dir.to_owned(),
            found,
        })
    };
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            return occupied("a file".to_owned());
        }
        Err(error) => return Err(io_error(error)),
    };
    if has_manifest(dir).map_err(io_error)? {
        return Ok(());
    }
    for entry in entries {
        let name = entry.map_err(io_error)?.file_name();
        if !name.to_str().is_some_and(is_made_by_us) {
            return occupied(format!("{name:?}"));
        }
    }
    Ok(())
}

fn has_manifest(dir: &Path) -> io::Result<bool> {
    let mut first_bytes = Vec::new();
    match File::open(Manifest::path(dir)) {
        Ok(file) => file.take(64).read_to_end(&mut first_bytes)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    Ok(Manifest::is_ours(&first_bytes))
}

/// Names that only a build gives: immutable files, and temporary ones that a killed build left.
fn is_made_by_us(name: &str) -> bool {
    let temporary = name
        .strip_prefix('.')
        .and_then(|name| name.strip_suffix(".tmp"));
    match temporary.and_then(|name| name.rsplit_once('.')) {
        Some((final_name, _count)) => {
            is_immutable(final_name) || Manifest::path(Path::new("")) == Path::new(final_name)
        }
        None => is_immutable(name),
    }
}

fn is_immutable(name: &str) -> bool {
    [("segment-", ".seg"), ("bundle-", ".lens")]
        .into_iter()
        .any(|(prefix, suffix)| {
            let digest = name
                .strip_prefix(prefix)
                .and_then(|rest| rest.strip_suffix(suffix));
            digest.is_some_and(|hex| hex.len() == 16 && hex.bytes().all(|b| b.is_ascii_hexdigit()))
        })
}

/// Removes what earlier manifests named and this one does not. Readers that have it mapped keep it;
/// what cannot be removed now is removed by the next build.
fn remove_unnamed(dir: &Path, manifest: &Manifest) {
    let Ok(entries) = fs::read_dir(dir) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        if is_made_by_us(name) && manifest.files().all(|entry| entry.file != name) {
            let _ = fs::remove_file(entry.path());
        }
    }
}
