//! A chunk of a pack: at most 1 MiB of a new file, as copies from old files and new bytes, packed
//! with DEFLATE, under the SHA-256 of what it yields.
//!
//! The payload is a list of operations, then the differences of all copies that are not exact, then
//! all new bytes: alike with alike, so that they pack well.

use miniz_oxide::{deflate, inflate};
use sha2::{Digest, Sha256};

use super::matcher::Piece;

/// Most bytes that a chunk yields.
pub(super) const MAX_YIELD: usize = 1 << 20;
/// Most bytes of a chunk in the pack, and most that they unpack to.
pub(super) const MAX_PAYLOAD: usize = 4 << 20;
/// Bytes in front of the payload.
pub(super) const PREFIX: usize = 40;
const LEVEL: u8 = 9;

const NEW: u64 = 0;
const COPY: u64 = 1;
const DIFFERENCE: u64 = 2;

/// What stands in front of a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Prefix {
    /// Bytes that the chunk yields.
    pub(super) yields: u32,
    /// Bytes of the payload in the pack.
    pub(super) stored: u32,
    pub(super) sha256: [u8; 32],
}

impl Prefix {
    pub(super) fn parse(bytes: &[u8; PREFIX]) -> Self {
        let number = |at: usize| u32::from_le_bytes(std::array::from_fn(|i| bytes[at + i]));
        Self {
            yields: number(0),
            stored: number(4),
            sha256: std::array::from_fn(|i| bytes[8 + i]),
        }
    }
}

/// What is wrong with a payload.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) expected: &'static str,
    pub(super) found: String,
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "literals and numbers, on the error path"
)]
fn fault<T>(expected: &'static str, found: impl ToString) -> Result<T, Fault> {
    Err(Fault {
        expected,
        found: found.to_string(),
    })
}

/// Groups the pieces of a file into chunks and hands over the bytes of each.
pub(super) fn encode<E>(
    new: &[u8],
    pieces: &[Piece],
    old: &[&[u8]],
    mut write: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let mut pieces = pieces.iter().copied();
    let mut next = pieces.next();
    while next.is_some() {
        let mut room = MAX_YIELD;
        let mut chunk = Vec::new();
        while let Some(piece) = next
            && room > 0
        {
            let length = piece.length.min(room);
            room -= length;
            chunk.push(Piece { length, ..piece });
            next = if length < piece.length {
                Some(Piece {
                    at: piece.at + length,
                    length: piece.length - length,
                    from: piece.from.map(|from| from + length as u64),
                })
            } else {
                pieces.next()
            };
        }
        write(&chunk_bytes(new, &chunk, old))?;
    }
    Ok(())
}

fn chunk_bytes(new: &[u8], pieces: &[Piece], old: &[&[u8]]) -> Vec<u8> {
    let (mut operations, mut differences, mut fresh) = (Vec::new(), Vec::new(), Vec::new());
    let mut yielded = 0;
    let mut hash = Sha256::new();
    for piece in pieces {
        let bytes = &new[piece.at..piece.at + piece.length];
        hash.update(bytes);
        yielded += piece.length;
        let length = piece.length as u64;
        let Some(from) = piece.from else {
            push_number(&mut operations, length << 2 | NEW);
            fresh.extend_from_slice(bytes);
            continue;
        };
        let source = slice_of(old, from, piece.length).expect("a match lies in one old file");
        if source == bytes {
            push_number(&mut operations, length << 2 | COPY);
        } else {
            push_number(&mut operations, length << 2 | DIFFERENCE);
            let difference = bytes
                .iter()
                .zip(source)
                .map(|(new, old)| new.wrapping_sub(*old));
            differences.extend(difference);
        }
        push_number(&mut operations, from);
    }
    let mut payload = (operations.len() as u32).to_le_bytes().to_vec();
    payload.append(&mut operations);
    payload.append(&mut differences);
    payload.append(&mut fresh);
    assert!(
        payload.len() <= MAX_PAYLOAD,
        "a copy is longer than its operation"
    );
    let stored = deflate::compress_to_vec(&payload, LEVEL);
    let mut chunk = (yielded as u32).to_le_bytes().to_vec();
    chunk.extend((stored.len() as u32).to_le_bytes());
    chunk.extend_from_slice(&hash.finalize());
    chunk.extend(stored);
    chunk
}

