//! What one question may cost: bytes of a photo, memory of a network, time, hits, conditions. A file or a caller that asks
//! for more gets a typed error before the memory is taken or the work is done.

use std::time::Duration;

use crate::image;
use crate::index::filter::FilterLimits;

/// Limits of a [`Lens`](crate::lens::Lens). The defaults suit a phone with 2 GB of memory: no photo of a camera and no
/// network of a phone comes near to them.
///
/// ```no_run
/// use std::time::Duration;
/// use pocketlens::lens::Lens;
/// use pocketlens::limits::Limits;
///
/// let limits = Limits {
///     time: Duration::from_secs(2),
///     ..Limits::default()
/// };
/// let lens = Lens::open("shop.plx")?.with_limits(limits)?;
/// # Ok::<(), pocketlens::lens::LensError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// A photo: bytes of its file, pixels, sides, bytes of its samples.
    pub photo: image::Limits,
    /// Memory of one run of a quantised network in bytes: its inputs, all of its maps that live at a time, what its taps
    /// become. Default: 256 MiB. Networks in float (feature `tract`) are not measured: they are for computers that make
    /// bundles.
    pub network_bytes: usize,
    /// From the photo to the answer. It is looked at between stages, layers of the network and segments of the index; no
    /// stage is cut short within. Default: 30 s.
    pub time: Duration,
    /// Most hits of an answer, and most of them that get a second look. Default: 10,000.
    pub hits: usize,
    /// The filter of a question.
    pub filter: FilterLimits,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            photo: image::Limits::default(),
            network_bytes: 256 << 20,
            time: Duration::from_secs(30),
            hits: 10_000,
            filter: FilterLimits::default(),
        }
    }
}

/// A question that costs more than its [`Limits`] allow.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} is limited to {limit}, found {found}")]
pub struct LimitExceeded {
    /// What was measured, with its unit.
    pub what: &'static str,
    /// The most that is allowed.
    pub limit: u64,
    /// What was asked for, or what it has cost when it was stopped.
    pub found: u64,
}

impl Limits {
    pub(crate) fn check_hits(&self, wanted: usize) -> Result<(), LimitExceeded> {
        at_most("number of hits", self.hits as u64, wanted as u64)
    }

    /// The inputs of a network, all of its views at a time.
    pub(crate) fn check_inputs(&self, bytes: u64) -> Result<(), LimitExceeded> {
        let limit = self.network_bytes as u64;
        at_most("input of the network in bytes", limit, bytes)
    }

    /// An answer that has taken so long already.
    pub(crate) fn out_of_time(&self, taken: Duration) -> LimitExceeded {
        LimitExceeded {
            what: "time of an answer in milliseconds",
            limit: self.time.as_millis() as u64,
            found: taken.as_millis() as u64,
        }
    }
}

fn at_most(what: &'static str, limit: u64, found: u64) -> Result<(), LimitExceeded> {
    if found <= limit {
        Ok(())
    } else {
        Err(LimitExceeded { what, limit, found })
    }
}
