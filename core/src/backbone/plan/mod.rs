//! The quantised plan: a network of 8-bit maps that runs the same bits on every processor.
//!
//! A plan is a section of the bundle (drawn in `FORMAT.md`): its weights stand there as the kernels
//! read them and are used in place. For each input size the shapes of all values and their places
//! in one arena are worked out once and kept.

#[cfg(feature = "build")]
pub(super) mod build;
mod convolution;
pub(super) mod description;
mod execute;
mod layout;
mod maps;
mod memory;
mod network;
mod stem;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use super::BackboneError;
use crate::kernel::Cpu;
use crate::kernel::pack::survey;
use description::{Convolution, Description, Operator};
use memory::Prepared;

/// Changes when the bytes mean something else.
const VERSION: u32 = 1;
/// The blob begins at a multiple of this, and so does every block of weights.
const ALIGNMENT: usize = 64;
/// Input sizes that are kept ready. Each costs its arena once it ran.
const SIZES_KEPT: usize = 6;

/// Bytes that somebody else owns, such as a section of a mapped file.
pub(crate) type SharedBytes = Arc<dyn AsRef<[u8]> + Send + Sync>;

/// A checked plan, ready for any input size.
pub(super) struct Plan {
    bytes: SharedBytes,
    /// The blob of weights and tables inside of `bytes`.
    blob: Range<usize>,
    description: Description,
    /// One a layer; empty but for convolutions.
    parameters: Vec<Parameters>,
    /// Whether a tap in use depends on the layer.
    needed: Vec<bool>,
    /// Values of the taps in use, in the order in which they were asked for.
    taps: Vec<usize>,
    /// Least recently used first.
    prepared: Mutex<Vec<Arc<Prepared>>>,
    cpu: Cpu,
}

/// The small parts of a convolution, copied out of the file for their alignment: a value an output,
/// each block padded to 16.
#[derive(Default)]
struct Parameters {
    bias: Vec<i32>,
    sums: Vec<i32>,
    /// With the root of the scale of a HardSwish inside.
    multiplier: Vec<f32>,
    /// Weights as the kernel for the first convolution reads them; empty for others.
    stem: Vec<u8>,
    bounded: bool,
    pair_safe: bool,
}

impl Plan {
    /// Checks a plan and picks the taps by name.
    pub(super) fn load(bytes: SharedBytes, taps: &[String]) -> Result<Self, BackboneError> {
        let (description, blob) = read(bytes.as_ref().as_ref())?;
        let find = |name: &String| {
            let tap = description.taps.iter().find(|tap| tap.name == *name);
            tap.map(|tap| tap.value).ok_or_else(|| {
                let outputs = description.taps.iter().map(|tap| tap.name.clone());
                BackboneError::MissingTap {
                    tap: name.clone(),
                    outputs: outputs.collect(),
                }
            })
        };
        let taps: Vec<usize> = taps.iter().map(find).collect::<Result<_, _>>()?;
        let whole = bytes.as_ref().as_ref();
        let parameters = description
            .layers
            .iter()
            .map(|layer| match &layer.operator {
                Operator::Convolution(convolution) => {
                    let inputs = description.channels(layer.inputs[0]);
                    let channels = [inputs, layer.channels];
                    Parameters::read(&whole[blob.clone()], convolution, layer.inputs[0], channels)
                        .map_err(|reason| format!("layer {}: {reason}", layer.name))
                }
                _ => Ok(Parameters::default()),
            })
            .collect::<Result<_, _>>()
            .map_err(|reason| BackboneError::Plan { reason })?;
        Ok(Self {
            needed: needed(&description, &taps),
            bytes,
            blob,
            description,
            parameters,
            taps,
            prepared: Mutex::default(),
            cpu: Cpu::native(),
        })
    }

    fn blob(&self) -> &[u8] {
        &self.bytes.as_ref().as_ref()[self.blob.clone()]
    }

