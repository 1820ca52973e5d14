//! TFLite to the float graph: convolutions, depthwise too, sums, pooling and padding, in float or quantised to 8 bits,
//! whose grids are kept. That is MobileNetV1 and V2 and what is built like them; other operators are refused by name.
//!
//! Tables and numbers are those of TFLite's schema, version 3. A tap is a tensor's name, or what stands before the
//! first semicolon of it.

mod flatbuffer;

use std::collections::{HashMap, HashSet};

use super::super::super::window::{Padding, Window};
use super::super::{
    Activation, Convolution, Graph, Node, Normalisation, Operator, Quantisation, Value, ValueId,
};
use super::shortened;
use crate::backbone::BackboneError;
use flatbuffer::Table;

/// Behind the offset of the root.
const IDENTIFIER: &[u8] = b"TFL3";
/// No network that makes sense has more tensors or operators.
const MOST: usize = 8192;
const MOST_DIMENSIONS: usize = 8;
const MOST_INPUTS: usize = 64;

mod operator {
    pub(super) const ADD: i32 = 0;
    pub(super) const AVERAGE_POOL: i32 = 1;
    pub(super) const CONVOLUTION: i32 = 3;
    pub(super) const DEPTHWISE: i32 = 4;
    pub(super) const DEQUANTIZE: i32 = 6;
    pub(super) const MAX_POOL: i32 = 17;
    pub(super) const PAD: i32 = 34;
    pub(super) const QUANTIZE: i32 = 114;
}

mod element {
    pub(super) const FLOAT32: u8 = 0;
    pub(super) const INT32: u8 = 2;
    pub(super) const UINT8: u8 = 3;
    pub(super) const INT8: u8 = 9;
}

pub(super) fn is_tflite(bytes: &[u8]) -> bool {
    bytes.get(4..8) == Some(IDENTIFIER)
}

struct Tensor<'a> {
    name: &'a str,
    shape: Vec<i32>,
    element: u8,
    data: &'a [u8],
    // As they stand in the file: many tensors may name the same ones.
    scales: &'a [[u8; 4]],
    zeros: &'a [[u8; 8]],
}

impl Tensor<'_> {
    fn scale(&self, at: usize) -> Option<f32> {
        self.scales.get(at).copied().map(f32::from_le_bytes)
    }

    fn zero(&self, at: usize) -> Option<i64> {
        self.zeros.get(at).copied().map(i64::from_le_bytes)
    }
}

struct Step<'a> {
    operator: i32,
    inputs: Vec<i32>,
    output: i32,
    options: Option<Table<'a>>,
}

/// Reads the part of a TFLite model that the taps depend on.
pub(super) fn import(
    bytes: &[u8],
    normalisation: Normalisation,
    taps: &[String],
) -> Result<Graph, BackboneError> {
    let (tensors, steps, input) =
        read(bytes).map_err(|reason| BackboneError::Unreadable { reason })?;
    let mut importer = Importer {
        tensors,
        values: HashMap::from([(input, 0)]),
        graph: Graph {
            values: vec![Value {
                name: "image".to_owned(),
                channels: 3,
            }],
            nodes: Vec::new(),
            taps: Vec::new(),
            normalisation,
        },
        left: bytes.len(),
    };
    let tapped = importer.tapped(taps, &steps)?;
    let needed = needed(&steps, &tapped);
    for step in steps.iter().filter(|step| needed.contains(&step.output)) {
        importer
            .step(step)
            .map_err(|reason| BackboneError::Unsupported {
                node: importer.name(step.output),
                operator: format!("TFLite's operator {}", step.operator),
                reason,
            })?;
    }
    for (tap, tensor) in taps.iter().zip(tapped) {
        match importer.values.get(&tensor) {
            Some(&value) if value != 0 => importer.graph.taps.push((tap.clone(), value)),
            _ => {
                return Err(BackboneError::NotAMap {
                    tap: tap.clone(),
                    found: "a constant or the input itself".to_owned(),
                });
            }
        }
    }
    Ok(importer.graph)
}

