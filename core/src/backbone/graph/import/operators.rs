//! What each ONNX operator becomes.

use std::rc::Rc;

use tract_onnx::pb::NodeProto;

use super::tensor::{Data, Kind, Tensor};
use super::{Attributes, Entry, Importer};
use crate::backbone::graph::{Activation, Convolution, Operator, Quantisation, ValueId};
use crate::backbone::window::{Coordinates, Padding, Resize, Window};

const KNOWN: &str = "Add, AveragePool, BatchNormalization, Cast, Clip, Concat, Constant, Conv, \
    DequantizeLinear, Div, Dropout, Flatten, Gemm, GlobalAveragePool, HardSigmoid, HardSwish, \
    Identity, MatMul, MaxPool, Mul, Pad, QuantizeLinear, ReduceMean, Relu, Reshape, Resize, \
    Sigmoid, Squeeze, Sub, Transpose (of constants) and Unsqueeze";

impl<'a> Importer<'a> {
    pub(super) fn node(&mut self, node: &'a NodeProto) -> Result<(), String> {
        if !matches!(node.domain.as_str(), "" | "ai.onnx" | "com.microsoft") {
            return Err(format!(
                "operators of ONNX expected, found domain {:?}",
                node.domain
            ));
        }
        let attributes = Attributes(&node.attribute);
        match node.op_type.as_str() {
            "Conv" => self.convolution(node, &attributes),
            "Gemm" | "MatMul" => self.fully_connected(node, &attributes),
            "BatchNormalization" => self.batch_normalization(node, &attributes),
            "Relu" => self.activate(node, Activation::RELU),
            "Clip" => self.clip(node, &attributes),
            "HardSwish" => self.activate(node, Activation::HardSwish),
            "Sigmoid" => self.activate(node, Activation::Sigmoid),
            "HardSigmoid" => {
                let (alpha, beta) = (
                    attributes.float("alpha", 0.2),
                    attributes.float("beta", 0.5),
                );
                if !(alpha.abs() <= 1e3 && beta.abs() <= 1e3) {
                    return Err(format!(
                        "alpha and beta within ±1000 expected, found {alpha}, {beta}"
                    ));
                }
                self.activate(node, Activation::HardSigmoid { alpha, beta })
            }
            "Add" | "Sub" | "Mul" | "Div" => self.arithmetic(node),
            "GlobalAveragePool" => self.global_average(node),
            "ReduceMean" => self.reduce_mean(node, &attributes),
            "AveragePool" | "MaxPool" => self.pool(node, &attributes),
            "Concat" => self.concat(node, &attributes),
            "Resize" | "Upsample" => self.resize(node, &attributes),
            "Pad" => self.pad(node, &attributes),
            "QuantizeLinear" => self.quantise(node),
            "DequantizeLinear" => self.dequantise(node, &attributes),
            "Identity" | "Dropout" | "Cast" => self.identity(node, &attributes),
            "Constant" => self.constant_node(node, &attributes),
            "Flatten" | "Reshape" | "Squeeze" | "Unsqueeze" => self.reshape(node, &attributes),
            "Transpose" => self.transpose(node, &attributes),
            "Shape" | "Gather" | "Slice" => self.alias(node, Entry::Shape),
            _ => Err(format!(
                "this operator is not known to the int8 plan, which knows {KNOWN}; leave the model \
                 on the float engine (`fit --backbone`), or choose a tap before this node"
            )),
        }
    }

