//! Cross-layer equalisation: channels of a map are scaled up to use the map's range, and the
//! convolutions behind are scaled down to match.
//!
//! Nagel et al., "Data-free quantization through weight equalization and bias correction", ICCV
//! 2019, with the ranges that calibration saw instead of those of the weights. ReLU commutes with
//! positive factors; ReLU6 does for channels that stay below 6 before and after, which the factors
//! below keep.

use super::super::graph::{Activation, Graph, Operator};

/// No channel is scaled up by more.
const LARGEST_FACTOR: f32 = 32.0;

/// Scales channels, given the largest magnitude that each channel of each value took.
pub(super) fn equalise(graph: &mut Graph, peaks: &[Vec<f32>]) {
    for at in 0..graph.nodes.len() {
        let node = &graph.nodes[at];
        let value = node.output;
        let Operator::Convolution(convolution) = &node.operator else {
            continue;
        };
        let commutes = match convolution.activation {
            Activation::Linear => true,
            Activation::Clip { low, .. } => low == 0.0,
            _ => false,
        };
        let alone = node.inputs.len() == 1
            && node.quantisation.is_none()
            && convolution.quantised.is_none()
            && !graph.is_tap(value);
        if !commutes || !alone {
            continue;
        }
        let readers: Vec<usize> = (0..graph.nodes.len())
            .filter(|&at| graph.nodes[at].inputs.contains(&value))
            .collect();
        let convolutions = readers.iter().map(|&at| {
            let reader = &graph.nodes[at];
            match &reader.operator {
                // As what is convolved, not as what is added.
                Operator::Convolution(c) if reader.inputs.get(1) != Some(&value) => {
                    Some(c.is_depthwise())
                }
                _ => None,
            }
        });
        let Some(depthwise) = convolutions.collect::<Option<Vec<bool>>>() else {
            continue;
        };
        // A depthwise reader has a scale a channel, so that equalising costs it nothing; others
        // share a scale among the channels that are scaled apart.
        let power = if depthwise.iter().all(|&alone| alone) {
            1.0
        } else {
            0.5
        };
        let peaks = &peaks[value];
        let widest = peaks.iter().fold(0.0f32, |widest, &peak| widest.max(peak));
        let factors: Vec<f32> = peaks
            .iter()
            .map(|&peak| match peak > 0.0 {
                true => (widest / peak).powf(power).min(LARGEST_FACTOR),
                false => 1.0,
            })
            .collect();
        let inverse: Vec<f32> = factors.iter().map(|factor| 1.0 / factor).collect();
        if let Operator::Convolution(convolution) = &mut graph.nodes[at].operator {
            convolution.scale_outputs(&factors, None);
        }
        for reader in readers {
            if let Operator::Convolution(convolution) = &mut graph.nodes[reader].operator {
                convolution.scale_inputs(&inverse, &vec![0.0; inverse.len()]);
            }
        }
    }
}
