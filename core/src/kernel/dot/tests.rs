//! The suite every implementation must pass, instantiated once each.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// A query and some rows of its length. Half of the numbers are extremes.
fn query_and_rows() -> impl Strategy<Value = (Vec<i8>, Vec<i8>, usize)> {
    let number = || prop_oneof![Just(-128i8), Just(127), any::<i8>(), any::<i8>()];
    let length = prop_oneof![0..600usize, 0..80usize];
    (length, 0..40usize).prop_flat_map(move |(length, rows)| {
        (
            vec(number(), length),
            vec(number(), length * rows),
            Just(rows),
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
                proptest!(|((query, rows, count) in query_and_rows())| {
                    let mut expected = vec![1; count];
                    generic::dot_rows(&query, &rows, &mut expected);
                    let mut found = vec![2; count];
                    kernel(&query, &rows, &mut found);
                    prop_assert_eq!(found, expected);
                });
            }

            #[test]
            fn largest_sum_does_not_overflow() {
                let Some(kernel) = $kernel else { return };
                let mut out = [0; 5];
                kernel(&[-128; MAX_LENGTH], &[-128; 5 * MAX_LENGTH], &mut out);
                assert_eq!(out, [1 << 30; 5]);
            }

            #[test]
            #[should_panic(expected = "rows do not match")]
            fn refuses_rows_of_another_length() {
                let kernel: DotRows = $kernel.unwrap_or(generic::dot_rows);
                kernel(&[1; 32], &[1; 63], &mut [0; 2]);
            }
        }
    };
}

suite!(generic_, Some(generic::dot_rows as DotRows));
#[cfg(target_arch = "x86_64")]
suite!(avx2_, avx2::dot_rows(Cpu::native()));
#[cfg(target_arch = "x86_64")]
suite!(avx512vnni_, avx512vnni::dot_rows(Cpu::native()));
#[cfg(target_arch = "aarch64")]
suite!(neon_, Cpu::named("neon").and_then(neon::dot_rows));
#[cfg(target_arch = "aarch64")]
suite!(sdot_, Cpu::named("sdot").and_then(neon::dot_rows));
suite!(dispatched, Some(dot_rows(Cpu::native())));

#[test]
fn specification_computes_dot_products() {
    let mut out = [0; 2];
    generic::dot_rows(&[1, -2, 3], &[4, 5, 6, -128, 127, 0], &mut out);
    assert_eq!(out, [12, -382]);
    assert_eq!(
        dot_rows(Cpu::generic()) as usize,
        generic::dot_rows as DotRows as usize
    );
}
