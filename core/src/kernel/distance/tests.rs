//! The suite every implementation must pass, instantiated once each.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// Rows of up to 100 columns and a centre; magnitudes differ so much that every other order or a fused step would give
/// other bits.
fn rows_and_centre() -> impl Strategy<Value = (Vec<f32>, Vec<f64>, usize)> {
    let value = || prop_oneof![-1.0f32..1.0, -1e6f32..1e6, Just(0.0), -1e-6f32..1e-6];
    let middle = || prop_oneof![-1.0f64..1.0, 0.0f64..1e-3, Just(1.0 / 3.0)];
    (0..12usize, 0..100usize).prop_flat_map(move |(rows, columns)| {
        (
            vec(value(), rows * columns),
            vec(middle(), columns),
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
                proptest!(|((rows, centre, count) in rows_and_centre())| {
                    let mut expected = vec![1.0; count];
                    generic::square_distances(&rows, &centre, &mut expected);
                    let mut found = vec![2.0; count];
                    kernel(&rows, &centre, &mut found);
                    let bits = |sums: &[f64]| sums.iter().map(|s| s.to_bits()).collect::<Vec<_>>();
                    prop_assert_eq!(bits(&found), bits(&expected));
                });
            }

            #[test]
            #[should_panic(expected = "rows do not match")]
            fn refuses_rows_of_another_length() {
                let kernel: SquareDistances = $kernel.unwrap_or(generic::square_distances);
                kernel(&[1.0; 63], &[1.0; 32], &mut [0.0; 2]);
            }
        }
    };
}

suite!(generic_, Some(generic::square_distances as SquareDistances));
#[cfg(target_arch = "x86_64")]
suite!(avx2_, avx2::square_distances(Cpu::native()));
#[cfg(target_arch = "x86_64")]
suite!(avx512_, avx512::square_distances(Cpu::native()));
#[cfg(target_arch = "aarch64")]
suite!(neon_, neon::square_distances(Cpu::native()));
suite!(dispatched, Some(square_distances(Cpu::native())));

#[test]
fn specification_sums_squares() {
    let mut squares = [9.0; 2];
    generic::square_distances(&[1.0, 2.0, 3.0, 4.0], &[0.5, 2.0], &mut squares);
    assert_eq!(squares, [0.25, 10.25]);
    assert_eq!(
        square_distances(Cpu::generic()) as usize,
        generic::square_distances as SquareDistances as usize
    );
}