    fn convolution(
        &mut self,
        node: &'a NodeProto,
        attributes: &Attributes<'_>,
    ) -> Result<(), String> {
        let input = self.operand(node, 0)?;
        let weights = self.constant(node, 1)?.ok_or("weights are missing")?;
        let &[outputs, depth, rows, columns] = &weights.dims[..] else {
            return Err(format!(
                "weights of outputs × inputs × rows × columns expected, found {:?}",
                weights.dims
            ));
        };
        let window = window(attributes, [rows, columns])?;
        let groups = positive(attributes.integer("group", 1))?;
        let channels = self.channels(input);
        let fits = groups.checked_mul(depth).is_some_and(|total| {
            total == channels && outputs > 0 && outputs.is_multiple_of(groups)
        });
        if !fits {
            return Err(format!(
                "{groups} groups of {depth} inputs and {outputs} outputs do not fit {channels} channels"
            ));
        }
        let bias = self.bias(node, 2, outputs)?;
        let area = rows * columns;
        // O×I×K×K to O×K×K×I: channels innermost, as the maps have them.
        let reorder = |from: usize| {
            let (output, rest) = (from / (area * depth), from % (area * depth));
            let (place, channel) = (rest / depth, rest % depth);
            output * area * depth + channel * area + place
        };
        let floats = weights.finite()?;
        let count = floats.len();
        let convolution = Convolution {
            window,
            groups,
            outputs,
            depth,
            weights: (0..count).map(|at| floats[reorder(at)]).collect(),
            bias,
            quantised: weights.quantised.as_ref().map(|(values, scales)| {
                let values = (0..count).map(|at| values[reorder(at)]);
                (values.collect(), scales.clone())
            }),
            activation: Activation::Linear,
        };
        let point = self.point[input] && window.is_point();
        self.push(
            node,
            Operator::Convolution(convolution),
            vec![input],
            outputs,
            point,
        )?;
        Ok(())
    }

    fn bias(&self, node: &NodeProto, at: usize, outputs: usize) -> Result<Vec<f32>, String> {
        let Some(bias) = self.constant(node, at)? else {
            return Ok(vec![0.0; outputs]);
        };
        let values = bias.finite()?;
        match values.len() {
            count if count == outputs => Ok(values.to_vec()),
            1 => Ok(vec![values[0]; outputs]),
            count => Err(format!(
                "a bias of {outputs} values expected, found {count}"
            )),
        }
    }

    fn fully_connected(
        &mut self,
        node: &'a NodeProto,
        attributes: &Attributes<'_>,
    ) -> Result<(), String> {
        let input = self.operand(node, 0)?;
        if !self.point[input] {
            return Err(
                "a fully connected layer needs a map of 1×1 (after global pooling)".to_owned(),
            );
        }
        let weights = self.constant(node, 1)?.ok_or("weights are missing")?;
        let &[first, second] = &weights.dims[..] else {
            return Err(format!(
                "weights of two dimensions expected, found {:?}",
                weights.dims
            ));
        };
        if attributes.integer("transA", 0) != 0 {
            return Err("transA must be 0".to_owned());
        }
        let transposed = attributes.integer("transB", 0) != 0;
        let (inputs, outputs) = if transposed {
            (second, first)
        } else {
            (first, second)
        };
        if inputs != self.channels(input) || inputs == 0 || outputs == 0 {
            return Err(format!(
                "{} inputs expected, found {inputs}",
                self.channels(input)
            ));
        }
        let (alpha, beta) = (
            attributes.float("alpha", 1.0),
            attributes.float("beta", 1.0),
        );
        if !(alpha.is_finite() && beta.is_finite()) {
            return Err(format!(
                "finite alpha and beta expected, found {alpha}, {beta}"
            ));
        }
        let values = weights.finite()?;
        let at = |output: usize, input: usize| match transposed {
            true => output * inputs + input,
            false => input * outputs + output,
        };
        let each = (0..outputs).flat_map(|output| (0..inputs).map(move |input| at(output, input)));
        let mut bias = self.bias(node, 2, outputs)?;
        bias.iter_mut().for_each(|value| *value *= beta);
        let quantised = match &weights.quantised {
            // A scale a row of the file is a scale an output only when outputs come first.
            Some((values, scales)) if transposed && alpha == 1.0 => {
                Some((each.clone().map(|at| values[at]).collect(), scales.clone()))
            }
            _ => None,
        };
        let convolution = Convolution {
            window: Window::POINT,
            groups: 1,
            outputs,
            depth: inputs,
            weights: each.map(|at| alpha * values[at]).collect(),
            bias,
            quantised,
            activation: Activation::Linear,
        };
        self.push(
            node,
            Operator::Convolution(convolution),
            vec![input],
            outputs,
            true,
        )?;
        Ok(())
    }

