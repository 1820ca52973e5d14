//! The share of matches that must be right: what a caller trades for fewer matches.

use std::str::FromStr;

use super::VerdictError;

/// A share of matches that are right, 0.5 to 0.999; 0.95 unless asked otherwise.
///
/// ```
/// use pocketlens::verdict::Precision;
///
/// let strict: Precision = "0.99".parse()?;
/// assert!(strict > Precision::default());
/// assert!(Precision::new(1.0).is_err());
/// # Ok::<(), pocketlens::verdict::VerdictError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Precision(f32);

impl Precision {
    /// The precision `share`.
    ///
    /// # Errors
    /// [`VerdictError::Precision`] outside of 0.5 to 0.999: below, a match would be rather wrong than
    /// right; above, no catalogue can show it.
    pub fn new(share: f32) -> Result<Self, VerdictError> {
        if (0.5..=0.999).contains(&share) {
            Ok(Self(share))
        } else {
            Err(VerdictError::Precision {
                found: share.to_string(),
            })
        }
    }

    /// The share, 0.5 to 0.999.
    pub fn get(self) -> f32 {
        self.0
    }
}

impl Default for Precision {
    fn default() -> Self {
        Self(0.95)
    }
}

impl FromStr for Precision {
    type Err = VerdictError;

    fn from_str(text: &str) -> Result<Self, VerdictError> {
        let share = text.parse().map_err(|_| VerdictError::Precision {
            found: format!("{text:?}"),
        })?;
        Self::new(share)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_shares_that_can_be_kept_are_precisions() {
        for text in ["0.5", "0.95", "0.999"] {
            assert_eq!(text.parse::<Precision>().unwrap().get().to_string(), text);
        }
        for text in ["0.49", "0.9999", "1", "95", "-1", "NaN", "inf", "", "much"] {
            let refused = text.parse::<Precision>().unwrap_err().to_string();
            assert!(refused.contains("0.5 to 0.999"), "{refused}");
        }
    }
}
