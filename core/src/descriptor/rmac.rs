//! R-MAC: maxima of overlapping square regions at several scales, and the same with averages.
//!
//! Tolias, Sicre & Jégou, "Particular object retrieval with integral max-pooling of CNN
//! activations", ICLR 2016, section 3.2: at scale l, regions of side 2·min(W,H)/(l+1) lie evenly
//! along both sides, as many along the shorter as the scale says, and along the longer as many more
//! as make neighbours of the first scale overlap by nearly 40 %. Each region's vector is brought to
//! unit length, then they are summed. The paper whitens each region; here whitening follows the sum.

use super::{mac, to_unit_length};
use crate::backbone::FeatureMap;

/// A square of locations: top row, left column, side.
type Square = (usize, usize, usize);

/// R-MAC: `H×W×C` to `C`. O(levels · H·W·C).
pub(super) fn maxima(map: &FeatureMap, levels: usize) -> Vec<f32> {
    summed(map, levels, |(y, x, side)| {
        mac::maximum_of(map, y..y + side, x..x + side)
    })
}

/// Regional SPoC: the same with each region's average. O(levels · H·W·C).
pub(super) fn averages(map: &FeatureMap, levels: usize) -> Vec<f32> {
    summed(map, levels, |(y, x, side)| {
        let mut sums = vec![0.0f64; map.channels()];
        for location in map.locations_of(y..y + side, x..x + side) {
            for (sum, &value) in sums.iter_mut().zip(location) {
                *sum += f64::from(value);
            }
        }
        let count = (side * side) as f64;
        sums.into_iter().map(|sum| (sum / count) as f32).collect()
    })
}

fn summed(map: &FeatureMap, levels: usize, pool: impl Fn(Square) -> Vec<f32>) -> Vec<f32> {
    let mut sums = vec![0.0f64; map.channels()];
    for square in regions(map.height(), map.width(), levels) {
        let mut vector = pool(square);
        to_unit_length(&mut vector);
        for (sum, value) in sums.iter_mut().zip(vector) {
            *sum += f64::from(value);
        }
    }
    sums.into_iter().map(|sum| sum as f32).collect()
}

/// The regions of a map, coarse ones first.
fn regions(height: usize, width: usize, levels: usize) -> Vec<Square> {
    let short = height.min(width);
    let more = extra_regions(height.max(width), short);
    let (down, across) = if height < width {
        (0, more)
    } else if width < height {
        (more, 0)
    } else {
        (0, 0)
    };
    let mut regions = Vec::new();
    for level in 1..=levels {
        let side = (2 * short / (level + 1)).max(1);
        let places = |length: usize, count: usize| {
            (0..count).map(move |i| i * (length - side) / count.saturating_sub(1).max(1))
        };
        for y in places(height, level + down) {
            regions.extend(places(width, level + across).map(|x| (y, x, side)));
        }
    }
    regions
}

/// How many regions more than one lie along the longer side, so that neighbours' overlap is as near
/// as can be to 40 %; none for a square map.
fn extra_regions(long: usize, short: usize) -> usize {
    let gap = |extra: &usize| {
        let step = (long - short) as f64 / *extra as f64;
        ((short as f64 - step) / short as f64 - 0.4).abs()
    };
    (1..=6)
        .min_by(|a, b| gap(a).total_cmp(&gap(b)))
        .unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_lie_as_in_the_paper() {
        // A square map: one whole, four of two thirds, nine of a half.
        let square = regions(12, 12, 3);
        assert_eq!(square.len(), 1 + 4 + 9);
        assert_eq!(
            square[..5],
            [(0, 0, 12), (0, 0, 8), (0, 4, 8), (4, 0, 8), (4, 4, 8)]
        );
        // 3:4 has one more along the longer side.
        let wide = regions(9, 12, 2);
        assert_eq!(wide[..2], [(0, 0, 9), (0, 3, 9)]);
        assert_eq!(wide.len(), 2 + 2 * 3);
    }

    #[test]
    fn every_region_lies_on_the_map() {
        for height in 1..14 {
            for width in 1..40 {
                for (y, x, side) in regions(height, width, 8) {
                    assert!(side > 0 && y + side <= height && x + side <= width);
                }
            }
        }
    }

    #[test]
    fn a_map_of_one_location_gives_its_direction() {
        let map = FeatureMap::new(1, 1, 2, vec![3.0, 4.0]).unwrap();
        for mut vector in [maxima(&map, 3), averages(&map, 3)] {
            to_unit_length(&mut vector);
            assert!((vector[0] - 0.6).abs() < 1e-6 && (vector[1] - 0.8).abs() < 1e-6);
        }
    }
}
