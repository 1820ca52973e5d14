//! MOP-CNN: multi-scale orderless pooling.
//!
//! Gong, Wang, Guo & Lazebnik, "Multi-scale orderless pooling of deep convolutional activation
//! features", ECCV 2014, section 3: the whole photo's activation, and VLAD of the activations of
//! windows at two finer scales, joined at unit length each. The paper runs the network on every
//! window; here windows lie on the map, and a window's feature is its average.

use super::codebook::Codebook;
use super::{to_unit_length, vlad};
use crate::backbone::FeatureMap;

/// `H×W×C` to `local + 2·K·local` values, with one codebook for windows of a half and one for
/// windows of a quarter of each side. O(H·W·(C + K·local)) with a small factor.
pub(super) fn encode(map: &FeatureMap, codebooks: &[Codebook]) -> Vec<f32> {
    let mut values = Vec::new();
    for (level, codebook) in codebooks.iter().enumerate() {
        if level == 0 {
            let whole = averaged(map, (0, 0), (map.height(), map.width()));
            values.extend(codebook.local_feature(&whole));
        }
        let windows = windows(map, level);
        let locals: Vec<Vec<f32>> = windows.iter().map(|w| codebook.local_feature(w)).collect();
        let mut encoded = vlad::encode(&locals, codebook);
        to_unit_length(&mut encoded);
        values.extend(encoded);
    }
    values
}

/// The averages of the windows of a level (0: a half of each side, 1: a quarter), which overlap by
/// half.
pub(crate) fn windows(map: &FeatureMap, level: usize) -> Vec<Vec<f32>> {
    let part = 2 << level;
    let side = |length: usize| length.div_ceil(part);
    let starts = |length: usize| {
        let (side, last) = (side(length), length - side(length));
        let count = last.div_ceil((side / 2).max(1));
        (0..=count).map(move |i| last * i / count.max(1))
    };
    let size = (side(map.height()), side(map.width()));
    let mut windows = Vec::new();
    for y in starts(map.height()) {
        windows.extend(starts(map.width()).map(|x| averaged(map, (y, x), size)));
    }
    windows
}

fn averaged(map: &FeatureMap, (y, x): (usize, usize), (high, wide): (usize, usize)) -> Vec<f32> {
    let mut sums = vec![0.0f64; map.channels()];
    for location in map.locations_of(y..y + high, x..x + wide) {
        for (sum, &value) in sums.iter_mut().zip(location) {
            *sum += f64::from(value);
        }
    }
    let count = (high * wide) as f64;
    sums.into_iter().map(|sum| (sum / count) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::super::codebook::tests::plain;
    use super::*;

    #[test]
    fn windows_cover_the_map_and_overlap() {
        let data = (0..8).flat_map(|x| [x as f32, 1.0]).collect();
        let map = FeatureMap::new(1, 8, 2, data).unwrap();
        let at = |level| -> Vec<f32> { windows(&map, level).iter().map(|w| w[0]).collect() };
        assert_eq!(at(0), [1.5, 3.5, 5.5]);
        assert_eq!(at(1), [0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5]);
        let one = FeatureMap::new(1, 1, 2, vec![1.0, 2.0]).unwrap();
        assert_eq!(windows(&one, 1), [[1.0, 2.0]]);
    }

    #[test]
    fn levels_are_joined_at_unit_length() {
        let codebook = plain(&[1.0, 0.0, 0.0, 1.0], None);
        let data = (0..16).flat_map(|x| [x as f32, 3.0]).collect();
        let map = FeatureMap::new(4, 4, 2, data).unwrap();
        let found = encode(&map, &[codebook.clone(), codebook]);
        assert_eq!(found.len(), 2 + 4 + 4);
        for level in [&found[..2], &found[2..6], &found[6..]] {
            let norm: f32 = level.iter().map(|v| v * v).sum();
            assert!((norm - 1.0).abs() < 1e-5, "{level:?}");
        }
    }
}
