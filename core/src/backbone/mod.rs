//! The network up to its feature maps: pixels in, one map a tap out.
//!
//! A *tap* is a map that leaves the backbone under its ONNX output name. The network runs at any
//! input size whose sides are multiples of its stride; a plan a size is made once and kept.

mod feature_map;
mod preprocessing;
#[cfg(feature = "tract")]
mod tract;

pub use feature_map::FeatureMap;
pub use preprocessing::Preprocessing;
#[cfg(feature = "tract")]
pub use tract::Backbone;

/// Why a network was refused or did not run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackboneError {
    /// The bytes are no ONNX model that can be read.
    #[error("not a readable ONNX model: {reason}")]
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
}
