//! What the packed weights of all kernels have in common: dwords of four taps.
//!
//! Sixteen outputs stand side by side, each with four consecutive taps, so that one layout feeds
//! the dot instructions of every family: 32 bytes are 8 outputs (AVX2), 64 are 16 (AVX-512), 16
//! are 4 (SDOT), and two dwords make a row of eight for I8MM.

/// Outputs that stand side by side.
pub(super) const OUTPUTS: usize = 16;
/// Taps of one output that stand together.
pub(super) const TAPS: usize = 4;
/// Bytes of sixteen outputs with four taps each.
pub(super) const BLOCK: usize = OUTPUTS * TAPS;

/// Whether sums of two neighbouring products fit 16 bits on all processors: of taps 0 and 1, and 2
/// and 3, of every dword, the positive ones sum to at most 128, the negative ones to at least -128,
/// and none is -128.
///
/// Then `vpmaddubsw` does not saturate (255 · 128 = 32,640), and neither do two `smull` of
/// activations less 128 overflow (2 · 128 · 127 = 32,512).
pub(crate) fn is_pair_safe(packed: &[u8]) -> bool {
    let (pairs, rest) = packed.as_chunks::<2>();
    debug_assert!(rest.is_empty());
    pairs.iter().all(|pair| {
        let [a, b] = pair.map(|byte| i32::from(byte as i8));
        a.max(0) + b.max(0) <= 128 && a.min(0) + b.min(0) >= -128 && a.min(b) > -128
    })
}
