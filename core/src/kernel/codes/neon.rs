//! NEON: sixteen dimensions a step, products added in pairs to 32 bits; with dot products (`sdot`) in one instruction.

#![allow(unsafe_code)]

use std::arch::aarch64::*;

use super::{BLOCK, CodeRows, Cpu, DotCodes, GROUP, GROUP_BYTES, WideQuery};

const STEP: usize = 16;

pub(super) fn dot_codes(cpu: Cpu) -> Option<DotCodes> {
    if cpu.has_sdot() {
        return Some(with_sdot);
    }
    cpu.has_neon().then_some(without as DotCodes)
}

// Reached only through the function above.
fn with_sdot(query: &WideQuery, rows: &CodeRows<'_>, named: &[u32], out: &mut [i32]) {
    each_row(query, rows, named, out, |block, codes, row| {
        // SAFETY: `dot_codes` gives this function away only if the processor has dot products.
        unsafe { dot_sdot(query, block, codes, row) }
    });
}

// Reached only through the function above.
fn without(query: &WideQuery, rows: &CodeRows<'_>, named: &[u32], out: &mut [i32]) {
    each_row(query, rows, named, out, |block, codes, row| {
        // SAFETY: `dot_codes` gives this function away only if the processor has NEON.
        unsafe { dot_neon(query, block, codes, row) }
    });
}

/// Cuts out each row's block of signs and its codes.
#[inline(always)]
fn each_row(
    query: &WideQuery,
    rows: &CodeRows<'_>,
    named: &[u32],
    out: &mut [i32],
    dot: impl Fn(&[u8], &[u8], usize) -> i32,
) {
    assert_eq!(named.len(), out.len(), "a sum a row");
    rows.check(named, query.dim());
    let block_bytes = BLOCK * query.dim() / 8;
    let code_bytes = query.dim() / GROUP * GROUP_BYTES;
    for (&row, sum) in named.iter().zip(out) {
        let row = row as usize;
        let block = &rows.signs[row / BLOCK * block_bytes..][..block_bytes];
        let codes = &rows.codes[row * code_bytes..][..code_bytes];
        *sum = dot(block, codes, row % BLOCK);
    }
}

#[target_feature(enable = "neon,dotprod")]
fn dot_sdot(query: &WideQuery, block: &[u8], codes: &[u8], row: usize) -> i32 {
    sum(query, block, codes, row, |mut sums, code, part| {
        // SAFETY: the instruction adds to registers only.
        unsafe {
            std::arch::asm!(
                "sdot {sums:v}.4s, {code:v}.16b, {part:v}.16b",
                sums = inout(vreg) sums,
                code = in(vreg) code,
                part = in(vreg) part,
                options(pure, nomem, nostack, preserves_flags),
            );
        }
        sums
    })
}

#[target_feature(enable = "neon")]
fn dot_neon(query: &WideQuery, block: &[u8], codes: &[u8], row: usize) -> i32 {
    sum(query, block, codes, row, |sums, code, part| {
        // A product is below 2¹³: 16 bits hold it.
        let sums = vpadalq_s16(sums, vmull_s8(vget_low_s8(code), vget_low_s8(part)));
        vpadalq_s16(sums, vmull_high_s8(code, part))
    })
}

/// `Σ t·y`, with `add` giving the sums and the products of sixteen codes and components.
#[inline]
#[target_feature(enable = "neon")]
fn sum(
    query: &WideQuery,
    block: &[u8],
    codes: &[u8],
    row: usize,
    add: impl Fn(int32x4_t, int8x16_t, int8x16_t) -> int32x4_t,
) -> i32 {
    let (code_groups, _) = codes.as_chunks::<GROUP_BYTES>();
    let (sign_groups, _) = block.as_chunks::<{ 8 * BLOCK }>();
    let (high, _) = query.high.as_chunks::<GROUP>();
    let (low, _) = query.low.as_chunks::<GROUP>();
    let mut sums = [vdupq_n_s32(0); 2];
    let groups = code_groups
        .iter()
        .zip(sign_groups)
        .zip(high.iter().zip(low));
    for ((codes, signs), (high, low)) in groups {
        for (at, code) in unpack(codes, signs, row).into_iter().enumerate() {
            // SAFETY: sixteen of the 64 components of a group.
            let parts = unsafe {
                [
                    vld1q_s8(high.as_ptr().add(STEP * at)),
                    vld1q_s8(low.as_ptr().add(STEP * at)),
                ]
            };
            for (sum, part) in sums.iter_mut().zip(parts) {
                *sum = add(*sum, code, part);
            }
        }
    }
    let [high, low] = sums;
    vaddvq_s32(vaddq_s32(vshlq_n_s32::<7>(high), low))
}

/// The codes of a group, sixteen dimensions each.
#[inline]
#[target_feature(enable = "neon")]
fn unpack(codes: &[u8; GROUP_BYTES], signs: &[u8; 8 * BLOCK], row: usize) -> [int8x16_t; 4] {
    // SAFETY: three times sixteen of the 48 bytes of a group.
    let [first, second, pairs] = unsafe {
        let start = codes.as_ptr();
        [
            vld1q_u8(start),
            vld1q_u8(start.add(STEP)),
            vld1q_u8(start.add(2 * STEP)),
        ]
    };
    let nibble_bits = vdupq_n_u8(15);
    let nibbles = [
        vandq_u8(first, nibble_bits),
        vandq_u8(second, nibble_bits),
        vshrq_n_u8::<4>(first),
        vshrq_n_u8::<4>(second),
    ];
    // Each sixteen dimensions turn their two bits to bits 4 and 5.
    let pairs = [
        vshlq_n_u8::<4>(pairs),
        vshlq_n_u8::<2>(pairs),
        pairs,
        vshrq_n_u8::<2>(pairs),
    ];
    let bits = vreinterpretq_u8_u64(vdupq_n_u64(0x8040_2010_0804_0201));
    std::array::from_fn(|at| {
        let [left, right] = [0, 1].map(|byte| signs[(2 * at + byte) * BLOCK + row]);
        let signs = vtstq_u8(vcombine_u8(vdup_n_u8(left), vdup_n_u8(right)), bits);
        let code = vorrq_u8(nibbles[at], vandq_u8(pairs[at], vdupq_n_u8(0x30)));
        vreinterpretq_s8_u8(vorrq_u8(code, vandq_u8(signs, vdupq_n_u8(64))))
    })
}
