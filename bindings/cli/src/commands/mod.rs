//! One file a subcommand; each has its arguments and a `run`.

pub(crate) mod bench;
pub(crate) mod bundle;
mod convert;
pub(crate) mod demo;
pub(crate) mod embed;
pub(crate) mod eval;
mod fetch;
pub(crate) mod fit;
pub(crate) mod index;
pub(crate) mod mine;
pub(crate) mod push;
pub(crate) mod search;
pub(crate) mod selftest;
pub(crate) mod serve;
mod update;

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Result;
use pocketlens::bundle::Bundle;
use serde::Serialize;

/// The bundle at `path`, or the one inside of the program.
fn open_bundle(path: Option<&Path>) -> Result<Bundle> {
    Ok(match path {
        Some(path) => Bundle::open(path)?,
        None => Bundle::embedded()?,
    })
}

/// One JSON object on a line of stdout.
fn print_json(value: &impl Serialize) -> Result<()> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    Ok(std::io::stdout().lock().write_all(&line)?)
}

/// One line of text on stdout.
fn print_line(line: std::fmt::Arguments<'_>) -> Result<()> {
    Ok(writeln!(std::io::stdout().lock(), "{line}")?)
}

/// Names the photos that were left out, and why.
fn warn_about(failed: &[(PathBuf, String)]) {
    for (path, reason) in failed {
        let path = path.display().to_string();
        // Errors of the image layer begin with the file already.
        if reason.contains(&path) {
            eprintln!("skipped {reason}");
        } else {
            eprintln!("skipped {path}: {reason}");
        }
    }
}

fn milliseconds(duration: std::time::Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}
