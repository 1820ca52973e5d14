//! What a new file has in common with old ones, at any byte offset.
//!
//! Blocks of the old files are found again in the new one by a rolling hash (rsync, Tridgell 1996)
//! and the matches are stretched over single bytes that differ (bsdiff, Percival 2003), so that
//! scattered new rows and shifted tables of offsets cost little. Chunks of a fixed or content-defined
//! size would be new as soon as one of their rows is.

/// Shortest match: two in a cache line. Larger for more than 128 MiB, so that memory is bounded.
const BLOCK: usize = 32;
/// Most blocks that are remembered: 32 MiB of table.
const MAX_BLOCKS: usize = 1 << 22;
/// Slots that are tried for a hash.
const PROBES: usize = 4;
/// How much worse than at its best a stretched match may become before it ends there.
const PATIENCE: i64 = 48;
const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;
const EMPTY: u32 = u32::MAX;

/// A stretch of the new file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    /// First byte in the new file.
    pub(super) at: usize,
    pub(super) length: usize,
    /// Where something like it lies in the old files, one behind the other; `None`: it is new.
    pub(super) from: Option<u64>,
}

/// The old files, ready to be looked through.
pub(super) struct Matcher<'a> {
    files: Vec<&'a [u8]>,
    /// Number of the first block of each file.
    first_blocks: Vec<usize>,
    /// Offset of each file among all.
    offsets: Vec<u64>,
    block: usize,
    table: Vec<u32>,
}

impl<'a> Matcher<'a> {
    pub(super) fn new(files: Vec<&'a [u8]>) -> Self {
        let blocks = |block: usize| files.iter().map(|file| file.len() / block).sum::<usize>();
        let mut block = BLOCK;
        while blocks(block) > MAX_BLOCKS {
            block *= 2;
        }
        let (mut first_blocks, mut offsets) = (Vec::new(), Vec::new());
        let (mut blocks_before, mut bytes_before) = (0, 0);
        for file in &files {
            first_blocks.push(blocks_before);
            offsets.push(bytes_before);
            blocks_before += file.len() / block;
            bytes_before += file.len() as u64;
        }
        let slots = (2 * blocks_before).next_power_of_two().max(2);
        let mut matcher = Self {
            files,
            first_blocks,
            offsets,
            block,
            table: vec![EMPTY; slots],
        };
        for number in 0..blocks_before {
            matcher.remember(number);
        }
        matcher
    }

    /// Keeps the first of equal blocks.
    fn remember(&mut self, number: usize) {
        let (file, at) = self.place(number);
        let block = &self.files[file][at..at + self.block];
        let first = self.slot(hash(block));
        for probe in 0..PROBES {
            let slot = (first + probe) % self.table.len();
            match self.table[slot] {
                EMPTY => {
                    self.table[slot] = number as u32;
                    return;
                }
                taken => {
                    let (file, at) = self.place(taken as usize);
                    if &self.files[file][at..at + self.block] == block {
                        return;
                    }
                }
            }
        }
    }

    fn slot(&self, hash: u64) -> usize {
        let bits = self.table.len().trailing_zeros();
        (hash.wrapping_mul(MULTIPLIER) >> (64 - bits)) as usize
    }

    fn place(&self, number: usize) -> (usize, usize) {
        let file = self.first_blocks.partition_point(|&first| first <= number) - 1;
        (file, (number - self.first_blocks[file]) * self.block)
    }

    fn find(&self, hash: u64, wanted: &[u8]) -> Option<(usize, usize)> {
        let first = self.slot(hash);
        for probe in 0..PROBES {
            let number = self.table[(first + probe) % self.table.len()];
            if number == EMPTY {
                return None;
            }
            let (file, at) = self.place(number as usize);
            if &self.files[file][at..at + self.block] == wanted {
                return Some((file, at));
            }
        }
        None
    }

