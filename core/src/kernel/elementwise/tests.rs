//! Every instruction set against loops in double precision.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn products_and_sums_are_those_of_the_definition(
        values in vec(any::<u8>(), 0..600),
        row in prop_oneof![1..40usize, 64..100usize],
        zero in any::<u8>(),
        factor in -2.0f32..2.0,
        rule in (0.0f32..255.0, 0..50u8, 200..=255u8),
    ) {
        let rounding = Rounding {
            zero: rule.0,
            low: f32::from(rule.1),
            high: f32::from(rule.2),
        };
        let values = &values[..values.len() / row * row];
        let factors: Vec<f32> = (0..row).map(|c| factor * (c as f32 + 1.0) / row as f32).collect();
        let round = |x: f32| {
            let x = (x + rounding.zero).clamp(rounding.low, rounding.high);
            x.round_ties_even() as u8
        };
        let zero = f32::from(zero);
        let products: Vec<u8> = values
            .iter()
            .enumerate()
            .map(|(at, &value)| round((f32::from(value) - zero) * factors[at % row]))
            .collect();
        let turned: Vec<u8> = values.iter().rev().copied().collect();
        let added: Vec<u8> = values
            .iter()
            .zip(&turned)
            .map(|(&a, &b)| round(f32::from(a) * factor + f32::from(b) * 0.3))
            .collect();
        let mut sums = vec![7u32; row];
        for (at, &value) in values.iter().enumerate() {
            sums[at % row] += u32::from(value);
        }
        for cpu in Cpu::available() {
            let kernels = elementwise(cpu);
            let mut out = vec![0; values.len()];
            (kernels.multiply)(values, zero, &factors, rounding, &mut out);
            prop_assert_eq!(&out, &products, "{}", cpu.name());
            (kernels.add)(values, &turned, [factor, 0.3], rounding, &mut out);
            prop_assert_eq!(&out, &added, "{}", cpu.name());
            let mut found = vec![7; row];
            (kernels.accumulate)(values, &mut found);
            prop_assert_eq!(&found, &sums, "{}", cpu.name());
        }
    }
}
