//! The manifest of an index, under a right digest, in a folder with the files of a sound one.

use std::cell::OnceCell;
use std::fs;
use std::path::PathBuf;

use super::digest::signed;
use super::place::Place;
use super::{ask, sample};

thread_local! {
    static SAMPLE: OnceCell<(Place, PathBuf)> = const { OnceCell::new() };
}

/// Puts its fields, all but the digest, into `manifest.json` and asks the index in every way.
pub fn feed(bytes: &[u8]) -> bool {
    let Ok(fields) = std::str::from_utf8(bytes) else {
        return false;
    };
    SAMPLE.with(|sample| {
        let (_, index) = sample.get_or_init(|| {
            let place = Place::new();
            let index = sample::index(&place.path(""));
            (place, index)
        });
        fs::write(index.join("manifest.json"), signed(fields)).expect("a file of the fuzzer's own");
        ask::ask(index)
    })
}
