//! Every implementation against a loop over the definition.

use proptest::collection::vec;
use proptest::prelude::*;

use super::super::pack::OUTPUTS;
use super::super::requantise::Activation;
use super::*;

const ROW: usize = SIZE * DEPTH;
const MOST: usize = 40;

proptest! {
    #[test]
    fn outputs_are_those_of_the_definition(
        bytes in vec(any::<u8>(), SIZE * reach(MOST, LONGEST_STRIDE)),
        (channels, weights, bias) in (1..50usize).prop_flat_map(|channels| (
            Just(channels),
            vec(any::<i8>(), channels * SIZE * ROW),
            vec(-20_000..20_000i32, channels),
        )),
        (count, stride) in (0..=MOST, 1..=LONGEST_STRIDE),
        (scale, zero, low, high) in (1..7_000u16, -30..2_000i16, 0..90u8, 100..=255u8),
        (hard_swish, in_bias) in (any::<bool>(), any::<bool>()),
    ) {
        let (scale, zero) = (1e-4 * f32::from(scale), 0.1 * f32::from(zero));
        let reach = reach(count, stride);
        let rows = [0, 1, 2].map(|ky| &bytes[ky * reach..(ky + 1) * reach]);
        let (low, high) = match in_bias {
            true => (0, 255),
            false => (low, high),
        };
        let padded = channels.next_multiple_of(OUTPUTS);
        let mut table = bias.clone();
        table.resize(padded, 0);
        let multiplier: Vec<f32> = (0..padded).map(|n| scale / (1 + n % 5) as f32).collect();
        let activation = match hard_swish {
            false => Activation::Linear,
            true => Activation::HardSwish { three: 2.5 },
        };
        let requantise = Requantise {
            multiplier: &multiplier,
            zero: if in_bias { 0.0 } else { zero },
            low: f32::from(low),
            high: f32::from(high),
            activation,
            residual_multiplier: 0.0,
            bounded: activation.is_bounded(&multiplier),
        };
        let packed = widen(&gemm::pack(&weights, channels, SIZE * ROW), channels);
        let widened = Weights {
            inputs: INPUTS,
            outputs: channels,
            packed: &packed,
            bias: &table,
            sums: &table,
            pair_safe: false,
        };
        // Locations further apart than they are wide; what lies between must not be touched.
        let location = channels.next_multiple_of(8);
        let far = location + 8 * (count % 2);
        let mut expected = vec![0xAB; count * far];
        for x in 0..count {
            for n in 0..channels {
                let mut sum = bias[n];
                for ky in 0..SIZE {
                    for k in 0..ROW {
                        let weight = i32::from(weights[(n * SIZE + ky) * ROW + k]);
                        sum += i32::from(rows[ky][DEPTH * stride * x + k]) * weight;
                    }
                }
                expected[x * far + n] = requantise.apply(n, sum, None);
            }
        }
        for (cpu, kernel) in Cpu::available().iter().filter_map(|&cpu| Some((cpu, stem(cpu)?))) {
            let mut data = vec![0xAB; count * far];
            let mut out = RowsMut { data: &mut data, count, stride: far };
            kernel(rows, stride, &widened, &requantise, &mut out);
            for (x, (found, expected)) in data.chunks(far).zip(expected.chunks(far)).enumerate() {
                prop_assert_eq!(&found[..channels], &expected[..channels], "{} {}", cpu.name(), x);
                prop_assert_eq!(&found[location..], &expected[location..], "{} {}", cpu.name(), x);
            }
        }
    }
}