/// The bytes that a chunk yields. They are checked against its SHA-256.
pub(super) fn decode(prefix: &Prefix, stored: &[u8], old: &[&[u8]]) -> Result<Vec<u8>, Fault> {
    let payload = match inflate::decompress_to_vec_with_limit(stored, MAX_PAYLOAD) {
        Ok(payload) => payload,
        Err(error) => return fault("at most 4 MiB in DEFLATE", format!("{:?}", error.status)),
    };
    let Some((&length, rest)) = payload.split_first_chunk() else {
        return fault("operations", "none");
    };
    let Some((mut operations, rest)) = rest.split_at_checked(u32::from_le_bytes(length) as usize)
    else {
        return fault("operations inside of the chunk", u32::from_le_bytes(length));
    };
    // Where the new bytes begin is known once all differences are counted.
    let mut counting = operations;
    let mut different = 0u64;
    while let Some(operation) = next_operation(&mut counting)? {
        if operation.kind == DIFFERENCE {
            different = different.saturating_add(operation.length);
        }
    }
    let split = usize::try_from(different).unwrap_or(usize::MAX);
    let Some((mut differences, mut fresh)) = rest.split_at_checked(split) else {
        return fault("differences inside of the chunk", different);
    };
    let mut bytes = Vec::new();
    while let Some(operation) = next_operation(&mut operations)? {
        let room = prefix.yields as usize - bytes.len();
        let length = match usize::try_from(operation.length) {
            Ok(length @ 1..) if length <= room => length,
            _ => return fault("operations of the length of the chunk", operation.length),
        };
        if operation.kind == NEW {
            let Some((taken, rest)) = fresh.split_at_checked(length) else {
                return fault("as many new bytes as the operations say", fresh.len());
            };
            bytes.extend_from_slice(taken);
            fresh = rest;
            continue;
        }
        let Some(source) = slice_of(old, operation.from, length) else {
            return fault("a copy from one file of the base", operation.from);
        };
        if operation.kind == COPY {
            bytes.extend_from_slice(source);
        } else {
            let (taken, rest) = differences.split_at(length);
            bytes.extend(
                source
                    .iter()
                    .zip(taken)
                    .map(|(old, new)| old.wrapping_add(*new)),
            );
            differences = rest;
        }
    }
    if bytes.len() != prefix.yields as usize || !fresh.is_empty() {
        return fault("as many bytes as the chunk says", bytes.len());
    }
    if Sha256::digest(&bytes)[..] != prefix.sha256 {
        return fault(
            "the bytes of its sha256",
            "others: the pack or the base is damaged",
        );
    }
    Ok(bytes)
}

struct Operation {
    kind: u64,
    length: u64,
    from: u64,
}

fn next_operation(bytes: &mut &[u8]) -> Result<Option<Operation>, Fault> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let first = take_number(bytes)?;
    let (kind, length) = (first & 3, first >> 2);
    let from = match kind {
        NEW => 0,
        COPY | DIFFERENCE => take_number(bytes)?,
        other => return fault("an operation of kind 0 to 2", other),
    };
    Ok(Some(Operation { kind, length, from }))
}

/// A stretch of the old files, one behind the other; it must lie in one of them.
fn slice_of<'a>(files: &[&'a [u8]], mut from: u64, length: usize) -> Option<&'a [u8]> {
    for file in files {
        match usize::try_from(from) {
            Ok(from) if from < file.len() => return file.get(from..from.checked_add(length)?),
            _ => from -= file.len() as u64,
        }
    }
    None
}

/// LEB128.
fn push_number(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn take_number(bytes: &mut &[u8]) -> Result<u64, Fault> {
    let mut number = 0;
    for shift in (0..63).step_by(7) {
        let Some((&byte, rest)) = bytes.split_first() else {
            return fault("a number of at most 63 bits", "the end");
        };
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(number);
        }
    }
    fault("a number of at most 63 bits", "more")
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::super::matcher::Matcher;
    use super::*;

    fn encoded(new: &[u8], old: &[&[u8]]) -> Vec<Vec<u8>> {
        let pieces = Matcher::new(old.to_vec()).pieces(new);
        let mut chunks = Vec::new();
        encode(new, &pieces, old, |chunk| {
            chunks.push(chunk.to_vec());
            Ok::<(), ()>(())
        })
        .unwrap();
        chunks
    }

    fn decoded(chunk: &[u8], old: &[&[u8]]) -> Result<Vec<u8>, Fault> {
        let (prefix, stored) = chunk.split_first_chunk().unwrap();
        decode(&Prefix::parse(prefix), stored, old)
    }

    proptest! {
        #[test]
        fn chunks_give_the_file_back(
            old in vec(vec(0u8..3, 0..300), 0..4),
            new in vec(0u8..3, 0..400),
        ) {
            let old: Vec<&[u8]> = old.iter().map(Vec::as_slice).collect();
            let chunks = encoded(&new, &old);
            let found: Vec<_> = chunks.iter().map(|chunk| decoded(chunk, &old).unwrap()).collect();
            prop_assert_eq!(found.concat(), new);
        }

        /// Forged operations: an error or other bytes are refused, and never a panic.
        #[test]
        fn forged_payloads_are_refused(payload in vec(any::<u8>(), 0..60), yields in 0..200u32) {
            let prefix = Prefix { yields, stored: 0, sha256: [7; 32] };
            let old: &[&[u8]] = &[&[1; 100], &[2; 50]];
            let mut counted = (payload.len() as u32 / 2).to_le_bytes().to_vec();
            counted.extend(&payload);
            for payload in [payload, counted] {
                let stored = deflate::compress_to_vec(&payload, 1);
                prop_assert!(decode(&prefix, &stored, old).is_err());
                prop_assert!(decode(&prefix, &payload, old).is_err());
            }
        }
    }

    #[test]
    fn long_files_become_several_chunks() {
        let old = vec![5; MAX_YIELD * 2];
        let mut new = old.clone();
        new.extend([1, 2, 3]);
        let chunks = encoded(&new, &[&old]);
        assert_eq!(chunks.len(), 3);
        let found: Vec<_> = chunks
            .iter()
            .map(|chunk| decoded(chunk, &[&old]).unwrap())
            .collect();
        assert_eq!(found.concat(), new);
    }

    #[test]
    fn a_bomb_is_refused() {
        let stored = deflate::compress_to_vec(&vec![0; MAX_PAYLOAD + 1], 9);
        let prefix = Prefix {
            yields: 1,
            stored: stored.len() as u32,
            sha256: [0; 32],
        };
        let found = decode(&prefix, &stored, &[]).unwrap_err();
        assert_eq!(found.expected, "at most 4 MiB in DEFLATE");
    }
}
