//! Local features: what a photo shows at each cell of a small grid.

use super::Whitening;
use crate::backbone::FeatureMap;

/// Cells along a side, at most.
const MAX_SIDE: usize = 16;
/// Components of a cell's vector, at most.
pub const MAX_LOCAL_DIM: usize = 64;
/// Locations of the map along a side of a cell.
const CELL: usize = 2;
/// Length of a cell's vector in int8 steps.
const UNIT: f64 = 127.0;

/// A grid of unit vectors in int8: `H×W×D`, at most 16×16×64.
///
/// A cell is the mean of 2×2 locations of a feature map, brought to unit length, projected by the
/// first rows of a whitening, and brought to unit length again. A photo of 320×256 gives 10×8 cells
/// at stride 16; with 48 components they take 3,842 bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalFeatures {
    height: usize,
    width: usize,
    dim: usize,
    values: Vec<i8>,
}

impl LocalFeatures {
    /// Of a map `H×W×C` and a whitening of `C` channels, whose first `dim` components are kept: they tell things
    /// apart best. O(H·W·C·dim / 4).
    ///
    /// `None` where the channels differ or `dim` is 0 or larger than [`MAX_LOCAL_DIM`] or than the whitening has.
    pub fn of_map(map: &FeatureMap, whitening: &Whitening, dim: usize) -> Option<Self> {
        let fits = (1..=whitening.dim().min(MAX_LOCAL_DIM)).contains(&dim);
        if !fits || map.channels() != whitening.channels() {
            return None;
        }
        let cells = |side: usize| side.div_ceil(CELL).min(MAX_SIDE);
        let (height, width) = (cells(map.height()), cells(map.width()));
        let locations: Vec<&[f32]> = map.locations().collect();
        let whitening = whitening.first(dim);
        let mut values = Vec::with_capacity(height * width * dim);
        let mut sum = vec![0.0f64; map.channels()];
        for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
            let rows = span(y, height, map.height());
            sum.fill(0.0);
            for row in rows {
                for column in span(x, width, map.width()) {
                    let location = locations[row * map.width() + column];
                    for (sum, &value) in sum.iter_mut().zip(location) {
                        *sum += f64::from(value);
                    }
                }
            }
            values.extend(cell(&mut sum, &whitening));
        }
        Some(Self {
            height,
            width,
            dim,
            values,
        })
    }

    /// Rows of cells.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Cells in a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Components of a cell's vector.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// All vectors, row by row of the grid.
    pub fn values(&self) -> &[i8] {
        &self.values
    }

    /// The vector of each cell, row by row.
    pub fn cells(&self) -> impl ExactSizeIterator<Item = &[i8]> {
        self.values.chunks_exact(self.dim)
    }

    /// Middle of each cell in units of the longer side of the grid.
    pub(crate) fn centres(&self) -> impl Iterator<Item = (f64, f64)> {
        let side = self.height.max(self.width) as f64;
        let (height, width) = (self.height, self.width);
        (0..height).flat_map(move |y| {
            (0..width).map(move |x| ((x as f64 + 0.5) / side, (y as f64 + 0.5) / side))
        })
    }

    /// Height and width in a byte each, then the vectors.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![self.height as u8, self.width as u8];
        bytes.extend(self.values.iter().map(|value| value.cast_unsigned()));
        bytes
    }

    /// Reads one from the front of `bytes`, with `dim` components a cell; gives it and the bytes behind it. `None`
    /// where that is no such thing.
    pub fn from_bytes(bytes: &[u8], dim: usize) -> Option<(Self, &[u8])> {
        let (&[height, width], rest) = bytes.split_first_chunk()?;
        let (height, width) = (usize::from(height), usize::from(width));
        let sides = 1..=MAX_SIDE;
        if !sides.contains(&height) || !sides.contains(&width) || dim > MAX_LOCAL_DIM || dim == 0 {
            return None;
        }
        let (values, rest) = rest.split_at_checked(height * width * dim)?;
        let values = values.iter().map(|&byte| byte.cast_signed()).collect();
        let read = Self {
            height,
            width,
            dim,
            values,
        };
        Some((read, rest))
    }
}

/// The locations that a cell covers.
fn span(cell: usize, cells: usize, locations: usize) -> std::ops::Range<usize> {
    let first = cell * locations / cells;
    first..((cell + 1) * locations / cells).max(first + 1)
}

/// Unit length, projection, unit length, int8.
fn cell(sum: &mut [f64], whitening: &Whitening) -> Vec<i8> {
    to_unit_length(sum);
    let mut projected = whitening.project(sum);
    to_unit_length(&mut projected);
    projected
        .iter()
        .map(|value| (value * UNIT).round() as i8)
        .collect()
}

fn to_unit_length(values: &mut [f64]) {
    let length = values.iter().map(|value| value * value).sum::<f64>().sqrt();
    if length > 0.0 {
        values.iter_mut().for_each(|value| *value /= length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(channels: usize) -> Whitening {
        let rows = (0..channels * channels).map(|i| f32::from(u8::from(i % (channels + 1) == 0)));
        Whitening::new(vec![0.0; channels], &rows.collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn a_cell_is_the_direction_of_the_mean_of_its_locations() {
        // 2×4 locations, two cells: the sums are (4, 4) and (0, 8).
        let data = vec![
            4.0, 0.0, 0.0, 4.0, 0.0, 1.0, 0.0, 3.0, 0.0, 0.0, 0.0, 0.0, 0.0, 2.0, 0.0, 2.0,
        ];
        let map = FeatureMap::new(2, 4, 2, data).unwrap();
        let found = LocalFeatures::of_map(&map, &identity(2), 2).unwrap();
        assert_eq!((found.height(), found.width()), (1, 2));
        // 127 / √2 = 89.8.
        assert_eq!(found.values(), [90, 90, 0, 127]);
    }

    #[test]
    fn large_maps_and_odd_sides_keep_to_the_grid() {
        for (height, width) in [(1, 1), (3, 5), (40, 33), (70, 2)] {
            let map = FeatureMap::new(height, width, 1, vec![1.0; height * width]).unwrap();
            let found = LocalFeatures::of_map(&map, &identity(1), 1).unwrap();
            assert_eq!(found.height(), height.div_ceil(2).min(MAX_SIDE));
            assert_eq!(found.width(), width.div_ceil(2).min(MAX_SIDE));
            assert!(found.values().iter().all(|&value| value == 127));
        }
    }

    #[test]
    fn bytes_come_back_and_others_are_refused() {
        let map = FeatureMap::new(4, 6, 2, (0..48).map(|i| (i % 7) as f32).collect()).unwrap();
        let features = LocalFeatures::of_map(&map, &identity(2), 2).unwrap();
        let mut bytes = features.to_bytes();
        bytes.push(9);
        assert_eq!(
            LocalFeatures::from_bytes(&bytes, 2),
            Some((features, &[9][..]))
        );
        for length in 0..bytes.len() - 1 {
            assert_eq!(LocalFeatures::from_bytes(&bytes[..length], 2), None);
        }
        for damaged in [[0, 1], [1, 0], [17, 1], [1, 17], [255, 255]] {
            bytes[..2].copy_from_slice(&damaged);
            assert_eq!(LocalFeatures::from_bytes(&bytes, 2), None);
        }
    }
}
