//! `pocketlens eval`: mean average precision and recall on a folder with a ground truth, through
//! the whole pipeline and a real index; `--open-set` (`open_set`) asks for what is not there too,
//! `--recipes` (`recipes`) compares ways to make a descriptor.

mod folds;
mod open_set;
mod recipes;

use std::collections::HashSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use pocketlens::build::{BuildOptions, BuildReport, Entry};
use pocketlens::embedder::Embedder;
use pocketlens::evaluation::{GroundTruth, Role, Row, Scores, mean, score};
use pocketlens::index::Index;
use pocketlens::lens::{Lens, Query};
use pocketlens::localise::Focus;
use pocketlens::verdict::Precision;
use rayon::prelude::*;
use serde_json::json;

use super::search::read_rerank;
use super::{fit, index, open_bundle, print_json, print_line};
use crate::progress;
use crate::scratch::Scratch;

#[derive(Args)]
pub(crate) struct Arguments {
    /// Folder with photos and a gt.tsv (image_path, group_id, role: query, database or junk)
    folder: PathBuf,
    /// Further folders, for --recipes
    #[arg(requires = "recipes")]
    more: Vec<PathBuf>,
    /// The model bundle; the built-in one when absent
    #[arg(long)]
    bundle: Option<PathBuf>,
    /// Another recipe for the bundle's network (a name or a JSON file), fitted on --photos
    #[arg(long, requires = "photos")]
    recipe: Option<String>,
    /// Compare recipes on the bundle's network, fitted on --photos: all, names separated by commas,
    /// or a JSON file
    #[arg(long, requires = "photos", conflicts_with_all = ["recipe", "rankings", "open_set"])]
    recipes: Option<String>,
    /// Also choose the best of --recipes by cross-validation over groups, with so many folds
    #[arg(long, requires = "recipes", value_parser = clap::value_parser!(u32).range(2..=20))]
    folds: Option<u32>,
    /// Photos to fit --recipe or --recipes on
    #[arg(long)]
    photos: Vec<PathBuf>,
    /// Simulated captures of each photo, for --recipes
    #[arg(long, default_value_t = 5)]
    views: usize,
    /// What they are like: capture, wide, or a JSON file of settings
    #[arg(long, default_value = "capture")]
    captures: String,
    /// Write each query's ranking of the whole database: query, then photos, best first
    #[arg(long, conflicts_with = "open_set")]
    rankings: Option<PathBuf>,
    /// Leave every other group out of the database, ask for all, and judge the verdicts
    #[arg(long)]
    open_set: bool,
    /// Share of matches that must be right, 0.5 to 0.999; 0.95 when absent
    #[arg(long, requires = "open_set")]
    precision: Option<Precision>,
    /// Threads; all cores when absent
    #[arg(long)]
    jobs: Option<usize>,
    /// Ask in all four quarter turns and keep the best
    #[arg(long)]
    rotations: bool,
    /// Look again where the thing is, and keep the best: saliency (what stands out) or detector (of the bundle)
    #[arg(long, value_name = "saliency|detector", num_args = 0..=1, default_missing_value = "saliency")]
    focus: Option<Focus>,
    /// Look at the best hundred again, part by part; JSON changes the weights
    #[arg(long, value_name = "JSON", num_args = 0..=1, default_missing_value = "{}")]
    rerank: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    if let Some(wanted) = &arguments.recipes {
        return recipes::run(arguments, wanted);
    }
    let truth = GroundTruth::read(&arguments.folder)?;
    let scratch = Scratch::new()?;
    let bundle = match &arguments.recipe {
        None => open_bundle(arguments.bundle.as_deref())?,
        Some(recipe) => {
            let out = scratch.path().join("fitted.lens");
            let bundle = open_bundle(arguments.bundle.as_deref())?;
            fit::refit(&bundle, recipe, &arguments.photos, &out, arguments.jobs)?;
            open_bundle(Some(&out))?
        }
    };
    let embedder = Embedder::new(bundle)?;
    let out = scratch.path().join("eval.plx");
    if arguments.open_set {
        return open_set::run(arguments, &truth, &embedder, &out);
    }
    let index = build(arguments, &truth, &embedder, &out)?;
    let lens = Lens::open(&out)?;
    let rerank = arguments.rerank.as_deref().map(read_rerank).transpose()?;
    let query = Query {
        k: index.info().items as usize,
        rotations: arguments.rotations,
        focus: arguments.focus,
        rerank,
        ..Query::default()
    };
    let asked = ask(&truth, &lens, &query, arguments.jobs)?;
    if let Some(path) = &arguments.rankings {
        write_rankings(path, &asked).with_context(|| path.display().to_string())?;
    }
    report(arguments, &truth, &index, &asked)
}

