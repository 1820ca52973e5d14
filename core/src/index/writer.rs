//! Building an index. Nothing is written before [`IndexWriter::finish`]; then come the bundle and
//! the segments, named by their content, and at last the manifest, whose rename is the moment in
//! which the index exists or is replaced.

use std::path::{Path, PathBuf};

use super::directory::{NewFiles, SEGMENT_ROWS, check_free, forget_previous};
use super::items::{ItemPhoto, Items, shorten};
use super::lock::WriterLock;
use super::manifest::Manifest;
use super::segment_writer::SegmentForm;
use super::storage::{Disk, Storage};
use super::{Index, IndexError, MAX_DIM, Schema, VectorFault};
use crate::descriptor::LocalFeatures;
use crate::fingerprint::Fingerprint;
use crate::rerank::Augmentation;
use crate::verdict::Calibration;

/// Collects photos and writes them as an index.
///
/// Equal photos give equal files, in whatever order they are pushed. Only one writer may change a
/// directory at a time ([`IndexError::Busy`]); readers may come and go.
#[derive(Debug)]
pub struct IndexWriter {
    dir: PathBuf,
    bundle: Vec<u8>,
    fingerprint: Fingerprint,
    dim: usize,
    items: Items,
    calibration: Option<Calibration>,
    augmented: Option<Augmentation>,
    attributes: bool,
    columns: Schema,
    segment_rows: u32,
    is_shard: bool,
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
            augmented: None,
            attributes: false,
            columns: Schema::default(),
            segment_rows: SEGMENT_ROWS,
            is_shard: false,
        })
    }

    /// Writes a shard: rows keep all bits, so that [`merge`](super::merge) gives the bytes of one build. It can be
    /// searched, but only by scanning all rows.
    pub fn as_shard(self) -> Self {
        Self {
            is_shard: true,
            ..self
        }
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

    /// Adds local features of a photo of an item that was pushed, for [`crate::rerank`].
    ///
    /// # Errors
    /// [`IndexError::BadItem`] when no photo of that key was pushed.
    pub fn push_local(&mut self, key: &str, local: &LocalFeatures) -> Result<(), IndexError> {
        self.items.push_local(key, local)
    }

    /// Demands kinds of columns instead of having them inferred, of items pushed from now on.
    pub fn set_columns(&mut self, columns: Schema) {
        self.columns = columns;
    }

    /// Stores the function from scores to confidence with the index.
    pub fn set_calibration(&mut self, calibration: Calibration) {
        self.calibration = Some(calibration);
    }

    /// Says with the index that the vectors which are pushed were moved towards their neighbours.
    pub fn set_augmentation(&mut self, augmentation: Augmentation) {
        self.augmented = Some(augmentation);
    }

    /// Says with the index that payloads tell what the bundle's heads say, so that those of items that are added later do.
    pub fn set_attributes(&mut self, attributes: bool) {
        self.attributes = attributes;
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
        self.finish_on(&Disk, calibrate)
    }

    pub(super) fn finish_on<E: From<IndexError>>(
        self,
        storage: &dyn Storage,
        calibrate: impl FnOnce(&Index) -> Result<Option<Calibration>, E>,
    ) -> Result<Index, E> {
        check_free(&self.dir)?;
        // Declared before the files, so that these are tidied up under the lock.
        let _lock;
        let mut files = NewFiles::begin(storage, &self.dir)?;
        _lock = WriterLock::take(&self.dir)?;
        let bundle = files.write("bundle-", &self.bundle, ".lens")?;
        let items = self.items.into_sorted();
        let form = SegmentForm {
            fingerprint: self.fingerprint,
            dim: self.dim,
            columns: &self.columns,
            lists: !self.is_shard,
        };
        let segments = files.write_segments(&form, &items, self.segment_rows)?;
        let mut manifest = Manifest::new(self.fingerprint, self.dim, bundle, segments);
        manifest.calibration = self.calibration;
        manifest.augmented = self.augmented;
        manifest.attributes = self.attributes;
        manifest.columns = self.columns;

        let mut index = Index::of_manifest(&self.dir, manifest)?;
        if let Some(calibration) = calibrate(&index)? {
            index.manifest_mut().calibration = Some(calibration);
        }
        // A new build is no update: there is nothing to roll back to.
        forget_previous(storage, &self.dir)?;
        files.publish(index.manifest())?;
        Ok(index)
    }
}