    fn batch_normalization(
        &mut self,
        node: &'a NodeProto,
        attributes: &Attributes<'_>,
    ) -> Result<(), String> {
        let input = self.operand(node, 0)?;
        let channels = self.channels(input);
        let part = |at: usize| -> Result<Vec<f32>, String> {
            let tensor = self
                .constant(node, at)?
                .ok_or(format!("input {at} is missing"))?;
            let values = tensor.finite()?;
            match values.len() == channels {
                true => Ok(values.to_vec()),
                false => Err(format!(
                    "{channels} values expected, found {}",
                    values.len()
                )),
            }
        };
        let (gamma, beta, mean, variance) = (part(1)?, part(2)?, part(3)?, part(4)?);
        let epsilon = f64::from(attributes.float("epsilon", 1e-5));
        let scale: Vec<f32> = gamma
            .iter()
            .zip(&variance)
            .map(|(&gamma, &variance)| {
                (f64::from(gamma) / (f64::from(variance) + epsilon).sqrt()) as f32
            })
            .collect();
        let offset = (0..channels)
            .map(|c| beta[c] - mean[c] * scale[c])
            .collect();
        self.affine(node, input, scale, offset)
    }

    fn affine(
        &mut self,
        node: &'a NodeProto,
        input: ValueId,
        scale: Vec<f32>,
        offset: Vec<f32>,
    ) -> Result<(), String> {
        if scale.iter().chain(&offset).any(|value| !value.is_finite()) {
            return Err("the constants give numbers that are not finite".to_owned());
        }
        let (channels, point) = (self.channels(input), self.point[input]);
        self.push(
            node,
            Operator::Affine { scale, offset },
            vec![input],
            channels,
            point,
        )?;
        Ok(())
    }

    fn activate(&mut self, node: &'a NodeProto, activation: Activation) -> Result<(), String> {
        let input = self.operand(node, 0)?;
        let (channels, point) = (self.channels(input), self.point[input]);
        self.push(
            node,
            Operator::Activate(activation),
            vec![input],
            channels,
            point,
        )?;
        Ok(())
    }

    fn clip(&mut self, node: &'a NodeProto, attributes: &Attributes<'_>) -> Result<(), String> {
        let bound = |at: usize, name: &str, otherwise: f32| -> Result<f32, String> {
            let given = match self.constant(node, at)? {
                Some(tensor) => tensor.scalar().ok_or(format!("one {name} expected"))?,
                None => attributes.float(name, otherwise),
            };
            Ok(given)
        };
        let low = bound(1, "min", f32::NEG_INFINITY)?;
        let high = bound(2, "max", f32::INFINITY)?;
        // Also refuses what is not a number.
        if low.is_nan() || high.is_nan() || low > high {
            return Err(format!("min must not be above max, found {low} and {high}"));
        }
        self.activate(node, Activation::Clip { low, high })
    }

