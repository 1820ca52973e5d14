//! Rows to lists.
//!
//! A row `x` (a unit vector) of the list with centroid `c` becomes `c + g·u`: `u` is the residual `x − c` rounded to 128
//! neighbouring odd numbers of which the first is the residual's least component and the last its greatest: from
//! `2·shift − 127` to `2·shift + 127`. `g` makes the sum a unit vector again. With `s` -1 for the lower and 1 for the upper half
//! of these numbers, `f = g·Σu²/Σs·u` makes `⟨c, q⟩ + f·⟨s, q⟩` an unbiased estimate of the score.
//! Sums are of integers or in the order of the dimensions in f64: equal rows give equal bytes everywhere.

use super::cluster::Centroids;
use super::layout::{Form, SHIFT_BITS};
use super::margins::{Places, measure};
use super::{BLOCK, ENTRY_BYTES, Entry, ListHead, Lists, Margins};
use crate::index::quantise::{unit, wide};
use crate::kernel::Cpu;
use crate::kernel::codes::{GROUP, GROUP_BYTES};

/// The gain may be so far from that of least squares to make a unit vector.
const GAIN_SLACK: f64 = 0.1;

/// Rows as a segment without lists has them: in 8 bits, and four more that the codes come of.
#[derive(Clone, Copy, Debug)]
pub(in crate::index) struct Rows<'a> {
    /// Padded number of dimensions.
    pub(in crate::index) dim: usize,
    /// `dim` numbers a row.
    pub(in crate::index) values: &'a [i8],
    /// `dim / 2` bytes a row.
    pub(in crate::index) fine: &'a [u8],
    /// Inverse norm of each row.
    pub(in crate::index) units: &'a [f32],
    /// Number of the item of each row.
    pub(in crate::index) items: &'a [u32],
}

/// The sections of a segment with lists.
#[derive(Clone, Debug)]
pub(in crate::index) struct Encoded {
    pub(in crate::index) head: ListHead,
    pub(in crate::index) centroids: Vec<i8>,
    pub(in crate::index) table: Vec<u8>,
    pub(in crate::index) rows: Vec<u8>,
}

impl<'a> Rows<'a> {
    pub(super) fn len(&self) -> usize {
        self.units.len()
    }

    pub(super) fn row(&self, row: usize) -> &'a [i8] {
        &self.values[row * self.dim..][..self.dim]
    }

    /// All twelve bits of a row.
    fn wide(&self, row: usize) -> Vec<i32> {
        let half = self.dim / 2;
        wide(self.row(row), &self.fine[row * half..][..half]).collect()
    }

    /// The row is a unit vector times this.
    pub(super) fn unit(&self, row: usize) -> f64 {
        f64::from(self.units[row])
    }
}

/// Lays out rows of `items` items with `dim` dimensions, without padding, in lists.
pub(in crate::index) fn encode(cpu: Cpu, rows: &Rows<'_>, dim: usize, items: u32) -> Encoded {
    let centroids = Centroids::train(cpu, rows, list_count(rows.len()));
    let all: Vec<u32> = (0..rows.len() as u32).collect();
    let nearest = centroids.assign(cpu, rows, &all);
    let mut members = vec![Vec::new(); centroids.len()];
    for (row, list) in all.into_iter().zip(nearest) {
        members[list as usize].push(row);
    }

    let item_bits = (u32::BITS - items.saturating_sub(1).leading_zeros()).max(1);
    let mut encoded = Encoded {
        head: ListHead {
            rows: rows.len() as u32,
            lists: 0,
            item_bits,
            margins: Margins::default(),
        },
        centroids: Vec::new(),
        table: Vec::new(),
        rows: Vec::new(),
    };
    let order: Vec<u32> = members.concat();
    let mut written = Written::new(rows.len(), rows.dim);
    let mut of_rows = vec![(0, 0); rows.len()];
    let mut first = 0;
    for (number, members) in members
        .iter()
        .enumerate()
        .filter(|(_, rows)| !rows.is_empty())
    {
        let scale = centroids.scales[number];
        let centroid = Centroid {
            values: centroids.row(number),
            scale,
        };
        let codes: Vec<Code> = members
            .iter()
            .map(|&row| Code::new(&rows.wide(row as usize), &centroid, dim))
            .collect();
        let largest = |of: fn(&Code) -> f64| codes.iter().map(of).fold(0.0, f64::max);
        let entry = Entry {
            place: 0,
            first,
            count: members.len() as u32,
            scale,
            gain_scale: (largest(|code| code.gain) / f64::from(MOST_GAIN)) as f32,
            factor_scale: (largest(|code| code.factor) / f64::from(u8::MAX)) as f32,
        };
        encoded.table.extend(entry.to_bytes());
        encoded.centroids.extend(centroid.values);
        for code in &codes {
            written.push(code, &entry);
        }
        for (&row, at) in members.iter().zip(0..) {
            of_rows[row as usize] = (encoded.head.lists, at);
        }
        encoded.head.lists += 1;
        first += entry.count;
    }
    let items = order.iter().map(|&row| rows.items[row as usize]);
    encoded.rows = written.finish(items, item_bits);
    let lists = &encoded.lists(rows.dim);
    let of_rows = &of_rows;
    encoded.head.margins = measure(
        &Places {
            cpu,
            rows,
            lists,
            of_rows,
        },
        dim,
    );
    encoded
}

