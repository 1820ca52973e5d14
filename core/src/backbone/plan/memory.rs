//! The memory plan for one input size: shapes, lifetimes, and one arena in which values whose lives
//! do not meet share their place.
//!
//! Values are placed by falling size, each into the smallest gap that fits between the values
//! already placed that live at the same time (greedy by size, Pisarchyk & Lee, "Efficient memory
//! management for deep neural net inference", 2020).

use std::sync::{Mutex, PoisonError};

use super::description::{Convolution, Description, Operator, Packing};

/// No arena is larger (bytes), whatever a file or an input size asks for.
const LARGEST_ARENA: usize = 1 << 28;
/// Bytes of input windows that are laid out at a time for a convolution: half of a second-level
/// cache.
const PANEL: usize = 1 << 17;
/// Places begin at whole cache lines.
const LINE: usize = 64;

/// Everything that depends on the input's size.
pub(super) struct Prepared {
    /// Rows and columns of each value; zeros for values that are not needed.
    pub(super) shapes: Vec<[usize; 2]>,
    /// First byte of each value in the arena.
    pub(super) offsets: Vec<usize>,
    pub(super) arena: usize,
    /// Bytes of scratch memory that each thread needs.
    pub(super) scratch: usize,
    /// Longest row of a depthwise input: that many bytes of padding are laid out.
    pub(super) row: usize,
    idle: Mutex<Vec<Arena>>,
}

/// The memory of one run.
#[derive(Default)]
pub(super) struct Arena {
    pub(super) values: Vec<u8>,
    /// A thread each.
    pub(super) scratch: Vec<Vec<u8>>,
    pub(super) row: Vec<u8>,
}

impl Prepared {
    pub(super) fn new(
        description: &Description,
        needed: &[bool],
        taps: &[usize],
        input: [usize; 2],
    ) -> Result<Self, String> {
        let shapes = shapes(description, needed, input)?;
        let mut prepared = Self {
            offsets: Vec::new(),
            arena: 0,
            scratch: 0,
            row: 0,
            idle: Mutex::default(),
            shapes,
        };
        let bytes = |value: usize| {
            let [rows, columns] = prepared.shapes[value];
            rows * columns * description.stride(value)
        };
        let sizes: Vec<usize> = (0..prepared.shapes.len())
            .map(|value| if value == 0 { 0 } else { bytes(value) })
            .collect();
        let lives = lives(description, needed, taps);
        let (offsets, arena) = place(&sizes, &lives);
        if arena > LARGEST_ARENA {
            return Err(format!(
                "the maps need {arena} bytes, at most {LARGEST_ARENA} are given; use a smaller input"
            ));
        }
        for (at, layer) in description
            .layers
            .iter()
            .enumerate()
            .filter(|(at, _)| needed[*at])
        {
            if let Operator::Convolution(convolution) = &layer.operator {
                let from = layer.inputs[0];
                let inputs = description.channels(from);
                match convolution.packing(inputs, layer.channels) {
                    Packing::Depthwise => {
                        let row = prepared.shapes[from][1] * description.stride(from);
                        prepared.row = prepared.row.max(row);
                    }
                    Packing::Matrix => {
                        let [rows, columns] = prepared.shapes[at + 1];
                        let scratch = scratch(convolution, inputs, layer.channels, rows * columns);
                        prepared.scratch = prepared.scratch.max(scratch);
                    }
                }
            }
        }
        prepared.offsets = offsets;
        prepared.arena = arena;
        Ok(prepared)
    }

    /// An arena of this size, used before or new.
    pub(super) fn take(&self, threads: usize) -> Arena {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let mut arena = idle.pop().unwrap_or_default();
        drop(idle);
        arena.values.resize(self.arena, 0);
        arena.row.resize(self.row, 0);
        arena.scratch.resize_with(threads, Vec::new);
        for scratch in &mut arena.scratch {
            scratch.resize(self.scratch, 0);
        }
        arena
    }

    /// Keeps an arena for the next run.
    pub(super) fn give_back(&self, arena: Arena) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < 4 {
            idle.push(arena);
        }
    }
}

/// Output locations whose windows are laid out at a time.
pub(super) fn panel_locations(sum: usize) -> usize {
    (PANEL / sum).clamp(1, 512)
}

/// A panel of windows, and for groups the results before they are spread over the channels.
fn scratch(convolution: &Convolution, inputs: usize, outputs: usize, locations: usize) -> usize {
    if convolution.groups == 1 && convolution.window.is_point() && inputs != 3 {
        return 0;
    }
    let sum = (convolution.window.area() * (inputs / convolution.groups)).next_multiple_of(8);
    let width = match convolution.groups {
        1 => 0,
        groups => (outputs / groups).next_multiple_of(8),
    };
    // Each copy may write 16 bytes, beyond what it needs.
    panel_locations(sum).min(locations) * (sum + 2 * width) + 16
}

