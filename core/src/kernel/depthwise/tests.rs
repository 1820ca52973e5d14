//! The suite that every implementation must pass, instantiated once each.

use proptest::collection::vec;
use proptest::prelude::*;

use super::super::requantise::Activation;
use super::*;

/// Everything that a call takes, owned.
#[derive(Clone, Debug)]
struct Case {
    channels: usize,
    size: usize,
    stride: usize,
    width: usize,
    /// Rows and columns of the output.
    outputs: [usize; 2],
    pad_left: usize,
    zero_in: u8,
    rows: Vec<Vec<u8>>,
    weights: Vec<i8>,
    bias: Vec<i32>,
    multiplier: Vec<f32>,
    zero: f32,
    hard_swish: bool,
}

impl Case {
    fn location(&self) -> usize {
        self.channels.next_multiple_of(8)
    }

    /// Runs a kernel, then gives the outputs without padding.
    fn run(&self, kernel: DepthwiseRows) -> Vec<u8> {
        let padded = self.channels.next_multiple_of(OUTPUTS);
        let packed = pack(&self.weights, self.channels, self.size);
        let sums = self.weights.chunks_exact(self.size * self.size);
        let mut sums: Vec<i32> = sums
            .map(|w| w.iter().map(|&w| i32::from(w)).sum())
            .collect();
        let (mut bias, mut multiplier) = (self.bias.clone(), self.multiplier.clone());
        sums.resize(padded, 0);
        bias.resize(padded, 0);
        multiplier.resize(padded, 0.0);
        let weights = Depthwise {
            channels: self.channels,
            size: self.size,
            stride: self.stride,
            packed: &packed,
            bias: &bias,
            sums: &sums,
        };
        let activation = match self.hard_swish {
            false => Activation::Linear,
            true => Activation::HardSwish { three: 3.5 },
        };
        let requantise = Requantise {
            multiplier: &multiplier,
            zero: self.zero,
            low: 3.0,
            high: 250.0,
            activation,
            residual_multiplier: 0.0,
            bounded: activation.is_bounded(&multiplier),
        };
        let rows: Vec<&[u8]> = self.rows.iter().map(|row| &row[..]).collect();
        let [count, columns] = self.outputs;
        let mut out = vec![0xAB; count * columns * self.location()];
        let (zero, pad) = (self.zero_in, self.pad_left);
        kernel(
            &rows,
            self.width,
            zero,
            pad,
            &weights,
            &requantise,
            &mut out,
        );
        let locations = out.chunks_exact(self.location());
        locations
            .flat_map(|location| location[..self.channels].to_vec())
            .collect()
    }

    /// The definition over weights that are not packed.
    fn naive(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let [count, columns] = self.outputs;
        for (y, x) in (0..count).flat_map(|y| (0..columns).map(move |x| (y, x))) {
            for c in 0..self.channels {
                let mut sum = i64::from(self.bias[c]);
                for ky in 0..self.size {
                    for kx in 0..self.size {
                        let column = (x * self.stride + kx) as isize - self.pad_left as isize;
                        let inside = (0..self.width as isize).contains(&column);
                        let value = match inside {
                            true => {
                                let row = &self.rows[y * self.stride + ky];
                                row[column as usize * self.location() + c]
                            }
                            false => self.zero_in,
                        };
                        let weight = self.weights[(c * self.size + ky) * self.size + kx];
                        sum += i64::from(value) * i64::from(weight);
                    }
                }
                let mut x = sum as f32 * self.multiplier[c];
                if self.hard_swish {
                    x *= (x + 3.5).clamp(0.0, 7.0);
                }
                out.push((x + self.zero).clamp(3.0, 250.0).round_ties_even() as u8);
            }
        }
        out
    }
}

fn cases() -> impl Strategy<Value = Case> {
    let window = (prop_oneof![Just(3usize), Just(5)], 1..3usize, 0..5usize);
    let channels = prop_oneof![1..50usize, 60..150usize];
    let outputs = [1..4usize, 1..12usize];
    (channels, 1..12usize, outputs, window).prop_flat_map(
        |(channels, width, outputs, (size, stride, pad_left))| {
            let byte = prop_oneof![Just(0u8), Just(255), any::<u8>(), any::<u8>()];
            let weight = prop_oneof![Just(-127i8), Just(127), -127..=127i8, -127..=127i8];
            let row = vec(byte, width * channels.next_multiple_of(8));
            (
                vec(row, (outputs[0] - 1) * stride + size),
                vec(weight, channels * size * size),
                vec(-100_000..100_000i32, channels),
                vec(
                    (1..1_000u16).prop_map(|step| 1e-5 * f32::from(step)),
                    channels,
                ),
                (
                    any::<u8>(),
                    prop_oneof![
                        Just(0.0f32),
                        (-200..2_800i16).prop_map(|step| 0.1 * f32::from(step))
                    ],
                    any::<bool>(),
                ),
            )
                .prop_map(move |(rows, weights, bias, multiplier, rule)| Case {
                    channels,
                    size,
                    stride,
                    width,
                    outputs,
                    pad_left,
                    zero_in: rule.0,
                    rows,
                    weights,
                    bias,
                    multiplier,
                    zero: rule.1,
                    hard_swish: rule.2,
                })
        },
    )
}

macro_rules! suite {
    ($name:ident, $kernel:expr) => {
        mod $name {
            use super::*;

            #[test]
            fn equals_the_specification() {
                let Some(kernel) = $kernel else { return };
                proptest!(ProptestConfig::with_cases(400), |(case in cases())| {
                    prop_assert_eq!(case.run(kernel), case.run(generic::depthwise_rows));
                });
            }

            #[test]
            #[should_panic(expected = "lengths of rows do not match")]
            fn refuses_short_rows() {
                let kernel: DepthwiseRows = $kernel.unwrap_or(generic::depthwise_rows);
                let case = Case {
                    channels: 8,
                    size: 3,
                    stride: 1,
                    width: 2,
                    outputs: [1, 2],
                    pad_left: 1,
                    zero_in: 0,
                    rows: vec![vec![0; 16], vec![0; 15], vec![0; 16]],
                    weights: vec![1; 72],
                    bias: vec![0; 8],
                    multiplier: vec![1.0; 8],
                    zero: 0.0,
                    hard_swish: false,
                };
                case.run(kernel);
            }
        }
    };
}

suite!(generic_, Some(generic::depthwise_rows as DepthwiseRows));
#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::*;
    suite!(avx2_, avx2::depthwise_rows(Cpu::native()));
    suite!(avx512_vnni_, avx512vnni::depthwise_rows(Cpu::native()));
}
#[cfg(target_arch = "aarch64")]
mod arm {
    use super::*;
    suite!(neon_, neon::depthwise_rows(Cpu::native()));
    suite!(sdot_, sdot::depthwise_rows(Cpu::native()));
}

proptest! {
    #[test]
    fn the_specification_is_the_definition(case in cases()) {
        prop_assert_eq!(case.run(generic::depthwise_rows), case.naive());
    }
}
