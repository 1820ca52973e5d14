//! What `eval` writes of each query: its figures as JSON lines, its ranking as a table.

use std::fs::File;
use std::io::{BufWriter, Result, Write};
use std::path::Path;

use serde_json::{Value, json};

use super::super::milliseconds;
use super::outcome::{Outcome, Ranked};

/// One JSON object a line, in the order of the ground truth.
pub(super) fn write_figures(path: &Path, outcomes: &[Outcome<'_>]) -> Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    for outcome in outcomes {
        writeln!(file, "{}", figures(outcome))?;
    }
    file.flush()
}

fn figures(outcome: &Outcome<'_>) -> Value {
    json!({
        "query": outcome.query.path,
        "group": outcome.query.group,
        "relevant": outcome.relevant,
        "ap": outcome.scores.map(|scores| scores.average_precision),
        "first_right_rank": outcome.right.first().map(|hit| hit.rank),
        "best_wrong": outcome.wrong.first().map(place),
        "best_right": outcome.right.first().map(place),
        "ms": milliseconds(outcome.time),
    })
}

fn place(hit: &Ranked) -> Value {
    json!({"rank": hit.rank, "key": hit.key, "score": hit.score})
}

/// A query a line, then the keys of the whole database, best first, separated by tabs.
pub(super) fn write_rankings(path: &Path, outcomes: &[Outcome<'_>]) -> Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    for outcome in outcomes {
        let ranking = outcome.ranking.iter().flatten();
        let line = std::iter::once(&outcome.query.path).chain(ranking);
        let line: Vec<&str> = line.map(String::as_str).collect();
        writeln!(file, "{}", line.join("\t"))?;
    }
    file.flush()
}
