//! A small typed graph of a convolutional network in float: what ONNX is imported into, what passes
//! rewrite, and what quantisation reads.
//!
//! Maps are `H×W×C` with a batch of one. Every value is given exactly once, by the input or by one
//! node, and nodes stand in an order in which whatever they read comes first.

pub(super) mod float;
pub(super) mod import;
pub(super) mod passes;

use super::window::{Resize, Window};

/// Index into [`Graph::values`]; 0 is the network's input.
pub(super) type ValueId = usize;

/// A network from its normalised input (3 channels) to its taps.
#[derive(Clone, Debug)]
pub(super) struct Graph {
    /// Name and channels of each value; the first is the input.
    pub(super) values: Vec<Value>,
    pub(super) nodes: Vec<Node>,
    /// Name of each tap and the value that leaves as it.
    pub(super) taps: Vec<(String, ValueId)>,
    /// How bytes become the input: `(byte - mean) · scale`.
    pub(super) normalisation: Normalisation,
}

#[derive(Clone, Debug)]
pub(super) struct Value {
    pub(super) name: String,
    pub(super) channels: usize,
}

/// `(byte - mean) · scale`, a channel each.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Normalisation {
    pub(super) mean: [f32; 3],
    pub(super) scale: [f32; 3],
}

#[derive(Clone, Debug)]
pub(super) struct Node {
    /// The ONNX node's name (its output's where it has none), for messages and timings.
    pub(super) name: String,
    pub(super) operator: Operator,
    pub(super) inputs: Vec<ValueId>,
    pub(super) output: ValueId,
    /// How the output is quantised, where the file says so.
    pub(super) quantisation: Option<Quantisation>,
}

#[derive(Clone, Debug)]
pub(super) enum Operator {
    /// One input, or two when a residual is added: clips act on the sum, other activations on the
    /// convolution alone.
    Convolution(Convolution),
    Activate(Activation),
    /// `x · scale + offset`, a channel each.
    Affine {
        scale: Vec<f32>,
        offset: Vec<f32>,
    },
    /// Two maps of one shape.
    Add,
    /// A map by a map of 1×1 (squeeze and excite) or by one of its own shape.
    Multiply,
    GlobalAverage,
    Average(Window),
    Maximum(Window),
    /// Along channels.
    Concat,
    Resize(Resize),
    /// Zeros around: top, left, bottom, right.
    Pad([usize; 4]),
    /// Rounds to a grid of 256 values (a QuantizeLinear with its DequantizeLinear).
    Quantise(Quantisation),
}

/// A convolution; a fully connected layer is one of 1×1 on a map of 1×1.
#[derive(Clone, Debug)]
pub(super) struct Convolution {
    pub(super) window: Window,
    pub(super) groups: usize,
    pub(super) outputs: usize,
    /// Input channels of one group.
    pub(super) depth: usize,
    /// `outputs × kernel × kernel × depth`, the depth innermost.
    pub(super) weights: Vec<f32>,
    pub(super) bias: Vec<f32>,
    /// 8-bit weights as the file has them, in the same order, with a scale an output.
    pub(super) quantised: Option<(Vec<i8>, Vec<f32>)>,
    pub(super) activation: Activation,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Activation {
    Linear,
    /// `min(max(x, low), high)`: ReLU, ReLU6; either end may be infinite.
    Clip {
        low: f32,
        high: f32,
    },
    /// `x · clip(x + 3, 0, 6) / 6`.
    HardSwish,
    /// `clip(alpha · x + beta, 0, 1)`.
    HardSigmoid {
        alpha: f32,
        beta: f32,
    },
    Sigmoid,
    /// `x · sigmoid(x)`.
    Silu,
}

/// `real = (byte - zero) · scale`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Quantisation {
    pub(super) scale: f32,
    pub(super) zero: u8,
}

impl Operator {
    /// What people call it.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Convolution(_) => "Conv",
            Self::Activate(_) => "activation",
            Self::Affine { .. } => "affine",
            Self::Add => "Add",
            Self::Multiply => "Mul",
            Self::GlobalAverage => "GlobalAveragePool",
            Self::Average(_) => "AveragePool",
            Self::Maximum(_) => "MaxPool",
            Self::Concat => "Concat",
            Self::Resize(_) => "Resize",
            Self::Pad(_) => "Pad",
            Self::Quantise(_) => "QuantizeLinear",
        }
    }
}

impl Activation {
    pub(super) const RELU: Self = Self::Clip {
        low: 0.0,
        high: f32::INFINITY,
    };

    pub(super) fn apply(self, x: f32) -> f32 {
        match self {
            Self::Linear => x,
            Self::Clip { low, high } => x.max(low).min(high),
            Self::HardSwish => x * (x + 3.0).clamp(0.0, 6.0) / 6.0,
            Self::HardSigmoid { alpha, beta } => (alpha * x + beta).clamp(0.0, 1.0),
            Self::Sigmoid => sigmoid(x),
            Self::Silu => x * sigmoid(x),
        }
    }

    pub(super) fn is_clip(self) -> bool {
        matches!(self, Self::Linear | Self::Clip { .. })
    }
}

/// Double precision and one implementation everywhere: tables made of it are equal on all machines.
fn sigmoid(x: f32) -> f32 {
    (1.0 / (1.0 + libm::exp(-f64::from(x)))) as f32
}

impl Quantisation {
    pub(super) fn quantise(self, real: f32) -> u8 {
        (real / self.scale + f32::from(self.zero))
            .round_ties_even()
            .clamp(0.0, 255.0) as u8
    }

    pub(super) fn real(self, byte: u8) -> f32 {
        (f32::from(byte) - f32::from(self.zero)) * self.scale
    }
}

impl Convolution {
    /// Every channel by itself.
    pub(super) fn is_depthwise(&self) -> bool {
        self.groups == self.outputs && self.depth == 1
    }

    /// Weights of one output.
    pub(super) fn row(&self) -> usize {
        self.window.area() * self.depth
    }
}

impl Graph {
    /// How often a value is read, taps included.
    pub(super) fn uses(&self) -> Vec<usize> {
        let mut uses = vec![0; self.values.len()];
        let read = self.nodes.iter().flat_map(|node| &node.inputs);
        read.chain(self.taps.iter().map(|(_, value)| value))
            .for_each(|&value| uses[value] += 1);
        uses
    }

    /// The node that gives each value; `None` for the input and for values without a node.
    pub(super) fn producers(&self) -> Vec<Option<usize>> {
        let mut producers = vec![None; self.values.len()];
        for (at, node) in self.nodes.iter().enumerate() {
            producers[node.output] = Some(at);
        }
        producers
    }

    pub(super) fn is_tap(&self, value: ValueId) -> bool {
        self.taps.iter().any(|(_, tap)| *tap == value)
    }
}
