//! `eval --open-set`: what the verdicts are worth, on an index that lacks every other group and is
//! calibrated as any other.

use std::collections::HashSet;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;
use pocketlens::build::{BuildOptions, Entry, embed_file};
use pocketlens::embedder::Embedder;
use pocketlens::evaluation::{GroundTruth, Role, Row, Told, open_set};
use pocketlens::image::Limits;
use pocketlens::index::{Index, IndexQuery};
use pocketlens::verdict::{Calibration, Precision, Standing, Verdict};
use rayon::prelude::*;
use serde_json::json;

use super::{Arguments, build_whole, index, median_ms, print_json, print_line};
use crate::progress;

pub(super) fn run(
    arguments: &Arguments,
    truth: &GroundTruth,
    embedder: &Embedder,
    out: &Path,
) -> Result<ExitCode> {
    let left_out = truth.left_out();
    let kept: Vec<&Row> = truth
        .of(Role::Database)
        .filter(|row| !left_out.contains(row.group.as_str()))
        .collect();
    let entries: Vec<Entry> = kept
        .iter()
        .map(|row| Entry {
            image: truth.folder.join(&row.path),
            key: row.path.clone(),
            group: Some(row.group.clone()),
            payload: serde_json::Value::Object(serde_json::Map::new()),
        })
        .collect();
    let options = BuildOptions {
        augment: arguments.augment.map(index::augmentation),
        ..BuildOptions::default()
    };
    let report = build_whole(out, embedder, &entries, &options, arguments.jobs)?;
    if let Err(reason) = &report.calibrated {
        eprintln!("verdicts are not calibrated: {reason}");
    }
    let index = Index::open(out)?;
    let precision = arguments.precision.unwrap_or_default();
    let (told, ms) = ask(truth, &kept, embedder, &index, precision, arguments.jobs)?;
    let scores = open_set(&told);
    let info = index.info();
    let recall = scores.right as f64 / scores.known.max(1) as f64;
    if arguments.json {
        print_json(&json!({
            "dir": arguments.folder,
            "queries": told.len(),
            "known": scores.known,
            "unknown": scores.unknown,
            "database": kept.len(),
            "groups_left_out": left_out.len(),
            "calibrated": report.calibrated.is_ok(),
            "precision": precision.get(),
            "auroc": scores.auroc,
            "auroc_score": scores.auroc_score,
            "match_precision": scores.match_precision,
            "match_coverage": scores.match_coverage,
            "match_coverage_right": scores.match_coverage_right,
            "calibration_error": scores.calibration_error,
            "calibration_error_by_chance": scores.calibration_error_by_chance,
            "match": scores.matches,
            "unsure": scores.unsure,
            "no_match": scores.no_match,
            "no_match_but_right": scores.no_match_but_right,
            "recall@1": recall,
            "dim": info.dim,
            "bytes_per_item": info.bytes_per_item,
            "augmented": info.augmented,
            "ms_per_query": ms,
            "fingerprint": info.fingerprint,
        }))?;
    } else {
        let percent = |share: Option<f64>| match share {
            Some(share) => format!("{:.1} %", 100.0 * share),
            None => "none".to_owned(),
        };
        print_line(format_args!(
            "{}: {} known and {} unknown queries, {} database photos, {} groups left out\n\
             known against unknown: AUROC {} (of the score alone {})\n\
             match {} (precision {}, {:.1} % of the known; recall@1 {:.1} %)   unsure {}   \
             no match {} (first hit right: {})\n\
             calibration error {:.3} ({:.3} by chance alone)   {ms:.1} ms a query (median, decode included)",
            arguments.folder.display(),
            scores.known,
            scores.unknown,
            kept.len(),
            left_out.len(),
            percent(scores.auroc),
            percent(scores.auroc_score),
            scores.matches,
            percent(scores.match_precision),
            100.0 * scores.match_coverage,
            100.0 * recall,
            scores.unsure,
            scores.no_match,
            scores.no_match_but_right,
            scores.calibration_error,
            scores.calibration_error_by_chance,
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What each query is told, and the median time of one in milliseconds.
fn ask(
    truth: &GroundTruth,
    kept: &[&Row],
    embedder: &Embedder,
    index: &Index,
    precision: Precision,
    jobs: Option<usize>,
) -> Result<(Vec<Told>, f64)> {
    let queries: Vec<&Row> = truth.of(Role::Query).collect();
    let photos: HashSet<&str> = kept.iter().map(|row| row.path.as_str()).collect();
    let groups: HashSet<&str> = kept.iter().map(|row| row.group.as_str()).collect();
    let calibration = index.calibration().cloned().unwrap_or_default();
    let bar = progress::bar(queries.len(), "asking");
    let ask = |query: &&Row| -> Result<(Told, Duration)> {
        let start = Instant::now();
        let photo = truth.folder.join(&query.path);
        let descriptor = embed_file(embedder, &photo, &Limits::default())?;
        let values = &descriptor.values;
        let ranking = index.search(&IndexQuery {
            // A query that is in the database too does not find itself.
            excluding_photo: photos.contains(&*query.path).then_some(values),
            ..IndexQuery::new(descriptor.fingerprint, values, 1)
        })?;
        let time = start.elapsed();
        bar.inc(1);
        let best = ranking.hits.first();
        let (verdict, confidence) = judge(&calibration, ranking.standing(), precision);
        let told = Told {
            known: groups.contains(query.group.as_str()),
            correct: best.is_some_and(|hit| hit.group == query.group),
            score: best.map_or(-1.0, |hit| hit.score),
            confidence,
            verdict,
        };
        Ok((told, time))
    };
    let asked: Result<Vec<_>> =
        progress::with_jobs(jobs, || queries.par_iter().map(ask).collect())?;
    bar.finish_and_clear();
    let (told, times): (Vec<Told>, Vec<Duration>) = asked?.into_iter().unzip();
    Ok((told, median_ms(times.into_iter())))
}

/// As [`pocketlens::lens::Lens`] does it.
fn judge(
    calibration: &Calibration,
    first: Option<Standing>,
    precision: Precision,
) -> (Verdict, f32) {
    match first {
        Some(standing) => calibration.decide(standing, precision),
        None => (Verdict::NoMatch, 0.0),
    }
}
