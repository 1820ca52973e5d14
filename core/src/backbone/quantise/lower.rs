//! The float graph's layers in integers: scales become multipliers, functions become tables.

use std::collections::HashMap;

use super::super::graph::{Activation, Convolution, Graph, Node, Operator, Quantisation, ValueId};
use super::super::plan::build::{Builder, Rows, Shape};
use super::super::plan::description::{self, Range};
use super::weights::{depthwise_neighbours, neighbours, quantise_row};
use crate::backbone::BackboneError;

/// Largest step of a sum, in steps of the output, at which rounding a zero point to it loses nothing
/// that can be seen: half of it is a hundredth of the rounding that follows.
const FINEST: f64 = 0.01;

/// The plan so far, and where the graph's values are in it.
pub(super) struct Lowering {
    builder: Builder,
    values: HashMap<ValueId, (usize, Quantisation)>,
}

/// What a convolution reads: `real = (byte - zero) · scale`, a channel each.
pub(super) struct Source {
    zero: Vec<f32>,
    /// One for all channels.
    scale: f32,
    /// What is left of the photo's normalisation, and goes into the weights.
    factors: Option<[f32; 3]>,
}

/// A convolution's weights in bytes, its bias still in float.
pub(super) struct Integer {
    weights: Vec<i8>,
    /// Real weight by byte, an output each.
    scales: Vec<f32>,
    bias: Vec<f32>,
}

impl Source {
    fn factor(&self, channel: usize) -> f32 {
        self.factors.map_or(1.0, |factors| factors[channel])
    }
}

impl Integer {
    /// Takes the file's bytes, or quantises the floats. `importance` is the mean square of each
    /// input channel.
    pub(super) fn new(
        convolution: &Convolution,
        from: &Source,
        importance: Option<&[f32]>,
    ) -> Self {
        let bias = convolution.bias.clone();
        let uniform = from.factors.is_none_or(|f| f[0] == f[1] && f[0] == f[2]);
        if let (Some((weights, scales)), true) = (&convolution.quantised, uniform) {
            let mut integer = Self {
                weights: weights.clone(),
                scales: scales.iter().map(|scale| scale * from.factor(0)).collect(),
                bias,
            };
            integer.make_biases_fit(from);
            return integer;
        }
        let (row, depth) = (convolution.row(), convolution.depth);
        let size = convolution.window.size;
        let pairs = match convolution.is_depthwise() && size[0] == size[1] && size[0] > 1 {
            true => depthwise_neighbours(size[0]),
            false => neighbours(row),
        };
        let outputs = convolution.outputs / convolution.groups;
        let mut integer = Self {
            weights: Vec::with_capacity(convolution.weights.len()),
            scales: Vec::new(),
            bias,
        };
        for (output, weights) in convolution.weights.chunks_exact(row).enumerate() {
            let channel = |at: usize| output / outputs * depth + at % depth;
            let scaled: Vec<f32> = (0..row)
                .map(|at| weights[at] * from.factor(channel(at)))
                .collect();
            let weighed: Vec<f32> = (0..row)
                .map(|at| {
                    let square = importance.map_or(1.0, |i| i[channel(at)]);
                    let factor = from.factor(channel(at));
                    square / (factor * factor).max(1e-30)
                })
                .collect();
            // The bias must fit 32 bits at the scale of the sum: small weights may not make it
            // huge.
            let least = (integer.bias[output].abs() / (from.scale * (1 << 24) as f32)).max(1e-20);
            let (bytes, scale) = quantise_row(&scaled, &weighed, &pairs, least);
            integer.weights.extend(bytes);
            integer.scales.push(scale);
        }
        integer
    }

    /// Coarsens rows whose bias is beyond 32 bits at the scale of their sum: next to such a bias the
    /// weights hardly count.
    fn make_biases_fit(&mut self, from: &Source) {
        let row = self.weights.len() / self.scales.len();
        let rows = self.weights.chunks_exact_mut(row).zip(&mut self.scales);
        for ((weights, scale), bias) in rows.zip(&self.bias) {
            let least = bias.abs() / (from.scale * (1 << 28) as f32);
            if *scale < least {
                let ratio = *scale / least;
                for weight in weights {
                    *weight = (f32::from(*weight) * ratio).round_ties_even() as i8;
                }
                *scale = least;
            }
        }
    }

