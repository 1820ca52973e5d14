//! `eval --worst`: the queries with the lowest average precision on one page, with what was taken for right, what would
//! have been, and heat maps of both: where to look for the reason.

use std::path::Path;

use anyhow::Result;
use pocketlens::evaluation::{GroundTruth, Scores, mean};
use pocketlens::image::{Limits, read_photo};
use pocketlens::lens::Lens;
use rayon::prelude::*;

use super::super::milliseconds;
use super::super::search::{summary, write_report};
use super::Arguments;
use super::look::{Look, looks, warmest};
use super::outcome::{Outcome, Ranked};
use crate::progress;
use crate::report::{HitCard, HitRow, QueryCard, Report, thumbnail, warm_thumbnail};

pub(super) fn write(
    arguments: &Arguments,
    path: &Path,
    truth: &GroundTruth,
    lens: &Lens,
    outcomes: &[Outcome<'_>],
) -> Result<()> {
    let worst = worst_of(outcomes, arguments.worst_count as usize);
    let bar = progress::bar(worst.len(), "explaining");
    let card = |(outcome, scores): &(&Outcome<'_>, Scores)| {
        let card = card(truth, lens, outcome, *scores, arguments.rotations);
        bar.inc(1);
        card
    };
    let cards: Result<Vec<QueryCard>> =
        progress::with_jobs(arguments.jobs, || worst.par_iter().map(card).collect())?;
    bar.finish_and_clear();
    let report = Report {
        title: "The worst queries".to_owned(),
        subtitle: format!("{}, lowest average precision first", truth.folder.display()),
        index: summary(lens),
        summary: tiles(arguments, outcomes, &worst),
        queries: cards?,
    };
    write_report(path, &report)?;
    eprintln!("open {}", path.display());
    Ok(())
}

/// The queries with the lowest average precision, equal ones in the order of the ground truth.
fn worst_of<'a, 'b>(outcomes: &'a [Outcome<'b>], count: usize) -> Vec<(&'a Outcome<'b>, Scores)> {
    let scored = outcomes
        .iter()
        .filter_map(|outcome| Some((outcome, outcome.scores?)));
    let mut worst: Vec<_> = scored.collect();
    worst.sort_by(|(_, a), (_, b)| a.average_precision.total_cmp(&b.average_precision));
    worst.truncate(count);
    worst
}

