//! k-means: the centres of a codebook.
//!
//! Lloyd's iteration ("Least squares quantization in PCM", 1982) from the seeding of Arthur &
//! Vassilvitskii ("k-means++: the advantages of careful seeding", SODA 2007). Sums run in the order
//! of the rows, so that the result depends on rows and seed alone.

use rayon::prelude::*;

/// Rounds after which centres hardly move.
const ROUNDS: usize = 25;

/// `k` centres of rows of `dim` values, row by row. There must be at least `k` rows. O(rounds·n·k·dim).
pub(super) fn centres(rows: &[Vec<f32>], k: usize, seed: u64) -> Vec<Vec<f32>> {
    let mut centres = seeds(rows, k, &mut fastrand::Rng::with_seed(seed));
    let mut assigned = vec![usize::MAX; rows.len()];
    for _ in 0..ROUNDS {
        let found: Vec<(usize, f64)> = rows.par_iter().map(|row| nearest(row, &centres)).collect();
        let moved = found.iter().zip(&assigned).any(|(new, old)| new.0 != *old);
        if !moved {
            break;
        }
        let mut sums = vec![vec![0.0f64; rows[0].len()]; k];
        let mut counts = vec![0usize; k];
        for (row, &(centre, _)) in rows.iter().zip(&found) {
            counts[centre] += 1;
            for (sum, &value) in sums[centre].iter_mut().zip(row) {
                *sum += f64::from(value);
            }
        }
        // A centre without rows takes the row that is worst served.
        let mut worst: Vec<usize> = (0..rows.len()).collect();
        worst.sort_by(|&a, &b| found[b].1.total_cmp(&found[a].1).then(a.cmp(&b)));
        let mut worst = worst.into_iter();
        for ((centre, sum), &count) in centres.iter_mut().zip(sums).zip(&counts) {
            if count > 0 {
                *centre = sum.iter().map(|sum| (sum / count as f64) as f32).collect();
            } else if let Some(row) = worst.next() {
                centre.clone_from(&rows[row]);
            }
        }
        assigned = found.into_iter().map(|(centre, _)| centre).collect();
    }
    centres
}

/// Each next seed is drawn with a probability that grows with the square of its distance from those
/// chosen.
fn seeds(rows: &[Vec<f32>], k: usize, rng: &mut fastrand::Rng) -> Vec<Vec<f32>> {
    let mut seeds = vec![rows[rng.usize(..rows.len())].clone()];
    let mut distances = vec![f64::INFINITY; rows.len()];
    while seeds.len() < k {
        let last = &seeds[seeds.len() - 1];
        distances
            .par_iter_mut()
            .zip(rows)
            .for_each(|(distance, row)| *distance = distance.min(square_distance(row, last)));
        let total: f64 = distances.iter().sum();
        let mut left = rng.f64() * total;
        let chosen = distances.iter().position(|distance| {
            left -= distance;
            left < 0.0
        });
        // All rows are seeds already: any will do.
        let chosen = chosen.unwrap_or_else(|| rng.usize(..rows.len()));
        seeds.push(rows[chosen].clone());
    }
    seeds
}

fn nearest(row: &[f32], centres: &[Vec<f32>]) -> (usize, f64) {
    let mut best = (0, f64::INFINITY);
    for (at, centre) in centres.iter().enumerate() {
        let distance = square_distance(row, centre);
        if distance < best.1 {
            best = (at, distance);
        }
    }
    best
}

fn square_distance(a: &[f32], b: &[f32]) -> f64 {
    let differences = a.iter().zip(b).map(|(&a, &b)| f64::from(a) - f64::from(b));
    differences.map(|difference| difference * difference).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clusters_that_are_apart_are_found() {
        let mut rng = fastrand::Rng::with_seed(3);
        let truth = [[0.0, 0.0], [10.0, 0.0], [0.0, 10.0], [-9.0, -9.0]];
        let rows: Vec<Vec<f32>> = (0..400)
            .map(|i| truth[i % 4].map(|v: f32| v + rng.f32() - 0.5).to_vec())
            .collect();
        let found = centres(&rows, 4, 1);
        for expected in truth {
            let nearest = nearest(&expected, &found);
            assert!(nearest.1 < 0.05, "{expected:?}: {found:?}");
        }
        assert_eq!(found, centres(&rows, 4, 1));
    }

    #[test]
    fn equal_rows_give_equal_centres() {
        let found = centres(&vec![vec![1.0, 2.0]; 5], 3, 1);
        assert_eq!(found, vec![vec![1.0, 2.0]; 3]);
    }
}
