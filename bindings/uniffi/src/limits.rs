//! What one question may cost.

use std::time::Duration;

use pocketlens::image;
use pocketlens::index::filter::FilterLimits;
use pocketlens::limits;

/// What one question may cost: what is beyond is refused with [`PocketlensError::BadInput`](crate::PocketlensError), which
/// names the limit, before the memory is taken or the work is done. The defaults suit a phone with 2 GB of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Record)]
pub struct Limits {
    /// Most pixels of a photo, width × height.
    #[uniffi(default = 50_000_000)]
    pub photo_pixels: u64,
    /// Longest width or height of a photo, in pixels.
    #[uniffi(default = 20_000)]
    pub photo_side: u32,
    /// Longest file of a photo, in bytes.
    #[uniffi(default = 67_108_864)]
    pub photo_bytes: u64,
    /// Most bytes of decoded samples at a time: three or four a pixel.
    #[uniffi(default = 200_000_000)]
    pub decoded_bytes: u64,
    /// Memory of one run of the network, in bytes.
    #[uniffi(default = 268_435_456)]
    pub network_bytes: u64,
    /// From the photo to the answer, in milliseconds. It is looked at between stages, layers of the network and segments of
    /// the index; no stage is cut short within.
    #[uniffi(default = 30_000)]
    pub milliseconds: u32,
    /// Most hits of an answer.
    #[uniffi(default = 10_000)]
    pub hits: u32,
    /// Deepest nesting of filters in filters, 1 to 16.
    #[uniffi(default = 16)]
    pub filter_depth: u32,
    /// Most conditions of a filter, those of inner filters included, at most 1,024.
    #[uniffi(default = 1024)]
    pub filter_conditions: u32,
    /// Most values in all lists of a filter together, at most 65,536.
    #[uniffi(default = 65_536)]
    pub filter_values: u32,
}

impl From<Limits> for limits::Limits {
    fn from(limits: Limits) -> Self {
        Self {
            photo: image::Limits {
                max_pixels: limits.photo_pixels,
                max_side: limits.photo_side,
                max_encoded_bytes: limits.photo_bytes,
                max_decoded_bytes: limits.decoded_bytes,
            },
            network_bytes: usize::try_from(limits.network_bytes).unwrap_or(usize::MAX),
            time: Duration::from_millis(limits.milliseconds.into()),
            hits: limits.hits as usize,
            filter: FilterLimits {
                depth: limits.filter_depth as usize,
                conditions: limits.filter_conditions as usize,
                values: limits.filter_values as usize,
                ..FilterLimits::default()
            },
        }
    }
}

impl From<&limits::Limits> for Limits {
    fn from(limits: &limits::Limits) -> Self {
        let most = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        Self {
            photo_pixels: limits.photo.max_pixels,
            photo_side: limits.photo.max_side,
            photo_bytes: limits.photo.max_encoded_bytes,
            decoded_bytes: limits.photo.max_decoded_bytes,
            network_bytes: limits.network_bytes as u64,
            milliseconds: u32::try_from(limits.time.as_millis()).unwrap_or(u32::MAX),
            hits: most(limits.hits),
            filter_depth: most(limits.filter.depth),
            filter_conditions: most(limits.filter.conditions),
            filter_values: most(limits.filter.values),
        }
    }
}

/// The host's limits, or the default ones.
pub(crate) fn of(given: Option<Limits>) -> limits::Limits {
    given.map(Into::into).unwrap_or_default()
}
