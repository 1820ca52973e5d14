//! A filter over all items of a segment at once: what a column can answer is a scan of the column,
//! the rest is asked of the payloads of the items that are still in question.

use super::super::IndexError;
use super::super::columns::{Column, ColumnKind, Columns, Data, Words};
use super::super::segment::Segment;
use super::test::{holds_for_text, micros};
use super::{Condition, Filter, ItemSet, Match, Number, Range, Scalar};

impl Filter {
    /// The items of a segment that the filter leaves. Exact, with columns or without.
    ///
    /// `O(items)` for each condition that a column answers, else one payload is parsed for each item
    /// that the conditions before have left.
    ///
    /// # Errors
    /// [`IndexError::BadFilter`] over the limits, [`IndexError::Corrupt`] for damaged columns or
    /// payloads.
    pub(in crate::index) fn select(&self, segment: &Segment) -> Result<ItemSet, IndexError> {
        self.check()?;
        let selection = Selection {
            segment,
            columns: Columns::of(segment)?,
        };
        selection.filter(self, ItemSet::all(segment.items()))
    }
}

struct Selection<'a> {
    segment: &'a Segment,
    columns: Option<Columns<'a>>,
}

impl Selection<'_> {
    /// Those of `scope` that the filter leaves.
    fn filter(&self, filter: &Filter, scope: ItemSet) -> Result<ItemSet, IndexError> {
        let mut left = scope;
        // Scans first: they leave fewer payloads to parse.
        for quick in [true, false] {
            for condition in filter.must.iter().filter(|c| self.is_quick(c) == quick) {
                left = self.condition(condition, left)?;
            }
            for condition in filter.must_not.iter().filter(|c| self.is_quick(c) == quick) {
                let held = self.condition(condition, left.clone())?;
                left.subtract(&held);
            }
        }
        if filter.should.is_empty() {
            return Ok(left);
        }
        let mut found = ItemSet::none(left.universe());
        for quick in [true, false] {
            for condition in filter.should.iter().filter(|c| self.is_quick(c) == quick) {
                let held = self.condition(condition, left.clone())?;
                left.subtract(&held);
                found.unite(&held);
            }
        }
        Ok(found)
    }

    /// Those of `scope` that a condition holds for.
    fn condition(&self, condition: &Condition, scope: ItemSet) -> Result<ItemSet, IndexError> {
        if scope.is_empty() {
            return Ok(scope);
        }
        let key = match condition {
            Condition::Filter(inner) => return self.filter(inner, scope),
            Condition::HasId(keys) => return self.with_keys(keys, &scope),
            condition => condition.key().unwrap_or_default(),
        };
        if self
            .columns
            .as_ref()
            .is_some_and(|columns| columns.exclude(key))
        {
            return Ok(match condition {
                Condition::IsEmpty(_) => scope,
                _ => ItemSet::none(scope.universe()),
            });
        }
        if let Some(column) = self.column(condition) {
            let mut held = self.on_column(condition, column)?;
            held.intersect(&scope);
            return Ok(held);
        }
        let mut held = ItemSet::none(scope.universe());
        for item in scope.iter() {
            if condition.holds_for(&self.segment.payload(item)?) {
                held.insert(item);
            }
        }
        Ok(held)
    }

    /// Whether no payload must be parsed for a condition.
    fn is_quick(&self, condition: &Condition) -> bool {
        match condition {
            Condition::HasId(_) => true,
            Condition::Filter(inner) => inner.conditions().all(|c| match c {
                Condition::Filter(_) => true,
                c => self.is_quick(c),
            }),
            condition => {
                let key = condition.key().unwrap_or_default();
                let excluded = self
                    .columns
                    .as_ref()
                    .is_some_and(|columns| columns.exclude(key));
                excluded || self.column(condition).is_some()
            }
        }
    }

    /// The column that answers a condition. A key with a dot may lead to different places in
    /// different payloads, of which a column knows one.
    fn column(&self, condition: &Condition) -> Option<&Column<'_>> {
        let key = condition.key().filter(|key| !key.contains('.'))?;
        let column = self.columns.as_ref()?.get(key)?;
        let answers = match (&column.data, condition) {
            (Data::None, _) | (_, Condition::IsNull(_)) => false,
            (_, Condition::IsEmpty(_)) => true,
            // The text of a time is not kept.
            (Data::Integers(..), Condition::Match { .. }) => column.kind == ColumnKind::Integer,
            (Data::Integers(..), Condition::Range { .. }) => column.kind == ColumnKind::Integer,
            (Data::Integers(..), Condition::Time { .. }) => column.kind == ColumnKind::Timestamp,
            (Data::Texts(_), Condition::Match { .. } | Condition::Time { .. }) => true,
            (Data::Floats(..), Condition::Match { .. } | Condition::Range { .. }) => true,
            (Data::Bools(..), Condition::Match { .. }) => true,
            (Data::Points(..), Condition::GeoRadius { .. } | Condition::GeoBox { .. }) => true,
            _ => false,
        };
        answers.then_some(column)
    }

    fn on_column(&self, condition: &Condition, column: &Column<'_>) -> Result<ItemSet, IndexError> {
        let items = self.segment.items();
        let set = |words| ItemSet::of_words(words, items);
        let held = match (&column.data, condition) {
            (Data::Texts(_), condition) => return self.with_texts(condition, column),
            (
                Data::Integers(present, _)
                | Data::Floats(present, _)
                | Data::Bools(present, _)
                | Data::Points(present, _),
                Condition::IsEmpty(_),
            ) => present
                .iter()
                .map(|&word| !u64::from_le_bytes(word))
                .collect(),
            (Data::Integers(present, values), Condition::Range { range, .. }) => {
                integers(present, values, range)
            }
            (Data::Integers(present, values), Condition::Time { range, .. }) => {
                integers(present, values, &micros(range))
            }
            (Data::Floats(present, values), Condition::Range { range, .. }) => {
                floats(present, values, range)
            }
            (Data::Integers(present, values), Condition::Match { test, .. }) => {
                numbers(present, test, |range| integers(present, values, range))
            }
            (Data::Floats(present, values), Condition::Match { test, .. }) => {
                numbers(present, test, |range| floats(present, values, range))
            }
            (Data::Bools(present, truths), Condition::Match { test, .. }) => {
                bools(present, truths, test)
            }
            (Data::Points(present, points), condition) => scan(present, points, |point| {
                let (lat, lon) = point.split_at(8);
                let [lat, lon] =
                    [lat, lon].map(|b| b.first_chunk().map_or(0.0, |b| f64::from_le_bytes(*b)));
                let point = super::GeoPoint { lat, lon };
                match condition {
                    Condition::GeoRadius { circle, .. } => circle.contains(point),
                    Condition::GeoBox { area, .. } => area.contains(point),
                    _ => false,
                }
            }),
            // `column` names no others.
            _ => vec![0; items.div_ceil(64) as usize],
        };
        Ok(set(held))
    }

    fn with_texts(
        &self,
        condition: &Condition,
        column: &Column<'_>,
    ) -> Result<ItemSet, IndexError> {
        let Data::Texts(texts) = &column.data else {
            return Ok(ItemSet::none(self.segment.items()));
        };
        let damaged = || {
            let what = format!("column {:?}", column.name);
            self.segment
                .corrupt(&what, "texts and items in their tables", "others")
        };
        let mut held = ItemSet::none(self.segment.items());
        let mut collect = |text| texts.collect(text, &mut held).ok_or_else(damaged);
        match condition {
            Condition::Match { test, .. } => {
                let operands = test.operands().iter();
                let listed = operands.filter_map(|operand| match operand {
                    Scalar::Text(text) => texts.find(text),
                    _ => None,
                });
                let mut listed: Vec<usize> = listed.collect();
                if matches!(test, Match::Except(_)) {
                    listed.sort_unstable();
                    let others =
                        (0..texts.len()).filter(|text| listed.binary_search(text).is_err());
                    listed = others.collect();
                }
                listed.into_iter().try_for_each(&mut collect)?;
            }
            Condition::Time { range, .. } => {
                for number in 0..texts.len() {
                    let text = std::str::from_utf8(texts.text(number).ok_or_else(damaged)?);
                    if holds_for_text(range, text.map_err(|_| damaged())?) {
                        collect(number)?;
                    }
                }
            }
            _ => {
                (0..texts.len()).try_for_each(&mut collect)?;
                let mut empty = ItemSet::all(self.segment.items());
                empty.subtract(&held);
                held = empty;
            }
        }
        Ok(held)
    }

    fn with_keys(&self, keys: &[String], scope: &ItemSet) -> Result<ItemSet, IndexError> {
        let mut held = ItemSet::none(scope.universe());
        for key in keys {
            if let Some(item) = self.segment.find_key(key)?
                && scope.contains(item)
            {
                held.insert(item);
            }
        }
        Ok(held)
    }
}