fn shapes(
    description: &Description,
    needed: &[bool],
    input: [usize; 2],
) -> Result<Vec<[usize; 2]>, String> {
    let mut shapes = vec![[0; 2]; description.layers.len() + 1];
    shapes[0] = input;
    for (at, layer) in description
        .layers
        .iter()
        .enumerate()
        .filter(|(at, _)| needed[*at])
    {
        let from = shapes[layer.inputs[0]];
        let equal = |shape: [usize; 2]| match shape == from {
            true => Ok(()),
            false => Err(format!(
                "layer {} joins maps of {from:?} and {shape:?}",
                layer.name
            )),
        };
        let by_axis = |outputs: &dyn Fn(usize) -> Option<usize>| match (outputs(0), outputs(1)) {
            (Some(rows), Some(columns)) if rows > 0 && columns > 0 => Ok([rows, columns]),
            _ => Err(format!(
                "the map of {}×{} before layer {} is too small for it",
                from[1], from[0], layer.name
            )),
        };
        let windowed = |window: &super::super::window::Window| {
            by_axis(&|axis| window.outputs(axis, from[axis]).map(|(outputs, _)| outputs))
        };
        let shape = match &layer.operator {
            Operator::Convolution(convolution) => {
                let shape = windowed(&convolution.window)?;
                if let Some(&residual) = layer.inputs.get(1)
                    && shapes[residual] != shape
                {
                    return Err(format!(
                        "layer {} adds {:?} to {shape:?}",
                        layer.name, shapes[residual]
                    ));
                }
                shape
            }
            Operator::Average { window, .. } | Operator::Maximum { window } => windowed(window)?,
            Operator::Table { .. } => from,
            Operator::Add { .. } => {
                equal(shapes[layer.inputs[1]])?;
                from
            }
            Operator::Multiply { .. } => {
                let other = shapes[layer.inputs[1]];
                if other != [1, 1] {
                    equal(other)?;
                }
                from
            }
            Operator::GlobalAverage { .. } => [1, 1],
            Operator::Concat { .. } => {
                for &value in &layer.inputs[1..] {
                    equal(shapes[value])?;
                }
                from
            }
            Operator::Resize(resize) => by_axis(&|axis| resize.outputs(axis, from[axis]))?,
        };
        // A product that cannot overflow 64 bits, before anything is multiplied as usize.
        let bytes = shape[0] as u64 * shape[1] as u64 * description.stride(at + 1) as u64;
        if bytes > LARGEST_ARENA as u64 {
            return Err(format!("layer {} needs {bytes} bytes", layer.name));
        }
        shapes[at + 1] = shape;
    }
    Ok(shapes)
}

/// The first and the last layer at which a value must be kept; `None` when it is never made.
fn lives(
    description: &Description,
    needed: &[bool],
    taps: &[usize],
) -> Vec<Option<(usize, usize)>> {
    let mut lives = vec![None; description.layers.len() + 1];
    for (at, layer) in description
        .layers
        .iter()
        .enumerate()
        .filter(|(at, _)| needed[*at])
    {
        lives[at + 1] = Some((at, at));
        for &value in &layer.inputs {
            if let Some((_, last)) = &mut lives[value] {
                *last = at;
            }
        }
    }
    // Taps are read when everything has run.
    for &tap in taps {
        if let Some((_, last)) = &mut lives[tap] {
            *last = description.layers.len();
        }
    }
    lives
}

fn place(sizes: &[usize], lives: &[Option<(usize, usize)>]) -> (Vec<usize>, usize) {
    let mut offsets = vec![0; sizes.len()];
    let mut order: Vec<usize> = (0..sizes.len()).filter(|&v| lives[v].is_some()).collect();
    order.sort_by_key(|&value| std::cmp::Reverse(sizes[value]));
    let mut placed: Vec<usize> = Vec::new();
    let mut arena = 0;
    for value in order {
        let size = sizes[value].next_multiple_of(LINE);
        let meets = |other: &&usize| match (lives[value], lives[**other]) {
            (Some((a, b)), Some((c, d))) => a <= d && c <= b,
            _ => false,
        };
        let mut taken: Vec<(usize, usize)> = placed
            .iter()
            .filter(meets)
            .map(|&v| (offsets[v], offsets[v] + sizes[v].next_multiple_of(LINE)))
            .collect();
        taken.sort_unstable();
        let (mut best, mut end) = (None, 0);
        for (from, to) in taken {
            if from > end && from - end >= size && best.is_none_or(|(_, gap)| from - end < gap) {
                best = Some((end, from - end));
            }
            end = end.max(to);
        }
        offsets[value] = best.map_or(end, |(at, _)| at);
        arena = arena.max(offsets[value] + size);
        placed.push(value);
    }
    (offsets, arena)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_live_together_do_not_overlap() {
        let mut state = 7u32;
        let mut random = |limit: u32| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as usize % limit as usize
        };
        for _ in 0..200 {
            let count = 2 + random(20);
            let sizes: Vec<usize> = (0..count).map(|_| 1 + random(5000)).collect();
            let lives: Vec<Option<(usize, usize)>> =
                (0..count).map(|v| Some((v, v + random(6)))).collect();
            let (offsets, arena) = place(&sizes, &lives);
            for a in 0..count {
                assert!(offsets[a] + sizes[a] <= arena);
                for b in 0..a {
                    let ((a0, a1), (b0, b1)) = (lives[a].unwrap(), lives[b].unwrap());
                    if a0 <= b1 && b0 <= a1 {
                        let apart = offsets[a] + sizes[a] <= offsets[b]
                            || offsets[b] + sizes[b] <= offsets[a];
                        assert!(apart, "{a} and {b}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_chain_needs_two_places() {
        let lives: Vec<_> = (0..10).map(|v| Some((v, v + 1))).collect();
        assert_eq!(place(&[64; 10], &lives).1, 128);
    }
}
