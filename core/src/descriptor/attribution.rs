//! Where two photos are alike: the similarity of descriptors, split over the locations of one of them.
//!
//! Sum pooling is linear, and so is whitening: with the pooled map `z = Σ αₗ·fₗ`, the whitened part `P·(z/‖z‖ − μ)` and
//! another descriptor `y`, a part's share of the cosine is `k·(Pᵀy)·(z/‖z‖ − μ) = Σ k·αₗ·((Pᵀy)·fₗ/‖z‖ − (Pᵀy)·μ)`, where `k`
//! holds the norms and the part's weight and `Σ αₗ = 1`. The summands are the locations' shares; together they are
//! exactly the cosine. (Class activation mapping, Zhou et al., "Learning deep features for discriminative localization",
//! CVPR 2016, is the same for a classifier's sum.)

use super::{Part, Pool, Recipe, Whitening, pool, spoc, to_unit_length};
use crate::backbone::FeatureMap;
use crate::image::Pixels;

/// Shares of a similarity over a grid: `H×W`, row by row, together the similarity.
#[derive(Clone, Debug, PartialEq)]
pub struct HeatMap {
    height: usize,
    width: usize,
    shares: Vec<f64>,
}

impl HeatMap {
    /// Rows.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Places in a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// What each place adds to the similarity, row by row; less than 0 where it speaks against it.
    pub fn shares(&self) -> &[f64] {
        &self.shares
    }

    /// The similarity: the sum of all shares.
    pub fn total(&self) -> f64 {
        self.shares.iter().sum()
    }

    /// The photo, dimmed where it is cold and coloured where it is warm. O(pixels).
    pub fn paint(&self, photo: &Pixels) -> Pixels {
        let (width, height) = (photo.width(), photo.height());
        let most = self.most().max(f64::MIN_POSITIVE);
        let mut bytes = photo.data().to_vec();
        let (pixels, _) = bytes.as_chunks_mut::<3>();
        for (at, pixel) in (0u32..).zip(pixels) {
            let middle = |at: u32, count: u32| (f64::from(at) + 0.5) / f64::from(count);
            let warmth = self.between(middle(at % width, width), middle(at / width, height)) / most;
            for (value, colour) in pixel.iter_mut().zip(colour(warmth)) {
                let dimmed = f64::from(*value) * (0.45 + 0.55 * warmth);
                *value = (dimmed * (1.0 - 0.6 * warmth) + colour * 0.6 * warmth).round() as u8;
            }
        }
        Pixels::from_rgb(width, height, bytes).expect("as many bytes as there were")
    }

    /// The shares above 0 by the largest, 0 to 1, between the middles of the grid's places linearly: at `(x, y)` of a
    /// picture whose sides are 1. All 0 where no place speaks for it.
    pub fn warmth(&self, x: f64, y: f64) -> f64 {
        let most = self.most();
        if most > 0.0 {
            self.between(x, y) / most
        } else {
            0.0
        }
    }

    fn most(&self) -> f64 {
        self.shares.iter().copied().fold(0.0, f64::max)
    }

    /// The shares above 0, between the middles of the places linearly.
    fn between(&self, x: f64, y: f64) -> f64 {
        let place = |at: f64, count: usize| {
            let at = (at * count as f64 - 0.5).clamp(0.0, (count - 1) as f64);
            let first = at as usize;
            (first, (first + 1).min(count - 1), at - first as f64)
        };
        let (left, right, across) = place(x, self.width);
        let (top, bottom, down) = place(y, self.height);
        let share = |row: usize, column: usize| self.shares[row * self.width + column].max(0.0);
        let along = |row| share(row, left) * (1.0 - across) + share(row, right) * across;
        along(top) * (1.0 - down) + along(bottom) * down
    }
}

/// Red, green and blue from cold to warm, evenly spaced.
const COLOURS: [[f64; 3]; 5] = [
    [0.0, 0.0, 4.0],
    [87.0, 16.0, 110.0],
    [188.0, 55.0, 84.0],
    [249.0, 142.0, 9.0],
    [252.0, 255.0, 164.0],
];

