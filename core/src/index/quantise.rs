//! A unit vector as int8: what the index stores and what the query becomes.
//!
//! `s = max|v| / 127`, `q = round(v / s)` with halves away from zero, both in f64, and
//! `1 / ‖q‖` as f32 from the exact sum of squares. All of these are correctly rounded IEEE
//! operations in one order, so the same vector gives the same bytes on every platform. The length of
//! `v` does not matter: what is compared is the cosine of the `q`.
//!
//! A stored vector has four more bits a component: `16·v / s`, rounded, is `16·q + f` with `f` from -8 to 7. Scores do
//! without them. They are there so that what is coded anew (into lists, from shards, by a compaction) or given back
//! (exported, to a second look) comes of the vector and not of its rounding.

use super::VectorFault;
use crate::kernel::dot;

/// Most dimensions of a vector, so that no dot product can overflow.
pub const MAX_DIM: usize = dot::MAX_LENGTH;

/// Rows are padded with zeros to a multiple of this many bytes: a cache line, an AVX-512 register.
const ROW_ALIGNMENT: usize = 64;

/// Bytes of a stored row of `dim` numbers.
pub(super) const fn stride(dim: usize) -> usize {
    dim.next_multiple_of(ROW_ALIGNMENT)
}

/// A quantised vector, padded to [`stride`].
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Quantised {
    pub(super) row: Vec<i8>,
    pub(super) inverse_norm: f32,
}

/// A vector as the index keeps it. Ordered by `row`, then by `fine`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Stored {
    /// `q`, padded to [`stride`].
    pub(super) row: Vec<i8>,
    /// `f`, two components a byte, the first one low; half a row.
    pub(super) fine: Vec<u8>,
}

impl Stored {
    /// Of a vector that must have `dim` finite numbers, not all zero.
    pub(super) fn new(vector: &[f32], dim: usize) -> Result<Self, VectorFault> {
        let row = quantise(vector, dim)?.row;
        let step = f64::from(largest(vector)) / 127.0;
        let mut fine = vec![0; row.len() / 2];
        for (i, (&v, &q)) in vector.iter().zip(&row).enumerate() {
            let between = round(f64::from(v) / step * 16.0) - 16 * i32::from(q);
            // Half a step above is a step of its own, half a step below is not.
            let nibble = between.clamp(-8, 7) as u8 & 15;
            fine[i / 2] |= nibble << (i % 2 * 4);
        }
        Ok(Self { row, fine })
    }

    pub(super) fn inverse_norm(&self) -> f32 {
        inverse_norm(&self.row)
    }

    /// The first `dim` numbers of the unit vector.
    pub(super) fn unit_vector(&self, dim: usize) -> Vec<f32> {
        let wide: Vec<i32> = wide(&self.row, &self.fine).collect();
        let unit = unit(&wide);
        wide[..dim]
            .iter()
            .map(|&w| (f64::from(w) * unit) as f32)
            .collect()
    }
}

/// `16·q + f` of each component.
pub(super) fn wide<'a>(row: &'a [i8], fine: &'a [u8]) -> impl Iterator<Item = i32> + Clone + 'a {
    row.iter().enumerate().map(|(i, &q)| {
        let nibble = fine[i / 2] >> (i % 2 * 4) << 4;
        16 * i32::from(q) + i32::from(nibble.cast_signed() >> 4)
    })
}

/// `1 / ‖w‖`.
pub(super) fn unit(wide: &[i32]) -> f64 {
    let squares: i64 = wide.iter().map(|&w| i64::from(w) * i64::from(w)).sum();
    1.0 / (squares as f64).sqrt()
}

/// Quantises a vector that must have `dim` finite numbers, not all zero.
pub(super) fn quantise(vector: &[f32], dim: usize) -> Result<Quantised, VectorFault> {
    if vector.len() != dim {
        return Err(VectorFault::Dim {
            expected: dim,
            found: vector.len(),
        });
    }
    let largest = largest(vector);
    if !largest.is_finite() {
        let at = vector.iter().position(|v| !v.is_finite());
        return Err(VectorFault::NotFinite {
            at: at.expect("what is not finite is not below what is"),
        });
    }
    if largest == 0.0 {
        return Err(VectorFault::Zero);
    }
    let step = f64::from(largest) / 127.0;
    let mut row = vec![0; stride(dim)];
    for (q, &v) in row.iter_mut().zip(vector) {
        *q = round(f64::from(v) / step) as i8;
    }
    let inverse_norm = inverse_norm(&row);
    Ok(Quantised { row, inverse_norm })
}

