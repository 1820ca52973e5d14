//! The command as people and scripts use it: the program is run, and what it prints, writes and
//! returns is looked at.

mod augment;
mod demo;
mod fetch;
mod filters;
mod open_set;
mod per_query;
mod recipes;
mod refusals;
mod serve;
mod updates;

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Output};

use image::{Rgb, RgbImage};
use serde_json::Value;

/// The program with its arguments, not yet started.
fn command<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pocketlens"));
    command.args(arguments);
    command
}

/// Runs it to its end, which must be exit code 0; gives back the JSON objects on stdout.
fn lines<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Vec<Value> {
    let output = command(arguments).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let parse = |line: &str| serde_json::from_str(line).unwrap();
    text(&output.stdout).lines().map(parse).collect()
}

/// Runs it to its end, which must be a refusal; gives back what it says on stderr.
fn refusal<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> String {
    let Output { status, stderr, .. } = command(arguments).output().unwrap();
    let stderr = text(&stderr);
    assert_eq!(status.code(), Some(1), "{stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
    stderr
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A picture of its own for each seed: integer arithmetic only, so that every platform makes the
/// same bytes.
fn picture(width: u32, height: u32, seed: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        let wave = |a: u32, b: u32| (x * a + y * b + seed * 31) % 256;
        let triangle = |value: u32| {
            if value < 128 {
                2 * value
            } else {
                511 - 2 * value
            }
        };
        let tile = (x / 24 + y / 24 + seed).is_multiple_of(3);
        let inside = x.abs_diff(width / 2).pow(2) + y.abs_diff(height / 2).pow(2)
            < (30 + 7 * (seed % 9)).pow(2);
        let channel = |a, b| {
            let value = triangle(wave(a + seed % 5, b + seed % 3));
            let value = if tile { value / 2 } else { value };
            if inside { 255 - value } else { value }
        };
        Rgb([channel(1, 2), channel(3, 1), channel(0, 2)].map(|value| value as u8))
    })
}

/// A folder of `count` different pictures, `00.png`, `01.png`, …
fn pictures(folder: &Path, count: u32) {
    std::fs::create_dir_all(folder).unwrap();
    for seed in 0..count {
        let path = folder.join(format!("{seed:02}.png"));
        picture(160, 128, seed).save(path).unwrap();
    }
}

/// Builds an index of `count` pictures, without calibration, at `folder/shop.plx`.
fn shop(folder: &Path, count: u32) -> std::path::PathBuf {
    let (catalogue, index) = (folder.join("catalogue"), folder.join("shop.plx"));
    pictures(&catalogue, count);
    let arguments = ["index", "build", "--no-calibration", "--json", "--out"].map(OsStr::new);
    lines(
        arguments
            .into_iter()
            .chain([index.as_os_str(), catalogue.as_os_str()]),
    );
    index
}
