//! Descriptors of random crops of all photos of some folders by the default bundle, one row of little-endian
//! `f32` behind the other: real vectors for benches of the index.
//!
//!     cargo run --release --workspace --example descriptors -- OUT.f32 CROPS FOLDER…

use std::error::Error;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use pocketlens::backbone::RunOptions;
use pocketlens::bundle::Bundle;
use pocketlens::embedder::{EmbedError, Embedder};
use pocketlens::image::{Limits, Photo, Region};
use rayon::prelude::*;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [out, crops, folders @ ..] = &arguments[..] else {
        return Err("arguments: OUT.f32 CROPS FOLDER…".into());
    };
    let crops: u32 = crops.parse()?;
    let mut photos = Vec::new();
    for folder in folders {
        photos_below(Path::new(folder), &mut photos)?;
    }
    photos.sort();
    let embedder = Embedder::new(Bundle::embedded()?)?;
    let mut out = BufWriter::new(File::create(out)?);
    let (start, mut rows) = (Instant::now(), 0usize);
    for (done, batch) in photos.chunks(256).enumerate() {
        let described: Vec<Vec<f32>> = batch
            .par_iter()
            .enumerate()
            .map(|(place, photo)| describe(&embedder, photo, crops, (done * 256 + place) as u64))
            .collect();
        for vector in described {
            rows += vector.len() / embedder.bundle().dim();
            for value in vector {
                out.write_all(&value.to_le_bytes())?;
            }
        }
        eprintln!("{rows} rows, {} s", start.elapsed().as_secs());
    }
    out.flush()?;
    println!("{rows} rows of {}", embedder.bundle().dim());
    Ok(())
}

fn photos_below(folder: &Path, into: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            photos_below(&path, into)?;
        } else if path
            .extension()
            .is_some_and(|extension| extension == "jpg" || extension == "webp")
        {
            into.push(path);
        }
    }
    Ok(())
}

/// The descriptors of some crops that cover 40 to 100 % of each side; none of a photo that cannot be read.
fn describe(embedder: &Embedder, photo: &Path, crops: u32, seed: u64) -> Vec<f32> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let Ok(photo) = Photo::read(photo, None, embedder.sizing(), &Limits::default()) else {
        return Vec::new();
    };
    let mut described = Vec::new();
    for _ in 0..crops {
        let [width, height] = [(); 2].map(|()| 0.4 + 0.6 * rng.f64());
        let (x, y) = (rng.f64() * (1.0 - width), rng.f64() * (1.0 - height));
        let region = Region::Relative {
            x,
            y,
            width,
            height,
        };
        let embedding = embedder
            .photo_input(&photo, Some(&region))
            .map_err(EmbedError::from)
            .and_then(|input| embedder.embed_input(&input, &RunOptions::default()));
        described.extend(embedding.expect("a crop of a photo runs").descriptor.values);
    }
    described
}
