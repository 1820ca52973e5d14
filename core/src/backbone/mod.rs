//! The network up to its feature maps: pixels in, one map a tap out.
//!
//! A *tap* is a map that leaves the backbone under its ONNX output name. The network runs at any
//! input size whose sides are multiples of its stride. It is either a quantised plan of our own
//! (the same bits on every processor) or an ONNX network in float through tract, which is also the
//! measure of what quantisation loses.

pub mod delegate;
mod engine;
mod feature_map;
#[cfg(feature = "build")]
mod graph;
mod plan;
mod preprocessing;
#[cfg(feature = "build")]
mod quantise;
#[cfg(feature = "tract")]
mod tract;
mod window;

pub use engine::{Backbone, LayerTime, RunOptions};
pub use feature_map::FeatureMap;
pub use preprocessing::Preprocessing;
#[cfg(feature = "build")]
pub use quantise::{QuantiseOptions, RangeRule, quantise};

use crate::cancel::Stopped;

/// Why a network was refused or did not run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackboneError {
    /// The bytes are no ONNX or TFLite model that can be read.
    #[error("not a readable network: {reason}")]
    Unreadable {
        /// What the reader found.
        reason: String,
    },
    /// The model lacks an output that the recipe pools.
    #[error(
        "the network has no output named {tap:?}, its outputs are {outputs:?}; name one of these as tap"
    )]
    MissingTap {
        /// The tap that was asked for.
        tap: String,
        /// What the model offers.
        outputs: Vec<String>,
    },
    /// The model can be read but not run: an unknown operator, a wrong shape.
    #[error("the network cannot run at {width}×{height}: {reason}")]
    Unrunnable {
        /// Input columns.
        width: u32,
        /// Input rows.
        height: u32,
        /// What the planner or an operator said.
        reason: String,
    },
    /// A tap is no map: `1×C×H×W` of float was expected.
    #[error("tap {tap:?} must be 1×C×H×W of float, found {found}")]
    NotAMap {
        /// The tap.
        tap: String,
        /// Its shape and type.
        found: String,
    },
    /// A node that the quantised plan cannot run.
    #[error("node {node} ({operator}): {reason}")]
    Unsupported {
        /// The ONNX node.
        node: String,
        /// Its operator.
        operator: String,
        /// What was found, and what would be accepted.
        reason: String,
    },
    /// The bytes are no sound plan.
    #[error("not a sound plan: {reason}; fetch or convert the bundle again")]
    Plan {
        /// What was expected and found, and where.
        reason: String,
    },
    /// Quantising needs what it was not given.
    #[error("cannot quantise: {reason}")]
    Calibration {
        /// What is missing.
        reason: String,
    },
    /// An ONNX network, but this library was built without the engine for it.
    #[error(
        "the bundle holds an ONNX network, which this build cannot run (feature `tract`); convert it with `pocketlens bundle convert`"
    )]
    NeedsTract,
    /// The processor lacks the instruction set that was asked for.
    #[error("this processor has no {name:?}, it has {available:?}")]
    UnknownCpu {
        /// What was asked for.
        name: String,
        /// What there is.
        available: Vec<&'static str>,
    },
    /// The run was stopped from outside.
    #[error("cancelled")]
    Cancelled,
    /// The deadline has passed.
    #[error("out of time")]
    OutOfTime,
}

impl From<Stopped> for BackboneError {
    fn from(stopped: Stopped) -> Self {
        match stopped {
            Stopped::Cancelled => Self::Cancelled,
            Stopped::OutOfTime => Self::OutOfTime,
        }
    }
}
