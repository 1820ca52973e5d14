//! `pocketlens mine`: finds photos of the same thing in a catalogue without labels.

use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;
use pocketlens::build::{Entry, look_at_file};
use pocketlens::embedder::{EmbedError, Embedder};
use pocketlens::image::{Limits, read_photo};
use pocketlens::mining::{Mined, MinedPhoto, MiningOptions, mine};
use rayon::prelude::*;
use serde_json::json;

use super::{open_bundle, print_json, print_line, warn_about};
use crate::report::{PhotoSet, SetsPage, thumbnail};
use crate::{catalogue, progress};

#[derive(Args)]
pub(crate) struct Arguments {
    /// Folder of photos, or a catalogue file
    source: PathBuf,
    /// Folder to write pairs.tsv, groups.tsv, duplicates.tsv and mined.html into
    #[arg(long)]
    out: PathBuf,
    /// The model bundle; the built-in one when absent
    #[arg(long)]
    bundle: Option<PathBuf>,
    /// Least cosine of a pair
    #[arg(long, default_value_t = MiningOptions::default().least_score)]
    least_score: f32,
    /// Least matching places that lie alike
    #[arg(long, default_value_t = MiningOptions::default().least_inliers)]
    least_inliers: usize,
    /// Threads; all cores when absent
    #[arg(long)]
    jobs: Option<usize>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Sets that the page shows, at most, of each kind.
const SHOWN: usize = 200;

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let embedder = Embedder::new(open_bundle(arguments.bundle.as_deref())?)?;
    let catalogue = catalogue::read(&arguments.source, false)?;
    let options = MiningOptions {
        least_score: arguments.least_score,
        least_inliers: arguments.least_inliers,
        ..MiningOptions::default()
    };
    let (entries, mined, mut failed) = progress::with_jobs(arguments.jobs, || {
        let (entries, photos, failed) = describe(&embedder, &catalogue.entries)?;
        let bar = progress::bar(photos.len(), "matching");
        let mined = mine(&photos, &options, &|done| bar.inc(done as u64));
        bar.finish_and_clear();
        Ok::<_, anyhow::Error>((entries, mined, failed))
    })??;
    failed.extend(catalogue.failed);
    warn_about(&failed);
    write(arguments, &entries, &mined, &options)?;
    let out = arguments.out.display();
    if arguments.json {
        print_json(&json!({
            "photos": entries.len(),
            "pairs": mined.pairs.len(),
            "groups": mined.groups.len(),
            "duplicates": mined.duplicates.len(),
            "out": arguments.out,
        }))?;
    } else {
        print_line(format_args!(
            "{} photos: {} pairs in {} groups, {} sets of near duplicates\nopen {out}/mined.html",
            entries.len(),
            mined.pairs.len(),
            mined.groups.len(),
            mined.duplicates.len(),
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}

type Described<'a> = (Vec<&'a Entry>, Vec<MinedPhoto>, catalogue::Failed);

fn describe<'a>(embedder: &Embedder, entries: &'a [Entry]) -> Result<Described<'a>> {
    let bar = progress::bar(entries.len(), "describing");
    let looked: Vec<_> = entries
        .par_iter()
        .map(|entry| {
            let seen = look_at_file(embedder, &entry.image, &Limits::default());
            bar.inc(1);
            seen.map(|(descriptor, maps)| (descriptor, embedder.local_features(&maps)))
        })
        .collect();
    bar.finish_and_clear();
    let (mut kept, mut photos, mut failed) = (Vec::new(), Vec::new(), Vec::new());
    for (entry, looked) in entries.iter().zip(looked) {
        match looked {
            Ok((descriptor, Some(local))) => {
                kept.push(entry);
                photos.push(MinedPhoto {
                    descriptor: descriptor.values,
                    local,
                });
            }
            Ok((_, None)) => {
                bail!("this bundle's recipe gives no local features, which mining needs")
            }
            Err(error @ EmbedError::Image(_)) => {
                failed.push((entry.image.clone(), error.to_string()));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok((kept, photos, failed))
}

fn write(
    arguments: &Arguments,
    entries: &[&Entry],
    mined: &Mined,
    options: &MiningOptions,
) -> Result<()> {
    let out = &arguments.out;
    std::fs::create_dir_all(out).with_context(|| out.display().to_string())?;
    let save = |name: &str, text: &str| {
        let path = out.join(name);
        std::fs::write(&path, text).with_context(|| path.display().to_string())
    };
    let mut pairs = "first\tsecond\tscore\tinliers\tscale\trotation\tduplicate\n".to_owned();
    for pair in &mined.pairs {
        let alignment = &pair.evidence.alignment;
        writeln!(
            pairs,
            "{}\t{}\t{:.4}\t{}\t{:.2}\t{:.0}\t{}",
            entries[pair.first].key,
            entries[pair.second].key,
            pair.score,
            alignment.inliers,
            alignment.scale,
            alignment.rotation,
            u8::from(pair.is_duplicate(options)),
        )?;
    }
    save("pairs.tsv", &pairs)?;
    let table = |sets: &[Vec<usize>]| {
        let mut text = "image\tgroup\n".to_owned();
        for (set, number) in sets.iter().zip(1..) {
            for &photo in set {
                let key = &entries[photo].key;
                text.push_str(&format!("{key}\t{number}\n"));
            }
        }
        text
    };
    save("groups.tsv", &table(&mined.groups))?;
    save("duplicates.tsv", &table(&mined.duplicates))?;
    let sets = |sets: &[Vec<usize>]| -> Vec<PhotoSet> {
        let shown = sets.iter().take(SHOWN);
        shown
            .map(|set| {
                set.iter()
                    .map(|&photo| shown_photo(entries[photo]))
                    .collect()
            })
            .collect()
    };
    let page = SetsPage {
        title: "Photos of the same".to_owned(),
        subtitle: format!(
            "{} photos of {}: {} groups, {} sets of near duplicates (at most {SHOWN} of each are shown)",
            entries.len(),
            arguments.source.display(),
            mined.groups.len(),
            mined.duplicates.len()
        ),
        sections: vec![
            ("Groups".to_owned(), sets(&mined.groups)),
            ("Near duplicates".to_owned(), sets(&mined.duplicates)),
        ],
    };
    save("mined.html", &page.render())
}

fn shown_photo(entry: &Entry) -> (String, Option<Vec<u8>>) {
    let pixels = read_photo(&entry.image, &Limits::default());
    (
        entry.key.clone(),
        pixels.ok().map(|pixels| thumbnail(&pixels)),
    )
}
