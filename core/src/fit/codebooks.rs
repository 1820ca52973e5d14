//! Codebooks: local features are sampled from clean photos, projected onto their principal
//! components, and clustered.
//!
//! The sample is of fixed size: some locations of each photo, and of many photos some photos, evenly
//! spread. Recipes that read the same maps share it.

use rayon::prelude::*;

use super::moments::Moments;
use super::sampler::{SampleError, Sampler};
use super::{BATCH, Fit, FitError, kmeans, mixture, pca};
use crate::descriptor::{
    Codebook, CodebookShape, DescribeError, Part, Pool, Whitening, part_map, windows,
};

/// Locations taken of a photo.
const OF_A_PHOTO: usize = 48;
/// Photos that the sample is taken of.
const PHOTOS: usize = 1280;
/// Local features a centre, at least.
const FOR_A_CENTRE: usize = 12;

/// The least number of photos for the codebooks of a part.
pub(super) fn least_photos(part: &Part) -> usize {
    let Some(shape) = part.pool.codebook() else {
        return 0;
    };
    let locals = (shape.centres * FOR_A_CENTRE).max(shape.local + 1);
    // A map of stride 32 has some hundred locations, windows of a quarter some fifty.
    locals.div_ceil(OF_A_PHOTO)
}

/// Where local features come from: equal ones are sampled once.
struct Source {
    /// The part's taps and their fusion.
    part: Part,
    /// Windows of MOP-CNN, locations of the map otherwise.
    windows: Option<usize>,
    rows: Vec<Vec<f32>>,
}

impl Source {
    fn is(&self, part: &Part, windows: Option<usize>) -> bool {
        let same = (&self.part.tap, &self.part.fuse) == (&part.tap, &part.fuse);
        same && self.part.resize == part.resize && self.windows == windows
    }
}

fn levels(part: &Part) -> impl Iterator<Item = Option<usize>> + use<> {
    let shape = part.pool.codebook();
    let mop = matches!(part.pool, Pool::Mop { .. });
    (0..shape.map_or(0, |shape| shape.levels)).map(move |level| mop.then_some(level))
}

/// Gives every part of `fits` its codebooks, or refuses the fit.
pub(super) fn learn(
    sampler: &Sampler<'_>,
    fits: &mut [Fit],
    progress: &(dyn Fn(usize) + Sync),
) -> Result<(), FitError> {
    let mut sources: Vec<Source> = Vec::new();
    for part in fits
        .iter()
        .filter(|fit| fit.refused.is_none())
        .flat_map(|fit| &fit.recipe.parts)
    {
        for windows in levels(part) {
            if !sources.iter().any(|source| source.is(part, windows)) {
                sources.push(Source {
                    part: part.clone(),
                    windows,
                    rows: Vec::new(),
                });
            }
        }
    }
    sample(sampler, &mut sources, progress)?;
    let mut known: Vec<(usize, CodebookShape, Codebook)> = Vec::new();
    for fit in fits.iter_mut().filter(|fit| fit.refused.is_none()) {
        for (at, part) in fit.recipe.parts.iter().enumerate() {
            let Some(shape) = part.pool.codebook() else {
                continue;
            };
            for windows in levels(part) {
                let source = sources.iter().position(|source| source.is(part, windows));
                let source = source.expect("made from the same parts");
                let found = known.iter().find(|k| k.0 == source && k.1 == shape);
                let codebook = match found {
                    Some(known) => Ok(known.2.clone()),
                    None => {
                        let (rows, seed) = (&sources[source].rows, sampler.options().seed);
                        enough_photos(part, sampler)
                            .and_then(|()| codebook(rows, shape, part, seed))
                    }
                };
                match codebook {
                    Ok(codebook) => {
                        known.push((source, shape, codebook.clone()));
                        fit.learned.codebooks[at].push(codebook);
                    }
                    Err(error) => fit.refused = Some(error),
                }
            }
        }
    }
    Ok(())
}

