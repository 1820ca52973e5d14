//! The nearest rows of a segment with lists.
//!
//! 1. All centroids are compared with the query.
//! 2. The list of the nearest centroid is estimated in full and its best rows are scored. The last wanted score is now
//!    known to be at least that.
//! 3. Every list whose centroid is not further behind that score than the list margin is scanned; rows whose
//!    estimate is not further behind than the row margin are scored. The score to reach rises on the way.
//!
//! At least [`LEAST_WANTED`] items are looked for, so that fewer wanted ones are the head of the same answer.

use std::cmp::{Ordering, Reverse};
use std::ops::Range;

use super::best::Best;
use super::layout::{PARTS, Part};
use super::{BLOCK, Damage, List, ListQuery, Lists, Margins};
use crate::index::top::Scored;
use crate::kernel::codes::{self, DotCodes};
use crate::kernel::dot::{self, DotRows};
use crate::kernel::signs::{Passed, ScanSigns};
use crate::kernel::{Cpu, prefetch, signs};

/// Items that every search looks for.
pub(super) const LEAST_WANTED: usize = 10;
/// Rows of the nearest lists that are scored for each wanted item before anything is decided.
const FIRST_SCORED: usize = 2;
/// So few rows are all scored.
const ALL_SCORED: usize = 2048;

/// How much is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::index) enum Effort {
    /// Lists and rows within the margins.
    Lists,
    /// All lists, rows within the margin.
    Signs,
    /// All rows.
    All,
}

/// The rows that are asked for: a bit a row, sixteen rows a block as in the lists, list behind list.
#[derive(Clone, Debug)]
pub(in crate::index) struct RowMask {
    blocks: Vec<u16>,
    /// Where the blocks of each list start.
    starts: Vec<u32>,
    /// Rows that are asked for.
    count: usize,
}

impl RowMask {
    /// The rows whose item `is_asked`.
    pub(in crate::index) fn new(
        lists: &Lists<'_>,
        mut is_asked: impl FnMut(u32) -> bool,
    ) -> Result<Self, Damage> {
        let mut mask = Self {
            blocks: Vec::new(),
            starts: Vec::with_capacity(lists.len()),
            count: 0,
        };
        for number in 0..lists.len() {
            lists.fetch_ahead(number, &[Part::Items]);
            let list = lists.list(number)?;
            let own = &list.window.own;
            mask.starts.push(mask.blocks.len() as u32);
            for first in (0..own.end).step_by(BLOCK) {
                let mut bits = 0;
                for row in first.max(own.start)..own.end.min(first + BLOCK) {
                    bits |= u16::from(is_asked(list.item(row))) << (row - first);
                }
                mask.count += bits.count_ones() as usize;
                mask.blocks.push(bits);
            }
        }
        Ok(mask)
    }

    /// Number of rows that are asked for.
    pub(in crate::index) fn count(&self) -> usize {
        self.count
    }

    /// Asks for a row no more.
    pub(in crate::index) fn leave_out(&mut self, lists: &Lists<'_>, row: u32) {
        let at_row = |list: usize| {
            let within = row.checked_sub(lists.entry(list).first)?;
            let own = lists.window(list)?.own;
            (own.len() > within as usize).then_some((list, own.start + within as usize))
        };
        if let Some((list, at)) = (0..lists.len()).find_map(at_row) {
            let block = &mut self.blocks[self.starts[list] as usize + at / BLOCK];
            let bit = 1 << (at % BLOCK);
            self.count -= usize::from(*block & bit != 0);
            *block &= !bit;
        }
    }

    /// Whether no row of a list is asked for.
    fn is_empty(&self, list: usize) -> bool {
        let end = self
            .starts
            .get(list + 1)
            .map_or(self.blocks.len(), |&end| end as usize);
        let blocks = &self.blocks[self.starts[list] as usize..end];
        blocks.iter().all(|&block| block == 0)
    }

    fn of_list(&self, list: usize) -> &[u16] {
        &self.blocks[self.starts[list] as usize..]
    }
}