/// Tensors, operators and the number of the input.
fn read(bytes: &[u8]) -> Result<(Vec<Tensor<'_>>, Vec<Step<'_>>, i32), String> {
    let model = Table::root(bytes)?;
    let buffers = model.tables(4)?;
    let codes = model.tables(1)?;
    let graphs = model.tables(2)?;
    let [graph] = graphs[..] else {
        return Err(format!("one graph expected, found {}", graphs.len()));
    };
    let (tensors, operators) = (graph.tables(0)?, graph.tables(3)?);
    if tensors.len().max(operators.len()) > MOST {
        return Err(format!(
            "at most {MOST} tensors and operators expected, found {} and {}",
            tensors.len(),
            operators.len()
        ));
    }
    let tensors = tensors.iter().map(|table| tensor(table, &buffers));
    let steps = operators.iter().map(|table| step(table, &codes));
    let inputs = graph.integers(1)?;
    let [input] = inputs[..] else {
        return Err(format!("one input expected, found {}", inputs.len()));
    };
    let tensors = tensors.collect::<Result<Vec<_>, String>>()?;
    match usize::try_from(input).ok().and_then(|at| tensors.get(at)) {
        Some(Tensor { shape, .. }) if shape.len() == 4 && shape[3] == 3 => {}
        found => {
            let shape = found.map(|tensor| &tensor.shape);
            return Err(format!("an input of 1×H×W×3 expected, found {shape:?}"));
        }
    }
    Ok((tensors, steps.collect::<Result<_, String>>()?, input))
}

