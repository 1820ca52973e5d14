//! A plan laid out for a delegate: weights unpacked, what the plan fuses taken apart.
//!
//! The plan's layers round once where a delegate's have to round twice: a residual that the plan adds
//! to the sum becomes a layer of its own, and so does a HardSwish. Their inputs get a grid of their
//! own, for which the plan has no figures: see [`Layout::between`].

use std::ops::Range as Span;

use super::Plan;
use super::description::{Convolution, Description, Layer, Operator, Packing, Range};
use crate::backbone::BackboneError;
use crate::backbone::delegate::{
    Clamp, Network, NetworkConvolution, NetworkLayer, NetworkOperator, NetworkValue, NetworkWindow,
};
use crate::backbone::window::Window;
use crate::kernel::{depthwise, gemm};

/// The network so far, and where the plan's values are in it.
struct Layout<'a> {
    plan: &'a Plan,
    shapes: &'a [[usize; 2]],
    network: Network,
    places: Vec<usize>,
}

impl Plan {
    /// The network for an input of this size, with the layers that the taps need.
    ///
    /// # Errors
    /// [`BackboneError::Unrunnable`] for a size that does not fit, or a network without the one byte
    /// that padding around a photo holds.
    pub(in crate::backbone) fn network(
        &self,
        width: u32,
        height: u32,
    ) -> Result<Network, BackboneError> {
        let refuse = |reason| BackboneError::Unrunnable {
            width,
            height,
            reason,
        };
        let prepared = self.prepare(width, height)?;
        let [fill, ..] = self.description.fill;
        if self.description.fill != [fill; 3] {
            let reason = format!(
                "padding around the photo has no single byte: {:?}",
                self.description.fill
            );
            return Err(refuse(reason));
        }
        let mut layout = Layout {
            plan: self,
            shapes: &prepared.shapes,
            network: Network {
                values: vec![NetworkValue {
                    shape: [height as usize, width as usize, 3],
                    scale: 1.0,
                    zero: fill,
                }],
                layers: Vec::new(),
                taps: Vec::new(),
                tap_names: self.tap_names(),
            },
            places: vec![0; self.description.layers.len() + 1],
        };
        for (at, layer) in self.description.layers.iter().enumerate() {
            if self.needed[at] {
                layout.layer(at, layer).map_err(|reason| {
                    refuse(format!(
                        "layer {} is none for a delegate: {reason}",
                        layer.name
                    ))
                })?;
            }
        }
        let taps = self.taps.iter().map(|&value| layout.places[value]);
        layout.network.taps = taps.collect();
        Ok(layout.network)
    }

    fn tap_names(&self) -> Vec<String> {
        let name = |value: &usize| {
            let found = self.description.taps.iter().find(|tap| tap.value == *value);
            found.map_or_else(String::new, |tap| tap.name.clone())
        };
        self.taps.iter().map(name).collect()
    }
}

