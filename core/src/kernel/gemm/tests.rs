//! The suite that every implementation must pass, instantiated once each.

use proptest::collection::vec;
use proptest::prelude::*;

use super::super::pack::survey;
use super::super::requantise::Activation;
use super::*;

/// Everything that a call takes, owned.
#[derive(Clone, Debug)]
struct Case {
    rows: usize,
    inputs: usize,
    outputs: usize,
    values: Vec<u8>,
    weights: Vec<i8>,
    bias: Vec<i32>,
    multiplier: Vec<f32>,
    zero: f32,
    low: u8,
    high: u8,
    hard_swish: bool,
    residual: Option<Vec<u8>>,
}

impl Case {
    fn stride(&self) -> usize {
        self.outputs.next_multiple_of(8)
    }

    /// Runs a kernel, then gives the outputs without padding.
    fn run(&self, kernel: Gemm) -> Vec<u8> {
        let padded = self.outputs.next_multiple_of(OUTPUTS);
        let inputs = self.inputs.next_multiple_of(8);
        let packed = pack(&self.weights, self.outputs, self.inputs);
        let pad = |values: &[i32]| {
            let mut values = values.to_vec();
            values.resize(padded, 0);
            values
        };
        let sums = self.weights.chunks_exact(self.inputs);
        let sums: Vec<i32> = sums
            .map(|row| row.iter().map(|&w| i32::from(w)).sum())
            .collect();
        let (bias, sums) = (pad(&self.bias), pad(&sums));
        let mut multiplier = self.multiplier.clone();
        multiplier.resize(padded, 0.0);
        let weights = Weights {
            inputs,
            outputs: self.outputs,
            packed: &packed,
            bias: &bias,
            sums: &sums,
            pair_safe: survey(&packed, self.outputs).pair_safe,
        };
        let activation = match self.hard_swish {
            false => Activation::Linear,
            true => Activation::HardSwish { three: 3.5 },
        };
        let requantise = Requantise {
            multiplier: &multiplier,
            zero: self.zero,
            low: f32::from(self.low),
            high: f32::from(self.high),
            activation,
            residual_multiplier: 0.37,
            bounded: activation.is_bounded(&multiplier),
        };
        // Rows further apart than they are wide; what lies between must not be touched.
        let stride = self.stride() + 8;
        let mut out = vec![0xAB; self.rows * stride];
        let residual = self.residual.as_ref().map(|data| Rows {
            data,
            count: self.rows,
            stride: self.stride(),
        });
        kernel(
            &Rows {
                data: &self.values,
                count: self.rows,
                stride: inputs,
            },
            &weights,
            &requantise,
            residual.as_ref(),
            &mut RowsMut {
                data: &mut out,
                count: self.rows,
                stride,
            },
        );
        for row in out.chunks_exact(stride) {
            assert_eq!(
                row[self.stride()..],
                [0xAB; 8],
                "written beyond the outputs"
            );
        }
        out.chunks_exact(stride)
            .flat_map(|row| row[..self.outputs].to_vec())
            .collect()
    }

    /// The definition over weights that are not packed.
    fn naive(&self) -> Vec<u8> {
        let stride = self.inputs.next_multiple_of(8);
        let mut out = Vec::new();
        for row in 0..self.rows {
            for n in 0..self.outputs {
                let mut sum = i64::from(self.bias[n]);
                for k in 0..self.inputs {
                    let value = i64::from(self.values[row * stride + k]);
                    sum += value * i64::from(self.weights[n * self.inputs + k]);
                }
                let mut x = sum as f32 * self.multiplier[n];
                if self.hard_swish {
                    x *= (x + 3.5).clamp(0.0, 7.0);
                }
                if let Some(residual) = &self.residual {
                    x += f32::from(residual[row * self.stride() + n]) * 0.37;
                }
                let x = (x + self.zero).clamp(f32::from(self.low), f32::from(self.high));
                out.push(x.round_ties_even() as u8);
            }
        }
        out
    }
}

