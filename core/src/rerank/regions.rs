//! Base regions of a photo, and query adaptive matching: which mixture of them is most like the query?
//!
//! Cao, Liu, Wang, Chen, Shen & Heng, "Where to focus: query adaptive matching for instance retrieval using
//! convolutional feature maps", 2016. Base regions come from *feature map pooling* (each channel of the map says where
//! it responds, section 3.1) and *overlapped spatial pyramid pooling* (OSPP: windows of several sizes that overlap by
//! half, section 3.2). At query time the regions `R` of a stored photo are merged with weights `w ≥ 0` such that the
//! merged region is nearest to the query `q`: `min ‖q − R·w‖²`, a constrained quadratic programme (equation 5). The
//! similarity is that of the query with the merged region.

use crate::descriptor::LocalFeatures;

/// Windows along a side, by level of the pyramid: 1 + 4 + 9 regions.
const LEVELS: [usize; 3] = [1, 2, 3];
/// Channels whose responses make regions.
const CHANNELS: usize = 8;
/// Rounds of coordinate descent; the programme has few variables, and a local answer is the global one.
const ROUNDS: usize = 32;

/// Unit vectors of some regions of a photo: the whole, windows of a pyramid, places where a channel responds.
#[derive(Clone, Debug)]
pub struct Regions {
    dim: usize,
    values: Vec<f64>,
    windows: usize,
}

/// The best pair of regions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RegionPair {
    /// Number of the region of the first photo.
    pub first: usize,
    /// Number of the region of the second photo.
    pub second: usize,
    /// Their cosine.
    pub cosine: f64,
}

impl Regions {
    /// 14 windows and 8 channel regions, each the direction of the sum of its cells. O(cells · dim · regions).
    pub fn of(features: &LocalFeatures) -> Self {
        let dim = features.dim();
        let mut regions = Self {
            dim,
            values: Vec::new(),
            windows: 0,
        };
        for level in LEVELS {
            for (y, x) in (0..level).flat_map(|y| (0..level).map(move |x| (y, x))) {
                let rows = window(y, level, features.height());
                let columns = window(x, level, features.width());
                regions.push(features, |at| {
                    let (y, x) = (at / features.width(), at % features.width());
                    f64::from(u8::from(rows.contains(&y) && columns.contains(&x)))
                });
                regions.windows += 1;
            }
        }
        for channel in 0..CHANNELS.min(dim) {
            let response: Vec<f64> = features
                .cells()
                .map(|cell| f64::from(cell[channel].max(0)))
                .collect();
            regions.push(features, |at| response[at]);
        }
        regions
    }

    fn push(&mut self, features: &LocalFeatures, weight: impl Fn(usize) -> f64) {
        let mut sum = vec![0.0; self.dim];
        for (at, cell) in features.cells().enumerate() {
            let weight = weight(at);
            if weight > 0.0 {
                for (sum, &value) in sum.iter_mut().zip(cell) {
                    *sum += weight * f64::from(value);
                }
            }
        }
        let length = dot(&sum, &sum).sqrt();
        if length > 0.0 {
            sum.iter_mut().for_each(|value| *value /= length);
        }
        self.values.extend(sum);
    }

    /// Number of regions.
    pub fn len(&self) -> usize {
        self.values.len() / self.dim
    }

    /// Never: a photo has at least its whole.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The unit vector of each region; the first is the whole photo's.
    pub fn vectors(&self) -> impl ExactSizeIterator<Item = &[f64]> {
        self.values.chunks_exact(self.dim)
    }

    /// The windows only.
    fn windows(&self) -> impl Iterator<Item = &[f64]> {
        self.vectors().take(self.windows)
    }

    /// The two windows of two photos that are most alike. `None` where the dimensions differ.
    pub fn best_pair(&self, other: &Self) -> Option<RegionPair> {
        if self.dim != other.dim {
            return None;
        }
        let mut best: Option<RegionPair> = None;
        for (first, a) in self.windows().enumerate() {
            for (second, b) in other.windows().enumerate() {
                let cosine = dot(a, b);
                if best.is_none_or(|best| cosine > best.cosine) {
                    best = Some(RegionPair {
                        first,
                        second,
                        cosine,
                    });
                }
            }
        }
        best
    }