    /// The convolution that the bytes stand for.
    pub(super) fn real(&self, convolution: &Convolution, from: &Source) -> Convolution {
        let (row, depth) = (convolution.row(), convolution.depth);
        let outputs = convolution.outputs / convolution.groups;
        let real = self.weights.iter().enumerate().map(|(at, &byte)| {
            let (output, at) = (at / row, at % row);
            let channel = output / outputs * depth + at % depth;
            f32::from(byte) * self.scales[output] / from.factor(channel)
        });
        Convolution {
            weights: real.collect(),
            ..convolution.clone()
        }
    }

    pub(super) fn move_bias(&mut self, correction: &[f32]) {
        let pairs = self.bias.iter_mut().zip(correction);
        pairs.for_each(|(bias, correction)| *bias += correction);
    }
}

impl Lowering {
    pub(super) fn new(graph: &Graph) -> Self {
        // A byte around the photo stands for 0 of the network's input as nearly as a byte can: with
        // a mean of 127.5 it is half a step off, and only at the border. The photo's own bytes are
        // exact, since their mean goes into the bias in full precision.
        let fill = graph
            .normalisation
            .mean
            .map(|mean| mean.round_ties_even().clamp(0.0, 255.0));
        Self {
            builder: Builder::new(fill.map(|fill| fill as u8)),
            values: HashMap::new(),
        }
    }

    pub(super) fn quantisation(&self, value: ValueId) -> Quantisation {
        self.values[&value].1
    }

    pub(super) fn source(&self, graph: &Graph, value: ValueId) -> Source {
        if value == 0 {
            return Source {
                zero: graph.normalisation.mean.to_vec(),
                scale: 1.0,
                factors: Some(graph.normalisation.scale),
            };
        }
        let quantisation = self.quantisation(value);
        Source {
            zero: vec![f32::from(quantisation.zero); graph.values[value].channels],
            scale: quantisation.scale,
            factors: None,
        }
    }

    pub(super) fn convolution(
        &mut self,
        node: &Node,
        convolution: &Convolution,
        integer: &Integer,
        from: &Source,
        to: Quantisation,
    ) -> Result<(), String> {
        let (row, depth) = (convolution.row(), convolution.depth);
        let outputs = convolution.outputs / convolution.groups;
        let zero = f32::from(to.zero);
        // Real units to the output's grid; HardSwish wants real units.
        let (factor, offset) = match convolution.activation {
            Activation::HardSwish => (1.0, 0.0),
            Activation::HardSigmoid { alpha, beta } => (alpha / to.scale, beta / to.scale),
            _ => (1.0 / to.scale, 0.0),
        };
        let (low, high) = match convolution.activation {
            Activation::Clip { low, high } => (to.quantise(low), to.quantise(high)),
            Activation::HardSigmoid { .. } => (to.quantise(0.0), to.quantise(1.0)),
            _ => (0, 255),
        };
        let mut inputs = vec![self.place(node.inputs[0])];
        let mut residual = None;
        let mut zero = zero + offset;
        if let Some(&added) = node.inputs.get(1) {
            let (place, quantisation) = self.known(added)?;
            let factor = quantisation.scale / to.scale;
            inputs.push(place);
            residual = Some(factor);
            zero -= factor * f32::from(quantisation.zero);
        }
        let steps = integer
            .scales
            .iter()
            .map(|&scale| f64::from(from.scale) * f64::from(scale));
        let multiplier = steps
            .clone()
            .map(|step| (step * f64::from(factor)) as f32)
            .collect();
        // The zero point goes into the bias, which the kernels add for nothing, where a rounded bias
        // is fine enough for it.
        let folded = convolution.activation != Activation::HardSwish
            && steps.clone().all(|step| {
                let step = step * f64::from(factor);
                step <= FINEST && f64::from(zero.abs()) / step < f64::from(1 << 28)
            });
        let mut rows = Rows {
            weights: integer.weights.clone(),
            bias: Vec::new(),
            multiplier,
        };
        for ((output, weights), step) in integer.weights.chunks_exact(row).enumerate().zip(steps) {
            let moved: f64 = weights
                .iter()
                .enumerate()
                .map(|(at, &weight)| {
                    let channel = output / outputs * depth + at % depth;
                    f64::from(weight) * f64::from(from.zero[channel])
                })
                .sum();
            let mut bias = f64::from(integer.bias[output]) / step - moved;
            let limit = f64::from(1 << 29);
            if bias.is_nan() || bias.abs() >= limit {
                return Err(format!(
                    "the bias of output {output} is {bias:e} times its weights' step; too large for 32 bits"
                ));
            }
            if folded {
                bias += f64::from(zero) / (step * f64::from(factor));
            }
            rows.bias.push(bias.round_ties_even() as i32);
        }
        if folded {
            zero = 0.0;
        }
        let shape = Shape {
            window: convolution.window,
            groups: convolution.groups,
            hard_swish: match convolution.activation {
                Activation::HardSwish => Some(1.0 / (6.0 * to.scale)),
                _ => None,
            },
            residual,
            range: Range { zero, low, high },
        };
        let operator = self.builder.convolution(inputs[0], &shape, &rows);
        self.push(node, &inputs, convolution.outputs, to, operator);
        Ok(())
    }