    fn arithmetic(&mut self, node: &'a NodeProto) -> Result<(), String> {
        let (left, right) = (self.entry(node, 0)?.clone(), self.entry(node, 1)?.clone());
        match (left, right) {
            (Entry::Value(left), Entry::Value(right)) => self.joined(node, left, right),
            (Entry::Value(value), Entry::Constant(constant)) => {
                let constant = self.per_channel(&constant, value)?;
                let (ones, zeros) = (vec![1.0; constant.len()], vec![0.0; constant.len()]);
                let negative = || constant.iter().map(|c| -c).collect();
                let inverse = || constant.iter().map(|c| 1.0 / c).collect();
                match node.op_type.as_str() {
                    "Add" => self.affine(node, value, ones, constant),
                    "Sub" => self.affine(node, value, ones, negative()),
                    "Mul" => self.affine(node, value, constant, zeros),
                    _ => self.affine(node, value, inverse(), zeros),
                }
            }
            (Entry::Constant(constant), Entry::Value(value)) => {
                let constant = self.per_channel(&constant, value)?;
                let (ones, zeros) = (vec![1.0; constant.len()], vec![0.0; constant.len()]);
                match node.op_type.as_str() {
                    "Add" => self.affine(node, value, ones, constant),
                    "Sub" => self.affine(node, value, vec![-1.0; constant.len()], constant),
                    "Mul" => self.affine(node, value, constant, zeros),
                    _ => {
                        Err("a constant divided by a map is not known to the int8 plan".to_owned())
                    }
                }
            }
            (Entry::Shape, _) | (_, Entry::Shape) => self.alias(node, Entry::Shape),
            _ => Err("a map and a map, or a map and a constant expected".to_owned()),
        }
    }

    fn joined(&mut self, node: &'a NodeProto, left: ValueId, right: ValueId) -> Result<(), String> {
        let channels = self.channels(left);
        if channels != self.channels(right) {
            return Err(format!(
                "both maps must have the same channels, found {channels} and {}",
                self.channels(right)
            ));
        }
        let (operator, inputs) = match node.op_type.as_str() {
            "Add" => (Operator::Add, vec![left, right]),
            // The map of one location scales the other.
            "Mul" if self.point[left] && !self.point[right] => {
                (Operator::Multiply, vec![right, left])
            }
            "Mul" => (Operator::Multiply, vec![left, right]),
            _ => {
                return Err(
                    "only sums and products of two maps are known to the int8 plan".to_owned(),
                );
            }
        };
        let point = self.point[left] && self.point[right];
        self.push(node, operator, inputs, channels, point)?;
        Ok(())
    }

    /// A constant that is the same at every location.
    fn per_channel(&self, constant: &Tensor, value: ValueId) -> Result<Vec<f32>, String> {
        let channels = self.channels(value);
        let values = constant.finite()?;
        if let [one] = values {
            return Ok(vec![*one; channels]);
        }
        let by_channel = match &constant.dims[..] {
            [1, c, 1, 1] | [c, 1, 1] => *c == channels,
            [c] | [1, c] => *c == channels && self.point[value],
            _ => false,
        };
        match by_channel {
            true => Ok(values.to_vec()),
            false => Err(format!(
                "a constant of one value or of 1×{channels}×1×1 expected, found {:?}",
                constant.dims
            )),
        }
    }

    fn global_average(&mut self, node: &'a NodeProto) -> Result<(), String> {
        let input = self.operand(node, 0)?;
        let channels = self.channels(input);
        self.push(node, Operator::GlobalAverage, vec![input], channels, true)?;
        Ok(())
    }

    fn reduce_mean(
        &mut self,
        node: &'a NodeProto,
        attributes: &Attributes<'_>,
    ) -> Result<(), String> {
        let given = self.constant(node, 1)?;
        let axes = match (&given, attributes.integers("axes")) {
            (Some(tensor), _) => tensor.integers().ok_or("integer axes expected")?.to_vec(),
            (None, Some(axes)) => axes.to_vec(),
            (None, None) => Vec::new(),
        };
        let mut places: Vec<i64> = axes
            .iter()
            .map(|&a| if a < 0 { a + 4 } else { a })
            .collect();
        places.sort_unstable();
        if places != [2, 3] {
            return Err(format!(
                "the mean over rows and columns expected, found axes {axes:?}"
            ));
        }
        self.global_average(node)
    }

