//! The suite every implementation must pass, instantiated once each.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// A query of some groups of dimensions, and the signs and codes of twenty rows.
fn cases() -> impl Strategy<Value = (Vec<i16>, Vec<u8>, Vec<u8>, u32)> {
    (1..6usize, 0..20u32).prop_flat_map(|(groups, row)| {
        let component = prop_oneof![Just(LIMIT), Just(-LIMIT), -LIMIT..=LIMIT];
        (
            vec(component, groups * GROUP),
            vec(any::<u8>(), 32 * groups * GROUP / 8),
            vec(any::<u8>(), 20 * groups * GROUP_BYTES),
            Just(row),
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
                proptest!(|((components, signs, codes, row) in cases())| {
                    let query = WideQuery::new(&components);
                    let rows = CodeRows { signs: &signs, codes: &codes };
                    let named = [row, 19 - row, row];
                    let (mut found, mut expected) = ([1; 3], [2; 3]);
                    kernel(&query, &rows, &named, &mut found);
                    generic::dot_codes(&query, &rows, &named, &mut expected);
                    prop_assert_eq!(found, expected);
                });
            }

            #[test]
            fn longest_row_does_not_overflow() {
                let Some(kernel) = $kernel else { return };
                let query = WideQuery::new(&[LIMIT; MAX_DIM]);
                let (signs, codes) = ([u8::MAX; 2 * MAX_DIM], [u8::MAX; MAX_DIM / 64 * 48]);
                let rows = CodeRows { signs: &signs, codes: &codes };
                let mut found = [0];
                kernel(&query, &rows, &[0], &mut found);
                assert_eq!(found, [127 * i32::from(LIMIT) * MAX_DIM as i32]);
            }

            #[test]
            #[should_panic(expected = "row Some(2) of 2")]
            fn refuses_a_row_outside() {
                let kernel: DotCodes = $kernel.unwrap_or(generic::dot_codes);
                let rows = CodeRows { signs: &[0; 128], codes: &[0; 2 * 48] };
                kernel(&WideQuery::new(&[1; 64]), &rows, &[2], &mut [0]);
            }
        }
    };
}

suite!(generic_, Some(generic::dot_codes as DotCodes));
#[cfg(target_arch = "x86_64")]
suite!(avx2_, avx2::dot_codes(Cpu::native()));
#[cfg(target_arch = "x86_64")]
suite!(avx512vnni_, avx512vnni::dot_codes(Cpu::native()));
#[cfg(target_arch = "aarch64")]
suite!(neon_, neon::dot_codes(Cpu::native()));
#[cfg(target_arch = "aarch64")]
suite!(plain_neon, neon::dot_codes(Cpu::named("neon").unwrap()));
suite!(dispatched, Some(dot_codes(Cpu::native())));

/// One row written by hand: dimension 0 has the code 1 + 16·2 + 64, dimension 63 has 15·1.
#[test]
fn specification_reads_the_layout() {
    let mut components = [0; GROUP];
    components[0] = 10;
    components[63] = -1000;
    let mut signs = [0; BLOCK * 8];
    signs[5] = 1;
    let mut codes = [0; 6 * GROUP_BYTES];
    let row = &mut codes[5 * GROUP_BYTES..];
    row[0] = 1;
    row[31] = 15 << 4;
    row[32] = 2;
    let rows = CodeRows {
        signs: &signs,
        codes: &codes,
    };
    let query = WideQuery::new(&components);
    let mut found = [0];
    generic::dot_codes(&query, &rows, &[5], &mut found);
    assert_eq!(found, [97 * 10 - 15_000]);
    assert_eq!(query.signed(found[0], 0), 2 * (970 - 15_000) + 127 * 990);
    assert_eq!(query.signed(found[0], -3), 2 * (970 - 15_000) + 133 * 990);
}
