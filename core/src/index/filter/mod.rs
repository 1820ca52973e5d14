//! Which items a search may answer with: conditions on the payload, in the JSON vocabulary of
//! Qdrant, applied before anything is ranked.
//!
//! `test` is the definition, on the JSON of a payload. `select` gives the same answer for all items
//! of a segment at once, from its typed columns where it has them (`../columns`).

mod error;
mod geo;
mod item_set;
mod json;
mod limits;
mod number;
mod prepared;
mod select;
mod test;
mod timestamp;

pub use error::FilterError;
pub use geo::{GeoBox, GeoPoint, GeoRadius};
pub use item_set::ItemSet;
pub use limits::{FilterLimits, MAX_CONDITIONS, MAX_DEPTH, MAX_JSON_BYTES, MAX_VALUES};
pub use number::{Number, Range};
pub(in crate::index) use prepared::FilteredItems;
pub use prepared::PreparedFilter;
pub use timestamp::{NotATimestamp, Timestamp};

pub(super) use test::{as_point, is_absent, lookup};

/// Items that meet all of `must`, none of `must_not` and, unless `should` is empty, one of
/// `should`. The empty filter leaves every item.
///
/// ```
/// use pocketlens::index::filter::{Condition, Filter, Number, Range};
///
/// let filter = Filter::from_json(
///     r#"{"must": [
///         {"key": "brand", "match": {"any": ["Nike", "Puma"]}},
///         {"key": "price", "range": {"lt": 100}}
///     ], "must_not": [{"is_empty": {"key": "stock"}}]}"#,
/// )?;
/// let cheap = Range { lt: Some(Number::Integer(100)), ..Range::default() };
/// let built = Filter::new()
///     .must(Condition::any("brand", ["Nike", "Puma"]))
///     .must(Condition::range("price", cheap))
///     .must_not(Condition::IsEmpty("stock".into()));
/// assert_eq!(filter, built);
/// # Ok::<(), pocketlens::index::filter::FilterError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    /// All of these hold.
    pub must: Vec<Condition>,
    /// One of these holds, if there are any.
    pub should: Vec<Condition>,
    /// None of these holds.
    pub must_not: Vec<Condition>,
}

/// Something that holds for an item or does not.
///
/// A key names a field of the payload; `a.b` is the field `b` of the object `a` when there is no
/// field of the whole name. A list holds when one of its elements does. A field that is absent,
/// `null` or an empty list has no value, and only `is_empty` and `is_null` hold for it.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// A value of the field is equal to one of a list, or to none.
    Match {
        /// The field.
        key: String,
        /// What it is compared with.
        test: Match,
    },
    /// A number of the field lies between bounds.
    Range {
        /// The field.
        key: String,
        /// The bounds.
        range: Range<Number>,
    },
    /// A text of the field is a point in time between bounds.
    Time {
        /// The field.
        key: String,
        /// The bounds.
        range: Range<Timestamp>,
    },
    /// A point of the field, `{"lat": …, "lon": …}`, lies within a distance.
    GeoRadius {
        /// The field.
        key: String,
        /// Middle and distance.
        circle: GeoRadius,
    },
    /// A point of the field lies in a box.
    GeoBox {
        /// The field.
        key: String,
        /// Corners.
        area: GeoBox,
    },
    /// The key of the item is one of these.
    HasId(Vec<String>),
    /// The field is absent, `null` or an empty list.
    IsEmpty(String),
    /// The field is there and `null`.
    IsNull(String),
    /// A filter in the filter.
    Filter(Filter),
}

/// What the values of a field are compared with.
#[derive(Clone, Debug, PartialEq)]
pub enum Match {
    /// Equal to this one.
    Value(Scalar),
    /// Equal to one of these.
    Any(Vec<Scalar>),
    /// A value, and equal to none of these.
    Except(Vec<Scalar>),
}

/// A value that others can be equal to. Text is compared byte by byte, numbers as numbers: 3 and 3.0
/// are equal.
#[derive(Clone, Debug, PartialEq)]
pub enum Scalar {
    /// A string.
    Text(String),
    /// A number.
    Number(Number),
    /// `true` or `false`.
    Bool(bool),
}

