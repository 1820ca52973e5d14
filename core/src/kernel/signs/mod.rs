//! Estimates from one bit a dimension: the scan of a list of residual codes.
//!
//! The sign of each component of a row says on which side of its list's centroid it lies. The query is rounded to
//! `v ∈ −15…15`; of four signs at a time a table of 16 entries knows `Σ ±v + 60`, so that a row costs one look-up
//! for four dimensions (André, Kermarrec & Le Scouarnec, *Quicker ADC*, 2019). All numbers are integers: every
//! implementation gives the same.
//!
//! Sixteen rows make a block. Its bytes are `[byte of the row][row]`: byte `j` of a row holds dimensions `8j` (lowest
//! bit) to `8j + 7`, one bit each, 1 for a sign that is not negative.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512vnni;
mod generic;
#[cfg(target_arch = "aarch64")]
mod neon;
#[cfg(test)]
mod tests;

use super::Cpu;

/// Rows of a block.
pub(crate) const BLOCK: usize = 16;
/// Largest magnitude of a component of the query.
pub(crate) const LIMIT: i8 = 15;
/// Most dimensions: sums of table entries stay below 2¹⁶.
pub(crate) const MAX_DIM: usize = 2048;

/// Table entries are sums of four signed components, raised by this to be positive.
const RAISE: i32 = 4 * LIMIT as i32;
/// Entries a table.
const ENTRIES: usize = 16;

/// A query ready for the scan.
#[derive(Clone, Debug)]
pub(crate) struct Tables {
    /// Sixteen entries for each four dimensions; of each 32 dimensions first the tables of the low halves of the four
    /// bytes, then those of the high halves.
    entries: Vec<u8>,
    /// What the raised entries of a row sum to more than the signed components.
    raised: i32,
}

/// A row that passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Passed {
    /// Number of the row within its list.
    pub(crate) row: u32,
    /// `factor · Σ ±v`.
    pub(crate) estimate: i32,
}

/// The rows of a list.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SignRows<'a> {
    /// Rows of the first block that are not the list's, below [`BLOCK`].
    pub(crate) skipped: usize,
    /// Number of rows, those included.
    pub(crate) count: usize,
    /// Blocks of `16 · dim / 8` bytes.
    pub(crate) signs: &'a [u8],
    /// A factor a row, full blocks.
    pub(crate) factors: &'a [u8],
    /// A bit a row, a number a block, for the rows that are asked for; all without.
    pub(crate) asked: Option<&'a [u16]>,
}

/// Appends each row of the list that is asked for and has `factor · Σ ±v ≥ least`. Panics where the slices are
/// shorter than `count` and the tables demand.
pub(crate) type ScanSigns = fn(&Tables, &SignRows<'_>, least: i32, &mut Vec<Passed>);

/// The fastest implementation for a processor.
pub(crate) fn scan_signs(cpu: Cpu) -> ScanSigns {
    #[cfg(target_arch = "x86_64")]
    if let Some(kernel) = avx512vnni::scan_signs(cpu).or_else(|| avx2::scan_signs(cpu)) {
        return kernel;
    }
    #[cfg(target_arch = "aarch64")]
    if let Some(kernel) = neon::scan_signs(cpu) {
        return kernel;
    }
    let _ = cpu;
    generic::scan_signs
}

/// Lets the rows of a block pass whose sums of table entries are these.
fn pass(
    sums: [u16; BLOCK],
    tables: &Tables,
    rows: &SignRows<'_>,
    (block, asked): (usize, u16),
    least: i32,
    passed: &mut Vec<Passed>,
) {
    for (row, sum) in sums.into_iter().enumerate() {
        let at = block * BLOCK + row;
        let signed = i32::from(sum) - tables.raised;
        let estimate = signed * i32::from(rows.factors[at]);
        if asked >> row & 1 == 1 && estimate >= least {
            let row = at as u32;
            passed.push(Passed { row, estimate });
        }
    }
}

impl Tables {
    /// Of components of a magnitude of at most [`LIMIT`]; their number is a multiple of 32 and at most
    /// [`MAX_DIM`].
    pub(crate) fn new(components: &[i8]) -> Self {
        assert!(components.len().is_multiple_of(32) && components.len() <= MAX_DIM);
        debug_assert!(components.iter().all(|v| v.abs() <= LIMIT));
        let (fours, _) = components.as_chunks::<4>();
        let mut entries = vec![0; fours.len() * ENTRIES];
        let (tables, _) = entries.as_chunks_mut::<ENTRIES>();
        for (i, four) in fours.iter().enumerate() {
            let [a, b, c, d] = four.map(i32::from);
            let low = [-a - b, a - b, -a + b, a + b];
            let high = [-c - d, c - d, -c + d, c + d];
            let table = &mut tables[i / 8 * 8 + i % 2 * 4 + i % 8 / 2];
            for (signs, entry) in table.iter_mut().enumerate() {
                *entry = (low[signs % 4] + high[signs / 4] + RAISE) as u8;
            }
        }
        let raised = RAISE * fours.len() as i32;
        Self { entries, raised }
    }

    /// Bytes of signs a row.
    fn row_bytes(&self) -> usize {
        self.entries.len() / (2 * ENTRIES)
    }
}

impl SignRows<'_> {
    /// Appends the rows that are asked for, in their order.
    pub(crate) fn name_rows(&self, rows: &mut Vec<u32>) {
        for block in 0..self.blocks() {
            let mut asked = self.asked(block);
            while asked != 0 {
                rows.push((block * BLOCK) as u32 + asked.trailing_zeros());
                asked &= asked - 1;
            }
        }
    }

    fn blocks(&self) -> usize {
        self.count.div_ceil(BLOCK)
    }

    fn check(&self, tables: &Tables) {
        let blocks = self.blocks();
        assert!(self.skipped < BLOCK, "a block is another's");
        assert!(
            self.signs.len() >= blocks * BLOCK * tables.row_bytes(),
            "too few signs"
        );
        assert!(self.factors.len() >= blocks * BLOCK, "too few factors");
        assert!(
            self.asked.is_none_or(|asked| asked.len() >= blocks),
            "too few bits"
        );
    }

    /// Rows of a block that exist and are asked for.
    fn asked(&self, block: usize) -> u16 {
        let exist = match self.count - block * BLOCK {
            count @ ..BLOCK => (1 << count) - 1,
            _ => u16::MAX,
        };
        let exist = match block {
            0 => exist & u16::MAX << self.skipped,
            _ => exist,
        };
        self.asked.map_or(exist, |asked| asked[block] & exist)
    }
}