fn tensor<'a>(table: &Table<'a>, buffers: &[Table<'a>]) -> Result<Tensor<'a>, String> {
    let shape = table.elements::<4>(0)?;
    if shape.len() > MOST_DIMENSIONS {
        return Err(format!(
            "at most {MOST_DIMENSIONS} dimensions expected, found {}",
            shape.len()
        ));
    }
    let number = table.integer(2, 0)?;
    let buffer = usize::try_from(number).ok().and_then(|at| buffers.get(at));
    let buffer = buffer.ok_or_else(|| format!("buffer {number} of {}", buffers.len()))?;
    let quantisation = table.table(4)?;
    let (scales, zeros) = match quantisation {
        Some(quantisation) => (quantisation.elements(2)?, quantisation.elements(3)?),
        None => (&[][..], &[][..]),
    };
    Ok(Tensor {
        name: table.text(3)?,
        shape: table.integers(0)?,
        element: table.byte(1)?,
        data: buffer.elements::<1>(0)?.as_flattened(),
        scales,
        zeros,
    })
}

fn step<'a>(table: &Table<'a>, codes: &[Table<'a>]) -> Result<Step<'a>, String> {
    let number = table.integer(0, 0)?;
    let code = usize::try_from(number).ok().and_then(|at| codes.get(at));
    let code = code.ok_or_else(|| format!("operator {number} of {}", codes.len()))?;
    let [inputs, outputs] = [table.elements::<4>(1)?, table.elements::<4>(2)?];
    if inputs.len() > MOST_INPUTS {
        return Err(format!(
            "at most {MOST_INPUTS} inputs expected, found {}",
            inputs.len()
        ));
    }
    let output = *outputs.first().ok_or("an operator without an output")?;
    Ok(Step {
        // Small numbers stand in a byte, where older files have them alone.
        operator: i32::from(code.byte(0)?).max(code.integer(3, 0)?),
        inputs: table.integers(1)?,
        output: i32::from_le_bytes(output),
        options: table.table(4)?,
    })
}

/// Tensors that the taps depend on.
fn needed(steps: &[Step<'_>], tapped: &[i32]) -> HashSet<i32> {
    let mut needed: HashSet<i32> = tapped.iter().copied().collect();
    // What an operator reads comes before it.
    for step in steps.iter().rev() {
        if needed.contains(&step.output) {
            needed.extend(&step.inputs);
        }
    }
    needed
}

struct Importer<'a> {
    tensors: Vec<Tensor<'a>>,
    /// Value of each tensor that is computed.
    values: HashMap<i32, ValueId>,
    graph: Graph,
    /// Weights that may still be read: a file that names its weights once has no more than bytes.
    left: usize,
}

impl<'a> Importer<'a> {
    fn name(&self, tensor: i32) -> String {
        shortened(self.tensor(tensor).map_or("", |tensor| tensor.name))
    }

    fn tensor(&self, number: i32) -> Result<&Tensor<'a>, String> {
        let at = usize::try_from(number).ok();
        at.and_then(|at| self.tensors.get(at))
            .ok_or_else(|| format!("tensor {number} of {}", self.tensors.len()))
    }

    /// The tensor of each tap.
    fn tapped(&self, taps: &[String], steps: &[Step<'_>]) -> Result<Vec<i32>, BackboneError> {
        let is = |tap: &str, step: &&Step<'_>| {
            let name = self.tensor(step.output).map_or("", |tensor| tensor.name);
            name == tap || name.split(';').next() == Some(tap)
        };
        let find = |tap: &String| {
            let step = steps.iter().find(|step| is(tap, step));
            step.map(|step| step.output).ok_or_else(|| {
                let names = steps.iter().map(|step| self.name(step.output));
                BackboneError::MissingTap {
                    tap: tap.clone(),
                    outputs: names
                        .map(|name| name.split(';').next().unwrap_or_default().to_owned())
                        .collect(),
                }
            })
        };
        taps.iter().map(find).collect()
    }

    fn step(&mut self, step: &Step<'_>) -> Result<(), String> {
        match step.operator {
            operator::CONVOLUTION | operator::DEPTHWISE => self.convolution(step),
            operator::ADD => self.add(step),
            operator::AVERAGE_POOL | operator::MAX_POOL => self.pool(step),
            operator::PAD => self.pad(step),
            operator::QUANTIZE | operator::DEQUANTIZE => self.regrid(step),
            _ => Err(
                "is not read; convolutions, sums, pooling and padding are. ONNX has more: export the \
                 network to it"
                    .to_owned(),
            ),
        }
    }

    /// The map that input `at` is.
    fn map(&self, step: &Step<'_>, at: usize) -> Result<ValueId, String> {
        let tensor = *step.inputs.get(at).ok_or("an input is missing")?;
        self.values.get(&tensor).copied().ok_or_else(|| {
            format!(
                "reads {:?}, which is no map that something gives before it",
                self.name(tensor)
            )
        })
    }

    fn push(
        &mut self,
        step: &Step<'_>,
        operator: Operator,
        inputs: Vec<ValueId>,
        channels: usize,
    ) -> Result<(), String> {
        let quantisation = self.quantisation(step.output)?;
        let name = self.name(step.output);
        self.graph.values.push(Value {
            name: name.clone(),
            channels,
        });
        let output = self.graph.values.len() - 1;
        self.graph.nodes.push(Node {
            name,
            operator,
            inputs,
            output,
            quantisation,
        });
        self.values.insert(step.output, output);
        Ok(())
    }

    /// The grid of a map, where it has one.
    fn quantisation(&self, tensor: i32) -> Result<Option<Quantisation>, String> {
        let tensor = self.tensor(tensor)?;
        let least = match tensor.element {
            element::FLOAT32 => return Ok(None),
            element::INT8 => -128,
            element::UINT8 => 0,
            other => {
                return Err(format!(
                    "element type {other} of a map; float or 8 bits expected"
                ));
            }
        };
        let (Some(scale), Some(zero), 1) = (tensor.scale(0), tensor.zero(0), tensor.scales.len())
        else {
            return Err("one scale and one zero point of a map expected".to_owned());
        };
        let zero = u8::try_from(zero.saturating_sub(least));
        match (zero, scale.is_normal() && scale > 0.0) {
            (Ok(zero), true) => Ok(Some(Quantisation { scale, zero })),
            (zero, _) => Err(format!(
                "a scale above 0 and a zero point of 8 bits expected, found {scale} and {zero:?}"
            )),
        }
    }

    fn convolution(&mut self, step: &Step<'_>) -> Result<(), String> {
        let input = self.map(step, 0)?;
        let channels = self.graph.values[input].channels;
        let weights = self.tensor(*step.inputs.get(1).ok_or("weights are missing")?)?;
        let side = |at: usize| {
            usize::try_from(weights.shape[at])
                .ok()
                .filter(|&side| side > 0)
        };
        if weights.shape.len() != 4 {
            return Err(format!(
                "weights of four dimensions expected, found {:?}",
                weights.shape
            ));
        }
        let (Some(first), Some(rows), Some(columns), Some(last)) =
            (side(0), side(1), side(2), side(3))
        else {
            return Err(format!(
                "weights with sides above 0 expected, found {:?}",
                weights.shape
            ));
        };
        // Outputs first, then inputs: O×H×W×I, of a depthwise one 1×H×W×O.
        let depthwise = step.operator == operator::DEPTHWISE;
        let (outputs, depth) = if depthwise { (last, 1) } else { (first, last) };
        let groups = channels / depth;
        if groups * depth != channels
            || !outputs.is_multiple_of(groups.max(1))
            || depthwise && first != 1
        {
            return Err(format!(
                "weights of {:?} do not fit {channels} channels",
                weights.shape
            ));
        }
        let area = rows.checked_mul(columns).ok_or("a window too large")?;
        let count = area
            .checked_mul(depth)
            .and_then(|row| row.checked_mul(outputs));
        let count = count.ok_or("weights too large")?;
        let left = self.left.checked_sub(count);
        let left = left.ok_or("weights that are not in the file, or that several layers share")?;
        let reorder = |to: usize| match depthwise {
            true => to % area * outputs + to / area,
            false => to,
        };
        let (floats, quantised) = constants(weights, count, outputs, reorder)?;
        let bias = match step.inputs.get(2) {
            Some(&number) if number >= 0 => numbers(self.tensor(number)?, outputs)?,
            _ => vec![0.0; outputs],
        };
        self.left = left;
        // Depthwise options have a multiplier before the activation.
        let shift = usize::from(depthwise);
        let options = step.options.ok_or("options are missing")?;
        let window = window(&options, [rows, columns], [4 + shift, 5 + shift])?;
        let convolution = Convolution {
            window,
            groups,
            outputs,
            depth,
            weights: floats,
            bias,
            quantised,
            activation: activation(options.byte(3 + shift)?)?,
        };
        self.push(
            step,
            Operator::Convolution(convolution),
            vec![input],
            outputs,
        )
    }

    fn add(&mut self, step: &Step<'_>) -> Result<(), String> {
        let inputs = [self.map(step, 0)?, self.map(step, 1)?];
        let [left, right] = inputs.map(|value| self.graph.values[value].channels);
        if left != right {
            return Err(format!("maps of {left} and {right} channels"));
        }
        let code = step.options.map_or(Ok(0), |options| options.byte(0))?;
        if activation(code)? != Activation::Linear {
            return Err("a sum with an activation inside is not read".to_owned());
        }
        self.push(step, Operator::Add, inputs.to_vec(), left)
    }

    fn pool(&mut self, step: &Step<'_>) -> Result<(), String> {
        let input = self.map(step, 0)?;
        let options = step.options.ok_or("options are missing")?;
        let side = |number: usize| positive(options.integer(number, 0)?);
        let window = window(&options, [side(4)?, side(3)?], [usize::MAX; 2])?;
        if activation(options.byte(5)?)? != Activation::Linear {
            return Err("pooling with an activation inside is not read".to_owned());
        }
        let operator = match step.operator {
            operator::MAX_POOL => Operator::Maximum(window),
            _ => Operator::Average(window),
        };
        let channels = self.graph.values[input].channels;
        self.push(step, operator, vec![input], channels)
    }

    fn pad(&mut self, step: &Step<'_>) -> Result<(), String> {
        let input = self.map(step, 0)?;
        let sides = self.tensor(*step.inputs.get(1).ok_or("paddings are missing")?)?;
        let values = sides.data.as_chunks::<4>().0.first_chunk::<8>();
        let values = values.map(|values| values.map(i32::from_le_bytes));
        let (element::INT32, 32, Some([0, 0, top, bottom, left, right, 0, 0])) =
            (sides.element, sides.data.len(), values)
        else {
            return Err(format!(
                "constant paddings of rows and columns expected, found {values:?}"
            ));
        };
        let side = |side: i32| {
            let side = usize::try_from(side).ok();
            side.filter(|&side| side < 64)
                .ok_or("paddings from 0 to 63 expected")
        };
        let pads = [side(top)?, side(left)?, side(bottom)?, side(right)?];
        let channels = self.graph.values[input].channels;
        self.push(step, Operator::Pad(pads), vec![input], channels)
    }

    /// To another grid. Between the photo and the first layer it means nothing: bytes are read as they are.
    fn regrid(&mut self, step: &Step<'_>) -> Result<(), String> {
        let input = self.map(step, 0)?;
        match self.quantisation(step.output)? {
            Some(quantisation) if input != 0 => {
                let channels = self.graph.values[input].channels;
                self.push(
                    step,
                    Operator::Quantise(quantisation),
                    vec![input],
                    channels,
                )
            }
            _ => {
                self.values.insert(step.output, input);
                Ok(())
            }
        }
    }
}

/// Weights in float, and in the 8 bits that the file has them in: `place` says where each stands.
type Constants = (Vec<f32>, Option<(Vec<i8>, Vec<f32>)>);

fn constants(
    tensor: &Tensor<'_>,
    count: usize,
    outputs: usize,
    place: impl Fn(usize) -> usize,
) -> Result<Constants, String> {
    let width = if tensor.element == element::FLOAT32 {
        4
    } else {
        1
    };
    if count.checked_mul(width) != Some(tensor.data.len()) {
        return Err(format!(
            "{count} weights expected, found {} bytes",
            tensor.data.len()
        ));
    }
    if tensor.element == element::FLOAT32 {
        let floats = numbers(tensor, count)?;
        return Ok(((0..count).map(|at| floats[place(at)]).collect(), None));
    }
    let stored: Vec<f32> = match tensor.scales.len() {
        count if count == 1 || count == outputs => {
            let scales = tensor.scales.iter();
            scales.map(|&scale| f32::from_le_bytes(scale)).collect()
        }
        count => return Err(format!("a scale, or {outputs}, expected, found {count}")),
    };
    let scales: Vec<f32> = stored.iter().cycle().take(outputs).copied().collect();
    if !scales
        .iter()
        .all(|scale| scale.is_finite() && *scale >= 0.0)
    {
        return Err("scales from 0 on expected".to_owned());
    }
    let row = count / outputs;
    match tensor.element {
        element::INT8 if tensor.zeros.iter().all(|&zero| zero == [0; 8]) => {
            let bytes: Vec<i8> = (0..count)
                .map(|at| tensor.data[place(at)].cast_signed())
                .collect();
            let floats = bytes
                .iter()
                .enumerate()
                .map(|(at, &byte)| f32::from(byte) * scales[at / row]);
            Ok((floats.collect(), Some((bytes, scales))))
        }
        element::UINT8 => {
            let zero = tensor.zero(0).unwrap_or(0).clamp(0, 255) as f32;
            let real = |at: usize| (f32::from(tensor.data[place(at)]) - zero) * scales[at / row];
            Ok(((0..count).map(real).collect(), None))
        }
        other => Err(format!(
            "weights of float or 8 bits expected, found element type {other}"
        )),
    }
}

/// A constant of `count` floats, or of integers with their scales.
fn numbers(tensor: &Tensor<'_>, count: usize) -> Result<Vec<f32>, String> {
    let (words, _) = tensor.data.as_chunks::<4>();
    if words.len() != count {
        return Err(format!("{count} numbers expected, found {}", words.len()));
    }
    let values: Vec<f32> = match tensor.element {
        element::FLOAT32 => words.iter().map(|&word| f32::from_le_bytes(word)).collect(),
        element::INT32 => {
            let scale = |at: usize| match tensor.scales.len() {
                1 => tensor.scale(0),
                _ => tensor.scale(at),
            };
            let real = |(at, &word): (usize, &[u8; 4])| {
                Some((f64::from(i32::from_le_bytes(word)) * f64::from(scale(at)?)) as f32)
            };
            let values = words.iter().enumerate().map(real).collect::<Option<_>>();
            values.ok_or("a bias without its scales")?
        }
        other => return Err(format!("numbers expected, found element type {other}")),
    };
    match values.iter().all(|value| value.is_finite()) {
        true => Ok(values),
        false => Err("finite numbers expected".to_owned()),
    }
}

/// Padding, strides and, at the two numbers, dilations.
fn window(options: &Table<'_>, size: [usize; 2], dilation: [usize; 2]) -> Result<Window, String> {
    let dilated = |number: usize| match number {
        usize::MAX => Ok(1),
        _ => positive(options.integer(number, 1)?),
    };
    let window = Window {
        size,
        stride: [
            positive(options.integer(2, 0)?)?,
            positive(options.integer(1, 0)?)?,
        ],
        dilation: [dilated(dilation[1])?, dilated(dilation[0])?],
        padding: match options.byte(0)? {
            0 => Padding::Same {
                odd_at_start: false,
            },
            _ => Padding::Explicit([0; 4]),
        },
        ceil: false,
        count_padding: false,
    };
    window.check()?;
    Ok(window)
}

fn positive(number: i32) -> Result<usize, String> {
    let number = usize::try_from(number).ok().filter(|&number| number > 0);
    number.ok_or_else(|| "a number above 0 expected".to_owned())
}

fn activation(code: u8) -> Result<Activation, String> {
    match code {
        0 => Ok(Activation::Linear),
        1 => Ok(Activation::RELU),
        3 => Ok(Activation::Clip {
            low: 0.0,
            high: 6.0,
        }),
        other => Err(format!("activation {other} is not read")),
    }
}
