//! The specification, in plain Rust.

use super::{CodeRows, WideQuery};

pub(super) fn dot_codes(query: &WideQuery, rows: &CodeRows<'_>, named: &[u32], out: &mut [i32]) {
    assert_eq!(named.len(), out.len(), "a sum a row");
    rows.check(named, query.dim());
    for (&row, sum) in named.iter().zip(out) {
        *sum = dot_row(query, rows, row as usize);
    }
}

fn dot_row(query: &WideQuery, rows: &CodeRows<'_>, row: usize) -> i32 {
    let products =
        (0..query.dim()).map(|i| i32::from(rows.code(row, i, query.dim())) * query.component(i));
    products.sum()
}