    fn pool(&mut self, node: &'a NodeProto, attributes: &Attributes<'_>) -> Result<(), String> {
        let input = self.operand(node, 0)?;
        let size = match attributes.integers("kernel_shape") {
            Some(&[rows, columns]) => [positive(rows)?, positive(columns)?],
            found => {
                return Err(format!(
                    "kernel_shape of two sides expected, found {found:?}"
                ));
            }
        };
        let mut window = window(attributes, size)?;
        window.ceil = attributes.integer("ceil_mode", 0) != 0;
        window.count_padding = attributes.integer("count_include_pad", 0) != 0;
        let operator = match node.op_type.as_str() {
            "MaxPool" => Operator::Maximum(window),
            _ => Operator::Average(window),
        };
        self.push(node, operator, vec![input], self.channels(input), false)?;
        Ok(())
    }

    fn concat(&mut self, node: &'a NodeProto, attributes: &Attributes<'_>) -> Result<(), String> {
        let entries: Vec<&Entry> = (0..node.input.len())
            .map(|at| self.entry(node, at))
            .collect::<Result<_, _>>()?;
        if entries.iter().any(|entry| matches!(entry, Entry::Shape)) {
            return self.alias(node, Entry::Shape);
        }
        let axis = attributes.integer("axis", 1);
        if !matches!(axis, 1 | -3) {
            return Err(format!(
                "joining along channels (axis 1) expected, found axis {axis}"
            ));
        }
        let inputs: Vec<ValueId> = (0..node.input.len())
            .map(|at| self.operand(node, at))
            .collect::<Result<_, _>>()?;
        if inputs.is_empty() {
            return Err("at least one input expected".to_owned());
        }
        let channels = inputs.iter().map(|&value| self.channels(value)).sum();
        let point = inputs.iter().all(|&value| self.point[value]);
        self.push(node, Operator::Concat, inputs, channels, point)?;
        Ok(())
    }

    fn resize(&mut self, node: &'a NodeProto, attributes: &Attributes<'_>) -> Result<(), String> {
        let input = self.operand(node, 0)?;
        let at = if self.opset < 11 || node.op_type == "Upsample" {
            1
        } else {
            2
        };
        let scales = self
            .constant(node, at)?
            .ok_or("constant scales expected (not sizes)")?;
        let &[batch, channels, rows, columns] = scales.finite()? else {
            return Err(format!(
                "scales of 4 axes expected, found {:?}",
                scales.dims
            ));
        };
        if batch != 1.0 || channels != 1.0 {
            return Err("only rows and columns can be resized".to_owned());
        }
        let linear = match attributes.text("mode") {
            "" | "nearest" => false,
            "linear" => true,
            found => return Err(format!("mode nearest or linear expected, found {found}")),
        };
        let coordinates = match attributes.text("coordinate_transformation_mode") {
            "asymmetric" => Coordinates::Asymmetric,
            "align_corners" => Coordinates::AlignCorners,
            "half_pixel" | "pytorch_half_pixel" => Coordinates::HalfPixel,
            "" if self.opset < 11 || node.op_type == "Upsample" => Coordinates::Asymmetric,
            "" => Coordinates::HalfPixel,
            found => {
                return Err(format!(
                    "half_pixel, asymmetric or align_corners expected, found {found}"
                ));
            }
        };
        let nearest = attributes.text("nearest_mode");
        let plain = match coordinates {
            Coordinates::Asymmetric => "floor",
            _ => "round_prefer_floor",
        };
        let whole = rows.fract() == 0.0 && columns.fract() == 0.0;
        let same = nearest == plain || (nearest.is_empty() && (plain != "floor" || whole));
        if !linear && !same {
            return Err(format!("nearest_mode {plain} expected, found {nearest:?}"));
        }
        let resize = Resize {
            scale: [rows, columns],
            linear,
            coordinates,
        };
        resize.check()?;
        self.push(
            node,
            Operator::Resize(resize),
            vec![input],
            self.channels(input),
            false,
        )?;
        Ok(())
    }

