//! The header of a container: how many sections, where they lie, how long the file is.

use std::fs;

use pocketlens::container::{Access, Container, Kind};

use super::place::Place;

const KINDS: [Kind; 4] = [Kind::Bundle, Kind::Segment, Kind::Tombstones, Kind::Moments];
/// Longest file.
const LONGEST: u64 = 1 << 20;
const FIXED: usize = 48;
const ENTRY: usize = 24;

/// Opens a file with this header, under the checksum that it needs and as long as it says.
pub fn feed(bytes: &[u8]) -> bool {
    let count = number(bytes, 12).min(64);
    let (fields, behind) = bytes.split_at(bytes.len().min(FIXED + count as usize * ENTRY));
    let length = u64::from(number(bytes, 24)) | u64::from(number(bytes, 28)) << 32;
    let mut file = fields.to_vec();
    file.extend(crc32fast::hash(fields).to_le_bytes());
    file.extend(behind);
    if length <= LONGEST {
        file.resize(length as usize, 0);
    }
    let place = Place::new();
    let path = place.path("container");
    fs::write(&path, &file).expect("a file of the fuzzer's own");
    let kind = KINDS
        .into_iter()
        .find(|kind| fields.starts_with(&kind.magic()));
    let Ok(container) = Container::open(&path, kind.unwrap_or(Kind::Bundle)) else {
        return false;
    };
    assert_eq!(container.bytes(), file);
    for section in container.sections() {
        let bytes = container.section(section.tag).expect("it is in the table");
        assert!(bytes.len() as u64 <= container.len());
    }
    let read = Container::open_with(&path, container.kind(), Access::Read).expect("the same bytes");
    assert_eq!(read.verify().is_ok(), container.verify().is_ok());
    read.verify().is_ok()
}

fn number(bytes: &[u8], at: usize) -> u32 {
    let word = bytes.get(at..).and_then(<[u8]>::first_chunk);
    u32::from_le_bytes(word.copied().unwrap_or_default())
}
