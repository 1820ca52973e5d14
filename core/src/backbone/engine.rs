//! One face for both engines: the quantised plan and ONNX in float.

use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use super::delegate::{Accelerated, Network};
use super::plan::{Plan, SharedBytes};
use super::{BackboneError, FeatureMap, Preprocessing};
use crate::cancel::Stop;
use crate::image::Pixels;

/// No run takes more memory (bytes) where the caller does not say how much it may take.
const LARGEST_RUN: usize = 256 << 20;

/// A network with its taps, ready for any input size. Shared between threads by reference.
pub struct Backbone {
    preprocessing: Preprocessing,
    engine: Engine,
}

enum Engine {
    Plan(Plan),
    #[cfg(feature = "tract")]
    Float(super::tract::FloatNetwork),
}

/// How a network is run. Only a delegate changes the result.
#[derive(Clone, Copy, Debug)]
pub struct RunOptions<'a> {
    /// Threads that share each layer, from 1 on: those of the rayon pool that the call is made in.
    /// More than 1 needs the feature `threads`.
    pub threads: usize,
    /// Instruction set to use at most (`generic`, `avx2`, `avx-vnni`, `avx512-vnni`, `neon`, `sdot`,
    /// `i8mm`); the best of this processor when absent.
    pub cpu: Option<&'a str>,
    /// Stops the run before its next layer once it is true.
    pub cancel: Option<&'a AtomicBool>,
    /// Runs the network instead of the plan, on the sizes of input that it was judged on; its descriptors
    /// differ from the plan's within the tolerance it was judged by. Of an [`Embedder`](crate::embedder::Embedder).
    pub delegate: Option<&'a Accelerated>,
    /// Stops the run before its next layer once this moment has passed.
    pub deadline: Option<Instant>,
    /// Most memory of the run in bytes: its maps and what its taps become.
    pub max_bytes: usize,
}

impl Default for RunOptions<'_> {
    fn default() -> Self {
        Self {
            threads: 1,
            cpu: None,
            cancel: None,
            delegate: None,
            deadline: None,
            max_bytes: LARGEST_RUN,
        }
    }
}

impl RunOptions<'_> {
    pub(crate) fn stop(&self) -> Stop<'_> {
        Stop {
            cancel: self.cancel,
            deadline: self.deadline,
        }
    }
}

/// What one layer of a plan cost.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerTime {
    /// The layer's name in the plan.
    pub name: String,
    /// Multiplications with weights.
    pub multiplications: usize,
    /// Wall time.
    pub time: Duration,
}

impl Backbone {
    /// Reads an ONNX model with one input `1×3×H×W` and the taps as named outputs, to be run in
    /// float.
    ///
    /// # Errors
    /// [`BackboneError::Unreadable`] and [`BackboneError::MissingTap`].
    #[cfg(feature = "tract")]
    pub fn from_onnx(
        onnx: &[u8],
        preprocessing: Preprocessing,
        taps: &[String],
    ) -> Result<Self, BackboneError> {
        let engine = Engine::Float(super::tract::FloatNetwork::from_onnx(onnx, taps)?);
        Ok(Self {
            preprocessing,
            engine,
        })
    }

    /// Reads a plan, as [`quantise`](super::quantise) makes it.
    ///
    /// # Errors
    /// [`BackboneError::Plan`] and [`BackboneError::MissingTap`].
    pub fn from_plan(
        plan: Vec<u8>,
        preprocessing: Preprocessing,
        taps: &[String],
    ) -> Result<Self, BackboneError> {
        Self::from_shared_plan(std::sync::Arc::new(plan), preprocessing, taps)
    }

    /// Reads a plan that somebody else keeps in memory; its weights are used where they are.
    pub(crate) fn from_shared_plan(
        plan: SharedBytes,
        preprocessing: Preprocessing,
        taps: &[String],
    ) -> Result<Self, BackboneError> {
        let engine = Engine::Plan(Plan::load(plan, taps)?);
        Ok(Self {
            preprocessing,
            engine,
        })
    }

    /// The instruction sets that this processor can be held to, from plain Rust to the one that runs
    /// by default.
    pub fn cpus() -> Vec<&'static str> {
        let available = crate::kernel::Cpu::available();
        available
            .into_iter()
            .map(crate::kernel::Cpu::name)
            .collect()
    }

    /// The network's input size and value range.
    pub fn preprocessing(&self) -> &Preprocessing {
        &self.preprocessing
    }

    /// Whether this is a quantised plan.
    pub fn is_quantised(&self) -> bool {
        matches!(self.engine, Engine::Plan(_))
    }

    /// The instruction set that runs by default; `tract` chooses its own for ONNX networks.
    pub fn cpu(&self) -> &'static str {
        match &self.engine {
            Engine::Plan(plan) => plan.cpu_name(),
            #[cfg(feature = "tract")]
            Engine::Float(_) => "tract",
        }
    }

    /// Runs the network on an input of the size that [`Preprocessing::sizing`] asks for; one map a
    /// tap, in the order of the taps.
    ///
    /// # Errors
    /// [`BackboneError::Unrunnable`] and [`BackboneError::NotAMap`].
    pub fn run(&self, pixels: &Pixels) -> Result<Vec<FeatureMap>, BackboneError> {
        self.run_with(pixels, &RunOptions::default())
    }

    /// [`Backbone::run`] with a number of threads, an instruction set and a way to stop. A network
    /// in float runs on one thread and cannot be stopped.
    ///
    /// # Errors
    /// As [`Backbone::run`]; [`BackboneError::Cancelled`] and [`BackboneError::UnknownCpu`].
    pub fn run_with(
        &self,
        pixels: &Pixels,
        options: &RunOptions<'_>,
    ) -> Result<Vec<FeatureMap>, BackboneError> {
        match &self.engine {
            Engine::Plan(plan) => plan.run(pixels, options, None),
            #[cfg(feature = "tract")]
            Engine::Float(network) => network.run(pixels, &self.preprocessing),
        }
    }

    /// The network as a [delegate](super::delegate) is given it, for one size of input.
    ///
    /// # Errors
    /// [`BackboneError::Unrunnable`]: a size that does not fit, or a network in float.
    pub fn network(&self, width: u32, height: u32) -> Result<Network, BackboneError> {
        match &self.engine {
            Engine::Plan(plan) => plan.network(width, height),
            #[cfg(feature = "tract")]
            Engine::Float(_) => Err(BackboneError::Unrunnable {
                width,
                height,
                reason: "only a quantised plan goes to a delegate".to_owned(),
            }),
        }
    }

    /// Runs the network once and says what each layer cost; nothing for a network in float.
    ///
    /// # Errors
    /// As [`Backbone::run_with`].
    pub fn time_layers(
        &self,
        pixels: &Pixels,
        options: &RunOptions<'_>,
    ) -> Result<Vec<LayerTime>, BackboneError> {
        match &self.engine {
            Engine::Plan(plan) => {
                let names: Vec<&str> = plan.layer_names().collect();
                let mut times = Vec::new();
                let mut observer = |layer: usize, multiplications, time| {
                    times.push(LayerTime {
                        name: names[layer].to_owned(),
                        multiplications,
                        time,
                    });
                };
                plan.run(pixels, options, Some(&mut observer))?;
                Ok(times)
            }
            #[cfg(feature = "tract")]
            Engine::Float(_) => Ok(Vec::new()),
        }
    }
}
