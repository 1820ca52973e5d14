//! `pocketlens eval`: mean average precision and recall on a folder with a ground truth, through
//! the whole pipeline and a real index; `--open-set` (`open_set`) asks for what is not there too,
//! `--recipes` (`recipes`) compares ways to make a descriptor. What came of single queries (`outcome`) is written as
//! lines (`per_query`) and shown where it is worst (`worst`).

mod folds;
mod look;
mod open_set;
mod outcome;
mod per_query;
mod recipes;
mod worst;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use pocketlens::build::{BuildOptions, BuildReport, Entry};
use pocketlens::embedder::Embedder;
use pocketlens::evaluation::{GroundTruth, Role, Row, Scores, mean};
use pocketlens::index::Index;
use pocketlens::lens::{Lens, Query};
use pocketlens::localise::Focus;
use pocketlens::verdict::Precision;
use rayon::prelude::*;
use serde_json::json;

use self::outcome::{Judge, Outcome};
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
    #[arg(long, requires = "photos", conflicts_with_all = ["recipe", "rankings", "per_query", "worst", "open_set"])]
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
    /// Write one JSON object a line for each query: query, group, relevant (photos that are right), ap (average
    /// precision; null where no photo is right), first_right_rank (from 1, of the ranking without junk and the query
    /// itself), best_wrong and best_right (rank, key and score of the first in the ranking; the score is the cosine), ms
    #[arg(long, value_name = "FILE", conflicts_with = "open_set")]
    per_query: Option<PathBuf>,
    /// Write a page of the queries with the lowest average precision: what was found before what is right, and where
    /// the query is like either
    #[arg(long, value_name = "OUT.html", conflicts_with = "open_set")]
    worst: Option<PathBuf>,
    /// Queries on that page
    #[arg(long, requires = "worst", default_value_t = 20, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=500))]
    worst_count: u32,
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
    /// Build the index with vectors moved towards their N nearest, as index build --augment does
    #[arg(long, value_name = "N", num_args = 0..=1, default_missing_value = index::DEFAULT_NEIGHBOURS,
        value_parser = clap::value_parser!(u32).range(1..=1000), conflicts_with = "recipes")]
    augment: Option<u32>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    if let Some(wanted) = &arguments.recipes {
        return recipes::run(arguments, wanted);
    }
    let truth = GroundTruth::read(&arguments.folder)?;
    if arguments.augment.is_some() {
        check_apart(&truth)?;
    }
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
    let outcomes = ask(&truth, &lens, &query, arguments)?;
    if let Some(path) = &arguments.rankings {
        per_query::write_rankings(path, &outcomes).with_context(|| path.display().to_string())?;
    }
    if let Some(path) = &arguments.per_query {
        per_query::write_figures(path, &outcomes).with_context(|| path.display().to_string())?;
    }
    if let Some(path) = &arguments.worst {
        worst::write(arguments, path, &truth, &lens, &outcomes)?;
    }
    report(arguments, &truth, &index, &outcomes)
}

/// A query that is searched too would have moved what it asks for towards itself.
fn check_apart(truth: &GroundTruth) -> Result<()> {
    let asked: HashSet<&str> = truth.of(Role::Query).map(|row| row.path.as_str()).collect();
    let mut searched = truth.rows.iter().filter(|row| row.role != Role::Query);
    if let Some(both) = searched.find(|row| asked.contains(row.path.as_str())) {
        bail!(
            "--augment: {:?} is a query and in the database; what it asks for would have been moved towards it",
            both.path
        );
    }
    Ok(())
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
        augment: arguments.augment.map(index::augmentation),
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

fn ask<'a>(
    truth: &'a GroundTruth,
    lens: &Lens,
    query: &Query,
    arguments: &Arguments,
) -> Result<Vec<Outcome<'a>>> {
    let queries: Vec<&Row> = truth.of(Role::Query).collect();
    let judge = Judge::new(truth, arguments.rankings.is_some());
    let bar = progress::bar(queries.len(), "asking");
    let ask = |row: &&'a Row| -> Result<Outcome<'a>> {
        let answer = lens.search_file(&truth.folder.join(&row.path), query)?;
        bar.inc(1);
        Ok(judge.outcome(row, answer))
    };
    let asked = progress::with_jobs(arguments.jobs, || queries.par_iter().map(ask).collect())?;
    bar.finish_and_clear();
    asked
}

fn report(
    arguments: &Arguments,
    truth: &GroundTruth,
    index: &Index,
    outcomes: &[Outcome<'_>],
) -> Result<ExitCode> {
    let scores: Vec<Scores> = outcomes.iter().filter_map(|one| one.scores).collect();
    let mean = mean(&scores);
    let info = index.info();
    let median = median_ms(outcomes.iter().map(|one| one.time));
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
            "augmented": info.augmented,
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
