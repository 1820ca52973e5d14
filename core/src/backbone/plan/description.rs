//! What a plan says of itself: layers in the order in which they run, with their quantisation and
//! the places of their weights. It comes from a file, so that nothing in it is trusted before
//! [`Description::check`].

use serde::{Deserialize, Serialize};

use super::super::window::{Resize, Window};
use crate::kernel::requantise::Activation;

/// Most layers, channels of a value, and inputs of a layer.
const MOST_LAYERS: usize = 4096;
const MOST_CHANNELS: usize = 1 << 15;
const MOST_INPUTS: usize = 64;
const MOST_TAPS: usize = 64;
/// Products in a sum: with a bias below 2³⁰ no accumulator can overflow.
const LONGEST_SUM: usize = (1 << 30) / (255 * 128);
/// Largest magnitude of any factor; keeps all intermediate results finite.
const LARGEST_FACTOR: f32 = 1e6;

/// The network. Value 0 is the photo, value `i + 1` what layer `i` gives.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::backbone) struct Description {
    /// The bytes of red, green and blue that mean 0 to the network: padding around the photo.
    pub(in crate::backbone) fill: [u8; 3],
    pub(in crate::backbone) layers: Vec<Layer>,
    pub(in crate::backbone) taps: Vec<Tap>,
}

/// A value that leaves the network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::backbone) struct Tap {
    pub(in crate::backbone) name: String,
    pub(in crate::backbone) value: usize,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::backbone) struct Layer {
    pub(in crate::backbone) name: String,
    pub(in crate::backbone) inputs: Vec<usize>,
    /// Channels that the layer gives.
    pub(in crate::backbone) channels: usize,
    /// `real = (byte - zero) · scale`.
    pub(in crate::backbone) scale: f32,
    pub(in crate::backbone) zero: u8,
    pub(in crate::backbone) operator: Operator,
}

/// Operators. `weights` and `table` are offsets into the plan's blob.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(in crate::backbone) enum Operator {
    /// One input, or two: the second is added before the last clamp.
    Convolution(Convolution),
    /// `out = table[in]`: any function of one variable.
    Table { table: usize },
    /// `left · a + right · b + zero`, clamped.
    Add { left: f32, right: f32, range: Range },
    /// `(a - zero_a) · ((b - zero_b) · factor) + zero`, clamped; `b` of 1×1 or of the shape of `a`.
    Multiply { factor: f32, range: Range },
    /// The mean of all locations, `sum · (factor / locations) + zero`.
    GlobalAverage { factor: f32, range: Range },
    /// The mean of each window.
    Average {
        window: Window,
        factor: f32,
        range: Range,
    },
    /// The maximum of each window; the quantisation stays.
    Maximum { window: Window },
    /// Channels of all inputs, each through its table.
    Concat { tables: Vec<usize> },
    /// The quantisation stays.
    Resize(Resize),
}

/// The end of every rounding: `x + zero`, clamped to `low..=high`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::backbone) struct Range {
    pub(in crate::backbone) zero: f32,
    pub(in crate::backbone) low: u8,
    pub(in crate::backbone) high: u8,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::backbone) struct Convolution {
    pub(in crate::backbone) window: Window,
    pub(in crate::backbone) groups: usize,
    pub(in crate::backbone) weights: usize,
    /// HardSwish: `1 / (6 · scale)`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::backbone) hard_swish: Option<f32>,
    /// Factor of the second input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::backbone) residual: Option<f32>,
    pub(in crate::backbone) range: Range,
}

/// How a convolution's weights are packed and which kernel runs them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::backbone) enum Packing {
    /// Each channel by itself, 3×3 or 5×5: the depthwise kernel.
    Depthwise,
    /// One matrix a group.
    Matrix,
}

impl Description {
    /// Channels of a value.
    pub(in crate::backbone) fn channels(&self, value: usize) -> usize {
        match value.checked_sub(1) {
            None => 3,
            Some(layer) => self.layers[layer].channels,
        }
    }

    /// Bytes from one location of a value to the next.
    pub(in crate::backbone) fn stride(&self, value: usize) -> usize {
        match value {
            0 => 3,
            _ => self.channels(value).next_multiple_of(8),
        }
    }

    /// The zero point of a value, 0 for the photo, whose offset is part of the first bias.
    pub(in crate::backbone) fn zero(&self, value: usize) -> u8 {
        match value.checked_sub(1) {
            None => 0,
            Some(layer) => self.layers[layer].zero,
        }
    }

