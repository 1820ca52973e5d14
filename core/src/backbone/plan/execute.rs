//! Runs a plan: layers in order, each split over threads by its output locations.
//!
//! A location is computed the same way whichever thread does it, so that the result does not depend
//! on the number of threads.

use std::ops::Range;
use std::time::{Duration, Instant};

use super::description::Operator;
use super::memory::{Arena, Prepared};
use super::{Plan, convolution, maps};
use crate::backbone::{BackboneError, FeatureMap, RunOptions};
use crate::cancel::Stop;
use crate::image::Pixels;
use crate::kernel::Cpu;

/// Work below this many multiplications is not worth waking another thread for.
const WORTH_SPLITTING: usize = 200_000;

/// Is told the index, the multiplications and the time of each layer that ran.
pub(crate) type Observer<'a> = &'a mut dyn FnMut(usize, usize, Duration);

/// What one layer works with.
pub(super) struct Job<'a> {
    pub(super) plan: &'a Plan,
    pub(super) cpu: Cpu,
    pub(super) layer: usize,
    /// The output's rows and columns.
    pub(super) shape: [usize; 2],
    /// The inputs.
    pub(super) inputs: &'a [Map<'a>],
    /// A row of padding for depthwise layers.
    pub(super) row: &'a [u8],
}

/// A map that a layer reads: its bytes and rows and columns.
#[derive(Clone, Copy)]
pub(super) struct Map<'a> {
    pub(super) value: usize,
    pub(super) data: &'a [u8],
    pub(super) shape: [usize; 2],
    pub(super) channels: usize,
    /// Bytes from one location to the next.
    pub(super) stride: usize,
    pub(super) zero: u8,
}

impl Plan {
    /// Runs the network; one map a tap.
    pub(in crate::backbone) fn run(
        &self,
        pixels: &Pixels,
        options: &RunOptions<'_>,
        observer: Option<Observer<'_>>,
    ) -> Result<Vec<FeatureMap>, BackboneError> {
        let cpu = match options.cpu {
            None => self.cpu,
            Some(name) => Cpu::named(name).ok_or_else(|| BackboneError::UnknownCpu {
                name: name.to_owned(),
                available: Cpu::available().iter().map(|cpu| cpu.name()).collect(),
            })?,
        };
        let prepared = self.prepare(pixels.width(), pixels.height())?;
        let threads = threads(options.threads);
        let bytes = self.memory(&prepared, threads);
        if bytes > options.max_bytes as u64 {
            return Err(BackboneError::Unrunnable {
                width: pixels.width(),
                height: pixels.height(),
                reason: format!(
                    "it needs {bytes} bytes, at most {} are given; use a smaller input",
                    options.max_bytes
                ),
            });
        }
        let mut arena = prepared.take(threads);
        let ran = self.run_layers(pixels, cpu, &prepared, &mut arena, options.stop(), observer);
        let maps = ran.map(|()| {
            let taps = self.taps.iter();
            taps.map(|&value| self.feature_map(value, &prepared, &arena))
                .collect()
        });
        prepared.give_back(arena);
        maps
    }

    /// Bytes of a run: the arena, what each thread needs for itself, the maps of the taps in float.
    fn memory(&self, prepared: &Prepared, threads: usize) -> u64 {
        // Each factor is far below 2³², and no map has more than 2²⁸ bytes.
        let values = |&value: &usize| {
            let [rows, columns] = prepared.shapes[value];
            (rows * columns) as u64 * self.description.channels(value) as u64
        };
        let maps = self.taps.iter().map(values).sum::<u64>() * size_of::<f32>() as u64;
        let own = prepared.scratch as u64 * threads as u64;
        prepared.arena as u64 + prepared.row as u64 + own + maps
    }

    fn run_layers(
        &self,
        pixels: &Pixels,
        cpu: Cpu,
        prepared: &Prepared,
        arena: &mut Arena,
        stop: Stop<'_>,
        mut observer: Option<Observer<'_>>,
    ) -> Result<(), BackboneError> {
        let mut inputs = Vec::new();
        for layer in (0..self.description.layers.len()).filter(|&layer| self.needed[layer]) {
            stop.check()?;
            let start = observer.as_ref().map(|_| Instant::now());
            let (before, out, after) = around(&mut arena.values, self.place(layer + 1, prepared));
            let find = |place: Range<usize>| match place.end <= before.len() {
                true => &before[place],
                // The output lies between the two parts.
                false => {
                    let skipped = before.len() + out.len();
                    &after[place.start - skipped..place.end - skipped]
                }
            };
            inputs.clear();
            inputs.extend(
                self.description.layers[layer]
                    .inputs
                    .iter()
                    .map(|&value| Map {
                        value,
                        data: match value {
                            0 => pixels.data(),
                            _ => find(self.place(value, prepared)),
                        },
                        shape: prepared.shapes[value],
                        channels: self.description.channels(value),
                        stride: self.description.stride(value),
                        zero: self.description.zero(value),
                    }),
            );
            if self.is_depthwise(layer) {
                let row = inputs[0].shape[1] * inputs[0].stride;
                arena.row[..row].fill(inputs[0].zero);
            }
            let job = Job {
                plan: self,
                cpu,
                layer,
                shape: prepared.shapes[layer + 1],
                inputs: &inputs,
                row: &arena.row,
            };
            self.run_layer(&job, out, &mut arena.scratch);
            if let (Some(observer), Some(start)) = (&mut observer, start) {
                observer(layer, self.multiplications(&job), start.elapsed());
            }
            inputs = cleared(inputs);
        }
        Ok(())
    }

