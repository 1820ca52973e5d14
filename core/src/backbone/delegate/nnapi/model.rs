//! The network as an NNAPI model: an operand a value, an operation a layer, weights from one mapped
//! file.

use std::collections::HashMap;
use std::ffi::c_void;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use sha2::{Digest, Sha256};

use super::super::{
    Clamp, DelegateError, Network, NetworkConvolution, NetworkLayer, NetworkOperator, NetworkValue,
    NetworkWindow,
};
use super::api::{self, OperandType};
use super::objects::{DeviceChoice, Memory, Model, Runtime, call};
use super::{Encoding, NnapiOptions};

/// The API level that brought weights with a scale a channel.
const PER_CHANNEL_LEVEL: u32 = 29;
/// Weights and biases begin at multiples of this in their file.
const ALIGNMENT: usize = 64;

/// A finished model.
pub(super) struct Built {
    pub(super) model: Arc<Model>,
    /// The layer that each operation belongs to.
    layers: Vec<String>,
    pub(super) input: NetworkValue,
    pub(super) taps: Vec<NetworkValue>,
    pub(super) encoding: Encoding,
    /// Of all that decides what is compiled.
    pub(super) digest: [u8; 32],
}

/// Tells the network to the runtime.
pub(super) fn build(
    runtime: &Arc<Runtime>,
    network: &Network,
    options: &NnapiOptions,
) -> Result<Built, DelegateError> {
    let weights = Weights::write(network, options)?;
    let memory = match weights.length {
        0 => None,
        length => Some(Memory::of_file(runtime, &weights.file, length)?),
    };
    let mut builder = Builder {
        model: Model::new(runtime, memory)?,
        options,
        network,
        operands: 0,
        numbers: HashMap::new(),
        values: Vec::new(),
        layers: Vec::new(),
    };
    for value in &network.values {
        let operand = builder.value(value)?;
        builder.values.push(operand);
    }
    let mut places = weights.places.iter();
    for layer in &network.layers {
        builder.layer(layer, &mut places)?;
    }
    let taps: Vec<u32> = network
        .taps
        .iter()
        .map(|&tap| builder.values[tap])
        .collect();
    let input = builder.values[0];
    let model = &builder.model;
    call!(
        runtime,
        Model_identifyInputsAndOutputs(
            model.raw,
            1,
            &raw const input,
            taps.len() as u32,
            taps.as_ptr(),
        )
    )?;
    call!(runtime, Model_finish(model.raw))?;
    Ok(Built {
        model: Arc::new(builder.model),
        layers: builder.layers,
        input: network.values[0],
        taps: network
            .taps
            .iter()
            .map(|&tap| network.values[tap])
            .collect(),
        encoding: options.encoding,
        digest: digest(network, &weights.digest, options),
    })
}

impl Built {
    /// Refuses unless the device runs every operation.
    pub(super) fn require_whole(&self, device: &DeviceChoice) -> Result<(), DelegateError> {
        let mut supported = vec![false; self.layers.len()];
        let devices = [device.device];
        call!(
            self.model.runtime,
            Model_getSupportedOperationsForDevices(
                self.model.raw,
                devices.as_ptr(),
                1,
                supported.as_mut_ptr(),
            )
        )?;
        match supported.iter().position(|supported| !supported) {
            None => Ok(()),
            Some(at) => Err(DelegateError::Unsupported {
                layer: self.layers[at].clone(),
                reason: format!(
                    "{} runs {} of {} operations, and not this one",
                    device.name,
                    supported.iter().filter(|&&supported| supported).count(),
                    supported.len()
                ),
            }),
        }
    }
}

/// All weights and biases in a file without a name: it lives as long as it is mapped.
struct Weights {
    file: File,
    length: usize,
    digest: [u8; 32],
    /// Weights and bias of each convolution.
    places: Vec<[(usize, usize); 2]>,
}

