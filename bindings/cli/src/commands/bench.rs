//! `pocketlens bench`: what each stage costs on this machine, or each layer of the network.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Args;
use pocketlens::backbone::{Backbone, RunOptions};
use pocketlens::descriptor::describe;
use pocketlens::embedder::Embedder;
use pocketlens::image::{Limits, Photo, Pixels};
use serde_json::json;

use super::{open_bundle, print_json, print_line};
use crate::progress;

/// Sides of the photo that is decoded and resized: 12 megapixels.
const PHOTO: (u32, u32) = (4000, 3000);

#[derive(Args)]
pub(crate) struct Arguments {
    /// The model bundle; the built-in one when absent
    #[arg(long)]
    bundle: Option<PathBuf>,
    /// Time each layer of the network instead of each stage
    #[arg(long)]
    layers: bool,
    /// Time the network alone
    #[arg(long, conflicts_with = "layers")]
    network: bool,
    /// Threads for one run of the network
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Instruction set: generic, avx2, avx-vnni, avx512-vnni, neon, sdot, i8mm
    #[arg(long)]
    cpu: Option<String>,
    /// The network's input, such as 224x224; that of a photo of 4:3 when absent
    #[arg(long, value_parser = size)]
    size: Option<(u32, u32)>,
    /// Runs that are timed
    #[arg(long, default_value_t = 100)]
    runs: usize,
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
}

pub(super) fn size(text: &str) -> Result<(u32, u32), String> {
    let parsed = text.split_once('x').and_then(|(width, height)| {
        let sides = (width.parse().ok()?, height.parse().ok()?);
        ((1..=8192).contains(&sides.0) && (1..=8192).contains(&sides.1)).then_some(sides)
    });
    parsed.ok_or_else(|| format!("expected WIDTHxHEIGHT of 1 to 8192, found {text}"))
}

/// One line of the report.
struct Row<'a> {
    stage: &'a str,
    times: Vec<Duration>,
    multiplications: usize,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let embedder = Embedder::new(open_bundle(arguments.bundle.as_deref())?)?;
    let runs = arguments.runs.max(1);
    let sizing = embedder.bundle().spec().preprocessing.sizing;
    let (width, height) = arguments
        .size
        .unwrap_or_else(|| sizing.target(PHOTO.0, PHOTO.1));
    let input = picture(width, height);
    progress::with_jobs(Some(arguments.threads.max(1)), || {
        if arguments.layers {
            layers(arguments, embedder.backbone(), &input, runs)
        } else {
            stages(arguments, &embedder, &input, runs)
        }
    })??;
    Ok(ExitCode::SUCCESS)
}

fn options(arguments: &Arguments) -> RunOptions<'_> {
    RunOptions {
        threads: arguments.threads.max(1),
        cpu: arguments.cpu.as_deref(),
        ..RunOptions::default()
    }
}

fn stages(arguments: &Arguments, embedder: &Embedder, input: &Pixels, runs: usize) -> Result<()> {
    let backbone = embedder.backbone();
    let cpu = arguments.cpu.as_deref().unwrap_or(backbone.cpu());
    let report = |row: &Row<'_>, threads| print(arguments, row, cpu, threads);
    if !arguments.network {
        let photo = picture(PHOTO.0, PHOTO.1);
        let few = runs.min(10);
        let jpeg = encode(&photo)?;
        let limits = Limits::default();
        report(
            &timed("decode", few, || {
                Ok(Photo::decode(&jpeg, None, embedder.sizing(), &limits)?)
            })?,
            1,
        )?;
        report(
            &timed("resize", few, || Ok(embedder.input(&photo, None)?))?,
            1,
        )?;
    }
    let options = options(arguments);
    let mut row = timed("backbone", runs, || Ok(backbone.run_with(input, &options)?))?;
    let layers = backbone.time_layers(input, &options)?;
    row.multiplications = layers.iter().map(|layer| layer.multiplications).sum();
    report(&row, arguments.threads)?;
    if arguments.network {
        return Ok(());
    }
    let maps = backbone.run_with(input, &options)?;
    let (recipe, learned) = (
        &embedder.bundle().spec().recipe,
        embedder.bundle().learned(),
    );
    let maps = [embedder.maps(&maps)];
    let describe = || Ok(describe(recipe, &maps, learned)?);
    report(&timed("descriptor", runs, describe)?, 1)
}

