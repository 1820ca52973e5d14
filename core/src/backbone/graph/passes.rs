//! Rewrites of the float graph that leave what it computes as it is: constants into convolutions,
//! activations, padding and residual sums into the convolution before them.

use super::{Activation, Convolution, Graph, Node, Operator, ValueId};
use crate::backbone::window::{Padding, Window};

impl Graph {
    /// All passes, in an order in which each finds what the one before it made.
    pub(in crate::backbone) fn simplify(&mut self) {
        self.drop_unused();
        self.recognise_activations();
        self.fold_affine();
        self.fuse_padding();
        self.fuse_activations();
        self.fuse_residuals();
        self.fuse_quantisation();
        self.affine_to_convolution();
        self.drop_unused();
    }

    /// Removes nodes that no tap depends on, and numbers values anew.
    pub(in crate::backbone) fn drop_unused(&mut self) {
        let mut used = vec![false; self.values.len()];
        used[0] = true;
        self.taps.iter().for_each(|(_, tap)| used[*tap] = true);
        for node in self.nodes.iter().rev() {
            if used[node.output] {
                node.inputs.iter().for_each(|&input| used[input] = true);
            }
        }
        self.nodes.retain(|node| used[node.output]);
        let mut numbers = vec![0; used.len()];
        let mut next = 0;
        for (number, &used) in numbers.iter_mut().zip(&used) {
            *number = next;
            next += usize::from(used);
        }
        let mut at = 0;
        self.values.retain(|_| {
            at += 1;
            used[at - 1]
        });
        let renumber = |value: &mut ValueId| *value = numbers[*value];
        for node in &mut self.nodes {
            node.inputs.iter_mut().for_each(renumber);
            renumber(&mut node.output);
        }
        self.taps.iter_mut().for_each(|(_, tap)| renumber(tap));
    }

    /// Whoever reads `from` reads `to`.
    fn replace(&mut self, from: ValueId, to: ValueId) {
        let read = self.nodes.iter_mut().flat_map(|node| &mut node.inputs);
        let taps = self.taps.iter_mut().map(|(_, tap)| tap);
        read.chain(taps)
            .filter(|value| **value == from)
            .for_each(|value| *value = to);
    }

    /// The node that gives a value, when nobody but one reader and no tap sees the value.
    fn sole_producer(&self, value: ValueId) -> Option<usize> {
        (self.uses()[value] == 1 && !self.is_tap(value))
            .then(|| self.producers()[value])
            .flatten()
    }

    /// HardSigmoid, HardSwish and SiLU as older exporters write them.
    fn recognise_activations(&mut self) {
        for at in 0..self.nodes.len() {
            if let Some((input, activation)) = self.composed(at) {
                self.nodes[at].operator = Operator::Activate(activation);
                self.nodes[at].inputs = vec![input];
            }
        }
        self.drop_unused();
    }

    /// What the node at `at` computes together with those before it, when it is one activation.
    fn composed(&self, at: usize) -> Option<(ValueId, Activation)> {
        let node = &self.nodes[at];
        let producers = self.producers();
        let before = |value: ValueId| producers[value].map(|at| &self.nodes[at]);
        match &node.operator {
            // clip(a x + b, 0, c) / c
            Operator::Affine { scale, offset } => {
                let (scale, 0.0) = (uniform(scale)?, uniform(offset)?) else {
                    return None;
                };
                let node = before(node.inputs[0])?;
                // x · clip(x + 3, 0, 6), then / 6
                if let Operator::Multiply = node.operator {
                    for (x, clipped) in [(0, 1), (1, 0)] {
                        let (x, clipped) = (node.inputs[x], node.inputs[clipped]);
                        let clip = before(clipped)?;
                        if let Some((source, gate)) = self.gate(clip, scale)
                            && source == x
                            && is_hard_swish_gate(gate)
                        {
                            return Some((x, Activation::HardSwish));
                        }
                    }
                    return None;
                }
                self.gate(node, scale)
            }
            Operator::Multiply => {
                for (x, gate) in [(0, 1), (1, 0)] {
                    let (x, gate) = (node.inputs[x], node.inputs[gate]);
                    let Some(node) = before(gate) else { continue };
                    match node.operator {
                        Operator::Activate(activation) if node.inputs[0] == x => {
                            if is_hard_swish_gate(activation) {
                                return Some((x, Activation::HardSwish));
                            }
                            if activation == Activation::Sigmoid {
                                return Some((x, Activation::Silu));
                            }
                        }
                        _ => {}
                    }
                }
                None
            }
            _ => None,
        }
    }

    /// `scale · clip(a x + b, 0, 1 / scale)` as a hard sigmoid of `x`.
    fn gate(&self, clip: &Node, scale: f32) -> Option<(ValueId, Activation)> {
        let Operator::Activate(Activation::Clip { low: 0.0, high }) = clip.operator else {
            return None;
        };
        if (high * scale - 1.0).abs() > 1e-6 {
            return None;
        }
        let inner = &self.nodes[self.producers()[clip.inputs[0]]?];
        let Operator::Affine {
            scale: slope,
            offset,
        } = &inner.operator
        else {
            return None;
        };
        let (alpha, beta) = (uniform(slope)? * scale, uniform(offset)? * scale);
        Some((inner.inputs[0], Activation::HardSigmoid { alpha, beta }))
    }

