//! What a bundle's whitenings were computed from (`.moments`), as `fit` reads it.

use std::fs;

use pocketlens::container::{ContainerWriter, Kind, Tag};
use pocketlens::fit::RecipeMoments;

use super::place::Place;
use super::{parts, sample};

/// Writes its parts as sections under right checksums and reads the file.
pub fn feed(bytes: &[u8]) -> bool {
    let mut parts = parts::split(bytes);
    parts.truncate(16);
    let mut writer = ContainerWriter::new(Kind::Moments, sample::model());
    for (at, (tag, content)) in parts.iter().enumerate() {
        if parts[..at].iter().all(|(before, _)| before != tag) {
            writer.section(Tag(*tag), *content);
        }
    }
    let place = Place::new();
    let path = place.path("fuzzed.moments");
    fs::write(&path, writer.to_bytes()).expect("a file of the fuzzer's own");
    let Ok(moments) = RecipeMoments::read(&path, sample::model()) else {
        return false;
    };
    // What was understood can be written, and is the same again.
    moments
        .write(&path, sample::model())
        .expect("a file of the fuzzer's own");
    RecipeMoments::read(&path, sample::model()).expect("what was read before");
    true
}