    /// Everything but convolutions.
    pub(super) fn other(
        &mut self,
        node: &Node,
        graph: &Graph,
        to: Quantisation,
    ) -> Result<(), String> {
        let mut inputs = Vec::new();
        let mut from = Vec::new();
        for &value in &node.inputs {
            let (place, quantisation) = self.known(value)?;
            inputs.push(place);
            from.push(quantisation);
        }
        let whole = |zero: f32| Range {
            zero,
            low: 0,
            high: 255,
        };
        let zero = f32::from(to.zero);
        let operator = match &node.operator {
            Operator::Activate(activation) => self.function(from[0], to, |x| activation.apply(x)),
            Operator::Quantise(_) => self.function(from[0], to, |x| x),
            Operator::Add => {
                let [left, right] = [0, 1].map(|at| from[at].scale / to.scale);
                let moved = left * f32::from(from[0].zero) + right * f32::from(from[1].zero);
                description::Operator::Add {
                    left,
                    right,
                    range: whole(zero - moved),
                }
            }
            Operator::Multiply => description::Operator::Multiply {
                factor: (f64::from(from[0].scale) * f64::from(from[1].scale) / f64::from(to.scale))
                    as f32,
                range: whole(zero),
            },
            Operator::GlobalAverage => {
                let factor = from[0].scale / to.scale;
                description::Operator::GlobalAverage {
                    factor,
                    range: whole(zero - factor * f32::from(from[0].zero)),
                }
            }
            Operator::Average(window) => {
                let factor = from[0].scale / to.scale;
                description::Operator::Average {
                    window: *window,
                    factor,
                    range: whole(zero - factor * f32::from(from[0].zero)),
                }
            }
            Operator::Maximum(window) => description::Operator::Maximum { window: *window },
            Operator::Resize(resize) => description::Operator::Resize(*resize),
            Operator::Concat => {
                let tables = from.iter().map(|&from| {
                    let table = std::array::from_fn(|byte| to.quantise(from.real(byte as u8)));
                    self.builder.table(&table)
                });
                description::Operator::Concat {
                    tables: tables.collect(),
                }
            }
            Operator::Pad(_) => {
                return Err("padding is known before a convolution only".to_owned());
            }
            Operator::Convolution(_) | Operator::Affine { .. } => {
                unreachable!("convolutions are lowered by themselves, affine maps became such")
            }
        };
        let channels = graph.values[node.output].channels;
        self.push(node, &inputs, channels, to, operator);
        Ok(())
    }

    fn function(
        &mut self,
        from: Quantisation,
        to: Quantisation,
        f: impl Fn(f32) -> f32,
    ) -> description::Operator {
        let table = std::array::from_fn(|byte| to.quantise(f(from.real(byte as u8))));
        description::Operator::Table {
            table: self.builder.table(&table),
        }
    }

    fn push(
        &mut self,
        node: &Node,
        inputs: &[usize],
        channels: usize,
        to: Quantisation,
        operator: description::Operator,
    ) {
        let place = self
            .builder
            .layer(&node.name, inputs, channels, to, operator);
        self.values.insert(node.output, (place, to));
    }

    fn place(&self, value: ValueId) -> usize {
        self.values.get(&value).map_or(0, |(place, _)| *place)
    }

    /// A value other than the photo.
    fn known(&self, value: ValueId) -> Result<(usize, Quantisation), String> {
        self.values
            .get(&value)
            .copied()
            .ok_or_else(|| "only a convolution may read the photo".to_owned())
    }

    pub(super) fn finish(mut self, graph: &Graph) -> Result<Vec<u8>, BackboneError> {
        for (name, value) in &graph.taps {
            self.builder.tap(name, self.place(*value));
        }
        self.builder.finish()
    }
}
