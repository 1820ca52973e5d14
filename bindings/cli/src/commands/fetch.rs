//! `pocketlens bundle fetch`: a published model, from its public address or a mirror, checked against the manifest.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::{print_json, print_line};
use crate::download::{Expected, Origin, Outcome, download};
use crate::registry::{Kind, Published, Registry};

#[derive(Args)]
pub(crate) struct Arguments {
    /// Its name in the manifest; without one, what there is
    name: Option<String>,
    /// An address or a folder that holds the file, instead of its public address
    #[arg(long, value_name = "URL|DIR")]
    mirror: Option<String>,
    /// The file to write; by default the published name, in the present folder
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Another manifest than the one inside of the program
    #[arg(long, value_name = "FILE")]
    registry: Option<PathBuf>,
    /// Print JSON, an object a file
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let registry = Registry::open(arguments.registry.as_deref())?;
    let Some(name) = &arguments.name else {
        return list(registry.files(), arguments.json);
    };
    let published = registry.find(name)?;
    let out = arguments
        .out
        .clone()
        .unwrap_or_else(|| published.file.clone().into());
    let origin = origin(published, arguments.mirror.as_deref())?;
    let expected = Expected {
        bytes: published.bytes,
        sha256: &published.sha256,
    };
    let bar = bar(published.bytes, name);
    let outcome = download(&origin, &out, &expected, &bar).with_context(|| name.clone());
    bar.finish_and_clear();
    let outcome = outcome?;
    if arguments.json {
        print_json(&json!({
            "name": name,
            "path": out,
            "bytes": published.bytes,
            "sha256": published.sha256,
            "licence": published.licence,
            "fetched": outcome != Outcome::AlreadyThere,
            "resumed_from": match outcome {
                Outcome::Fetched { resumed_from } => resumed_from,
                Outcome::AlreadyThere => 0,
            },
        }))?;
    } else {
        let path = out.display();
        let what = match outcome {
            Outcome::AlreadyThere => "is there already",
            Outcome::Fetched { .. } => "fetched and checked",
        };
        let Published { bytes, licence, .. } = published;
        print_line(format_args!("{path}: {what} ({bytes} bytes, {licence})"))?;
        let next = match published.kind {
            Kind::Bundle => "use it with --bundle",
            Kind::Network => "make a bundle of it with pocketlens bundle convert --backbone",
        };
        eprintln!("{next} {path}");
    }
    Ok(ExitCode::SUCCESS)
}

fn list(files: &[Published], as_json: bool) -> Result<ExitCode> {
    for Published {
        name,
        bytes,
        sha256,
        licence,
        source,
        about,
        kind,
        ..
    } in files
    {
        if as_json {
            let kind = match kind {
                Kind::Bundle => "bundle",
                Kind::Network => "network",
            };
            print_json(&json!({
                "name": name, "kind": kind, "bytes": bytes, "sha256": sha256, "licence": licence,
                "source": source, "about": about,
            }))?;
        } else {
            print_line(format_args!(
                "{name:<16} {bytes:>9} bytes  {licence:<18} {about}"
            ))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn origin(published: &Published, mirror: Option<&str>) -> Result<Origin> {
    let Published {
        name, file, source, ..
    } = published;
    match mirror {
        Some(mirror) if is_address(mirror) => Ok(Origin::Address(format!(
            "{}/{file}",
            mirror.trim_end_matches('/')
        ))),
        Some(mirror) if mirror.contains("://") => {
            bail!("{mirror}: a mirror is a folder, or begins with http:// or https://")
        }
        Some(folder) => Ok(Origin::File(PathBuf::from(folder).join(file))),
        None if is_address(source) => Ok(Origin::Address(source.clone())),
        None => bail!(
            "{name}: has no public address; it is {source} in the repository: give --mirror with a folder or an \
             address that holds {file}"
        ),
    }
}

fn is_address(text: &str) -> bool {
    text.starts_with("https://") || text.starts_with("http://")
}

fn bar(bytes: u64, name: &str) -> ProgressBar {
    let style = "{msg:>12} [{wide_bar:.cyan/blue}] {bytes}/{total_bytes} {bytes_per_sec} eta {eta}";
    let style = ProgressStyle::with_template(style).expect("the template is sound");
    ProgressBar::new(bytes)
        .with_style(style.progress_chars("━╸─"))
        .with_message(name.to_owned())
}