fn layers(arguments: &Arguments, backbone: &Backbone, input: &Pixels, runs: usize) -> Result<()> {
    let options = options(arguments);
    let mut rows: Vec<Row<'_>> = Vec::new();
    let names = backbone.time_layers(input, &options)?;
    for _ in 0..runs {
        for (at, layer) in backbone
            .time_layers(input, &options)?
            .into_iter()
            .enumerate()
        {
            if rows.len() == at {
                rows.push(Row {
                    stage: &names[at].name,
                    times: Vec::new(),
                    multiplications: layer.multiplications,
                });
            }
            rows[at].times.push(layer.time);
        }
    }
    let cpu = arguments.cpu.as_deref().unwrap_or(backbone.cpu());
    for row in &rows {
        print(arguments, row, cpu, arguments.threads)?;
    }
    if rows.is_empty() {
        eprintln!(
            "the bundle's network runs in float, which has no layers of ours; see `bundle convert`"
        );
    }
    Ok(())
}

/// Runs once without looking at the clock, then `runs` times.
fn timed<'a, T>(
    stage: &'a str,
    runs: usize,
    mut work: impl FnMut() -> Result<T>,
) -> Result<Row<'a>> {
    work()?;
    let mut times = Vec::with_capacity(runs);
    for _ in 0..runs {
        let start = Instant::now();
        work()?;
        times.push(start.elapsed());
    }
    Ok(Row {
        stage,
        times,
        multiplications: 0,
    })
}

fn print(arguments: &Arguments, row: &Row<'_>, cpu: &str, threads: usize) -> Result<()> {
    let mut sorted: Vec<f64> = row
        .times
        .iter()
        .map(|time| time.as_secs_f64() * 1e6)
        .collect();
    sorted.sort_by(f64::total_cmp);
    let n = sorted.len();
    // The least value that at least this share of the runs does not exceed.
    let rank = |share: f64| sorted[((share * n as f64).ceil() as usize).clamp(1, n) - 1];
    let (median, p99) = (rank(0.5), rank(0.99));
    let macs = row.multiplications;
    let rate = macs as f64 / median / 1e3;
    if arguments.json {
        let mut object = json!({
            "stage": row.stage, "median_us": median, "p99_us": p99, "n": n, "cpu": cpu,
            "threads": threads,
        });
        if macs > 0 {
            object["macs"] = macs.into();
            object["gmac_per_s"] = rate.into();
        }
        return print_json(&object);
    }
    let work = match macs {
        0 => String::new(),
        _ => format!("{:>9.2} MMAC {rate:>8.1} GMAC/s", macs as f64 / 1e6),
    };
    print_line(format_args!(
        "{:<28} {median:>10.1} µs median {p99:>10.1} p99 {work}",
        row.stage
    ))
}

/// Smooth shapes and fine texture, as photos have both.
fn picture(width: u32, height: u32) -> Pixels {
    let data = (0..height).flat_map(|y| {
        (0..width).flat_map(move |x| {
            let (u, v) = (x * 512 / width, y * 512 / height);
            let noise = (x.wrapping_mul(73_856_093) ^ y.wrapping_mul(19_349_663)) >> 13 & 31;
            let disc = if (u as i32 - 256).pow(2) + (v as i32 - 256).pow(2) < 150 * 150 {
                90
            } else {
                0
            };
            [u / 4 + noise + disc, v / 4 + noise, (u + v) / 6 + disc]
                .map(|value| value.min(255) as u8)
        })
    });
    Pixels::from_rgb(width, height, data.collect()).expect("three bytes a pixel")
}

fn encode(photo: &Pixels) -> Result<Vec<u8>> {
    let mut jpeg = Vec::new();
    ::image::codecs::jpeg::JpegEncoder::new_with_quality(&mut jpeg, 90)
        .encode(
            photo.data(),
            photo.width(),
            photo.height(),
            ::image::ExtendedColorType::Rgb8,
        )
        .context("the picture to decode cannot be made")?;
    Ok(jpeg)
}