    /// Shapes and places for an input size, from the cache or worked out now.
    fn prepare(&self, width: u32, height: u32) -> Result<Arc<Prepared>, BackboneError> {
        let size = [height as usize, width as usize];
        let mut kept = self.prepared.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = kept.iter().position(|prepared| prepared.shapes[0] == size) {
            let recent = kept.remove(at);
            kept.push(recent.clone());
            return Ok(recent);
        }
        let prepared =
            Prepared::new(&self.description, &self.needed, &self.taps, size).map_err(|reason| {
                BackboneError::Unrunnable {
                    width,
                    height,
                    reason,
                }
            })?;
        let prepared = Arc::new(prepared);
        if kept.len() == SIZES_KEPT {
            kept.remove(0);
        }
        kept.push(prepared.clone());
        Ok(prepared)
    }
}

/// Splits a plan into its checked description and the place of its blob.
fn read(bytes: &[u8]) -> Result<(Description, Range<usize>), BackboneError> {
    let refuse = |reason: String| BackboneError::Plan { reason };
    let Some((header, rest)) = bytes.split_first_chunk::<8>() else {
        return Err(refuse(format!(
            "at least 8 bytes expected, found {}",
            bytes.len()
        )));
    };
    let number = |at: usize| u32::from_le_bytes([0, 1, 2, 3].map(|i| header[at + i]));
    if number(0) != VERSION {
        let reason = format!(
            "plan version {VERSION} expected, found {}; update pocketlens or convert again",
            number(0)
        );
        return Err(refuse(reason));
    }
    let length = number(4) as usize;
    let Some(json) = rest.get(..length) else {
        return Err(refuse(format!(
            "a description of {length} bytes expected, found {}",
            rest.len()
        )));
    };
    let description: Description =
        serde_json::from_slice(json).map_err(|error| refuse(error.to_string()))?;
    let start = (8 + length).next_multiple_of(ALIGNMENT).min(bytes.len());
    description.check(bytes.len() - start).map_err(refuse)?;
    Ok((description, start..bytes.len()))
}

/// Which layers the taps depend on.
fn needed(description: &Description, taps: &[usize]) -> Vec<bool> {
    let mut needed = vec![false; description.layers.len()];
    taps.iter().for_each(|&value| needed[value - 1] = true);
    for (at, layer) in description.layers.iter().enumerate().rev() {
        if needed[at] {
            let read = layer.inputs.iter().filter_map(|value| value.checked_sub(1));
            read.for_each(|layer| needed[layer] = true);
        }
    }
    needed
}

impl Parameters {
    /// Copies bias and multipliers, which stand behind the weights of their block, and surveys the
    /// weights.
    fn read(
        blob: &[u8],
        convolution: &Convolution,
        input: usize,
        [inputs, outputs]: [usize; 2],
    ) -> Result<Self, String> {
        let mut parameters = Self {
            pair_safe: true,
            ..Self::default()
        };
        let (blocks, width) = convolution.blocks(inputs, outputs);
        let weights = convolution.weights_length(inputs, outputs);
        let padded = width.next_multiple_of(16);
        for block in 0..blocks {
            let start = convolution.weights + block * (weights + 8 * padded);
            let (weights, rest) = blob[start..].split_at(weights);
            let survey = survey(weights, width);
            parameters.pair_safe &= survey.pair_safe;
            parameters.stem = stem::weights(convolution, input, [inputs, outputs], weights);
            parameters.sums.extend(survey.sums);
            let words = rest[..8 * padded].as_chunks::<4>().0;
            let (bias, multiplier) = words.split_at(padded);
            let integer = |word: &[u8; 4]| i32::from_le_bytes(*word);
            parameters.bias.extend(bias.iter().map(integer));
            let multiplier = multiplier.iter().copied().map(f32::from_le_bytes);
            parameters.multiplier.extend(multiplier);
        }
        if let Some(scale) = convolution.hard_swish {
            let root = scale.sqrt();
            parameters.multiplier.iter_mut().for_each(|m| *m *= root);
        }
        description::check_factors(&parameters.multiplier)?;
        parameters.bounded = convolution.activation().is_bounded(&parameters.multiplier);
        // Together with the longest sum this keeps every accumulator inside of 32 bits.
        let limit = 1 << 30;
        if parameters
            .bias
            .iter()
            .any(|bias| bias.unsigned_abs() > limit)
        {
            return Err("a bias beyond 2³⁰".to_owned());
        }
        Ok(parameters)
    }
}
