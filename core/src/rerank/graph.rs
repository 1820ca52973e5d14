//! Nearest neighbours among a few vectors: the graph that augmentation, reciprocal ranks and diffusion stand on.

/// The `k` rows with the largest dot product with `query`, best first, equal ones by number, without the row `besides`.
/// O(rows · dim).
pub(super) fn nearest(
    query: &[f32],
    rows: &[&[f32]],
    k: usize,
    besides: Option<usize>,
) -> Vec<(usize, f32)> {
    nearest_of(query, rows, k, |number| Some(number) != besides)
}

/// The same of the rows that `is_there` says.
pub(super) fn nearest_of(
    query: &[f32],
    rows: &[&[f32]],
    k: usize,
    is_there: impl Fn(usize) -> bool,
) -> Vec<(usize, f32)> {
    let mut scores: Vec<(usize, f32)> = rows
        .iter()
        .enumerate()
        .filter(|&(number, _)| is_there(number))
        .map(|(number, row)| (number, dot(query, row) as f32))
        .collect();
    let better = |a: &(usize, f32), b: &(usize, f32)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
    if k < scores.len() {
        scores.select_nth_unstable_by(k, better);
        scores.truncate(k);
    }
    scores.sort_by(better);
    scores
}

/// In one fixed order, in double precision.
pub(super) fn dot(a: &[f32], b: &[f32]) -> f64 {
    let products = a.iter().zip(b);
    products.map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
}