impl Weights {
    fn write(network: &Network, options: &NnapiOptions) -> Result<Self, DelegateError> {
        let cache = &options.cache;
        // Before scales a channel, weights are bytes around 128.
        let flip = if options.api_level < PER_CHANNEL_LEVEL {
            0x80
        } else {
            0
        };
        let mut bytes: Vec<u8> = Vec::new();
        let mut append = |new: &mut dyn Iterator<Item = u8>| {
            bytes.resize(bytes.len().next_multiple_of(ALIGNMENT), 0);
            let start = bytes.len();
            bytes.extend(new);
            (start, bytes.len() - start)
        };
        let mut places = Vec::new();
        for layer in &network.layers {
            if let NetworkOperator::Convolution(convolution) = &layer.operator {
                let weights = ordered(convolution).into_iter();
                let mut weights = weights.map(|weight| weight.cast_unsigned() ^ flip);
                let mut bias = convolution.bias.iter().flat_map(|bias| bias.to_le_bytes());
                places.push([append(&mut weights), append(&mut bias)]);
            }
        }
        Ok(Self {
            length: bytes.len(),
            digest: Sha256::digest(&bytes).into(),
            file: nameless(cache, &bytes).map_err(|error| DelegateError::Failed {
                call: format!("writing weights to {}", cache.display()),
                reason: error.to_string(),
            })?,
            places,
        })
    }
}

/// Of weights, values and layers, and of how bytes are seen.
fn digest(network: &Network, weights: &[u8; 32], options: &NnapiOptions) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(weights);
    hash.update(format!(
        "{:?} {:?} {:?}",
        options.encoding, network.values, network.taps
    ));
    for layer in &network.layers {
        hash.update(format!(
            "{:?} {} {:?}",
            layer.inputs, layer.output, layer.clamp
        ));
        match &layer.operator {
            NetworkOperator::Convolution(convolution) => {
                hash.update(format!("{:?} {}", convolution.window, convolution.groups));
                let scales = convolution
                    .scales
                    .iter()
                    .flat_map(|scale| scale.to_le_bytes());
                hash.update(scales.collect::<Vec<u8>>());
            }
            other => hash.update(format!("{other:?}")),
        }
    }
    hash.finalize().into()
}

fn nameless(folder: &Path, bytes: &[u8]) -> std::io::Result<File> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    fs::create_dir_all(folder)?;
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let path = folder.join(format!("weights-{}-{count}.tmp", std::process::id()));
    let mut file = File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .open(&path)?;
    let written = file.write_all(bytes);
    fs::remove_file(&path)?;
    written.map(|()| file)
}

/// Weights in the order of the operation: outputs first, of depthwise ones last.
fn ordered(convolution: &NetworkConvolution) -> Vec<i8> {
    let outputs = convolution.bias.len();
    if !is_depthwise(convolution) {
        return convolution.weights.clone();
    }
    let places = convolution.weights.len() / outputs;
    let by_place = (0..places).flat_map(|place| (0..outputs).map(move |c| c * places + place));
    by_place.map(|at| convolution.weights[at]).collect()
}

fn is_depthwise(convolution: &NetworkConvolution) -> bool {
    let [rows, columns] = convolution.window.size;
    let row = convolution.weights.len() / convolution.bias.len();
    convolution.groups > 1 && row == rows * columns
}

struct Builder<'a> {
    model: Model,
    options: &'a NnapiOptions,
    network: &'a Network,
    operands: u32,
    /// Scalars that are operands already, by kind and value.
    numbers: HashMap<(i32, i32), u32>,
    /// The operand of each value.
    values: Vec<u32>,
    layers: Vec<String>,
}

type Places<'a> = std::slice::Iter<'a, [(usize, usize); 2]>;

