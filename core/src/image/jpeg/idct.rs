//! Inverse DCTs of the lowest H×W coefficients of a block, H and W in {1, 2, 4, 8}.
//!
//! The N lowest of eight coefficients, inverted as a DCT of N points, are the block low-passed to
//! N samples (T.81, A.3.3 for eight; libjpeg from version 7 on for the others). One side at a
//! time; at eight points the algorithm of Loeffler, Ligtenberg and Moschytz (ICASSP 1989) as in
//! libjpeg's `jidctint.c`. A pass is scaled by √8, so that all sizes share the last shift.
//!
//! Wrapping arithmetic: coefficients that no encoder writes give nonsense, the same everywhere.

use std::num::Wrapping;

type Word = Wrapping<i32>;

/// Dequantised coefficients, row by row.
pub(super) type Coefficients = [i32; 64];

/// Samples of a block, in rows of eight of which the first W are set.
pub(super) type Samples = [u8; 64];

/// Fraction bits of the constants.
const FRACTION: usize = 13;
/// Fraction bits kept between the passes.
const KEPT: usize = 2;

/// The inverse transform of a size.
#[derive(Clone, Copy)]
pub(super) struct Inverse {
    width: usize,
    columns: fn(&Coefficients, usize) -> [Word; 64],
    rows: fn(&[Word; 64], usize) -> Samples,
    height: usize,
}

impl Inverse {
    /// To `height` rows of `width` samples.
    ///
    /// # Panics
    /// For sides other than 1, 2, 4 and 8.
    pub(super) fn new(width: usize, height: usize) -> Self {
        Self {
            width,
            height,
            columns: match height {
                1 => columns::<1>,
                2 => columns::<2>,
                4 => columns::<4>,
                8 => columns::<8>,
                _ => panic!("no inverse DCT has {height} rows"),
            },
            rows: match width {
                1 => rows::<1>,
                2 => rows::<2>,
                4 => rows::<4>,
                8 => rows::<8>,
                _ => panic!("no inverse DCT has {width} columns"),
            },
        }
    }

    /// The samples, 0..=255, level shift included.
    pub(super) fn apply(&self, coefficients: &Coefficients) -> Samples {
        (self.rows)(&(self.columns)(coefficients, self.width), self.height)
    }
}

/// The sample of a block whose other coefficients are zero: every one of them.
#[inline(always)]
pub(super) fn flat(dc: i32) -> u8 {
    sample((dc.wrapping_add(4)) >> 3)
}

fn sample(value: i32) -> u8 {
    value.saturating_add(128).clamp(0, 255) as u8
}

fn columns<const H: usize>(coefficients: &Coefficients, width: usize) -> [Word; 64] {
    let mut out = [Wrapping(0); 64];
    for u in 0..width {
        let column = std::array::from_fn(|v| Wrapping(coefficients[8 * v + u]));
        // Most columns of most blocks have nothing but their first coefficient.
        if column[1..H].iter().all(|c| c.0 == 0) {
            (0..H).for_each(|y| out[8 * y + u] = column[0] << KEPT);
            continue;
        }
        let column = transform::<H>(column);
        let half = Wrapping(1 << (FRACTION - KEPT - 1));
        (0..H).for_each(|y| out[8 * y + u] = (column[y] + half) >> (FRACTION - KEPT));
    }
    out
}

fn rows<const W: usize>(columns: &[Word; 64], height: usize) -> Samples {
    const SHIFT: usize = FRACTION + KEPT + 3;
    let mut out = [0; 64];
    for y in 0..height {
        let row = transform::<W>(std::array::from_fn(|u| columns[8 * y + u]));
        for x in 0..W {
            out[8 * y + x] = sample(((row[x] + Wrapping(1 << (SHIFT - 1))) >> SHIFT).0);
        }
    }
    out
}

