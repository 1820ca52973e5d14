//! `pocketlens embed`: the descriptor of each photo.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use pocketlens::build::look_at_file;
use pocketlens::descriptor::{Descriptor, LocalFeatures, pool};
use pocketlens::embedder::{EmbedError, Embedder};
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
    /// Add each part's pooled map, at unit length, before whitening: what two networks are compared by
    #[arg(long, requires = "json")]
    pooled: bool,
    /// Add the local features: height and width of the grid, and the int8 vector of each cell, row by row
    #[arg(long, requires = "json")]
    local: bool,
}

/// What is printed of a photo.
struct Embedded {
    descriptor: Descriptor,
    pooled: Vec<Vec<f32>>,
    local: Option<LocalFeatures>,
}

/// The descriptor of a photo, and each part's pooled map where they are asked for.
fn embed(embedder: &Embedder, photo: &Path, pooled: bool) -> Result<Embedded, EmbedError> {
    let (descriptor, maps) = look_at_file(embedder, photo, &Limits::default())?;
    let bundle = embedder.bundle();
    let pooled = if pooled {
        let recipe = &bundle.spec().recipe;
        pool(recipe, &embedder.maps(&maps), bundle.learned())?
    } else {
        Vec::new()
    };
    Ok(Embedded {
        descriptor,
        pooled,
        local: embedder.local_features(&maps),
    })
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let embedder = Embedder::new(open_bundle(arguments.bundle.as_deref())?)?;
    let bar = progress::bar(arguments.photos.len(), "describing");
    let mut refused = false;
    // In batches, so that the first lines come early and memory does not grow with the list.
    for photos in arguments.photos.chunks(64) {
        let described: Vec<_> = progress::with_jobs(arguments.jobs, || {
            let embed = |photo: &PathBuf| {
                let described = embed(&embedder, photo, arguments.pooled);
                bar.inc(1);
                described
            };
            photos.par_iter().map(embed).collect()
        })?;
        for (photo, described) in photos.iter().zip(described) {
            match described {
                Ok(Embedded {
                    descriptor,
                    pooled,
                    local,
                }) if arguments.json => {
                    let mut object = json!({
                        "path": photo,
                        "dim": descriptor.values.len(),
                        "fingerprint": descriptor.fingerprint,
                        "descriptor": descriptor.values,
                    });
                    if arguments.pooled {
                        object["pooled"] = json!(pooled);
                    }
                    if let Some(local) = local.filter(|_| arguments.local) {
                        object["local"] = json!({
                            "height": local.height(),
                            "width": local.width(),
                            "cells": local.cells().collect::<Vec<_>>(),
                        });
                    }
                    print_json(&object)?;
                }
                Ok(Embedded { descriptor, .. }) => {
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