    fn pad(&mut self, node: &'a NodeProto, attributes: &Attributes<'_>) -> Result<(), String> {
        let input = self.operand(node, 0)?;
        if !matches!(attributes.text("mode"), "" | "constant") {
            return Err(format!(
                "constant padding expected, found {}",
                attributes.text("mode")
            ));
        }
        let value = match self.constant(node, 2)? {
            Some(tensor) => tensor.scalar().ok_or("one value expected")?,
            None => attributes.float("value", 0.0),
        };
        if value != 0.0 {
            return Err(format!("padding with 0 expected, found {value}"));
        }
        let given = self.constant(node, 1)?;
        let pads = match &given {
            Some(tensor) => tensor.integers().ok_or("integer pads expected")?,
            None => attributes.integers("pads").ok_or("pads are missing")?,
        };
        let &[0, 0, top, left, 0, 0, bottom, right] = pads else {
            return Err(format!(
                "padding of rows and columns expected, found {pads:?}"
            ));
        };
        let sides = [top, left, bottom, right];
        if sides.iter().any(|side| !(0..=64).contains(side)) {
            return Err(format!("padding of 0 to 64 expected, found {sides:?}"));
        }
        let operator = Operator::Pad(sides.map(|side| side as usize));
        self.push(node, operator, vec![input], self.channels(input), false)?;
        Ok(())
    }

    fn quantise(&mut self, node: &'a NodeProto) -> Result<(), String> {
        let input = self.operand(node, 0)?;
        let quantisation = self.quantisation(node)?;
        let (channels, point) = (self.channels(input), self.point[input]);
        let output = self.push(
            node,
            Operator::Quantise(quantisation),
            vec![input],
            channels,
            point,
        )?;
        self.alias(node, Entry::Quantised(output, quantisation))
    }

    /// Scale and zero point (inputs 1 and 2) of an activation; signed bytes are moved up by 128.
    fn quantisation(&self, node: &NodeProto) -> Result<Quantisation, String> {
        let scale = self.constant(node, 1)?.ok_or("the scale is missing")?;
        let scale = scale
            .scalar()
            .ok_or("one scale for the whole map expected")?;
        if !(scale.is_finite() && scale > 0.0) {
            return Err(format!("a scale above 0 expected, found {scale}"));
        }
        let zero = match self.constant(node, 2)? {
            None => 0,
            Some(zero) => match &zero.data {
                Data::Integer(values, Kind::Unsigned8) if values.len() == 1 => values[0],
                Data::Integer(values, Kind::Signed8) if values.len() == 1 => values[0] + 128,
                _ => return Err("an 8-bit zero point expected".to_owned()),
            },
        };
        Ok(Quantisation {
            scale,
            zero: zero as u8,
        })
    }

    fn dequantise(
        &mut self,
        node: &'a NodeProto,
        attributes: &Attributes<'_>,
    ) -> Result<(), String> {
        match self.entry(node, 0)?.clone() {
            Entry::Quantised(value, given) => {
                let found = self.quantisation(node)?;
                if found != given {
                    return Err(format!(
                        "scale and zero point of its QuantizeLinear expected ({given:?}), found {found:?}"
                    ));
                }
                self.alias(node, Entry::Value(value))
            }
            Entry::Constant(tensor) => {
                let scales = self.constant(node, 1)?.ok_or("the scale is missing")?;
                let zeros = self.constant(node, 2)?;
                let axis = attributes.integer("axis", 1);
                let floats = tensor.dequantised(&scales, zeros.as_deref(), axis)?;
                self.alias(node, Entry::Constant(Rc::new(floats)))
            }
            _ => Err("a quantised map or a constant expected".to_owned()),
        }
    }

    fn identity(&mut self, node: &'a NodeProto, attributes: &Attributes<'_>) -> Result<(), String> {
        let entry = self.entry(node, 0)?.clone();
        if node.op_type == "Cast" {
            let to = attributes.integer("to", 1);
            match &entry {
                // Constants are kept in single precision already; 1 float, 10 half, 11 double.
                Entry::Constant(tensor)
                    if tensor.floats().is_some() && matches!(to, 1 | 10 | 11) => {}
                Entry::Constant(tensor) if tensor.integers().is_some() && matches!(to, 6 | 7) => {}
                Entry::Value(_) if to == 1 => {}
                Entry::Shape => {}
                _ => {
                    return Err(format!(
                        "a cast of floats to float expected, found type {to}"
                    ));
                }
            }
        }
        self.alias(node, entry)
    }

