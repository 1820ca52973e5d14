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
        // What all numbers have in common is left out of estimates: codes whose cells are shifted tell nothing of it.
        let sum: i64 = wide.iter().map(|&y| i64::from(y)).sum();
        let mean = sum as f64 / wide.len() as f64;
        let centred = wide.iter().map(|&y| f64::from(y) - mean);
        let most = centred.clone().fold(1.0f64, |most, v| most.max(v.abs()));
        let narrow_unit = most / f64::from(signs::LIMIT);
        let mut narrow: Vec<i8> = centred.map(|v| round(v / narrow_unit) as i8).collect();
        wide.resize(dim, 0);
        narrow.resize(dim, 0);
        let squares: i64 = wide.iter().map(|&y| i64::from(y) * i64::from(y)).sum();
        let wide_unit = 1.0 / (squares as f64).sqrt();
        let table_unit = wide_unit * narrow_unit;
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
