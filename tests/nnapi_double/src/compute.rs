//! The operations in plain code: real numbers in double precision, rounded once, half away from zero.

use crate::check::{self, number};
use crate::state::{Model, Operand, Operation};

type Values = [Option<Vec<u8>>];

/// A map `rows × columns × channels` in real numbers.
struct Map {
    rows: usize,
    columns: usize,
    channels: usize,
    real: Vec<f64>,
}

impl Map {
    fn read(operand: &Operand, bytes: &[u8]) -> Self {
        let [_, rows, columns, channels] = match operand.dimensions[..] {
            [a, b, c, d] => [a, b, c, d],
            _ => panic!("maps have four dimensions"),
        };
        let real = bytes.iter().map(|&byte| {
            let stored = match operand.kind {
                check::QUANT8_SIGNED => i32::from(byte.cast_signed()),
                _ => i32::from(byte),
            };
            f64::from(stored - operand.zero) * f64::from(operand.scale)
        });
        Self {
            rows,
            columns,
            channels,
            real: real.collect(),
        }
    }

    /// 0 outside.
    fn at(&self, y: i64, x: i64, channel: usize) -> Option<f64> {
        let inside = (0..self.rows as i64).contains(&y) && (0..self.columns as i64).contains(&x);
        inside
            .then(|| self.real[(y as usize * self.columns + x as usize) * self.channels + channel])
    }
}

/// Real numbers to the bytes of an operand, after a fused activation.
fn write(operand: &Operand, fused: i32, real: impl Iterator<Item = f64>) -> Vec<u8> {
    let (least, most) = match operand.kind {
        check::QUANT8_SIGNED => (-128.0, 127.0),
        _ => (0.0, 255.0),
    };
    real.map(|real| {
        let real = match fused {
            1 => real.max(0.0),
            3 => real.clamp(0.0, 6.0),
            _ => real,
        };
        let stored = (real / f64::from(operand.scale)).round() + f64::from(operand.zero);
        (stored.clamp(least, most) as i32) as u8
    })
    .collect()
}