/// The largest magnitude; infinite or no number where one component is. Magnitudes are in the order of their bits, which
/// are compared without an eye on what is no number.
pub(super) fn largest(vector: &[f32]) -> f32 {
    let magnitudes = vector.iter().map(|v| v.abs().to_bits().cast_signed());
    f32::from_bits(magnitudes.fold(0, i32::max).cast_unsigned())
}

/// The nearest integer, halves away from zero, of a number of a magnitude below 2³¹. [`f64::round`] says the same, but is
/// a call where the target's processors need not have the instruction.
pub(super) fn round(number: f64) -> i32 {
    (number + (0.5 - f64::EPSILON / 4.0).copysign(number)) as i32
}

/// `1 / ‖row‖`; infinite for a row of zeros, which no quantised vector is.
pub(super) fn inverse_norm(row: &[i8]) -> f32 {
    let squares: i64 = row.iter().map(|&q| i64::from(q) * i64::from(q)).sum();
    (1.0 / (squares as f64).sqrt()) as f32
}

/// Cosine of two quantised vectors from their dot product. The order of the operations is part of
/// the definition: `(dot · query) · row`, then clamped, since rounding can carry it past 1.
pub(super) fn cosine(dot: i32, query_inverse_norm: f32, row_inverse_norm: f32) -> f32 {
    (dot as f32 * query_inverse_norm * row_inverse_norm).clamp(-1.0, 1.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn halves_round_away_from_zero_and_padding_is_zero() {
        let found = quantise(&[127.0, 0.5, -0.5, 1.49, -127.0], 5).unwrap();
        assert_eq!(found.row[..5], [127, 1, -1, 1, -127]);
        assert_eq!(found.row[5..], [0; 59]);
    }

    #[test]
    fn unusable_vectors_are_refused() {
        assert_eq!(
            quantise(&[1.0], 2),
            Err(VectorFault::Dim {
                expected: 2,
                found: 1
            })
        );
        assert_eq!(
            quantise(&[1.0, f32::NAN], 2),
            Err(VectorFault::NotFinite { at: 1 })
        );
        assert_eq!(
            quantise(&[f32::INFINITY, 1.0], 2),
            Err(VectorFault::NotFinite { at: 0 })
        );
        assert_eq!(quantise(&[0.0, -0.0], 2), Err(VectorFault::Zero));
    }

    proptest! {
        #[test]
        fn rounds_as_the_standard_library(number in -40_000.0..40_000.0f64, half in -40_000..40_000i32) {
            let halves = f64::from(half) + 0.5;
            let around = [number, halves, halves.next_up(), halves.next_down(), f64::from(half)];
            for number in around {
                prop_assert_eq!(round(number), number.round() as i32, "{}", number);
            }
        }

        #[test]
        fn four_more_bits_are_a_sixteenth_of_a_step(v in proptest::collection::vec(-1.0..1.0f32, 1..80)) {
            prop_assume!(v.iter().any(|&v| v != 0.0));
            let stored = Stored::new(&v, v.len()).unwrap();
            let step = f64::from(largest(&v)) / 127.0;
            for (&v, (wide, &q)) in v.iter().zip(wide(&stored.row, &stored.fine).zip(&stored.row)) {
                let wanted = f64::from(v) / step * 16.0;
                // Half a step above the row is not to be had.
                let most = if wanted - 16.0 * f64::from(q) > 7.0 { 1.0 } else { 0.5 };
                prop_assert!((f64::from(wide) - wanted).abs() <= most + 1e-6, "{} for {}", wide, wanted);
            }
            let padding = wide(&stored.row, &stored.fine).skip(v.len());
            prop_assert!(padding.eq(std::iter::repeat_n(0, stored.row.len() - v.len())));
        }

        /// Any finite vector, subnormal and huge ones included, uses the full range.
        #[test]
        fn the_largest_number_becomes_127(v in proptest::collection::vec(any::<f32>(), 1..80)) {
            prop_assume!(v.iter().all(|v| v.is_finite()) && v.iter().any(|&v| v != 0.0));
            let found = quantise(&v, v.len()).unwrap();
            prop_assert_eq!(found.row.iter().map(|q| q.unsigned_abs()).max(), Some(127));
            prop_assert!(found.inverse_norm.is_finite() && found.inverse_norm > 0.0);
        }
    }
}