impl Builder<'_> {
    fn operand(
        &mut self,
        kind: i32,
        dimensions: &[u32],
        scale: f32,
        zero_point: i32,
    ) -> Result<u32, DelegateError> {
        let operand = OperandType {
            kind,
            dimension_count: dimensions.len() as u32,
            dimensions: match dimensions {
                [] => ptr::null(),
                _ => dimensions.as_ptr(),
            },
            scale,
            zero_point,
        };
        let model = &self.model;
        call!(
            model.runtime,
            Model_addOperand(model.raw, &raw const operand)
        )?;
        self.operands += 1;
        Ok(self.operands - 1)
    }

    fn value(&mut self, value: &NetworkValue) -> Result<u32, DelegateError> {
        let [rows, columns, channels] = value.shape.map(|side| side as u32);
        let (kind, zero) = match self.options.encoding {
            Encoding::Unsigned => (api::TENSOR_QUANT8_ASYMM, i32::from(value.zero)),
            Encoding::Signed => (api::TENSOR_QUANT8_ASYMM_SIGNED, i32::from(value.zero) - 128),
        };
        self.operand(kind, &[1, rows, columns, channels], value.scale, zero)
    }

    /// A constant of at most 128 bytes, which the runtime copies.
    fn constant(&mut self, operand: u32, bytes: &[u8]) -> Result<(), DelegateError> {
        let model = &self.model;
        let (data, length) = (bytes.as_ptr().cast::<c_void>(), bytes.len());
        call!(
            model.runtime,
            Model_setOperandValue(model.raw, operand.cast_signed(), data, length)
        )
    }

    fn number(&mut self, value: usize) -> Result<u32, DelegateError> {
        self.scalar(api::INT32, value as i32)
    }

    fn scalar(&mut self, kind: i32, value: i32) -> Result<u32, DelegateError> {
        if let Some(&operand) = self.numbers.get(&(kind, value)) {
            return Ok(operand);
        }
        let operand = self.operand(kind, &[], 0.0, 0)?;
        match kind {
            api::BOOL => self.constant(operand, &[value as u8])?,
            _ => self.constant(operand, &value.to_ne_bytes())?,
        }
        self.numbers.insert((kind, value), operand);
        Ok(operand)
    }

    fn mapped_constant(
        &mut self,
        operand: u32,
        place: (usize, usize),
    ) -> Result<(), DelegateError> {
        let model = &self.model;
        let memory = model
            .weights()
            .map_or(ptr::null(), |memory| memory.raw.cast_const());
        let (offset, length) = place;
        call!(
            model.runtime,
            Model_setOperandValueFromMemory(
                model.raw,
                operand.cast_signed(),
                memory,
                offset,
                length,
            )
        )
    }

    fn operation(
        &mut self,
        layer: &NetworkLayer,
        kind: i32,
        inputs: &[u32],
        output: u32,
    ) -> Result<(), DelegateError> {
        let model = &self.model;
        call!(
            model.runtime,
            Model_addOperation(
                model.raw,
                kind,
                inputs.len() as u32,
                inputs.as_ptr(),
                1,
                &raw const output,
            )
        )?;
        self.layers.push(layer.name.clone());
        Ok(())
    }

    fn layer(
        &mut self,
        layer: &NetworkLayer,
        places: &mut Places<'_>,
    ) -> Result<(), DelegateError> {
        let inputs: Vec<u32> = layer
            .inputs
            .iter()
            .map(|&value| self.values[value])
            .collect();
        let output = self.values[layer.output];
        match &layer.operator {
            NetworkOperator::Convolution(convolution) => {
                let places = places.next().expect("a place each");
                self.convolution(layer, convolution, inputs[0], places, output)
            }
            NetworkOperator::Add => self.arithmetic(layer, api::ADD, inputs, output),
            NetworkOperator::Multiply => {
                let scale = |value: usize| self.network.values[value].scale;
                let product = scale(layer.inputs[0]) * scale(layer.inputs[1]);
                if scale(layer.output) <= product {
                    let reason = format!(
                        "NNAPI multiplies where the output's scale is above the product {product:e} of its inputs', found {:e}",
                        scale(layer.output)
                    );
                    return Err(unsupported(layer, reason));
                }
                self.arithmetic(layer, api::MUL, inputs, output)
            }
            NetworkOperator::HardSwish => {
                if self.options.api_level < 30 {
                    return Err(unsupported(
                        layer,
                        "HardSwish needs API level 30".to_owned(),
                    ));
                }
                self.unclamped(layer)?;
                self.operation(layer, api::HARD_SWISH, &inputs, output)
            }
            NetworkOperator::Average(window) => {
                self.pool(layer, api::AVERAGE_POOL_2D, window, inputs[0], output)
            }
            NetworkOperator::Maximum(window) => {
                self.pool(layer, api::MAX_POOL_2D, window, inputs[0], output)
            }
            NetworkOperator::Concat => {
                let mut inputs = inputs;
                inputs.push(self.number(3)?);
                self.operation(layer, api::CONCATENATION, &inputs, output)
            }
            NetworkOperator::Other(what) => Err(unsupported(layer, format!("NNAPI has no {what}"))),
        }
    }

    fn convolution(
        &mut self,
        layer: &NetworkLayer,
        convolution: &NetworkConvolution,
        input: u32,
        places: &[(usize, usize); 2],
        output: u32,
    ) -> Result<(), DelegateError> {
        let window = &convolution.window;
        let outputs = convolution.bias.len();
        let [rows, columns] = window.size;
        let depth = convolution.weights.len() / outputs / (rows * columns);
        let depthwise = is_depthwise(convolution);
        let (kind, dimensions, channel_dim) = match (depthwise, convolution.groups) {
            (true, _) => (api::DEPTHWISE_CONV_2D, [1, rows, columns, outputs], 3),
            (false, 1) => (api::CONV_2D, [outputs, rows, columns, depth], 0),
            (false, _) => (api::GROUPED_CONV_2D, [outputs, rows, columns, depth], 0),
        };
        let weights = self.weights(layer, convolution, dimensions, channel_dim)?;
        self.mapped_constant(weights, places[0])?;
        // Per channel the step of a bias follows from those of its input and weights, and stands as 0.
        let step = match self.options.api_level < PER_CHANNEL_LEVEL {
            true => self.network.values[layer.inputs[0]].scale * convolution.scales[0],
            false => 0.0,
        };
        let bias = self.operand(api::TENSOR_INT32, &[outputs as u32], step, 0)?;
        self.mapped_constant(bias, places[1])?;
        let mut inputs = vec![input, weights, bias];
        self.sides(&mut inputs, window.padding)?;
        self.strides(&mut inputs, window.stride)?;
        match kind {
            api::DEPTHWISE_CONV_2D => {
                let multiplier = outputs / convolution.groups;
                inputs.push(self.number(multiplier)?);
            }
            api::GROUPED_CONV_2D => inputs.push(self.number(convolution.groups)?),
            _ => {}
        }
        inputs.push(self.activation(layer)?);
        match (kind, window.dilation) {
            (api::GROUPED_CONV_2D, [1, 1]) => inputs.push(self.scalar(api::BOOL, 0)?),
            (api::GROUPED_CONV_2D, dilation) => {
                let reason = format!("grouped convolutions know no dilation, found {dilation:?}");
                return Err(unsupported(layer, reason));
            }
            (_, [1, 1]) => {}
            (_, dilation) => {
                inputs.push(self.scalar(api::BOOL, 0)?);
                self.strides(&mut inputs, dilation)?;
            }
        }
        self.operation(layer, kind, &inputs, output)
    }

    /// The operand of a convolution's weights.
    fn weights(
        &mut self,
        layer: &NetworkLayer,
        convolution: &NetworkConvolution,
        dimensions: [usize; 4],
        channel_dim: u32,
    ) -> Result<u32, DelegateError> {
        let dimensions = dimensions.map(|side| side as u32);
        if self.options.api_level < PER_CHANNEL_LEVEL {
            let scale = self.one_scale(layer, convolution)?;
            return self.operand(api::TENSOR_QUANT8_ASYMM, &dimensions, scale, 128);
        }
        let kind = api::TENSOR_QUANT8_SYMM_PER_CHANNEL;
        let operand = self.operand(kind, &dimensions, 0.0, 0)?;
        let parameters = api::SymmPerChannelQuantParams {
            channel_dim,
            scale_count: convolution.scales.len() as u32,
            scales: convolution.scales.as_ptr(),
        };
        let model = &self.model;
        call!(
            model.runtime,
            Model_setOperandSymmPerChannelQuantParams(
                model.raw,
                operand.cast_signed(),
                &raw const parameters,
            )
        )?;
        Ok(operand)
    }

    /// The one scale of all weights, which the sum's step must stay below the output's with.
    fn one_scale(
        &self,
        layer: &NetworkLayer,
        convolution: &NetworkConvolution,
    ) -> Result<f32, DelegateError> {
        let scale = convolution.scales[0];
        if convolution.scales.iter().any(|other| *other != scale) {
            let reason =
                format!("weights with a scale a channel need API level {PER_CHANNEL_LEVEL}");
            return Err(unsupported(layer, reason));
        }
        let step = self.network.values[layer.inputs[0]].scale * scale;
        if self.network.values[layer.output].scale <= step {
            let reason = format!(
                "before API level {PER_CHANNEL_LEVEL} the output's scale must be above the sum's {step:e}"
            );
            return Err(unsupported(layer, reason));
        }
        Ok(scale)
    }

    fn arithmetic(
        &mut self,
        layer: &NetworkLayer,
        kind: i32,
        mut inputs: Vec<u32>,
        output: u32,
    ) -> Result<(), DelegateError> {
        inputs.push(self.activation(layer)?);
        self.operation(layer, kind, &inputs, output)
    }

    /// Pooling keeps the grid: where the output's is another, 0 is added on the way to it.
    fn pool(
        &mut self,
        layer: &NetworkLayer,
        kind: i32,
        window: &NetworkWindow,
        input: u32,
        output: u32,
    ) -> Result<(), DelegateError> {
        if window.dilation != [1, 1] {
            let reason = format!("pooling knows no dilation, found {:?}", window.dilation);
            return Err(unsupported(layer, reason));
        }
        let from = self.network.values[layer.inputs[0]];
        let to = self.network.values[layer.output];
        let stays = (from.scale, from.zero) == (to.scale, to.zero);
        let pooled = match stays {
            true => output,
            false => self.value(&NetworkValue {
                shape: to.shape,
                ..from
            })?,
        };
        let mut inputs = vec![input];
        self.sides(&mut inputs, window.padding)?;
        self.strides(&mut inputs, window.stride)?;
        self.strides(&mut inputs, window.size)?;
        match stays {
            true => inputs.push(self.activation(layer)?),
            false => inputs.push(self.scalar(api::INT32, api::FUSED_NONE)?),
        }
        self.operation(layer, kind, &inputs, pooled)?;
        if stays {
            return Ok(());
        }
        let nothing = NetworkValue {
            shape: [1, 1, 1],
            ..from
        };
        let zero = self.value(&nothing)?;
        let byte = match self.options.encoding {
            Encoding::Unsigned => from.zero,
            Encoding::Signed => from.zero ^ 0x80,
        };
        self.constant(zero, &[byte])?;
        self.arithmetic(layer, api::ADD, vec![pooled, zero], output)
    }

    /// Left, right, top, bottom: the header's order.
    fn sides(&mut self, inputs: &mut Vec<u32>, padding: [usize; 4]) -> Result<(), DelegateError> {
        let [top, left, bottom, right] = padding;
        for side in [left, right, top, bottom] {
            inputs.push(self.number(side)?);
        }
        Ok(())
    }

    /// Columns before rows: the header's order.
    fn strides(&mut self, inputs: &mut Vec<u32>, steps: [usize; 2]) -> Result<(), DelegateError> {
        for step in [steps[1], steps[0]] {
            inputs.push(self.number(step)?);
        }
        Ok(())
    }

    fn unclamped(&self, layer: &NetworkLayer) -> Result<(), DelegateError> {
        match layer.clamp {
            Clamp::NONE => Ok(()),
            Clamp { low, high } => Err(unsupported(
                layer,
                format!("no clamp expected, found {low}..={high}"),
            )),
        }
    }

    /// The fused activation that clamps as the layer does.
    fn activation(&mut self, layer: &NetworkLayer) -> Result<u32, DelegateError> {
        let NetworkValue { scale, zero, .. } = self.network.values[layer.output];
        let six = (6.0 / scale + f32::from(zero)).round_ties_even().min(255.0) as u8;
        let fused = match (layer.clamp.low, layer.clamp.high) {
            (0, 255) => api::FUSED_NONE,
            (low, 255) if low == zero => api::FUSED_RELU,
            (low, high) if low == zero && high == six => api::FUSED_RELU6,
            (low, high) => {
                let reason = format!(
                    "no clamp, ReLU or ReLU6 expected, found {low}..={high} of zero {zero} and scale {scale}"
                );
                return Err(unsupported(layer, reason));
            }
        };
        self.scalar(api::INT32, fused)
    }
}

fn unsupported(layer: &NetworkLayer, reason: String) -> DelegateError {
    DelegateError::Unsupported {
        layer: layer.name.clone(),
        reason,
    }
}
