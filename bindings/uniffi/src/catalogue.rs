//! An index of a whole catalogue, with its calibration: for pipelines, not for phones.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use pocketlens::build;
use pocketlens::rerank::Augmentation;

use crate::{Bundle, PocketlensError, Value, observer, task, value};

/// A photo of a catalogue.
#[derive(Clone, Debug, PartialEq, uniffi::Record)]
pub struct CatalogueEntry {
    /// The photo's file: JPEG, PNG or WebP.
    pub image: String,
    /// Names the item. Entries with one key are photos of one item.
    pub key: String,
    /// Items that answer as one; the key when absent.
    #[uniffi(default = None)]
    pub group: Option<String>,
    /// What filters ask, and what comes back with a hit.
    #[uniffi(default)]
    pub payload: HashMap<String, Value>,
}

/// How an index is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Record)]
pub struct BuildOptions {
    /// Store what each photo shows where, for a second look: 4 KB a photo.
    #[uniffi(default = false)]
    pub local_features: bool,
    /// Queries that verdicts are calibrated on; 0 leaves them at their prior.
    #[uniffi(default = 480)]
    pub calibration_queries: u32,
    /// Nearest photos of the catalogue that each photo's vector is moved towards, 1 to 1,000, of which 10 are usual; none
    /// when absent. Gains where things have as many photos and more, loses where they have one. Items that are added later
    /// are not moved. Memory for all vectors twice, and time that grows with the square of the photos.
    #[uniffi(default = None)]
    pub augment: Option<u32>,
    /// Whether this is a part of a catalogue, to be merged with the others.
    #[uniffi(default = false)]
    pub is_shard: bool,
}

/// What was built.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct BuildReport {
    /// Photos in the index.
    pub photos: u64,
    /// Photos that were left out.
    pub refused: Vec<Refused>,
    /// Whether verdicts are calibrated on this catalogue.
    pub calibrated: bool,
}

/// A photo that was left out.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct Refused {
    /// Its file.
    pub image: String,
    /// What was wrong with it.
    pub reason: String,
}

/// Hears how far a build is, on the library's threads.
#[uniffi::export(with_foreign)]
pub trait BuildListener: Send + Sync {
    /// So many photos are described.
    fn described(&self, photos: u64);
}

/// Builds the index directory `out`, on every core; one that stands there is replaced when the new one is whole.
///
/// # Errors
/// [`PocketlensError::BadInput`] when no photo can be read, an item breaks a rule or a shard is to be augmented; single photos that cannot be read
/// are in the report instead.
#[uniffi::export]
pub async fn build_index(
    out: String,
    bundle: Arc<Bundle>,
    entries: Vec<CatalogueEntry>,
    options: BuildOptions,
    listener: Option<Arc<dyn BuildListener>>,
) -> Result<BuildReport, PocketlensError> {
    task::run_whole(move || {
        let entries = entries.into_iter().map(|entry| {
            Ok(build::Entry {
                image: PathBuf::from(entry.image),
                key: entry.key,
                group: entry.group,
                payload: value::payload(entry.payload)?,
            })
        });
        let entries = entries.collect::<Result<Vec<_>, PocketlensError>>()?;
        let options = build::BuildOptions {
            local_features: options.local_features,
            calibration_queries: options.calibration_queries as usize,
            is_shard: options.is_shard,
            augment: options.augment.map(|neighbours| Augmentation {
                neighbours,
                ..Augmentation::default()
            }),
            limits: bundle.limits().photo,
            ..build::BuildOptions::default()
        };
        let total = AtomicU64::new(0);
        let progress = |done: usize| {
            let total = total.fetch_add(done as u64, Ordering::Relaxed) + done as u64;
            if let Some(listener) = &listener {
                observer::guarded(|| listener.described(total));
            }
        };
        let out = PathBuf::from(out);
        let report = build::build_index(&out, bundle.embedder()?, &entries, &options, &progress)?;
        Ok(BuildReport {
            photos: report.photos as u64,
            refused: report
                .failed
                .into_iter()
                .map(|(image, reason)| Refused {
                    image: image.display().to_string(),
                    reason,
                })
                .collect(),
            calibrated: report.calibrated.is_ok(),
        })
    })
    .await
}
