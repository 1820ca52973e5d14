//! MAC: the maximum of each channel over all locations.
//!
//! Tolias, Sicre & Jégou, "Particular object retrieval with integral max-pooling of CNN
//! activations", ICLR 2016, equation 1: f_c = max over locations of x_c.

use crate::backbone::FeatureMap;

/// `H×W×C` to `C`.
pub(super) fn maximum(map: &FeatureMap) -> Vec<f32> {
    maximum_of(map, 0..map.height(), 0..map.width())
}

/// The same of a rectangle of locations, which must not be empty.
pub(super) fn maximum_of(
    map: &FeatureMap,
    rows: std::ops::Range<usize>,
    columns: std::ops::Range<usize>,
) -> Vec<f32> {
    let mut best = vec![f32::NEG_INFINITY; map.channels()];
    for location in map.locations_of(rows, columns) {
        for (best, &value) in best.iter_mut().zip(location) {
            *best = best.max(value);
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_channel_has_its_own_maximum() {
        let map = FeatureMap::new(1, 3, 2, vec![1.0, -4.0, 3.0, -2.0, 2.0, -3.0]).unwrap();
        assert_eq!(maximum(&map), [3.0, -2.0]);
        assert_eq!(maximum_of(&map, 0..1, 2..3), [2.0, -3.0]);
    }
}