    /// Cosine of `query` with the mixture of these regions that is nearest to it, and the mixture. 0 and no weight
    /// where every region points away from the query. `None` where the lengths differ.
    pub fn adapted_to(&self, query: &[f64]) -> Option<(f64, Vec<f64>)> {
        if query.len() != self.dim {
            return None;
        }
        let count = self.len();
        let regions: Vec<&[f64]> = self.vectors().collect();
        let gram: Vec<f64> = regions
            .iter()
            .flat_map(|a| regions.iter().map(|b| dot(a, b)))
            .collect();
        let target: Vec<f64> = regions.iter().map(|region| dot(region, query)).collect();
        // Coordinate descent on ½·wᵀ·G·w − tᵀ·w with w ≥ 0; the diagonal is 1, or 0 for an empty region.
        let mut weights = vec![0.0; count];
        for _ in 0..ROUNDS {
            for at in 0..count {
                let row = &gram[at * count..][..count];
                if row[at] > 0.0 {
                    let others = dot(row, &weights) - row[at] * weights[at];
                    weights[at] = ((target[at] - others) / row[at]).max(0.0);
                }
            }
        }
        let mut merged = vec![0.0; self.dim];
        for (region, &weight) in regions.iter().zip(&weights) {
            for (sum, value) in merged.iter_mut().zip(*region) {
                *sum += weight * value;
            }
        }
        let length = dot(&merged, &merged).sqrt() * dot(query, query).sqrt();
        let cosine = if length > 0.0 {
            dot(&merged, query) / length
        } else {
            0.0
        };
        Some((cosine, weights))
    }
}

/// Cells of window `at` of `level` along a side: windows overlap by half and cover the side.
fn window(at: usize, level: usize, cells: usize) -> std::ops::Range<usize> {
    let parts = level + 1;
    if level == 1 {
        return 0..cells;
    }
    let first = at * cells / parts;
    first..((at + 2) * cells).div_ceil(parts).max(first + 1)
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn features(height: u8, width: u8, dim: usize, seed: u64) -> LocalFeatures {
        let mut rng = fastrand::Rng::with_seed(seed);
        let cells = usize::from(height) * usize::from(width);
        let mut bytes = vec![height, width];
        bytes.extend((0..cells * dim).map(|_| rng.u8(..)));
        LocalFeatures::from_bytes(&bytes, dim).unwrap().0
    }

    #[test]
    fn windows_overlap_and_cover() {
        for cells in 1..17 {
            for level in LEVELS {
                let windows: Vec<_> = (0..level).map(|at| window(at, level, cells)).collect();
                assert_eq!((windows[0].start, windows[level - 1].end), (0, cells));
                for pair in windows.windows(2) {
                    assert!(pair[1].start < pair[0].end || cells == 1, "{windows:?}");
                }
            }
        }
        assert_eq!(Regions::of(&features(8, 10, 24, 1)).len(), 14 + 8);
    }

    /// The conditions of Karush, Kuhn and Tucker hold: the gradient is zero where there is weight, and nowhere negative.
    #[test]
    fn the_mixture_is_the_nearest() {
        let regions = Regions::of(&features(6, 7, 12, 2));
        let other = Regions::of(&features(5, 9, 12, 3));
        for query in other.vectors() {
            let (cosine, weights) = regions.adapted_to(query).unwrap();
            let vectors: Vec<_> = regions.vectors().collect();
            let mut rest = query.to_vec();
            for (vector, weight) in vectors.iter().zip(&weights) {
                for (rest, value) in rest.iter_mut().zip(*vector) {
                    *rest -= weight * value;
                }
            }
            for (vector, &weight) in vectors.iter().zip(&weights) {
                let slope = dot(vector, &rest);
                assert!(slope < 0.02, "{slope}");
                assert!(weight == 0.0 || slope.abs() < 0.02, "{slope} at {weight}");
            }
            // No single region is nearer than the mixture.
            let single = vectors.iter().map(|vector| dot(vector, query));
            assert!(single.fold(f64::MIN, f64::max) <= cosine + 1e-3);
        }
    }

    #[test]
    fn a_part_of_a_photo_is_found_in_it() {
        let whole = features(8, 8, 16, 4);
        // The upper left quarter, as its own photo.
        let mut bytes = vec![4, 4];
        for (at, cell) in whole.cells().enumerate() {
            if at / 8 < 4 && at % 8 < 4 {
                bytes.extend(cell.iter().map(|value| value.cast_unsigned()));
            }
        }
        let (part, _) = LocalFeatures::from_bytes(&bytes, 16).unwrap();
        let (part, whole) = (Regions::of(&part), Regions::of(&whole));
        let pair = whole.best_pair(&part).unwrap();
        let global = dot(
            whole.vectors().next().unwrap(),
            part.vectors().next().unwrap(),
        );
        assert!(pair.cosine > global + 0.1, "{pair:?} {global}");
        assert!(
            whole
                .best_pair(&Regions::of(&features(1, 1, 3, 5)))
                .is_none()
        );
    }
}