/// The best `wanted` items, each with its best row, among all rows or those of a mask: best first, equal scores by
/// number of the item. `several`: whether an item can have several rows.
pub(in crate::index) fn nearest(
    cpu: Cpu,
    lists: &Lists<'_>,
    query: &ListQuery,
    wanted: usize,
    several: bool,
    mask: Option<&RowMask>,
    effort: Effort,
) -> Result<Vec<Scored>, Damage> {
    // Of a large part, and of what few rows a mask leaves, everything is scored.
    let asked = mask.map_or(lists.head.rows as usize, RowMask::count);
    let effort = if asked <= ALL_SCORED || wanted >= asked / 8 {
        Effort::All
    } else {
        effort
    };
    let mut search = Search {
        lists,
        is_cold: lists.are_cold(),
        query,
        mask,
        margins: match effort {
            Effort::Lists => lists.head.margins,
            _ => Margins {
                list: f32::INFINITY,
                nearest: u32::MAX,
                ..lists.head.margins
            },
        },
        scan_signs: signs::scan_signs(cpu),
        dot_codes: codes::dot_codes(cpu),
        dot_rows: dot::dot_rows(cpu),
        best: Best::new(wanted.max(LEAST_WANTED), several),
        passed: Vec::with_capacity(512),
        first: Vec::new(),
        scored: Vec::new(),
        named: Vec::new(),
        dots: Vec::new(),
    };
    if effort == Effort::All {
        search.score_all()?;
    } else {
        let nearness = centroid_scores(cpu, lists, query);
        let head = head_of(&nearness);
        search.first_lists(&head, &nearness)?;
        search.within_margins(&head, &nearness)?;
    }
    let mut best = search.best.into_sorted();
    best.truncate(wanted);
    Ok(best)
}

/// The score of each centroid, which need not be a unit vector.
pub(super) fn centroid_scores(cpu: Cpu, lists: &Lists<'_>, query: &ListQuery) -> Vec<f32> {
    let mut dots = vec![0; lists.len()];
    dot::dot_rows(cpu)(&query.row, lists.centroids, &mut dots);
    // A damaged scale may be anything; a list that is never looked at hurts nobody.
    let dots = dots.iter().zip(lists.scales());
    let scores = dots.map(|(&dot, scale)| dot as f32 * (scale * query.row_unit));
    scores.collect()
}

struct Search<'a> {
    lists: &'a Lists<'a>,
    /// Whether lists are asked of the storage before they are read.
    is_cold: bool,
    query: &'a ListQuery,
    mask: Option<&'a RowMask>,
    margins: Margins,
    scan_signs: ScanSigns,
    dot_codes: DotCodes,
    dot_rows: DotRows,
    best: Best,
    passed: Vec<Passed>,
    /// The lists that were estimated in full, and which of `scored` are theirs: rows that are scored already, ascending.
    first: Vec<(u32, Range<usize>)>,
    scored: Vec<u32>,
    /// Rows of a list that are scored together, and their dot products.
    named: Vec<u32>,
    dots: Vec<i32>,
}

impl<'a> Search<'a> {
    /// Estimates the nearest lists in full and scores the best rows of each, until as many as wanted are scored.
    fn first_lists(&mut self, head: &[u32], nearness: &[f32]) -> Result<(), Damage> {
        if self.is_cold {
            self.lists.fetch(head, &PARTS);
        }
        for &number in head {
            if self.first_list(number)? {
                return Ok(());
            }
        }
        // So many are seldom needed: all lists in their order.
        let mut order: Vec<u32> = (0..nearness.len() as u32).collect();
        let score = |list: u32| nearness[list as usize];
        order.sort_unstable_by(|&a, &b| score(b).total_cmp(&score(a)).then(a.cmp(&b)));
        order.retain(|list| !head.contains(list));
        for number in order {
            if self.first_list(number)? {
                break;
            }
        }
        Ok(())
    }

    /// Whether enough is scored with this list.
    fn first_list(&mut self, number: u32) -> Result<bool, Damage> {
        let wanted = FIRST_SCORED * self.best.wanted();
        let list = self.lists.list(number as usize)?;
        self.scan(number, &list, i32::MIN);
        if self.passed.len() > wanted {
            // A total order, so that the same rows are chosen everywhere.
            let best_first = |passed: &Passed| (Reverse(passed.estimate), passed.row);
            self.passed.select_nth_unstable_by_key(wanted, best_first);
            self.passed.truncate(wanted);
            self.passed.sort_unstable_by_key(|passed| passed.row);
        }
        self.named.clear();
        self.named
            .extend(self.passed.iter().map(|passed| passed.row));
        self.score(&list);
        let start = self.scored.len();
        self.scored.extend(&self.named);
        self.first.push((number, start..self.scored.len()));
        Ok(self.scored.len() >= wanted)
    }

    fn scan(&mut self, number: u32, list: &List<'_>, least: i32) {
        self.passed.clear();
        let asked = self.mask.map(|mask| mask.of_list(number as usize));
        (self.scan_signs)(
            &self.query.tables,
            &list.signs(asked),
            least,
            &mut self.passed,
        );
    }

    /// Scores every row that is asked for.
    fn score_all(&mut self) -> Result<(), Damage> {
        for number in 0..self.lists.len() {
            if self.is_cold {
                self.lists.fetch_ahead(number, &PARTS);
            }
            if self.mask.is_some_and(|mask| mask.is_empty(number)) {
                continue;
            }
            let list = self.lists.list(number)?;
            let signs = list.signs(self.mask.map(|mask| mask.of_list(number)));
            self.named.clear();
            signs.name_rows(&mut self.named);
            if !self.named.is_empty() {
                self.score(&list);
            }
        }
        Ok(())
    }

