//! The boxes of a detector that a bundle brings: an output of its network, read densely.
//!
//! Every place of the map says how sure it is that it lies in a thing, and how far it is from there to the thing's edges
//! (Tian, Shen, Chen & He, "FCOS: fully convolutional one-stage object detection", ICCV 2019, section 3.1; one class).

use super::Located;
use crate::backbone::FeatureMap;

/// Values of a place: the score before its sigmoid, then the distances from its middle to the left, top, right and
/// bottom edge, in places of the map.
const CHANNELS: usize = 5;

/// Less sure boxes are none.
const LEAST_SCORE: f32 = 0.5;
/// Boxes that overlap more are of one thing; the less sure one goes.
const MOST_OVERLAP: f64 = 0.5;

/// At most `most` boxes of a map `H×W×5`, the surest first; none of a map with other channels.
/// O(H·W·(log(H·W) + most)).
pub fn detected(map: &FeatureMap, most: usize) -> Vec<Located> {
    if map.channels() != CHANNELS {
        return Vec::new();
    }
    let mut boxes: Vec<Located> = map
        .locations()
        .enumerate()
        .filter_map(|(at, values)| {
            let score = sigmoid(values[0]);
            let (x, y) = (at % map.width(), at / map.width());
            let edges = |middle: usize, before: f32, behind: f32, count: usize| {
                let middle = middle as f64 + 0.5;
                [middle - f64::from(before), middle + f64::from(behind)]
                    .map(|edge| edge / count as f64)
            };
            let [left, right] = edges(x, values[1], values[3], map.width());
            let [top, bottom] = edges(y, values[2], values[4], map.height());
            let located = Located::between(left, top, right, bottom, score)?;
            (score >= LEAST_SCORE).then_some(located)
        })
        .collect();
    // Stable: of equals the upper left one first.
    boxes.sort_by(|a, b| b.score.total_cmp(&a.score));
    let mut kept: Vec<Located> = Vec::new();
    for one in boxes {
        if kept.len() == most {
            break;
        }
        if kept.iter().all(|other| one.overlap(other) <= MOST_OVERLAP) {
            kept.push(one);
        }
    }
    kept
}

fn sigmoid(logit: f32) -> f32 {
    1.0 / (1.0 + libm::expf(-logit))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(height: usize, width: usize, places: &[(usize, [f32; 5])]) -> FeatureMap {
        let mut data = [-9.0, 0.0, 0.0, 0.0, 0.0].repeat(height * width);
        for (at, values) in places {
            data[at * 5..][..5].copy_from_slice(values);
        }
        FeatureMap::new(height, width, 5, data).unwrap()
    }

    #[test]
    fn a_place_tells_its_edges() {
        let found = detected(&map(2, 4, &[(5, [0.0, 0.5, 1.0, 1.5, 0.5])]), 3);
        assert_eq!(found.len(), 1);
        let [found] = found[..] else { unreachable!() };
        // The middle of column 1, row 1.
        assert_eq!((found.x, found.y), (0.25, 0.25));
        assert_eq!((found.width, found.height), (0.5, 0.75));
        assert_eq!(found.score, 0.5);
    }

    #[test]
    fn of_boxes_on_one_thing_the_surest_is_kept() {
        let wide = [2.0, 1.0, 2.0, 1.0];
        let place = |at, logit: f32| (at, [logit, wide[0], wide[1], wide[2], wide[3]]);
        // Columns 1 and 2 of row 1 see one thing, column 7 another.
        let found = detected(
            &map(3, 8, &[place(9, 1.0), place(10, 2.0), place(15, 0.5)]),
            3,
        );
        let places: Vec<f64> = found.iter().map(|one| one.x * 8.0).collect();
        assert_eq!(places.len(), 2, "{found:?}");
        assert!((places[0] - 0.5).abs() < 1e-9 && places[1] > 5.0);
        assert_eq!(
            detected(&map(3, 8, &[place(9, 1.0), place(15, 0.5)]), 1).len(),
            1
        );
    }

    #[test]
    fn what_is_no_box_is_left_out() {
        let broken = [
            (0, [f32::NAN, 1.0, 1.0, 1.0, 1.0]),
            (1, [9.0, f32::NAN, 1.0, 1.0, 1.0]),
            (2, [9.0, -1.0, 1.0, 0.0, 1.0]),
            (3, [-0.1, 1.0, 1.0, 1.0, 1.0]),
        ];
        assert_eq!(detected(&map(1, 4, &broken), 9), []);
        let everywhere = [(
            0,
            [
                9.0,
                f32::INFINITY,
                f32::INFINITY,
                f32::INFINITY,
                f32::INFINITY,
            ],
        )];
        assert_eq!(detected(&map(1, 4, &everywhere), 9)[0].area(), 1.0);
        let other = FeatureMap::new(1, 1, 4, vec![9.0; 4]).unwrap();
        assert_eq!(detected(&other, 9), []);
    }
}
