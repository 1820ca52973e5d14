//! Bits of the entropy-coded data, most significant first (T.81, F.2.2.5).

/// Reads ahead up to the next marker; behind it, bits are zero and are counted.
pub(super) struct Bits<'a> {
    bytes: &'a [u8],
    /// The first byte that is not wholly in `buffer`.
    at: usize,
    /// The next bits, from the top. Below `count` stand zeros or bits of the byte at `at`.
    buffer: u64,
    count: u32,
    /// Zero bits appended to the data.
    padding: u32,
}

impl<'a> Bits<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            at: 0,
            buffer: 0,
            count: 0,
            padding: 0,
        }
    }

    /// Makes at least 32 bits ready: a code (16) and the bits that follow it (15).
    #[inline(always)]
    pub(super) fn refill(&mut self) {
        if self.count >= 32 {
            return;
        }
        if let Some(word) = self.bytes[self.at..].first_chunk() {
            let word = u64::from_be_bytes(*word);
            if !has_ff(word) {
                self.buffer |= word >> self.count;
                let taken = (63 - self.count) / 8;
                self.at += taken as usize;
                self.count += 8 * taken;
                return;
            }
        }
        self.refill_bytewise();
    }

    /// One byte in 256 is 0xFF: a stuffed one, or the start of a marker.
    #[inline(never)]
    fn refill_bytewise(&mut self) {
        while self.count <= 56 {
            let byte = match self.bytes[self.at..] {
                [0xFF, 0, ..] => {
                    self.at += 2;
                    0xFF
                }
                [0xFF, ..] | [] => {
                    self.padding += 8;
                    0
                }
                [byte, ..] => {
                    self.at += 1;
                    byte
                }
            };
            self.buffer |= u64::from(byte) << (56 - self.count);
            self.count += 8;
        }
    }

    /// The next `n` bits, 1..=32 of them, and at most as many as are ready.
    #[inline(always)]
    pub(super) fn peek(&self, n: u32) -> usize {
        (self.buffer >> (64 - n)) as usize
    }

    #[inline(always)]
    pub(super) fn consume(&mut self, n: u32) {
        debug_assert!(n <= self.count, "bits that are not ready");
        self.buffer <<= n;
        self.count -= n;
    }

    /// Whether bits were read that the data does not have.
    pub(super) fn exhausted(&self) -> bool {
        self.padding > self.count
    }

    /// Steps over the restart marker that must come next (T.81, F.2.1.3.1): number `index` modulo
    /// 8. `None` when something else does.
    pub(super) fn restart(&mut self, index: usize) -> Option<()> {
        let unread = self.count.checked_sub(self.padding)?;
        let rest = &self.bytes[self.at..];
        let fill = rest.iter().take_while(|&&byte| byte == 0xFF).count();
        let marker = *rest.get(fill)?;
        if unread >= 8 || fill == 0 || marker != 0xD0 + (index % 8) as u8 {
            return None;
        }
        *self = Self::new(&rest[fill + 1..]);
        Some(())
    }

    /// What has not been looked at; a marker is never behind it.
    pub(super) fn rest(&self) -> &'a [u8] {
        &self.bytes[self.at..]
    }
}

/// Whether one of the eight bytes is 0xFF: whether one of their complements is zero.
#[inline(always)]
fn has_ff(word: u64) -> bool {
    const LOW: u64 = 0x0101_0101_0101_0101;
    (!word).wrapping_sub(LOW) & word & (LOW << 7) != 0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bits_end_at_a_marker_and_zeros_follow() {
        let data = [0xFF, 0, 0x12, 0xFF, 0xD3, 0x80, 0xFF, 0xD9];
        let mut bits = Bits::new(&data);
        bits.refill();
        assert_eq!(bits.peek(20), 0xF_F120);
        bits.consume(14);
        assert!(!bits.exhausted());
        assert!(bits.restart(2).is_none());
        bits.restart(11).unwrap();
        bits.refill();
        assert_eq!(bits.peek(12), 0x800);
        assert_eq!(bits.rest(), [0xFF, 0xD9]);
        bits.consume(9);
        assert!(bits.exhausted());
    }

    proptest! {
        #[test]
        fn words_and_bytes_give_the_same_bits(
            data in prop::collection::vec(prop_oneof![4 => any::<u8>(), 1 => Just(0xFF)], 0..60),
            steps in prop::collection::vec(1..=31_u32, 1..40),
        ) {
            let stuffed: Vec<u8> = data
                .iter()
                .flat_map(|&byte| [byte, 0].into_iter().take(if byte == 0xFF { 2 } else { 1 }))
                .collect();
            let mut bits = Bits::new(&stuffed);
            let mut at = 0;
            for step in steps {
                bits.refill();
                let expected = (at..at + step as usize).fold(0, |value, bit| {
                    let byte = data.get(bit / 8).copied().unwrap_or(0);
                    (value << 1) | usize::from((byte >> (7 - bit % 8)) & 1)
                });
                prop_assert_eq!(bits.peek(step), expected);
                bits.consume(step);
                at += step as usize;
                prop_assert_eq!(bits.exhausted(), at > 8 * data.len());
            }
        }
    }

    proptest! {
        #[test]
        fn ff_is_found_in_a_word(bytes in any::<[u8; 8]>(), at in 0..8_usize) {
            prop_assert_eq!(has_ff(u64::from_be_bytes(bytes)), bytes.contains(&0xFF));
            let mut bytes = bytes;
            bytes[at] = 0xFF;
            prop_assert!(has_ff(u64::from_be_bytes(bytes)));
        }
    }
}
