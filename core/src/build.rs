//! Catalogue to index: photos are decoded and described on every core, written in order, and the
//! verdict is calibrated on the catalogue itself (`build/calibration.rs`). Where it is wanted, vectors are moved towards
//! their neighbours before they are written (`build/augmentation.rs`).
//!
//! A photo that cannot be read is reported by name and the rest is indexed.

mod augmentation;
mod calibration;

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use augmentation::{DescribedPhoto, Moved};
use rayon::prelude::*;
use serde_json::Value;

use crate::attributes::{ItemAttributes, attributes};
use crate::backbone::{BackboneError, FeatureMap, RunOptions};
use crate::descriptor::Descriptor;
use crate::embedder::{EmbedError, Embedder};
use crate::image::{ImageError, Limits, Photo};
use crate::index::{IndexError, IndexUpdate, IndexWriter, Schema};
use crate::rerank::Augmentation;
use crate::verdict::{Calibration, VerdictError};

/// Photos in flight at a time; bounds memory, since a decoded photo takes up to 150 MB.
const BATCH: usize = 64;

/// A photo of a catalogue.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The photo's file: JPEG, PNG or WebP.
    pub image: PathBuf,
    /// The item's name. Entries with one key are photos of one item.
    pub key: String,
    /// Items that answer as one; the item alone when absent.
    pub group: Option<String>,
    /// What the hit carries back to the app.
    pub payload: Value,
}

/// How an index is built.
#[derive(Clone, Debug)]
pub struct BuildOptions {
    /// What a photo may cost.
    pub limits: Limits,
    /// Queries that the verdict is calibrated on, half of them for what is in the catalogue and half
    /// for what is not; 0 leaves the verdict at its prior.
    pub calibration_queries: usize,
    /// Whether the items of a group are things of their own (a product's variants), so that only the photos of one
    /// item show the same; else those of a group do (a landmark's). The verdict is calibrated on photos of the same.
    pub groups_of_variants: bool,
    /// Whether this is a part of a catalogue, to be merged with the others; see [`IndexWriter::as_shard`].
    pub is_shard: bool,
    /// Whether the local features of each photo are stored too, which [`Rerank`](crate::rerank::Rerank) needs: some
    /// 4 KB a photo.
    pub local_features: bool,
    /// Whether payloads tell what the bundle's heads say of each item's first photo, a field a head, where the catalogue
    /// does not: filters can ask for it, and hits bring it back.
    pub attributes: bool,
    /// How far each photo's vector is moved towards its nearest of the whole catalogue; they stay as the model gives them
    /// when absent. Memory for all vectors twice, time that grows with the square of the photos: for some ten thousand.
    pub augment: Option<Augmentation>,
    /// Seed of the capture simulator.
    pub seed: u64,
    /// Kinds of columns that are demanded instead of inferred.
    pub columns: Schema,
}

impl Default for BuildOptions {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            calibration_queries: 480,
            groups_of_variants: false,
            is_shard: false,
            local_features: false,
            attributes: false,
            augment: None,
            seed: 1,
            columns: Schema::default(),
        }
    }
}

/// What was built.
#[derive(Debug)]
pub struct BuildReport {
    /// Photos in the index.
    pub photos: usize,
    /// Photos that were left out, with the reason.
    pub failed: Vec<(PathBuf, String)>,
    /// Whether the verdict is calibrated, or why it is not.
    pub calibrated: Result<Calibration, VerdictError>,
}

/// Why no index was built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The index cannot be written, or the catalogue contradicts itself.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// The network does not run.
    #[error(transparent)]
    Backbone(#[from] BackboneError),
    /// The bundle's parts do not belong together.
    #[error(transparent)]
    Embed(#[from] EmbedError),
    /// There is nobody to say attributes.
    #[error(
        "the bundle has no heads that say attributes; give it some (`pocketlens fit --heads FILE`), or build without them"
    )]
    NoAttributes,
    /// A part of a catalogue does not hold the neighbours that the whole has.
    #[error(
        "a part of a catalogue cannot be augmented: the nearest neighbours of its photos are in the other parts too; build \
         the whole catalogue in one go, or the parts without augmentation"
    )]
    AugmentedShard,
    /// Nothing is left to index.
    #[error("none of the {count} photos could be read; the first: {first}")]
    NoPhotos {
        /// Photos tried.
        count: usize,
        /// What was wrong with the first.
        first: String,
    },
}

