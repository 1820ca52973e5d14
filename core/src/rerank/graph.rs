//! Nearest neighbours among a few vectors: the graph that augmentation, reciprocal ranks and diffusion stand on.

/// The `k` rows with the largest dot product with `query`, best first, equal ones by number, without the row `besides`.
/// O(rows · dim).
pub(super) fn nearest(
    query: &[f32],
    rows: &[&[f32]],
    k: usize,
    besides: Option<usize>,
) -> Vec<(usize, f32)> {
    let mut scores: Vec<(usize, f32)> = rows
        .iter()
        .enumerate()
        .filter(|&(number, _)| Some(number) != besides)
        .map(|(number, row)| (number, dot(query, row) as f32))
        .collect();
    scores.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    scores.truncate(k);
    scores
}

/// In one fixed order, in double precision.
pub(super) fn dot(a: &[f32], b: &[f32]) -> f64 {
    let products = a.iter().zip(b);
    products.map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
}