impl From<&str> for Scalar {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<i64> for Scalar {
    fn from(value: i64) -> Self {
        Self::Number(value.into())
    }
}

impl From<f64> for Scalar {
    fn from(value: f64) -> Self {
        Self::Number(value.into())
    }
}

impl From<bool> for Scalar {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl Match {
    /// The values compared with.
    pub fn operands(&self) -> &[Scalar] {
        match self {
            Self::Value(value) => std::slice::from_ref(value),
            Self::Any(values) | Self::Except(values) => values,
        }
    }
}

impl Condition {
    /// The field is, or holds, this value.
    pub fn value(key: &str, value: impl Into<Scalar>) -> Self {
        let (key, test) = (key.to_owned(), Match::Value(value.into()));
        Self::Match { key, test }
    }

    /// The field is, or holds, one of these values.
    pub fn any<S: Into<Scalar>>(key: &str, values: impl IntoIterator<Item = S>) -> Self {
        let test = Match::Any(values.into_iter().map(Into::into).collect());
        let key = key.to_owned();
        Self::Match { key, test }
    }

    /// The field has a value that is none of these.
    pub fn except<S: Into<Scalar>>(key: &str, values: impl IntoIterator<Item = S>) -> Self {
        let test = Match::Except(values.into_iter().map(Into::into).collect());
        let key = key.to_owned();
        Self::Match { key, test }
    }

    /// The field is a number between bounds.
    pub fn range(key: &str, range: Range<Number>) -> Self {
        let key = key.to_owned();
        Self::Range { key, range }
    }

    /// The field that the condition asks for.
    pub fn key(&self) -> Option<&str> {
        match self {
            Self::Match { key, .. }
            | Self::Range { key, .. }
            | Self::Time { key, .. }
            | Self::GeoRadius { key, .. }
            | Self::GeoBox { key, .. }
            | Self::IsEmpty(key)
            | Self::IsNull(key) => Some(key),
            Self::HasId(_) | Self::Filter(_) => None,
        }
    }
}

impl Filter {
    /// The filter that leaves every item.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a condition that must hold.
    pub fn must(mut self, condition: Condition) -> Self {
        self.must.push(condition);
        self
    }

    /// Adds a condition of which one must hold.
    pub fn should(mut self, condition: Condition) -> Self {
        self.should.push(condition);
        self
    }

    /// Adds a condition that must not hold.
    pub fn must_not(mut self, condition: Condition) -> Self {
        self.must_not.push(condition);
        self
    }

    /// Reads a filter in the JSON vocabulary of Qdrant: `must`, `should`, `must_not`; `match` with
    /// `value`, `any` or `except`; `range` (numbers, or times as in RFC 3339); `geo_radius`,
    /// `geo_bounding_box`; `has_id`, `is_empty`, `is_null`; filters in filters.
    ///
    /// # Errors
    /// [`FilterError`] with the place, also for a filter over the limits [`MAX_DEPTH`],
    /// [`MAX_CONDITIONS`], [`MAX_VALUES`], [`MAX_JSON_BYTES`].
    pub fn from_json(text: &str) -> Result<Self, FilterError> {
        Self::from_json_within(text, &FilterLimits::default())
    }

    /// [`Self::from_json`] for those who let less in: an app that takes filters from others.
    ///
    /// # Errors
    /// As [`Self::from_json`], with these limits.
    pub fn from_json_within(text: &str, limits: &FilterLimits) -> Result<Self, FilterError> {
        json::parse(text, limits)
    }

    /// All conditions in the order of the JSON, each before those inside of it.
    pub fn conditions(&self) -> impl Iterator<Item = &Condition> {
        let mut pending = vec![self];
        let mut current: Vec<&Condition> = Vec::new();
        std::iter::from_fn(move || {
            loop {
                if let Some(condition) = current.pop() {
                    if let Condition::Filter(inner) = condition {
                        pending.push(inner);
                    }
                    return Some(condition);
                }
                let filter = pending.pop()?;
                let lists = [&filter.must, &filter.should, &filter.must_not];
                current.extend(lists.into_iter().flatten());
                current.reverse();
            }
        })
    }
}
