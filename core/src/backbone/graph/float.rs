//! A plain float executor: the measure of what quantisation loses, and the source of ranges.
//!
//! Maps are `H×W×C`. Convolutions are matrix products of laid-out windows; their order of summation
//! is the matrix library's, so that the last bits may differ between machines.

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};

use super::{Convolution, Operator};
use crate::backbone::window::Window;

/// A map in float.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::backbone) struct Map {
    pub(in crate::backbone) shape: [usize; 2],
    pub(in crate::backbone) channels: usize,
    pub(in crate::backbone) data: Vec<f32>,
}

impl Map {
    pub(in crate::backbone) fn new(shape: [usize; 2], channels: usize) -> Self {
        Self {
            shape,
            channels,
            data: vec![0.0; shape[0] * shape[1] * channels],
        }
    }

    fn at(&self, y: usize, x: usize) -> &[f32] {
        &self.data[(y * self.shape[1] + x) * self.channels..][..self.channels]
    }

    pub(in crate::backbone) fn locations(&self) -> impl Iterator<Item = &[f32]> {
        self.data.chunks_exact(self.channels)
    }

    fn map(&self, f: impl Fn(f32) -> f32) -> Self {
        Self {
            data: self.data.iter().map(|&value| f(value)).collect(),
            ..*self
        }
    }
}

/// Runs one operator; `Err` when the maps do not fit it.
pub(in crate::backbone) fn evaluate(operator: &Operator, inputs: &[&Map]) -> Result<Map, String> {
    let input = inputs[0];
    Ok(match operator {
        Operator::Convolution(convolution) => {
            let mut map = convolve(convolution, input)?;
            finish(convolution, &mut map, inputs.get(1).copied())?;
            map
        }
        Operator::Activate(activation) => input.map(|x| activation.apply(x)),
        Operator::Affine { scale, offset } => {
            let mut map = input.clone();
            for location in map.data.chunks_exact_mut(input.channels) {
                for (c, value) in location.iter_mut().enumerate() {
                    *value = *value * scale[c] + offset[c];
                }
            }
            map
        }
        Operator::Add => joined(input, inputs[1], |a, b| a + b)?,
        Operator::Multiply if inputs[1].shape == [1, 1] => {
            let mut map = input.clone();
            for location in map.data.chunks_exact_mut(input.channels) {
                let by = location.iter_mut().zip(&inputs[1].data);
                by.for_each(|(value, by)| *value *= by);
            }
            map
        }
        Operator::Multiply => joined(input, inputs[1], |a, b| a * b)?,
        Operator::GlobalAverage => {
            let mut map = Map::new([1, 1], input.channels);
            let mut sums = vec![0.0f64; input.channels];
            for location in input.locations() {
                let pairs = sums.iter_mut().zip(location);
                pairs.for_each(|(sum, &value)| *sum += f64::from(value));
            }
            let count = (input.shape[0] * input.shape[1]) as f64;
            let pairs = map.data.iter_mut().zip(sums);
            pairs.for_each(|(mean, sum)| *mean = (sum / count) as f32);
            map
        }
        Operator::Average(window) => pool(
            window,
            input,
            0.0,
            |a, b| a + b,
            |sum, inside| {
                let count = if window.count_padding {
                    window.area()
                } else {
                    inside
                };
                sum / count as f32
            },
        )?,
        Operator::Maximum(window) => {
            pool(window, input, f32::NEG_INFINITY, f32::max, |most, _| most)?
        }
        Operator::Concat => {
            let channels = inputs.iter().map(|map| map.channels).sum();
            let mut map = Map::new(input.shape, channels);
            if inputs.iter().any(|map| map.shape != input.shape) {
                return Err("joins maps of different sizes".to_owned());
            }
            for (at, location) in map.data.chunks_exact_mut(channels).enumerate() {
                let mut rest = location;
                for input in inputs {
                    let (part, others) = rest.split_at_mut(input.channels);
                    part.copy_from_slice(&input.data[at * input.channels..][..input.channels]);
                    rest = others;
                }
            }
            map
        }
        Operator::Resize(resize) => {
            let [height, width] = input.shape;
            let rows = resize.outputs(0, height).ok_or("the result has no rows")?;
            let columns = resize
                .outputs(1, width)
                .ok_or("the result has no columns")?;
            let mut map = Map::new([rows, columns], input.channels);
            for (at, out) in map.data.chunks_exact_mut(input.channels).enumerate() {
                let (y0, y1, down) = resize.source(0, at / columns, height, rows);
                let (x0, x1, right) = resize.source(1, at % columns, width, columns);
                for (c, out) in out.iter_mut().enumerate() {
                    let corner = |y, x| input.at(y, x)[c];
                    let above = corner(y0, x0) + (corner(y0, x1) - corner(y0, x0)) * right;
                    let below = corner(y1, x0) + (corner(y1, x1) - corner(y1, x0)) * right;
                    *out = above + (below - above) * down;
                }
            }
            map
        }
        Operator::Pad([top, left, bottom, right]) => {
            let [height, width] = input.shape;
            let mut map = Map::new(
                [height + top + bottom, width + left + right],
                input.channels,
            );
            let row = map.shape[1] * input.channels;
            for y in 0..height {
                let to = (y + top) * row + left * input.channels;
                let length = width * input.channels;
                map.data[to..to + length]
                    .copy_from_slice(&input.data[y * length..(y + 1) * length]);
            }
            map
        }
        Operator::Quantise(quantisation) => {
            input.map(|x| quantisation.real(quantisation.quantise(x)))
        }
    })
}

