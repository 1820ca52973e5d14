//! AVX-512: four bytes of sixteen rows a step, eight look-ups in two shuffles, each lane with tables of its own.

#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::{BLOCK, Cpu, ENTRIES, Passed, ScanSigns, SignRows, Tables};

pub(super) fn scan_signs(cpu: Cpu) -> Option<ScanSigns> {
    cpu.has_avx512_vnni().then_some(run as ScanSigns)
}

// Reached only through the function above.
fn run(tables: &Tables, rows: &SignRows<'_>, least: i32, passed: &mut Vec<Passed>) {
    rows.check(tables);
    // SAFETY: `scan_signs` gives this function away only if the processor has AVX-512 F and BW; the lengths were
    // checked above.
    unsafe { scan(tables, rows, least, passed) }
}

/// Blocks that share the loads of tables, a row a bit of a mask.
const BLOCKS: usize = 4;

/// # Safety
/// [`SignRows::check`] must have passed.
#[target_feature(enable = "avx2,avx512f,avx512bw")]
unsafe fn scan(tables: &Tables, rows: &SignRows<'_>, least: i32, passed: &mut Vec<Passed>) {
    let block_bytes = BLOCK * tables.row_bytes();
    // No factor is larger than 255: of sums below this no estimate can be enough. Where a negative estimate is
    // enough every row is looked at.
    let least_sum = if least > 0 {
        (least - 1) / 255 + 1 + tables.raised
    } else {
        0
    };
    if least_sum > i32::from(u16::MAX) {
        return;
    }
    let least_sums = _mm512_set1_epi16((least_sum as u16).cast_signed());
    let blocks = rows.blocks();
    for block in (0..blocks).step_by(BLOCKS) {
        let asked = (block..blocks.min(block + BLOCKS)).enumerate();
        let asked = asked.fold(0, |mask, (i, block)| {
            mask | u64::from(rows.asked(block)) << (BLOCK * i)
        });
        if asked == 0 {
            continue;
        }
        // SAFETY: all blocks up to `blocks` are inside of the signs.
        let sums = unsafe {
            let signs = rows.signs.as_ptr().add(block * block_bytes);
            match blocks - block {
                1 => block_sums::<1>(signs, block_bytes, &tables.entries),
                2 => block_sums::<2>(signs, block_bytes, &tables.entries),
                3 => block_sums::<3>(signs, block_bytes, &tables.entries),
                _ => block_sums::<BLOCKS>(signs, block_bytes, &tables.entries),
            }
        };
        let masks = sums.map(|sums| u64::from(_mm512_cmpge_epu16_mask(sums, least_sums)));
        let mut passing = (masks[0] | masks[1] << 32) & asked;
        if passing == 0 {
            continue;
        }
        let mut of_rows = [0u16; BLOCKS * BLOCK];
        // SAFETY: twice 32 numbers are written to an array of 64.
        unsafe {
            _mm512_storeu_si512(of_rows.as_mut_ptr().cast(), sums[0]);
            _mm512_storeu_si512(of_rows.as_mut_ptr().add(32).cast(), sums[1]);
        }
        while passing != 0 {
            let bit = passing.trailing_zeros() as usize;
            passing &= passing - 1;
            let row = block * BLOCK + bit;
            let signed = i32::from(of_rows[bit]) - tables.raised;
            let estimate = signed * i32::from(rows.factors[row]);
            if estimate >= least {
                let row = row as u32;
                passed.push(Passed { row, estimate });
            }
        }
    }
}

/// Sums of table entries of the rows of `N` blocks: of the first two blocks, of the others.
///
/// # Safety
/// `N · bytes` must be readable from `signs`; there must be two tables for each sixteen of `bytes`, which is a
/// multiple of 64.
#[target_feature(enable = "avx2,avx512f,avx512bw")]
unsafe fn block_sums<const N: usize>(
    signs: *const u8,
    bytes: usize,
    entries: &[u8],
) -> [__m512i; 2] {
    debug_assert_eq!(entries.len(), bytes / BLOCK * 2 * ENTRIES);
    let low_bits = _mm512_set1_epi8(15);
    let mut all = [_mm512_setzero_si512(); BLOCKS];
    let mut odd = [_mm512_setzero_si512(); BLOCKS];
    for step in 0..bytes / 64 {
        // SAFETY: the eight tables of the step are inside of the entries.
        let (low_tables, high_tables) = unsafe {
            let tables = entries.as_ptr().add(step * 8 * ENTRIES);
            (
                _mm512_loadu_si512(tables.cast()),
                _mm512_loadu_si512(tables.add(4 * ENTRIES).cast()),
            )
        };
        for i in 0..N {
            // SAFETY: the step is inside of the block, the block inside of the signs.
            let codes = unsafe { _mm512_loadu_si512(signs.add(i * bytes + step * 64).cast()) };
            let low = _mm512_shuffle_epi8(low_tables, _mm512_and_si512(codes, low_bits));
            let shifted = _mm512_and_si512(_mm512_srli_epi16::<4>(codes), low_bits);
            let high = _mm512_shuffle_epi8(high_tables, shifted);
            // At most 240: no carry out of a byte.
            let both = _mm512_add_epi8(low, high);
            all[i] = _mm512_add_epi16(all[i], both);
            odd[i] = _mm512_add_epi16(odd[i], _mm512_srli_epi16::<8>(both));
        }
    }
    let even = std::array::from_fn(|i| _mm512_sub_epi16(all[i], _mm512_slli_epi16::<8>(odd[i])));
    let (even, odd) = (sum_lanes(even), sum_lanes(odd));
    // A lane a block: rows 0 to 7, rows 8 to 15. Then two blocks a register.
    let (low, high) = (
        _mm512_unpacklo_epi16(even, odd),
        _mm512_unpackhi_epi16(even, odd),
    );
    let first = _mm512_set_epi64(11, 10, 3, 2, 9, 8, 1, 0);
    let second = _mm512_set_epi64(15, 14, 7, 6, 13, 12, 5, 4);
    [
        _mm512_permutex2var_epi64(low, first, high),
        _mm512_permutex2var_epi64(low, second, high),
    ]
}

/// Of each register the sum of its four lanes; lane `i` is that of register `i`.
#[target_feature(enable = "avx512f,avx512bw")]
fn sum_lanes([a, b, c, d]: [__m512i; BLOCKS]) -> __m512i {
    let ab = sum_pairs(a, b);
    let cd = sum_pairs(c, d);
    sum_pairs(ab, cd)
}

/// Lanes `a₀ + a₁, a₂ + a₃, b₀ + b₁, b₂ + b₃`.
#[target_feature(enable = "avx512f,avx512bw")]
fn sum_pairs(a: __m512i, b: __m512i) -> __m512i {
    _mm512_add_epi16(
        _mm512_shuffle_i64x2::<0b10_00_10_00>(a, b),
        _mm512_shuffle_i64x2::<0b11_01_11_01>(a, b),
    )
}