    /// Checks everything that does not depend on the input's size, so that running can index
    /// without fear. `Err` names the layer, what was expected and what was found.
    pub(in crate::backbone) fn check(&self, blob: usize) -> Result<(), String> {
        if self.layers.len() > MOST_LAYERS {
            return Err(format!(
                "at most {MOST_LAYERS} layers, found {}",
                self.layers.len()
            ));
        }
        for (at, layer) in self.layers.iter().enumerate() {
            self.check_layer(at, layer, blob)
                .map_err(|reason| format!("layer {at} ({}): {reason}", shortened(&layer.name)))?;
        }
        if self.taps.is_empty() || self.taps.len() > MOST_TAPS {
            return Err(format!("1 to {MOST_TAPS} taps, found {}", self.taps.len()));
        }
        for tap in &self.taps {
            if !(1..=self.layers.len()).contains(&tap.value) {
                return Err(format!(
                    "tap {}: there is no value {}",
                    shortened(&tap.name),
                    tap.value
                ));
            }
        }
        Ok(())
    }

    fn check_layer(&self, at: usize, layer: &Layer, blob: usize) -> Result<(), String> {
        if !(1..=MOST_CHANNELS).contains(&layer.channels) {
            return Err(format!(
                "1 to {MOST_CHANNELS} channels, found {}",
                layer.channels
            ));
        }
        if !(layer.scale.is_finite() && layer.scale > 0.0) {
            return Err(format!("scale must be above 0, found {}", layer.scale));
        }
        if let Some(input) = layer.inputs.iter().find(|&&input| input > at) {
            return Err(format!("reads value {input} before it is there"));
        }
        let needed = match &layer.operator {
            Operator::Convolution(convolution) => {
                1..=1 + usize::from(convolution.residual.is_some())
            }
            Operator::Add { .. } | Operator::Multiply { .. } => 2..=2,
            Operator::Concat { .. } => 1..=MOST_INPUTS,
            _ => 1..=1,
        };
        let count = layer.inputs.len();
        if !needed.contains(&count) || (count == 1 && *needed.end() == 2) {
            return Err(format!("{needed:?} inputs, found {count}"));
        }
        // Only a convolution knows how to read the photo, whose bytes stand without gaps.
        let convolves = matches!(layer.operator, Operator::Convolution(_));
        let photo_elsewhere = layer
            .inputs
            .iter()
            .skip(usize::from(convolves))
            .any(|&i| i == 0);
        if photo_elsewhere {
            return Err("only a convolution may read the photo".to_owned());
        }
        let input = self.channels(layer.inputs[0]);
        let same = |value: usize| match self.channels(value) == layer.channels {
            true => Ok(()),
            false => Err(format!(
                "{} channels expected, found {}",
                layer.channels,
                self.channels(value)
            )),
        };
        let stays = |value: usize| {
            let of = &self.layers[value - 1];
            match (of.scale, of.zero) == (layer.scale, layer.zero) {
                true => Ok(()),
                false => Err("the quantisation must stay".to_owned()),
            }
        };
        match &layer.operator {
            Operator::Convolution(convolution) => {
                if let Some(&residual) = layer.inputs.get(1) {
                    same(residual)?;
                }
                convolution.check(input, layer.channels, blob)
            }
            Operator::Table { table } => {
                same(layer.inputs[0])?;
                check_table(*table, blob)
            }
            Operator::Add { left, right, range } => {
                layer.inputs.iter().try_for_each(|&value| same(value))?;
                check_factors(&[*left, *right])?;
                range.check()
            }
            Operator::Multiply { factor, range } => {
                layer.inputs.iter().try_for_each(|&value| same(value))?;
                check_factors(&[*factor])?;
                range.check()
            }
            Operator::GlobalAverage { factor, range } => {
                same(layer.inputs[0])?;
                check_factors(&[*factor])?;
                range.check()
            }
            Operator::Average {
                window,
                factor,
                range,
            } => {
                same(layer.inputs[0])?;
                check_factors(&[*factor])?;
                window.check()?;
                range.check()
            }
            Operator::Maximum { window } => {
                same(layer.inputs[0])?;
                stays(layer.inputs[0])?;
                window.check()
            }
            Operator::Concat { tables } => {
                let total: usize = layer.inputs.iter().map(|&value| self.channels(value)).sum();
                if total != layer.channels || tables.len() != layer.inputs.len() {
                    return Err(format!(
                        "{} channels and {} tables expected, found {total} and {}",
                        layer.channels,
                        layer.inputs.len(),
                        tables.len()
                    ));
                }
                tables
                    .iter()
                    .try_for_each(|&table| check_table(table, blob))
            }
            Operator::Resize(resize) => {
                same(layer.inputs[0])?;
                stays(layer.inputs[0])?;
                resize.check()
            }
        }
    }
}

