//! How large a filter may be.

use super::{Condition, Filter, FilterError, Match};

/// Deepest nesting of filters in filters.
pub const MAX_DEPTH: usize = 16;
/// Most conditions of a filter, those of its inner filters included.
pub const MAX_CONDITIONS: usize = 1024;
/// Most values in all lists of a filter together.
pub const MAX_VALUES: usize = 65_536;
/// Longest filter as JSON.
pub const MAX_JSON_BYTES: usize = 4 * 1024 * 1024;

/// Bounds of a filter. The defaults are the widest that hold: no index looks at a filter beyond [`MAX_DEPTH`],
/// [`MAX_CONDITIONS`] or [`MAX_VALUES`], whatever stands here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FilterLimits {
    /// Deepest nesting of filters in filters, from 1 on. Default: 16.
    pub depth: usize,
    /// Most conditions, those of inner filters included. Default: 1,024.
    pub conditions: usize,
    /// Most values in all lists together. Default: 65,536.
    pub values: usize,
    /// Longest JSON in bytes. Default: 4 MiB.
    pub json_bytes: usize,
}

impl Default for FilterLimits {
    fn default() -> Self {
        Self {
            depth: MAX_DEPTH,
            conditions: MAX_CONDITIONS,
            values: MAX_VALUES,
            json_bytes: MAX_JSON_BYTES,
        }
    }
}

impl FilterLimits {
    /// Whether a filter keeps them, however it was made. O(conditions).
    ///
    /// # Errors
    /// [`FilterError`] says which of them it breaks.
    pub fn check(&self, filter: &Filter) -> Result<(), FilterError> {
        let refuse = |expected: String| {
            Err(FilterError {
                at: "$".to_owned(),
                expected,
                found: "more".to_owned(),
            })
        };
        let (mut conditions, mut values) = (0, 0);
        let mut pending = vec![(filter, 1)];
        while let Some((filter, depth)) = pending.pop() {
            if depth > self.depth {
                return refuse(format!("at most {} filters in one another", self.depth));
            }
            let lists = [&filter.must, &filter.should, &filter.must_not];
            for condition in lists.into_iter().flatten() {
                conditions += 1;
                match condition {
                    Condition::Filter(inner) => pending.push((inner, depth + 1)),
                    Condition::HasId(keys) => values += keys.len(),
                    Condition::Match {
                        test: Match::Any(list) | Match::Except(list),
                        ..
                    } => values += list.len(),
                    _ => {}
                }
                if conditions > self.conditions {
                    return refuse(format!("at most {} conditions", self.conditions));
                }
                if values > self.values {
                    return refuse(format!("at most {} values in all lists", self.values));
                }
            }
        }
        Ok(())
    }
}
