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

/// What a pass over packed weights finds.
pub(crate) struct Survey {
    /// The sum of each output's weights, an output each, padding included.
    pub(crate) sums: Vec<i32>,
    /// Whether sums of two neighbouring products fit 16 bits on all processors: of taps 0 and 1, and 2
    /// and 3, of every dword, the positive ones sum to at most 128, the negative ones to at least -128,
    /// and none is -128.
    ///
    /// Then `vpmaddubsw` does not saturate (255 · 128 = 32,640), and neither do two `smull` of
    /// activations less 128 overflow (2 · 128 · 127 = 32,512).
    pub(crate) pair_safe: bool,
}

/// Reads the packed weights of `outputs` outputs, padded to a multiple of 16, once. O(bytes).
pub(crate) fn survey(packed: &[u8], outputs: usize) -> Survey {
    let blocks = outputs.div_ceil(OUTPUTS);
    assert!(
        packed.len().is_multiple_of(blocks.max(1) * BLOCK),
        "weights do not match"
    );
    let mut survey = Survey {
        sums: Vec::with_capacity(blocks * OUTPUTS),
        pair_safe: true,
    };
    for block in packed.chunks_exact((packed.len() / blocks.max(1)).max(1)) {
        let mut sums = [0i32; OUTPUTS];
        // The widest pair, kept apart for each place so that the loop becomes vector code.
        let mut widest = [0i16; OUTPUTS];
        for dwords in block.as_chunks::<BLOCK>().0 {
            for (n, dword) in dwords.as_chunks::<TAPS>().0.iter().enumerate() {
                let [a, b, c, d] = dword.map(|byte| i16::from(byte.cast_signed()));
                sums[n] += i32::from(a + b + c + d);
                widest[n] = widest[n].max(width(a, b)).max(width(c, d));
            }
        }
        survey.sums.extend(sums);
        survey.pair_safe &= widest.iter().all(|&width| width <= 128);
    }
    survey
}

/// The larger of what the positive and what the negative ones of a pair add up to; -128 counts as
/// too much.
#[inline]
fn width(a: i16, b: i16) -> i16 {
    let positive = a.max(0) + b.max(0);
    let negative = -(a.min(0) + b.min(0));
    let least = i16::from(a.min(b) == -128);
    positive.max(negative) + least
}