    /// Affine maps go into the input's normalisation, the convolution before or the one behind.
    fn fold_affine(&mut self) {
        for at in 0..self.nodes.len() {
            let node = &self.nodes[at];
            let Operator::Affine { scale, offset } = &node.operator else {
                continue;
            };
            let (scale, offset) = (scale.clone(), offset.clone());
            let (input, output) = (node.inputs[0], node.output);
            if input == 0 && self.uses()[0] == 1 && scale.iter().all(|s| s.abs() > 1e-12) {
                let normalisation = &mut self.normalisation;
                for c in 0..3 {
                    // (byte - mean) · old · scale + offset
                    normalisation.scale[c] *= scale[c];
                    normalisation.mean[c] -= offset[c] / normalisation.scale[c];
                }
                self.replace(output, 0);
                self.nodes[at].inputs.clear();
                continue;
            }
            if let Some(before) = self.sole_producer(input)
                && let Operator::Convolution(convolution) = &mut self.nodes[before].operator
                && convolution.activation == Activation::Linear
            {
                convolution.scale_outputs(&scale, Some(&offset));
                self.nodes[before].output = output;
                self.nodes[at].output = input;
                continue;
            }
            let reader = self
                .nodes
                .iter()
                .position(|node| node.inputs.contains(&output));
            if self.sole_producer(output).is_some()
                && let Some(reader) = reader
                && let Operator::Convolution(convolution) = &mut self.nodes[reader].operator
                // Around the map lie zeros, which an offset would move.
                && (convolution.window.is_point() || offset.iter().all(|&o| o == 0.0))
            {
                convolution.scale_inputs(&scale, &offset);
                self.replace(output, input);
                self.nodes[at].inputs.clear();
            }
        }
        self.drop_unused();
    }

    /// Padding before a convolution becomes part of it.
    fn fuse_padding(&mut self) {
        for at in 0..self.nodes.len() {
            let Operator::Pad(sides) = self.nodes[at].operator else {
                continue;
            };
            let (input, output) = (self.nodes[at].inputs[0], self.nodes[at].output);
            let reader = self
                .nodes
                .iter()
                .position(|node| node.inputs.contains(&output));
            if self.sole_producer(output).is_some()
                && let Some(reader) = reader
                && let Operator::Convolution(convolution) = &mut self.nodes[reader].operator
                && let Padding::Explicit(own) = convolution.window.padding
            {
                let window = Window {
                    padding: Padding::Explicit([0, 1, 2, 3].map(|side| own[side] + sides[side])),
                    ..convolution.window
                };
                if window.check().is_ok() {
                    convolution.window = window;
                    self.replace(output, input);
                }
            }
        }
        self.drop_unused();
    }

    /// A linear convolution takes the activation behind it. A quantisation between both is left out:
    /// the sum is rounded once, behind the activation.
    fn fuse_activations(&mut self) {
        for at in 0..self.nodes.len() {
            let Operator::Activate(activation) = self.nodes[at].operator else {
                continue;
            };
            // The others are tables of what a convolution gives.
            if matches!(activation, Activation::Sigmoid | Activation::Silu) {
                continue;
            }
            let output = self.nodes[at].output;
            if let Some(before) = self.linear_convolution(self.nodes[at].inputs[0])
                && let Operator::Convolution(convolution) = &mut self.nodes[before].operator
            {
                convolution.activation = activation;
                self.take_output(before, at, output);
            }
        }
        self.drop_unused();
    }

    /// The linear convolution that gives a value to one reader only, looking through a
    /// quantisation.
    fn linear_convolution(&self, value: ValueId) -> Option<usize> {
        let mut at = self.sole_producer(value)?;
        if let Operator::Quantise(_) = self.nodes[at].operator {
            at = self.sole_producer(self.nodes[at].inputs[0])?;
        }
        match &self.nodes[at].operator {
            Operator::Convolution(c) if c.activation == Activation::Linear => {
                (self.nodes[at].inputs.len() == 1).then_some(at)
            }
            _ => None,
        }
    }

    /// The node at `at` gives what the node at `instead` gave, which becomes unused.
    fn take_output(&mut self, at: usize, instead: usize, output: ValueId) {
        let freed = self.nodes[at].output;
        self.nodes[at].output = output;
        self.nodes[instead].output = freed;
    }

    /// A linear convolution takes the sum behind it, and the clip behind the sum.
    fn fuse_residuals(&mut self) {
        let mut at = 0;
        while at < self.nodes.len() {
            if let Some((before, residual)) = self.residual(at) {
                let output = self.nodes[at].output;
                // The convolution moves to the place of the sum: what it adds is there by then.
                let mut node = self.nodes[before].clone();
                node.output = output;
                node.inputs.push(residual);
                self.nodes[at] = node;
                self.nodes.remove(before);
                // One node less: the same index is the next node.
                if let Some((clip, activation)) = self.clip_behind(output)
                    && let Operator::Convolution(convolution) = &mut self.nodes[at - 1].operator
                {
                    convolution.activation = activation;
                    let output = self.nodes[clip].output;
                    self.take_output(at - 1, clip, output);
                    self.nodes.remove(clip);
                }
            } else {
                at += 1;
            }
        }
        self.drop_unused();
    }