impl Layout<'_> {
    fn layer(&mut self, at: usize, layer: &Layer) -> Result<(), String> {
        let description = &self.plan.description;
        let whole = |range: &Range| Clamp {
            low: range.low,
            high: range.high,
        };
        let (operator, clamp) = match &layer.operator {
            Operator::Convolution(convolution) => return self.convolution(at, layer, convolution),
            Operator::Add { range, .. } => (NetworkOperator::Add, whole(range)),
            Operator::Multiply { range, .. } => (NetworkOperator::Multiply, whole(range)),
            Operator::GlobalAverage { range, .. } => {
                let shape = self.shapes[layer.inputs[0]];
                (NetworkOperator::Average(whole_map(shape)), whole(range))
            }
            Operator::Average { window, range, .. } if !window.count_padding => {
                let window = self.window(window, layer.inputs[0], at + 1);
                (NetworkOperator::Average(window), whole(range))
            }
            Operator::Maximum { window } => {
                let window = self.window(window, layer.inputs[0], at + 1);
                (NetworkOperator::Maximum(window), Clamp::NONE)
            }
            Operator::Concat { tables } if requantises(self.plan, layer, tables) => {
                (NetworkOperator::Concat, Clamp::NONE)
            }
            Operator::Average { .. } => (
                NetworkOperator::Other("an average that counts padding"),
                Clamp::NONE,
            ),
            Operator::Concat { .. } => (
                NetworkOperator::Other("joining through tables"),
                Clamp::NONE,
            ),
            Operator::Table { .. } => (NetworkOperator::Other("a table"), Clamp::NONE),
            Operator::Resize(_) => (NetworkOperator::Other("resizing a map"), Clamp::NONE),
        };
        let inputs = layer.inputs.iter().map(|&value| self.places[value]);
        let inputs = inputs.collect();
        let output = self.value(
            at + 1,
            layer.channels,
            layer.scale,
            description.zero(at + 1),
        );
        self.places[at + 1] = output;
        self.push(layer, inputs, output, operator, clamp);
        Ok(())
    }

    /// A convolution, then its HardSwish, then its residual, as far as it has them.
    fn convolution(
        &mut self,
        at: usize,
        layer: &Layer,
        convolution: &Convolution,
    ) -> Result<(), String> {
        let read = layer.inputs[0];
        let from = self.network.values[self.places[read]];
        let out = NetworkValue {
            shape: self.shape(at + 1, layer.channels),
            scale: layer.scale,
            zero: layer.zero,
        };
        let residual = layer.inputs.get(1).map(|&value| self.places[value]);
        let clamp = Clamp {
            low: convolution.range.low,
            high: convolution.range.high,
        };
        let added = match (residual, convolution.residual) {
            (Some(value), Some(factor)) => factor * f32::from(self.network.values[value].zero),
            _ => 0.0,
        };
        // What the sum gives, in units of a multiplier of 1.
        let (sum, offset) = match (convolution.hard_swish, residual) {
            (Some(_), _) => (Self::before_hard_swish(out), 0.0),
            (None, Some(_)) => (
                Self::between(out),
                convolution.range.zero + added - f32::from(layer.zero),
            ),
            (None, None) => (out, convolution.range.zero - f32::from(layer.zero)),
        };
        let units = match convolution.hard_swish {
            Some(scale) => scale.sqrt().recip(),
            None => out.scale,
        };
        let parameters = &self.plan.parameters[at];
        let weights = unpack(self.plan, at, read, convolution);
        let row = weights.len() / layer.channels;
        let (mut scales, mut bias) = (Vec::new(), Vec::new());
        let order = self.outputs(read, layer.channels, convolution);
        for (weights, place) in weights.chunks_exact(row).zip(order) {
            let multiplier = parameters.multiplier[place];
            let scale = multiplier * units / from.scale;
            if !(scale.is_normal() && scale > 0.0) {
                return Err(format!("a scale above 0 expected, found {scale:e}"));
            }
            let total: i64 = weights.iter().map(|&weight| i64::from(weight)).sum();
            let moved = (f64::from(offset) / f64::from(multiplier)).round_ties_even();
            let whole = (i64::from(parameters.bias[place]) + i64::from(from.zero) * total)
                .saturating_add(moved as i64);
            let whole = i32::try_from(whole)
                .map_err(|_| format!("a bias of 32 bits expected, found {whole}"))?;
            scales.push(scale);
            bias.push(whole);
        }
        let operator = NetworkOperator::Convolution(NetworkConvolution {
            window: self.window(&convolution.window, read, at + 1),
            groups: convolution.groups,
            weights,
            scales,
            bias,
        });
        let steps = usize::from(convolution.hard_swish.is_some()) + usize::from(residual.is_some());
        let mut last = self.add_value(sum);
        let inputs = vec![self.places[read]];
        let last_clamp = |left: usize| if left == 0 { clamp } else { Clamp::NONE };
        self.push(layer, inputs, last, operator, last_clamp(steps));
        if convolution.hard_swish.is_some() {
            let value = match residual {
                Some(_) => Self::between(out),
                None => out,
            };
            let output = self.add_value(value);
            let clamp = last_clamp(usize::from(residual.is_some()));
            self.push(layer, vec![last], output, NetworkOperator::HardSwish, clamp);
            last = output;
        }
        if let Some(residual) = residual {
            let output = self.add_value(out);
            let inputs = vec![last, residual];
            self.push(layer, inputs, output, NetworkOperator::Add, clamp);
            last = output;
        }
        self.places[at + 1] = last;
        Ok(())
    }

    /// What is added to a residual: the output's step, with as much room on either side of 0. A sum
    /// that the residual takes back into range, but is beyond it by itself, is cut off.
    fn between(out: NetworkValue) -> NetworkValue {
        NetworkValue { zero: 128, ..out }
    }

    /// What HardSwish reads: from -4, below which it gives 0 (that is from -3 on), to the largest value
    /// that it gives, which it leaves as it is.
    fn before_hard_swish(out: NetworkValue) -> NetworkValue {
        let largest = f32::from(255 - out.zero) * out.scale;
        let scale = (largest + 4.0) / 255.0;
        NetworkValue {
            scale,
            zero: (4.0 / scale).round_ties_even().min(255.0) as u8,
            ..out
        }
    }

    /// Places of the outputs' parameters: each block is padded to 16.
    fn outputs(
        &self,
        read: usize,
        channels: usize,
        convolution: &Convolution,
    ) -> impl Iterator<Item = usize> + use<> {
        let inputs = self.plan.description.channels(read);
        let (_, width) = convolution.blocks(inputs, channels);
        let padded = width.next_multiple_of(16);
        (0..channels).map(move |output| output / width * padded + output % width)
    }

    fn window(&self, window: &Window, from: usize, to: usize) -> NetworkWindow {
        let sides = [0, 1].map(|axis| {
            let input = self.shapes[from][axis];
            let front = window.outputs(axis, input).map_or(0, |(_, front)| front);
            let reach = (window.size[axis] - 1) * window.dilation[axis] + 1;
            let read = (self.shapes[to][axis] - 1) * window.stride[axis] + reach;
            [front, read.saturating_sub(input + front)]
        });
        NetworkWindow {
            size: window.size,
            stride: window.stride,
            dilation: window.dilation,
            padding: [sides[0][0], sides[1][0], sides[0][1], sides[1][1]],
        }
    }

    fn shape(&self, value: usize, channels: usize) -> [usize; 3] {
        let [rows, columns] = self.shapes[value];
        [rows, columns, channels]
    }

    fn value(&mut self, value: usize, channels: usize, scale: f32, zero: u8) -> usize {
        let shape = self.shape(value, channels);
        self.add_value(NetworkValue { shape, scale, zero })
    }

    fn add_value(&mut self, value: NetworkValue) -> usize {
        self.network.values.push(value);
        self.network.values.len() - 1
    }

    fn push(
        &mut self,
        layer: &Layer,
        inputs: Vec<usize>,
        output: usize,
        operator: NetworkOperator,
        clamp: Clamp,
    ) {
        self.network.layers.push(NetworkLayer {
            name: layer.name.clone(),
            inputs,
            output,
            operator,
            clamp,
        });
    }
}

