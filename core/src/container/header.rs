//! The header of a container: fixed fields, the table of sections, one checksum over both.
//!
//! The layout is canonical: each section starts at the first multiple of 16 KiB behind the one
//! before it and the file ends with the last. Hence sections cannot overlap, no byte is outside of
//! a checksum but for padding that must be zero, and equal content gives equal files.

use std::path::Path;

use super::{ContainerError, Kind, Section, Tag};
use crate::fingerprint::Fingerprint;

/// Version of the container layout.
pub(super) const VERSION: u32 = 1;
/// Bits of the feature field that this version understands.
pub(super) const KNOWN_FEATURES: u64 = 0;
/// Sections start at multiples of the largest page size in use (Android 15, Apple silicon).
pub(super) const ALIGNMENT: u64 = 16 * 1024;
/// Most sections a file may have. The whole header fits into the first 16 KiB.
pub(super) const MAX_SECTIONS: usize = 64;

const FIXED: usize = 48;
const ENTRY: usize = 24;
const CHECKSUM: usize = 4;

#[derive(Debug)]
pub(super) struct Header {
    pub(super) fingerprint: Fingerprint,
    pub(super) sections: Vec<Section>,
}

impl Header {
    /// Places sections of the given lengths one behind the other.
    pub(super) fn lay_out(
        fingerprint: Fingerprint,
        contents: impl IntoIterator<Item = (Tag, u64, u32)>,
    ) -> Self {
        let mut end = 0;
        let place = |(tag, length, crc32)| {
            let offset = next_start(end);
            end = offset + length;
            Section {
                tag,
                offset,
                length,
                crc32,
            }
        };
        Self {
            fingerprint,
            sections: contents.into_iter().map(place).collect(),
        }
    }

    /// Bytes of the header without the padding behind it.
    pub(super) fn length_of_header(&self) -> u64 {
        length_of_header(self.sections.len())
    }

    /// Bytes of the whole file.
    pub(super) fn length_of_file(&self) -> u64 {
        match self.sections.last() {
            Some(last) => last.offset + last.length,
            None => ALIGNMENT,
        }
    }

    pub(super) fn to_bytes(&self, kind: Kind) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.length_of_header() as usize);
        bytes.extend(kind.magic());
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend((self.sections.len() as u32).to_le_bytes());
        bytes.extend(0u64.to_le_bytes());
        bytes.extend(self.length_of_file().to_le_bytes());
        bytes.extend(self.fingerprint.0);
        for section in &self.sections {
            bytes.extend(section.tag.0);
            bytes.extend(section.crc32.to_le_bytes());
            bytes.extend(section.offset.to_le_bytes());
            bytes.extend(section.length.to_le_bytes());
        }
        bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
        bytes
    }

    /// Reads and checks the header at the front of `file`. What it returns lies inside of `file`.
    pub(super) fn parse(file: &[u8], path: &Path, kind: Kind) -> Result<Self, ContainerError> {
        let corrupt = |offset: usize, expected: String, found: String| ContainerError::Corrupt {
            path: path.to_owned(),
            section: "header".to_owned(),
            offset: offset as u64,
            expected,
            found,
        };
        let incompatible = |needs: String| ContainerError::Incompatible {
            path: path.to_owned(),
            needs,
        };
        let at_least = |expected: u64| {
            let found = file.len() as u64;
            if found >= expected {
                return Ok(());
            }
            Err(ContainerError::Truncated {
                path: path.to_owned(),
                expected,
                found,
            })
        };

        at_least(8)?;
        if file[..8] != kind.magic() {
            return Err(ContainerError::NotThisKind {
                path: path.to_owned(),
                expected: kind,
                found: file[..8].escape_ascii().to_string(),
            });
        }
        at_least(length_of_header(0))?;
        let version = u32_at(file, 8);
        if version != VERSION {
            let needs = format!("container format {version} (this version reads {VERSION})");
            return Err(incompatible(needs));
        }
        let count = u32_at(file, 12) as usize;
        if count > MAX_SECTIONS {
            return Err(corrupt(
                12,
                format!("at most {MAX_SECTIONS} sections"),
                count.to_string(),
            ));
        }
        let checksum_at = FIXED + count * ENTRY;
        at_least(length_of_header(count))?;
        let (expected, found) = (
            u32_at(file, checksum_at),
            crc32fast::hash(&file[..checksum_at]),
        );
        if expected != found {
            let expected = format!("crc32 {expected:08x}");
            return Err(corrupt(checksum_at, expected, format!("{found:08x}")));
        }
        let features = u64_at(file, 16);
        if features & !KNOWN_FEATURES != 0 {
            return Err(incompatible(format!(
                "features {features:#x} (this version knows {KNOWN_FEATURES:#x})"
            )));
        }

        let total = u64_at(file, 24);
        at_least(total)?;
        if file.len() as u64 != total {
            let expected = format!("the end of the file at {total}");
            return Err(corrupt(24, expected, format!("{} bytes", file.len())));
        }
        let mut sections: Vec<Section> = Vec::with_capacity(count);
        let mut end = 0;
        for at in (FIXED..checksum_at).step_by(ENTRY) {
            let tag = Tag(file[at..at + 4].try_into().expect("four bytes"));
            if sections.iter().any(|section| section.tag == tag) {
                return Err(corrupt(
                    at,
                    "each section once".to_owned(),
                    format!("{tag} again"),
                ));
            }
            let (offset, length) = (u64_at(file, at + 8), u64_at(file, at + 16));
            let start = next_start(end);
            if offset != start {
                return Err(corrupt(
                    at + 8,
                    format!("{tag} at {start}"),
                    offset.to_string(),
                ));
            }
            end = match offset.checked_add(length) {
                Some(end) if end <= total => end,
                _ => {
                    let expected = format!("{tag} inside of {total} bytes");
                    return Err(corrupt(at + 16, expected, format!("length {length}")));
                }
            };
            sections.push(Section {
                tag,
                offset,
                length,
                crc32: u32_at(file, at + 4),
            });
        }
        let header = Self {
            fingerprint: Fingerprint(file[32..48].try_into().expect("sixteen bytes")),
            sections,
        };
        if header.length_of_file() != total {
            let expected = format!("length {}", header.length_of_file());
            return Err(corrupt(24, expected, total.to_string()));
        }
        Ok(header)
    }
}

fn length_of_header(sections: usize) -> u64 {
    (FIXED + sections * ENTRY + CHECKSUM) as u64
}

/// Where the section behind one that ends at `end` starts; the first 16 KiB are the header's.
/// `end` is at most the length of a file in memory, so this cannot overflow.
fn next_start(end: u64) -> u64 {
    end.next_multiple_of(ALIGNMENT).max(ALIGNMENT)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}
