//! The catalogue: what it holds, whether it is sound, and how it is kept up to date.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use pocketlens::index::{self, CompactionOptions, PublicKey};

use crate::{PocketlensError, Value, task, value};

/// A catalogue on disk, as it was when it was opened.
#[derive(uniffi::Object)]
pub struct Index {
    index: Arc<index::Index>,
}

/// What an index holds.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct IndexInfo {
    /// Things that can be found.
    pub items: u64,
    /// Photos of them.
    pub photos: u64,
    /// Numbers in a descriptor.
    pub dim: u32,
    /// Bytes on disk, without the bundle.
    pub bytes: u64,
    /// Of the bundle that made it, in hexadecimal.
    pub fingerprint: String,
    /// Whether verdicts are calibrated on this catalogue.
    pub calibrated: bool,
    /// Whether it can be given a second look.
    pub local_features: bool,
    /// Nearest photos that each vector was moved towards when the index was built, where it was.
    pub augmented: Option<u32>,
}

/// An item as it is stored.
#[derive(Clone, Debug, PartialEq, uniffi::Record)]
pub struct Item {
    /// Names it.
    pub key: String,
    /// The group that it belongs to; its own key where none was given.
    pub group: String,
    /// What was indexed with it.
    pub payload: HashMap<String, Value>,
}

#[uniffi::export]
impl Index {
    /// Opens an index without its model: to look, to verify, to update.
    ///
    /// # Errors
    /// [`PocketlensError::Storage`], [`PocketlensError::Damaged`] or [`PocketlensError::Incompatible`].
    #[uniffi::constructor]
    pub async fn open(path: String) -> Result<Arc<Self>, PocketlensError> {
        task::run_whole(|| {
            let index = index::Index::open(&PathBuf::from(path))?;
            Ok(Arc::new(index.into()))
        })
        .await
    }

    /// What it holds.
    pub fn info(&self) -> IndexInfo {
        IndexInfo::of(&self.index)
    }

    /// At most `limit` items in the order of their keys, beginning behind the key `after`.
    ///
    /// # Errors
    /// [`PocketlensError::Damaged`].
    pub async fn items(
        &self,
        after: Option<String>,
        limit: u32,
    ) -> Result<Vec<Item>, PocketlensError> {
        let index = self.index.clone();
        task::run_whole(move || {
            let items = index.items(after.as_deref(), limit as usize)?.into_iter();
            let items = items.map(|item| Item {
                key: item.key,
                group: item.group,
                payload: value::members(item.payload),
            });
            Ok(items.collect())
        })
        .await
    }

    /// Reads every byte and checks it: once, after it was installed.
    ///
    /// # Errors
    /// [`PocketlensError::Damaged`] names the file and the place.
    pub async fn verify(&self) -> Result<(), PocketlensError> {
        let index = self.index.clone();
        task::run_whole(move || {
            index.verify()?;
            Ok(())
        })
        .await
    }
}

/// Turns the index at `path` into the one that a pack leads to; a full pack also makes one where there is none. With a
/// `key`, of 64 hexadecimal digits, only a pack signed with its other half is applied. What is open stays as it is: see
/// [`Lens::reload`](crate::Lens::reload).
///
/// # Errors
/// [`PocketlensError::Damaged`] for a pack that is damaged or not signed by the key, [`PocketlensError::Incompatible`]
/// for one of another index; the index is then as it was.
#[uniffi::export]
pub async fn apply_pack(
    path: String,
    pack: String,
    key: Option<String>,
) -> Result<Arc<Index>, PocketlensError> {
    task::run_whole(move || {
        let key = key.as_deref().map(public_key).transpose()?;
        let (path, pack) = (PathBuf::from(path), PathBuf::from(pack));
        let index = index::apply(&path, &pack, key.as_ref())?;
        Ok(Arc::new(index.into()))
    })
    .await
}

/// The index from before the last pack, again.
///
/// # Errors
/// [`PocketlensError::BadInput`] when there is none.
#[uniffi::export]
pub async fn roll_back(path: String) -> Result<Arc<Index>, PocketlensError> {
    task::run_whole(move || {
        let index = index::rollback(&PathBuf::from(path))?;
        Ok(Arc::new(index.into()))
    })
    .await
}

/// Takes small parts of an index together and drops what was removed, within so many megabytes of memory: when the
/// phone is idle.
///
/// # Errors
/// [`PocketlensError::Storage`] while another writer has the index.
#[uniffi::export]
pub async fn compact(path: String, megabytes: u32) -> Result<(), PocketlensError> {
    task::run_whole(move || {
        let options = CompactionOptions {
            memory: u64::from(megabytes) << 20,
            ..CompactionOptions::default()
        };
        index::Index::compact(&PathBuf::from(path), &options)?;
        Ok(())
    })
    .await
}

fn public_key(digits: &str) -> Result<PublicKey, PocketlensError> {
    let wrong = || {
        PocketlensError::bad_input(format!(
            "a key of 64 hexadecimal digits expected, found {} characters",
            digits.len()
        ))
    };
    let mut bytes = [0; 32];
    if digits.len() != 64 || !digits.is_ascii() {
        return Err(wrong());
    }
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).map_err(|_| wrong())?;
    }
    PublicKey::from_bytes(&bytes).ok_or_else(wrong)
}

impl IndexInfo {
    pub(crate) fn of(index: &index::Index) -> Self {
        let info = index.info();
        Self {
            items: info.items,
            photos: info.rows,
            dim: info.dim as u32,
            bytes: info.bytes,
            fingerprint: info.fingerprint.to_string(),
            calibrated: info.calibrated,
            local_features: index.has_local_features(),
            augmented: info.augmented.map(|augmentation| augmentation.neighbours),
        }
    }
}

impl From<index::Index> for Index {
    fn from(index: index::Index) -> Self {
        Self {
            index: Arc::new(index),
        }
    }
}