pub(crate) fn operation(model: &Model, operation: &Operation, values: &Values) -> Vec<u8> {
    let operand = |at: usize| &model.operands[operation.inputs[at]];
    let bytes = |at: usize| values[operation.inputs[at]].as_deref().expect("checked");
    let map = |at: usize| Map::read(operand(at), bytes(at));
    let scalar = |at: usize| i64::from(number(operand(at)));
    let output = &model.operands[operation.output];
    let count = operation.inputs.len();
    match operation.kind {
        check::CONVOLUTION | check::DEPTHWISE | check::GROUPED => {
            let (weights, bias) = (operand(1), bytes(2));
            let fused = match operation.kind {
                check::CONVOLUTION => 9,
                _ => 10,
            };
            let dilated = count > fused + 2;
            let window = Window {
                pads: [scalar(5), scalar(3)],
                strides: [scalar(8), scalar(7)],
                size: [weights.dimensions[1], weights.dimensions[2]],
                dilation: match dilated {
                    true => [scalar(fused + 3), scalar(fused + 2)],
                    false => [1, 1],
                },
            };
            let input = map(0);
            let outputs = output.dimensions[3];
            let scale = f64::from(operand(0).scale);
            let (weight_scales, zero) = match &weights.scales {
                Some((_, scales)) => (scales.clone(), None),
                None => (vec![weights.scale; outputs], Some(weights.zero)),
            };
            let groups = match operation.kind {
                check::CONVOLUTION => 1,
                check::DEPTHWISE => input.channels,
                _ => scalar(9) as usize,
            };
            let depth = input.channels / groups;
            let [rows, columns] = window.size;
            let weight = |o: usize, ky: usize, kx: usize, c: usize| {
                let at = match operation.kind {
                    check::DEPTHWISE => (ky * columns + kx) * outputs + o,
                    _ => ((o * rows + ky) * columns + kx) * depth + c,
                };
                let byte = bytes(1)[at];
                let stored = match zero {
                    None => i32::from(byte.cast_signed()),
                    Some(zero) => i32::from(byte) - zero,
                };
                f64::from(stored) * f64::from(weight_scales[o])
            };
            // All weights once, an output each, in the order in which they are met.
            let weights: Vec<Vec<f64>> = (0..outputs)
                .map(|o| {
                    let places = (0..rows).flat_map(|ky| (0..columns).map(move |kx| (ky, kx)));
                    places
                        .flat_map(|(ky, kx)| (0..depth).map(move |c| (ky, kx, c)))
                        .map(|(ky, kx, c)| weight(o, ky, kx, c))
                        .collect()
                })
                .collect();
            let real = window.outputs(output, |places, o| {
                let first = o / (outputs / groups) * depth;
                let word = [0, 1, 2, 3].map(|at| bias[4 * o + at]);
                let mut sum =
                    f64::from(i32::from_le_bytes(word)) * scale * f64::from(weight_scales[o]);
                for (place, weights) in places.iter().zip(weights[o].chunks_exact(depth)) {
                    for (c, weight) in weights.iter().enumerate() {
                        sum += input.at(place[0], place[1], first + c).unwrap_or(0.0) * weight;
                    }
                }
                sum
            });
            write(output, number(operand(fused)), real.into_iter())
        }
        check::AVERAGE_POOL | check::MAX_POOL => {
            let window = Window {
                pads: [scalar(3), scalar(1)],
                strides: [scalar(6), scalar(5)],
                size: [scalar(8) as usize, scalar(7) as usize],
                dilation: [1, 1],
            };
            let input = map(0);
            let real = window.outputs(output, |places, channel| {
                let inside = places.iter().filter_map(|&[y, x]| input.at(y, x, channel));
                match operation.kind {
                    check::MAX_POOL => inside.fold(f64::NEG_INFINITY, f64::max),
                    _ => {
                        let (count, sum) = inside.fold((0.0, 0.0), |(n, s), x| (n + 1.0, s + x));
                        sum / count
                    }
                }
            });
            write(output, number(operand(9)), real.into_iter())
        }
        check::ADD | check::MULTIPLY => {
            let (a, b) = (map(0), map(1));
            let real = a.real.iter().enumerate().map(|(at, &x)| {
                let channel = at % a.channels;
                let y = match (b.rows, b.columns, b.channels) {
                    (1, 1, 1) => b.real[0],
                    (1, 1, _) => b.real[channel],
                    _ => b.real[at],
                };
                if operation.kind == check::ADD {
                    x + y
                } else {
                    x * y
                }
            });
            write(output, number(operand(2)), real)
        }
        check::HARD_SWISH => {
            let real = map(0)
                .real
                .into_iter()
                .map(|x| x * (x + 3.0).clamp(0.0, 6.0) / 6.0);
            write(output, 0, real)
        }
        check::CONCATENATION => {
            let maps: Vec<Map> = (0..count - 1).map(map).collect();
            let locations = maps[0].rows * maps[0].columns;
            let real = (0..locations).flat_map(|at| {
                maps.iter()
                    .flat_map(move |map| map.real[at * map.channels..][..map.channels].to_vec())
            });
            write(output, 0, real)
        }
        other => panic!("operation {other} is checked when a model is finished"),
    }
}

struct Window {
    /// Top and left.
    pads: [i64; 2],
    strides: [i64; 2],
    size: [usize; 2],
    dilation: [i64; 2],
}

impl Window {
    /// For each output the places that it reads, then what `of` makes of them for each channel.
    fn outputs(&self, output: &Operand, of: impl Fn(&[[i64; 2]], usize) -> f64) -> Vec<f64> {
        let [rows, columns, channels] = [1, 2, 3].map(|at| output.dimensions[at]);
        let mut real = Vec::with_capacity(rows * columns * channels);
        for (y, x) in (0..rows as i64).flat_map(|y| (0..columns as i64).map(move |x| (y, x))) {
            let mut places = Vec::new();
            for (ky, kx) in (0..self.size[0] as i64)
                .flat_map(|ky| (0..self.size[1] as i64).map(move |kx| (ky, kx)))
            {
                places.push([
                    y * self.strides[0] + ky * self.dilation[0] - self.pads[0],
                    x * self.strides[1] + kx * self.dilation[1] - self.pads[1],
                ]);
            }
            real.extend((0..channels).map(|channel| of(&places, channel)));
        }
        real
    }
}
