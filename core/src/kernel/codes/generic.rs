//! The specification, in plain Rust.

use super::{BLOCK, CodeRows, GROUP, GROUP_BYTES, WideQuery};

pub(super) fn dot_codes(query: &WideQuery, rows: &CodeRows<'_>, named: &[u32], out: &mut [i32]) {
    assert_eq!(named.len(), out.len(), "a sum a row");
    rows.check(named, query.dim());
    for (&row, sum) in named.iter().zip(out) {
        *sum = dot_row(query, rows, row as usize);
    }
}

fn dot_row(query: &WideQuery, rows: &CodeRows<'_>, row: usize) -> i32 {
    let block_bytes = BLOCK * query.dim() / 8;
    let code_bytes = query.dim() / GROUP * GROUP_BYTES;
    let block = &rows.signs[row / BLOCK * block_bytes..][..block_bytes];
    let codes = &rows.codes[row * code_bytes..][..code_bytes];
    let (groups, _) = codes.as_chunks::<GROUP_BYTES>();
    let mut sum = 0;
    for (group, codes) in groups.iter().enumerate() {
        let (nibbles, pairs) = codes.split_at(GROUP / 2);
        for i in 0..GROUP {
            let nibble = nibbles[i % 32] >> (i / 32 * 4) & 15;
            let pair = pairs[i % 16] >> (i / 16 * 2) & 3;
            let at = group * GROUP + i;
            let sign = block[at / 8 * BLOCK + row % BLOCK] >> (at % 8) & 1;
            let code = nibble | pair << 4 | sign << 6;
            sum += i32::from(code) * query.component(at);
        }
    }
    sum
}