/// Describes one photo file.
///
/// # Errors
/// [`EmbedError`], with the file's name where the file is at fault.
pub fn embed_file(
    embedder: &Embedder,
    photo: &Path,
    limits: &Limits,
) -> Result<Descriptor, EmbedError> {
    Ok(look_at_file(embedder, photo, limits)?.0)
}

/// [`embed_file`], and the maps that were described.
///
/// # Errors
/// As [`embed_file`].
pub fn look_at_file(
    embedder: &Embedder,
    photo: &Path,
    limits: &Limits,
) -> Result<(Descriptor, Vec<FeatureMap>), EmbedError> {
    let photo = Photo::read(photo, None, embedder.sizing(), limits)?;
    let input = embedder.photo_input(&photo, None)?;
    let (embedding, maps) = embedder.look(&input, &RunOptions::default())?;
    Ok((embedding.descriptor, maps))
}

/// Builds the index directory `out` from `entries`. `progress` is told the photos done; an index
/// that stands there already is replaced when the new one is whole.
///
/// # Errors
/// [`BuildError`]; single photos that fail are listed in the report instead.
pub fn build_index(
    out: &Path,
    embedder: &Embedder,
    entries: &[Entry],
    options: &BuildOptions,
    progress: &(dyn Fn(usize) + Sync),
) -> Result<BuildReport, BuildError> {
    if options.is_shard && options.augment.is_some() {
        return Err(BuildError::AugmentedShard);
    }
    let bundle = embedder.bundle();
    if options.attributes && bundle.spec().heads.attributes.is_empty() {
        return Err(BuildError::NoAttributes);
    }
    let mut writer = IndexWriter::create(out, bundle.bytes(), bundle.fingerprint(), bundle.dim())?;
    writer.set_columns(options.columns.clone());
    writer.set_attributes(options.attributes);
    // What is to be moved towards its neighbours waits until all are there.
    let mut held = Vec::new();
    let put = |photo| match options.augment {
        None => DescribedPhoto::write(&photo, &photo.vector, &mut writer),
        Some(_) => {
            held.push(photo);
            Ok(())
        }
    };
    let wanted = Wanted {
        limits: &options.limits,
        local_features: options.local_features,
        attributes: options.attributes,
    };
    let (indexed, failed) = describe(embedder, entries, &wanted, progress, put)?;
    let moved = options
        .augment
        .map(|augmentation| Moved::of(held, augmentation));
    if let Some(moved) = &moved {
        moved.write(&mut writer)?;
    }
    if options.is_shard {
        writer = writer.as_shard();
    }
    let mut calibrated = None;
    writer.finish_with(|index| -> Result<Option<Calibration>, BuildError> {
        let asked = calibration::Asked {
            index,
            moved: moved.as_ref(),
        };
        let observed = calibration::observe(&asked, embedder, &indexed, options)?;
        let fitted = Calibration::fit(&observed);
        let calibration = fitted.as_ref().ok().cloned();
        calibrated = Some(fitted);
        Ok(calibration)
    })?;
    let calibrated = calibrated.expect("asked for before the index is published");
    Ok(BuildReport {
        photos: indexed.len(),
        failed,
        calibrated,
    })
}

