//! The suite every implementation must pass, instantiated once each.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
struct Case {
    components: Vec<i8>,
    skipped: usize,
    count: usize,
    signs: Vec<u8>,
    factors: Vec<u8>,
    asked: Option<Vec<u16>>,
    least: i32,
}

fn cases() -> impl Strategy<Value = Case> {
    (1..=33usize, 0..BLOCK, 0..70usize).prop_flat_map(|(steps, skipped, count)| {
        let count = count.max(skipped);
        let dim = 32 * steps;
        let padded = count.next_multiple_of(BLOCK);
        let component = prop_oneof![Just(LIMIT), Just(-LIMIT), -LIMIT..=LIMIT];
        let asked = proptest::option::of(vec(any::<u16>(), padded / BLOCK));
        (
            vec(component, dim),
            vec(any::<u8>(), padded * dim / 8),
            vec(any::<u8>(), padded),
            asked,
            -3000..3000i32,
        )
            .prop_map(move |(components, signs, factors, asked, least)| Case {
                components,
                skipped,
                count,
                signs,
                factors,
                asked,
                least,
            })
    })
}

impl Case {
    fn run(&self, kernel: ScanSigns) -> Vec<Passed> {
        let rows = SignRows {
            skipped: self.skipped,
            count: self.count,
            signs: &self.signs,
            factors: &self.factors,
            asked: self.asked.as_deref(),
        };
        let mut passed = Vec::new();
        kernel(
            &Tables::new(&self.components),
            &rows,
            self.least,
            &mut passed,
        );
        passed
    }

    /// One bit at a time.
    fn naive(&self) -> Vec<Passed> {
        let row_bytes = self.components.len() / 8;
        let estimate = |row: usize| {
            let block = &self.signs[row / BLOCK * BLOCK * row_bytes..];
            let signed = self.components.iter().enumerate().map(|(i, &v)| {
                let byte = block[i / 8 * BLOCK + row % BLOCK];
                if byte >> (i % 8) & 1 == 1 {
                    i32::from(v)
                } else {
                    -i32::from(v)
                }
            });
            signed.sum::<i32>() * i32::from(self.factors[row])
        };
        let is_asked = |row: usize| {
            self.asked
                .as_ref()
                .is_none_or(|asked| asked[row / BLOCK] >> (row % BLOCK) & 1 == 1)
        };
        (self.skipped..self.count)
            .filter(|&row| is_asked(row))
            .map(|row| Passed {
                row: row as u32,
                estimate: estimate(row),
            })
            .filter(|passed| passed.estimate >= self.least)
            .collect()
    }
}

macro_rules! suite {
    ($name:ident, $kernel:expr) => {
        mod $name {
            use super::*;

            #[test]
            fn equals_one_bit_at_a_time() {
                let Some(kernel) = $kernel else { return };
                proptest!(|(case in cases())| {
                    prop_assert_eq!(case.run(kernel), case.naive());
                });
            }

            #[test]
            fn longest_rows_do_not_overflow() {
                let Some(kernel) = $kernel else { return };
                let case = Case {
                    components: vec![LIMIT; MAX_DIM],
                    skipped: 0,
                    count: 1,
                    signs: vec![u8::MAX; BLOCK * MAX_DIM / 8],
                    factors: vec![u8::MAX; BLOCK],
                    asked: None,
                    least: i32::MIN,
                };
                let estimate = 255 * i32::from(LIMIT) * MAX_DIM as i32;
                assert_eq!(case.run(kernel), [Passed { row: 0, estimate }]);
            }

            #[test]
            #[should_panic(expected = "too few signs")]
            fn refuses_a_list_that_is_cut_off() {
                let rows = SignRows { skipped: 0, count: 17, signs: &[0; 64 + 63], factors: &[0; 32], asked: None };
                let kernel: ScanSigns = $kernel.unwrap_or(generic::scan_signs);
                kernel(&Tables::new(&[1; 32]), &rows, 0, &mut Vec::new());
            }
        }
    };
}

suite!(generic_, Some(generic::scan_signs as ScanSigns));
#[cfg(target_arch = "x86_64")]
suite!(avx2_, avx2::scan_signs(Cpu::native()));
#[cfg(target_arch = "aarch64")]
suite!(neon_, neon::scan_signs(Cpu::native()));
#[cfg(target_arch = "x86_64")]
suite!(avx512vnni_, avx512vnni::scan_signs(Cpu::native()));
suite!(dispatched, Some(scan_signs(Cpu::native())));
