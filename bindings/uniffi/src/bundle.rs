//! The model: what makes a descriptor of a photo.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use pocketlens::backbone::RunOptions;
use pocketlens::bundle;
use pocketlens::cancel;
use pocketlens::embedder::Embedder;
use pocketlens::image::Photo;
use pocketlens::limits::Limits as CoreLimits;

use crate::{CancelToken, Frame, Limits, PocketlensError, Region, limits, query, task};

/// A model, ready to describe photos.
#[derive(uniffi::Object)]
pub struct Bundle {
    source: Source,
    limits: CoreLimits,
}

enum Source {
    /// Loaded when it is first used.
    File(Box<(bundle::Bundle, OnceLock<Embedder>)>),
    Lens(Arc<pocketlens::lens::Lens>),
}

/// What a bundle is.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct BundleInfo {
    /// Short name.
    pub name: String,
    /// Licence of the weights.
    pub licence: String,
    /// Where weights and training data come from.
    pub notes: String,
    /// Numbers in a descriptor.
    pub dim: u32,
    /// Hash of everything that decides a descriptor, in hexadecimal.
    pub fingerprint: String,
}

/// What a photo shows, as a unit vector: the same bits on every platform.
#[derive(Clone, Debug, PartialEq, uniffi::Record)]
pub struct Descriptor {
    /// Of the bundle that made it: only descriptors of one bundle can be compared.
    pub fingerprint: String,
    /// Its numbers.
    pub values: Vec<f32>,
}

#[uniffi::export]
impl Bundle {
    /// Opens a `.lens` file. Its structure is checked; see [`Bundle::verify`]. Photos keep the limits, or the default ones;
    /// time is a limit of a [`Lens`](crate::Lens) alone.
    ///
    /// # Errors
    /// [`PocketlensError::Storage`], [`PocketlensError::Damaged`] or [`PocketlensError::Incompatible`].
    #[uniffi::constructor(default(limits = None))]
    pub async fn open(path: String, limits: Option<Limits>) -> Result<Arc<Self>, PocketlensError> {
        task::run_whole(move || {
            let bundle = bundle::Bundle::open(PathBuf::from(path))?;
            Ok(Self::of_file(bundle, limits))
        })
        .await
    }

    /// The default bundle, where the library has it inside (feature `embedded`): for indexes that begin empty.
    ///
    /// # Errors
    /// [`PocketlensError::Incompatible`] where it does not.
    #[uniffi::constructor(default(limits = None))]
    pub fn standard(limits: Option<Limits>) -> Result<Arc<Self>, PocketlensError> {
        #[cfg(feature = "embedded")]
        return Ok(Self::of_file(bundle::Bundle::embedded()?, limits));
        #[cfg(not(feature = "embedded"))]
        {
            let _ = limits;
            Err(PocketlensError::Incompatible {
                reason:
                    "this library was built without a bundle inside; ship a .lens file and open it"
                        .to_owned(),
            })
        }
    }

    /// What it is.
    pub fn info(&self) -> BundleInfo {
        let bundle = self.bundle();
        let card = bundle.card();
        BundleInfo {
            name: card.name.clone(),
            licence: card.licence.clone(),
            notes: card.notes.clone(),
            dim: bundle.dim() as u32,
            fingerprint: bundle.fingerprint().to_string(),
        }
    }

    /// Checks every byte: once, after it was installed.
    ///
    /// # Errors
    /// [`PocketlensError::Damaged`] names the section.
    pub async fn verify(&self) -> Result<(), PocketlensError> {
        let bundle = self.bundle().clone();
        task::run_whole(move || Ok(bundle.verify()?)).await
    }

    /// Describes a frame.
    ///
    /// # Errors
    /// [`PocketlensError::Cancelled`].
    pub async fn describe(
        self: Arc<Self>,
        frame: Arc<Frame>,
        cancel: Option<Arc<CancelToken>>,
    ) -> Result<Descriptor, PocketlensError> {
        task::run(query::token(cancel), move |cancel| {
            self.describe_input(frame.input(), &cancel)
        })
        .await
    }

    /// Describes an encoded photo: JPEG, PNG or WebP.
    ///
    /// # Errors
    /// [`PocketlensError::BadInput`] when the bytes are no sound photo or the region is outside of it.
    pub async fn describe_photo(
        self: Arc<Self>,
        photo: Vec<u8>,
        region: Option<Region>,
        cancel: Option<Arc<CancelToken>>,
    ) -> Result<Descriptor, PocketlensError> {
        task::run(query::token(cancel), move |cancel| {
            let embedder = self.embedder()?;
            let region = region.map(Into::into);
            let region = region.as_ref();
            let photo = Photo::decode(&photo, region, embedder.sizing(), &self.limits.photo)?;
            self.describe_input(&embedder.photo_input(&photo, region)?, &cancel)
        })
        .await
    }
}

impl Bundle {
    fn of_file(bundle: bundle::Bundle, given: Option<Limits>) -> Arc<Self> {
        Arc::new(Self {
            source: Source::File(Box::new((bundle, OnceLock::new()))),
            limits: limits::of(given),
        })
    }

    pub(crate) fn of_lens(lens: Arc<pocketlens::lens::Lens>) -> Arc<Self> {
        Arc::new(Self {
            limits: *lens.limits(),
            source: Source::Lens(lens),
        })
    }

    pub(crate) fn limits(&self) -> &CoreLimits {
        &self.limits
    }

    pub(crate) fn bundle(&self) -> &bundle::Bundle {
        match &self.source {
            Source::File(file) => &file.0,
            Source::Lens(lens) => lens.embedder().bundle(),
        }
    }

    pub(crate) fn embedder(&self) -> Result<&Embedder, PocketlensError> {
        match &self.source {
            Source::Lens(lens) => Ok(lens.embedder()),
            Source::File(file) => {
                let (bundle, loaded) = &**file;
                match loaded.get() {
                    Some(embedder) => Ok(embedder),
                    None => {
                        let embedder = Embedder::new(bundle.clone())?;
                        Ok(loaded.get_or_init(|| embedder))
                    }
                }
            }
        }
    }

    fn describe_input(
        &self,
        input: &pocketlens::image::Pixels,
        cancel: &cancel::CancelToken,
    ) -> Result<Descriptor, PocketlensError> {
        let options = RunOptions {
            cancel: Some(cancel.flag()),
            max_bytes: self.limits.network_bytes,
            ..RunOptions::default()
        };
        let embedding = self.embedder()?.embed_input(input, &options)?;
        Ok(Descriptor {
            fingerprint: embedding.descriptor.fingerprint.to_string(),
            values: embedding.descriptor.values,
        })
    }
}
