//! Changing what a lens knows, on the device: photos in, items in the index.
//!
//! The same network describes what is added and what is asked, with local features where the index has them. What is
//! added becomes visible all at once.

use std::borrow::Cow;
use std::path::Path;

use serde_json::Value;

use super::{Lens, LensError};
use crate::attributes::{ItemAttributes, attributes};
use crate::backbone::RunOptions;
use crate::bundle::Bundle;
use crate::embedder::EmbedError;
#[cfg(feature = "codecs")]
use crate::image::Photo;
use crate::image::Pixels;
use crate::index::{IndexUpdate, IndexWriter, ItemPhoto};

/// A photo of an item that is to be found from now on.
#[derive(Clone, Copy, Debug)]
pub struct NewPhoto<'a> {
    /// Names the item. The first photo of a key replaces the item of that key, further ones add to it.
    pub key: &'a str,
    /// Items that answer as one; the key when absent.
    pub group: Option<&'a str>,
    /// A JSON object: what filters ask, and what comes back with a hit.
    pub payload: &'a Value,
}

/// Changes to the index of a lens: nothing is changed before [`LensUpdate::commit`].
///
/// ```no_run
/// use pocketlens::lens::{Lens, NewPhoto};
///
/// let lens = Lens::open("shop.plx")?;
/// let mut update = lens.update()?;
/// let payload = serde_json::json!({"price": 12});
/// let mug = NewPhoto { key: "mug", group: None, payload: &payload };
/// update.put_encoded(&mug, &std::fs::read("mug.jpg")?)?;
/// update.remove("vase")?;
/// let lens = update.commit()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct LensUpdate<'a> {
    lens: &'a Lens,
    update: IndexUpdate,
    items: ItemAttributes,
}

impl Lens {
    /// Makes an empty index of a bundle and opens it: the beginning of a catalogue that grows on the device. It has no
    /// calibration of its own; one that is built of a whole catalogue (`pocketlens index build`) has.
    ///
    /// # Errors
    /// [`LensError::Index`] when the directory holds something else or cannot be written.
    pub fn create(index: impl AsRef<Path>, bundle: &Bundle) -> Result<Self, LensError> {
        let index = index.as_ref();
        let (bytes, fingerprint) = (bundle.bytes(), bundle.fingerprint());
        IndexWriter::create(index, bytes, fingerprint, bundle.dim())?.finish()?;
        Self::open(index)
    }

    /// Begins to change the index; others may read it meanwhile, but not change it.
    ///
    /// # Errors
    /// [`IndexError::Busy`](crate::index::IndexError::Busy) while another writer has the index, and
    /// [`IndexError::ForeignFingerprint`](crate::index::IndexError::ForeignFingerprint) when it was replaced by one of
    /// another model since it was opened: see [`Lens::reopened`].
    pub fn update(&self) -> Result<LensUpdate<'_>, LensError> {
        let update = IndexUpdate::open(self.index.dir())?;
        update
            .index()
            .check_fingerprint(self.embedder.bundle().fingerprint())?;
        Ok(LensUpdate {
            lens: self,
            update,
            items: ItemAttributes::default(),
        })
    }
}

impl LensUpdate<'_> {
    /// Describes an encoded photo (JPEG, PNG or WebP) and adds it.
    ///
    /// # Errors
    /// [`LensError::Image`] when the bytes are no sound photo; else as [`LensUpdate::put`].
    #[cfg(feature = "codecs")]
    pub fn put_encoded(&mut self, photo: &NewPhoto<'_>, bytes: &[u8]) -> Result<(), LensError> {
        let sizing = self.lens.embedder.sizing();
        let decoded = Photo::decode(bytes, None, sizing, &self.lens.limits.photo)?;
        let input = self.lens.embedder.photo_input(&decoded, None)?;
        self.put_input(photo, &input)
    }

    /// Describes an upright picture in memory and adds it.
    ///
    /// # Errors
    /// [`LensError::Index`], which names the key, when key, group or payload break a rule; nothing was added then.
    pub fn put(&mut self, photo: &NewPhoto<'_>, pixels: &Pixels) -> Result<(), LensError> {
        let input = self.lens.embedder.input(pixels, None)?;
        self.put_input(photo, &input)
    }

    fn put_input(&mut self, photo: &NewPhoto<'_>, input: &Pixels) -> Result<(), LensError> {
        let embedder = &self.lens.embedder;
        let run = RunOptions {
            max_bytes: self.lens.limits.network_bytes,
            ..RunOptions::default()
        };
        let (embedding, maps) = embedder.look(input, &run)?;
        let mut payload = Cow::Borrowed(photo.payload);
        let mut said = None;
        if self.update.index().info().attributes {
            let heads = &embedder.bundle().spec().heads.attributes;
            let told = attributes(heads, &embedder.maps(&maps)).map_err(EmbedError::from)?;
            payload = Cow::Owned(self.items.payload(photo.key, photo.payload, heads, &told));
            said = Some(told);
        }
        self.update.put(&ItemPhoto {
            key: photo.key,
            group: photo.group,
            payload: &payload,
            vector: &embedding.descriptor.values,
        })?;
        // Not of a photo that was refused.
        if let Some(said) = said {
            self.items.keep(photo.key, said);
        }
        if self.update.index().has_local_features()
            && let Some(local) = embedder.local_features(&maps)
        {
            self.update.put_local(photo.key, &local)?;
        }
        Ok(())
    }

    /// Removes an item; whether it was there.
    ///
    /// # Errors
    /// [`LensError::Index`] when damage is met.
    pub fn remove(&mut self, key: &str) -> Result<bool, LensError> {
        self.items.forget(key);
        Ok(self.update.remove(key)?)
    }

    /// Makes the changes visible and opens the index with them. On failure the index is as it was.
    ///
    /// # Errors
    /// [`LensError::Index`].
    pub fn commit(self) -> Result<Lens, LensError> {
        self.lens.with_index(self.update.commit()?)
    }
}
