//! `pocketlens fit`: learns what a recipe needs from photos, without labels or with some, and writes
//! a bundle.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;
use pocketlens::backbone::{Backbone, Preprocessing};
use pocketlens::bundle::{self, Bundle, Card, Heads, Network, Spec};
use pocketlens::descriptor::Recipe;
use pocketlens::embedder::Embedder;
use pocketlens::fit::{FitOptions, RecipeMoments, adapt, adapted_photos, fit, passes};
use pocketlens::simulate::{CaptureSimulator, Settings};

use super::{bundle as bundle_command, warn_about};
use crate::scratch::Scratch;
use crate::{catalogue, progress};

#[derive(Args)]
pub(crate) struct Arguments {
    /// Folder of photos, sub-folders included; may be given again
    #[arg(long, required = true)]
    photos: Vec<PathBuf>,
    /// The network: an ONNX file with named taps, or a bundle whose network is taken
    #[arg(long)]
    backbone: PathBuf,
    /// What an ONNX network reads: mobilenet (-1 to 1), imagenet (torchvision's mean and deviation), lite ((byte - 127) / 128)
    /// or a JSON file; mobilenet when absent
    #[arg(long, value_name = "NAME")]
    preprocessing: Option<String>,
    /// A recipe's name (three-taps, late-512, …; a wrong one lists them all) or a JSON file
    #[arg(long, default_value = "three-taps")]
    recipe: String,
    /// What the network says besides, a JSON file: {"detector": TAP, "attributes": [{"name", "tap", "labels": […],
    /// "labelling": "one_of" or "any_of"}]}; the bundle's own when absent
    #[arg(long, value_name = "FILE")]
    heads: Option<PathBuf>,
    /// The bundle to write
    #[arg(long)]
    out: PathBuf,
    /// Also write what the whitenings were computed from, for index build --adapt
    #[arg(long, value_name = "FILE")]
    moments: Option<PathBuf>,
    /// Simulated captures of each photo
    #[arg(long, default_value_t = 5)]
    views: usize,
    /// What captures are like: capture, wide (scale varies more), or a JSON file of settings
    #[arg(long, default_value = "capture")]
    captures: String,
    /// Seed of the capture simulator, of codebooks and of --rotate
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Table of photos that show the same thing: image and group, separated by a tab, paths relative
    /// to the table
    #[arg(long)]
    labels: Option<PathBuf>,
    /// Search the weights of the recipe's parts on the groups of --labels
    #[arg(long, requires = "labels")]
    search_weights: bool,
    /// Fold a random rotation into the last whitening, for codes of one bit a component
    #[arg(long)]
    rotate: bool,
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
        preprocessing: source.preprocessing(arguments.preprocessing.as_deref())?,
        recipe: recipe(&arguments.recipe)?,
        heads: source.heads(arguments.heads.as_deref())?,
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
        simulator: simulator(&arguments.captures)?,
        groups: match &arguments.labels {
            Some(labels) => groups(labels, &photos(&arguments.photos)?)?,
            None => BTreeMap::new(),
        },
        search_weights: arguments.search_weights,
        rotate: arguments.rotate,
        ..FitOptions::default()
    };
    fit_to_file(
        source.network(),
        &spec,
        &card,
        &arguments.photos,
        &Outputs {
            bundle: &arguments.out,
            moments: arguments.moments.as_deref(),
        },
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
    let spec = Spec {
        recipe: recipe(recipe_name)?,
        ..bundle.spec().clone()
    };
    fit_to_file(
        bundle.network(),
        &spec,
        bundle.card(),
        photos,
        &out.into(),
        &FitOptions::default(),
        jobs,
    )
}

/// A bundle that is adapted to the pictures of a catalogue.
pub(super) fn adapted(
    embedder: &Embedder,
    moments: Option<&Path>,
    pictures: &[PathBuf],
    jobs: Option<usize>,
) -> Result<Embedder> {
    let (bundle, options) = (embedder.bundle(), FitOptions::default());
    let moments = match moments {
        Some(path) => Some(RecipeMoments::read(path, bundle.fingerprint())?),
        None => None,
    };
    let bar = progress::bar(adapted_photos(pictures), "adapting");
    let learned = progress::with_jobs(jobs, || {
        let (recipe, learned) = (&bundle.spec().recipe, bundle.learned());
        adapt(
            embedder.backbone(),
            recipe,
            learned,
            moments.as_ref(),
            pictures,
            &options,
            &|done| bar.inc(done as u64),
        )
    })??;
    bar.finish_and_clear();
    let scratch = Scratch::new()?;
    let file = scratch.path().join("adapted.lens");
    bundle::write(
        &file,
        bundle.spec(),
        bundle.card(),
        bundle.network(),
        &learned,
    )?;
    // The file may go: it stays mapped.
    Ok(Embedder::new(Bundle::open(&file)?)?)
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

    /// What the network reads: of a bundle what stands in it, of an ONNX file what is said.
    pub(super) fn preprocessing(&self, said: Option<&str>) -> Result<Preprocessing> {
        match (self, said) {
            (Self::Bundle(bundle), None) => Ok(bundle.spec().preprocessing.clone()),
            (Self::Bundle(_), Some(_)) => {
                bail!(
                    "--preprocessing is for ONNX files: a bundle says itself what its network reads"
                )
            }
            (Self::Onnx(_), None) => Ok(Preprocessing::default()),
            (Self::Onnx(_), Some(said)) => named_preprocessing(said),
        }
    }

    /// Those of a file, or else those that a bundle's network has.
    pub(super) fn heads(&self, file: Option<&Path>) -> Result<Heads> {
        let heads = match (file, self) {
            (Some(path), _) => {
                let text = std::fs::read_to_string(path);
                let text = text.with_context(|| path.display().to_string())?;
                serde_json::from_str(&text).with_context(|| path.display().to_string())?
            }
            (None, Self::Bundle(bundle)) => bundle.spec().heads.clone(),
            (None, Self::Onnx(_)) => Heads::default(),
        };
        heads.check().map_err(anyhow::Error::msg)?;
        Ok(heads)
    }
}

