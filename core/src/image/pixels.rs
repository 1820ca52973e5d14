//! An upright colour image in memory: what every decoder produces and every resizer takes.

/// 8-bit RGB, row by row from the top left: `height × width × 3` bytes, no padding.
#[derive(Clone, PartialEq, Eq)]
pub struct Pixels {
    width: u32,
    height: u32,
    data: Vec<u8>,
}

impl Pixels {
    /// Takes `height × width × 3` bytes of RGB; `None` when a side is zero or the length differs.
    pub fn from_rgb(width: u32, height: u32, data: Vec<u8>) -> Option<Self> {
        let expected = u64::from(width) * u64::from(height) * 3;
        (width > 0 && height > 0 && data.len() as u64 == expected).then_some(Self {
            width,
            height,
            data,
        })
    }

    /// Columns, at least 1.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Rows, at least 1.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// The RGB bytes, `height × width × 3`.
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// The RGB bytes, writable.
    pub fn data_mut(&mut self) -> &mut [u8] {
        &mut self.data
    }

    /// Gives the RGB bytes away.
    pub fn into_data(self) -> Vec<u8> {
        self.data
    }

    /// Red, green and blue at column `x`, row `y`. Panics outside of the image.
    pub fn get(&self, x: u32, y: u32) -> [u8; 3] {
        assert!(
            x < self.width && y < self.height,
            "({x}, {y}) is outside of the image"
        );
        let at = 3 * (y as usize * self.width as usize + x as usize);
        [self.data[at], self.data[at + 1], self.data[at + 2]]
    }
}

impl std::fmt::Debug for Pixels {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pixels({}×{})", self.width, self.height)
    }
}