fn colour(warmth: f64) -> [f64; 3] {
    let at = warmth.clamp(0.0, 1.0) * (COLOURS.len() - 1) as f64;
    let first = (at as usize).min(COLOURS.len() - 2);
    let share = at - first as f64;
    std::array::from_fn(|c| COLOURS[first][c] * (1.0 - share) + COLOURS[first + 1][c] * share)
}

/// The cosine of what `recipe` makes of `maps` (a part each) with the descriptor `other`, split over the grid of the
/// finest map. O(H·W·C) a part.
///
/// `None` where a part is not linear in its map, or the lengths do not belong together.
pub fn attribute(
    recipe: &Recipe,
    maps: &[&FeatureMap],
    whitenings: &[Whitening],
    other: &[f32],
) -> Option<HeatMap> {
    let finest = maps.iter().max_by_key(|map| map.height() * map.width())?;
    let (height, width) = (finest.height(), finest.width());
    if other.len() != recipe.dim() || whitenings.len() != recipe.parts.len() {
        return None;
    }
    let mut other = other.to_vec();
    to_unit_length(&mut other);
    let mut parts = Vec::new();
    let mut first = 0;
    for ((part, map), whitening) in recipe.parts.iter().zip(maps).zip(whitenings) {
        let target = &other[first..first + part.dim];
        first += part.dim;
        parts.push(PartShares::of(part, map, whitening, target)?);
    }
    let length: f64 = parts.iter().map(|part| part.weight * part.weight).sum();
    let length = length.sqrt();
    let mut shares = vec![0.0; height * width];
    for part in &parts {
        part.spread(part.weight / length, height, width, &mut shares);
    }
    Some(HeatMap {
        height,
        width,
        shares,
    })
}

/// A part's cosine with its components of the other descriptor, by location.
struct PartShares {
    height: usize,
    width: usize,
    shares: Vec<f64>,
    /// Length of the part in the joined vector: its weight, or 0 for a dead map.
    weight: f64,
}

impl PartShares {
    fn of(part: &Part, map: &FeatureMap, whitening: &Whitening, target: &[f32]) -> Option<Self> {
        if whitening.channels() != map.channels() || whitening.dim() != target.len() {
            return None;
        }
        let weights = location_weights(part, map)?;
        let total: f64 = weights.iter().sum();
        let pooled = pool(part, map);
        // `pool` gives z/‖z‖: ‖z‖ is what z has to be divided by to become that.
        let sums = spoc::weighted(map, &weights);
        let length = norm(&sums);
        let whitened = norm(&whitening.apply(&pooled));
        // Pᵀ·y.
        let mut back = vec![0.0; map.channels()];
        let rows = whitening.projection().chunks_exact(map.channels());
        for (row, &y) in rows.zip(target) {
            for (sum, &p) in back.iter_mut().zip(row) {
                *sum += f64::from(p) * f64::from(y);
            }
        }
        let against_mean = dot(&back, whitening.mean());
        let is_dead = length == 0.0 || whitened == 0.0;
        let share = |(location, weight): (&[f32], &f64)| {
            if is_dead {
                return 0.0;
            }
            weight / total * (dot(&back, location) / length - against_mean) / whitened
        };
        Some(Self {
            height: map.height(),
            width: map.width(),
            shares: map.locations().zip(&weights).map(share).collect(),
            weight: if whitened == 0.0 {
                0.0
            } else {
                f64::from(part.weight)
            },
        })
    }

    /// Adds the shares times `factor` to a finer grid: what a location has is divided among the places it covers.
    fn spread(&self, factor: f64, height: usize, width: usize, shares: &mut [f64]) {
        let row_of = |y: usize| y * self.height / height;
        let column_of = |x: usize| x * self.width / width;
        let covered = |of: usize, count: usize, coarse: usize| {
            (0..count).filter(|&at| at * coarse / count == of).count()
        };
        let rows: Vec<f64> = (0..self.height)
            .map(|y| covered(y, height, self.height) as f64)
            .collect();
        let columns: Vec<f64> = (0..self.width)
            .map(|x| covered(x, width, self.width) as f64)
            .collect();
        for (at, share) in shares.iter_mut().enumerate() {
            let (y, x) = (row_of(at / width), column_of(at % width));
            *share += factor * self.shares[y * self.width + x] / (rows[y] * columns[x]);
        }
    }
}

