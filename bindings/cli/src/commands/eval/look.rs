//! A photo as it was asked with, once or in its four quarter turns, and where it is like an item: for pages that explain.

use std::path::Path;

use anyhow::Result;
use pocketlens::backbone::{FeatureMap, RunOptions};
use pocketlens::descriptor::HeatMap;
use pocketlens::image::{Limits, Orientation, Photo, Pixels, read_photo};
use pocketlens::lens::Lens;

use crate::report::small;

/// A photo as it was asked with.
pub(super) struct Look {
    /// Clockwise quarter turns.
    pub(super) degrees: u32,
    pub(super) picture: Pixels,
    maps: Vec<FeatureMap>,
}

/// The photo as it is, then in its other quarter turns where it was asked with them.
pub(super) fn looks(lens: &Lens, photo: &Path, rotations: bool) -> Result<Vec<Look>> {
    let embedder = lens.embedder();
    let limits = Limits::default();
    let decoded = Photo::read(photo, None, embedder.sizing(), &limits)?;
    let mut input = embedder.photo_input(&decoded, None)?;
    let mut picture = small(&read_photo(photo, &limits)?);
    let mut looks = Vec::new();
    for turn in 0..if rotations { 4 } else { 1 } {
        if turn > 0 {
            input = Orientation::Rotate90.apply(input);
            picture = Orientation::Rotate90.apply(picture);
        }
        let (_, maps) = embedder.look(&input, &RunOptions::default())?;
        looks.push(Look {
            degrees: 90 * turn,
            picture: picture.clone(),
            maps,
        });
    }
    Ok(looks)
}

/// The look that is most like the item, which its score is of, and where; `None` where the recipe is not linear.
pub(super) fn warmest<'a>(
    lens: &Lens,
    looks: &'a [Look],
    item: &[Vec<f32>],
) -> Option<(&'a Look, HeatMap)> {
    let pairs = looks
        .iter()
        .flat_map(|look| item.iter().map(move |vector| (look, vector)));
    let heats = pairs
        .filter_map(|(look, vector)| Some((look, lens.embedder().heat_map(&look.maps, vector)?)));
    heats.max_by(|(_, a), (_, b)| a.total().total_cmp(&b.total()))
}

#[cfg(test)]
mod tests {
    use pocketlens::build::{BuildOptions, Entry, build_index};
    use pocketlens::embedder::Embedder;
    use pocketlens::lens::Query;
    use pocketlens::rerank::Augmentation;

    use super::super::super::open_bundle;
    use super::*;

    /// Stripes that differ by seed.
    fn picture(seed: u32) -> image::RgbImage {
        image::RgbImage::from_fn(160, 128, |x, y| {
            let wave = |a: u32, b: u32| ((x * a + y * b + 40 * seed) % 256) as u8;
            let inside = x.abs_diff(50) + y.abs_diff(40) < 20 + 7 * seed;
            image::Rgb([
                wave(1 + seed, 2),
                wave(3, seed),
                if inside { 250 } else { 20 },
            ])
        })
    }

    #[test]
    fn heat_is_of_the_turn_that_was_found_and_adds_up_to_its_score() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let entries = (0..4).map(|seed| {
            let key = format!("{seed}.png");
            picture(seed).save(at(&key)).unwrap();
            Entry {
                image: at(&key),
                key,
                group: None,
                payload: serde_json::json!({}),
            }
        });
        let entries: Vec<Entry> = entries.collect();
        let embedder = Embedder::new(open_bundle(None).unwrap()).unwrap();
        let asked = at("asked.png");
        image::imageops::rotate270(&picture(2))
            .save(&asked)
            .unwrap();
        // What was moved towards its neighbours is explained by what it was moved to.
        let augmented = Augmentation {
            neighbours: 1,
            alpha: 3,
        };
        for augment in [None, Some(augmented)] {
            let options = BuildOptions {
                calibration_queries: 0,
                augment,
                ..BuildOptions::default()
            };
            build_index(&at("i.plx"), &embedder, &entries, &options, &|_| {}).unwrap();
            let lens = Lens::open(at("i.plx")).unwrap();
            let query = Query {
                k: 4,
                rotations: true,
                ..Query::default()
            };
            let answer = lens.search_file(&asked, &query).unwrap();
            let looks = looks(&lens, &asked, true).unwrap();
            assert_eq!(looks.len(), 4);
            for hit in &answer.hits {
                let vectors = lens.index().vectors(&hit.key).unwrap();
                let (look, heat) = warmest(&lens, &looks, &vectors).unwrap();
                let off = heat.total() - f64::from(hit.score);
                assert!(off.abs() < 0.01, "{}: {off}", hit.key);
                if hit.key == "2.png" {
                    assert_eq!(look.degrees, 90);
                    assert_eq!((look.picture.width(), look.picture.height()), (160, 128));
                }
            }
            assert_eq!(answer.hits[0].key, "2.png");
        }
    }
}