fn sample(
    sampler: &Sampler<'_>,
    sources: &mut [Source],
    progress: &(dyn Fn(usize) + Sync),
) -> Result<(), FitError> {
    let photos = sampler.photos().len();
    let step = photos.div_ceil(PHOTOS).max(1);
    let chosen: Vec<usize> = (0..photos).step_by(step).collect();
    for batch in chosen.chunks(BATCH) {
        let sampled: Vec<Result<Vec<Vec<Vec<f32>>>, SampleError>> = batch
            .par_iter()
            .map(|&at| {
                let locals = locals(sampler, sources, at);
                progress(step.min(photos - at));
                locals
            })
            .collect();
        for photo in sampled {
            match photo {
                Ok(rows) => {
                    for (source, rows) in sources.iter_mut().zip(rows) {
                        source.rows.extend(rows);
                    }
                }
                // The second pass names it.
                Err(SampleError::Photo(_)) => {}
                Err(SampleError::Backbone(error)) => return Err(error.into()),
                Err(SampleError::Describe(error)) => return Err(error.into()),
            }
        }
    }
    Ok(())
}

/// Some local features of a photo for each source, spread evenly from a random start.
fn locals(
    sampler: &Sampler<'_>,
    sources: &[Source],
    at: usize,
) -> Result<Vec<Vec<Vec<f32>>>, SampleError> {
    let maps = sampler.maps(at)?;
    let maps = sampler.named(&maps);
    let mut rng = sampler.rng(at);
    let of_source = |source: &Source| -> Result<Vec<Vec<f32>>, DescribeError> {
        let map = part_map(&source.part, &maps)?;
        let all: Vec<Vec<f32>> = match source.windows {
            Some(level) => windows(&map, level),
            None => map.locations().map(<[f32]>::to_vec).collect(),
        };
        let (start, count) = (rng.usize(..all.len()), all.len().min(OF_A_PHOTO));
        let places = (0..count).map(|i| (start + i * all.len() / count) % all.len());
        Ok(places.map(|place| all[place].clone()).collect())
    };
    let rows: Result<_, DescribeError> = sources.iter().map(of_source).collect();
    rows.map_err(SampleError::Describe)
}

fn enough_photos(part: &Part, sampler: &Sampler<'_>) -> Result<(), FitError> {
    let (needed, found) = (
        super::least_photos(part, sampler.options().views),
        sampler.photos().len(),
    );
    if found < needed {
        return Err(super::too_few(part, needed, found));
    }
    Ok(())
}

fn codebook(
    rows: &[Vec<f32>],
    shape: CodebookShape,
    part: &Part,
    seed: u64,
) -> Result<Codebook, FitError> {
    let needed = (shape.centres * FOR_A_CENTRE).max(shape.local + 1);
    if rows.len() < needed {
        return Err(FitError::TooFewLocals {
            tap: part.tap.clone(),
            needed,
            found: rows.len(),
        });
    }
    let projection = projection(rows, shape.local, part)?;
    let degenerate = || FitError::Degenerate {
        tap: part.tap.clone(),
        dim: shape.local,
        found: 0,
    };
    let bare = Codebook::new(projection.clone(), Vec::new(), None).ok_or_else(degenerate)?;
    if shape.centres == 0 {
        return Ok(bare);
    }
    let locals: Vec<Vec<f32>> = rows.par_iter().map(|row| bare.local_feature(row)).collect();
    let centres = kmeans::centres(&locals, shape.centres, seed);
    let codebook = if shape.gaussian {
        mixture::codebook(&projection, &locals, &centres)
    } else {
        Codebook::new(projection, centres.concat(), None)
    };
    codebook.ok_or_else(degenerate)
}

/// The leading principal components of local features, not whitened: the weak ones of single
/// locations are noise.
fn projection(rows: &[Vec<f32>], local: usize, part: &Part) -> Result<Whitening, FitError> {
    let mut moments = Moments::new(rows[0].len());
    rows.iter().for_each(|row| moments.add(row));
    moments.flush();
    let part = Part {
        dim: local,
        ..part.clone()
    };
    let channels = moments.channels();
    pca::check_components(channels, &part)?;
    let (values, vectors) = pca::eigen(&moments.covariance());
    pca::check_rank(&values, &part)?;
    let component = |k: usize| (0..channels).map(move |i| (i, k));
    let entries = (0..local).flat_map(component);
    let projection: Vec<f32> = entries.map(|at| vectors[at] as f32).collect();
    pca::whitening_of(&moments.mean(), &projection, &part)
}
