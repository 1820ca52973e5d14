//! Huffman codes (T.81, annex C and F.2.2), arranged so that one look-up does as much as it can.
//!
//! Parsing is what a scaled decoder spends its time on. Two tables a code: one gives a whole
//! coefficient (run, extra bits and their value), the other skips as many whole symbols as fit
//! into its window, for coefficients that the scale does not need.

use super::bits::Bits;

/// Window of the coefficient table in bits: four kilobytes a code.
const WINDOW: u32 = 10;
/// Window of the skip table in bits: 16 kilobytes a code.
const SKIP_WINDOW: u32 = 13;
/// What the end of a block adds to the place in it: leads beyond its 64 coefficients from
/// wherever it stands.
pub(super) const END_OF_BLOCK: usize = 64;

/// A canonical code.
pub(super) struct Code {
    /// Behind the last code of each length, 1..=16, left-aligned in 16 bits.
    ends: [u32; 16],
    /// What to add to a code, right-aligned, of each length for its place in `symbols`.
    offsets: [i32; 16],
    symbols: Vec<u8>,
}

impl Code {
    /// From the number of codes of each length and their symbols; `None` when there are more
    /// codes than their bits can tell apart.
    pub(super) fn new(lengths: &[u8; 16], symbols: &[u8]) -> Option<Self> {
        let mut code = Self {
            ends: [0; 16],
            offsets: [0; 16],
            symbols: symbols.to_vec(),
        };
        let (mut next, mut first) = (0_u32, 0);
        for (at, &count) in lengths.iter().enumerate() {
            code.offsets[at] = first - next as i32;
            next += u32::from(count);
            first += i32::from(count);
            if next > 2 << at || first as usize > symbols.len() {
                return None;
            }
            code.ends[at] = next << (15 - at);
            next <<= 1;
        }
        Some(code)
    }

    /// Length and symbol of the code that `bits`, 16 of them, begin with.
    fn find(&self, bits: u32) -> Option<(u32, u8)> {
        let at = self.ends.iter().position(|&end| bits < end)?;
        let place = (bits >> (15 - at)) as i32 + self.offsets[at];
        Some((at as u32 + 1, *self.symbols.get(place as usize)?))
    }
}

/// A coefficient as it stands in the stream.
pub(super) struct Coefficient {
    /// Zeros before it, or [`END_OF_BLOCK`].
    pub(super) run: usize,
    pub(super) value: i32,
}

/// A code ready to decode.
pub(super) struct Decoder<'a> {
    code: &'a Code,
    /// By the next [`WINDOW`] bits: value, run and bits used, as [`pack`] lays them; 0 where
    /// the window is too small.
    coefficients: Box<[u32; 1 << WINDOW]>,
    /// By the next [`SKIP_WINDOW`] bits: how far symbols lead and the bits they use, as
    /// [`Skip`] lays them; 0 where the window is too small for one.
    skips: Box<[u16; 1 << SKIP_WINDOW]>,
}

/// Symbols skipped at once.
#[derive(Clone, Copy)]
pub(super) struct Skip(u16);

impl Skip {
    fn new(bits: u32, advance: usize, ends: bool) -> Self {
        Self((bits | ((advance as u32) << 4) | (u32::from(ends) << 15)) as u16)
    }

    fn bits(self) -> u32 {
        u32::from(self.0 & 15)
    }

    /// Coefficients passed before the end of the block, if it is among the symbols.
    #[inline(always)]
    pub(super) fn advance(self) -> usize {
        usize::from((self.0 >> 4) & 0x7FF)
    }

    /// Whether the last symbol is the end of the block.
    #[inline(always)]
    pub(super) fn ends(self) -> bool {
        self.0 >> 15 != 0
    }

    fn is_none(self) -> bool {
        self.0 == 0
    }
}

impl<'a> Decoder<'a> {
    /// The code of DC differences, whose symbols are their sizes: 11 bits at most (F.1.2.1).
    pub(super) fn dc(code: &'a Code) -> Option<Self> {
        code.symbols
            .iter()
            .all(|&size| size <= 11)
            .then(|| Self::new(code, |size| (0, size.into())))
    }

