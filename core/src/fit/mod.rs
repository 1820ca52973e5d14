//! Fitting: what a recipe learns from photos, without labels or with some.
//!
//! Photos stream through the backbone in batches, whatever the number of recipes; of each part only
//! its moments (mean and covariance) are kept, and of local features a sample of fixed size, so
//! memory does not grow with the number of photos. The result depends on the photos, their order
//! and the seed alone, not on the number of threads.

mod adapt;
mod codebooks;
mod fusion_weights;
mod kmeans;
mod learned_whitening;
mod mixture;
mod moments;
mod pca;
mod rotation;
mod sampler;
mod statistics;
mod summary;

pub use adapt::{adapt, adapted_photos};
pub use summary::{MomentsError, RecipeMoments};

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use rayon::prelude::*;

use crate::backbone::{Backbone, BackboneError};
use crate::descriptor::{
    DescribeError, Learned, Part, Pool, Recipe, RecipeError, WhiteningFit, join,
};
use crate::image::{ImageError, Limits};
use crate::simulate::{CaptureSimulator, Settings};
use moments::Moments;
use sampler::{Sample, SampleError, Sampler};
use statistics::Statistics;
use summary::Summary;

/// Photos of a batch: large enough to keep every core at work, small enough for a phone's memory.
const BATCH: usize = 32;
/// Photos whose pooled vectors are kept, for what is learned last: the joint projection and the
/// weights of parts.
const KEPT: usize = 4096;

/// How a recipe is fitted.
#[derive(Clone, Debug)]
pub struct FitOptions {
    /// Synthetic captures of each photo, for parts whose whitening is learned from pairs.
    pub views: usize,
    /// Seed of the capture simulator, of codebooks and of the rotation.
    pub seed: u64,
    /// What the capture simulator may do.
    pub simulator: CaptureSimulator,
    /// What a photo may cost.
    pub limits: Limits,
    /// Groups of photos that show one thing, where they are known: pairs are then photos of a group
    /// as well as captures of a photo. Photos that are not listed are things of their own.
    pub groups: BTreeMap<PathBuf, String>,
    /// Whether the weights of parts are searched on the groups.
    pub search_weights: bool,
    /// Whether a random rotation is folded into the last whitening: it changes no cosine and helps
    /// codes of one bit a component.
    pub rotate: bool,
}

impl Default for FitOptions {
    fn default() -> Self {
        Self {
            views: 5,
            seed: 1,
            simulator: CaptureSimulator::new(Settings::capture()),
            limits: Limits::default(),
            groups: BTreeMap::new(),
            search_weights: false,
            rotate: false,
        }
    }
}

/// What was learned for one recipe, and what was left out.
#[derive(Debug)]
pub struct Fitted {
    /// The recipe, with the weights that were found where they were searched.
    pub recipe: Recipe,
    /// Whitenings, codebooks, the joint projection.
    pub learned: Learned,
    /// What the whitenings were computed from.
    pub moments: RecipeMoments,
    /// Photos that were used.
    pub photos: usize,
    /// Photos that could not be read, with the reason.
    pub failed: Vec<(PathBuf, ImageError)>,
}

/// A recipe, with the weights that were found where they were searched, and what it learned.
#[derive(Debug)]
pub struct FittedRecipe {
    /// The recipe.
    pub recipe: Recipe,
    /// Whitenings, codebooks, the joint projection.
    pub learned: Learned,
    /// What the whitenings were computed from.
    pub moments: RecipeMoments,
}

/// The same for several recipes.
#[derive(Debug)]
pub struct FittedAll {
    /// In the order of the recipes: what was learned, or why not.
    pub recipes: Vec<Result<FittedRecipe, FitError>>,
    /// Photos that were used.
    pub photos: usize,
    /// Photos that could not be read, with the reason.
    pub failed: Vec<(PathBuf, ImageError)>,
}

