//! Queries whose answer is known, made of the catalogue itself: what the verdict is calibrated on.
//!
//! A photo of something that others show too asks for these, itself left out: real photos of one thing differ
//! as a query and its answer do. A lone photo can only be captured by the simulator, half of the
//! times by a user who points well. Each is asked twice: of the index (right when its own group
//! comes first) and of the index without its group (then every answer is wrong).

use std::collections::HashMap;

use rayon::prelude::*;

use super::{BuildError, BuildOptions, Entry, embed_file, group_of};
use crate::descriptor::Descriptor;
use crate::embedder::Embedder;
use crate::image;
use crate::index::{Index, IndexQuery, Ranking};
use crate::simulate::{CaptureSimulator, Settings};
use crate::verdict::Observation;

/// Lone photos are asked for too unless at least one in that many has siblings: captures look more
/// like their own photo than any real query does, so that real photos are to be believed alone.
const LONE_UNLESS: usize = 4;

/// Fewest photos with siblings that are asked for alone.
const FEWEST_SIBLINGS: usize = 20;

/// Two observations for each query; photos that can no longer be read give none.
pub(super) fn observe(
    index: &Index,
    embedder: &Embedder,
    entries: &[&Entry],
    options: &BuildOptions,
) -> Result<Vec<Observation>, BuildError> {
    let shown_by = |entry: &Entry| match options.groups_of_variants {
        true => entry.key.clone(),
        false => group_of(entry).to_owned(),
    };
    let mut photos_of: HashMap<String, usize> = HashMap::new();
    for entry in entries {
        *photos_of.entry(shown_by(entry)).or_default() += 1;
    }
    let has_siblings = |entry: &Entry| photos_of[&shown_by(entry)] > 1;
    let mut asked = entries.to_vec();
    asked.retain(|entry| has_siblings(entry));
    if asked.len() < FEWEST_SIBLINGS || asked.len() * LONE_UNLESS < entries.len() {
        asked = entries.to_vec();
    }
    let questions = options.calibration_queries / 2;
    let observed: Vec<Result<Vec<Observation>, BuildError>> = (0..questions)
        .into_par_iter()
        .map(|question| {
            // Spread evenly over the catalogue; a generator a question, so that the order in which
            // threads finish does not matter.
            let entry = asked[question * asked.len() / questions];
            if has_siblings(entry) {
                return ask_for_siblings(index, embedder, entry, options);
            }
            let settings = [Settings::aimed(), Settings::capture()][question % 2];
            let mut rng = fastrand::Rng::with_seed(options.seed.wrapping_add(question as u64));
            let backdrop = entries[rng.usize(..entries.len())];
            let simulator = CaptureSimulator::new(settings);
            capture(
                index, embedder, entry, backdrop, &simulator, &mut rng, options,
            )
        })
        .collect();
    let mut observations = Vec::new();
    for result in observed {
        observations.extend(result?);
    }
    Ok(observations)
}

fn ask_for_siblings(
    index: &Index,
    embedder: &Embedder,
    entry: &Entry,
    options: &BuildOptions,
) -> Result<Vec<Observation>, BuildError> {
    // It could be read a moment ago.
    let Ok(descriptor) = embed_file(embedder, &entry.image, &options.limits) else {
        return Ok(Vec::new());
    };
    let group = group_of(entry);
    let inside = index.search(&IndexQuery {
        excluding_photo: Some(&descriptor.values),
        ..query(&descriptor)
    })?;
    let outside = index.search(&IndexQuery {
        excluding_groups: &[group],
        ..query(&descriptor)
    })?;
    Ok(observations(group, &inside, &outside))
}

fn capture(
    index: &Index,
    embedder: &Embedder,
    entry: &Entry,
    backdrop: &Entry,
    simulator: &CaptureSimulator,
    rng: &mut fastrand::Rng,
    options: &BuildOptions,
) -> Result<Vec<Observation>, BuildError> {
    let group = group_of(entry);
    // What lies around a product seldom is in the catalogue too: the backdrop's group is left out of
    // both searches, and a product is never its own backdrop.
    let backdrop = Some(backdrop).filter(|backdrop| group_of(backdrop) != group);
    let read = |entry: &Entry| image::read_photo(&entry.image, &options.limits);
    let Ok(photo) = read(entry) else {
        return Ok(Vec::new());
    };
    let surroundings = backdrop.and_then(|backdrop| read(backdrop).ok());
    let view = simulator.view(&photo, surroundings.as_ref(), rng);
    let descriptor = embedder.embed(&view, None)?.descriptor;
    let without = |groups: &[&str]| {
        index.search(&IndexQuery {
            excluding_groups: groups,
            ..query(&descriptor)
        })
    };
    let around = backdrop.map(group_of);
    let inside = without(around.as_slice())?;
    let outside = without(&[group, around.unwrap_or(group)])?;
    Ok(observations(group, &inside, &outside))
}

fn query(descriptor: &Descriptor) -> IndexQuery<'_> {
    IndexQuery::new(descriptor.fingerprint, &descriptor.values, 1)
}

fn observations(group: &str, inside: &Ranking, outside: &Ranking) -> Vec<Observation> {
    let observation = |ranking: &Ranking, correct| {
        let (score, margin) = ranking.score_and_margin()?;
        Some(Observation {
            score,
            margin,
            correct,
        })
    };
    let correct = inside.hits.first().is_some_and(|hit| hit.group == group);
    let both = [observation(inside, correct), observation(outside, false)];
    both.into_iter().flatten().collect()
}
