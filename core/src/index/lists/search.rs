//! The nearest rows of a segment with lists.
//!
//! 1. All centroids are compared with the query.
//! 2. The list of the nearest centroid is estimated in full and its best rows are scored. The last wanted score is now
//!    known to be at least that.
//! 3. Every list whose centroid is not further behind that score than the list margin is scanned; rows whose
//!    estimate is not further behind than the row margin are scored. The score to reach rises on the way.
//!
//! At least [`LEAST_WANTED`] items are looked for, so that fewer wanted ones are the head of the same answer.

use std::cmp::Reverse;

use super::best::Best;
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
            let list = lists.list(number)?;
            mask.starts.push(mask.blocks.len() as u32);
            for first in (0..list.count()).step_by(BLOCK) {
                let mut bits = 0;
                for row in first..list.count().min(first + BLOCK) {
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
        let of_row = |list: &usize| {
            let entry = lists.entry(*list);
            row.checked_sub(entry.first).filter(|at| *at < entry.count)
        };
        if let Some((list, at)) = (0..lists.len()).find_map(|list| Some((list, of_row(&list)?))) {
            let block = &mut self.blocks[self.starts[list] as usize + at as usize / BLOCK];
            let bit = 1 << (at as usize % BLOCK);
            self.count -= usize::from(*block & bit != 0);
            *block &= !bit;
        }
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
    let scores = dots.iter().enumerate().map(|(list, &dot)| {
        // A damaged scale may be anything; a list that is never looked at hurts nobody.
        dot as f32 * (lists.scale(list) * query.row_unit)
    });
    scores.collect()
}

struct Search<'a> {
    lists: &'a Lists<'a>,
    query: &'a ListQuery,
    mask: Option<&'a RowMask>,
    margins: Margins,
    scan_signs: ScanSigns,
    dot_codes: DotCodes,
    dot_rows: DotRows,
    best: Best,
    passed: Vec<Passed>,
    /// The lists that were estimated in full, and what of them is scored already: list, row.
    first: Vec<u32>,
    scored: Vec<(u32, u32)>,
    /// Rows of a list that are scored together, and their dot products.
    named: Vec<u32>,
    dots: Vec<i32>,
}

impl Search<'_> {
    /// Estimates the nearest lists in full and scores the best rows of each, until as many as wanted are scored.
    fn first_lists(&mut self, head: &[u32], nearness: &[f32]) -> Result<(), Damage> {
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
        let rows = self.named.iter().map(|&row| (number, row));
        self.scored.extend(rows);
        self.first.push(number);
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
        let all = 0..nearness.len() as u32;
        let others = keep(all, reaches);
        near.extend(others.iter().filter(|number| !head.contains(number)));
        // A mask thins out the lists: more of them are looked at.
        let rows = f64::from(self.lists.head.rows);
        let asked = self.mask.map_or(rows, |mask| mask.count() as f64);
        let most = (f64::from(self.margins.nearest) * (rows / asked.max(1.0)).sqrt()) as usize;
        // Fewer rows than wanted so far: all may be needed.
        if near.len() > most && least != f32::NEG_INFINITY {
            let mut scores: Vec<f32> = near
                .iter()
                .map(|&number| nearness[number as usize])
                .collect();
            let (_, &mut last, _) = scores.select_nth_unstable_by(most, |a, b| b.total_cmp(a));
            near = keep(near.into_iter(), |&number| nearness[number as usize] > last);
        }
        near
    }

    /// Whether a list may hold rows with a score of `least`. True where a damaged scale is no number, which is found
    /// when the list is read.
    fn reaches(&self, number: u32, near: f32, least: f32) -> bool {
        let reach = self.margins.list * self.lists.factor_scale(number as usize);
        let is_far = near + reach < least;
        !is_far
    }

    /// Scans what lies within the margins.
    fn within_margins(&mut self, head: &[u32], nearness: &[f32]) -> Result<(), Damage> {
        let (near, lists) = (self.near_enough(head, nearness), self.lists);
        let mut opened = near
            .iter()
            .map(|&number| Ok((number, lists.list(number as usize)?)));
        let mut next = opened.next().transpose()?;
        self.scored.sort_unstable();
        while let Some((number, list)) = next {
            next = opened.next().transpose()?;
            if let Some((_, list)) = next {
                let signs = list.codes.signs;
                prefetch(&signs[..signs.len().min(PREFETCHED)]);
            }
            // The score to reach has risen since.
            if !self.reaches(number, nearness[number as usize], self.best.least()) {
                continue;
            }
            let unit = list.entry.factor_scale * self.query.table_unit;
            let behind = self.best.least() - self.margins.row - nearness[number as usize];
            // Rounds towards looking at more; saturates.
            let least = if behind == f32::NEG_INFINITY {
                i32::MIN
            } else {
                (behind / unit).floor() as i32
            };
            self.scan(number, &list, least);
            if self.passed.is_empty() {
                continue;
            }
            self.named.clear();
            self.named
                .extend(self.passed.iter().map(|passed| passed.row));
            if self.first.contains(&number) {
                // Both are in the order of the rows.
                let start = self.scored.partition_point(|&(list, _)| list < number);
                let mut scored = self.scored[start..].iter().peekable();
                self.named.retain(|&row| {
                    while scored.next_if(|&&before| before < (number, row)).is_some() {}
                    scored.peek() != Some(&&(number, row))
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
        let unit = list.entry.gain_unit();
        let (gains, _) = list.gains.as_chunks::<2>();
        for (&row, &dot) in self.named.iter().zip(&self.dots) {
            let gain = f64::from(u16::from_le_bytes(gains[row as usize])) * unit;
            let score = (centroid + gain * query.wide.signed(dot) as f64) * query.wide_unit;
            let score = (score as f32).clamp(-1.0, 1.0);
            if score >= self.best.least() {
                let item = list.item(row as usize);
                let row = list.entry.first + row;
                self.best.push(Scored { score, item, row });
            }
        }
    }
}

/// The numbers that are wanted. Which they are cannot be foreseen: each is written down, and the next over it unless it is
/// wanted.
fn keep(numbers: impl ExactSizeIterator<Item = u32>, is_wanted: impl Fn(&u32) -> bool) -> Vec<u32> {
    let mut kept = vec![0; numbers.len()];
    let mut count = 0;
    for number in numbers {
        kept[count] = number;
        count += usize::from(is_wanted(&number));
    }
    kept.truncate(count);
    kept
}

/// The [`HEAD`] lists with the highest scores, best first.
fn head_of(nearness: &[f32]) -> Vec<u32> {
    let (mut scores, mut lists) = ([f32::NEG_INFINITY; HEAD], [0; HEAD]);
    let mut count = 0;
    for (list, &near) in (0..).zip(nearness) {
        if near > scores[HEAD - 1] || count < HEAD {
            let mut at = count.min(HEAD - 1);
            while at > 0 && scores[at - 1] < near {
                (scores[at], lists[at]) = (scores[at - 1], lists[at - 1]);
                at -= 1;
            }
            (scores[at], lists[at]) = (near, list);
            count = HEAD.min(count + 1);
        }
    }
    lists[..count].to_vec()
}

/// Bytes of the next list's signs that are fetched while one is scanned; the processor goes on by itself.
const PREFETCHED: usize = 512;
/// Lists that are looked at in the order of their centroids' scores.
const HEAD: usize = 8;