fn cases() -> impl Strategy<Value = Case> {
    let sizes = (
        1..11usize,
        1..70usize,
        1..80usize,
        prop_oneof![Just(63i8), Just(127)],
    );
    sizes.prop_flat_map(|(rows, inputs, outputs, largest)| {
        let byte = prop_oneof![Just(0u8), Just(255), any::<u8>(), any::<u8>()];
        let weight = prop_oneof![
            Just(-largest),
            Just(largest),
            -largest..=largest,
            -largest..=largest
        ];
        let residual = vec(any::<u8>(), rows * outputs.next_multiple_of(8));
        (
            (Just(rows), Just(inputs), Just(outputs)),
            vec(byte, rows * inputs.next_multiple_of(8)),
            vec(weight, outputs * inputs),
            vec(-100_000..100_000i32, outputs),
            vec(
                (1..2_000u16).prop_map(|step| 1e-5 * f32::from(step)),
                outputs,
            ),
            (
                prop_oneof![
                    Just(0.0f32),
                    (-200..2_800i16).prop_map(|step| 0.1 * f32::from(step))
                ],
                0..40u8,
                200..=255u8,
                any::<bool>(),
            ),
            proptest::option::of(residual),
        )
            .prop_map(
                |((rows, inputs, outputs), values, weights, bias, multiplier, rule, residual)| {
                    Case {
                        rows,
                        inputs,
                        outputs,
                        values,
                        weights,
                        bias,
                        multiplier,
                        zero: rule.0,
                        low: rule.1,
                        high: rule.2,
                        hard_swish: rule.3,
                        residual,
                    }
                },
            )
    })
}

/// The largest sums that there can be: every value 255 or 0, every weight at its end.
fn extremes(inputs: usize, weight: i8) -> Case {
    let (rows, outputs) = (5, 24);
    Case {
        rows,
        inputs,
        outputs,
        values: (0..rows * inputs)
            .map(|at| if at / inputs == 2 { 0 } else { 255 })
            .collect(),
        weights: vec![weight; outputs * inputs],
        bias: (0..outputs as i32).map(|n| (n - 12) * 1000).collect(),
        multiplier: vec![100.0 / (255.0 * 127.0 * inputs as f32); outputs],
        zero: 128.0,
        low: 0,
        high: 255,
        hard_swish: false,
        residual: None,
    }
}

macro_rules! suite {
    ($name:ident, $kernel:expr) => {
        mod $name {
            use super::*;

            #[test]
            fn equals_the_specification() {
                let Some(kernel) = $kernel else { return };
                proptest!(ProptestConfig::with_cases(400), |(case in cases())| {
                    prop_assert_eq!(case.run(kernel), case.run(generic::gemm));
                });
            }

            #[test]
            fn largest_sums_are_exact() {
                let Some(kernel) = $kernel else { return };
                for weight in [-127, -64, 64, 127] {
                    for inputs in [8, 1280, 4608] {
                        let case = extremes(inputs, weight);
                        assert_eq!(case.run(kernel), case.naive(), "{inputs} times {weight}");
                    }
                }
            }

            #[test]
            #[should_panic(expected = "rows do not match")]
            fn refuses_short_rows() {
                let kernel: Gemm = $kernel.unwrap_or(generic::gemm);
                let mut case = extremes(16, 1);
                case.values.pop();
                case.run(kernel);
            }
        }
    };
}

suite!(generic_, Some(generic::gemm as Gemm));
#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::*;
    suite!(avx2_, avx2::gemm(Cpu::native()));
    suite!(avx_vnni_, avxvnni::gemm(Cpu::native()));
    suite!(avx512_vnni_, avx512vnni::gemm(Cpu::native()));
}
#[cfg(target_arch = "aarch64")]
mod arm {
    use super::*;
    suite!(neon_, neon::gemm(Cpu::native()));
    suite!(sdot_, sdot::gemm(Cpu::native()));
    suite!(i8mm_, i8mm::gemm(Cpu::native()));
}

proptest! {
    #[test]
    fn a_survey_finds_the_sums(case in cases()) {
        let packed = pack(&case.weights, case.outputs, case.inputs);
        let rows = case.weights.chunks_exact(case.inputs);
        let sums: Vec<i32> = rows.map(|row| row.iter().map(|&w| i32::from(w)).sum()).collect();
        prop_assert_eq!(&survey(&packed, case.outputs).sums[..case.outputs], &sums[..]);
    }

    #[test]
    fn the_specification_is_the_definition(case in cases()) {
        prop_assert_eq!(case.run(generic::gemm), case.naive());
    }
}

#[test]
fn pairs_are_safe_up_to_128() {
    let safe = |a: i8, b: i8| survey(&pack(&[a, b], 1, 2), 1).pair_safe;
    assert!(safe(64, 64) && safe(127, 1) && safe(127, -127) && safe(-64, -64) && safe(-1, -127));
    assert!(!safe(64, 65) && !safe(127, 2) && !safe(-64, -65) && !safe(-128, -1));
}