/// Lists for so many rows, a multiple of 16: one for [`ROWS_A_LIST`] as long as there are not too many, since training and
/// assigning take time with their number; then [`LISTS_BY_ROOT`] times the root.
fn list_count(rows: usize) -> usize {
    let root = (rows as f64).sqrt() * LISTS_BY_ROOT;
    rows.div_ceil(ROWS_A_LIST)
        .min(MOST_LISTS.max(root as usize))
        .next_multiple_of(16)
}

const ROWS_A_LIST: usize = 50;
const MOST_LISTS: usize = 1280;
const LISTS_BY_ROOT: f64 = 2.0;

/// Largest number of a gain: what its shift leaves of sixteen bits.
const MOST_GAIN: u16 = u16::MAX >> SHIFT_BITS;
/// Shifts are from minus this to one less.
const SHIFTS: i32 = 1 << SHIFT_BITS >> 1;

impl Encoded {
    pub(super) fn lists(&self, dim: usize) -> Lists<'_> {
        debug_assert_eq!(self.table.len(), self.head.lists as usize * ENTRY_BYTES);
        let sections = [&self.table[..], &self.rows];
        Lists::new(
            self.head,
            dim,
            Form::Together,
            sections,
            &self.centroids,
            None,
        )
    }
}

struct Centroid<'a> {
    values: &'a [i8],
    scale: f32,
}

/// A row as its list holds it.
struct Code {
    /// `t = (u + 127) / 2 - shift`, 0 to 127; 0 where dimensions are padded.
    code: Vec<u8>,
    shift: i32,
    gain: f64,
    factor: f64,
}

impl Code {
    /// Of a row in twelve bits.
    fn new(row: &[i32], centroid: &Centroid<'_>, dim: usize) -> Self {
        let unit = unit(row);
        let scale = f64::from(centroid.scale);
        let centre = &centroid.values[..dim];
        let pairs = row[..dim].iter().zip(centre);
        let residual: Vec<f64> = pairs
            .map(|(&x, &c)| f64::from(x) * unit - f64::from(c) * scale)
            .collect();
        let (shift, width) = cells(&residual);
        let mut code = Vec::with_capacity(row.len());
        let (mut squares, mut with_centre, mut centre_squares, mut with_residual) = (0, 0, 0, 0.0);
        // Without the shift: what all components have in common is no matter of an estimate.
        let (mut squares_within, mut magnitudes) = (0, 0);
        for (&r, &c) in residual.iter().zip(centre) {
            let cell = match width {
                0.0 => 64,
                _ => ((r / width).floor() as i64 + i64::from(64 - shift)).clamp(0, 127),
            };
            code.push(cell as u8);
            let (within, c) = (2 * cell - 127, i64::from(c));
            let u = within + 2 * i64::from(shift);
            squares += u * u;
            with_centre += u * c;
            centre_squares += c * c;
            with_residual += u as f64 * r;
            squares_within += within * within;
            magnitudes += within.abs();
        }
        let squares = squares as f64;
        // g² Σu² + 2 g ⟨c, u⟩ + ‖c‖² = 1.
        let half_linear = with_centre as f64 * scale;
        let constant = centre_squares as f64 * scale * scale - 1.0;
        let root = (half_linear * half_linear - squares * constant)
            .max(0.0)
            .sqrt();
        let least_squares = (with_residual / squares).max(0.0);
        let gain = ((root - half_linear) / squares).clamp(
            least_squares * (1.0 - GAIN_SLACK),
            least_squares * (1.0 + GAIN_SLACK),
        );
        code.resize(row.len(), 0);
        Self {
            code,
            shift,
            gain,
            factor: gain * squares_within as f64 / magnitudes as f64,
        }
    }
}

