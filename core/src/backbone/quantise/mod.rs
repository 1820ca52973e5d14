//! Post-training quantisation: a float graph and photos without labels become a plan.
//!
//! Layers are walked in order with all photos at once, in two streams: one in float, one with the
//! roundings of everything before. So each layer's range is chosen from what really arrives, and
//! its bias takes up the mean error of its own weights and of all layers before (bias correction;
//! Nagel et al. 2019, section 4.2, with the error measured instead of derived).

mod equalise;
mod lower;
mod range;
mod weights;

use std::collections::HashMap;

use rayon::prelude::*;

use super::graph::float::{self, Map};
use super::graph::{Activation, Convolution, Graph, Node, Operator, Quantisation, ValueId};
use super::{BackboneError, Preprocessing};
use crate::image::Pixels;
use lower::Lowering;
pub use range::RangeRule;

/// How a network is quantised.
#[derive(Clone, Debug)]
pub struct QuantiseOptions {
    /// How ranges of activations are chosen.
    pub ranges: RangeRule,
    /// Scale channels against each other before quantising.
    pub equalise: bool,
    /// Correct each bias by the mean error that calibration sees.
    pub correct_bias: bool,
}

impl Default for QuantiseOptions {
    fn default() -> Self {
        Self {
            ranges: RangeRule::SquaredError,
            equalise: true,
            correct_bias: true,
        }
    }
}

/// A value of one photo with its roundings.
#[derive(Clone)]
struct Bytes {
    shape: [usize; 2],
    channels: usize,
    data: Vec<u8>,
}

/// Both streams of a value, a photo each.
#[derive(Default)]
struct Streams {
    float: Vec<Map>,
    rounded: Vec<Bytes>,
}

/// Makes the bytes of a plan from an ONNX model: its own scales where it has been quantised (QDQ),
/// ranges from `photos` (at the network's input size) elsewhere.
///
/// # Errors
/// [`BackboneError::Unreadable`], [`BackboneError::MissingTap`]; [`BackboneError::Unsupported`]
/// names the node that no plan can run; [`BackboneError::Calibration`] when photos are missing.
pub fn quantise(
    onnx: &[u8],
    preprocessing: &Preprocessing,
    taps: &[String],
    photos: &[Pixels],
    options: &QuantiseOptions,
) -> Result<Vec<u8>, BackboneError> {
    let normalisation = super::graph::Normalisation {
        mean: preprocessing.mean,
        scale: preprocessing.scale,
    };
    let mut unique = taps.to_vec();
    unique.sort_unstable();
    unique.dedup();
    let mut graph = super::graph::import::import(onnx, normalisation, &unique)?;
    graph.simplify();
    quantise_graph(graph, photos, options)
}

pub(super) fn quantise_graph(
    mut graph: Graph,
    photos: &[Pixels],
    options: &QuantiseOptions,
) -> Result<Vec<u8>, BackboneError> {
    let inputs: Vec<Map> = photos
        .iter()
        .map(|photo| normalised(&graph, photo))
        .collect();
    if options.equalise && !photos.is_empty() {
        let peaks = peaks(&graph, &inputs)?;
        equalise::equalise(&mut graph, &peaks);
    }
    let mut walk = Walk {
        lowering: Lowering::new(&graph),
        graph: &graph,
        options,
        streams: HashMap::new(),
        readers_left: graph.uses(),
    };
    let first = Streams {
        rounded: Vec::new(),
        float: inputs,
    };
    walk.streams.insert(0, first);
    for node in &graph.nodes {
        walk.node(node)?;
    }
    walk.lowering.finish(&graph)
}

/// A photo as the network takes it.
pub(super) fn normalised(graph: &Graph, photo: &Pixels) -> Map {
    let mut map = Map::new([photo.height() as usize, photo.width() as usize], 3);
    let (mean, scale) = (graph.normalisation.mean, graph.normalisation.scale);
    for (at, (value, &byte)) in map.data.iter_mut().zip(photo.data()).enumerate() {
        *value = (f32::from(byte) - mean[at % 3]) * scale[at % 3];
    }
    map
}

/// Runs the float graph; `seen` is shown every value.
pub(super) fn run_float(
    graph: &Graph,
    input: &Map,
    mut seen: impl FnMut(ValueId, &Map),
) -> Result<(), BackboneError> {
    let mut left = graph.uses();
    let mut maps: HashMap<ValueId, Map> = HashMap::from([(0, input.clone())]);
    for node in &graph.nodes {
        let inputs: Vec<&Map> = node.inputs.iter().map(|value| &maps[value]).collect();
        let map =
            float::evaluate(&node.operator, &inputs).map_err(|reason| misfit(node, reason))?;
        seen(node.output, &map);
        maps.insert(node.output, map);
        for &value in &node.inputs {
            left[value] -= 1;
            if left[value] == 0 {
                maps.remove(&value);
            }
        }
    }
    Ok(())
}