/// Why fitting failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FitError {
    /// The recipe is out of range.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    /// The network does not run or lacks a tap.
    #[error(transparent)]
    Backbone(#[from] BackboneError),
    /// The maps do not have what the recipe pools.
    #[error(transparent)]
    Describe(#[from] DescribeError),
    /// The weights of parts cannot be searched.
    #[error(
        "weights are searched on groups of photos: at least {needed} photos in groups of two or more are needed, found {found}"
    )]
    TooFewLabels {
        /// The least number of photos.
        needed: usize,
        /// Photos in groups of two or more.
        found: usize,
    },
    /// What was learned cannot be adapted.
    #[error("cannot adapt to a catalogue: {reason}")]
    Adapt {
        /// What stands in the way.
        reason: String,
    },
    /// A catalogue is too small to be adapted to.
    #[error(
        "at least {needed} pictures are needed to adapt to a catalogue, found {found}; build without adapting"
    )]
    TooFewPictures {
        /// The least number of pictures.
        needed: usize,
        /// Pictures that could be read.
        found: usize,
    },
    /// The maps of the photos have too few locations for a codebook.
    #[error(
        "the codebook of tap {tap:?} needs at least {needed} local features, found {found}; add photos or ask for fewer centres"
    )]
    TooFewLocals {
        /// The part's tap.
        tap: String,
        /// The least number of local features.
        needed: usize,
        /// Those there were.
        found: usize,
    },
    /// Too few photos for the number of components.
    #[error(
        "part {tap:?} with {dim} components needs at least {needed} photos, found {found}; add photos or ask for fewer components"
    )]
    TooFewPhotos {
        /// The part's tap.
        tap: String,
        /// Components asked for.
        dim: usize,
        /// The least number of photos.
        needed: usize,
        /// Photos that could be read.
        found: usize,
    },
    /// A part asks for more components than its tap has channels.
    #[error("part {tap:?} asks for {dim} components, but the tap has {channels} channels")]
    TooManyComponents {
        /// The part's tap.
        tap: String,
        /// Components asked for.
        dim: usize,
        /// Channels there are.
        channels: usize,
    },
    /// The photos do not vary enough: the covariance has too low a rank.
    #[error(
        "the photos vary in {found} directions only at tap {tap:?}, {dim} components were asked for; add other photos"
    )]
    Degenerate {
        /// The part's tap.
        tap: String,
        /// Components asked for.
        dim: usize,
        /// Directions with variance.
        found: usize,
    },
}

/// Fits `recipe` on `photos`; the backbone's taps are those of the recipe. `progress` is told the
/// number of photos done, [`passes`] times as many as there are.
///
/// # Errors
/// [`FitError`]; photos that cannot be read are listed in [`Fitted::failed`] instead.
pub fn fit(
    backbone: &Backbone,
    recipe: &Recipe,
    photos: &[PathBuf],
    options: &FitOptions,
    progress: &(dyn Fn(usize) + Sync),
) -> Result<Fitted, FitError> {
    recipe.check()?;
    let taps = recipe.taps();
    let recipes = std::slice::from_ref(recipe);
    let mut all = fit_all(backbone, &taps, recipes, photos, options, progress)?;
    let fitted = all.recipes.remove(0)?;
    Ok(Fitted {
        recipe: fitted.recipe,
        learned: fitted.learned,
        moments: fitted.moments,
        photos: all.photos,
        failed: all.failed,
    })
}

/// How often photos are looked at: codebooks need a first pass.
pub fn passes(recipes: &[Recipe]) -> usize {
    let mut parts = recipes.iter().flat_map(|recipe| &recipe.parts);
    1 + usize::from(parts.any(|part| part.pool.codebook().is_some()))
}

/// Fits several recipes at once; `taps` names the backbone's maps. A recipe that cannot be fitted
/// does not keep the others from it.
///
/// # Errors
/// [`FitError`] when the network does not run.
pub fn fit_all(
    backbone: &Backbone,
    taps: &[String],
    recipes: &[Recipe],
    photos: &[PathBuf],
    options: &FitOptions,
    progress: &(dyn Fn(usize) + Sync),
) -> Result<FittedAll, FitError> {
    let mut fits: Vec<Fit> = recipes
        .iter()
        .map(|recipe| Fit::new(recipe, taps))
        .collect();
    let mut sampler = Sampler::new(backbone, taps, photos, options);
    if passes(recipes) > 1 {
        codebooks::learn(&sampler, &mut fits, progress)?;
    }
    sampler.need(&fits);
    let mut failed = Vec::new();
    let mut used = 0;
    for classes in batches(photos, &options.groups) {
        let order: Vec<usize> = classes.concat();
        let sampled: Vec<Result<Sample, SampleError>> = order
            .par_iter()
            .map(|&at| {
                let sample = sampler.sample(at, &fits);
                progress(1);
                sample
            })
            .collect();
        let mut sampled = sampled.into_iter();
        for class in classes {
            let mut samples = Vec::new();
            for (&at, sample) in class.iter().zip(sampled.by_ref()) {
                match sample {
                    Ok(sample) => samples.push(sample),
                    Err(SampleError::Photo(error)) => failed.push((photos[at].clone(), error)),
                    Err(SampleError::Backbone(error)) => return Err(error.into()),
                    Err(SampleError::Describe(error)) => return Err(error.into()),
                }
            }
            used += samples.len();
            let group = options.groups.get(&photos[class[0]]);
            for (at, fit) in fits.iter_mut().enumerate() {
                fit.add(at, &samples, group);
            }
        }
        fits.iter_mut().for_each(Fit::flush);
    }
    let views = sampler.views();
    let recipes = fits
        .into_par_iter()
        .map(|fit| fit.finish(used, views, options))
        .collect();
    Ok(FittedAll {
        recipes,
        photos: used,
        failed,
    })
}

