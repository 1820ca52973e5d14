//! Numbers as JSON has them, compared exactly: 2⁵³ + 1 is greater than 2⁵³, also against a float.
//!
//! A range is reduced to the smallest and the greatest value of a column's type that lie in it, so
//! that a scan compares values of one type.

use std::cmp::Ordering;

/// A finite number of a payload or a filter.
#[derive(Clone, Copy, Debug)]
pub enum Number {
    /// A whole number that fits 64 bits.
    Integer(i64),
    /// Any other number, rounded to double precision.
    Float(f64),
}

/// Numerically: 3 and 3.0 are equal.
impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.compare(*other) == Some(Ordering::Equal)
    }
}

impl From<i64> for Number {
    fn from(value: i64) -> Self {
        Self::Integer(value)
    }
}

impl From<i32> for Number {
    fn from(value: i32) -> Self {
        Self::Integer(value.into())
    }
}

impl From<f64> for Number {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}

impl Number {
    pub(crate) fn of_json(number: &serde_json::Number) -> Option<Self> {
        let float = || {
            Some(Self::Float(
                number.as_f64().filter(|value| value.is_finite())?,
            ))
        };
        number.as_i64().map(Self::Integer).or_else(float)
    }

    pub(crate) fn is_finite(self) -> bool {
        match self {
            Self::Integer(_) => true,
            Self::Float(value) => value.is_finite(),
        }
    }

    /// `None` only for what is not a number.
    pub(crate) fn compare(self, other: Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Integer(a), Self::Integer(b)) => Some(a.cmp(&b)),
            (Self::Float(a), Self::Float(b)) => a.partial_cmp(&b),
            (Self::Integer(a), Self::Float(b)) => integer_to_float(a, b),
            (Self::Float(a), Self::Integer(b)) => integer_to_float(b, a).map(Ordering::reverse),
        }
    }
}

/// 2⁶³, the first float above all integers.
const ABOVE_INTEGERS: f64 = 9_223_372_036_854_775_808.0;

fn integer_to_float(integer: i64, float: f64) -> Option<Ordering> {
    if float.is_nan() {
        None
    } else if float >= ABOVE_INTEGERS {
        Some(Ordering::Less)
    } else if float < -ABOVE_INTEGERS {
        Some(Ordering::Greater)
    } else {
        let whole = integer.cmp(&(float.trunc() as i64));
        Some(whole.then(0.0.partial_cmp(&float.fract())?))
    }
}

/// Between bounds; a bound that is absent does not bind.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range<T> {
    /// Greater than.
    pub gt: Option<T>,
    /// Greater than or equal.
    pub gte: Option<T>,
    /// Less than.
    pub lt: Option<T>,
    /// Less than or equal.
    pub lte: Option<T>,
}

impl<T> Default for Range<T> {
    fn default() -> Self {
        Self {
            gt: None,
            gte: None,
            lt: None,
            lte: None,
        }
    }
}

impl<T: Copy> Range<T> {
    pub(crate) fn map<U>(self, to: impl Fn(T) -> U) -> Range<U> {
        Range {
            gt: self.gt.map(&to),
            gte: self.gte.map(&to),
            lt: self.lt.map(&to),
            lte: self.lte.map(&to),
        }
    }

    /// The bounds that are set, by name: `gt`, `gte`, `lt`, `lte`.
    pub fn bounds(self) -> impl Iterator<Item = (&'static str, T)> {
        let named = [
            ("gt", self.gt),
            ("gte", self.gte),
            ("lt", self.lt),
            ("lte", self.lte),
        ];
        named
            .into_iter()
            .filter_map(|(name, bound)| Some((name, bound?)))
    }
}

impl Range<Number> {
    pub(crate) fn exactly(number: Number) -> Self {
        Self {
            gte: Some(number),
            lte: Some(number),
            ..Self::default()
        }
    }

    /// Whether a number lies in the range.
    pub fn contains(&self, number: Number) -> bool {
        self.above(number) && self.below(number)
    }

    fn above(&self, number: Number) -> bool {
        let gt = self
            .gt
            .is_none_or(|bound| number.compare(bound) == Some(Ordering::Greater));
        gt && self.gte.is_none_or(|bound| {
            matches!(
                number.compare(bound),
                Some(Ordering::Greater | Ordering::Equal)
            )
        })
    }

