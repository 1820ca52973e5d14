//! Queries whose answer is known, made of the catalogue itself: what the verdict is calibrated on.
//!
//! A photo of something that others show too asks for these once, itself left out: real photos of one thing differ
//! as a query and its answer do. A lone photo can only be captured by the simulator, half of the
//! times by a user who points well. Each is asked twice: of the index (right when its own group
//! comes first) and of the index without its group (then every answer is wrong).

use std::collections::HashMap;

use rayon::prelude::*;

use super::augmentation::{First, Moved};
use super::{BuildError, BuildOptions, Entry, embed_file, group_of};
use crate::descriptor::Descriptor;
use crate::embedder::Embedder;
use crate::image::{self, Pixels};
use crate::index::{Index, IndexQuery};
use crate::simulate::{CaptureSimulator, Settings};
use crate::verdict::Observation;

/// Lone photos are asked for too unless at least one in that many has siblings: captures look more
/// like their own photo than any real query does, so that real photos are to be believed alone.
const LONE_UNLESS: usize = 4;

/// Fewest photos with siblings that are asked for alone, and without being captured besides.
const FEWEST_SIBLINGS: usize = 40;

/// Who is asked: the index, or, where vectors were moved, one that was built without what is left out.
pub(super) struct Asked<'a> {
    pub(super) index: &'a Index,
    pub(super) moved: Option<&'a Moved<'a>>,
}

/// What a question leaves out.
#[derive(Clone, Copy, Default)]
struct LeftOut<'a> {
    groups: &'a [&'a str],
    /// Photos with just this vector.
    photo: Option<&'a [f32]>,
}

impl Asked<'_> {
    fn first(
        &self,
        descriptor: &Descriptor,
        left_out: LeftOut<'_>,
    ) -> Result<Option<First>, BuildError> {
        if let Some(moved) = self.moved {
            return Ok(moved.first(&descriptor.values, |photo| {
                left_out.groups.contains(&group_of(photo.entry))
                    || left_out.photo == Some(&*photo.vector)
            }));
        }
        let ranking = self.index.search(&IndexQuery {
            excluding_groups: left_out.groups,
            excluding_photo: left_out.photo,
            ..IndexQuery::new(descriptor.fingerprint, &descriptor.values, 1)
        })?;
        let best = ranking.standing().zip(ranking.hits.first());
        Ok(best.map(|(standing, hit)| First {
            group: hit.group.clone(),
            standing,
        }))
    }
}

/// Two observations for each query; photos that can no longer be read give none.
pub(super) fn observe(
    asked: &Asked<'_>,
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
    let mut asked_for = entries.to_vec();
    asked_for.retain(|entry| has_siblings(entry));
    if asked_for.len() < FEWEST_SIBLINGS || asked_for.len() * LONE_UNLESS < entries.len() {
        asked_for = entries.to_vec();
    }
    let questions = options.calibration_queries / 2;
    let things: HashMap<String, u32> = photos_of.keys().cloned().zip(0..).collect();
    let observed: Vec<Result<Vec<Observation>, BuildError>> = (0..questions)
        .into_par_iter()
        .map(|question| {
            // Spread evenly over the catalogue; a generator a question, so that the order in which
            // threads finish does not matter.
            let place = |question: usize| question * asked_for.len() / questions;
            let entry = asked_for[place(question)];
            let thing = things[&shown_by(entry)];
            if has_siblings(entry) {
                // A photo that asks again is told the same: counted twice, it would be believed too much.
                let again = question > 0 && place(question - 1) == place(question);
                match (again, asked_for.len() < FEWEST_SIBLINGS) {
                    (false, _) => return ask_for_siblings(asked, embedder, entry, thing, options),
                    (true, false) => return Ok(Vec::new()),
                    (true, true) => (),
                }
            }
            let settings = [Settings::aimed(), Settings::capture()][question % 2];
            let mut rng = fastrand::Rng::with_seed(options.seed.wrapping_add(question as u64));
            let backdrop = entries[rng.usize(..entries.len())];
            let simulator = CaptureSimulator::new(settings);
            let Some(view) = view(entry, backdrop, &simulator, &mut rng, options) else {
                return Ok(Vec::new());
            };
            ask_for_capture(asked, embedder, entry, backdrop, &view, thing)
        })
        .collect();
    let mut observations = Vec::new();
    for result in observed {
        observations.extend(result?);
    }
    Ok(observations)
}

fn ask_for_siblings(
    asked: &Asked<'_>,
    embedder: &Embedder,
    entry: &Entry,
    thing: u32,
    options: &BuildOptions,
) -> Result<Vec<Observation>, BuildError> {
    // It could be read a moment ago.
    let Ok(descriptor) = embed_file(embedder, &entry.image, &options.limits) else {
        return Ok(Vec::new());
    };
    let group = group_of(entry);
    let itself = LeftOut {
        photo: Some(&descriptor.values),
        ..LeftOut::default()
    };
    let its_group = LeftOut {
        groups: &[group],
        ..LeftOut::default()
    };
    let inside = asked.first(&descriptor, itself)?;
    let outside = asked.first(&descriptor, its_group)?;
    Ok(observations(group, thing, inside, outside))
}

/// A capture of a photo with another one around it; `None` where the photo cannot be read.
fn view(
    entry: &Entry,
    backdrop: &Entry,
    simulator: &CaptureSimulator,
    rng: &mut fastrand::Rng,
    options: &BuildOptions,
) -> Option<Pixels> {
    let read = |entry: &Entry| image::read_photo(&entry.image, &options.limits).ok();
    let photo = read(entry)?;
    // A product is never its own backdrop.
    let is_other = group_of(backdrop) != group_of(entry);
    let surroundings = is_other.then(|| read(backdrop)).flatten();
    Some(simulator.view(&photo, surroundings.as_ref(), rng))
}

fn ask_for_capture(
    asked: &Asked<'_>,
    embedder: &Embedder,
    entry: &Entry,
    backdrop: &Entry,
    view: &Pixels,
    thing: u32,
) -> Result<Vec<Observation>, BuildError> {
    let (group, around) = (group_of(entry), group_of(backdrop));
    let descriptor = embedder.embed(view, None)?.descriptor;
    let without = |groups: &[&str]| {
        let left_out = LeftOut {
            groups,
            ..LeftOut::default()
        };
        asked.first(&descriptor, left_out)
    };
    // What lies around a product seldom is in the catalogue too: the backdrop's group is left out of
    // both searches.
    let around = Some(around).filter(|&around| around != group);
    let inside = without(around.as_slice())?;
    let outside = without(&[group, around.unwrap_or(group)])?;
    Ok(observations(group, thing, inside, outside))
}

fn observations(
    group: &str,
    thing: u32,
    inside: Option<First>,
    outside: Option<First>,
) -> Vec<Observation> {
    let observation = |first: First, correct| Observation {
        standing: first.standing,
        correct,
        thing,
    };
    let inside = inside.map(|first| {
        let correct = first.group == group;
        observation(first, correct)
    });
    let outside = outside.map(|first| observation(first, false));
    inside.into_iter().chain(outside).collect()
}