fn integers(present: Words<'_>, values: Words<'_>, range: &Range<Number>) -> Vec<u64> {
    let Some((least, greatest)) = range.integers() else {
        return vec![0; present.len()];
    };
    scan(present, values, |&value| {
        let value = i64::from_le_bytes(value);
        (value >= least) & (value <= greatest)
    })
}

fn floats(present: Words<'_>, values: Words<'_>, range: &Range<Number>) -> Vec<u64> {
    let Some((least, greatest)) = range.floats() else {
        return vec![0; present.len()];
    };
    scan(present, values, |&value| {
        let value = f64::from_le_bytes(value);
        (value >= least) & (value <= greatest)
    })
}

fn numbers(
    present: Words<'_>,
    test: &Match,
    equal: impl Fn(&Range<Number>) -> Vec<u64>,
) -> Vec<u64> {
    let mut listed = vec![0; present.len()];
    for operand in test.operands() {
        if let Scalar::Number(number) = operand {
            join(&mut listed, &equal(&Range::exactly(*number)));
        }
    }
    unless_except(present, test, listed)
}

fn bools(present: Words<'_>, truths: Words<'_>, test: &Match) -> Vec<u64> {
    let mut listed = vec![0; present.len()];
    for operand in test.operands() {
        let Scalar::Bool(wanted) = operand else {
            continue;
        };
        let words = present.iter().zip(truths).map(|(&present, &truth)| {
            let truth = u64::from_le_bytes(truth);
            u64::from_le_bytes(present) & if *wanted { truth } else { !truth }
        });
        join(&mut listed, &words.collect::<Vec<_>>());
    }
    unless_except(present, test, listed)
}

fn join(into: &mut [u64], more: &[u64]) {
    into.iter_mut()
        .zip(more)
        .for_each(|(word, more)| *word |= more);
}

/// Those listed, or those that have another value.
fn unless_except(present: Words<'_>, test: &Match, listed: Vec<u64>) -> Vec<u64> {
    if !matches!(test, Match::Except(_)) {
        return listed;
    }
    let others = present.iter().zip(listed);
    others
        .map(|(&present, listed)| u64::from_le_bytes(present) & !listed)
        .collect()
}

/// A bit for each value that passes and is there.
fn scan<T>(present: Words<'_>, values: &[T], test: impl Fn(&T) -> bool) -> Vec<u64> {
    let blocks = values.chunks(64).zip(present);
    let words = blocks.map(|(values, &present)| {
        let bits = values
            .iter()
            .zip(0..)
            .map(|(value, bit)| u64::from(test(value)) << bit);
        bits.fold(0, |word, bit| word | bit) & u64::from_le_bytes(present)
    });
    words.collect()
}
