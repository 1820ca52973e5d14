//! `pocketlens selftest`: what this device gives, for its owner to send back.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use pocketlens::backbone::delegate::{Delegate, Nnapi, NnapiOptions};
use pocketlens::embedder::Embedder;
use pocketlens::selection::{Candidate, SelectOptions, select};
use pocketlens::selftest::SelftestReport;

use super::bench::size;
use super::{open_bundle, print_json, print_line};
use crate::scratch::Scratch;

#[derive(Args)]
pub(crate) struct Arguments {
    /// The model bundle; the built-in one, which has golden descriptors, when absent
    #[arg(long)]
    bundle: Option<PathBuf>,
    /// Judge NNAPI, too: path or name of its library
    #[arg(long, value_name = "LIBRARY", requires = "api_level")]
    nnapi: Option<PathBuf>,
    /// Android's API level
    #[arg(long, value_name = "LEVEL")]
    api_level: Option<u32>,
    /// Judge NNAPI on Android 15 and later, too
    #[arg(long)]
    allow_deprecated: bool,
    /// Accept a delegate at any speed: its accuracy alone is judged
    #[arg(long)]
    any_speed: bool,
    /// Inputs of the network that a delegate is judged on, such as 320x256; both orientations of 4:3 when absent
    #[arg(long, value_parser = size)]
    size: Vec<(u32, u32)>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let embedder = Embedder::new(open_bundle(arguments.bundle.as_deref())?)?;
    // Verdicts are not kept: each report is measured.
    let cache = Scratch::new()?;
    let mut candidates = Vec::new();
    if let (Some(library), Some(level)) = (&arguments.nnapi, arguments.api_level) {
        let options = NnapiOptions {
            library: library.clone(),
            allow_deprecated: arguments.allow_deprecated,
            ..NnapiOptions::new(level, cache.path())
        };
        candidates.push(Candidate {
            name: "nnapi",
            open: Box::new(|| Ok(Box::new(Nnapi::open(options)?) as Box<dyn Delegate>)),
        });
    }
    let device = std::env::var("HOSTNAME").unwrap_or_else(|_| "this device".to_owned());
    let mut options = SelectOptions::new(cache.path(), device.clone());
    if !arguments.size.is_empty() {
        let sizes = arguments.size.iter();
        options.sizes = sizes.map(|&(width, height)| [width, height]).collect();
    }
    if arguments.any_speed {
        options.least_speedup = 0.0;
    }
    let selection = select(&embedder, candidates, &options);
    let report = SelftestReport::run(&embedder, device, selection.reports)?;
    match arguments.json {
        true => print_json(&report)?,
        false => print_line(format_args!("{report}"))?,
    }
    Ok(match report.passed() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}
