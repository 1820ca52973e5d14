//! The specification, in plain Rust.

use super::{BLOCK, ENTRIES, Passed, SignRows, Tables};

pub(super) fn scan_signs(
    tables: &Tables,
    rows: &SignRows<'_>,
    least: i32,
    passed: &mut Vec<Passed>,
) {
    rows.check(tables);
    let row_bytes = tables.row_bytes();
    let (entries, _) = tables.entries.as_chunks::<ENTRIES>();
    for block in 0..rows.blocks() {
        let asked = rows.asked(block);
        if asked == 0 {
            continue;
        }
        let signs = &rows.signs[block * BLOCK * row_bytes..][..BLOCK * row_bytes];
        let mut sums = [0u16; BLOCK];
        for (j, bytes) in signs.as_chunks::<BLOCK>().0.iter().enumerate() {
            let first = j / 4 * 8 + j % 4;
            let (low_table, high_table) = (&entries[first], &entries[first + 4]);
            for (sum, &byte) in sums.iter_mut().zip(bytes) {
                let [low, high] = [byte & 15, byte >> 4].map(usize::from);
                *sum += u16::from(low_table[low]) + u16::from(high_table[high]);
            }
        }
        super::pass(sums, tables, rows, (block, asked), least, passed);
    }
}