    /// The lists within the margins, given the score to reach: those of the head first, since they raise it.
    fn near_enough(&self, head: &[u32], nearness: &[f32]) -> Vec<u32> {
        let least = self.best.least();
        let reaches = |&number: &u32| self.reaches(number, nearness[number as usize], least);
        let mut near: Vec<u32> = head.iter().copied().filter(reaches).collect();
        let all = nearness.iter().zip(self.lists.factor_scales());
        let others = keep((0..).zip(all.map(|(&near, scale)| self.in_reach(near, scale, least))));
        near.extend(others.iter().filter(|number| !head.contains(number)));
        // A mask thins out the lists: the rows that are wanted lie further away, in many more of them.
        let rows = f64::from(self.lists.head.rows);
        let asked = self.mask.map_or(rows, |mask| mask.count() as f64);
        let thinned = rows / asked.max(1.0);
        let most = (f64::from(self.margins.nearest) * thinned * thinned.sqrt()) as usize;
        // Fewer rows than wanted so far: all may be needed.
        if near.len() > most && least != f32::NEG_INFINITY {
            let mut scores: Vec<f32> = near
                .iter()
                .map(|&number| nearness[number as usize])
                .collect();
            let (_, &mut last, _) = scores.select_nth_unstable_by(most, descending);
            near = keep(
                near.iter()
                    .map(|&number| (number, nearness[number as usize] > last)),
            );
        }
        near
    }

    /// Whether a list may hold rows with a score of `least`.
    fn reaches(&self, number: u32, near: f32, least: f32) -> bool {
        self.in_reach(near, self.lists.factor_scale(number as usize), least)
    }

    /// The same of a list with this scale of factors. True where a damaged scale is no number, which is found when the list
    /// is read.
    fn in_reach(&self, near: f32, factor_scale: f32, least: f32) -> bool {
        let is_far = near + self.margins.list * factor_scale < least;
        !is_far
    }

    /// The next of the lists from `at` on that may hold rows with the score to reach as it is now.
    fn open_next(
        &mut self,
        near: &[u32],
        at: &mut usize,
        nearness: &[f32],
    ) -> Result<Option<(u32, List<'a>)>, Damage> {
        while let Some(&number) = near.get(*at) {
            if self.is_cold && at.is_multiple_of(FETCHED) {
                self.ask_ahead(near, *at, nearness)?;
            }
            *at += 1;
            if self.reaches(number, nearness[number as usize], self.best.least()) {
                return Ok(Some((number, self.lists.list(number as usize)?)));
            }
        }
        Ok(None)
    }

    /// Asks the storage for what will be read of the lists from `at` on: of those codes that pass a scan now, which are
    /// some more than will pass when the score to reach has risen; and what a scan reads of the lists behind.
    #[cold]
    #[inline(never)]
    fn ask_ahead(&mut self, near: &[u32], at: usize, nearness: &[f32]) -> Result<(), Damage> {
        let least = self.best.least();
        let reached = |lists: Range<usize>| {
            let lists = near[lists.start.min(near.len())..lists.end.min(near.len())].iter();
            let reaches = |&number: &u32| self.reaches(number, nearness[number as usize], least);
            lists.copied().filter(reaches).collect::<Vec<u32>>()
        };
        let now = reached(at..at + FETCHED);
        if at == 0 {
            self.lists.fetch(&now, &SCANNED);
        }
        self.lists
            .fetch(&reached(at + FETCHED..at + 2 * FETCHED), &SCANNED);
        let mut scored = Vec::new();
        for number in now {
            let list = self.lists.list(number as usize)?;
            self.scan_within_margin(number, &list, nearness);
            if !self.passed.is_empty() {
                self.lists.fetch_codes(&list, &self.passed);
                scored.push(number);
            }
        }
        self.lists.fetch(&scored, &[Part::Gains, Part::Items]);
        Ok(())
    }

    /// Scans a list for rows within the margin of the score to reach.
    #[inline(never)]
    fn scan_within_margin(&mut self, number: u32, list: &List<'_>, nearness: &[f32]) {
        let unit = list.entry.factor_scale * self.query.table_unit;
        let behind = self.best.least() - self.margins.row - nearness[number as usize];
        // Rounds towards looking at more; saturates.
        let least = if behind == f32::NEG_INFINITY {
            i32::MIN
        } else {
            (behind / unit).floor() as i32
        };
        self.scan(number, list, least);
    }

