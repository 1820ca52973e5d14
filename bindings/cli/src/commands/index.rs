//! `pocketlens index`: build, info, verify; the other commands are in [`update`].

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use pocketlens::build::{BuildOptions, BuildReport, build_index};
use pocketlens::embedder::Embedder;
use pocketlens::index::{Index, Schema};
use pocketlens::rerank::Augmentation;

use super::{fit, open_bundle, print_json, print_line, update, warn_about};
use crate::{catalogue, progress};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Index a folder of photos or a catalogue (.csv, .jsonl with the columns image and key)
    Build(Build),
    /// Say what an index holds
    Info(Inspect),
    /// Check every checksum of an index
    Verify(Inspect),
    /// Add photos to an index, or replace the items with their keys
    Add(update::Add),
    /// Remove items by key
    Remove(update::Remove),
    /// Merge small segments and drop what was removed
    Compact(update::Compact),
    /// Make one index of shards (index build --shard)
    Merge(update::Merge),
    /// Write the pack that turns one index into another, for devices that have the old one
    Diff(update::Diff),
    /// Turn an index into the one that a pack leads to
    Apply(update::Apply),
    /// Go back to the index before the last pack
    Rollback(update::Rollback),
    /// Print all items, one JSON object a line
    Export(update::Export),
}

/// Of [`Augmentation::default`].
pub(super) const DEFAULT_NEIGHBOURS: &str = "10";