    fn run_layer(&self, job: &Job<'_>, out: &mut [u8], scratch: &mut [Vec<u8>]) {
        let layer = &self.description.layers[job.layer];
        let split = Split {
            stride: self.description.stride(job.layer + 1),
            worth: self.multiplications(job) >= WORTH_SPLITTING,
        };
        match &layer.operator {
            Operator::Convolution(conv) => convolution::run(job, conv, out, &split, scratch),
            Operator::Table { table } => maps::table(job, *table, out),
            Operator::Add { left, right, range } => maps::add(job, *left, *right, range, out),
            Operator::Multiply { factor, range } => maps::multiply(job, *factor, range, out),
            Operator::GlobalAverage { factor, range } => {
                maps::global_average(job, *factor, range, out);
            }
            Operator::Average {
                window,
                factor,
                range,
            } => maps::average(job, window, *factor, range, out),
            Operator::Maximum { window } => maps::maximum(job, window, out),
            Operator::Concat { tables } => maps::concat(job, tables, out),
            Operator::Resize(resize) => maps::resize(job, resize, out),
        }
    }

    pub(super) fn is_depthwise(&self, layer: usize) -> bool {
        let layer = &self.description.layers[layer];
        let inputs = self.description.channels(layer.inputs[0]);
        matches!(&layer.operator, Operator::Convolution(convolution)
            if convolution.packing(inputs, layer.channels) == super::description::Packing::Depthwise)
    }

    /// Multiplications of a convolution, without padding to the kernels' widths; 0 for others.
    fn multiplications(&self, job: &Job<'_>) -> usize {
        let layer = &self.description.layers[job.layer];
        match &layer.operator {
            Operator::Convolution(convolution) => {
                let inputs = self.description.channels(layer.inputs[0]);
                let sum = convolution.window.area() * (inputs / convolution.groups);
                job.shape[0] * job.shape[1] * layer.channels * sum
            }
            _ => 0,
        }
    }

    fn place(&self, value: usize, prepared: &Prepared) -> Range<usize> {
        let [rows, columns] = prepared.shapes[value];
        let start = prepared.offsets[value];
        start..start + rows * columns * self.description.stride(value)
    }

    /// A tap in float: `(byte - zero) · scale`, which is exact up to one rounding.
    fn feature_map(&self, value: usize, prepared: &Prepared, arena: &Arena) -> FeatureMap {
        let layer = &self.description.layers[value - 1];
        let [rows, columns] = prepared.shapes[value];
        let stride = self.description.stride(value);
        let bytes = &arena.values[self.place(value, prepared)];
        let zero = f32::from(layer.zero);
        let mut data = Vec::with_capacity(rows * columns * layer.channels);
        for location in bytes.chunks_exact(stride) {
            let channels = location[..layer.channels].iter();
            data.extend(channels.map(|&byte| (f32::from(byte) - zero) * layer.scale));
        }
        FeatureMap::new(rows, columns, layer.channels, data).expect("shapes are never empty")
    }

    /// The name of the instruction set that runs by default.
    pub(in crate::backbone) fn cpu_name(&self) -> &'static str {
        self.cpu.name()
    }

    /// The layers' names in order.
    pub(in crate::backbone) fn layer_names(&self) -> impl Iterator<Item = &str> {
        self.description
            .layers
            .iter()
            .map(|layer| layer.name.as_str())
    }
}

/// The same allocation for maps of another lifetime.
fn cleared<'b>(mut maps: Vec<Map<'_>>) -> Vec<Map<'b>> {
    maps.clear();
    maps.into_iter()
        .map(|_| unreachable!("the list is empty"))
        .collect()
}

/// What lies before, in and behind a range.
fn around(bytes: &mut [u8], range: Range<usize>) -> (&[u8], &mut [u8], &[u8]) {
    let (before, rest) = bytes.split_at_mut(range.start);
    let (middle, after) = rest.split_at_mut(range.len());
    (before, middle, after)
}

fn threads(asked: usize) -> usize {
    if cfg!(feature = "threads") {
        asked.clamp(1, 64)
    } else {
        1
    }
}

/// Given the first location, the bytes of the output from there on, and scratch memory.
type Work<'a> = dyn Fn(usize, &mut [u8], &mut [u8]) + Sync + 'a;

/// How a layer's output is split over threads.
pub(super) struct Split {
    /// Bytes of one output location.
    pub(super) stride: usize,
    pub(super) worth: bool,
}

impl Split {
    /// Calls `work` with the first location, the bytes and a thread's scratch memory, for parts that
    /// begin at multiples of `unit` locations.
    pub(super) fn run(
        &self,
        out: &mut [u8],
        unit: usize,
        scratch: &mut [Vec<u8>],
        work: &Work<'_>,
    ) {
        let locations = out.len() / self.stride;
        let part = locations.div_ceil(scratch.len()).next_multiple_of(unit);
        if !self.worth || part >= locations {
            return work(0, out, &mut scratch[0]);
        }
        #[cfg(feature = "threads")]
        rayon::in_place_scope(|scope| {
            let mut parts = out.chunks_mut(part * self.stride).zip(scratch).enumerate();
            let first = parts.next();
            for (at, (out, scratch)) in parts {
                scope.spawn(move |_| work(at * part, out, scratch));
            }
            if let Some((_, (out, scratch))) = first {
                work(0, out, scratch);
            }
        });
        #[cfg(not(feature = "threads"))]
        work(0, out, &mut scratch[0]);
    }
}
