//! Containers: the same input gives the same bytes, and whatever is wrong with a file is a typed
//! error when it is opened or verified.

use std::fs;
use std::path::{Path, PathBuf};

use pocketlens::container::{Container, ContainerError, ContainerWriter, Kind, Tag};
use pocketlens::fingerprint::Fingerprint;
use proptest::prelude::*;

const ALPHA: Tag = Tag(*b"alfa");
const EMPTY: Tag = Tag(*b"none");
const OMEGA: Tag = Tag(*b"omga");
/// Where the first entry of the table stands, and its fields.
const ENTRY: usize = 48;
const OFFSET: usize = ENTRY + 8;
const LENGTH: usize = ENTRY + 16;

fn fingerprint() -> Fingerprint {
    Fingerprint::of_parts([b"weights".as_slice()])
}

fn sample() -> Vec<u8> {
    let mut writer = ContainerWriter::new(Kind::Segment, fingerprint());
    writer
        .section(ALPHA, (0..=255).cycle().take(20_000).collect::<Vec<u8>>())
        .section(EMPTY, Vec::new())
        .section(OMEGA, b"the end".as_slice());
    writer.to_bytes()
}

fn written(dir: &Path, bytes: &[u8]) -> PathBuf {
    let path = dir.join("file");
    fs::write(&path, bytes).unwrap();
    path
}

/// Opens and verifies bytes as a file.
fn check(bytes: &[u8]) -> Result<Container, ContainerError> {
    let dir = tempfile::tempdir().unwrap();
    let container = Container::open(&written(dir.path(), bytes), Kind::Segment)?;
    container.verify()?;
    Ok(container)
}

/// Changes bytes of the header and makes its checksum right again.
fn forged(at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut file = sample();
    file[at..at + bytes.len()].copy_from_slice(bytes);
    let count = u32::from_le_bytes(file[12..16].try_into().unwrap()) as usize;
    let end = ENTRY + 24 * count.min(64);
    let checksum = crc32fast::hash(&file[..end]);
    file[end..end + 4].copy_from_slice(&checksum.to_le_bytes());
    file
}

#[test]
fn what_was_written_is_read() {
    let container = check(&sample()).unwrap();
    assert_eq!(container.fingerprint(), fingerprint());
    assert_eq!(container.kind(), Kind::Segment);
    assert_eq!(container.section(ALPHA).unwrap()[..3], [0, 1, 2]);
    assert_eq!(container.section(ALPHA).unwrap().len(), 20_000);
    assert_eq!(container.section(EMPTY), Some([].as_slice()));
    assert_eq!(container.section(OMEGA), Some(b"the end".as_slice()));
    assert_eq!(container.section(Tag(*b"????")), None);
    assert!(
        container
            .sections()
            .iter()
            .all(|section| section.offset % 16_384 == 0)
    );
    assert_eq!(container.len(), 3 * 16_384 + 7);
}

#[test]
fn embedded_bytes_are_read_like_a_file() {
    let bytes: &'static [u8] = sample().leak();
    let container = Container::from_static(bytes, Kind::Segment).unwrap();
    container.verify().unwrap();
    assert_eq!(container.section(OMEGA), Some(b"the end".as_slice()));
}

#[test]
fn a_container_without_sections_is_sound() {
    let bytes = ContainerWriter::new(Kind::Segment, fingerprint()).to_bytes();
    assert_eq!(check(&bytes).unwrap().sections(), []);
}

#[test]
fn a_mapped_container_survives_its_replacement() {
    let dir = tempfile::tempdir().unwrap();
    let path = written(dir.path(), &sample());
    let old = Container::open(&path, Kind::Segment).unwrap();
    ContainerWriter::new(Kind::Segment, fingerprint())
        .write(&path)
        .unwrap();
    old.verify().unwrap();
    assert!(
        Container::open(&path, Kind::Segment)
            .unwrap()
            .sections()
            .is_empty()
    );
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn other_files_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let path = written(dir.path(), &sample());
    let error = Container::open(&path, Kind::Bundle).unwrap_err();
    assert!(
        matches!(error, ContainerError::NotThisKind { .. }),
        "{error}"
    );
    assert!(error.to_string().contains("PLXSEGM"), "{error}");
    let error = check(b"{\"json\": true}").unwrap_err();
    assert!(
        matches!(error, ContainerError::NotThisKind { .. }),
        "{error}"
    );
    let error = Container::open(&dir.path().join("missing"), Kind::Segment).unwrap_err();
    assert!(matches!(error, ContainerError::Io { .. }), "{error}");
    let error = Container::open(dir.path(), Kind::Segment).unwrap_err();
    assert!(matches!(error, ContainerError::Io { .. }), "{error}");
}

