//! The Rust half of `android/bench`: searches with a camera frame for every line on standard input and says what it took.
//!
//! ```text
//! search_frame INDEX NV21_FILE WIDTH HEIGHT
//! ```
//! Answers each line with nanoseconds, the first hit's key and its score.

use std::error::Error;
use std::io::{BufRead, Write};
use std::time::Instant;

use pocketlens::image::Frame;
use pocketlens::lens::{Lens, Query};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [index, frame, width, height] = &arguments[..] else {
        return Err("usage: search_frame INDEX NV21_FILE WIDTH HEIGHT".into());
    };
    let lens = Lens::open(index)?;
    let bytes = std::fs::read(frame)?;
    let (width, height) = (width.parse()?, height.parse()?);
    let query = Query::default();
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        line?;
        let start = Instant::now();
        let answer = lens.search_frame(&Frame::nv21(&bytes, width, height)?, &query)?;
        let nanos = start.elapsed().as_nanos();
        let hit = answer.hits.first().ok_or("no hit")?;
        writeln!(out, "{nanos} {} {}", hit.key, hit.score)?;
        out.flush()?;
    }
    Ok(())
}