/// Adds entries to the index at `dir`, which `embedder`'s bundle made: items with new keys are added, those with known
/// keys replaced, in one commit. The calibration stays as it is, and vectors are as the model gives them in an index with
/// [`BuildOptions::augment`], too.
///
/// # Errors
/// As [`build_index`].
pub fn add_to_index(
    dir: &Path,
    embedder: &Embedder,
    entries: &[Entry],
    limits: &Limits,
    progress: &(dyn Fn(usize) + Sync),
) -> Result<AddReport, BuildError> {
    let mut update = IndexUpdate::open(dir)?;
    update
        .index()
        .check_fingerprint(embedder.bundle().fingerprint())?;
    let wanted = Wanted {
        limits,
        local_features: update.index().has_local_features(),
        attributes: update.index().info().attributes,
    };
    let put = |photo: DescribedPhoto<'_>| {
        update.put(&photo.with(&photo.vector))?;
        let local = photo.local.as_ref();
        local.map_or(Ok(()), |local| update.put_local(&photo.entry.key, local))
    };
    let (added, failed) = describe(embedder, entries, &wanted, progress, put)?;
    let photos = added.len();
    let items = update.commit()?.info().items;
    Ok(AddReport {
        photos,
        items,
        failed,
    })
}

/// What was added to an index.
#[derive(Debug)]
pub struct AddReport {
    /// Photos that were added.
    pub photos: usize,
    /// Items of the index now.
    pub items: u64,
    /// Photos that were left out, with the reason.
    pub failed: Vec<(PathBuf, String)>,
}

/// What is wanted of photos besides their descriptors.
struct Wanted<'a> {
    limits: &'a Limits,
    local_features: bool,
    attributes: bool,
}

type Described<'a> = (Vec<&'a Entry>, Vec<(PathBuf, String)>);

/// Hands over the described photos in the order of the entries; gives those that could be read and the others with the
/// reason.
fn describe<'a>(
    embedder: &Embedder,
    entries: &'a [Entry],
    wanted: &Wanted<'_>,
    progress: &(dyn Fn(usize) + Sync),
    mut put: impl FnMut(DescribedPhoto<'a>) -> Result<(), IndexError>,
) -> Result<Described<'a>, BuildError> {
    let mut failed = Vec::new();
    let mut indexed = Vec::new();
    let heads = &embedder.bundle().spec().heads.attributes;
    let mut items = ItemAttributes::default();
    for batch in entries.chunks(BATCH) {
        let described: Vec<_> = batch
            .par_iter()
            .map(|entry| {
                let seen = look_at_file(embedder, &entry.image, wanted.limits);
                progress(1);
                let (descriptor, maps) = seen?;
                let local = wanted
                    .local_features
                    .then(|| embedder.local_features(&maps));
                let said = wanted
                    .attributes
                    .then(|| attributes(heads, &embedder.maps(&maps)));
                Ok((descriptor, local.flatten(), said.transpose()?))
            })
            .collect();
        for (entry, descriptor) in batch.iter().zip(described) {
            match descriptor {
                Ok((descriptor, local, said)) => {
                    let payload = match said {
                        Some(said) => {
                            let payload = items.payload(&entry.key, &entry.payload, heads, &said);
                            items.keep(&entry.key, said);
                            Cow::Owned(payload)
                        }
                        None => Cow::Borrowed(&entry.payload),
                    };
                    put(DescribedPhoto {
                        entry,
                        payload,
                        vector: descriptor.values,
                        local,
                    })?;
                    indexed.push(entry);
                }
                Err(error @ EmbedError::Image(_)) => {
                    failed.push((entry.image.clone(), error.to_string()));
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
    if indexed.is_empty() {
        let first = failed
            .first()
            .map(|(_, reason)| reason.clone())
            .unwrap_or_default();
        return Err(BuildError::NoPhotos {
            count: entries.len(),
            first,
        });
    }
    Ok((indexed, failed))
}

fn group_of(entry: &Entry) -> &str {
    entry.group.as_deref().unwrap_or(&entry.key)
}

impl From<ImageError> for BuildError {
    fn from(error: ImageError) -> Self {
        Self::Embed(error.into())
    }
}