    /// The code of AC coefficients.
    pub(super) fn ac(code: &'a Code) -> Self {
        let mut decoder = Self::new(code, run_and_size);
        decoder.skips = skips(code);
        decoder
    }

    fn new(code: &'a Code, split: fn(u8) -> (usize, u32)) -> Self {
        let mut coefficients = Box::new([0; 1 << WINDOW]);
        for (window, entry) in (0..).zip(coefficients.iter_mut()) {
            if let Some((length, symbol)) = code.find(window << (16 - WINDOW)) {
                let (run, size) = split(symbol);
                let used = length + size;
                if used <= WINDOW {
                    let extra = (window >> (WINDOW - used)) & ((1 << size) - 1);
                    *entry = pack(run, extend(extra, size), used);
                }
            }
        }
        Self {
            code,
            coefficients,
            skips: Box::new([0; 1 << SKIP_WINDOW]),
        }
    }

    /// The next DC difference (F.2.2.1).
    #[inline(always)]
    pub(super) fn difference(&self, bits: &mut Bits<'_>) -> Option<i32> {
        bits.refill();
        let entry = self.coefficients[bits.peek(WINDOW)];
        if entry != 0 {
            bits.consume(entry & 31);
            return Some(entry as i32 >> 16);
        }
        self.long(bits, |size| (0, size.into())).map(|c| c.value)
    }

    /// The next AC coefficient (F.2.2.2).
    #[inline(always)]
    pub(super) fn coefficient(&self, bits: &mut Bits<'_>) -> Option<Coefficient> {
        bits.refill();
        let entry = self.coefficients[bits.peek(WINDOW)];
        if entry != 0 {
            bits.consume(entry & 31);
            return Some(Coefficient {
                run: ((entry >> 8) & 0xFF) as usize,
                value: entry as i32 >> 16,
            });
        }
        self.long(bits, run_and_size)
    }

    #[inline(never)]
    fn long(&self, bits: &mut Bits<'_>, split: fn(u8) -> (usize, u32)) -> Option<Coefficient> {
        let (length, symbol) = self.code.find(bits.peek(16) as u32)?;
        bits.consume(length);
        let (run, size) = split(symbol);
        let extra = if size == 0 { 0 } else { bits.peek(size) };
        bits.consume(size);
        Some(Coefficient {
            run,
            value: extend(extra as u32, size),
        })
    }

    /// Reads AC coefficients from place `k` to the end of the block, for none of their values.
    #[inline(always)]
    pub(super) fn skip_rest(&self, bits: &mut Bits<'_>, mut k: usize) -> Option<()> {
        while k < 64 {
            bits.refill();
            let skip = Skip(self.skips[bits.peek(SKIP_WINDOW)]);
            let next = k + skip.advance();
            // The end of a block is written only where something is left of it: symbols that lead
            // beyond are the next block's, or nonsense.
            let within = next < 64 || (next == 64 && !skip.ends());
            if within && !skip.is_none() {
                bits.consume(skip.bits());
                if skip.ends() {
                    return Some(());
                }
                k = next;
            } else {
                let coefficient = self.coefficient(bits)?;
                k += coefficient.run + 1;
                if k > 64 {
                    return (coefficient.run == END_OF_BLOCK).then_some(());
                }
            }
        }
        Some(())
    }
}

/// As many whole symbols as each window holds.
fn skips(code: &Code) -> Box<[u16; 1 << SKIP_WINDOW]> {
    let mut skips = Box::new([0; 1 << SKIP_WINDOW]);
    for (window, entry) in (0_u32..).zip(skips.iter_mut()) {
        let (mut used, mut advance, mut ends) = (0, 0, false);
        while !ends && used < SKIP_WINDOW {
            let rest = (window << used) & ((1 << SKIP_WINDOW) - 1);
            let Some((length, symbol)) = code.find(rest << (16 - SKIP_WINDOW)) else {
                break;
            };
            let (run, size) = run_and_size(symbol);
            if used + length + size > SKIP_WINDOW {
                break;
            }
            used += length + size;
            ends = run == END_OF_BLOCK;
            advance += if ends { 0 } else { run + 1 };
        }
        *entry = Skip::new(used, advance, ends).0;
    }
    skips
}

