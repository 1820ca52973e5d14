//! The quantised network as a delegate is given it: for one size of input, weights unpacked, every
//! rounding said in scales and zero points.

/// A network for one size of input. Values are `H×W×C` bytes, `real = (byte - zero) · scale`.
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    /// Value 0 is the photo: RGB bytes, whose zero point is what padding around it holds.
    pub values: Vec<NetworkValue>,
    /// In the order in which they run.
    pub layers: Vec<NetworkLayer>,
    /// The values that leave the network.
    pub taps: Vec<usize>,
    /// Their names in the bundle.
    pub tap_names: Vec<String>,
}

/// A map between layers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NetworkValue {
    /// Rows, columns, channels.
    pub shape: [usize; 3],
    /// Real units a step, above 0.
    pub scale: f32,
    /// The byte that means 0.
    pub zero: u8,
}

/// A layer.
#[derive(Clone, Debug, PartialEq)]
pub struct NetworkLayer {
    /// Its name in the plan.
    pub name: String,
    /// Values that it reads.
    pub inputs: Vec<usize>,
    /// The value that it gives.
    pub output: usize,
    /// What it computes.
    pub operator: NetworkOperator,
    /// What its output is clamped to.
    pub clamp: Clamp,
}

/// What a layer computes, in real units; then it is rounded to its output's grid.
#[derive(Clone, Debug, PartialEq)]
pub enum NetworkOperator {
    /// Sliding products with weights.
    Convolution(NetworkConvolution),
    /// `x · clamp(x + 3, 0, 6) / 6`.
    HardSwish,
    /// The sum of two maps.
    Add,
    /// The product of two maps, the second of 1×1 or of the shape of the first.
    Multiply,
    /// The mean of each window; padding does not count.
    Average(NetworkWindow),
    /// The maximum of each window.
    Maximum(NetworkWindow),
    /// The channels of all inputs, one behind the other.
    Concat,
    /// Anything else that the plan can do, by name: for a delegate a reason to refuse.
    Other(&'static str),
}

/// A convolution: `real = Σ (input - zero) · weight · input scale · scales[o] + bias[o] · input scale · scales[o]`.
#[derive(Clone, Debug, PartialEq)]
pub struct NetworkConvolution {
    /// Where it looks.
    pub window: NetworkWindow,
    /// Groups of channels that are seen apart; as many as inputs: depthwise.
    pub groups: usize,
    /// `outputs × rows × columns × inputs of a group`.
    pub weights: Vec<i8>,
    /// Real weight a step, an output each, above 0.
    pub scales: Vec<f32>,
    /// In steps of the sum, an output each.
    pub bias: Vec<i32>,
}

/// A sliding window: rows, then columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NetworkWindow {
    /// Places that are read.
    pub size: [usize; 2],
    /// Steps between outputs.
    pub stride: [usize; 2],
    /// Steps between places.
    pub dilation: [usize; 2],
    /// Top, left, bottom, right.
    pub padding: [usize; 4],
}

/// The bytes that an output may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clamp {
    /// The least.
    pub low: u8,
    /// The greatest.
    pub high: u8,
}

impl Clamp {
    /// No clamp at all.
    pub const NONE: Self = Self { low: 0, high: 255 };
}
