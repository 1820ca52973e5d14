//! The maps of one view of a photo, by the names of their taps.

use super::Part;
use crate::backbone::FeatureMap;

/// What the network gave, borrowed: a map a tap.
#[derive(Clone, Copy, Debug)]
pub struct Maps<'a> {
    taps: &'a [String],
    maps: &'a [FeatureMap],
}

/// Why maps have no descriptor.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum DescribeError {
    /// The recipe reads a tap that was not run.
    #[error("no map of tap {tap:?}, there are {taps:?}")]
    MissingTap {
        /// What the recipe reads.
        tap: String,
        /// What was run.
        taps: Vec<String>,
    },
    /// A tap has another number of channels than what was learned for it.
    #[error(
        "tap {tap:?} has {found} channels, what was learned takes {expected}; the bundle's network and recipe do not belong together"
    )]
    Channels {
        /// The part's tap.
        tap: String,
        /// Channels that whitening or codebook take.
        expected: usize,
        /// Channels that the network gave.
        found: usize,
    },
    /// An encoding has no codebook.
    #[error("the encoding of tap {tap:?} needs a codebook: fit the recipe first")]
    NotFitted {
        /// The part's tap.
        tap: String,
    },
}

impl<'a> Maps<'a> {
    /// Pairs taps with their maps. Panics when there is not one map a tap.
    pub fn new(taps: &'a [String], maps: &'a [FeatureMap]) -> Self {
        assert_eq!(taps.len(), maps.len(), "one map a tap");
        Self { taps, maps }
    }

    /// The map of a tap.
    ///
    /// # Errors
    /// [`DescribeError::MissingTap`].
    pub fn of(&self, tap: &str) -> Result<&'a FeatureMap, DescribeError> {
        let at = self.taps.iter().position(|name| name == tap);
        at.map(|at| &self.maps[at])
            .ok_or_else(|| DescribeError::MissingTap {
                tap: tap.to_owned(),
                taps: self.taps.to_vec(),
            })
    }
}

pub(super) fn check_channels(
    part: &Part,
    expected: usize,
    found: usize,
) -> Result<(), DescribeError> {
    if expected == found {
        return Ok(());
    }
    Err(DescribeError::Channels {
        tap: part.tap.clone(),
        expected,
        found,
    })
}
