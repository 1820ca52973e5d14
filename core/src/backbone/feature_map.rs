//! What a tap gives: one vector of channels at every location.

/// A feature map, `H×W×C`, channels innermost, so that a location is one contiguous vector.
#[derive(Clone, Debug, PartialEq)]
pub struct FeatureMap {
    height: usize,
    width: usize,
    channels: usize,
    data: Vec<f32>,
}

impl FeatureMap {
    /// Takes `height × width × channels` values; `None` when a side is zero or the length differs.
    pub fn new(height: usize, width: usize, channels: usize, data: Vec<f32>) -> Option<Self> {
        let expected = height.checked_mul(width)?.checked_mul(channels)?;
        (expected > 0 && expected == data.len()).then_some(Self {
            height,
            width,
            channels,
            data,
        })
    }

    /// Transposes `C×H×W` planes, as ONNX runtimes give them, to `H×W×C`.
    pub fn from_planes(
        channels: usize,
        height: usize,
        width: usize,
        planes: &[f32],
    ) -> Option<Self> {
        let locations = height.checked_mul(width)?;
        if locations == 0 || channels == 0 || locations.checked_mul(channels)? != planes.len() {
            return None;
        }
        let mut data = vec![0.0; planes.len()];
        for (channel, plane) in planes.chunks_exact(locations).enumerate() {
            for (location, &value) in plane.iter().enumerate() {
                data[location * channels + channel] = value;
            }
        }
        Some(Self {
            height,
            width,
            channels,
            data,
        })
    }

    /// Rows of locations.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Columns of locations.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Channels a location.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// The locations row by row, each a slice of `C` channels.
    pub fn locations(&self) -> impl ExactSizeIterator<Item = &[f32]> {
        self.data.chunks_exact(self.channels)
    }

    /// All values, location by location.
    pub fn data(&self) -> &[f32] {
        &self.data
    }

    /// The channels of one location. Panics outside of the map.
    pub fn location(&self, row: usize, column: usize) -> &[f32] {
        assert!(
            row < self.height && column < self.width,
            "a location of the map"
        );
        &self.data[(row * self.width + column) * self.channels..][..self.channels]
    }

    /// The locations of a rectangle, row by row. Panics outside of the map.
    pub fn locations_of(
        &self,
        rows: std::ops::Range<usize>,
        columns: std::ops::Range<usize>,
    ) -> impl Iterator<Item = &[f32]> {
        rows.flat_map(move |row| {
            columns
                .clone()
                .map(move |column| self.location(row, column))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planes_become_locations() {
        let planes = [
            1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0,
        ];
        let map = FeatureMap::from_planes(2, 2, 3, &planes).unwrap();
        let locations: Vec<_> = map.locations().collect();
        assert_eq!(locations[0], [1.0, 10.0]);
        assert_eq!(locations[4], [5.0, 50.0]);
    }

    #[test]
    fn wrong_lengths_are_refused() {
        assert!(FeatureMap::new(2, 2, 2, vec![0.0; 7]).is_none());
        assert!(FeatureMap::new(0, 2, 2, vec![]).is_none());
        assert!(FeatureMap::from_planes(usize::MAX, 2, 2, &[0.0; 8]).is_none());
    }
}