    fn below(&self, number: Number) -> bool {
        let lt = self
            .lt
            .is_none_or(|bound| number.compare(bound) == Some(Ordering::Less));
        lt && self.lte.is_none_or(|bound| {
            matches!(
                number.compare(bound),
                Some(Ordering::Less | Ordering::Equal)
            )
        })
    }

    /// The smallest and the greatest integer of the range, `None` when it has none.
    pub(crate) fn integers(&self) -> Option<(i64, i64)> {
        // The conversion saturates and truncates: the value wanted is at most one away.
        let around = |bound| {
            let near = match bound {
                Number::Integer(value) => value,
                Number::Float(value) => value as i64,
            };
            [near.checked_sub(1), Some(near), near.checked_add(1)]
                .into_iter()
                .flatten()
        };
        let least = extreme(
            i64::MIN,
            [self.gt, self.gte],
            |bound| around(bound).find(|&value| self.above(Number::Integer(value))),
            i64::max,
        )?;
        let greatest = extreme(
            i64::MAX,
            [self.lt, self.lte],
            |bound| {
                around(bound)
                    .rev()
                    .find(|&value| self.below(Number::Integer(value)))
            },
            i64::min,
        )?;
        (least <= greatest).then_some((least, greatest))
    }

    /// The smallest and the greatest double of the range, `None` when it has none.
    pub(crate) fn floats(&self) -> Option<(f64, f64)> {
        let around = |bound| {
            let near = match bound {
                Number::Integer(value) => value as f64,
                Number::Float(value) => value,
            };
            [near.next_down(), near, near.next_up()]
        };
        let least = extreme(
            f64::NEG_INFINITY,
            [self.gt, self.gte],
            |bound| {
                around(bound)
                    .into_iter()
                    .find(|&value| self.above(Number::Float(value)))
            },
            f64::max,
        )?;
        let greatest = extreme(
            f64::INFINITY,
            [self.lt, self.lte],
            |bound| {
                around(bound)
                    .into_iter()
                    .rev()
                    .find(|&value| self.below(Number::Float(value)))
            },
            f64::min,
        )?;
        (least <= greatest).then_some((least, greatest))
    }
}

/// The tighter of two bounds has a value near it that keeps both; near the looser one there may be
/// none.
fn extreme<T: Copy>(
    unbound: T,
    bounds: [Option<Number>; 2],
    nearest: impl Fn(Number) -> Option<T>,
    tighter: impl Fn(T, T) -> T,
) -> Option<T> {
    if bounds == [None, None] {
        return Some(unbound);
    }
    bounds
        .into_iter()
        .flatten()
        .filter_map(nearest)
        .reduce(tighter)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn number() -> impl Strategy<Value = Number> {
        let whole = prop_oneof![
            -3..4i64,
            Just(i64::MIN),
            Just(i64::MAX),
            Just(1 << 53),
            Just((1 << 53) + 1),
            any::<i64>(),
        ];
        let real = prop_oneof![
            (-8..8i32).prop_map(|eighths| f64::from(eighths) / 2.0),
            Just(ABOVE_INTEGERS),
            Just(-ABOVE_INTEGERS),
            Just(9_007_199_254_740_992.0),
            Just(1e30),
            -1e3..1e3f64,
        ];
        prop_oneof![
            whole.prop_map(Number::Integer),
            real.prop_map(Number::Float)
        ]
    }

    fn range() -> impl Strategy<Value = Range<Number>> {
        let bound = || prop::option::of(number());
        (bound(), bound(), bound(), bound()).prop_map(|(gt, gte, lt, lte)| Range {
            gt,
            gte,
            lt,
            lte,
        })
    }

    proptest! {
        #[test]
        fn intervals_hold_what_the_range_holds(range in range(), probe in number()) {
            match probe {
                Number::Integer(value) => {
                    let held = range.integers().is_some_and(|(a, b)| (a..=b).contains(&value));
                    prop_assert_eq!(held, range.contains(probe));
                }
                Number::Float(value) => {
                    let held = range.floats().is_some_and(|(a, b)| (a..=b).contains(&value));
                    prop_assert_eq!(held, range.contains(probe));
                }
            }
        }

        #[test]
        fn integers_and_floats_compare_as_the_numbers_they_are(a in number(), b in number()) {
            let order = a.compare(b).unwrap();
            prop_assert_eq!(b.compare(a).unwrap(), order.reverse());
            if let (Number::Integer(a), Number::Float(b)) = (a, b) && b.fract() == 0.0 && b.abs() < 1e30 {
                prop_assert_eq!(i128::from(a).cmp(&(b as i128)), order);
            }
        }
    }
}
