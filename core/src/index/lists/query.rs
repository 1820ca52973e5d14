//! A query in the three precisions that lists need: 14 bits to score, 8 to find lists, 5 to estimate.

use super::super::quantise::{Quantised, largest, round, stride};
use crate::kernel::codes::{self, WideQuery};
use crate::kernel::signs::{self, Tables};

/// A query ready for lists of its number of dimensions.
#[derive(Clone, Debug)]
pub(in crate::index) struct ListQuery {
    /// 8 bits, padded.
    pub(super) row: Vec<i8>,
    /// A number of `row` is this much of the unit vector.
    pub(super) row_unit: f32,
    pub(super) wide: WideQuery,
    /// A number of `wide` is this much of the unit vector.
    pub(super) wide_unit: f64,
    pub(super) tables: Tables,
    /// A unit of `tables` is this much of the unit vector.
    pub(super) table_unit: f32,
}

impl ListQuery {
    /// Of a vector that was checked: finite numbers, not all zero. `quantised` is the same in 8 bits.
    pub(in crate::index) fn new(vector: &[f32], quantised: &Quantised) -> Self {
        let dim = stride(vector.len());
        let scale = f64::from(codes::LIMIT) / f64::from(largest(vector));
        let mut wide: Vec<i16> = vector
            .iter()
            .map(|&v| round(f64::from(v) * scale) as i16)
            .collect();
        // What all numbers have in common is left out of estimates: codes whose cells are shifted tell nothing of it. In
        // integers: as many times the number as there are numbers, less their sum.
        let (count, sum) = (
            wide.len() as i32,
            wide.iter().map(|&y| i32::from(y)).sum::<i32>(),
        );
        let centred: Vec<i32> = wide.iter().map(|&y| count * i32::from(y) - sum).collect();
        let most = centred.iter().fold(count, |most, v| most.max(v.abs()));
        let to_narrow = f64::from(signs::LIMIT) / f64::from(most);
        let narrow = centred
            .iter()
            .map(|&v| round(f64::from(v) * to_narrow) as i8);
        let mut narrow: Vec<i8> = narrow.collect();
        wide.resize(dim, 0);
        narrow.resize(dim, 0);
        let squares: i64 = wide.iter().map(|&y| i64::from(y) * i64::from(y)).sum();
        let wide_unit = 1.0 / (squares as f64).sqrt();
        let table_unit = wide_unit / (to_narrow * f64::from(count));
        Self {
            row: quantised.row.clone(),
            row_unit: quantised.inverse_norm,
            wide: WideQuery::new(&wide),
            wide_unit,
            tables: Tables::new(&narrow),
            table_unit: table_unit as f32,
        }
    }
}
