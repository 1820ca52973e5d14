//! TFLite to the float graph: convolutions, depthwise too, sums, pooling and padding, in float or quantised to 8 bits,
//! whose grids are kept. That is MobileNetV1 and V2 and what is built like them; other operators are refused by name.
//!
//! Tables and numbers are those of TFLite's schema, version 3. A tap is a tensor's name, or what stands before the
//! first semicolon of it.

mod constants;
mod flatbuffer;
mod schema;

use std::collections::{HashMap, HashSet};

use super::super::super::window::{Padding, Window};
use super::super::{
    Activation, Convolution, Graph, Node, Normalisation, Operator, Quantisation, Value, ValueId,
};
use super::shortened;
use crate::backbone::BackboneError;
use constants::{constants, numbers};
use flatbuffer::Table;
pub(super) use schema::is_tflite;
use schema::{Step, Tensor, element, operator, read};

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
