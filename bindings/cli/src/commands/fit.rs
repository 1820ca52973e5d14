//! `pocketlens fit`: learns a recipe's whitening from photos without labels, writes a bundle.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use pocketlens::backbone::{Backbone, Preprocessing};
use pocketlens::bundle::{self, Bundle, Card, Network, Spec};
use pocketlens::descriptor::Recipe;
use pocketlens::fit::{FitOptions, fit};

use super::{bundle as bundle_command, warn_about};
use crate::{catalogue, progress};

#[derive(Args)]
pub(crate) struct Arguments {
    /// Folder of photos, sub-folders included; may be given again
    #[arg(long, required = true)]
    photos: Vec<PathBuf>,
    /// The network: an ONNX file with named taps, or a bundle whose network is taken
    #[arg(long)]
    backbone: PathBuf,
    /// three-taps, late-256, late-512, or a JSON file
    #[arg(long, default_value = "three-taps")]
    recipe: String,
    /// The bundle to write
    #[arg(long)]
    out: PathBuf,
    /// Simulated captures of each photo
    #[arg(long, default_value_t = 5)]
    views: usize,
    /// Seed of the capture simulator
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The bundle's name; the file's when absent
    #[arg(long)]
    name: Option<String>,
    /// Licence of the weights
    #[arg(long, default_value = "not stated")]
    licence: String,
    /// What the network is, in a few words
    #[arg(long, default_value = "ONNX network")]
    describe: String,
    /// Where weights and photos come from
    #[arg(long, default_value = "")]
    notes: String,
    /// Threads; all cores when absent
    #[arg(long)]
    jobs: Option<usize>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let source = Source::open(&arguments.backbone)?;
    let spec = Spec {
        preprocessing: source.preprocessing(),
        recipe: recipe(&arguments.recipe)?,
    };
    let stem = arguments
        .out
        .file_stem()
        .and_then(|stem| stem.to_str())
        .unwrap_or("bundle");
    let card = Card {
        name: arguments.name.clone().unwrap_or_else(|| stem.to_owned()),
        backbone: arguments.describe.clone(),
        licence: arguments.licence.clone(),
        notes: arguments.notes.clone(),
    };
    let options = FitOptions {
        views: arguments.views,
        seed: arguments.seed,
        ..FitOptions::default()
    };
    fit_to_file(
        source.network(),
        &spec,
        &card,
        &arguments.photos,
        &arguments.out,
        &options,
        arguments.jobs,
    )?;
    eprintln!(
        "next: pocketlens eval DIR --bundle {}",
        arguments.out.display()
    );
    bundle_command::info(&bundle_command::Arguments {
        bundle: Some(arguments.out.clone()),
        json: false,
    })
}

/// Fits another recipe on a bundle's network.
pub(super) fn refit(
    bundle: &Bundle,
    recipe_name: &str,
    photos: &[PathBuf],
    out: &Path,
    jobs: Option<usize>,
) -> Result<()> {
    let preprocessing = bundle.spec().preprocessing.clone();
    let spec = Spec {
        preprocessing,
        recipe: recipe(recipe_name)?,
    };
    fit_to_file(
        bundle.network(),
        &spec,
        bundle.card(),
        photos,
        out,
        &FitOptions::default(),
        jobs,
    )
}

/// Where a network comes from: an ONNX file, or a bundle.
pub(super) enum Source {
    Onnx(Vec<u8>),
    Bundle(Box<Bundle>),
}

impl Source {
    pub(super) fn open(path: &Path) -> Result<Self> {
        if path
            .extension()
            .is_some_and(|extension| extension == "lens")
        {
            return Ok(Self::Bundle(Box::new(Bundle::open(path)?)));
        }
        let onnx = std::fs::read(path).with_context(|| path.display().to_string())?;
        Ok(Self::Onnx(onnx))
    }

    pub(super) fn network(&self) -> Network<'_> {
        match self {
            Self::Onnx(onnx) => Network::Onnx(onnx),
            Self::Bundle(bundle) => bundle.network(),
        }
    }

    pub(super) fn preprocessing(&self) -> Preprocessing {
        match self {
            Self::Onnx(_) => Preprocessing::default(),
            Self::Bundle(bundle) => bundle.spec().preprocessing.clone(),
        }
    }
}

pub(super) fn recipe(name: &str) -> Result<Recipe> {
    if let Some(recipe) = Recipe::named(name) {
        return Ok(recipe);
    }
    let text = std::fs::read_to_string(name)
        .with_context(|| format!("{name}: neither a recipe's name (three-taps, late-256, late-512) nor a readable JSON file"))?;
    serde_json::from_str(&text).with_context(|| name.to_owned())
}

pub(super) fn fit_to_file(
    network: Network<'_>,
    spec: &Spec,
    card: &Card,
    folders: &[PathBuf],
    out: &Path,
    options: &FitOptions,
    jobs: Option<usize>,
) -> Result<()> {
    let taps = spec.recipe.taps();
    let preprocessing = spec.preprocessing.clone();
    let backbone = match network {
        Network::Onnx(onnx) => Backbone::from_onnx(onnx, preprocessing, &taps)?,
        Network::Plan(plan) => Backbone::from_plan(plan.to_vec(), preprocessing, &taps)?,
    };
    let mut photos = Vec::new();
    for folder in folders {
        let (found, failed) = catalogue::photos(folder)?;
        warn_about(&failed);
        photos.extend(found);
    }
    let bar = progress::bar(photos.len(), "fitting");
    let fitted = progress::with_jobs(jobs, || {
        fit(&backbone, &spec.recipe, &photos, options, &|done| {
            bar.inc(done as u64);
        })
    })?;
    bar.finish_and_clear();
    let fitted = fitted?;
    let failed = fitted
        .failed
        .into_iter()
        .map(|(path, error)| (path, error.to_string()));
    warn_about(&failed.collect::<Vec<_>>());
    bundle::write(out, spec, card, network, &fitted.whitenings)?;
    eprintln!("fitted on {} photos: {}", fitted.photos, out.display());
    Ok(())
}
