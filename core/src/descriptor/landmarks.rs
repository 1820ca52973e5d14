//! Landmark pooling: heat maps of key points select where features are pooled.
//!
//! Liu, Luo, Qiu, Wang & Tang, "DeepFashion: powering robust clothes recognition and retrieval with
//! rich annotations", CVPR 2016, section 3.1: features around each landmark are pooled by
//! themselves and joined, so that a collar is compared with a collar. A heat map says softly where
//! its landmark is; one that sees nothing gives zeros, as an invisible landmark's features do in
//! the paper.

use crate::backbone::FeatureMap;

/// A map `H×W×C` and heat maps `h×w×K` to `K·C` values: for each landmark the average weighted by
/// its heat, of which negative values count as 0, times its peak's share of the strongest peak.
/// Heat maps of another size are read at the nearest location. O(H·W·C·K).
pub(super) fn pooled(map: &FeatureMap, heat: &FeatureMap) -> Vec<f32> {
    let channels = map.channels();
    let mut sums = vec![0.0f64; channels * heat.channels()];
    let mut totals = vec![0.0f64; heat.channels()];
    let mut peaks = vec![0.0f64; heat.channels()];
    for (at, location) in map.locations().enumerate() {
        let (y, x) = (at / map.width(), at % map.width());
        let weights = heat.location(
            (2 * y + 1) * heat.height() / (2 * map.height()),
            (2 * x + 1) * heat.width() / (2 * map.width()),
        );
        for (landmark, &weight) in weights.iter().enumerate() {
            if weight > 0.0 {
                let weight = f64::from(weight);
                totals[landmark] += weight;
                peaks[landmark] = peaks[landmark].max(weight);
                let block = &mut sums[landmark * channels..][..channels];
                for (sum, &value) in block.iter_mut().zip(location) {
                    *sum += weight * f64::from(value);
                }
            }
        }
    }
    let strongest = peaks.iter().copied().fold(0.0, f64::max);
    let factors = totals.iter().zip(&peaks).map(|(&total, &peak)| {
        if total > 0.0 {
            peak / (strongest * total)
        } else {
            0.0
        }
    });
    let blocks = sums.chunks_exact(channels).zip(factors);
    blocks
        .flat_map(|(block, factor)| block.iter().map(move |sum| (sum * factor) as f32))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_heat_map_selects_its_own_features() {
        let map = FeatureMap::new(1, 4, 2, vec![1.0, 0.0, 3.0, 0.0, 0.0, 5.0, 0.0, 7.0]).unwrap();
        // The first landmark is at the first two locations, the second, half as sure, at the last,
        // the third nowhere.
        let heat = FeatureMap::new(
            1,
            4,
            3,
            vec![1.0, 0.0, -1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.5, 0.0],
        );
        let found = pooled(&map, &heat.unwrap());
        assert_eq!(found, [2.0, 0.0, 0.0, 3.5, 0.0, 0.0]);
    }

    #[test]
    fn heat_maps_may_be_coarser() {
        let map = FeatureMap::new(2, 4, 1, (1..=8).map(|v| v as f32).collect()).unwrap();
        let heat = FeatureMap::new(1, 2, 1, vec![0.0, 1.0]).unwrap();
        assert_eq!(pooled(&map, &heat), [(3.0 + 4.0 + 7.0 + 8.0) / 4.0]);
    }
}
