//! The suite every implementation must pass, instantiated once each.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// Rows of up to 200 columns with their weights; magnitudes differ so much that every other order
/// or a fused step would give other bits.
fn rows_and_weights() -> impl Strategy<Value = (Vec<f32>, Vec<f64>, usize)> {
    let value = || prop_oneof![-1.0f32..1.0, -1e6f32..1e6, Just(0.0), -1e-6f32..1e-6];
    let weight = || prop_oneof![-1.0f64..1.0, 0.0f64..1e-3, Just(1.0 / 3.0)];
    (0..12usize, 0..200usize).prop_flat_map(move |(rows, columns)| {
        (
            vec(value(), rows * columns),
            vec(weight(), rows),
            Just(columns),
        )
    })
}

macro_rules! suite {
    ($name:ident, $kernel:expr) => {
        mod $name {
            use super::*;

            #[test]
            fn equals_the_specification() {
                let Some(kernel) = $kernel else { return };
                proptest!(|((rows, weights, columns) in rows_and_weights())| {
                    let mut expected = vec![1.0; columns];
                    generic::weighted_sum(&rows, &weights, &mut expected);
                    let mut found = vec![2.0; columns];
                    kernel(&rows, &weights, &mut found);
                    let bits = |sums: &[f64]| sums.iter().map(|s| s.to_bits()).collect::<Vec<_>>();
                    prop_assert_eq!(bits(&found), bits(&expected));
                });
            }

            #[test]
            #[should_panic(expected = "rows do not match")]
            fn refuses_rows_of_another_length() {
                let kernel: WeightedSum = $kernel.unwrap_or(generic::weighted_sum);
                kernel(&[1.0; 63], &[1.0; 2], &mut [0.0; 32]);
            }
        }
    };
}

suite!(generic_, Some(generic::weighted_sum as WeightedSum));
#[cfg(target_arch = "x86_64")]
suite!(avx2_, avx2::weighted_sum(Cpu::native()));
#[cfg(target_arch = "x86_64")]
suite!(avx512_, avx512::weighted_sum(Cpu::native()));
#[cfg(target_arch = "aarch64")]
suite!(neon_, neon::weighted_sum(Cpu::native()));
suite!(dispatched, Some(weighted_sum(Cpu::native())));

#[test]
fn specification_sums_weighted_rows() {
    let mut sums = [9.0; 2];
    generic::weighted_sum(&[1.0, 2.0, 3.0, 4.0], &[0.5, 2.0], &mut sums);
    assert_eq!(sums, [6.5, 9.0]);
    assert_eq!(
        weighted_sum(Cpu::generic()) as usize,
        generic::weighted_sum as WeightedSum as usize
    );
}