    /// Scans what lies within the margins.
    fn within_margins(&mut self, head: &[u32], nearness: &[f32]) -> Result<(), Damage> {
        let near = self.near_enough(head, nearness);
        let mut at = 0;
        let mut next = self.open_next(&near, &mut at, nearness)?;
        while let Some((number, list)) = next {
            next = self.open_next(&near, &mut at, nearness)?;
            if let Some((_, list)) = &next {
                let signs = list.codes.signs;
                prefetch(&signs[..signs.len().min(PREFETCHED)]);
            }
            // The score to reach has risen since.
            if !self.reaches(number, nearness[number as usize], self.best.least()) {
                continue;
            }
            self.scan_within_margin(number, &list, nearness);
            if self.passed.is_empty() {
                continue;
            }
            self.named.clear();
            self.named
                .extend(self.passed.iter().map(|passed| passed.row));
            let is_this = |&&(first, _): &&(u32, _)| first == number;
            if let Some((_, range)) = self.first.iter().find(is_this) {
                // Both are in the order of the rows.
                let mut scored = self.scored[range.clone()].iter().peekable();
                self.named.retain(|row| {
                    while scored.next_if(|before| *before < row).is_some() {}
                    scored.peek() != Some(&row)
                });
            }
            self.score(&list);
        }
        Ok(())
    }

    /// Scores the named rows of a list: `⟨centroid + gain · u, query⟩`, a few roundings in f64, one to f32.
    fn score(&mut self, list: &List<'_>) {
        let query = self.query;
        self.dots.resize(self.named.len(), 0);
        (self.dot_codes)(&query.wide, &list.codes, &self.named, &mut self.dots);
        let centroid = query.wide.dot(self.dot_rows, list.centroid);
        let centroid = f64::from(centroid) * f64::from(list.entry.scale);
        for (&row, &dot) in self.named.iter().zip(&self.dots) {
            let (gain, shift) = list.gain(row as usize);
            let score = (centroid + gain * query.wide.signed(dot, shift) as f64) * query.wide_unit;
            let score = (score as f32).clamp(-1.0, 1.0);
            if score >= self.best.least() {
                let item = list.item(row as usize);
                let row = list.window.first + row;
                self.best.push(Scored { score, item, row });
            }
        }
    }
}

/// The larger first.
pub(super) fn descending(a: &f32, b: &f32) -> Ordering {
    b.total_cmp(a)
}

/// The numbers that are wanted. Which they are cannot be foreseen: each is written down, and the next over it unless it is
/// wanted.
fn keep(numbers: impl Iterator<Item = (u32, bool)>) -> Vec<u32> {
    let mut kept = vec![0; numbers.size_hint().0];
    let mut count = 0;
    for (number, is_wanted) in numbers {
        kept[count] = number;
        count += usize::from(is_wanted);
    }
    kept.truncate(count);
    kept
}

/// The [`HEAD`] lists with the highest scores, best first.
fn head_of(nearness: &[f32]) -> Vec<u32> {
    let mut head = [Near::NOTHING; HEAD];
    for (block, near) in nearness.chunks(HEAD).enumerate() {
        // Few blocks hold one of the best: the others are passed over without a branch for each list.
        let last = head[HEAD - 1].score();
        let bits = near.iter().enumerate();
        let mut better = bits.fold(0u32, |bits, (at, &near)| {
            bits | u32::from(near > last) << at
        });
        while better != 0 {
            let at = better.trailing_zeros() as usize;
            better &= better - 1;
            let mut one = Near::new(near[at], (block * HEAD + at) as u32);
            for place in &mut head {
                (*place, one) = ((*place).max(one), (*place).min(one));
            }
        }
    }
    let found = head.into_iter().filter(|&near| near != Near::NOTHING);
    found.map(Near::list).collect()
}

/// A list and its score in one number, larger where it comes earlier: by score, equal ones by number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Near(u64);

impl Near {
    /// Behind all, with a score of minus infinity.
    const NOTHING: Self = Self(0x007f_ffff << 32);

    fn new(score: f32, list: u32) -> Self {
        let bits = score.to_bits();
        // Of negative numbers all bits are turned, of others the sign: they are in order then.
        let ordered = bits ^ ((bits.cast_signed() >> 31).cast_unsigned() | 1 << 31);
        Self(u64::from(ordered) << 32 | u64::from(!list))
    }

    fn score(self) -> f32 {
        let ordered = (self.0 >> 32) as u32;
        f32::from_bits(ordered ^ ((!ordered.cast_signed() >> 31).cast_unsigned() | 1 << 31))
    }

    fn list(self) -> u32 {
        !(self.0 as u32)
    }
}

/// Bytes of the next list's signs that are fetched while one is scanned; the processor goes on by itself.
const PREFETCHED: usize = 512;
/// What a scan reads.
const SCANNED: [Part; 2] = [Part::Signs, Part::Factors];
/// Near lists that are asked of the storage at once.
const FETCHED: usize = 64;
/// Lists that are looked at in the order of their centroids' scores.
const HEAD: usize = 8;
