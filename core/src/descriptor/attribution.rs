//! Where two photos are alike: the similarity of descriptors, split over the locations of one of them.
//!
//! Sum pooling is linear, and so is whitening: with the pooled map `z = Σ αₗ·fₗ`, the whitened part `P·(z/‖z‖ − μ)` and
//! another descriptor `y`, a part's share of the cosine is `k·(Pᵀy)·(z/‖z‖ − μ) = Σ k·αₗ·((Pᵀy)·fₗ/‖z‖ − (Pᵀy)·μ)`, where `k`
//! holds the norms and the part's weight and `Σ αₗ = 1`. The summands are the locations' shares; together they are
//! exactly the cosine. A signed power of the pooled map, `sign(z)·|z|ᵖ = Σ αₗ·fₗ·|z|ᵖ⁻¹`, splits alike. (Class activation mapping, Zhou et al., "Learning deep features for discriminative localization",
//! CVPR 2016, is the same for a classifier's sum.)

use super::{
    Learned, Maps, Part, Pool, Recipe, Whitening, location_weights, part_map, signed_power, spoc,
    to_unit_length,
};
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

/// The cosine of what `recipe` makes of `maps` with the descriptor `other`, split over the grid of the finest map.
/// O(H·W·C) a part.
///
/// `None` where a part is not linear in its map (only weighted sums are), or the lengths do not belong together. What a
/// joint projection subtracts is shared by all places.
pub fn attribute(
    recipe: &Recipe,
    maps: &Maps<'_>,
    learned: &Learned,
    other: &[f32],
) -> Option<HeatMap> {
    if other.len() != recipe.dim() || learned.whitenings.len() != recipe.parts.len() {
        return None;
    }
    let mut target = other.to_vec();
    to_unit_length(&mut target);
    if let Some(joint) = &learned.joint {
        target = back(joint, &target)?
            .iter()
            .map(|&value| value as f32)
            .collect();
    }
    let mut parts = Vec::new();
    let mut joined = Vec::new();
    let mut rest = &target[..];
    for (part, whitening) in recipe.parts.iter().zip(&learned.whitenings) {
        let (own, others) = rest.split_at_checked(part.dim)?;
        rest = others;
        let shares = PartShares::of(part, &*part_map(part, maps).ok()?, whitening, own)?;
        joined.extend(shares.values.iter().map(|value| value * part.weight));
        parts.push(shares);
    }
    let length = norm(&joined);
    let finest = parts.iter().max_by_key(|part| part.height * part.width)?;
    let (height, width) = (finest.height, finest.width);
    let mut shares = vec![0.0; height * width];
    if length == 0.0 {
        return Some(HeatMap {
            height,
            width,
            shares,
        });
    }
    for (part, of) in parts.iter().zip(&recipe.parts) {
        part.spread(f64::from(of.weight) / length, height, width, &mut shares);
    }
    if let Some(joint) = &learned.joint {
        to_unit_length(&mut joined);
        let projected = norm(&joint.apply(&joined));
        let target: Vec<f64> = target.iter().map(|&value| f64::from(value)).collect();
        let subtracted = dot(&target, joint.mean()) / shares.len() as f64;
        for share in &mut shares {
            *share = (*share - subtracted) / projected.max(f64::MIN_POSITIVE);
        }
    }
    Some(HeatMap {
        height,
        width,
        shares,
    })
}

/// `Pᵀ·y`: a vector behind a whitening, brought back to before it.
fn back(whitening: &Whitening, target: &[f32]) -> Option<Vec<f64>> {
    if whitening.dim() != target.len() {
        return None;
    }
    let products = |column: &[f32]| {
        let pairs = column.iter().zip(target);
        pairs.fold(0.0, |sum, (&p, &y)| sum + f64::from(p) * f64::from(y))
    };
    Some(whitening.columns().map(products).collect())
}

/// A part's cosine with its components of the other descriptor, by location.
struct PartShares {
    height: usize,
    width: usize,
    shares: Vec<f64>,
    /// The part's whitened unit vector, zeros for a dead map.
    values: Vec<f32>,
}