fn whole_map(shape: [usize; 2]) -> NetworkWindow {
    NetworkWindow {
        size: shape,
        stride: [1, 1],
        dilation: [1, 1],
        padding: [0; 4],
    }
}

/// Whether the tables of a joining do nothing but change the grid.
fn requantises(plan: &Plan, layer: &Layer, tables: &[usize]) -> bool {
    let quantisation = |value: usize| {
        let of = &plan.description.layers[value - 1];
        (of.scale, f32::from(of.zero))
    };
    layer.inputs.iter().zip(tables).all(|(&input, &table)| {
        let (scale, zero) = quantisation(input);
        let table = &plan.blob()[table..table + 256];
        table.iter().enumerate().all(|(byte, &to)| {
            let real = (byte as f32 - zero) * scale;
            let expected = (real / layer.scale + f32::from(layer.zero)).clamp(0.0, 255.0);
            (expected - f32::from(to)).abs() <= 0.51
        })
    })
}

/// A convolution's weights as `outputs × rows × columns × inputs of a group`.
fn unpack(plan: &Plan, at: usize, read: usize, convolution: &Convolution) -> Vec<i8> {
    let description: &Description = &plan.description;
    let (inputs, outputs) = (description.channels(read), description.layers[at].channels);
    let (blocks, width) = convolution.blocks(inputs, outputs);
    let length = convolution.weights_length(inputs, outputs);
    let whole = length + 8 * width.next_multiple_of(16);
    let sum = convolution.window.area() * (inputs / convolution.groups);
    let mut weights = Vec::with_capacity(outputs * sum);
    for block in 0..blocks {
        let start = convolution.weights + block * whole;
        let packed: Span<usize> = start..start + length;
        let packed = &plan.blob()[packed];
        weights.extend(match convolution.packing(inputs, outputs) {
            Packing::Depthwise => depthwise::unpack(packed, width, convolution.window.size[0]),
            Packing::Matrix => gemm::unpack(packed, width, sum),
        });
    }
    weights
}
