//! `pocketlens bundle`: info, verify, convert, fetch.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand};
use pocketlens::bundle::{Bundle, Network};
use pocketlens::embedder::Embedder;
use serde_json::json;

use super::{convert, fetch, open_bundle, print_json, print_line};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Say what a bundle holds
    Info(Arguments),
    /// Check every checksum, the fingerprint, and that the network loads
    Verify(Arguments),
    /// Quantise a network: write a bundle that runs on the int8 plan
    Convert(convert::Arguments),
    /// Bring a published bundle or network: checked, taken up again where it was cut off
    Fetch(fetch::Arguments),
}

#[derive(Args)]
pub(crate) struct Arguments {
    /// The bundle file; the built-in one when absent
    pub(super) bundle: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    pub(super) json: bool,
}

pub(crate) fn run(command: &Command) -> Result<ExitCode> {
    match command {
        Command::Info(arguments) => info(arguments),
        Command::Verify(arguments) => verify(arguments),
        Command::Convert(arguments) => convert::run(arguments),
        Command::Fetch(arguments) => fetch::run(arguments),
    }
}

pub(super) fn info(arguments: &Arguments) -> Result<ExitCode> {
    let bundle = open_bundle(arguments.bundle.as_deref())?;
    let (card, spec) = (bundle.card(), bundle.spec());
    if arguments.json {
        print_json(&json!({
            "name": card.name,
            "bytes": bundle.bytes().len(),
            "dim": bundle.dim(),
            "fingerprint": bundle.fingerprint(),
            "backbone": card.backbone,
            "network": kind(&bundle),
            "taps": spec.recipe.taps(),
            "recipe": spec.recipe,
            "preprocessing": spec.preprocessing,
            "heads": spec.heads,
            "licence": card.licence,
            "notes": card.notes,
        }))?;
    } else {
        print_line(format_args!("name            {}", card.name))?;
        print_line(format_args!(
            "size            {} bytes",
            bundle.bytes().len()
        ))?;
        print_line(format_args!("descriptor      {} components", bundle.dim()))?;
        print_line(format_args!("fingerprint     {}", bundle.fingerprint()))?;
        print_line(format_args!("backbone        {}", card.backbone))?;
        print_line(format_args!("network         {}", kind(&bundle)))?;
        print_line(format_args!(
            "taps            {}",
            spec.recipe.taps().join(", ")
        ))?;
        print_line(format_args!("recipe          {}", spec.recipe.name))?;
        if let Some(detector) = &spec.heads.detector {
            print_line(format_args!("detector        {detector}"))?;
        }
        let heads = spec.heads.attributes.iter().map(|head| head.name.as_str());
        let heads: Vec<&str> = heads.collect();
        if !heads.is_empty() {
            print_line(format_args!("attributes      {}", heads.join(", ")))?;
        }
        print_line(format_args!(
            "input           longest side {}",
            spec.preprocessing.sizing.longest_side
        ))?;
        print_line(format_args!("licence         {}", card.licence))?;
        print_line(format_args!("notes           {}", card.notes))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn kind(bundle: &Bundle) -> &'static str {
    match bundle.network() {
        Network::Onnx(_) => "onnx, float",
        Network::Plan(_) => "plan, int8",
    }
}

fn verify(arguments: &Arguments) -> Result<ExitCode> {
    let bundle = open_bundle(arguments.bundle.as_deref())?;
    bundle.verify()?;
    let (name, fingerprint) = (bundle.card().name.clone(), bundle.fingerprint());
    Embedder::new(bundle)?;
    if arguments.json {
        print_json(&json!({"name": name, "sound": true, "fingerprint": fingerprint}))?;
    } else {
        print_line(format_args!("{name}: sound, fingerprint {fingerprint}"))?;
    }
    Ok(ExitCode::SUCCESS)
}