/// The first N samples from the first N coefficients, times √8 · 2^13.
#[inline(always)]
fn transform<const N: usize>(c: [Word; 8]) -> [Word; 8] {
    match N {
        1 => [c[0] << FRACTION; 8],
        2 => {
            let mut out = c;
            out[0] = (c[0] + c[1]) << FRACTION;
            out[1] = (c[0] - c[1]) << FRACTION;
            out
        }
        4 => {
            let mut out = c;
            let (sum, difference) = ((c[0] + c[2]) << FRACTION, (c[0] - c[2]) << FRACTION);
            // √2 cos(π/8) and √2 cos(3π/8).
            let (wide, narrow) = (Wrapping(10_703), Wrapping(4_433));
            let (outer, inner) = (c[1] * wide + c[3] * narrow, c[1] * narrow - c[3] * wide);
            out[0] = sum + outer;
            out[1] = difference + inner;
            out[2] = difference - inner;
            out[3] = sum - outer;
            out
        }
        _ => eight(c),
    }
}

#[inline(always)]
fn eight(c: [Word; 8]) -> [Word; 8] {
    let k = |value: i32| Wrapping(value);
    let z = (c[2] + c[6]) * k(4_433);
    let (low, high) = (z + c[2] * k(6_270), z - c[6] * k(15_137));
    let (sum, difference) = ((c[0] + c[4]) << FRACTION, (c[0] - c[4]) << FRACTION);
    let even = [sum + low, difference + high, difference - high, sum - low];

    let z5 = (c[7] + c[3] + c[5] + c[1]) * k(9_633);
    let z1 = (c[7] + c[1]) * k(-7_373);
    let z2 = (c[5] + c[3]) * k(-20_995);
    let z3 = (c[7] + c[3]) * k(-16_069) + z5;
    let z4 = (c[5] + c[1]) * k(-3_196) + z5;
    let odd = [
        c[1] * k(12_299) + z1 + z4,
        c[3] * k(25_172) + z2 + z3,
        c[5] * k(16_819) + z2 + z4,
        c[7] * k(2_446) + z1 + z3,
    ];
    std::array::from_fn(|x| {
        if x < 4 {
            even[x] + odd[x]
        } else {
            even[7 - x] - odd[7 - x]
        }
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The definition, in double precision.
    fn naive(coefficients: &Coefficients, width: usize, height: usize) -> Vec<f64> {
        let basis = |x: usize, u: usize, n: usize| {
            let angle = (2 * x + 1) as f64 * u as f64 * std::f64::consts::PI / (2 * n) as f64;
            if u == 0 {
                0.125_f64.sqrt()
            } else {
                angle.cos() / 2.0
            }
        };
        let places = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
        let value = |(x, y)| -> f64 {
            (0..height)
                .flat_map(|v| (0..width).map(move |u| (u, v)))
                .map(|(u, v)| {
                    let c = f64::from(coefficients[8 * v + u]);
                    c * basis(x, u, width) * basis(y, v, height)
                })
                .sum()
        };
        places
            .map(|place| (value(place) + 128.0).clamp(0.0, 255.0))
            .collect()
    }

    proptest! {
        #[test]
        fn every_size_is_its_definition(
            values in prop::collection::vec((0..64_usize, -300..300_i32), 0..20),
            dc in -1000..1000_i32,
        ) {
            let mut coefficients = [0; 64];
            values.iter().for_each(|&(at, value)| coefficients[at] = value);
            coefficients[0] = dc;
            for (width, height) in [1, 2, 4, 8].into_iter().flat_map(|w| [1, 2, 4, 8].map(|h| (w, h))) {
                let found = Inverse::new(width, height).apply(&coefficients);
                let expected = naive(&coefficients, width, height);
                for (at, expected) in expected.into_iter().enumerate() {
                    let found = f64::from(found[8 * (at / width) + at % width]);
                    prop_assert!((found - expected).abs() < 1.0, "{}×{}", width, height);
                }
            }
        }

        #[test]
        fn any_coefficients_are_taken(coefficients in any::<[[i32; 32]; 2]>()) {
            let coefficients: Vec<i32> = coefficients.concat();
            let coefficients: Coefficients = coefficients.try_into().unwrap();
            Inverse::new(8, 8).apply(&coefficients);
            Inverse::new(4, 2).apply(&coefficients);
            flat(coefficients[0]);
        }

        #[test]
        fn a_flat_block_needs_no_transform(dc in -3000..3000_i32) {
            let mut coefficients = [0; 64];
            coefficients[0] = dc;
            prop_assert_eq!(Inverse::new(8, 8).apply(&coefficients), [flat(dc); 64]);
        }
    }
}
