//! The files of `tests/corpus`, small and hostile, each fed to what reads its kind: whatever a fuzzer has found once is
//! looked at in every run of the tests.

#![cfg(all(feature = "build", feature = "remote", feature = "signature"))]

#[allow(unreachable_pub, reason = "a library where it is fuzzed")]
#[path = "../../../tests/fuzz/src/lib.rs"]
mod parsers;
mod seeds;

use std::fs;
use std::path::{Path, PathBuf};

use parsers::PARSERS;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/corpus")
        .join(name)
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries =
        fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn no_file_of_the_corpus_breaks_a_parser() {
    for &(name, feed) in PARSERS {
        let files = files(&folder(name));
        let mut sound = 0;
        for file in files {
            // A panic does not say which file it comes from.
            println!("{}", file.display());
            let is_sound = feed(&fs::read(&file).unwrap());
            println!("… {}", if is_sound { "sound" } else { "refused" });
            sound += usize::from(is_sound);
        }
        // Else nothing behind the first check would be looked at.
        assert!(sound > 0, "{name} has no sound file");
    }
}

#[test]
fn every_folder_of_the_corpus_has_its_parser() {
    let known = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy();
        name == "README.md" || PARSERS.iter().any(|(known, _)| *known == name)
    };
    let strays: Vec<_> = files(&folder(""))
        .into_iter()
        .filter(|path| !known(path))
        .collect();
    assert!(strays.is_empty(), "{strays:?}");
}

/// Cut and changed a little, for those who have no fuzzer at hand.
#[test]
fn no_small_change_of_the_corpus_breaks_a_parser() {
    const CHANGES: u64 = 12;
    for &(name, feed) in PARSERS {
        for (file, number) in files(&folder(name)).into_iter().zip(0u64..) {
            let bytes = fs::read(&file).unwrap();
            if bytes.is_empty() {
                continue;
            }
            for change in 0..CHANGES {
                let seed = number * CHANGES + change;
                println!("{} changed by seed {seed}", file.display());
                let mut rng = fastrand::Rng::with_seed(seed);
                let mut bytes = bytes.clone();
                match change % 4 {
                    0 => bytes.truncate(rng.usize(..bytes.len())),
                    1 => {
                        let at = rng.usize(..bytes.len());
                        bytes.insert(at, rng.u8(..));
                    }
                    _ => {
                        let at = rng.usize(..bytes.len());
                        bytes[at] = rng.u8(..);
                    }
                }
                feed(&bytes);
            }
        }
    }
}