fn misfit(node: &Node, reason: String) -> BackboneError {
    BackboneError::Unsupported {
        node: node.name.chars().take(64).collect(),
        operator: node.operator.name().to_owned(),
        reason,
    }
}

/// The largest magnitude of each channel of each value.
fn peaks(graph: &Graph, inputs: &[Map]) -> Result<Vec<Vec<f32>>, BackboneError> {
    let zeros = || -> Vec<Vec<f32>> {
        let channels = graph.values.iter().map(|value| value.channels);
        channels.map(|channels| vec![0.0; channels]).collect()
    };
    inputs
        .par_iter()
        .map(|input| {
            let mut peaks = zeros();
            run_float(graph, input, |value, map| {
                for location in map.locations() {
                    let pairs = peaks[value].iter_mut().zip(location);
                    pairs.for_each(|(peak, x)| *peak = peak.max(x.abs()));
                }
            })?;
            Ok(peaks)
        })
        .try_reduce(zeros, |mut a, b| {
            let pairs = a.iter_mut().flatten().zip(b.into_iter().flatten());
            pairs.for_each(|(a, b)| *a = a.max(b));
            Ok(a)
        })
}

struct Walk<'a> {
    graph: &'a Graph,
    options: &'a QuantiseOptions,
    lowering: Lowering,
    streams: HashMap<ValueId, Streams>,
    readers_left: Vec<usize>,
}