/// Photos by their places, class by class, in batches that keep every core at work. A class stands
/// where its first photo does.
fn batches(photos: &[PathBuf], groups: &BTreeMap<PathBuf, String>) -> Vec<Vec<Vec<usize>>> {
    let mut classes: Vec<Vec<usize>> = Vec::new();
    let mut class_of: HashMap<&str, usize> = HashMap::new();
    for (at, photo) in photos.iter().enumerate() {
        match groups.get(photo) {
            Some(group) => {
                let class = *class_of.entry(group).or_insert_with(|| {
                    classes.push(Vec::new());
                    classes.len() - 1
                });
                classes[class].push(at);
            }
            None => classes.push(vec![at]),
        }
    }
    let mut batches: Vec<Vec<Vec<usize>>> = Vec::new();
    let mut room = 0;
    for class in classes {
        if room == 0 {
            batches.push(Vec::new());
            room = BATCH;
        }
        room = room.saturating_sub(class.len());
        batches.last_mut().expect("pushed above").push(class);
    }
    batches
}

/// One recipe while it is fitted.
struct Fit {
    recipe: Recipe,
    learned: Learned,
    statistics: Vec<Statistics>,
    kept: Vec<Kept>,
    refused: Option<FitError>,
}

/// A photo's pooled parts, and its group where it has one.
struct Kept {
    pooled: Vec<Vec<f32>>,
    group: Option<String>,
}

impl Fit {
    fn new(recipe: &Recipe, taps: &[String]) -> Self {
        let missing = recipe.taps().into_iter().find(|tap| !taps.contains(tap));
        let refused = match (recipe.check(), missing) {
            (Err(error), _) => Some(error.into()),
            (Ok(()), Some(tap)) => {
                let taps = taps.to_vec();
                Some(DescribeError::MissingTap { tap, taps }.into())
            }
            (Ok(()), None) => None,
        };
        Self {
            recipe: recipe.clone(),
            learned: Learned {
                codebooks: vec![Vec::new(); recipe.parts.len()],
                ..Learned::default()
            },
            statistics: Vec::new(),
            kept: Vec::new(),
            refused,
        }
    }

    /// Whether clean photos are looked at.
    fn needs_clean(&self, options: &FitOptions) -> bool {
        let mut parts = self.recipe.parts.iter();
        let keeps = self.recipe.joint.is_some() || options.search_weights;
        keeps || parts.any(|part| !matches!(part.whitening, WhiteningFit::Pairs { .. }))
    }

    fn needs_views(&self) -> bool {
        let mut parts = self.recipe.parts.iter();
        parts.any(|part| matches!(part.whitening, WhiteningFit::Pairs { .. }))
    }

    /// Adds the photos of one class; `at` is the recipe's place.
    fn add(&mut self, at: usize, samples: &[Sample], group: Option<&String>) {
        if self.refused.is_some() {
            return;
        }
        for (part, described) in self.recipe.parts.iter().enumerate() {
            let clean = samples.iter().filter_map(|s| s.clean.as_ref());
            let clean: Vec<&[f32]> = clean.filter_map(|recipes| of(&recipes[at], part)).collect();
            let views = samples.iter().flat_map(|s| &s.views);
            let views: Vec<&[f32]> = views.filter_map(|recipes| of(&recipes[at], part)).collect();
            let Some(first) = clean.first().or(views.first()) else {
                return;
            };
            if self.statistics.len() == part {
                self.statistics
                    .push(Statistics::new(described, first.len()));
            }
            self.statistics[part].add(&clean, &views);
        }
        let keeps = self.recipe.joint.is_some() || group.is_some();
        for sample in samples.iter().filter(|_| keeps) {
            let clean = sample.clean.as_ref().map(|recipes| &recipes[at]);
            if let (Some(clean), true) = (clean, self.kept.len() < KEPT)
                && !clean.is_empty()
            {
                self.kept.push(Kept {
                    pooled: clean.clone(),
                    group: group.cloned(),
                });
            }
        }
    }

