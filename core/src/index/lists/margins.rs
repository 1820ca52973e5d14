//! How far behind the last wanted score a list's centroid or a row's estimate may lie and still be worth a look:
//! measured on the rows of the segment itself when it is written.
//!
//! Mixtures of rows serve as queries. Of each the true nearest rows are found by scoring all; the margins of lists cover all
//! of them, that of rows but one in [`STRAY_ROWS`]: a few estimates are far off, and each row that all queries would
//! score because of them takes time. Where rows form no clusters the margin of lists comes out so wide that all
//! lists are scanned, and answers stay right.

use super::encode::Rows;
use super::search::{LEAST_WANTED, centroid_scores, descending};
use super::{BLOCK, ListQuery, Lists, Margins};
use crate::index::quantise::quantise;
use crate::kernel::{Cpu, dot, signs};

/// Queries that are asked.
const QUERIES: usize = 256;
/// One row in so many may lie beyond the margin of rows.
const STRAY_ROWS: usize = 500;

/// Rows and where they lie.
pub(super) struct Places<'a> {
    pub(super) cpu: Cpu,
    pub(super) rows: &'a Rows<'a>,
    pub(super) lists: &'a Lists<'a>,
    /// List of each row, and number within it.
    pub(super) of_rows: &'a [(u32, u32)],
}

/// The margins of rows with `dim` dimensions, without padding.
pub(super) fn measure(places: &Places<'_>, dim: usize) -> Margins {
    let one = |number: usize| places.behind(&places.query(number)[..dim]);
    #[cfg(feature = "threads")]
    let measured: Vec<Vec<[f32; 3]>> = {
        use rayon::prelude::*;
        (0..QUERIES).into_par_iter().map(one).collect()
    };
    #[cfg(not(feature = "threads"))]
    let measured: Vec<Vec<[f32; 3]>> = (0..QUERIES).map(one).collect();
    let measured = measured.concat();
    let most = |i: usize, but: usize| {
        let mut behind: Vec<f32> = measured.iter().map(|behind| behind[i]).collect();
        if behind.is_empty() {
            return 0.0;
        }
        let (_, &mut most, _) = behind.select_nth_unstable_by(but, descending);
        most.max(0.0)
    };
    Margins {
        list: most(0, 0),
        nearest: most(1, 0) as u32 + 1,
        row: most(2, measured.len() / STRAY_ROWS),
    }
}

impl Places<'_> {
    /// A row, or a row and a quarter, a half or three quarters of another.
    fn query(&self, number: usize) -> Vec<f32> {
        let row = |part: usize| {
            let at = (number * 2 + part) * self.rows.len() / (2 * QUERIES);
            let unit = self.rows.units[at];
            self.rows.row(at).iter().map(move |&q| f32::from(q) * unit)
        };
        let weight = (number % 4) as f32 * 0.25;
        row(0).zip(row(1)).map(|(a, b)| a + weight * b).collect()
    }

    /// Of the nearest rows of a query, how far centroid and estimate lie behind the last of them.
    fn behind(&self, vector: &[f32]) -> Vec<[f32; 3]> {
        // Two opposite rows can mix to nothing.
        let Ok(quantised) = quantise(vector, vector.len()) else {
            return Vec::new();
        };
        let mut dots = vec![0; self.rows.len()];
        dot::dot_rows(self.cpu)(&quantised.row, self.rows.values, &mut dots);
        let mut scores: Vec<(f32, u32)> = dots
            .iter()
            .zip(self.rows.units)
            .zip(0..)
            .map(|((&dot, &unit), row)| (dot as f32 * quantised.inverse_norm * unit, row))
            .collect();
        let last = LEAST_WANTED.min(scores.len()) - 1;
        scores.select_nth_unstable_by(last, |a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let least = scores[last].0;

        let query = ListQuery::new(vector, &quantised);
        let nearness = centroid_scores(self.cpu, self.lists, &query);
        let nearest = scores[..=last].iter().map(|&(_, row)| {
            let (list, at) = self.of_rows[row as usize];
            let near = nearness[list as usize];
            let reach = self.lists.factor_scale(list as usize);
            let nearer = nearness.iter().filter(|&&other| other > near).count();
            [
                (least - near) / reach,
                nearer as f32,
                least - near - self.estimate(&query, list, at),
            ]
        });
        nearest.collect()
    }

    /// What the estimate of a row adds to the score of its centroid.
    fn estimate(&self, query: &ListQuery, list: u32, at: u32) -> f32 {
        let list = self
            .lists
            .list(list as usize)
            .expect("a list that was just written");
        let at = list.window.own.start + at as usize;
        let mut asked = vec![0; list.blocks()];
        asked[at / BLOCK] = 1 << (at % BLOCK);
        let mut passed = Vec::new();
        let scan = signs::scan_signs(self.cpu);
        scan(
            &query.tables,
            &list.signs(Some(&asked)),
            i32::MIN,
            &mut passed,
        );
        passed[0].estimate as f32 * (list.entry.factor_scale * query.table_unit)
    }
}
