//! Delegates: what may run a quantised network instead of the processor, such as a phone's neural
//! accelerator.
//!
//! A delegate is given the [`Network`] of one input size and gives feature maps. It rounds as it
//! likes, and its driver may be slow, wrong or fatal: [`selection`](crate::selection) judges it
//! against the plan before it answers for it.

#[cfg(all(feature = "coreml", target_vendor = "apple"))]
mod coreml;
mod network;
#[cfg(all(feature = "nnapi", unix))]
mod nnapi;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};

use super::FeatureMap;
use crate::image::Pixels;

#[cfg(all(feature = "coreml", target_vendor = "apple"))]
pub use coreml::CoreMl;
pub use network::{
    Clamp, Network, NetworkConvolution, NetworkLayer, NetworkOperator, NetworkValue, NetworkWindow,
};
#[cfg(all(feature = "nnapi", unix))]
pub use nnapi::{Encoding, Nnapi, NnapiOptions};

/// Something that can run a quantised network.
pub trait Delegate: Send + Sync {
    /// Who this is. A verdict on a delegate holds as long as this stays the same.
    fn describe(&self) -> DelegateDescription;

    /// Compiles a network for the size of input that it was laid out for.
    ///
    /// # Errors
    /// [`DelegateError`]: why this network or this device is none for it.
    fn prepare(&self, network: &Network) -> Result<Box<dyn PreparedNetwork>, DelegateError>;
}

/// A network that a delegate has compiled.
pub trait PreparedNetwork: Send + Sync {
    /// Runs it on a picture of the size it was prepared for; one map `H×W×C` a tap, in the order of
    /// [`Network::taps`].
    ///
    /// # Errors
    /// [`DelegateError::Failed`]: the picture is then described by the plan.
    fn run(&self, pixels: &Pixels) -> Result<Vec<FeatureMap>, DelegateError>;
}

/// Who a delegate is.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct DelegateDescription {
    /// `nnapi`, `coreml`, or a host's own.
    pub name: String,
    /// Device and driver, with their versions.
    pub device: String,
}

/// Why a delegate does not run a network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DelegateError {
    /// Not on this device: no library, too old, switched off.
    #[error("{reason}")]
    Unavailable {
        /// What is missing, and what would be needed.
        reason: String,
    },
    /// The device does not run all of the network, and part of one is never handed over.
    #[error("layer {layer}: {reason}")]
    Unsupported {
        /// The layer's name in the plan.
        layer: String,
        /// What it needs.
        reason: String,
    },
    /// A call of the driver failed.
    #[error("{call} failed: {reason}")]
    Failed {
        /// The function that was called.
        call: String,
        /// What it said.
        reason: String,
    },
}

/// What a delegate has compiled for one size of input.
pub(crate) struct Compiled {
    /// Width and height.
    size: [u32; 2],
    /// Rows, columns, channels of each tap.
    taps: Vec<[usize; 3]>,
    prepared: Box<dyn PreparedNetwork>,
}

impl Compiled {
    pub(crate) fn new(
        size: [u32; 2],
        network: &Network,
        delegate: &dyn Delegate,
    ) -> Result<Self, DelegateError> {
        let taps = network.taps.iter().map(|&tap| network.values[tap].shape);
        Ok(Self {
            size,
            taps: taps.collect(),
            prepared: guarded("preparing", || delegate.prepare(network))?,
        })
    }

    /// Runs it, and sees that what comes back are the maps that were asked for.
    fn run(&self, pixels: &Pixels) -> Result<Vec<FeatureMap>, DelegateError> {
        let maps = guarded("running", || self.prepared.run(pixels))?;
        let found: Vec<_> = maps
            .iter()
            .map(|map| [map.height(), map.width(), map.channels()])
            .collect();
        if found == self.taps {
            return Ok(maps);
        }
        Err(DelegateError::Failed {
            call: "running".to_owned(),
            reason: format!("maps of {:?} expected, found {found:?}", self.taps),
        })
    }
}

/// Runs a delegate's code; its panic is its failure.
pub(crate) fn guarded<T>(
    what: &str,
    run: impl FnOnce() -> Result<T, DelegateError>,
) -> Result<T, DelegateError> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| {
        Err(DelegateError::Failed {
            call: what.to_owned(),
            reason: "it panicked".to_owned(),
        })
    })
}

/// A delegate that was judged good, with the networks it has compiled: it runs the sizes of input that
/// it was judged on, and no others.
pub struct Accelerated {
    description: DelegateDescription,
    least_cosine: f32,
    networks: Vec<Compiled>,
    failure: Mutex<Option<DelegateError>>,
}

impl std::fmt::Debug for Accelerated {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Accelerated")
            .field("description", &self.description)
            .field("least_cosine", &self.least_cosine)
            .finish_non_exhaustive()
    }
}

impl Accelerated {
    /// Not judged yet.
    pub(crate) fn new(description: DelegateDescription, networks: Vec<Compiled>) -> Self {
        Self {
            description,
            least_cosine: 0.0,
            networks,
            failure: Mutex::default(),
        }
    }

    /// With what was measured of it.
    pub(crate) fn judged(self, least_cosine: f32) -> Self {
        Self {
            least_cosine,
            ..self
        }
    }

    /// Who runs.
    pub fn description(&self) -> &DelegateDescription {
        &self.description
    }

    /// The least cosine with a descriptor of the plan that was seen when it was judged, 0..=1. 1 says
    /// that all were equal.
    pub fn least_cosine(&self) -> f32 {
        self.least_cosine
    }

    /// The widths and heights of input that it runs.
    pub fn sizes(&self) -> impl Iterator<Item = [u32; 2]> {
        self.networks.iter().map(|network| network.size)
    }

    /// Why it no longer runs; `None` while it does. After one failure it is not asked again.
    pub fn failure(&self) -> Option<DelegateError> {
        self.failed().clone()
    }

    fn failed(&self) -> std::sync::MutexGuard<'_, Option<DelegateError>> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The maps, or `None` where the plan has to run: another size, or a driver that failed.
    pub(crate) fn run(&self, pixels: &Pixels) -> Option<Vec<FeatureMap>> {
        let size = [pixels.width(), pixels.height()];
        let network = self.networks.iter().find(|network| network.size == size)?;
        if self.failed().is_some() {
            return None;
        }
        match network.run(pixels) {
            Ok(maps) => Some(maps),
            Err(error) => {
                *self.failed() = Some(error);
                None
            }
        }
    }
}