/// The shift of a residual and the width of its cells: the least width with which 128 cells, `64 - shift` of them below zero,
/// reach from the least component to the greatest.
fn cells(residual: &[f64]) -> (i32, f64) {
    let (mut lowest, mut highest) = (0.0f64, 0.0f64);
    for &r in residual {
        lowest = lowest.min(r);
        highest = highest.max(r);
    }
    let mut least = (0, f64::INFINITY);
    for shift in -SHIFTS..SHIFTS {
        let (below, above) = (f64::from(64 - shift), f64::from(64 + shift));
        let width = (lowest.abs() / below).max(highest / above);
        if width < least.1 {
            least = (shift, width);
        }
    }
    least
}

/// Rows in their order: signs and codes as they stay, gains and factors that come behind them.
struct Written {
    rows: Vec<u8>,
    count: usize,
    gains: Vec<u8>,
    factors: Vec<u8>,
}

impl Written {
    /// For so many rows.
    fn new(rows: usize, dim: usize) -> Self {
        let signs = rows.next_multiple_of(BLOCK) * dim / 8;
        let mut written = Self {
            rows: Vec::with_capacity(signs + rows * (dim / GROUP * GROUP_BYTES + 8)),
            count: 0,
            gains: Vec::with_capacity(2 * rows),
            factors: Vec::with_capacity(rows.next_multiple_of(BLOCK)),
        };
        written.rows.resize(signs, 0);
        written
    }

    fn push(&mut self, code: &Code, entry: &Entry) {
        let bytes = code.code.len() / 8;
        let start = self.count / BLOCK * BLOCK * bytes + self.count % BLOCK;
        for (j, eight) in code.code.as_chunks::<8>().0.iter().enumerate() {
            let bits = eight.iter().enumerate().map(|(i, t)| (t >> 6) << i);
            self.rows[start + j * BLOCK] = bits.fold(0, |byte, bit| byte | bit);
        }
        for group in code.code.as_chunks::<GROUP>().0 {
            let start = self.rows.len();
            self.rows.resize(start + GROUP_BYTES, 0);
            let (nibbles, pairs) = self.rows[start..].split_at_mut(GROUP / 2);
            for (i, &t) in group.iter().enumerate() {
                nibbles[i % 32] |= (t & 15) << (i / 32 * 4);
                pairs[i % 16] |= (t >> 4 & 3) << (i / 16 * 2);
            }
        }
        let rounded = |value: f64, scale: f32, most: f64| match f64::from(scale) {
            0.0 => 0.0,
            scale => (value / scale).round().min(most),
        };
        let gain = rounded(code.gain, entry.gain_scale, f64::from(MOST_GAIN)) as u16;
        let shift = (code.shift + SHIFTS) as u16;
        self.gains
            .extend((gain << SHIFT_BITS | shift).to_le_bytes());
        let factor = rounded(code.factor, entry.factor_scale, f64::from(u8::MAX));
        self.factors.push(factor as u8);
        self.count += 1;
    }

    /// With the number of the item of each row.
    fn finish(mut self, items: impl Iterator<Item = u32>, item_bits: u32) -> Vec<u8> {
        self.rows.extend(&self.gains);
        self.factors.resize(self.count.next_multiple_of(BLOCK), 0);
        self.rows.extend(&self.factors);
        write_packed(&mut self.rows, items, item_bits);
        self.rows
    }
}

/// Numbers of `bits` bits each, lowest bits first.
pub(super) fn write_packed(out: &mut Vec<u8>, numbers: impl Iterator<Item = u32>, bits: u32) {
    let (mut word, mut filled) = (0u64, 0);
    for number in numbers {
        word |= u64::from(number) << filled;
        filled += bits;
        while filled >= 8 {
            out.push(word as u8);
            word >>= 8;
            filled -= 8;
        }
    }
    if filled > 0 {
        out.push(word as u8);
    }
}
