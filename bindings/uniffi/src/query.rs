//! What is asked of a photo.

use std::sync::Arc;

use pocketlens::cancel;
use pocketlens::image;
use pocketlens::index;
use pocketlens::lens;
use pocketlens::localise;
use pocketlens::rerank::Rerank;
use pocketlens::verdict::Precision;

use crate::{Filter, PocketlensError};

/// What is asked of a photo.
#[derive(Clone, Debug, uniffi::Record)]
pub struct Query {
    /// Hits wanted, best first.
    #[uniffi(default = 10)]
    pub k: u32,
    /// Where to look; the whole photo when absent. A frame may have its own, which counts then.
    #[uniffi(default = None)]
    pub region: Option<Region>,
    /// Ask in all four quarter turns: for things that lie on a table. Four runs of the network.
    #[uniffi(default = false)]
    pub rotations: bool,
    /// Look again at the place where the thing is, and keep the better score of each item: for a thing that is small in its
    /// photo. A run of the network a place. A photo is decoded larger for it; of a frame, which is kept as small as the
    /// network reads it, it gains less.
    #[uniffi(default = None)]
    pub focus: Option<Focus>,
    /// Answer only with items that meet these conditions on their payload.
    #[uniffi(default = None)]
    pub filter: Option<Filter>,
    /// One hit a group instead of one an item.
    #[uniffi(default = None)]
    pub group_by: Option<GroupBy>,
    /// Share of matches that must be right, 0.5 to 0.999; the more, the fewer matches there are.
    #[uniffi(default = 0.95)]
    pub precision: f64,
    /// Look at the best hundred again, part by part, where the index has local features.
    #[uniffi(default = false)]
    pub second_look: bool,
    /// Show with each hit where the photo is like it.
    #[uniffi(default = false)]
    pub explain: bool,
}

/// A rectangle of the upright photo or frame.
#[derive(Clone, Copy, Debug, PartialEq, uniffi::Enum)]
pub enum Region {
    /// In pixels from the top left.
    Pixels {
        /// Left edge.
        x: i32,
        /// Top edge.
        y: i32,
        /// Columns, at least 1.
        width: u32,
        /// Rows, at least 1.
        height: u32,
    },
    /// In fractions of the width and height, 0 to 1 from the top left.
    Relative {
        /// Left edge.
        x: f64,
        /// Top edge.
        y: f64,
        /// Share of the width, above 0.
        width: f64,
        /// Share of the height, above 0.
        height: f64,
    },
}

/// What says where the thing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum Focus {
    /// What stands out from the photo's border: one place at most. Any model can.
    Saliency,
    /// The model's own detector: its best three places. A model without one finds none.
    Detector,
}

/// What makes items answer as one.
#[derive(Clone, Debug, PartialEq, uniffi::Enum)]
pub enum GroupBy {
    /// The group that an item was indexed with: a product's variants, a landmark's photos.
    Group,
    /// Equal values of a field of the payload.
    Field {
        /// Its name; `a.b` is a field of a field.
        name: String,
    },
}

impl From<Region> for image::Region {
    fn from(region: Region) -> Self {
        match region {
            Region::Pixels {
                x,
                y,
                width,
                height,
            } => Self::Pixels {
                x,
                y,
                width,
                height,
            },
            Region::Relative {
                x,
                y,
                width,
                height,
            } => Self::Relative {
                x,
                y,
                width,
                height,
            },
        }
    }
}

impl From<Focus> for localise::Focus {
    fn from(focus: Focus) -> Self {
        match focus {
            Focus::Saliency => Self::Saliency,
            Focus::Detector => Self::Detector,
        }
    }
}

impl Query {
    pub(crate) fn into_core(
        self,
        cancel: Option<cancel::CancelToken>,
    ) -> Result<lens::Query, PocketlensError> {
        Ok(lens::Query {
            k: self.k as usize,
            region: self.region.map(Into::into),
            rotations: self.rotations,
            focus: self.focus.map(Into::into),
            filter: self.filter.map(Into::into),
            group_by: self.group_by.map(|by| match by {
                GroupBy::Group => index::GroupBy::Group,
                GroupBy::Field { name } => index::GroupBy::Column(name),
            }),
            match_precision: Precision::new(self.precision as f32)?,
            rerank: self.second_look.then(Rerank::default),
            explain: self.explain,
            cancel,
        })
    }
}

/// The host's token, or one of the call's own.
pub(crate) fn token(given: Option<Arc<crate::CancelToken>>) -> cancel::CancelToken {
    given.map(|token| token.inner()).unwrap_or_default()
}
