//! The specification, in plain Rust.

pub(super) fn weighted_sum(rows: &[f32], weights: &[f64], sums: &mut [f64]) {
    super::check_lengths(rows, weights, sums);
    sums.fill(0.0);
    if sums.is_empty() {
        return;
    }
    for (row, &weight) in rows.chunks_exact(sums.len()).zip(weights) {
        for (sum, &value) in sums.iter_mut().zip(row) {
            *sum += weight * f64::from(value);
        }
    }
}
