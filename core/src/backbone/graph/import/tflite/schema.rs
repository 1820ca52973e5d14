//! What a TFLite file holds, by the numbers of its schema, version 3.

use super::flatbuffer::Table;

/// Behind the offset of the root.
const IDENTIFIER: &[u8] = b"TFL3";
/// No network that makes sense has more tensors or operators.
const MOST: usize = 8192;
const MOST_DIMENSIONS: usize = 8;
const MOST_INPUTS: usize = 64;

pub(super) mod operator {
    pub(in super::super) const ADD: i32 = 0;
    pub(in super::super) const AVERAGE_POOL: i32 = 1;
    pub(in super::super) const CONVOLUTION: i32 = 3;
    pub(in super::super) const DEPTHWISE: i32 = 4;
    pub(in super::super) const DEQUANTIZE: i32 = 6;
    pub(in super::super) const MAX_POOL: i32 = 17;
    pub(in super::super) const PAD: i32 = 34;
    pub(in super::super) const QUANTIZE: i32 = 114;
}

pub(super) mod element {
    pub(in super::super) const FLOAT32: u8 = 0;
    pub(in super::super) const INT32: u8 = 2;
    pub(in super::super) const UINT8: u8 = 3;
    pub(in super::super) const INT8: u8 = 9;
}

pub(in super::super) fn is_tflite(bytes: &[u8]) -> bool {
    bytes.get(4..8) == Some(IDENTIFIER)
}

pub(super) struct Tensor<'a> {
    pub(super) name: &'a str,
    pub(super) shape: Vec<i32>,
    pub(super) element: u8,
    pub(super) data: &'a [u8],
    // As they stand in the file: many tensors may name the same ones.
    pub(super) scales: &'a [[u8; 4]],
    pub(super) zeros: &'a [[u8; 8]],
}

impl Tensor<'_> {
    pub(super) fn scale(&self, at: usize) -> Option<f32> {
        self.scales.get(at).copied().map(f32::from_le_bytes)
    }

    pub(super) fn zero(&self, at: usize) -> Option<i64> {
        self.zeros.get(at).copied().map(i64::from_le_bytes)
    }
}

pub(super) struct Step<'a> {
    pub(super) operator: i32,
    pub(super) inputs: Vec<i32>,
    pub(super) output: i32,
    pub(super) options: Option<Table<'a>>,
}

/// Tensors, operators and the number of the input.
pub(super) fn read(bytes: &[u8]) -> Result<(Vec<Tensor<'_>>, Vec<Step<'_>>, i32), String> {
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