/// What an AC symbol says (F.1.2.2.1): sixteen zeros are fifteen and a coefficient of no bits.
fn run_and_size(symbol: u8) -> (usize, u32) {
    match (symbol >> 4, symbol & 15) {
        (15, 0) => (15, 0),
        (_, 0) => (END_OF_BLOCK, 0),
        (run, size) => (run.into(), size.into()),
    }
}

/// The value that `size` extra bits stand for (F.2.2.1, EXTEND).
fn extend(extra: u32, size: u32) -> i32 {
    let extra = extra as i32;
    match size {
        0 => 0,
        _ if extra < 1 << (size - 1) => extra + 1 - (1 << size),
        _ => extra,
    }
}

fn pack(run: usize, value: i32, bits: u32) -> u32 {
    ((value as u32) << 16) | ((run as u32) << 8) | bits
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Codes of every length: 0, 10, 110, …
    fn unary() -> Code {
        let symbols = [
            0x01, 0x00, 0xF0, 0x12, 0x03, 0x0A, 0x21, 0x05, 0x00, 0x11, 0x31, 0x04, 0x09, 0x41,
            0x13, 0xF1,
        ];
        Code::new(&[1; 16], &symbols).unwrap()
    }

    #[test]
    fn a_code_finds_its_symbols_and_no_others() {
        let code = unary();
        assert_eq!(code.find(0x7FFF), Some((1, 0x01)));
        assert_eq!(code.find(0xBFFF), Some((2, 0x00)));
        assert_eq!(code.find(0xFFFE), Some((16, 0xF1)));
        assert_eq!(code.find(0xFFFF), None);
    }

    #[test]
    fn more_codes_than_bits_are_refused() {
        let lengths = |first: u8, second: u8| {
            let mut lengths = [0; 16];
            (lengths[0], lengths[1]) = (first, second);
            lengths
        };
        assert!(Code::new(&lengths(2, 0), &[1, 2]).is_some());
        assert!(Code::new(&lengths(3, 0), &[1, 2, 3]).is_none());
        assert!(Code::new(&lengths(1, 3), &[1, 2, 3, 4]).is_none());
        assert!(Code::new(&lengths(1, 2), &[1, 2]).is_none());
        assert!(Code::new(&[0; 16], &[]).unwrap().find(0).is_none());
    }

    #[test]
    fn extra_bits_are_signed_values() {
        let values: Vec<i32> = (0..8).map(|extra| extend(extra, 3)).collect();
        assert_eq!(values, [-7, -6, -5, -4, 4, 5, 6, 7]);
        assert_eq!((extend(0, 1), extend(1, 1), extend(0, 0)), (-1, 1, 0));
    }

    #[test]
    fn dc_sizes_beyond_eleven_bits_are_refused() {
        let code = Code::new(&[1; 16], &[12; 16]).unwrap();
        assert!(Decoder::dc(&code).is_none());
    }

    #[test]
    fn skipping_ends_where_decoding_ends() {
        let code = unary();
        let decoder = Decoder::ac(&code);
        let mut state = 1_u32;
        for _ in 0..2000 {
            let data: Vec<u8> = (0..120)
                .map(|_| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    ((state >> 24) & (state >> 12)) as u8 & 0xFE
                })
                .collect();
            for start in [1, 5, 25, 63] {
                let mut decoded = Bits::new(&data);
                let mut k = start;
                let mut sound = true;
                while sound && k < 64 {
                    match decoder.coefficient(&mut decoded) {
                        Some(c) => {
                            k += c.run + 1;
                            sound = k <= 64 || c.run == END_OF_BLOCK;
                        }
                        None => sound = false,
                    }
                }
                let mut skipped = Bits::new(&data);
                assert_eq!(decoder.skip_rest(&mut skipped, start).is_some(), sound);
                if sound {
                    decoded.refill();
                    skipped.refill();
                    assert_eq!(decoded.peek(32), skipped.peek(32));
                }
            }
        }
    }
}
