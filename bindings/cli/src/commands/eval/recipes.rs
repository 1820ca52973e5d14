//! `pocketlens eval --recipes`: the field's methods side by side. The network runs once a photo for
//! all recipes, which are fitted together; rankings are by exact cosine.

use std::collections::HashSet;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use pocketlens::backbone::{Backbone, FeatureMap};
use pocketlens::bundle::Bundle;
use pocketlens::descriptor::{Learned, Maps, Recipe, describe};
use pocketlens::evaluation::{GroundTruth, Role, Row, Scores, mean, score};
use pocketlens::fit::{FitOptions, fit_all, passes};
use pocketlens::image::{Limits, Photo, Pixels};
use rayon::prelude::*;
use serde_json::json;

use super::super::{fit, open_bundle, print_json, print_line, warn_about};
use super::{Arguments, folds, median_ms};
use crate::progress;

/// Photos in flight at a time.
const BATCH: usize = 32;

pub(super) fn run(arguments: &Arguments, wanted: &str) -> Result<ExitCode> {
    let bundle = open_bundle(arguments.bundle.as_deref())?;
    let recipes = runnable(&bundle, recipes(wanted)?)?;
    let mut taps: Vec<String> = Vec::new();
    for tap in recipes.iter().flat_map(Recipe::taps) {
        if !taps.contains(&tap) {
            taps.push(tap);
        }
    }
    let backbone = bundle.backbone(&taps)?;
    let fitted = learn(&backbone, &taps, &recipes, arguments)?;
    let mut table: Vec<Measured<'_>> = fitted.iter().map(|(r, _)| Measured::new(r)).collect();
    for folder in std::iter::once(&arguments.folder).chain(&arguments.more) {
        let truth = GroundTruth::read(folder)?;
        let described = describe_all(&backbone, &taps, &fitted, &truth, arguments.jobs)?;
        for (at, measured) in table.iter_mut().enumerate() {
            let vectors: Vec<&[f32]> = described.iter().map(|row| &row[at].0[..]).collect();
            measured.times.extend(described.iter().map(|row| row[at].1));
            measured.sets.push(evaluate(&truth, &vectors));
        }
    }
    print(arguments, &table)?;
    if let Some(folds) = arguments.folds {
        print_held_out(arguments, &table, folds as usize)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A recipe, its queries' groups and scores on each set, and its times.
struct Measured<'a> {
    recipe: &'a Recipe,
    sets: Vec<Vec<(String, Scores)>>,
    times: Vec<Duration>,
}

impl<'a> Measured<'a> {
    fn new(recipe: &'a Recipe) -> Self {
        Self {
            recipe,
            sets: Vec::new(),
            times: Vec::new(),
        }
    }
}

/// `all`, names separated by commas, or a JSON file with a recipe or a list of them.
fn recipes(wanted: &str) -> Result<Vec<Recipe>> {
    if wanted == "all" {
        return Ok(Recipe::names()
            .iter()
            .filter_map(|name| Recipe::named(name))
            .collect());
    }
    if std::path::Path::new(wanted).is_file() {
        let text = std::fs::read_to_string(wanted).with_context(|| wanted.to_owned())?;
        if text.trim_start().starts_with('[') {
            return serde_json::from_str(&text).with_context(|| wanted.to_owned());
        }
    }
    wanted.split(',').map(fit::recipe).collect()
}

/// Leaves out recipes whose taps the network does not have, and says so.
fn runnable(bundle: &Bundle, recipes: Vec<Recipe>) -> Result<Vec<Recipe>> {
    let mut kept = Vec::new();
    for recipe in recipes {
        recipe.check()?;
        match bundle.backbone(&recipe.taps()) {
            Ok(_) => kept.push(recipe),
            Err(error) => eprintln!("left out {}: {error}", recipe.name),
        }
    }
    if kept.is_empty() {
        bail!("the network has the taps of none of the recipes");
    }
    Ok(kept)
}

fn learn(
    backbone: &Backbone,
    taps: &[String],
    recipes: &[Recipe],
    arguments: &Arguments,
) -> Result<Vec<(Recipe, Learned)>> {
    let photos = fit::photos(&arguments.photos)?;
    let bar = progress::bar(passes(recipes) * photos.len(), "fitting");
    let options = FitOptions {
        views: arguments.views,
        simulator: fit::simulator(&arguments.captures)?,
        ..FitOptions::default()
    };
    let all = progress::with_jobs(arguments.jobs, || {
        fit_all(backbone, taps, recipes, &photos, &options, &|done| {
            bar.inc(done as u64);
        })
    })??;
    bar.finish_and_clear();
    let failed = all.failed.into_iter();
    let failed: Vec<(PathBuf, String)> = failed.map(|(p, error)| (p, error.to_string())).collect();
    warn_about(&failed);
    let mut fitted = Vec::new();
    for (recipe, result) in recipes.iter().zip(all.recipes) {
        match result {
            Ok(found) => fitted.push((found.recipe, found.learned)),
            Err(error) => eprintln!("left out {}: {error}", recipe.name),
        }
    }
    if fitted.is_empty() {
        bail!("none of the recipes could be fitted");
    }
    Ok(fitted)
}

/// A descriptor, and the time from maps to it.
type Described = (Vec<f32>, Duration);

/// For each row of the ground truth the descriptor of each recipe.
fn describe_all(
    backbone: &Backbone,
    taps: &[String],
    fitted: &[(Recipe, Learned)],
    truth: &GroundTruth,
    jobs: Option<usize>,
) -> Result<Vec<Vec<Described>>> {
    let bar = progress::bar(truth.rows.len(), "describing");
    let one = |row: &Row| -> Result<Vec<Described>> {
        let sizing = &backbone.preprocessing().sizing;
        let path = truth.folder.join(&row.path);
        let input = Photo::read(&path, None, sizing, &Limits::default())?.fit(None, sizing)?;
        let described = describe_one(backbone, taps, fitted, &input);
        bar.inc(1);
        described
    };
    let mut rows = Vec::with_capacity(truth.rows.len());
    for batch in truth.rows.chunks(BATCH) {
        let batch: Vec<Result<_>> =
            progress::with_jobs(jobs, || batch.par_iter().map(one).collect())?;
        for row in batch {
            rows.push(row?);
        }
    }
    bar.finish_and_clear();
    Ok(rows)
}

fn describe_one(
    backbone: &Backbone,
    taps: &[String],
    fitted: &[(Recipe, Learned)],
    input: &Pixels,
) -> Result<Vec<Described>> {
    let usual = backbone.run(input)?;
    let mut described = Vec::with_capacity(fitted.len());
    for (recipe, learned) in fitted {
        let others: Vec<Vec<FeatureMap>>;
        let views: Vec<Maps<'_>> = if recipe.views.is_single() {
            vec![Maps::new(taps, &usual)]
        } else {
            let inputs = recipe.views.inputs(input, &backbone.preprocessing().sizing);
            let runs = inputs.iter().map(|input| backbone.run(input));
            others = runs.collect::<Result<_, _>>()?;
            others.iter().map(|maps| Maps::new(taps, maps)).collect()
        };
        let start = Instant::now();
        let values = describe(recipe, &views, learned)?;
        described.push((values, start.elapsed()));
    }
    Ok(described)
}