/// Bias is in already: the residual and the activation, in the order of the kernels.
pub(in crate::backbone) fn finish(
    convolution: &Convolution,
    map: &mut Map,
    residual: Option<&Map>,
) -> Result<(), String> {
    let activation = convolution.activation;
    if !activation.is_clip() {
        map.data.iter_mut().for_each(|x| *x = activation.apply(*x));
    }
    if let Some(residual) = residual {
        if residual.data.len() != map.data.len() {
            return Err("adds maps of different sizes".to_owned());
        }
        let pairs = map.data.iter_mut().zip(&residual.data);
        pairs.for_each(|(x, r)| *x += r);
    }
    if activation.is_clip() {
        map.data.iter_mut().for_each(|x| *x = activation.apply(*x));
    }
    Ok(())
}

fn joined(a: &Map, b: &Map, f: impl Fn(f32, f32) -> f32) -> Result<Map, String> {
    if a.shape != b.shape {
        return Err(format!("joins maps of {:?} and {:?}", a.shape, b.shape));
    }
    let data = a.data.iter().zip(&b.data).map(|(&a, &b)| f(a, b)).collect();
    Ok(Map { data, ..a.clone() })
}

/// The shape of a window's outputs and the padding in front.
fn outputs(window: &Window, input: [usize; 2]) -> Result<([usize; 2], [usize; 2]), String> {
    let axis = |axis: usize| {
        window
            .outputs(axis, input[axis])
            .ok_or_else(|| format!("the map of {}×{} is too small", input[1], input[0]))
    };
    let ((rows, top), (columns, left)) = (axis(0)?, axis(1)?);
    Ok(([rows, columns], [top, left]))
}

fn pool(
    window: &Window,
    input: &Map,
    start: f32,
    join: impl Fn(f32, f32) -> f32,
    end: impl Fn(f32, usize) -> f32,
) -> Result<Map, String> {
    let (shape, front) = outputs(window, input.shape)?;
    let mut map = Map::new(shape, input.channels);
    for (at, out) in map.data.chunks_exact_mut(input.channels).enumerate() {
        let (y, x) = (at / shape[1], at % shape[1]);
        let (down, across) = (
            window.inside(0, y, front[0], input.shape[0]),
            window.inside(1, x, front[1], input.shape[1]),
        );
        out.fill(start);
        for ky in down.clone() {
            for kx in across.clone() {
                let y = y * window.stride[0] + ky * window.dilation[0] - front[0];
                let x = x * window.stride[1] + kx * window.dilation[1] - front[1];
                let pairs = out.iter_mut().zip(input.at(y, x));
                pairs.for_each(|(out, &value)| *out = join(*out, value));
            }
        }
        let inside = down.len() * across.len();
        out.iter_mut().for_each(|out| *out = end(*out, inside));
    }
    Ok(map)
}