impl Walk<'_> {
    fn node(&mut self, node: &Node) -> Result<(), BackboneError> {
        let streams = match &node.operator {
            Operator::Convolution(convolution) => self.convolution(node, convolution)?,
            _ => self.other(node)?,
        };
        self.streams.insert(node.output, streams);
        for &value in &node.inputs {
            self.readers_left[value] -= 1;
            if self.readers_left[value] == 0 {
                self.streams.remove(&value);
            }
        }
        Ok(())
    }

    fn convolution(
        &mut self,
        node: &Node,
        convolution: &Convolution,
    ) -> Result<Streams, BackboneError> {
        let input = node.inputs[0];
        let from = self.lowering.source(self.graph, input);
        let importance = self.importance(input);
        let mut integer = lower::Integer::new(convolution, &from, importance.as_deref());
        // What the integers stand for, on the input with its roundings, and what was meant.
        let real = integer.real(convolution, &from);
        let residual = node.inputs.get(1);
        let count = self.streams[&input].float.len();
        let stream =
            |rounded: bool, convolution: &Convolution| -> Result<Vec<Map>, BackboneError> {
                (0..count)
                    .into_par_iter()
                    .map(|photo| {
                        let map = match rounded {
                            true => self.rounded(input, photo),
                            false => self.streams[&input].float[photo].clone(),
                        };
                        float::convolve(convolution, &map).map_err(|reason| misfit(node, reason))
                    })
                    .collect()
            };
        let mut float = stream(false, convolution)?;
        let mut rounded = stream(true, &real)?;
        // A file's own integers are taken as they are.
        if self.options.correct_bias && count > 0 && convolution.quantised.is_none() {
            let (wanted, found) = (means(&float), means(&rounded));
            let correction: Vec<f32> = wanted
                .iter()
                .zip(&found)
                .map(|(wanted, found)| (wanted - found) as f32)
                .collect();
            for map in &mut rounded {
                for location in map.data.chunks_exact_mut(map.channels) {
                    let pairs = location.iter_mut().zip(&correction);
                    pairs.for_each(|(x, correction)| *x += correction);
                }
            }
            integer.move_bias(&correction);
        }
        for (photo, map) in float.iter_mut().enumerate() {
            let residual = residual.map(|value| &self.streams[value].float[photo]);
            float::finish(convolution, map, residual).map_err(|reason| misfit(node, reason))?;
            clamp(node, map);
        }
        for (photo, map) in rounded.iter_mut().enumerate() {
            let residual = residual.map(|&value| self.rounded(value, photo));
            float::finish(convolution, map, residual.as_ref())
                .map_err(|reason| misfit(node, reason))?;
        }
        let quantisation = self.range(node, &float)?;
        self.lowering
            .convolution(node, convolution, &integer, &from, quantisation)
            .map_err(|reason| misfit(node, reason))?;
        Ok(Streams {
            rounded: rounded.iter().map(|map| bytes(map, quantisation)).collect(),
            float,
        })
    }

    fn other(&mut self, node: &Node) -> Result<Streams, BackboneError> {
        let count = self.streams[&node.inputs[0]].float.len();
        let run = |rounded: bool| -> Result<Vec<Map>, BackboneError> {
            (0..count)
                .into_par_iter()
                .map(|photo| {
                    let maps: Vec<Map> = node
                        .inputs
                        .iter()
                        .map(|&value| match rounded {
                            true => self.rounded(value, photo),
                            false => self.streams[&value].float[photo].clone(),
                        })
                        .collect();
                    let maps: Vec<&Map> = maps.iter().collect();
                    float::evaluate(&node.operator, &maps).map_err(|reason| misfit(node, reason))
                })
                .collect()
        };
        let (mut float, rounded) = (run(false)?, run(true)?);
        float.iter_mut().for_each(|map| clamp(node, map));
        let quantisation = match node.operator {
            // These choose among bytes or mix them: the grid stays.
            Operator::Maximum(_) | Operator::Resize(_) if node.inputs[0] != 0 => {
                self.lowering.quantisation(node.inputs[0])
            }
            _ => self.range(node, &float)?,
        };
        self.lowering
            .other(node, self.graph, quantisation)
            .map_err(|reason| misfit(node, reason))?;
        Ok(Streams {
            rounded: rounded.iter().map(|map| bytes(map, quantisation)).collect(),
            float,
        })
    }

    /// A value with its roundings, in float; the photo itself has none.
    fn rounded(&self, value: ValueId, photo: usize) -> Map {
        let streams = &self.streams[&value];
        if value == 0 {
            return streams.float[photo].clone();
        }
        let (bytes, quantisation) = (&streams.rounded[photo], self.lowering.quantisation(value));
        Map {
            shape: bytes.shape,
            channels: bytes.channels,
            data: bytes
                .data
                .iter()
                .map(|&byte| quantisation.real(byte))
                .collect(),
        }
    }

    /// The mean square of each channel of a value; `None` without photos.
    fn importance(&self, value: ValueId) -> Option<Vec<f32>> {
        let maps = &self.streams[&value].float;
        let mut squares = vec![0.0f64; maps.first()?.channels];
        let mut locations = 0usize;
        for map in maps {
            locations += map.shape[0] * map.shape[1];
            for location in map.locations() {
                let pairs = squares.iter_mut().zip(location);
                pairs.for_each(|(square, &x)| *square += f64::from(x) * f64::from(x));
            }
        }
        let most = squares
            .iter()
            .fold(0.0f64, |most, &square| most.max(square));
        // No weight is free: what calibration never saw may still come.
        let least = (1e-3 * most / locations as f64) as f32;
        let mean = |square: f64| ((square / locations as f64) as f32).max(least).max(1e-12);
        Some(squares.into_iter().map(mean).collect())
    }

    /// The grid of a node's output: the file's, or one that fits what calibration saw.
    fn range(&self, node: &Node, maps: &[Map]) -> Result<Quantisation, BackboneError> {
        if let Some(given) = node.quantisation {
            return Ok(given);
        }
        if maps.is_empty() {
            let value = self.graph.values[node.output].name.chars().take(64);
            return Err(BackboneError::Calibration {
                reason: format!(
                    "the file gives no scale for {:?}; give photos to calibrate with",
                    value.collect::<String>()
                ),
            });
        }
        let bounds = self.useful(node.output);
        let values = maps.iter().map(|map| &map.data[..]);
        let clamped: Vec<Vec<f32>>;
        let chosen = match bounds {
            None => range::quantisation(self.options.ranges, values),
            Some((low, high)) => {
                clamped = values
                    .map(|values| values.iter().map(|x| x.clamp(low, high)).collect())
                    .collect();
                range::quantisation(self.options.ranges, clamped.iter().map(|v| &v[..]))
            }
        };
        Ok(chosen)
    }

    /// Beyond these bounds the function that alone reads a value does not change any more.
    fn useful(&self, value: ValueId) -> Option<(f32, f32)> {
        let mut readers = self
            .graph
            .nodes
            .iter()
            .filter(|node| node.inputs.contains(&value));
        let only = readers.next()?;
        if readers.next().is_some() || self.graph.is_tap(value) {
            return None;
        }
        match only.operator {
            Operator::Activate(Activation::Sigmoid) => Some((-8.0, 8.0)),
            Operator::Activate(Activation::Silu) => Some((-8.0, f32::INFINITY)),
            Operator::Activate(Activation::HardSwish) => Some((-3.0, f32::INFINITY)),
            _ => None,
        }
    }
}

/// Quantised files leave out activations that the grid of the output implies: a range from 0 on is a
/// ReLU.
fn clamp(node: &Node, map: &mut Map) {
    if let Some(grid) = node.quantisation {
        let (low, high) = (grid.real(0), grid.real(255));
        map.data.iter_mut().for_each(|x| *x = x.clamp(low, high));
    }
}

fn bytes(map: &Map, quantisation: Quantisation) -> Bytes {
    Bytes {
        shape: map.shape,
        channels: map.channels,
        data: map.data.iter().map(|&x| quantisation.quantise(x)).collect(),
    }
}

/// The mean of each channel over all photos.
fn means(maps: &[Map]) -> Vec<f64> {
    let mut sums = vec![0.0; maps[0].channels];
    let mut locations = 0;
    for map in maps {
        locations += map.shape[0] * map.shape[1];
        for location in map.locations() {
            let pairs = sums.iter_mut().zip(location);
            pairs.for_each(|(sum, &x)| *sum += f64::from(x));
        }
    }
    sums.iter().map(|sum| sum / locations as f64).collect()
}