#[test]
fn newer_files_are_refused_by_name() {
    for file in [
        forged(8, &2u32.to_le_bytes()),
        forged(16, &4u64.to_le_bytes()),
    ] {
        let error = check(&file).unwrap_err();
        assert!(
            matches!(error, ContainerError::Incompatible { .. }),
            "{error}"
        );
    }
}

#[test]
fn truncation_is_found_at_every_edge() {
    let file = sample();
    let edges = check(&file).unwrap().sections().iter().fold(
        vec![0, 1, 7, 8, 12, 47, 48, 60, 100, 123, 124, 200],
        |mut edges, section| {
            let (start, end) = (
                section.offset as usize,
                (section.offset + section.length) as usize,
            );
            edges.extend([start - 1, start, start + 1, end - 1, end]);
            edges
        },
    );
    for edge in edges.into_iter().filter(|&edge| edge < file.len()) {
        let error = check(&file[..edge]).unwrap_err();
        assert!(
            matches!(error, ContainerError::Truncated { .. }),
            "{edge}: {error}"
        );
    }
    let longer = [file, vec![0]].concat();
    assert!(matches!(
        check(&longer),
        Err(ContainerError::Corrupt { .. })
    ));
}

#[test]
fn hostile_headers_are_refused() {
    let u64_max = u64::MAX.to_le_bytes();
    let near_overflow = (u64::MAX - 16_383).to_le_bytes();
    for (what, file) in [
        ("huge count", forged(12, &u32::MAX.to_le_bytes())),
        ("one too many", forged(12, &65u32.to_le_bytes())),
        ("huge file", forged(24, &u64_max)),
        ("tiny file", forged(24, &0u64.to_le_bytes())),
        ("huge offset", forged(OFFSET, &near_overflow)),
        ("offset in the header", forged(OFFSET, &0u64.to_le_bytes())),
        ("unaligned offset", forged(OFFSET, &16_385u64.to_le_bytes())),
        ("huge length", forged(LENGTH, &u64_max)),
        (
            "length past the end",
            forged(LENGTH, &65_536u64.to_le_bytes()),
        ),
        (
            "length over the next section",
            forged(LENGTH, &40_000u64.to_le_bytes()),
        ),
        (
            "length short of the next section",
            forged(LENGTH, &10u64.to_le_bytes()),
        ),
        ("same tag twice", forged(ENTRY + 24, &ALPHA.0)),
        ("fewer sections", forged(12, &2u32.to_le_bytes())),
    ] {
        let error = check(&file).expect_err(what);
        assert!(
            matches!(
                error,
                ContainerError::Corrupt { .. } | ContainerError::Truncated { .. }
            ),
            "{what}: {error}"
        );
    }
}

proptest! {
    #[test]
    fn any_flipped_bit_is_found(at in any::<prop::sample::Index>(), bit in 0..8) {
        let mut file = sample();
        let at = at.index(file.len());
        file[at] ^= 1u8 << bit;
        prop_assert!(check(&file).is_err());
    }

    #[test]
    fn any_flipped_bit_of_the_header_is_found_at_opening(at in 0..124usize, bit in 0..8) {
        let mut file = sample();
        file[at] ^= 1u8 << bit;
        prop_assert!(Container::from_static(file.leak(), Kind::Segment).is_err());
    }

    #[test]
    fn forged_headers_never_panic(at in 8..120usize, bytes in any::<[u8; 4]>()) {
        if let Ok(container) = Container::from_static(forged(at, &bytes).leak(), Kind::Segment) {
            for section in container.sections() {
                prop_assert_eq!(container.section(section.tag).unwrap().len() as u64, section.length);
            }
        }
    }
}
