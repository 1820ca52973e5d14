//! Where something stands out, without labels.
//!
//! The mask of "Selective convolutional descriptor aggregation" (Wei, Luo, Wu & Zhou, IEEE TIP 2017, equations 1 and 2):
//! places above the mean, of which the largest connected part is kept. What is thresholded is not the sum over channels
//! but the distance from the border's mean feature
//! ([`Weighting::BorderDistance`](crate::descriptor::Weighting::BorderDistance)): a busy table is strong everywhere, and
//! differs from itself nowhere.

use super::Located;
use crate::backbone::FeatureMap;
use crate::descriptor::border_distance;

/// Space around the box, in shares of its sides: the outermost cells of a thing are often half of it.
const MARGIN: f64 = 0.05;
/// A box that holds more of the picture shows nothing that the whole does not.
const LARGEST: f64 = 0.75;
/// A box that holds less is a speck.
const SMALLEST: f64 = 0.02;

/// The box around what stands out; `None` where nothing does, or all of the picture. O(H·W·C).
pub fn salient(map: &FeatureMap) -> Option<Located> {
    let (height, width) = (map.height(), map.width());
    let distances = border_distance(map);
    let mean = distances.iter().sum::<f64>() / distances.len() as f64;
    let mut is_open: Vec<bool> = distances.iter().map(|&distance| distance > mean).collect();
    let total: f64 = distances.iter().sum();
    let mut largest: Option<(f64, [usize; 4])> = None;
    for first in 0..is_open.len() {
        if !is_open[first] {
            continue;
        }
        let part = connected(&mut is_open, width, first);
        let mass: f64 = part.iter().map(|&at| distances[at]).sum();
        if largest.is_none_or(|(most, _)| mass > most) {
            largest = Some((mass, bounds(&part, width)));
        }
    }
    let (mass, [left, top, right, bottom]) = largest?;
    let edges = |first: usize, end: usize, count: usize| {
        let margin = MARGIN * (end - first) as f64;
        [first as f64 - margin, end as f64 + margin].map(|edge| edge / count as f64)
    };
    let [left, right] = edges(left, right, width);
    let [top, bottom] = edges(top, bottom, height);
    let located = Located::between(left, top, right, bottom, (mass / total) as f32)?;
    (SMALLEST..=LARGEST)
        .contains(&located.area())
        .then_some(located)
}

/// The open places that hang together with `first`, by their sides; they are closed.
fn connected(is_open: &mut [bool], width: usize, first: usize) -> Vec<usize> {
    let mut part = vec![first];
    is_open[first] = false;
    let mut next = 0;
    while let Some(&at) = part.get(next) {
        next += 1;
        let x = at % width;
        let beside = [
            (x > 0).then(|| at - 1),
            (x + 1 < width).then_some(at + 1),
            at.checked_sub(width),
            Some(at + width).filter(|&below| below < is_open.len()),
        ];
        for neighbour in beside.into_iter().flatten() {
            if std::mem::replace(&mut is_open[neighbour], false) {
                part.push(neighbour);
            }
        }
    }
    part
}

/// First column and row, and those behind the last.
fn bounds(part: &[usize], width: usize) -> [usize; 4] {
    let start = [usize::MAX, usize::MAX, 0, 0];
    part.iter().fold(start, |[left, top, right, bottom], at| {
        let (x, y) = (at % width, at / width);
        [left.min(x), top.min(y), right.max(x + 1), bottom.max(y + 1)]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A map of one channel, a digit a place.
    fn map(rows: &[&str]) -> FeatureMap {
        let value = |digit: char| digit.to_digit(10).unwrap() as f32;
        let data = rows.iter().flat_map(|row| row.chars().map(value)).collect();
        FeatureMap::new(rows.len(), rows[0].len(), 1, data).unwrap()
    }

    #[test]
    fn the_box_lies_around_what_differs_from_the_border() {
        let found = salient(&map(&[
            "0000000000",
            "0000000000",
            "0008900000",
            "0009900000",
            "0000000090",
            "0000000000",
        ]))
        .unwrap();
        // Columns 3 and 4, rows 2 and 3; the single place is a lesser part.
        let expected = [2.9 / 10.0, 1.9 / 6.0, 2.2 / 10.0, 2.2 / 6.0];
        for (found, expected) in [found.x, found.y, found.width, found.height]
            .into_iter()
            .zip(expected)
        {
            assert!((found - expected).abs() < 1e-9, "{found:?} {expected:?}");
        }
        assert!((found.score - 35.0 / 44.0).abs() < 1e-6);
    }

    #[test]
    fn nothing_and_everything_have_no_box() {
        assert_eq!(salient(&map(&["000", "000", "000"])), None);
        assert_eq!(salient(&map(&["5"])), None);
        let mut most = ["0999999990"; 10];
        [most[0], most[9]] = ["0000000000"; 2];
        assert_eq!(salient(&map(&most)), None, "over three quarters");
        let speck = [
            "0".repeat(40),
            format!("{}9{}", "0".repeat(20), "0".repeat(19)),
        ];
        let speck = [&speck[0][..], &speck[1], &speck[0]];
        assert_eq!(salient(&map(&speck)), None);
    }
}