#[derive(Args)]
pub(crate) struct Build {
    /// Folder of photos, or a catalogue file
    source: PathBuf,
    /// The index directory to write; an index that stands there is replaced when the new is whole
    #[arg(long)]
    out: PathBuf,
    /// The model bundle; the built-in one when absent
    #[arg(long)]
    bundle: Option<PathBuf>,
    /// Threads; all cores when absent
    #[arg(long)]
    jobs: Option<usize>,
    /// Photos of one sub-folder answer as one group (a landmark, a product line)
    #[arg(long)]
    group_by_folder: bool,
    /// Adapt the bundle's whitening to the catalogue's own pictures first; the index carries the
    /// result
    #[arg(long, conflicts_with = "shard")]
    adapt: bool,
    /// The moments that the bundle was fitted with (fit --moments): adapting gains more with them
    #[arg(long, requires = "adapt", value_name = "FILE")]
    moments: Option<PathBuf>,
    /// Kinds of columns, for filters, instead of those inferred: a JSON file like
    /// {"brand": "keyword", "price": "float"}; unindexed, keyword, tags, integer, float, bool, timestamp, geo
    #[arg(long, value_name = "FILE")]
    columns: Option<PathBuf>,
    /// Index one of n parts of the catalogue, i/n with i from 1, to be merged with the others; implies
    /// --no-calibration
    #[arg(long, value_name = "I/N")]
    shard: Option<update::Shard>,
    /// Store what each photo shows where (some 4 KB a photo), for search --rerank
    #[arg(long)]
    local_features: bool,
    /// Write into payloads what the bundle's heads say of each item's first photo, where the catalogue does not
    #[arg(long)]
    attributes: bool,
    /// Move each photo's vector towards its N nearest of the catalogue, 10 when absent: gains where things have as many
    /// photos and more, loses where they have one. Items added later are not moved; shards cannot be
    #[arg(long, value_name = "N", num_args = 0..=1, default_missing_value = DEFAULT_NEIGHBOURS,
        value_parser = clap::value_parser!(u32).range(1..=1000))]
    augment: Option<u32>,
    /// Leave the verdict uncalibrated: faster, and "match" is then a guess
    #[arg(long)]
    no_calibration: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub(crate) struct Inspect {
    /// The index directory
    index: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(command: &Command) -> Result<ExitCode> {
    match command {
        Command::Build(arguments) => build(arguments),
        Command::Info(arguments) => info(arguments),
        Command::Verify(arguments) => verify(arguments),
        Command::Add(arguments) => arguments.run(),
        Command::Remove(arguments) => arguments.run(),
        Command::Compact(arguments) => arguments.run(),
        Command::Merge(arguments) => arguments.run(),
        Command::Diff(arguments) => arguments.run(),
        Command::Apply(arguments) => arguments.run(),
        Command::Rollback(arguments) => arguments.run(),
        Command::Export(arguments) => arguments.run(),
    }
}

fn build(arguments: &Build) -> Result<ExitCode> {
    let mut embedder = Embedder::new(open_bundle(arguments.bundle.as_deref())?)?;
    let mut catalogue = catalogue::read(&arguments.source, arguments.group_by_folder)?;
    if arguments.adapt {
        let pictures: Vec<PathBuf> = catalogue.entries.iter().map(|e| e.image.clone()).collect();
        embedder = fit::adapted(
            &embedder,
            arguments.moments.as_deref(),
            &pictures,
            arguments.jobs,
        )?;
    }
    if let Some(shard) = arguments.shard {
        catalogue.entries.retain(|entry| shard.has(&entry.key));
    }
    let mut options = BuildOptions {
        // A table names its items; in a folder each photo is one.
        groups_of_variants: arguments.source.is_file(),
        is_shard: arguments.shard.is_some(),
        local_features: arguments.local_features,
        attributes: arguments.attributes,
        augment: arguments.augment.map(augmentation),
        ..BuildOptions::default()
    };
    if let Some(path) = &arguments.columns {
        let name = || path.display().to_string();
        let text = std::fs::read_to_string(path).with_context(name)?;
        options.columns = Schema::from_json(&text).with_context(name)?;
    }
    if arguments.no_calibration || arguments.shard.is_some() {
        options.calibration_queries = 0;
    }
    let start = Instant::now();
    let mut report = build_with_bar(
        &arguments.out,
        &embedder,
        &catalogue.entries,
        &options,
        arguments.jobs,
    )?;
    let seconds = start.elapsed().as_secs_f64();
    report.failed.extend(catalogue.failed);
    remember_pictures(&arguments.out, &catalogue.root);
    warn_about(&report.failed);
    if let (Err(reason), None) = (&report.calibrated, arguments.shard) {
        eprintln!("verdicts are not calibrated: {reason}");
    }
    let index = Index::open(&arguments.out)?;
    let rate = report.photos as f64 / seconds;
    if arguments.json {
        print_json(&serde_json::json!({
            "index": arguments.out,
            "items": index.info().items,
            "photos": report.photos,
            "failed": report.failed.iter().map(|(path, reason)| {
                serde_json::json!({"path": path, "reason": reason})
            }).collect::<Vec<_>>(),
            "calibrated": report.calibrated.is_ok(),
            "seconds": seconds,
            "photos_per_second": rate,
        }))?;
    } else {
        eprintln!(
            "{}: {} items from {} photos in {seconds:.1} s ({rate:.1} photos/s){}",
            arguments.out.display(),
            index.info().items,
            report.photos,
            match report.failed.len() {
                0 => String::new(),
                failed => format!(", {failed} left out"),
            }
        );
        eprintln!("next: pocketlens search {} PHOTO", arguments.out.display());
    }
    Ok(ExitCode::SUCCESS)
}

/// `--augment N`.
pub(super) fn augmentation(neighbours: u32) -> Augmentation {
    Augmentation {
        neighbours,
        ..Augmentation::default()
    }
}

/// Builds with a progress bar; shared with the demo.
pub(super) fn build_with_bar(
    out: &Path,
    embedder: &Embedder,
    entries: &[pocketlens::build::Entry],
    options: &BuildOptions,
    jobs: Option<usize>,
) -> Result<BuildReport> {
    let bar = progress::bar(entries.len(), "indexing");
    let report = progress::with_jobs(jobs, || {
        build_index(out, embedder, entries, options, &|done| {
            bar.inc(done as u64);
            if bar.position() == entries.len() as u64 {
                match (options.augment, options.calibration_queries) {
                    (Some(_), 0) => bar.set_message("moving vectors"),
                    (Some(_), _) => bar.set_message("moving vectors, calibrating"),
                    (None, 0) => {}
                    (None, _) => bar.set_message("calibrating"),
                }
            }
        })
    })?;
    bar.finish_and_clear();
    Ok(report?)
}

/// Where the pictures of an index lie: reports show them. A path relative to the index in a file
/// beside the manifest; the index itself does without.
const PICTURES: &str = "pictures.path";

pub(super) fn remember_pictures(index: &Path, root: &Path) {
    // Reports without pictures are the worst that can happen here.
    if let (Ok(index_at), Ok(root)) = (index.canonicalize(), root_of(root).canonicalize()) {
        let shared = index_at
            .iter()
            .zip(root.iter())
            .take_while(|(a, b)| a == b)
            .count();
        let up = index_at.iter().skip(shared).map(|_| "..");
        let down = root
            .iter()
            .skip(shared)
            .map(|part| part.to_str().unwrap_or(".."));
        let relative: Vec<&str> = up.chain(down).collect();
        let _ = std::fs::write(index.join(PICTURES), relative.join("/"));
    }
}

fn root_of(root: &Path) -> &Path {
    if root.as_os_str().is_empty() {
        Path::new(".")
    } else {
        root
    }
}

/// The folder that was indexed, if it is known and still there.
pub(super) fn pictures_of(index: &Path) -> Option<PathBuf> {
    let relative = std::fs::read_to_string(index.join(PICTURES)).ok()?;
    let folder = index.join(relative.trim());
    folder.is_dir().then_some(folder)
}

fn info(arguments: &Inspect) -> Result<ExitCode> {
    let index = Index::open(&arguments.index)?;
    let info = index.info();
    if arguments.json {
        let mut json = serde_json::to_value(&info)?;
        json["columns"] = serde_json::to_value(index.columns()?)?;
        print_json(&json)?;
    } else {
        print_line(format_args!("items           {}", info.items))?;
        print_line(format_args!("photos          {}", info.rows))?;
        print_line(format_args!(
            "descriptor      {} components, int8",
            info.dim
        ))?;
        print_line(format_args!(
            "size            {} bytes, {:.0} an item",
            info.bytes, info.bytes_per_item
        ))?;
        print_line(format_args!("plan            {}", info.plan))?;
        print_line(format_args!("segments        {}", info.segments))?;
        print_line(format_args!("fingerprint     {}", info.fingerprint))?;
        print_line(format_args!("format          {}", info.format))?;
        let calibrated = if info.calibrated {
            "calibrated"
        } else {
            "not calibrated"
        };
        print_line(format_args!("verdict         {calibrated}"))?;
        if let Some(Augmentation { neighbours, alpha }) = info.augmented {
            print_line(format_args!(
                "augmented       towards {neighbours} neighbours, cosine to the power {alpha}, when built"
            ))?;
        }
        if info.attributes {
            print_line(format_args!(
                "attributes      told in payloads, as the bundle's heads say them"
            ))?;
        }
        for column in index.columns()? {
            print_line(format_args!(
                "column          {} ({})",
                column.name, column.kind
            ))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn verify(arguments: &Inspect) -> Result<ExitCode> {
    let index = Index::open(&arguments.index)?;
    index.verify()?;
    let bundle = pocketlens::bundle::Bundle::open(index.bundle_path())?;
    bundle.verify()?;
    index.check_fingerprint(bundle.fingerprint())?;
    let info = index.info();
    if arguments.json {
        print_json(
            &serde_json::json!({"index": arguments.index, "sound": true, "bytes": info.bytes}),
        )?;
    } else {
        print_line(format_args!(
            "{}: sound, {} items",
            arguments.index.display(),
            info.items
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_number_there_are_as_many_neighbours_as_by_default() {
        let neighbours = DEFAULT_NEIGHBOURS.parse().unwrap();
        assert_eq!(augmentation(neighbours), Augmentation::default());
    }
}
