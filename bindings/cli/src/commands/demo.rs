//! `pocketlens demo`: the whole job on a store that the program renders itself, so that every
//! answer can be checked.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result};
use clap::Args;
use pocketlens::build::BuildOptions;
use pocketlens::embedder::Embedder;
use pocketlens::lens::{Answer, Lens, Query};
use pocketlens::verdict::Verdict;
use pocketlens_sample_store::Store;

use super::search::{card, summary, write_report};
use super::{index, open_bundle, print_json, print_line};
use crate::report::{Report, Truth};
use crate::{catalogue, progress};

#[derive(Args)]
pub(crate) struct Arguments {
    /// Where pictures, index and report are written
    #[arg(long, default_value = "demo")]
    out: PathBuf,
    /// Another seed renders another store
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The model bundle; the built-in one when absent
    #[arg(long)]
    bundle: Option<PathBuf>,
    /// Threads; all cores when absent
    #[arg(long)]
    jobs: Option<usize>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// How the answers to the store's queries came out.
#[derive(Default)]
struct Tally {
    known: usize,
    first_right: usize,
    matched: usize,
    matched_right: usize,
    strangers: usize,
    strangers_matched: usize,
    strangers_refused: usize,
}

impl Tally {
    /// Notes an answer; whether it is right: the product first for a known one, no claim of a match
    /// for a stranger.
    fn note(&mut self, truth: Option<&str>, answer: &Answer) -> bool {
        let first = answer.hits.first().map(|hit| hit.key.as_str());
        let is_match = answer.verdict == Verdict::Match;
        self.matched += usize::from(is_match);
        match truth {
            Some(key) => {
                let right = first == Some(key);
                self.known += 1;
                self.first_right += usize::from(right);
                self.matched_right += usize::from(right && is_match);
                right && answer.verdict != Verdict::NoMatch
            }
            None => {
                self.strangers += 1;
                self.strangers_matched += usize::from(is_match);
                self.strangers_refused += usize::from(answer.verdict == Verdict::NoMatch);
                !is_match
            }
        }
    }
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let start = Instant::now();
    eprintln!("rendering a sample store …");
    let store = Store::render(arguments.seed);
    let out = &arguments.out;
    store
        .write(out)
        .with_context(|| out.display().to_string())?;
    let rendered = start.elapsed().as_secs_f64();

    let embedder = Embedder::new(open_bundle(arguments.bundle.as_deref())?)?;
    let at = out.join("store.plx");
    let catalogue = catalogue::read(&out.join("catalogue").join("catalogue.csv"), false)?;
    let options = BuildOptions {
        groups_of_variants: true,
        ..BuildOptions::default()
    };
    index::build_with_bar(&at, &embedder, &catalogue.entries, &options, arguments.jobs)?;
    index::remember_pictures(&at, &catalogue.root);
    let built = start.elapsed().as_secs_f64() - rendered;

    let lens = Lens::open(&at)?;
    let query = Query {
        k: 5,
        explain: true,
        ..Query::default()
    };
    let bar = progress::bar(store.queries.len(), "searching");
    let mut tally = Tally::default();
    let mut cards = Vec::new();
    let mut times = Vec::new();
    for asked in &store.queries {
        let photo = out.join("queries").join(format!("{}.jpg", asked.name));
        let answer = lens.search_file(&photo, &query)?;
        times.push(super::milliseconds(answer.times.total));
        let right = tally.note(asked.truth.as_deref(), &answer);
        let mut card = card(&photo, None, Ok(&answer), Some(&catalogue.root));
        for hit in card.rows.iter_mut().flat_map(|row| &mut row.hits) {
            hit.correct = asked.truth.as_ref().map(|key| *key == hit.key);
        }
        card.truth = Some(Truth {
            expected: asked.truth.clone(),
            right,
        });
        cards.push(card);
        bar.inc(1);
    }
    bar.finish_and_clear();
    times.sort_by(f64::total_cmp);

    let report_at = out.join("report.html");
    let report = Report {
        title: "Pocketlens demo".to_owned(),
        subtitle: "A rendered store, searched with simulated camera pictures".to_owned(),
        index: summary(&lens),
        summary: lines(&tally, times[times.len() / 2]),
        queries: cards,
    };
    write_report(&report_at, &report)?;
    say(
        arguments,
        &tally,
        store.products.len(),
        rendered,
        built,
        &times,
        &report_at,
    )
}

fn lines(tally: &Tally, median: f64) -> Vec<(String, String)> {
    [
        (
            "first hit right",
            format!("{} of {}", tally.first_right, tally.known),
        ),
        (
            "\"match\" and right",
            format!("{} of {}", tally.matched_right, tally.matched),
        ),
        (
            "strangers not matched",
            format!(
                "{} of {}",
                tally.strangers - tally.strangers_matched,
                tally.strangers
            ),
        ),
        ("a search", format!("{median:.0} ms")),
    ]
    .map(|(label, value)| (label.to_owned(), value))
    .to_vec()
}

fn say(
    arguments: &Arguments,
    tally: &Tally,
    products: usize,
    rendered: f64,
    built: f64,
    times: &[f64],
    report: &Path,
) -> Result<ExitCode> {
    let median = times[times.len() / 2];
    if arguments.json {
        print_json(&serde_json::json!({
            "products": products,
            "known": tally.known,
            "first_right": tally.first_right,
            "matched": tally.matched,
            "matched_right": tally.matched_right,
            "strangers": tally.strangers,
            "strangers_matched": tally.strangers_matched,
            "strangers_no_match": tally.strangers_refused,
            "render_seconds": rendered,
            "index_seconds": built,
            "ms_per_query": median,
            "report": report,
        }))?;
        return Ok(ExitCode::SUCCESS);
    }
    print_line(format_args!(
        "{products} products rendered in {rendered:.1} s, indexed and calibrated in {built:.1} s\n\
         {} camera pictures searched, {median:.0} ms each (median)\n",
        times.len(),
    ))?;
    print_line(format_args!(
        "  in the store:     first hit right {} of {}\n  \
           said \"match\":     right {} of {}\n  \
           not in the store: {} of {} not taken for a match, {} of them a clear \"no match\"\n",
        tally.first_right,
        tally.known,
        tally.matched_right,
        tally.matched,
        tally.strangers - tally.strangers_matched,
        tally.strangers,
        tally.strangers_refused,
    ))?;
    print_line(format_args!("open {}", report.display()))?;
    Ok(ExitCode::SUCCESS)
}