impl PartShares {
    fn of(part: &Part, map: &FeatureMap, whitening: &Whitening, target: &[f32]) -> Option<Self> {
        if whitening.channels() != map.channels() || !is_linear(part) {
            return None;
        }
        let mut back = back(whitening, target)?;
        let weights =
            location_weights(part, map).unwrap_or_else(|| vec![1.0; map.height() * map.width()]);
        let total: f64 = weights.iter().sum();
        let mut pooled = spoc::weighted(map, &weights);
        let linear = pooled.clone();
        signed_power(&mut pooled, part.power);
        let length = norm(&pooled);
        to_unit_length(&mut pooled);
        let mut values = whitening.apply(&pooled);
        let whitened = norm(&values);
        to_unit_length(&mut values);
        let against_mean = dot(&back, whitening.mean());
        // A power multiplies each sum by what depends on the sum alone, so it is split as the sum is.
        for ((back, &before), &after) in back.iter_mut().zip(&linear).zip(&pooled) {
            *back *= match before {
                0.0 => 0.0,
                _ => f64::from(after) * length / f64::from(before),
            };
        }
        let share = |(location, weight): (&[f32], &f64)| {
            // What a dead map gives depends on no location.
            let feature = if length > 0.0 {
                dot(&back, location) / length
            } else {
                0.0
            };
            weight / total * (feature - against_mean) / whitened.max(f64::MIN_POSITIVE)
        };
        Some(Self {
            height: map.height(),
            width: map.width(),
            shares: map.locations().zip(&weights).map(share).collect(),
            values,
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

/// Whether a part is a weighted sum over locations.
fn is_linear(part: &Part) -> bool {
    matches!(part.pool, Pool::Average | Pool::Centre { .. })
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
    use crate::descriptor::{Joint, describe};

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
        Whitening::new(some(channels), &some(channels * dim)).unwrap()
    }

    fn taps(recipe: &Recipe) -> Vec<String> {
        recipe.taps()
    }

    #[test]
    fn shares_add_up_to_the_cosine() {
        let mut rng = fastrand::Rng::with_seed(3);
        for round in 0..20 {
            let mut recipe = Recipe::three_taps();
            recipe.parts[0].dim = 12;
            recipe.parts[1].weight = 1.7;
            recipe.parts[0].power = 0.5;
            recipe.parts[2].power = 0.7;
            let maps = [
                random_map(&mut rng, 8, 10, 24),
                random_map(&mut rng, 8, 10, 130),
                random_map(&mut rng, 4, 5, 140),
            ];
            let mut learned = Learned::from(vec![
                random_whitening(&mut rng, 24, 12),
                random_whitening(&mut rng, 130, 96),
                random_whitening(&mut rng, 140, 96),
            ]);
            if round % 2 == 1 {
                recipe.joint = Some(Joint { dim: 40 });
                learned.joint = Some(random_whitening(&mut rng, 204, 40));
            }
            let taps = taps(&recipe);
            let maps = Maps::new(&taps, &maps);
            let values = describe(&recipe, &[maps], &learned).unwrap();
            let other: Vec<f32> = (0..recipe.dim()).map(|_| rng.f32() - 0.5).collect();
            let heat = attribute(&recipe, &maps, &learned, &other).unwrap();
            assert_eq!((heat.height(), heat.width()), (8, 10));
            let products = values.iter().zip(&other);
            let product: f64 = products.map(|(&a, &b)| f64::from(a) * f64::from(b)).sum();
            let cosine = product / norm(&other);
            assert!(
                (heat.total() - cosine).abs() < 1e-5,
                "{} {cosine}",
                heat.total()
            );
        }
    }

    fn one_part(dim: usize) -> Recipe {
        Recipe::new("one", vec![Part::new("t", Pool::Average, dim)])
    }

    #[test]
    fn the_place_that_is_alike_is_warm() {
        // One channel responds in one place only, and that is what the other photo shows.
        let mut data = [0.0, 0.1].repeat(12);
        data[2 * 5] = 3.0;
        let map = FeatureMap::new(3, 4, 2, data).unwrap();
        let (taps, maps) = (["t".to_owned()], [map]);
        let whitening = Whitening::new(vec![0.0; 2], &[1.0, 0.0, 0.0, 1.0]).unwrap();
        let learned = Learned::from(vec![whitening]);
        let maps = Maps::new(&taps, &maps);
        let heat = attribute(&one_part(2), &maps, &learned, &[1.0, 0.0]).unwrap();
        assert_eq!(heat.warmth(1.5 / 4.0, 1.5 / 3.0), 1.0);
        assert_eq!(heat.warmth(3.5 / 4.0, 2.5 / 3.0), 0.0);
        assert!((heat.warmth(2.0 / 4.0, 1.5 / 3.0) - 0.5).abs() < 1e-9);
        let photo = Pixels::from_rgb(40, 30, vec![100; 3600]).unwrap();
        let painted = heat.paint(&photo);
        let pixel = |x: usize, y: usize| &painted.data()[3 * (40 * y + x)..][..3];
        assert!(pixel(15, 15)[0] > 150 && pixel(38, 28)[0] < 60);
    }

    #[test]
    fn what_does_not_belong_together_is_refused() {
        let maps = [FeatureMap::new(1, 1, 2, vec![1.0, 2.0]).unwrap()];
        let taps = ["t".to_owned()];
        let maps = Maps::new(&taps, &maps);
        let whitening = |channels: usize| {
            let whitening = Whitening::new(vec![0.0; channels], &vec![1.0; 2 * channels]);
            Learned::from(vec![whitening.unwrap()])
        };
        let refused = |recipe: &Recipe, learned: &Learned, other: &[f32]| {
            attribute(recipe, &maps, learned, other).is_none()
        };
        let recipe = one_part(2);
        assert!(refused(&recipe, &whitening(2), &[1.0]));
        assert!(refused(&recipe, &whitening(3), &[1.0, 0.0]));
        assert!(refused(&recipe, &Learned::default(), &[1.0, 0.0]));
        let strongest = Recipe::new("max", vec![Part::new("t", Pool::Max, 2)]);
        assert!(refused(&strongest, &whitening(2), &[1.0, 0.0]));
    }
}