fn build(
    arguments: &Arguments,
    truth: &GroundTruth,
    embedder: &Embedder,
    out: &Path,
) -> Result<Index> {
    let rows = truth.rows.iter().filter(|row| row.role != Role::Query);
    let entries: Vec<Entry> = rows
        .map(|row| Entry {
            image: truth.folder.join(&row.path),
            key: row.path.clone(),
            group: None,
            payload: serde_json::Value::Object(serde_json::Map::new()),
        })
        .collect();
    let options = BuildOptions {
        calibration_queries: 0,
        local_features: arguments.rerank.is_some(),
        ..BuildOptions::default()
    };
    build_whole(out, embedder, &entries, &options, arguments.jobs)?;
    Ok(Index::open(out)?)
}

/// Builds an index of all photos or none.
fn build_whole(
    out: &Path,
    embedder: &Embedder,
    entries: &[Entry],
    options: &BuildOptions,
    jobs: Option<usize>,
) -> Result<BuildReport> {
    let report = index::build_with_bar(out, embedder, entries, options, jobs)?;
    if let Some((_, reason)) = report.failed.first() {
        bail!(
            "{} database photos cannot be read, the first: {reason}",
            report.failed.len()
        );
    }
    Ok(report)
}

/// A query's ranking of the whole database, and what the whole query took.
struct Asked<'a> {
    query: &'a Row,
    ranking: Vec<String>,
    time: Duration,
}

fn ask<'a>(
    truth: &'a GroundTruth,
    lens: &Lens,
    query: &Query,
    jobs: Option<usize>,
) -> Result<Vec<Asked<'a>>> {
    let queries: Vec<&Row> = truth.of(Role::Query).collect();
    let bar = progress::bar(queries.len(), "asking");
    let ask = |row: &&'a Row| -> Result<Asked<'a>> {
        let answer = lens.search_file(&truth.folder.join(&row.path), query)?;
        bar.inc(1);
        Ok(Asked {
            query: row,
            ranking: answer.hits.into_iter().map(|hit| hit.key).collect(),
            time: answer.times.total,
        })
    };
    let asked = progress::with_jobs(jobs, || queries.par_iter().map(ask).collect())?;
    bar.finish_and_clear();
    asked
}

fn write_rankings(path: &Path, asked: &[Asked<'_>]) -> std::io::Result<()> {
    let mut file = std::io::BufWriter::new(std::fs::File::create(path)?);
    for one in asked {
        writeln!(file, "{}\t{}", one.query.path, one.ranking.join("\t"))?;
    }
    file.flush()
}

fn report(
    arguments: &Arguments,
    truth: &GroundTruth,
    index: &Index,
    asked: &[Asked<'_>],
) -> Result<ExitCode> {
    let groups = truth.groups();
    let junk: HashSet<&str> = truth.of(Role::Junk).map(|row| row.path.as_str()).collect();
    let scores: Vec<Scores> = asked
        .iter()
        .filter_map(|one| {
            let own = one.query.path.as_str();
            let mut relevant = groups.get(one.query.group.as_str())?.clone();
            relevant.remove(own);
            let ranking = one.ranking.iter().map(String::as_str);
            score(
                ranking.filter(|photo| *photo != own && !junk.contains(photo)),
                &relevant,
            )
        })
        .collect();
    let mean = mean(&scores);
    let info = index.info();
    let median = median_ms(asked.iter().map(|one| one.time));
    let database = truth.of(Role::Database).count();
    if arguments.json {
        print_json(&json!({
            "dir": arguments.folder,
            "queries": scores.len(),
            "database": database,
            "map": mean.average_precision,
            "recall@1": mean.recall_at_1,
            "recall@5": mean.recall_at_5,
            "recall@10": mean.recall_at_10,
            "dim": info.dim,
            "bytes_per_item": info.bytes_per_item,
            "ms_per_query": median,
            "fingerprint": info.fingerprint,
        }))?;
    } else {
        print_line(format_args!(
            "{}: {} queries, {database} database photos\n\
             mAP {:.2} %   recall@1 {:.2} %   @5 {:.2} %   @10 {:.2} %\n\
             {} components, {:.0} bytes an item, {median:.1} ms a query (median, decode included)",
            arguments.folder.display(),
            scores.len(),
            100.0 * mean.average_precision,
            100.0 * mean.recall_at_1,
            100.0 * mean.recall_at_5,
            100.0 * mean.recall_at_10,
            info.dim,
            info.bytes_per_item,
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The median of at least one time, in milliseconds.
fn median_ms(times: impl Iterator<Item = Duration>) -> f64 {
    let mut times: Vec<f64> = times.map(|time| time.as_secs_f64() * 1e3).collect();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