    fn constant_node(
        &mut self,
        node: &'a NodeProto,
        attributes: &Attributes<'_>,
    ) -> Result<(), String> {
        let tensor = if let Some(tensor) = attributes.find("value").and_then(|a| a.t.as_ref()) {
            Tensor::read(tensor)?
        } else if let Some(attribute) = attributes.find("value_float") {
            Tensor {
                dims: Vec::new(),
                data: Data::Float(vec![attribute.f]),
                quantised: None,
            }
        } else if let Some(values) = attributes.integers("value_ints") {
            Tensor {
                dims: vec![values.len()],
                data: Data::Integer(values.to_vec(), Kind::Wide),
                quantised: None,
            }
        } else if let Some(attribute) = attributes.find("value_int") {
            Tensor {
                dims: Vec::new(),
                data: Data::Integer(vec![attribute.i], Kind::Wide),
                quantised: None,
            }
        } else {
            return Err("a constant of numbers expected".to_owned());
        };
        self.alias(node, Entry::Constant(Rc::new(tensor)))
    }

    fn reshape(&mut self, node: &'a NodeProto, attributes: &Attributes<'_>) -> Result<(), String> {
        match self.entry(node, 0)?.clone() {
            Entry::Shape => self.alias(node, Entry::Shape),
            Entry::Value(value) if self.point[value] => self.alias(node, Entry::Value(value)),
            Entry::Value(_) => {
                Err("only a map of 1×1 (after global pooling) can be flattened".to_owned())
            }
            Entry::Constant(tensor) => {
                let mut tensor = (*tensor).clone();
                tensor.quantised = None;
                let count: usize = tensor.dims.iter().product();
                let given = self.constant(node, 1)?;
                let wanted = given.as_ref().and_then(|dims| dims.integers());
                if let ("Reshape", Some(wanted)) = (node.op_type.as_str(), wanted) {
                    tensor.dims = reshaped(wanted, &tensor.dims, count)?;
                } else {
                    let axes = wanted.or(attributes.integers("axes")).unwrap_or_default();
                    tensor.dims = squeezed(&node.op_type, axes, &tensor.dims)?;
                }
                self.alias(node, Entry::Constant(Rc::new(tensor)))
            }
            Entry::Quantised(..) => Err("a map or a constant expected".to_owned()),
        }
    }

    fn transpose(
        &mut self,
        node: &'a NodeProto,
        attributes: &Attributes<'_>,
    ) -> Result<(), String> {
        let Some(tensor) = self.constant(node, 0)? else {
            return Err("input 0 is missing".to_owned());
        };
        let (&[rows, columns], None | Some(&[1, 0])) =
            (&tensor.dims[..], attributes.integers("perm"))
        else {
            return Err("only constants of two dimensions can be transposed".to_owned());
        };
        let values = tensor.finite()?;
        let turned = (0..rows * columns).map(|at| values[at % rows * columns + at / rows]);
        let tensor = Tensor {
            dims: vec![columns, rows],
            data: Data::Float(turned.collect()),
            quantised: None,
        };
        self.alias(node, Entry::Constant(Rc::new(tensor)))
    }
}

