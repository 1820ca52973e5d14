//! `pocketlens embed`: the descriptor of each photo.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use pocketlens::build::embed_file;
use pocketlens::embedder::Embedder;
use pocketlens::image::Limits;
use rayon::prelude::*;
use serde_json::json;

use super::{open_bundle, print_json, print_line};
use crate::progress;

#[derive(Args)]
pub(crate) struct Arguments {
    /// Photos: JPEG, PNG or WebP
    #[arg(required = true)]
    photos: Vec<PathBuf>,
    /// The model bundle; the built-in one when absent
    #[arg(long)]
    bundle: Option<PathBuf>,
    /// Threads; all cores when absent
    #[arg(long)]
    jobs: Option<usize>,
    /// Print one JSON object a line: path, dim, fingerprint, descriptor
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let embedder = Embedder::new(open_bundle(arguments.bundle.as_deref())?)?;
    let limits = Limits::default();
    let bar = progress::bar(arguments.photos.len(), "describing");
    let mut refused = false;
    // In batches, so that the first lines come early and memory does not grow with the list.
    for photos in arguments.photos.chunks(64) {
        let described: Vec<_> = progress::with_jobs(arguments.jobs, || {
            let embed = |photo: &PathBuf| {
                let descriptor = embed_file(&embedder, photo, &limits);
                bar.inc(1);
                descriptor
            };
            photos.par_iter().map(embed).collect()
        })?;
        for (photo, described) in photos.iter().zip(described) {
            match described {
                Ok(descriptor) if arguments.json => print_json(&json!({
                    "path": photo,
                    "dim": descriptor.values.len(),
                    "fingerprint": descriptor.fingerprint,
                    "descriptor": descriptor.values,
                }))?,
                Ok(descriptor) => {
                    let first: Vec<String> = descriptor
                        .values
                        .iter()
                        .take(6)
                        .map(|value| format!("{value:.4}"))
                        .collect();
                    let (photo, dim) = (photo.display(), descriptor.values.len());
                    print_line(format_args!(
                        "{photo}: {dim} components, {}, …",
                        first.join(", ")
                    ))?;
                }
                Err(error) => {
                    refused = true;
                    super::warn_about(&[(photo.clone(), error.to_string())]);
                }
            }
        }
    }
    bar.finish_and_clear();
    Ok(if refused {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}
