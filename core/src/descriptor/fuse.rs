//! Early fusion: maps of several taps brought to one grid and joined channel by channel.
//!
//! Zheng, Zhao, Wang, Wang & Tian, "Good practice in CNN feature transfer" (2016), and the winning
//! scheme of large-scale product search contests of 2015, which max-pools the maps of eight stages
//! to one size, weighs channels by a 1×1 convolution and sums (`multi-level` of `presets.rs`). A 1×1
//! convolution without a bend commutes with the sum, so it is the part's whitening: with whitening
//! learned from pairs its weights are what tells things apart and captures of one thing do not change.

use serde::{Deserialize, Serialize};

use crate::backbone::FeatureMap;

/// How a finer map comes to the coarsest grid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resize {
    /// The average of the cells that fall into one.
    #[default]
    Average,
    /// Their maximum.
    Max,
}

/// Maps of one photo to one: the least height and the least width of all, channels in the order of
/// the maps. Each map is divided by its features' mean length, since taps differ in scale.
pub(super) fn joined(maps: &[&FeatureMap], resize: Resize) -> FeatureMap {
    let least =
        |side: fn(&FeatureMap) -> usize| maps.iter().map(|map| side(map)).min().unwrap_or(1);
    let (height, width) = (least(FeatureMap::height), least(FeatureMap::width));
    let channels: usize = maps.iter().map(|map| map.channels()).sum();
    let mut data = vec![0.0f32; height * width * channels];
    let mut first = 0;
    for map in maps {
        let scale = 1.0 / mean_length(map);
        for (at, location) in data.chunks_exact_mut(channels).enumerate() {
            let (y, x) = (at / width, at % width);
            let cell = |i: usize, coarse: usize, fine: usize| {
                i * fine / coarse..((i + 1) * fine).div_ceil(coarse)
            };
            let (rows, columns) = (cell(y, height, map.height()), cell(x, width, map.width()));
            let count = (rows.len() * columns.len()) as f64;
            let target = &mut location[first..first + map.channels()];
            match resize {
                Resize::Average => {
                    let mut sums = vec![0.0f64; map.channels()];
                    for source in map.locations_of(rows, columns) {
                        for (sum, &value) in sums.iter_mut().zip(source) {
                            *sum += f64::from(value);
                        }
                    }
                    for (value, sum) in target.iter_mut().zip(sums) {
                        *value = (sum / count * scale) as f32;
                    }
                }
                Resize::Max => {
                    let best = super::mac::maximum_of(map, rows, columns);
                    for (value, best) in target.iter_mut().zip(best) {
                        *value = (f64::from(best) * scale) as f32;
                    }
                }
            }
        }
        first += map.channels();
    }
    FeatureMap::new(height, width, channels, data).expect("sides and channels of real maps")
}

/// 1 for a map without any response.
fn mean_length(map: &FeatureMap) -> f64 {
    let length = |location: &[f32]| {
        let squares = location.iter().map(|&v| f64::from(v) * f64::from(v));
        squares.sum::<f64>().sqrt()
    };
    let mean = map.locations().map(length).sum::<f64>() / (map.height() * map.width()) as f64;
    if mean > 0.0 { mean } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finer_maps_are_pooled_to_the_coarsest_grid() {
        let fine = FeatureMap::new(2, 4, 1, (0..8).map(|v| v as f32).collect()).unwrap();
        let coarse = FeatureMap::new(1, 2, 1, vec![6.0, 2.0]).unwrap();
        // Mean lengths: 3.5 and 4.
        let average = joined(&[&fine, &coarse], Resize::Average);
        assert_eq!(
            (average.height(), average.width(), average.channels()),
            (1, 2, 2)
        );
        let found: Vec<f32> = average.locations().flatten().copied().collect();
        assert_eq!(found, [(2.5 / 3.5) as f32, 1.5, (4.5 / 3.5) as f32, 0.5]);
        let max = joined(&[&fine, &coarse], Resize::Max);
        let found: Vec<f32> = max.locations().flatten().copied().collect();
        assert_eq!(found, [(5.0 / 3.5) as f32, 1.5, 2.0, 0.5]);
    }
}