/// The window of a convolution or a pooling layer.
fn window(attributes: &Attributes<'_>, size: [usize; 2]) -> Result<Window, String> {
    let pair = |name: &str| -> Result<[usize; 2], String> {
        match attributes.integers(name) {
            None | Some([]) => Ok([1, 1]),
            Some(&[rows, columns]) => Ok([positive(rows)?, positive(columns)?]),
            Some(found) => Err(format!(
                "{name} of two numbers expected, found {}",
                found.len()
            )),
        }
    };
    let padding = match attributes.text("auto_pad") {
        "SAME_UPPER" => Padding::Same {
            odd_at_start: false,
        },
        "SAME_LOWER" => Padding::Same { odd_at_start: true },
        "VALID" => Padding::Explicit([0; 4]),
        "" | "NOTSET" => match attributes.integers("pads") {
            None | Some([]) => Padding::Explicit([0; 4]),
            Some(pads @ &[_, _, _, _]) => {
                if pads.iter().any(|pad| !(0..=64).contains(pad)) {
                    return Err(format!("pads of 0 to 64 expected, found {pads:?}"));
                }
                Padding::Explicit([0, 1, 2, 3].map(|at| pads[at] as usize))
            }
            Some(found) => {
                return Err(format!(
                    "pads of four sides expected, found {}",
                    found.len()
                ));
            }
        },
        found => return Err(format!("auto_pad {found} is not known")),
    };
    let window = Window {
        size,
        stride: pair("strides")?,
        dilation: pair("dilations")?,
        padding,
        ceil: false,
        count_padding: false,
    };
    window.check()?;
    Ok(window)
}

fn positive(value: i64) -> Result<usize, String> {
    match usize::try_from(value) {
        Ok(value) if (1..=1 << 20).contains(&value) => Ok(value),
        _ => Err(format!("a number from 1 on expected, found {value}")),
    }
}

fn reshaped(wanted: &[i64], dims: &[usize], count: usize) -> Result<Vec<usize>, String> {
    let refuse = || {
        format!(
            "{count} values cannot take the shape {:?}",
            &wanted[..wanted.len().min(8)]
        )
    };
    let mut known = 1usize;
    let mut shape = Vec::new();
    for (at, &size) in wanted.iter().enumerate() {
        let size = match size {
            -1 => 0,
            0 => *dims.get(at).ok_or_else(refuse)?,
            size => usize::try_from(size).map_err(|_| refuse())?,
        };
        if wanted[at] != -1 {
            known = known.checked_mul(size).ok_or_else(refuse)?;
        }
        shape.push(size);
    }
    if let Some(free) = wanted.iter().position(|&size| size == -1) {
        shape[free] = count.checked_div(known).ok_or_else(refuse)?;
        known = known.checked_mul(shape[free]).ok_or_else(refuse)?;
    }
    match known == count {
        true => Ok(shape),
        false => Err(refuse()),
    }
}

/// Squeeze, Unsqueeze and Flatten of a constant.
fn squeezed(operator: &str, axes: &[i64], dims: &[usize]) -> Result<Vec<usize>, String> {
    let refuse = || format!("axes {axes:?} do not fit {dims:?}");
    match operator {
        "Squeeze" if axes.is_empty() => {
            Ok(dims.iter().copied().filter(|&size| size != 1).collect())
        }
        "Squeeze" => {
            let kept = dims.iter().enumerate().filter(|(at, _)| {
                let at = *at as i64;
                !axes.contains(&at) && !axes.contains(&(at - dims.len() as i64))
            });
            let kept: Vec<usize> = kept.map(|(_, &size)| size).collect();
            match kept.iter().product::<usize>() == dims.iter().product::<usize>() {
                true => Ok(kept),
                false => Err(refuse()),
            }
        }
        "Unsqueeze" => {
            let rank = dims.len() + axes.len();
            if rank > 8 {
                return Err(refuse());
            }
            let mut rest = dims.iter().copied();
            let shape: Option<Vec<usize>> = (0..rank)
                .map(|at| {
                    let (at, end) = (at as i64, at as i64 - rank as i64);
                    if axes.contains(&at) || axes.contains(&end) {
                        Some(1)
                    } else {
                        rest.next()
                    }
                })
                .collect();
            match shape {
                Some(shape) if rest.next().is_none() => Ok(shape),
                _ => Err(refuse()),
            }
        }
        _ => {
            let first = dims.first().copied().unwrap_or(1);
            Ok(vec![first, dims.iter().skip(1).product()])
        }
    }
}