/// By name, or of a JSON file: {"sizing": …, "mean": [3 numbers], "scale": [3 numbers]}.
fn named_preprocessing(name: &str) -> Result<Preprocessing> {
    if let Some(preprocessing) = Preprocessing::named(name) {
        return Ok(preprocessing);
    }
    let text = std::fs::read_to_string(name).with_context(|| {
        let names = Preprocessing::NAMES.join(", ");
        format!("{name}: neither a name ({names}) nor a readable JSON file")
    })?;
    serde_json::from_str(&text).with_context(|| name.to_owned())
}

pub(super) fn recipe(name: &str) -> Result<Recipe> {
    if let Some(recipe) = Recipe::named(name) {
        return Ok(recipe);
    }
    let text = std::fs::read_to_string(name).with_context(|| {
        let names = Recipe::names().join(", ");
        format!("{name}: neither a recipe's name ({names}) nor a readable JSON file")
    })?;
    serde_json::from_str(&text).with_context(|| name.to_owned())
}

/// A capture simulator by its settings' name, or by their file.
pub(super) fn simulator(name: &str) -> Result<CaptureSimulator> {
    Ok(CaptureSimulator::new(match name {
        "capture" => Settings::capture(),
        "wide" => Settings::wide(),
        _ => {
            let text = std::fs::read_to_string(name).with_context(|| {
                format!("{name}: neither \"capture\", nor \"wide\", nor a readable JSON file")
            })?;
            serde_json::from_str(&text).with_context(|| name.to_owned())?
        }
    }))
}

/// The groups of those photos that a table lists: `image<TAB>group`, relative to the table.
fn groups(table: &Path, photos: &[PathBuf]) -> Result<BTreeMap<PathBuf, String>> {
    let name = table.display();
    let text = std::fs::read_to_string(table).with_context(|| name.to_string())?;
    let root = table.parent().unwrap_or(Path::new(""));
    let mut listed = BTreeMap::new();
    for (at, line) in text.lines().enumerate() {
        let mut fields = line.split('\t');
        match (fields.next(), fields.next()) {
            (Some("") | None, None) => {}
            (Some("image" | "image_path"), _) if at == 0 => {}
            (Some(image), Some(group)) if !group.is_empty() => {
                // What a table lists need not be there: it may be larger than the folder.
                if let Ok(path) = root.join(image).canonicalize() {
                    listed.insert(path, group.to_owned());
                }
            }
            _ => bail!(
                "{name}, line {}: image and group, separated by a tab, were expected",
                at + 1
            ),
        }
    }
    let mut groups = BTreeMap::new();
    for photo in photos {
        let group = photo.canonicalize().ok().and_then(|path| listed.get(&path));
        if let Some(group) = group {
            groups.insert(photo.clone(), group.clone());
        }
    }
    if groups.is_empty() {
        bail!(
            "{name}: lists none of the {} photos of --photos",
            photos.len()
        );
    }
    eprintln!("{} of {} photos have a group", groups.len(), photos.len());
    Ok(groups)
}

/// The photos of some folders.
pub(super) fn photos(folders: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut photos = Vec::new();
    for folder in folders {
        let (found, failed) = catalogue::photos(folder)?;
        warn_about(&failed);
        photos.extend(found);
    }
    Ok(photos)
}

/// The files that a fit writes.
pub(super) struct Outputs<'a> {
    bundle: &'a Path,
    moments: Option<&'a Path>,
}

impl<'a> From<&'a Path> for Outputs<'a> {
    fn from(bundle: &'a Path) -> Self {
        Self {
            bundle,
            moments: None,
        }
    }
}

pub(super) fn fit_to_file(
    network: Network<'_>,
    spec: &Spec,
    card: &Card,
    folders: &[PathBuf],
    out: &Outputs<'_>,
    options: &FitOptions,
    jobs: Option<usize>,
) -> Result<()> {
    // What heads read besides is not fitted.
    let taps = spec.recipe.taps();
    let preprocessing = spec.preprocessing.clone();
    let backbone = match network {
        Network::Onnx(onnx) => Backbone::from_onnx(onnx, preprocessing, &taps)?,
        Network::Plan(plan) => Backbone::from_plan(plan.to_vec(), preprocessing, &taps)?,
    };
    let photos = photos(folders)?;
    let passes = passes(std::slice::from_ref(&spec.recipe));
    let bar = progress::bar(passes * photos.len(), "fitting");
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
    let spec = Spec {
        recipe: fitted.recipe,
        ..spec.clone()
    };
    let fingerprint = bundle::write(out.bundle, &spec, card, network, &fitted.learned)?;
    if let Some(path) = out.moments {
        fitted.moments.write(path, fingerprint)?;
    }
    eprintln!(
        "fitted on {} photos: {}",
        fitted.photos,
        out.bundle.display()
    );
    Ok(())
}