    /// The convolution that can take the sum at `at`, and what else is summed.
    fn residual(&self, at: usize) -> Option<(usize, ValueId)> {
        let Operator::Add = self.nodes[at].operator else {
            return None;
        };
        let inputs = &self.nodes[at].inputs;
        let found = |value: ValueId, other: ValueId| {
            let before = self.linear_convolution(value)?;
            let Operator::Convolution(convolution) = &self.nodes[before].operator else {
                return None;
            };
            // The depthwise kernel adds nothing, and the photo is no map of bytes.
            let fits = convolution.groups == 1 && other != 0 && other != value;
            fits.then_some((before, other))
        };
        let candidates = [found(inputs[0], inputs[1]), found(inputs[1], inputs[0])];
        // The later one: its partner is more likely to be quantised finely, and lives anyway.
        candidates
            .into_iter()
            .flatten()
            .max_by_key(|(before, _)| *before)
    }

    /// The clip that alone reads a value.
    fn clip_behind(&self, value: ValueId) -> Option<(usize, Activation)> {
        if self.uses()[value] != 1 || self.is_tap(value) {
            return None;
        }
        let at = self
            .nodes
            .iter()
            .position(|node| node.inputs.contains(&value))?;
        match self.nodes[at].operator {
            Operator::Activate(activation @ Activation::Clip { .. }) => Some((at, activation)),
            _ => None,
        }
    }

    /// Quantisation becomes a property of whatever gives the value.
    fn fuse_quantisation(&mut self) {
        for at in 0..self.nodes.len() {
            let Operator::Quantise(quantisation) = self.nodes[at].operator else {
                continue;
            };
            let (input, output) = (self.nodes[at].inputs[0], self.nodes[at].output);
            if input == 0 {
                // The photo's bytes are exact: rounding them again would only lose.
                self.replace(output, 0);
            } else if let Some(before) = self.producers()[input]
                && self.nodes[before]
                    .quantisation
                    .is_none_or(|own| own == quantisation)
            {
                self.nodes[before].quantisation = Some(quantisation);
                self.replace(output, input);
            }
        }
        self.drop_unused();
    }

    /// What is left of affine maps: uniform ones could be a table, all are a depthwise convolution.
    fn affine_to_convolution(&mut self) {
        for node in &mut self.nodes {
            if let Operator::Affine { scale, offset } = &node.operator {
                node.operator = Operator::Convolution(Convolution {
                    window: Window::POINT,
                    groups: scale.len(),
                    outputs: scale.len(),
                    depth: 1,
                    weights: scale.clone(),
                    bias: offset.clone(),
                    quantised: None,
                    activation: Activation::Linear,
                });
            }
        }
    }
}

impl Convolution {
    /// Multiplies each output, and moves it.
    pub(in crate::backbone) fn scale_outputs(&mut self, scale: &[f32], offset: Option<&[f32]>) {
        let row = self.row();
        for output in 0..self.outputs {
            let weights = &mut self.weights[output * row..(output + 1) * row];
            weights
                .iter_mut()
                .for_each(|weight| *weight *= scale[output]);
            let offset = offset.map_or(0.0, |offset| offset[output]);
            self.bias[output] = self.bias[output] * scale[output] + offset;
        }
        // 8-bit weights stay as they are where only their scales change.
        if let Some((_, scales)) = &mut self.quantised {
            scales
                .iter_mut()
                .zip(scale)
                .for_each(|(own, scale)| *own *= scale);
            if scales.iter().any(|&scale| scale <= 0.0) {
                self.quantised = None;
            }
        }
    }

    /// Makes the convolution compute of `x` what it computed of `x · scale + offset`.
    pub(in crate::backbone) fn scale_inputs(&mut self, scale: &[f32], offset: &[f32]) {
        let (row, depth) = (self.row(), self.depth);
        let outputs = self.outputs / self.groups;
        for output in 0..self.outputs {
            let first = output / outputs * depth;
            let weights = &mut self.weights[output * row..(output + 1) * row];
            let mut moved = 0.0f64;
            for (at, weight) in weights.iter_mut().enumerate() {
                let channel = first + at % depth;
                moved += f64::from(*weight) * f64::from(offset[channel]);
                *weight *= scale[channel];
            }
            self.bias[output] += moved as f32;
        }
        self.quantised = None;
    }
}

/// The one value of a list whose values are all the same.
fn uniform(values: &[f32]) -> Option<f32> {
    let (&first, rest) = values.split_first()?;
    rest.iter().all(|&value| value == first).then_some(first)
}

fn is_hard_swish_gate(activation: Activation) -> bool {
    matches!(activation, Activation::HardSigmoid { alpha, beta }
        if (alpha - 1.0 / 6.0).abs() < 1e-6 && (beta - 0.5).abs() < 1e-6)
}
