//! Which cells of two photos look alike.

use crate::descriptor::LocalFeatures;
use crate::kernel::Cpu;
use crate::kernel::dot;

/// Cosines of all pairs of cells of two photos, and what follows from them.
#[derive(Clone, Debug)]
pub struct Correspondence {
    /// Cells of the second photo.
    columns: usize,
    /// `127² · cosine`, row by row: a row is a cell of the first photo.
    products: Vec<i32>,
    /// The largest product of each row.
    best_of_rows: Vec<i32>,
    /// The largest product of each column.
    best_of_columns: Vec<i32>,
}

/// `127²`: the product of two unit vectors in int8.
const UNIT: f64 = 127.0 * 127.0;

/// Products that are looked through at a time.
const BLOCK: usize = 16;

/// Two cells, each the other's most similar.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mutual {
    /// Number of the cell in the first photo.
    pub first: usize,
    /// Number of the cell in the second photo.
    pub second: usize,
    /// Their cosine.
    pub cosine: f64,
}

impl Correspondence {
    /// Compares all cells: O(cells · cells · dim) in int8. `None` where the dimensions differ.
    pub fn of(first: &LocalFeatures, second: &LocalFeatures) -> Option<Self> {
        if first.dim() != second.dim() {
            return None;
        }
        let columns = second.height() * second.width();
        let mut products = vec![0; first.height() * first.width() * columns];
        let mut best_of_rows = Vec::with_capacity(first.height() * first.width());
        let mut best_of_columns = vec![i32::MIN; columns];
        let dot_rows = dot::dot_rows(Cpu::native());
        for (cell, row) in first.cells().zip(products.chunks_exact_mut(columns)) {
            dot_rows(cell, second.values(), row);
            let mut best = i32::MIN;
            for (&product, column) in row.iter().zip(&mut best_of_columns) {
                best = best.max(product);
                *column = (*column).max(product);
            }
            best_of_rows.push(best);
        }
        Some(Self {
            columns,
            products,
            best_of_rows,
            best_of_columns,
        })
    }

    /// How well each photo is found in the other: the mean over the cells of one of their best cosine in the other,
    /// averaged over both directions; -1 to 1.
    ///
    /// Late interaction, as in Khattab & Zaharia, "ColBERT: efficient and effective passage search via contextualized
    /// late interaction", SIGIR 2020 (the sum of maxima), here between parts of photos.
    pub fn mean_of_best(&self) -> f64 {
        let mean = |best: &[i32]| {
            let sum: i64 = best.iter().map(|&best| i64::from(best)).sum();
            sum as f64 / best.len() as f64
        };
        (mean(&self.best_of_rows) + mean(&self.best_of_columns)) / (2.0 * UNIT)
    }

    /// The pairs of cells that choose each other, in the order of the first photo's cells. Of equally similar cells
    /// the first is chosen.
    pub fn mutual(&self) -> Vec<Mutual> {
        let rows = self.products.chunks_exact(self.columns).enumerate();
        rows.zip(&self.best_of_rows)
            .filter_map(|((first, row), &best)| {
                let second = position(row, best)?;
                let column = || self.products[second..].iter().step_by(self.columns);
                let is_mutual = best == self.best_of_columns[second]
                    && !column().take(first).any(|&product| product == best);
                is_mutual.then(|| Mutual {
                    first,
                    second,
                    cosine: f64::from(best) / UNIT,
                })
            })
            .collect()
    }
}

/// Where a value is first; a block is looked through without a branch for each of its values.
fn position(row: &[i32], value: i32) -> Option<usize> {
    let is_there = |block: &[i32]| block.iter().fold(false, |any, &one| any | (one == value));
    let block = row.chunks(BLOCK).position(is_there)?;
    let within = row[block * BLOCK..].iter().position(|&one| one == value)?;
    Some(block * BLOCK + within)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(height: u8, width: u8, values: &[i8]) -> LocalFeatures {
        let mut bytes = vec![height, width];
        bytes.extend(values.iter().map(|value| value.cast_unsigned()));
        let dim = values.len() / usize::from(height) / usize::from(width);
        LocalFeatures::from_bytes(&bytes, dim).unwrap().0
    }

    #[test]
    fn cells_that_choose_each_other_are_mutual() {
        let a = grid(1, 3, &[127, 0, 0, 127, 90, 90]);
        let b = grid(1, 2, &[0, 127, 120, 41]);
        let found = Correspondence::of(&a, &b).unwrap();
        // The second of b is nearest to the first of a; the third of a chooses it too, in vain.
        let cosine = |dot: i32| f64::from(dot) / UNIT;
        let expected = [(0, 1, cosine(127 * 120)), (1, 0, 1.0)];
        let expected = expected.map(|(first, second, cosine)| Mutual {
            first,
            second,
            cosine,
        });
        assert_eq!(found.mutual(), expected);
        let rows = cosine(127 * 120) + 1.0 + cosine(90 * 161);
        let columns = 1.0 + cosine(127 * 120);
        let expected = f64::midpoint(rows / 3.0, columns / 2.0);
        assert!((found.mean_of_best() - expected).abs() < 1e-12);
    }

    #[test]
    fn a_photo_is_found_in_itself() {
        let a = grid(2, 2, &[127, 0, 0, 127, -127, 0, 0, -127]);
        let found = Correspondence::of(&a, &a).unwrap();
        assert_eq!(found.mean_of_best(), 1.0);
        assert!(found.mutual().iter().all(|pair| pair.first == pair.second));
        assert!(Correspondence::of(&a, &grid(1, 1, &[1, 2, 3])).is_none());
    }
}
