//! Errors by what an app does about them.

use pocketlens::backbone::BackboneError;
use pocketlens::bundle::BundleError;
use pocketlens::container::ContainerError;
use pocketlens::embedder::EmbedError;
use pocketlens::image::ImageError;
use pocketlens::index::filter::FilterError;
use pocketlens::index::{IndexError, PackError};
use pocketlens::lens::LensError;
use pocketlens::verdict::VerdictError;

/// Why something was not done. The reason says whose fault it is and what to do, for developers and logs.
#[derive(Debug, thiserror::Error, uniffi::Error)]
pub enum PocketlensError {
    /// A photo, frame, filter or other argument is unsound, or costs more than the [`Limits`](crate::Limits) allow: ask for
    /// another, or correct the call.
    #[error("bad input: {reason}")]
    BadInput {
        /// What was expected and found.
        reason: String,
    },
    /// The file system refused, a file is not there, or another writer has the index: try again later.
    #[error("storage: {reason}")]
    Storage {
        /// File and what the system said.
        reason: String,
    },
    /// A file is damaged or not signed by whom it should be: fetch it again.
    #[error("damaged: {reason}")]
    Damaged {
        /// File, place, expected, found.
        reason: String,
    },
    /// Sound, but of another model, another index or a newer version: update the app, the index or the pack.
    #[error("incompatible: {reason}")]
    Incompatible {
        /// What does not belong together.
        reason: String,
    },
    /// Nothing is wrong: the work was cancelled.
    #[error("cancelled: {reason}")]
    Cancelled {
        /// By whom.
        reason: String,
    },
    /// A fault of this library, or of a host's own callback: please report it.
    #[error("internal: {reason}")]
    Internal {
        /// What happened.
        reason: String,
    },
}

impl PocketlensError {
    pub(crate) fn bad_input(reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self::BadInput { reason }
    }

    pub(crate) fn cancelled() -> Self {
        let reason = "by its token, or because nobody waits for it".to_owned();
        Self::Cancelled { reason }
    }
}

impl PocketlensError {
    /// The same, of one item of several.
    pub(crate) fn of_item(mut self, key: &str) -> Self {
        let (Self::BadInput { reason }
        | Self::Storage { reason }
        | Self::Damaged { reason }
        | Self::Incompatible { reason }
        | Self::Cancelled { reason }
        | Self::Internal { reason }) = &mut self;
        let named = format!("{key:?}");
        if !reason.contains(&named) {
            *reason = format!("item {named}: {reason}");
        }
        self
    }
}

impl From<LensError> for PocketlensError {
    fn from(error: LensError) -> Self {
        match error {
            LensError::Image(error) => error.into(),
            LensError::Embed(error) => error.into(),
            LensError::Index(error) => error.into(),
            LensError::Bundle(error) => error.into(),
            LensError::Backbone(error) => error.into(),
            LensError::Limit(error) => Self::BadInput {
                reason: error.to_string(),
            },
            other => Self::Internal {
                reason: other.to_string(),
            },
        }
    }
}

impl From<ImageError> for PocketlensError {
    fn from(error: ImageError) -> Self {
        let reason = error.to_string();
        match error {
            ImageError::Io { .. } => Self::Storage { reason },
            _ => Self::BadInput { reason },
        }
    }
}

impl From<EmbedError> for PocketlensError {
    fn from(error: EmbedError) -> Self {
        match error {
            EmbedError::Image(error) => error.into(),
            EmbedError::Backbone(error) => error.into(),
            other => Self::Damaged {
                reason: other.to_string(),
            },
        }
    }
}

impl From<BackboneError> for PocketlensError {
    fn from(error: BackboneError) -> Self {
        let reason = error.to_string();
        match error {
            BackboneError::Cancelled => Self::cancelled(),
            BackboneError::NeedsTract => Self::Incompatible { reason },
            _ => Self::Damaged { reason },
        }
    }
}

impl From<BundleError> for PocketlensError {
    fn from(error: BundleError) -> Self {
        match error {
            BundleError::Container(error) => error.into(),
            other => Self::Damaged {
                reason: other.to_string(),
            },
        }
    }
}

impl From<ContainerError> for PocketlensError {
    fn from(error: ContainerError) -> Self {
        let reason = error.to_string();
        match error {
            ContainerError::Io { .. } => Self::Storage { reason },
            ContainerError::Incompatible { .. } => Self::Incompatible { reason },
            _ => Self::Damaged { reason },
        }
    }
}

impl From<IndexError> for PocketlensError {
    fn from(error: IndexError) -> Self {
        let reason = error.to_string();
        match error {
            IndexError::Segment(error) => error.into(),
            IndexError::Io { .. } | IndexError::NotAnIndex { .. } | IndexError::Busy { .. } => {
                Self::Storage { reason }
            }
            IndexError::Corrupt { .. } => Self::Damaged { reason },
            IndexError::Cancelled => Self::cancelled(),
            IndexError::Incompatible { .. }
            | IndexError::ForeignShard { .. }
            | IndexError::ForeignFingerprint { .. } => Self::Incompatible { reason },
            _ => Self::BadInput { reason },
        }
    }
}

impl From<PackError> for PocketlensError {
    fn from(error: PackError) -> Self {
        let reason = error.to_string();
        match error {
            PackError::Index(error) => error.into(),
            PackError::Io { .. } => Self::Storage { reason },
            PackError::Incompatible { .. } | PackError::ForeignBase { .. } => {
                Self::Incompatible { reason }
            }
            PackError::BadKey { .. } => Self::BadInput { reason },
            _ => Self::Damaged { reason },
        }
    }
}

#[cfg(feature = "catalogue")]
impl From<pocketlens::build::BuildError> for PocketlensError {
    fn from(error: pocketlens::build::BuildError) -> Self {
        use pocketlens::build::BuildError;
        match error {
            BuildError::Index(error) => error.into(),
            BuildError::Backbone(error) => error.into(),
            BuildError::Embed(error) => error.into(),
            other => Self::bad_input(other.to_string()),
        }
    }
}

impl From<FilterError> for PocketlensError {
    fn from(error: FilterError) -> Self {
        Self::bad_input(error.to_string())
    }
}

impl From<VerdictError> for PocketlensError {
    fn from(error: VerdictError) -> Self {
        Self::bad_input(error.to_string())
    }
}

impl From<uniffi::UnexpectedUniFFICallbackError> for PocketlensError {
    fn from(error: uniffi::UnexpectedUniFFICallbackError) -> Self {
        Self::Internal {
            reason: format!("the host's callback failed: {}", error.reason),
        }
    }
}
