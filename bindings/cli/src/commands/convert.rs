//! `pocketlens bundle convert`: a float network becomes an int8 plan, its whitening is learned anew.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;
use pocketlens::backbone::{BackboneError, QuantiseOptions, RangeRule, quantise};
use pocketlens::bundle::{self, Card, Network, Spec};
use pocketlens::descriptor::Recipe;
use pocketlens::fit::FitOptions;
use pocketlens::image::{Limits, Photo, Pixels};

use super::fit::{Source, fit_to_file, recipe};
use super::{bundle as bundle_command, warn_about};
use crate::{catalogue, progress};

#[derive(Args)]
pub(crate) struct Arguments {
    /// The network: an ONNX file (float, or quantised as QDQ), a TFLite file (float or int8), or a bundle that holds one
    #[arg(long)]
    backbone: PathBuf,
    /// Folder of photos that activation ranges are taken from; not needed for QDQ models
    #[arg(long)]
    calibrate: Option<PathBuf>,
    /// The bundle to write
    #[arg(long)]
    out: PathBuf,
    /// What an ONNX network reads: mobilenet (-1 to 1), imagenet (torchvision's mean and deviation), lite ((byte - 127) / 128)
    /// or a JSON file; mobilenet when absent
    #[arg(long, value_name = "NAME")]
    preprocessing: Option<String>,
    /// A recipe's name or a JSON file; the bundle's own when absent
    #[arg(long)]
    recipe: Option<String>,
    /// Photos to fit the recipe's whitening on; may be given again
    #[arg(long)]
    photos: Vec<PathBuf>,
    /// What the network says besides, a JSON file: {"detector": TAP, "attributes": [{"name", "tap", "labels": […],
    /// "labelling": "one_of" or "any_of"}]}; the bundle's own when absent
    #[arg(long, value_name = "FILE")]
    heads: Option<PathBuf>,
    /// Further outputs of the network to keep, for other recipes
    #[arg(long, value_delimiter = ',')]
    taps: Vec<String>,
    /// Photos of --calibrate that are used, spread evenly
    #[arg(long, default_value_t = 32)]
    calibration_photos: usize,
    /// Take each range from the least to the largest value seen, without cutting outliers
    #[arg(long)]
    min_max: bool,
    /// Leave channels as they are scaled
    #[arg(long)]
    no_equalisation: bool,
    /// Leave biases as they are
    #[arg(long)]
    no_bias_correction: bool,
    /// The bundle's name; the file's when absent
    #[arg(long)]
    name: Option<String>,
    /// Threads; all cores when absent
    #[arg(long)]
    jobs: Option<usize>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let source = Source::open(&arguments.backbone)?;
    let Network::Onnx(onnx) = source.network() else {
        bail!(
            "{}: holds a plan already; `pocketlens fit --backbone` learns another recipe on it",
            arguments.backbone.display()
        );
    };
    let recipe = match (&arguments.recipe, &source) {
        (Some(name), _) => recipe(name)?,
        (None, Source::Bundle(bundle)) => bundle.spec().recipe.clone(),
        (None, Source::Onnx(_)) => Recipe::three_taps(),
    };
    let spec = Spec {
        preprocessing: source.preprocessing(arguments.preprocessing.as_deref())?,
        recipe,
        heads: source.heads(arguments.heads.as_deref())?,
    };
    let photos = calibration_photos(arguments, &spec)?;
    let mut taps = spec.taps();
    taps.extend(arguments.taps.iter().cloned());
    let options = QuantiseOptions {
        ranges: match arguments.min_max {
            true => RangeRule::MinMax,
            false => RangeRule::SquaredError,
        },
        equalise: !arguments.no_equalisation,
        correct_bias: !arguments.no_bias_correction,
    };
    eprintln!("quantising with {} photos", photos.len());
    let plan = progress::with_jobs(arguments.jobs, || {
        quantise(onnx, &spec.preprocessing, &taps, &photos, &options)
    })?;
    let plan = plan.map_err(explain)?;
    drop(photos);
    let card = card(arguments, &source);
    let network = Network::Plan(&plan);
    match &source {
        _ if !arguments.photos.is_empty() => fit_to_file(
            network,
            &spec,
            &card,
            &arguments.photos,
            &arguments.out.as_path().into(),
            &FitOptions::default(),
            arguments.jobs,
        )?,
        Source::Bundle(bundle) if bundle.spec().recipe == spec.recipe => {
            eprintln!("the whitening is that of the float network; give --photos to learn it anew");
            bundle::write(&arguments.out, &spec, &card, network, bundle.learned())?;
        }
        _ => bail!("the recipe's whitening must be learned: give --photos DIR"),
    }
    bundle_command::info(&bundle_command::Arguments {
        bundle: Some(arguments.out.clone()),
        json: false,
    })
}

/// Photos spread evenly over the folder, at the network's input size.
fn calibration_photos(arguments: &Arguments, spec: &Spec) -> Result<Vec<Pixels>> {
    let Some(folder) = &arguments.calibrate else {
        return Ok(Vec::new());
    };
    let (found, failed) = catalogue::photos(folder)?;
    warn_about(&failed);
    let count = found.len().min(arguments.calibration_photos);
    let mut photos = Vec::new();
    let limits = Limits::default();
    for at in 0..count {
        let path = &found[at * found.len() / count];
        let sizing = &spec.preprocessing.sizing;
        let photo = Photo::read(path, None, sizing, &limits);
        let photo = photo.and_then(|photo| photo.fit(None, sizing));
        match photo {
            Ok(photo) => photos.push(photo),
            Err(error) => warn_about(&[(path.clone(), error.to_string())]),
        }
    }
    if photos.is_empty() {
        bail!("{}: no photo can be read", folder.display());
    }
    Ok(photos)
}

fn card(arguments: &Arguments, source: &Source) -> Card {
    let stem = arguments.out.file_stem().and_then(|stem| stem.to_str());
    let name = arguments.name.clone();
    let card = match source {
        Source::Bundle(bundle) => bundle.card().clone(),
        Source::Onnx(_) => Card {
            backbone: "ONNX network, quantised".to_owned(),
            licence: "not stated".to_owned(),
            ..Card::default()
        },
    };
    Card {
        name: name.unwrap_or_else(|| stem.unwrap_or("bundle").to_owned()),
        ..card
    }
}

/// A refusal says what is left to do.
fn explain(error: BackboneError) -> anyhow::Error {
    match error {
        BackboneError::Unsupported { .. } => anyhow::Error::new(error).context(
            "no plan can be made of this network, which stays on the float engine \
             (`pocketlens fit --backbone X.onnx`)",
        ),
        BackboneError::Calibration { .. } => {
            anyhow::Error::new(error).context("give photos with --calibrate DIR")
        }
        _ => error.into(),
    }
}