/// The convolution with its bias, without what follows.
pub(in crate::backbone) fn convolve(convolution: &Convolution, input: &Map) -> Result<Map, String> {
    let (shape, front) = outputs(&convolution.window, input.shape)?;
    let mut map = Map::new(shape, convolution.outputs);
    for location in map.data.chunks_exact_mut(convolution.outputs) {
        location.copy_from_slice(&convolution.bias);
    }
    if convolution.is_depthwise() {
        depthwise(convolution, input, front, &mut map);
        return Ok(map);
    }
    let (depth, row) = (convolution.depth, convolution.row());
    let locations = shape[0] * shape[1];
    let group_outputs = convolution.outputs / convolution.groups;
    let mut panel = Vec::new();
    for group in 0..convolution.groups {
        let panel: &[f32] = if convolution.window.is_point() && convolution.groups == 1 {
            &input.data
        } else {
            panel.clear();
            panel.resize(locations * row, 0.0);
            lay_out(convolution, input, front, shape, group * depth, &mut panel);
            &panel
        };
        let weights = &convolution.weights[group * group_outputs * row..];
        let weights = &weights[..group_outputs * row];
        let columns = convolution.outputs;
        // Channels down, locations across: both are contiguous as they stand.
        let whole = MatMut::from_column_major_slice_mut(&mut map.data, columns, locations);
        matmul(
            whole.subrows_mut(group * group_outputs, group_outputs),
            Accum::Add,
            MatRef::from_row_major_slice(weights, group_outputs, row),
            MatRef::from_column_major_slice(panel, row, locations),
            1.0,
            Par::Seq,
        );
    }
    Ok(map)
}

fn lay_out(
    convolution: &Convolution,
    input: &Map,
    front: [usize; 2],
    shape: [usize; 2],
    first: usize,
    panel: &mut [f32],
) {
    let (window, depth) = (&convolution.window, convolution.depth);
    for (at, row) in panel.chunks_exact_mut(convolution.row()).enumerate() {
        let (y, x) = (at / shape[1], at % shape[1]);
        for ky in window.inside(0, y, front[0], input.shape[0]) {
            for kx in window.inside(1, x, front[1], input.shape[1]) {
                let y = y * window.stride[0] + ky * window.dilation[0] - front[0];
                let x = x * window.stride[1] + kx * window.dilation[1] - front[1];
                let to = (ky * window.size[1] + kx) * depth;
                row[to..to + depth].copy_from_slice(&input.at(y, x)[first..first + depth]);
            }
        }
    }
}

fn depthwise(convolution: &Convolution, input: &Map, front: [usize; 2], map: &mut Map) {
    let window = &convolution.window;
    let (channels, area) = (convolution.outputs, window.area());
    // Weights by place, so that the innermost loop runs over channels.
    let by_place: Vec<f32> = (0..area * channels)
        .map(|at| convolution.weights[at % channels * area + at / channels])
        .collect();
    let columns = map.shape[1];
    for (at, out) in map.data.chunks_exact_mut(channels).enumerate() {
        let (y, x) = (at / columns, at % columns);
        for ky in window.inside(0, y, front[0], input.shape[0]) {
            for kx in window.inside(1, x, front[1], input.shape[1]) {
                let y = y * window.stride[0] + ky * window.dilation[0] - front[0];
                let x = x * window.stride[1] + kx * window.dilation[1] - front[1];
                let weights = &by_place[(ky * window.size[1] + kx) * channels..][..channels];
                let products = input.at(y, x).iter().zip(weights);
                out.iter_mut()
                    .zip(products)
                    .for_each(|(out, (value, weight))| *out += value * weight);
            }
        }
    }
}
