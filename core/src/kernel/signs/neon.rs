//! NEON: one byte of sixteen rows a step, a look-up for each half of it.

#![allow(unsafe_code)]

use std::arch::aarch64::*;

use super::{BLOCK, Cpu, ENTRIES, Passed, ScanSigns, SignRows, Tables};

pub(super) fn scan_signs(cpu: Cpu) -> Option<ScanSigns> {
    cpu.has_neon().then_some(run as ScanSigns)
}

// Reached only through the function above.
fn run(tables: &Tables, rows: &SignRows<'_>, least: i32, passed: &mut Vec<Passed>) {
    rows.check(tables);
    let row_bytes = tables.row_bytes();
    for block in 0..rows.blocks() {
        let asked = rows.asked(block);
        if asked == 0 {
            continue;
        }
        let signs = &rows.signs[block * BLOCK * row_bytes..][..BLOCK * row_bytes];
        // SAFETY: `scan_signs` gives this function away only if the processor has NEON.
        let sums = unsafe { block_sums(signs, &tables.entries) };
        super::pass(sums, tables, rows, (block, asked), least, passed);
    }
}

/// Sums of table entries of sixteen rows.
#[target_feature(enable = "neon")]
fn block_sums(signs: &[u8], entries: &[u8]) -> [u16; BLOCK] {
    let (tables, _) = entries.as_chunks::<ENTRIES>();
    let (bytes, _) = signs.as_chunks::<BLOCK>();
    let (mut first, mut second) = (vdupq_n_u16(0), vdupq_n_u16(0));
    for (j, bytes) in bytes.iter().enumerate() {
        let table = j / 4 * 8 + j % 4;
        // SAFETY: sixteen bytes are read from arrays of sixteen.
        let (codes, low_table, high_table) = unsafe {
            (
                vld1q_u8(bytes.as_ptr()),
                vld1q_u8(tables[table].as_ptr()),
                vld1q_u8(tables[table + 4].as_ptr()),
            )
        };
        let low = vqtbl1q_u8(low_table, vandq_u8(codes, vdupq_n_u8(15)));
        let high = vqtbl1q_u8(high_table, vshrq_n_u8::<4>(codes));
        // At most 240: no carry out of a byte.
        let both = vaddq_u8(low, high);
        first = vaddw_u8(first, vget_low_u8(both));
        second = vaddw_high_u8(second, both);
    }
    let mut sums = [0; BLOCK];
    // SAFETY: twice eight numbers are written to an array of sixteen.
    unsafe {
        vst1q_u16(sums.as_mut_ptr(), first);
        vst1q_u16(sums.as_mut_ptr().add(8), second);
    }
    sums
}