/// Ranks all photos that are no queries by their dot product with each query.
fn evaluate(truth: &GroundTruth, vectors: &[&[f32]]) -> Vec<(String, Scores)> {
    let groups = truth.groups();
    let rows = || truth.rows.iter().zip(vectors);
    let of_query = |(query, vector): (&Row, &&[f32])| -> Option<(String, Scores)> {
        let mut relevant: HashSet<&str> = groups.get(query.group.as_str())?.clone();
        relevant.remove(query.path.as_str());
        let mut ranked: Vec<(f32, &str)> = rows()
            .filter(|(row, _)| row.role == Role::Database && row.path != query.path)
            .map(|(row, other)| {
                (
                    vector.iter().zip(*other).map(|(a, b)| a * b).sum(),
                    &*row.path,
                )
            })
            .collect();
        ranked.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
        let scores = score(ranked.into_iter().map(|(_, path)| path), &relevant)?;
        Some((query.group.clone(), scores))
    };
    let queries = rows().filter(|(row, _)| row.role == Role::Query);
    queries.filter_map(of_query).collect()
}

fn print(arguments: &Arguments, table: &[Measured<'_>]) -> Result<()> {
    let sets = names(arguments);
    if !arguments.json {
        let heads: Vec<String> = sets.iter().map(|set| format!("{set} mAP / R@1")).collect();
        let (heads, rule) = (heads.join(" | "), "---|".repeat(sets.len()));
        print_line(format_args!(
            "| recipe | {heads} | mean mAP | bytes | runs | ms |"
        ))?;
        print_line(format_args!("|---|{rule}---|---|---|---|"))?;
    }
    for Measured {
        recipe,
        sets: scores,
        times,
    } in table
    {
        let scores = scores.iter().map(|queries| {
            let scores: Vec<Scores> = queries.iter().map(|(_, scores)| *scores).collect();
            mean(&scores)
        });
        let scores: Vec<Scores> = scores.collect();
        let average = mean(&scores).average_precision;
        let (dim, runs) = (recipe.dim(), recipe.views.count());
        let milliseconds = median_ms(times.iter().copied());
        if arguments.json {
            let of_sets = sets.iter().zip(&scores).map(|(set, scores)| {
                json!({
                    "set": set,
                    "map": scores.average_precision,
                    "recall@1": scores.recall_at_1,
                    "recall@5": scores.recall_at_5,
                    "recall@10": scores.recall_at_10,
                })
            });
            print_json(&json!({
                "recipe": recipe.name,
                "mean_map": average,
                "sets": of_sets.collect::<Vec<_>>(),
                "dim": dim,
                "bytes": dim,
                "network_runs": runs,
                "describe_ms": milliseconds,
            }))?;
        } else {
            let cells = scores.iter().map(|scores| {
                let (map, first) = (scores.average_precision, scores.recall_at_1);
                format!("{:.1} / {:.1}", 100.0 * map, 100.0 * first)
            });
            print_line(format_args!(
                "| {} | {} | **{:.1}** | {dim} | {runs} | {milliseconds:.2} |",
                recipe.name,
                cells.collect::<Vec<_>>().join(" | "),
                100.0 * average,
            ))?;
        }
    }
    Ok(())
}

fn names(arguments: &Arguments) -> Vec<String> {
    let name = |folder: &PathBuf| {
        let name = folder.file_name().unwrap_or(folder.as_os_str());
        name.to_string_lossy().into_owned()
    };
    let folders = std::iter::once(&arguments.folder).chain(&arguments.more);
    folders.map(name).collect()
}

/// What the best recipe is worth on groups that it was not chosen on.
fn print_held_out(arguments: &Arguments, table: &[Measured<'_>], folds: usize) -> Result<()> {
    let queries = |measured: &Measured<'_>| -> Vec<Vec<folds::Query>> {
        let of_set = |queries: &Vec<(String, Scores)>| {
            let precision =
                |(group, scores): &(String, Scores)| (group.clone(), scores.average_precision);
            queries.iter().map(precision).collect()
        };
        measured.sets.iter().map(of_set).collect()
    };
    let queries: Vec<Vec<Vec<folds::Query>>> = table.iter().map(queries).collect();
    let held = folds::held_out(&queries, folds);
    let chosen: Vec<&str> = held
        .chosen
        .iter()
        .map(|&at| table[at].recipe.name.as_str())
        .collect();
    let average = held.sets.iter().sum::<f64>() / held.sets.len() as f64;
    if arguments.json {
        return print_json(&json!({
            "folds": folds,
            "chosen": chosen,
            "held_out_map": held.sets,
            "mean_map": average,
        }));
    }
    let sets: Vec<String> = held
        .sets
        .iter()
        .map(|map| format!("{:.1}", 100.0 * map))
        .collect();
    print_line(format_args!(
        "\nheld out, {folds} folds over groups: {} → {:.1}; chosen: {}",
        sets.join(" / "),
        100.0 * average,
        chosen.join(", "),
    ))
}