    /// Cuts a new file into pieces that cover it in order. Time grows with its length.
    pub(super) fn pieces(&self, new: &[u8]) -> Vec<Piece> {
        let mut pieces = Vec::new();
        // Where the bytes begin that no piece covers yet.
        let mut covered = 0;
        let mut at = 0;
        let mut rolling = None;
        // The last match: its file, and its place in that file minus its place in the new one.
        let mut last: Option<(usize, i64)> = None;
        let highest_power = MULTIPLIER.wrapping_pow(self.block as u32 - 1);
        while at + self.block <= new.len() {
            let wanted = &new[at..at + self.block];
            let hash = *rolling.get_or_insert_with(|| hash(wanted));
            // Going on behind a few new bytes is better than an equal block elsewhere.
            let found = self
                .goes_on(last, at, wanted)
                .or_else(|| self.find(hash, wanted));
            let Some((file, from)) = found else {
                if let Some(&next) = new.get(at + self.block) {
                    rolling = Some(roll(hash, wanted[0], next, highest_power));
                }
                at += 1;
                continue;
            };
            let old = self.files[file];
            let back = old[..from]
                .iter()
                .rev()
                .zip(new[covered..at].iter().rev())
                .take_while(|(a, b)| a == b)
                .count();
            let (from, start) = (from - back, at - back);
            let length = stretch(&old[from..], &new[start..], back + self.block);
            if covered < start {
                pieces.push(Piece {
                    at: covered,
                    length: start - covered,
                    from: None,
                });
            }
            pieces.push(Piece {
                at: start,
                length,
                from: Some(self.offsets[file] + from as u64),
            });
            last = Some((file, from as i64 - start as i64));
            covered = start + length;
            at = covered;
            rolling = None;
        }
        if covered < new.len() {
            pieces.push(Piece {
                at: covered,
                length: new.len() - covered,
                from: None,
            });
        }
        pieces
    }

    fn goes_on(
        &self,
        last: Option<(usize, i64)>,
        at: usize,
        wanted: &[u8],
    ) -> Option<(usize, usize)> {
        let (file, shift) = last?;
        let from = usize::try_from(at as i64 + shift).ok()?;
        let old = self.files[file].get(from..from + self.block)?;
        (old == wanted).then_some((file, from))
    }
}

/// How long a match is that may have single bytes that differ: to where equal bytes outnumber the
/// others by most.
fn stretch(old: &[u8], new: &[u8], certain: usize) -> usize {
    let (mut score, mut best, mut length) = (0i64, 0i64, certain);
    for (at, (a, b)) in old.iter().zip(new).enumerate().skip(certain) {
        score += if a == b { 1 } else { -1 };
        if score > best {
            (best, length) = (score, at + 1);
        } else if score < best - PATIENCE {
            break;
        }
    }
    length
}

/// A polynomial in the bytes; `wrapping`, since only equality matters.
fn hash(block: &[u8]) -> u64 {
    block.iter().fold(0u64, |hash, &byte| {
        hash.wrapping_mul(MULTIPLIER)
            .wrapping_add(u64::from(byte) + 1)
    })
}

fn roll(hash: u64, out: u8, into: u8, highest_power: u64) -> u64 {
    let without = hash.wrapping_sub(highest_power.wrapping_mul(u64::from(out) + 1));
    without
        .wrapping_mul(MULTIPLIER)
        .wrapping_add(u64::from(into) + 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_rolled_hash_is_that_of_the_block(bytes in proptest::collection::vec(any::<u8>(), 33..90)) {
            let power = MULTIPLIER.wrapping_pow(31);
            let mut rolled = hash(&bytes[..32]);
            for at in 0..bytes.len() - 32 {
                prop_assert_eq!(rolled, hash(&bytes[at..at + 32]));
                rolled = roll(rolled, bytes[at], bytes.get(at + 32).copied().unwrap_or(0), power);
            }
        }

        /// Whatever the bytes, the pieces cover the new file in order and copies stay in one file.
        #[test]
        fn pieces_cover_the_file(
            old in proptest::collection::vec(proptest::collection::vec(0u8..3, 0..300), 0..4),
            new in proptest::collection::vec(0u8..3, 0..400),
        ) {
            let files: Vec<&[u8]> = old.iter().map(Vec::as_slice).collect();
            let mut end = 0;
            for piece in Matcher::new(files).pieces(&new) {
                prop_assert_eq!(piece.at, end);
                prop_assert!(piece.length > 0);
                end += piece.length;
            }
            prop_assert_eq!(end, new.len());
        }
    }

    #[test]
    fn scattered_changes_and_insertions_leave_the_rest_in_common() {
        let mut rng = fastrand_like(7);
        let old: Vec<u8> = (0..100_000).map(|_| rng()).collect();
        let mut new = old.clone();
        for at in (500..90_000).step_by(5_000) {
            new[at] ^= 1;
        }
        new.splice(50_001..50_001, [1, 2, 3]);
        let pieces = Matcher::new(vec![&old]).pieces(&new);
        let fresh: usize = pieces
            .iter()
            .filter(|p| p.from.is_none())
            .map(|p| p.length)
            .sum();
        assert!(fresh < 64, "{fresh}");
    }

    fn fastrand_like(mut state: u64) -> impl FnMut() -> u8 {
        move || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 56) as u8
        }
    }
}
