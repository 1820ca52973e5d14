//! Writes a plan: layers are appended, their weights packed behind each other.

use super::description::{Convolution, Description, Layer, Operator, Packing, Range, Tap};
use super::{ALIGNMENT, VERSION};
use crate::backbone::BackboneError;
use crate::backbone::graph::Quantisation;
use crate::backbone::window::Window;
use crate::kernel::{depthwise, gemm};

/// A plan in the making.
pub(in crate::backbone) struct Builder {
    description: Description,
    blob: Vec<u8>,
}

/// What a convolution computes in integers: an output each.
pub(in crate::backbone) struct Rows {
    /// `outputs × kernel row × kernel column × depth`.
    pub(in crate::backbone) weights: Vec<i8>,
    /// With `-zero · Σ w` of the input's zero point.
    pub(in crate::backbone) bias: Vec<i32>,
    pub(in crate::backbone) multiplier: Vec<f32>,
}

/// A convolution but for its weights.
pub(in crate::backbone) struct Shape {
    pub(in crate::backbone) window: Window,
    pub(in crate::backbone) groups: usize,
    pub(in crate::backbone) hard_swish: Option<f32>,
    pub(in crate::backbone) residual: Option<f32>,
    pub(in crate::backbone) range: Range,
}

impl Builder {
    pub(in crate::backbone) fn new(fill: [u8; 3]) -> Self {
        Self {
            description: Description {
                fill,
                layers: Vec::new(),
                taps: Vec::new(),
            },
            blob: Vec::new(),
        }
    }

    /// Appends a layer; returns the value that it gives.
    pub(in crate::backbone) fn layer(
        &mut self,
        name: &str,
        inputs: &[usize],
        channels: usize,
        quantisation: Quantisation,
        operator: Operator,
    ) -> usize {
        self.description.layers.push(Layer {
            name: name.chars().take(128).collect(),
            inputs: inputs.to_vec(),
            channels,
            scale: quantisation.scale,
            zero: quantisation.zero,
            operator,
        });
        self.description.layers.len()
    }

    /// Packs a convolution's weights; returns its operator.
    pub(in crate::backbone) fn convolution(
        &mut self,
        input: usize,
        shape: &Shape,
        rows: &Rows,
    ) -> Operator {
        self.blob
            .resize(self.blob.len().next_multiple_of(ALIGNMENT), 0);
        let convolution = Convolution {
            window: shape.window,
            groups: shape.groups,
            weights: self.blob.len(),
            hard_swish: shape.hard_swish,
            residual: shape.residual,
            range: shape.range,
        };
        let inputs = self.description.channels(input);
        let outputs = rows.bias.len();
        let sum = rows.weights.len() / outputs;
        let (_, width) = convolution.blocks(inputs, outputs);
        let packing = convolution.packing(inputs, outputs);
        for first in (0..outputs).step_by(width) {
            let block = first..first + width;
            let weights = &rows.weights[block.start * sum..block.end * sum];
            let packed = match packing {
                Packing::Depthwise => depthwise::pack(weights, width, shape.window.size[0]),
                Packing::Matrix => gemm::pack(weights, width, sum),
            };
            self.blob.extend(packed);
            let padding = vec![[0; 4]; width.next_multiple_of(16) - width];
            let mut append = |words: &mut dyn Iterator<Item = [u8; 4]>| {
                words
                    .chain(padding.iter().copied())
                    .for_each(|word| self.blob.extend(word));
            };
            append(
                &mut rows.bias[block.clone()]
                    .iter()
                    .map(|bias| bias.to_le_bytes()),
            );
            append(
                &mut rows.multiplier[block]
                    .iter()
                    .map(|factor| factor.to_le_bytes()),
            );
        }
        Operator::Convolution(convolution)
    }

    /// Stores a table; returns its place.
    pub(in crate::backbone) fn table(&mut self, table: &[u8; 256]) -> usize {
        self.blob.extend(table);
        self.blob.len() - 256
    }

    pub(in crate::backbone) fn tap(&mut self, name: &str, value: usize) {
        self.description.taps.push(Tap {
            name: name.to_owned(),
            value,
        });
    }

    /// The bytes of the plan, checked as a reader checks them.
    pub(in crate::backbone) fn finish(self) -> Result<Vec<u8>, BackboneError> {
        let json = serde_json::to_vec(&self.description).expect("plain data serialises");
        let mut bytes = Vec::with_capacity(json.len() + self.blob.len() + ALIGNMENT);
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend((json.len() as u32).to_le_bytes());
        bytes.extend(json);
        bytes.resize(bytes.len().next_multiple_of(ALIGNMENT), 0);
        bytes.extend(self.blob);
        super::read(&bytes)?;
        Ok(bytes)
    }
}