impl Convolution {
    fn check(&self, inputs: usize, outputs: usize, blob: usize) -> Result<(), String> {
        self.window.check()?;
        let groups = self.groups;
        if groups == 0 || !inputs.is_multiple_of(groups) || !outputs.is_multiple_of(groups) {
            return Err(format!(
                "{groups} groups do not divide {inputs} inputs and {outputs} outputs"
            ));
        }
        let sum = self.window.area() * (inputs / groups);
        if sum > LONGEST_SUM {
            return Err(format!("at most {LONGEST_SUM} products a sum, found {sum}"));
        }
        check_factors(&[
            self.hard_swish.unwrap_or_default(),
            self.residual.unwrap_or_default(),
        ])?;
        if let Some(scale) = self.hard_swish.filter(|scale| *scale <= 0.0) {
            return Err(format!("a HardSwish's scale is above 0, found {scale}"));
        }
        self.range.check()?;
        let length = self.length(inputs, outputs);
        match self.weights.checked_add(length) {
            Some(end) if end <= blob => Ok(()),
            _ => Err(format!(
                "weights of {length} bytes at {} reach beyond the {blob} bytes there are",
                self.weights
            )),
        }
    }

    pub(in crate::backbone) fn activation(&self) -> Activation {
        match self.hard_swish {
            None => Activation::Linear,
            Some(scale) => Activation::HardSwish {
                three: 3.0 * scale.sqrt(),
            },
        }
    }

    /// How this convolution's weights are packed.
    pub(in crate::backbone) fn packing(&self, inputs: usize, outputs: usize) -> Packing {
        let window = &self.window;
        let square = window.size[0] == window.size[1] && window.stride[0] == window.stride[1];
        let fast = matches!(window.size[0], 3 | 5) && matches!(window.stride[0], 1 | 2);
        let alone = self.groups == inputs && self.groups == outputs && inputs > 3;
        let bare = window.dilation == [1, 1] && self.residual.is_none();
        if square && fast && alone && bare {
            Packing::Depthwise
        } else {
            Packing::Matrix
        }
    }

    /// Packed weights of one group (of all channels when depthwise), in bytes.
    pub(in crate::backbone) fn weights_length(&self, inputs: usize, outputs: usize) -> usize {
        let size = self.window.size[0];
        match self.packing(inputs, outputs) {
            Packing::Depthwise => outputs.div_ceil(16) * size * size.div_ceil(4) * 64,
            Packing::Matrix => {
                let sum = (self.window.area() * (inputs / self.groups)).next_multiple_of(8);
                (outputs / self.groups)
                    .next_multiple_of(16)
                    .saturating_mul(sum)
            }
        }
    }

    /// Groups that are packed one behind the other, and the outputs of each.
    pub(in crate::backbone) fn blocks(&self, inputs: usize, outputs: usize) -> (usize, usize) {
        match self.packing(inputs, outputs) {
            Packing::Depthwise => (1, outputs),
            Packing::Matrix => (self.groups, outputs / self.groups),
        }
    }

    /// Bytes of the blob: for each block the weights, then for all outputs (each block padded to 16)
    /// bias and multipliers of four bytes.
    pub(in crate::backbone) fn length(&self, inputs: usize, outputs: usize) -> usize {
        let (blocks, width) = self.blocks(inputs, outputs);
        // Saturates where a hostile file would overflow 32 bits; no blob is that long.
        let block = self
            .weights_length(inputs, outputs)
            .saturating_add(8 * width.next_multiple_of(16));
        blocks.saturating_mul(block)
    }
}

impl Range {
    fn check(&self) -> Result<(), String> {
        check_factors(&[self.zero])?;
        match self.low <= self.high {
            true => Ok(()),
            false => Err(format!("the range {}..={} is empty", self.low, self.high)),
        }
    }
}

/// Factors must be finite and far from what would overflow.
pub(super) fn check_factors(factors: &[f32]) -> Result<(), String> {
    match factors
        .iter()
        .find(|factor| factor.is_nan() || factor.abs() > LARGEST_FACTOR)
    {
        None => Ok(()),
        Some(factor) => Err(format!(
            "factors must be within ±{LARGEST_FACTOR:e}, found {factor}"
        )),
    }
}

fn check_table(table: usize, blob: usize) -> Result<(), String> {
    match table.checked_add(256) {
        Some(end) if end <= blob => Ok(()),
        _ => Err(format!(
            "table at {table} reaches beyond the {blob} bytes there are"
        )),
    }
}

/// Names come from files: they are cut before they go into a message.
fn shortened(name: &str) -> String {
    name.chars().take(64).collect()
}