/// How much each location counts where a part is a weighted sum; `None` where it is not.
fn location_weights(part: &Part, map: &FeatureMap) -> Option<Vec<f64>> {
    match part.pool {
        Pool::Average => Some(vec![1.0; map.height() * map.width()]),
        Pool::Centre { sigma } => Some(spoc::prior(map, sigma)),
    }
}

fn norm(values: &[f32]) -> f64 {
    let squares = values
        .iter()
        .map(|&value| f64::from(value) * f64::from(value));
    squares.sum::<f64>().sqrt()
}

fn dot(a: &[f64], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, &b)| a * f64::from(b)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::descriptor::describe;

    fn random_map(
        rng: &mut fastrand::Rng,
        height: usize,
        width: usize,
        channels: usize,
    ) -> FeatureMap {
        let data = (0..height * width * channels).map(|_| rng.f32()).collect();
        FeatureMap::new(height, width, channels, data).unwrap()
    }

    fn random_whitening(rng: &mut fastrand::Rng, channels: usize, dim: usize) -> Whitening {
        let mut some = |count: usize| (0..count).map(|_| rng.f32() - 0.5).collect::<Vec<_>>();
        Whitening::new(some(channels), some(channels * dim)).unwrap()
    }

    #[test]
    fn shares_add_up_to_the_cosine() {
        let mut rng = fastrand::Rng::with_seed(3);
        let recipe = Recipe::three_taps();
        for _ in 0..20 {
            let maps = [
                random_map(&mut rng, 8, 10, 24),
                random_map(&mut rng, 8, 10, 130),
                random_map(&mut rng, 4, 5, 140),
            ];
            let mut recipe = recipe.clone();
            recipe.parts[0].dim = 12;
            let whitenings = [(24, 12), (130, 96), (140, 96)]
                .map(|(channels, dim)| random_whitening(&mut rng, channels, dim));
            let values = describe(&recipe, &maps, &whitenings);
            let other: Vec<f32> = (0..recipe.dim()).map(|_| rng.f32() - 0.5).collect();
            let refs: Vec<&FeatureMap> = maps.iter().collect();
            let heat = attribute(&recipe, &refs, &whitenings, &other).unwrap();
            assert_eq!((heat.height(), heat.width()), (8, 10));
            let cosine = values
                .iter()
                .zip(&other)
                .map(|(&a, &b)| f64::from(a) * f64::from(b))
                .sum::<f64>()
                / norm(&other);
            assert!(
                (heat.total() - cosine).abs() < 1e-5,
                "{} {cosine}",
                heat.total()
            );
        }
    }

    #[test]
    fn the_place_that_is_alike_is_warm() {
        // One channel responds in one corner only, and that is what the other photo shows.
        let mut data = [0.0, 0.1].repeat(12);
        data[2 * 5] = 3.0;
        let map = FeatureMap::new(3, 4, 2, data).unwrap();
        let recipe = Recipe {
            parts: vec![Part::new("t", Pool::Average, 2)],
            ..Recipe::three_taps()
        };
        let whitening = Whitening::new(vec![0.0; 2], vec![1.0, 0.0, 0.0, 1.0]).unwrap();
        let heat = attribute(&recipe, &[&map], &[whitening], &[1.0, 0.0]).unwrap();
        assert_eq!(heat.warmth(1.5 / 4.0, 1.5 / 3.0), 1.0);
        assert_eq!(heat.warmth(3.5 / 4.0, 2.5 / 3.0), 0.0);
        assert!((heat.warmth(2.0 / 4.0, 1.5 / 3.0) - 0.5).abs() < 1e-9);
    }

    #[test]
    fn what_does_not_belong_together_is_refused() {
        let map = FeatureMap::new(1, 1, 2, vec![1.0, 2.0]).unwrap();
        let recipe = Recipe {
            parts: vec![Part::new("t", Pool::Average, 2)],
            ..Recipe::three_taps()
        };
        let whitening =
            |channels: usize| Whitening::new(vec![0.0; channels], vec![1.0; 2 * channels]).unwrap();
        assert!(attribute(&recipe, &[&map], &[whitening(2)], &[1.0]).is_none());
        assert!(attribute(&recipe, &[&map], &[whitening(3)], &[1.0, 0.0]).is_none());
        assert!(attribute(&recipe, &[&map], &[], &[1.0, 0.0]).is_none());
    }
}
