//! How operands and operations must be encoded, as `NeuralNetworksTypes.h` says.

use crate::state::{Model, Operand, OperandType, Operation, Value};

pub(crate) const INT32: i32 = 1;
pub(crate) const TENSOR_INT32: i32 = 4;
pub(crate) const QUANT8: i32 = 5;
pub(crate) const BOOL: i32 = 6;
pub(crate) const PER_CHANNEL: i32 = 11;
pub(crate) const QUANT8_SIGNED: i32 = 14;

pub(crate) const ADD: i32 = 0;
pub(crate) const AVERAGE_POOL: i32 = 1;
pub(crate) const CONCATENATION: i32 = 2;
pub(crate) const CONVOLUTION: i32 = 3;
pub(crate) const DEPTHWISE: i32 = 4;
pub(crate) const MAX_POOL: i32 = 17;
pub(crate) const MULTIPLY: i32 = 18;
pub(crate) const GROUPED: i32 = 55;
pub(crate) const HARD_SWISH: i32 = 99;

/// Bytes of an operand's value.
pub(crate) fn bytes(operand: &Operand) -> usize {
    let count: usize = operand.dimensions.iter().product();
    match operand.kind {
        INT32 => 4,
        BOOL => 1,
        TENSOR_INT32 => 4 * count,
        _ => count,
    }
}

pub(crate) fn operand(operand: &OperandType, dimensions: &[u32]) -> Result<(), String> {
    let expect = |holds: bool, what: &str| match holds {
        true => Ok(()),
        false => Err(format!("operand of kind {}: {what}", operand.kind)),
    };
    if dimensions.contains(&0) {
        return Err("a side of unknown length".to_owned());
    }
    match operand.kind {
        INT32 | BOOL => expect(dimensions.is_empty(), "a scalar has no dimensions"),
        TENSOR_INT32 => expect(operand.zero_point == 0, "the zero point is 0"),
        PER_CHANNEL => expect(
            operand.scale == 0.0 && operand.zero_point == 0,
            "scale and zero point are 0",
        ),
        QUANT8 => expect(
            operand.scale > 0.0 && (0..=255).contains(&operand.zero_point),
            "a scale above 0 and a zero point of 0..=255",
        ),
        QUANT8_SIGNED => expect(
            operand.scale > 0.0 && (-128..=127).contains(&operand.zero_point),
            "a scale above 0 and a zero point of -128..=127",
        ),
        _ => Err(format!("kind {} is not used", operand.kind)),
    }
}

pub(crate) fn scales(operand: &Operand, dim: usize, scales: &[f32]) -> Result<(), String> {
    if operand.kind != PER_CHANNEL {
        return Err("only weights have a scale a channel".to_owned());
    }
    if operand.dimensions.get(dim) != Some(&scales.len()) {
        return Err(format!(
            "{} scales for dimension {dim} of {:?}",
            scales.len(),
            operand.dimensions
        ));
    }
    match scales.iter().all(|scale| *scale > 0.0) {
        true => Ok(()),
        false => Err("scales above 0".to_owned()),
    }
}

/// Kinds, counts and shapes of an operation's operands.
pub(crate) fn operation(model: &Model, operation: &Operation) -> Result<(), String> {
    let fail = |what: &str| Err(format!("operation {}: {what}", operation.kind));
    let inputs: Vec<&Operand> = operation
        .inputs
        .iter()
        .map(|&at| &model.operands[at])
        .collect();
    let output = &model.operands[operation.output];
    let map = |operand: &Operand| {
        matches!(operand.kind, QUANT8 | QUANT8_SIGNED) && operand.kind == output.kind
    };
    let scalars = |from: usize| inputs[from..].iter().all(|operand| is_scalar(operand));
    if !map(output) || inputs.is_empty() || !map(inputs[0]) {
        return fail("maps of one encoding in and out");
    }
    let same_grid = (inputs[0].scale, inputs[0].zero) == (output.scale, output.zero);
    match operation.kind {
        CONVOLUTION | DEPTHWISE | GROUPED => {
            let counts: &[usize] = match operation.kind {
                CONVOLUTION => &[10, 13],
                DEPTHWISE => &[11, 14],
                _ => &[12],
            };
            if !counts.contains(&inputs.len()) || !scalars(3) {
                return fail("explicit padding, strides and an activation");
            }
            let (weights, bias) = (inputs[1], inputs[2]);
            let dim = if operation.kind == DEPTHWISE { 3 } else { 0 };
            let sound = match &weights.scales {
                // A scale a channel: that of the bias follows from it.
                Some((of, _)) => weights.kind == PER_CHANNEL && *of == dim && bias.scale == 0.0,
                // One scale: the bias has the step of the sum, which is below that of the output.
                None => {
                    let step = inputs[0].scale * weights.scale;
                    weights.kind == QUANT8 && bias.scale == step && step < output.scale
                }
            };
            if !sound {
                return fail("weights and bias with scales that belong together");
            }
            let outputs = output.dimensions[3];
            if weights.dimensions[dim] != outputs || bias.dimensions != [outputs] {
                return fail("weights and bias for each output channel");
            }
            let depth = match operation.kind {
                CONVOLUTION => inputs[0].dimensions[3] == weights.dimensions[3],
                DEPTHWISE => weights.dimensions[0] == 1,
                _ => inputs[0].dimensions[3] == weights.dimensions[3] * number(inputs[9]) as usize,
            };
            let constant = [weights, bias]
                .iter()
                .all(|o| matches!(o.value, Value::Mapped { .. }));
            match depth && bias.kind == TENSOR_INT32 && constant {
                true => Ok(()),
                false => fail("constant weights of the input's depth, a bias of 32 bits"),
            }
        }
        MULTIPLY if inputs.len() == 3 && output.scale <= inputs[0].scale * inputs[1].scale => {
            fail("an output's scale above the product of its inputs'")
        }
        ADD | MULTIPLY if inputs.len() == 3 && map(inputs[1]) && scalars(2) => Ok(()),
        AVERAGE_POOL | MAX_POOL if inputs.len() == 10 && scalars(1) && same_grid => Ok(()),
        HARD_SWISH if inputs.len() == 1 => Ok(()),
        CONCATENATION if inputs.len() >= 2 && scalars(inputs.len() - 1) => Ok(()),
        _ => fail("its operands"),
    }
}

fn is_scalar(operand: &Operand) -> bool {
    matches!(operand.kind, INT32 | BOOL) && matches!(operand.value, Value::Copied(_))
}

/// A scalar's number.
pub(crate) fn number(operand: &Operand) -> i32 {
    match &operand.value {
        Value::Copied(bytes) if bytes.len() == 4 => {
            i32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
        }
        Value::Copied(bytes) => i32::from(bytes[0]),
        _ => 0,
    }
}