    fn flush(&mut self) {
        self.statistics.iter_mut().for_each(Statistics::flush);
    }

    /// Whitenings of the moments, then what builds on them.
    fn finish(
        mut self,
        used: usize,
        views: usize,
        options: &FitOptions,
    ) -> Result<FittedRecipe, FitError> {
        if let Some(error) = self.refused {
            return Err(error);
        }
        let mut summaries: Vec<Summary> = Vec::new();
        let mut statistics = std::mem::take(&mut self.statistics).into_iter();
        for part in &self.recipe.parts {
            let needed = least_photos(part, views);
            let summary = match statistics.next() {
                Some(statistic) if used >= needed => statistic.summary(),
                _ => return Err(too_few(part, needed, used)),
            };
            self.learned.whitenings.push(summary.whitening(part)?);
            summaries.push(summary);
        }
        if options.search_weights {
            fusion_weights::search(&mut self.recipe, &self.learned, &self.kept)?;
        }
        if let Some(joint) = self.recipe.joint {
            let part = Part {
                whitening: WhiteningFit::Pca,
                ..Part::new("(joint)", Pool::Average, joint.dim)
            };
            let mut moments: Option<Moments> = None;
            for kept in &self.kept {
                let joined = join(&self.recipe, &kept.pooled, &self.learned)?;
                let moments = moments.get_or_insert_with(|| Moments::new(joined.len()));
                moments.add(&joined);
            }
            let Some(mut moments) = moments.filter(|m| m.count() > joint.dim) else {
                return Err(too_few(&part, joint.dim + 1, self.kept.len()));
            };
            moments.flush();
            let (mean, covariance) = (moments.mean(), moments.covariance());
            self.learned.joint = Some(pca::whitening(&mean, &covariance, 0.0, &part)?);
        }
        if options.rotate {
            let turn = |whitening: &mut _| {
                if let Some(rotated) = rotation::rotated(whitening, options.seed) {
                    *whitening = rotated;
                }
            };
            match &mut self.learned.joint {
                Some(joint) => turn(joint),
                None => self.learned.whitenings.iter_mut().for_each(turn),
            }
        }
        Ok(FittedRecipe {
            recipe: self.recipe,
            learned: self.learned,
            moments: RecipeMoments { parts: summaries },
        })
    }
}

/// A part of a recipe that looked at a photo.
fn of(parts: &[Vec<f32>], part: usize) -> Option<&[f32]> {
    parts.get(part).map(Vec::as_slice)
}

fn too_few(part: &Part, needed: usize, found: usize) -> FitError {
    FitError::TooFewPhotos {
        tap: part.tap.clone(),
        dim: part.dim,
        needed,
        found,
    }
}

/// Samples must outnumber components, or directions without any variance would be kept; and local
/// features must outnumber centres.
fn least_photos(part: &Part, views: usize) -> usize {
    let whitening = match part.whitening {
        WhiteningFit::Pca | WhiteningFit::ShrunkPca { .. } => part.dim + 1,
        WhiteningFit::Pairs { .. } => (part.dim + 1).div_ceil(views.max(1)).max(16),
    };
    whitening.max(codebooks::least_photos(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_stay_together_and_stand_where_their_first_photo_does() {
        let photos: Vec<PathBuf> = (0..70).map(|i| format!("{i}.jpg").into()).collect();
        let groups = [(40, "a"), (3, "a"), (69, "a"), (5, "b")];
        let groups = groups.map(|(at, group): (usize, &str)| (photos[at].clone(), group.into()));
        let batches = batches(&photos, &BTreeMap::from(groups));
        let classes: Vec<Vec<usize>> = batches.concat();
        assert_eq!(classes[3], [3, 40, 69]);
        assert_eq!(classes[5], [5]);
        let mut all = classes.concat();
        all.sort_unstable();
        assert_eq!(all, (0..70).collect::<Vec<_>>());
        assert!(
            batches
                .iter()
                .all(|batch| batch.concat().len() <= BATCH + 2)
        );
    }

    #[test]
    fn the_least_number_of_photos_follows_the_part() {
        let pca = |pool, dim| Part {
            whitening: WhiteningFit::Pca,
            ..Part::new("t", pool, dim)
        };
        assert_eq!(least_photos(&pca(Pool::Average, 64), 0), 65);
        assert_eq!(least_photos(&Part::new("t", Pool::Average, 64), 5), 16);
        let vlad = Pool::Vlad {
            centres: 512,
            local: 8,
        };
        assert_eq!(least_photos(&pca(vlad, 64), 0), 128);
    }
}