fn tiles(
    arguments: &Arguments,
    outcomes: &[Outcome<'_>],
    worst: &[(&Outcome<'_>, Scores)],
) -> Vec<(String, String)> {
    let all: Vec<Scores> = outcomes
        .iter()
        .filter_map(|outcome| outcome.scores)
        .collect();
    let (of_all, first) = (mean(&all), worst.first());
    let mut tiles = vec![
        ("mAP of all", percent(of_all.average_precision)),
        ("recall@1", percent(of_all.recall_at_1)),
        (
            "queries shown",
            format!("{} of {}", worst.len(), outcomes.len()),
        ),
    ];
    if let Some(((_, best), (_, least))) = worst.last().zip(first) {
        let (best, least) = (best.average_precision, least.average_precision);
        tiles.push((
            "their precision",
            format!("{} to {}", percent(least), percent(best)),
        ));
    }
    let second = arguments.rerank.is_some().then_some("a second look");
    let turned = arguments.rotations.then_some("four quarter turns");
    let moved = arguments.augment.map(|_| "augmented vectors");
    let settings = [second, turned, moved].into_iter().flatten();
    let settings: Vec<&str> = settings.collect();
    if !settings.is_empty() {
        tiles.push(("asked with", settings.join(", ")));
    }
    let owned = |(label, value): (&str, String)| (label.to_owned(), value);
    tiles.into_iter().map(owned).collect()
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

fn card(
    truth: &GroundTruth,
    lens: &Lens,
    outcome: &Outcome<'_>,
    scores: Scores,
    rotations: bool,
) -> Result<QueryCard> {
    let path = truth.folder.join(&outcome.query.path);
    let looks = looks(lens, &path, rotations)?;
    let row = |(heading, hits, correct): (String, &[Ranked], bool)| -> Result<HitRow> {
        let hits = hits
            .iter()
            .map(|hit| hit_card(truth, lens, &looks, hit, correct));
        Ok(HitRow {
            heading: Some(heading),
            hits: hits.collect::<Result<_>>()?,
        })
    };
    let rows = [wrong(outcome), Some(right(outcome))];
    let rows: Result<Vec<HitRow>> = rows.into_iter().flatten().map(row).collect();
    let first = outcome.right.first();
    Ok(QueryCard {
        name: outcome.query.path.clone(),
        thumbnail: Some(thumbnail(&looks[0].picture)),
        facts: vec![
            ("it is", outcome.query.group.clone()),
            ("average precision", percent(scores.average_precision)),
            (
                "first right photo at",
                first.map_or("none".to_owned(), |hit| hit.rank.to_string()),
            ),
        ],
        rows: rows?,
        timings_ms: vec![("total", milliseconds(outcome.time))],
        ..QueryCard::default()
    })
}

/// A row: its heading, its hits, and whether they are right.
type Row<'a> = (String, &'a [Ranked], bool);

/// What was taken for right: what stands before the first right photo, or, where that is the first hit, before the last.
fn wrong<'a>(outcome: &'a Outcome<'_>) -> Option<Row<'a>> {
    let (first, last) = (outcome.right.first(), outcome.right.last());
    let (before, which) = match (first, last) {
        (Some(first), Some(last)) if first.rank == 1 => (last.rank, "last"),
        (Some(first), _) => (first.rank, "first"),
        (None, _) => (usize::MAX, "first"),
    };
    let shown = outcome
        .wrong
        .iter()
        .take_while(|hit| hit.rank < before)
        .count();
    let heading = match which {
        "first" if shown < before - 1 => {
            format!("The best of {} before the first right photo", before - 1)
        }
        _ => format!("Before the {which} right photo"),
    };
    (shown > 0).then(|| (heading, &outcome.wrong[..shown], false))
}

fn right<'a>(outcome: &'a Outcome<'_>) -> Row<'a> {
    let heading = match outcome.relevant {
        all if all > outcome.right.len() => {
            format!("Right: the first and the last of {all}")
        }
        _ => "Right".to_owned(),
    };
    (heading, &outcome.right, true)
}

fn hit_card(
    truth: &GroundTruth,
    lens: &Lens,
    looks: &[Look],
    hit: &Ranked,
    correct: bool,
) -> Result<HitCard> {
    let image = read_photo(truth.folder.join(&hit.key), &Limits::default())?;
    let vectors = lens.index().vectors(&hit.key)?;
    let warm = warmest(lens, looks, &vectors);
    let group = truth.rows.iter().find(|row| row.path == hit.key);
    let mut lines = Vec::new();
    if let Some((look, _)) = warm.as_ref().filter(|(look, _)| look.degrees > 0) {
        lines.push(("query turned by".to_owned(), format!("{}°", look.degrees)));
    }
    if let Some(evidence) = &hit.evidence {
        let alike = format!("{} places", evidence.alignment.inliers);
        lines.push(("likeness".to_owned(), format!("{:.3}", evidence.likeness)));
        lines.push(("lie alike".to_owned(), alike));
    }
    Ok(HitCard {
        rank: Some(hit.rank),
        key: hit.key.clone(),
        title: group.map_or_else(|| hit.key.clone(), |row| row.group.clone()),
        group: hit.key.clone(),
        score: hit.score,
        thumbnail: Some(thumbnail(&image)),
        heat: warm.map(|(look, heat)| warm_thumbnail(&look.picture, &heat)),
        payload: lines,
        correct: Some(correct),
    })
}

#[cfg(test)]
mod tests {
    use pocketlens::evaluation::{Role, Row as Asked};

    use super::*;

    fn ranked(rank: usize) -> Ranked {
        Ranked {
            rank,
            key: format!("{rank}"),
            score: 0.5,
            evidence: None,
        }
    }

    #[test]
    fn what_is_wrong_is_shown_as_far_as_it_stood_in_the_way() {
        let query = Asked {
            path: "q".into(),
            group: "g".into(),
            role: Role::Query,
        };
        let row = |wrong: &[usize], right: &[usize], relevant: usize| {
            let outcome = Outcome {
                query: &query,
                scores: None,
                relevant,
                wrong: wrong.iter().map(|&rank| ranked(rank)).collect(),
                right: right.iter().map(|&rank| ranked(rank)).collect(),
                ranking: None,
                time: std::time::Duration::ZERO,
            };
            let wrong = super::wrong(&outcome).map(|(heading, hits, _)| (heading, hits.len()));
            (wrong, super::right(&outcome).0)
        };
        let before = |text: &str, count| Some((text.to_owned(), count));
        let all = || "Right".to_owned();
        assert_eq!(
            row(&[1, 2, 4], &[3, 5], 2),
            (before("Before the first right photo", 2), all())
        );
        assert_eq!(
            row(&[1, 2], &[9], 1),
            (
                before("The best of 8 before the first right photo", 2),
                all()
            )
        );
        assert_eq!(
            row(&[2, 4, 6], &[1, 3, 5], 9),
            (
                before("Before the last right photo", 2),
                "Right: the first and the last of 9".to_owned()
            )
        );
        assert_eq!(row(&[3, 4], &[1, 2], 2), (None, all()));
    }
}
