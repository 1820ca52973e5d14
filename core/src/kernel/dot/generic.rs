//! The specification, in plain Rust.

pub(super) fn dot_rows(query: &[i8], rows: &[i8], out: &mut [i32]) {
    super::check_lengths(query, rows, out);
    for (i, sum) in out.iter_mut().enumerate() {
        let row = &rows[i * query.len()..][..query.len()];
        *sum = query
            .iter()
            .zip(row)
            .map(|(&a, &b)| i32::from(a) * i32::from(b))
            .sum();
    }
}
