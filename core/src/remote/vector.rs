//! A descriptor on the wire: half precision, little-endian, base64.
//!
//! Half precision keeps 11 bits of each number; the int8 vectors that are searched keep 8.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use half::f16;
use serde::{Deserialize, Serialize};

/// A vector as text. Its numbers do not appear in `Debug`: what a camera saw does not belong in logs.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EncodedVector(String);

/// Why a vector cannot be sent or understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VectorError {
    /// Another length than the number of dimensions says.
    #[error(
        "expected {expected} base64 characters for {dim} numbers of half precision, found {found}"
    )]
    Length {
        /// Numbers expected.
        dim: usize,
        /// Characters that they take.
        expected: usize,
        /// Characters found.
        found: usize,
    },
    /// A character that is none of base64, or wrong padding.
    #[error("the vector is not base64 with padding (RFC 4648, section 4)")]
    NotBase64,
    /// Not a number, or too large for half precision (65504).
    #[error("number {at} of the vector is not finite in half precision")]
    NotFinite {
        /// Position in the vector.
        at: usize,
    },
    /// No direction, hence no cosine.
    #[error("the vector is all zeros in half precision")]
    Zero,
}

impl EncodedVector {
    /// Rounds to half precision. O(dim).
    ///
    /// # Errors
    /// [`VectorError::NotFinite`], [`VectorError::Zero`].
    pub fn of(values: &[f32]) -> Result<Self, VectorError> {
        let halves: Vec<f16> = values.iter().map(|&value| f16::from_f32(value)).collect();
        check(&halves)?;
        let bytes: Vec<u8> = halves.iter().flat_map(|half| half.to_le_bytes()).collect();
        Ok(Self(STANDARD.encode(bytes)))
    }

    /// The numbers, of which there must be `dim`. The length is looked at before anything is decoded. O(dim).
    ///
    /// # Errors
    /// [`VectorError`].
    pub fn decode(&self, dim: usize) -> Result<Vec<f32>, VectorError> {
        let (expected, found) = (
            dim.saturating_mul(2).div_ceil(3).saturating_mul(4),
            self.0.len(),
        );
        if found != expected {
            return Err(VectorError::Length {
                dim,
                expected,
                found,
            });
        }
        let bytes = STANDARD
            .decode(&self.0)
            .map_err(|_| VectorError::NotBase64)?;
        let (pairs, rest) = bytes.as_chunks::<2>();
        if pairs.len() != dim || !rest.is_empty() {
            return Err(VectorError::NotBase64);
        }
        let halves: Vec<f16> = pairs.iter().map(|&pair| f16::from_le_bytes(pair)).collect();
        check(&halves)?;
        Ok(halves.iter().map(|half| half.to_f32()).collect())
    }
}

fn check(halves: &[f16]) -> Result<(), VectorError> {
    if let Some(at) = halves.iter().position(|half| !half.is_finite()) {
        return Err(VectorError::NotFinite { at });
    }
    if halves.iter().all(|half| half.to_f32() == 0.0) {
        return Err(VectorError::Zero);
    }
    Ok(())
}

impl fmt::Debug for EncodedVector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EncodedVector({} characters)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bytes_are_little_endian_halves() {
        let vector = EncodedVector::of(&[1.0, -2.0, 0.5]).unwrap();
        let bytes = [0x00, 0x3c, 0x00, 0xc0, 0x00, 0x38];
        assert_eq!(vector.0, STANDARD.encode(bytes));
        assert_eq!(vector.decode(3), Ok(vec![1.0, -2.0, 0.5]));
    }

    #[test]
    fn bad_vectors_are_refused() {
        let of = |text: &str| EncodedVector(text.to_owned());
        let length = VectorError::Length {
            dim: 3,
            expected: 8,
            found: 4,
        };
        assert_eq!(of("AAAA").decode(3), Err(length));
        assert_eq!(of("!!!!!!!!").decode(3), Err(VectorError::NotBase64));
        assert_eq!(of("AAAAAAA=").decode(3), Err(VectorError::NotBase64));
        assert_eq!(of("AAAAAAAA").decode(3), Err(VectorError::Zero));
        assert!(of("").decode(usize::MAX).is_err());
        let infinite = EncodedVector(STANDARD.encode([0, 0x7c]));
        assert_eq!(infinite.decode(1), Err(VectorError::NotFinite { at: 0 }));
        assert_eq!(
            EncodedVector::of(&[0.0, 1e6]),
            Err(VectorError::NotFinite { at: 1 })
        );
    }

    proptest! {
        #[test]
        fn numbers_come_back_within_half_precision(values in prop::collection::vec(-1f32..1.0, 1..64)) {
            prop_assume!(values.iter().any(|value| value.abs() > 1e-3));
            let decoded = EncodedVector::of(&values).unwrap().decode(values.len()).unwrap();
            for (value, decoded) in values.iter().zip(decoded) {
                prop_assert!((value - decoded).abs() <= value.abs() / 2048.0 + 1e-7);
            }
        }

        #[test]
        fn any_text_is_decoded_or_refused(text in "\\PC{0,24}", like in "[A-Za-z0-9+/]{0,24}={0,2}", dim in 0usize..16) {
            let _ = EncodedVector(text).decode(dim);
            let _ = EncodedVector(like).decode(dim);
        }
    }
}
