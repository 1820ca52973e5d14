//! Opens a bundle and runs its network some times, without any optional part of the library: for
//! processors and devices on which the command line is not at hand, and for counting instructions.
//!
//!     cargo run --release -p pocketlens --no-default-features --example network -- BUNDLE 224 224 10 [CPU]

use std::error::Error;
use std::time::Instant;

use pocketlens::backbone::RunOptions;
use pocketlens::bundle::Bundle;
use pocketlens::embedder::Embedder;
use pocketlens::image::Pixels;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [bundle, width, height, runs, cpu @ ..] = &arguments[..] else {
        return Err("arguments: BUNDLE WIDTH HEIGHT RUNS [CPU]".into());
    };
    let (width, height, runs): (u32, u32, u32) = (width.parse()?, height.parse()?, runs.parse()?);
    let bytes = (0..width * height * 3).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8);
    let pixels = Pixels::from_rgb(width, height, bytes.collect()).expect("three bytes a pixel");
    // The second time everything is in memory already.
    Embedder::new(Bundle::open(bundle)?)?;
    let start = Instant::now();
    let embedder = Embedder::new(Bundle::open(bundle)?)?;
    let opened = start.elapsed();
    let options = RunOptions {
        cpu: cpu.first().map(String::as_str),
        ..RunOptions::default()
    };
    let before = resident();
    let start = Instant::now();
    for _ in 0..runs {
        embedder.backbone().run_with(&pixels, &options)?;
    }
    println!(
        "open {:.2} ms, run {:.3} ms",
        ms(opened),
        ms(start.elapsed()) / f64::from(runs.max(1))
    );
    if let (Some(before), Some(after)) = (before, resident()) {
        println!(
            "memory while running: {} KiB beyond the opened bundle",
            after - before
        );
    }
    Ok(())
}

fn ms(duration: std::time::Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// KiB that are resident and not mapped from files, at their peak for what grows only.
fn resident() -> Option<i64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("RssAnon:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}
