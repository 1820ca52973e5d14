//! The facade: one object, one call. A photo in, hits and a verdict out.

mod look;
mod update;

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::attributes::Attribute;
use crate::backbone::delegate::{Accelerated, DelegateDescription};
use crate::backbone::{BackboneError, FeatureMap, RunOptions};
use crate::bundle::{Bundle, BundleError};
use crate::cancel::{CancelToken, Stop};
use crate::descriptor::{Descriptor, HeatMap, LocalFeatures};
use crate::embedder::{EmbedError, Embedder};
use crate::image::{Frame, ImageError, Pixels, Region};
#[cfg(feature = "codecs")]
use crate::image::{Photo, Sizing};
use crate::index::filter::Filter;
use crate::index::{GroupBy, Hit, Index, IndexError, Ranking};
use crate::limits::{LimitExceeded, Limits};
use crate::localise::{Focus, Located};
use crate::rerank::{Candidate, Evidence, Rerank};
use crate::verdict::{Calibration, Precision, Verdict};

pub use update::{LensUpdate, NewPhoto};

use look::Input;

/// An index and the network that made it, ready to be asked.
///
/// ```no_run
/// use pocketlens::lens::{Lens, Query};
///
/// let lens = Lens::open("shop.plx")?;
/// let answer = lens.search_file("photo.jpg".as_ref(), &Query::default())?;
/// for hit in &answer.hits {
///     println!("{:?} {:.3} {}", answer.verdict, hit.score, hit.key);
/// }
/// # Ok::<(), pocketlens::lens::LensError>(())
/// ```
pub struct Lens {
    embedder: Arc<Embedder>,
    index: Arc<Index>,
    delegate: Option<Arc<Accelerated>>,
    limits: Limits,
}

/// What is asked of a photo.
#[derive(Clone, Debug)]
pub struct Query {
    /// Hits wanted, best first.
    pub k: usize,
    /// Where to look; the whole photo when absent.
    pub region: Option<Region>,
    /// Ask four times, turned by quarter turns, and keep the best score of each item: for things
    /// that lie on a table. Costs four runs of the network.
    pub rotations: bool,
    /// Look again at the places where things are, and keep the best score of each item: for a thing that is small in its
    /// photo. Costs a run of the network a place.
    pub focus: Option<Focus>,
    /// Answer only with items that meet these conditions on their payload.
    pub filter: Option<Filter>,
    /// One hit a group instead of one an item.
    pub group_by: Option<GroupBy>,
    /// Share of matches that must be right; the more, the fewer matches there are.
    pub match_precision: Precision,
    /// A second look at the best hits, where the index has local features.
    pub rerank: Option<Rerank>,
    /// Show with each hit where the photo is like it: [`Answer::heat_maps`].
    pub explain: bool,
    /// Raised by whoever no longer wants the answer.
    pub cancel: Option<CancelToken>,
}

impl Default for Query {
    fn default() -> Self {
        Self {
            k: 10,
            region: None,
            rotations: false,
            focus: None,
            filter: None,
            group_by: None,
            match_precision: Precision::default(),
            rerank: None,
            explain: false,
            cancel: None,
        }
    }
}

/// Hits, best first, and whether to believe them.
#[derive(Clone, Debug)]
pub struct Answer {
    /// At most `k` items. Re-ranked ones are ordered by what the second look says too; their scores stay the cosines.
    pub hits: Vec<Hit>,
    /// What the second look, at the place and in the turn with the best hit, saw of each hit; empty without
    /// [`Query::rerank`], or where the index has no local features.
    pub evidence: Vec<Option<Evidence>>,
    /// Where the photo (upright, cropped to its region) is like each hit; empty without [`Query::explain`], or where the
    /// recipe is not linear.
    pub heat_maps: Vec<HeatMap>,
    /// Whether the first hit is what the photo shows.
    pub verdict: Verdict,
    /// Probability that the first hit is right, 0..=1, as calibrated when the index was built.
    pub confidence: f32,
    /// The best score of an item of another group than the best hit; `None` without hits or without another group.
    pub rival: Option<f32>,
    /// What was searched with: of the photo, or of the place and quarter turn with the best hit.
    pub descriptor: Descriptor,
    /// The place in the photo (upright, cropped to its region) that has the best hit; `None` when the whole has it.
    pub place: Option<Located>,
    /// What the bundle's heads say of what was searched with.
    pub attributes: Vec<Attribute>,
    /// The delegate that ran the network, where one did.
    pub delegate: Option<Delegated>,
    /// Who answered.
    pub source: Source,
    /// What it cost.
    pub times: Times,
}

/// A delegate's part in an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Delegated {
    /// Who ran the network.
    pub by: DelegateDescription,
    /// How near its descriptors were to the plan's when it was judged: the least cosine. The index holds the plan's.
    pub least_cosine: f32,
}

/// Who answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The index on this device.
    Local,
    /// A server.
    Server,
}

/// Time spent in each stage of an answer.
#[derive(Clone, Copy, Debug, Default)]
pub struct Times {
    /// Reading and decoding the photo.
    pub decode: Duration,
    /// Crop and resize.
    pub resize: Duration,
    /// The network.
    pub backbone: Duration,
    /// Pooling, whitening, fusion.
    pub describe: Duration,
    /// The index.
    pub search: Duration,
    /// All of it.
    pub total: Duration,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LensError {
    /// The photo cannot be read or decoded.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The photo cannot be described.
    #[error(transparent)]
    Embed(#[from] EmbedError),
    /// The index.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// The bundle inside of the index.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The network inside of the bundle.
    #[error(transparent)]
    Backbone(#[from] BackboneError),
    /// The question costs more than the [`Limits`] of the lens allow.
    #[error(transparent)]
    Limit(#[from] LimitExceeded),
}

impl Answer {
    /// The answer of a device without an index: no hits. With `remote::IndexState::Missing` a server is asked.
    pub fn without_index(descriptor: Descriptor) -> Self {
        Self {
            hits: Vec::new(),
            evidence: Vec::new(),
            heat_maps: Vec::new(),
            verdict: Verdict::NoMatch,
            confidence: 0.0,
            rival: None,
            descriptor,
            place: None,
            attributes: Vec::new(),
            delegate: None,
            source: Source::Local,
            times: Times::default(),
        }
    }
}

impl LensError {
    /// Whether nothing is wrong: [`Query::cancel`] was raised.
    pub fn is_cancelled(&self) -> bool {
        matches!(
            self,
            Self::Embed(EmbedError::Backbone(BackboneError::Cancelled))
                | Self::Backbone(BackboneError::Cancelled)
                | Self::Index(IndexError::Cancelled)
        )
    }

    /// Whether a deadline stopped the work.
    fn is_late(&self) -> bool {
        matches!(
            self,
            Self::Embed(EmbedError::Backbone(BackboneError::OutOfTime))
                | Self::Index(IndexError::OutOfTime)
        )
    }
}

impl Lens {
    /// Opens an index directory with the bundle that it carries.
    ///
    /// # Errors
    /// [`LensError`] names the file that is missing, damaged or made by a newer version.
    pub fn open(index: impl AsRef<Path>) -> Result<Self, LensError> {
        let index = Index::open(index.as_ref())?;
        let embedder = Embedder::new(Bundle::open(index.bundle_path())?)?;
        Ok(Self {
            embedder: Arc::new(embedder),
            index: Arc::new(index),
            delegate: None,
            limits: Limits::default(),
        })
    }

    /// Opens an index with a bundle from elsewhere.
    ///
    /// # Errors
    /// [`IndexError::ForeignFingerprint`] when the bundle is not the one that made the index.
    pub fn with_bundle(index: impl AsRef<Path>, bundle: Bundle) -> Result<Self, LensError> {
        let index = Index::open(index.as_ref())?;
        index.check_fingerprint(bundle.fingerprint())?;
        Ok(Self {
            embedder: Arc::new(Embedder::new(bundle)?),
            index: Arc::new(index),
            delegate: None,
            limits: Limits::default(),
        })
    }

    /// The index as it is on disk now, after an update. The network stays loaded where the model is the same.
    /// This object goes on answering from what it has open.
    ///
    /// # Errors
    /// As [`Lens::open`].
    pub fn reopened(&self) -> Result<Self, LensError> {
        self.with_index(Index::open(self.index.dir())?)
    }

    pub(crate) fn with_index(&self, index: Index) -> Result<Self, LensError> {
        let same = index.check_fingerprint(self.embedder.bundle().fingerprint());
        // A delegate has compiled the network that it was judged with, and no other.
        let (embedder, delegate) = match same {
            Ok(()) => (self.embedder.clone(), self.delegate.clone()),
            Err(_) => (
                Arc::new(Embedder::new(Bundle::open(index.bundle_path())?)?),
                None,
            ),
        };
        Ok(Self {
            embedder,
            index: Arc::new(index),
            delegate,
            limits: self.limits,
        })
    }

    /// This lens with a delegate that runs the network for what is asked, as [`select`](crate::selection::select) chose
    /// it for this lens's embedder. What is put into the index is described by the plan all the same.
    #[must_use]
    pub fn with_delegate(&self, delegate: Accelerated) -> Self {
        Self {
            embedder: self.embedder.clone(),
            index: self.index.clone(),
            delegate: Some(Arc::new(delegate)),
            limits: self.limits,
        }
    }

    /// The delegate that runs the network, where there is one.
    pub fn delegate(&self) -> Option<&Accelerated> {
        self.delegate.as_deref()
    }

    /// The same with other limits than [`Limits::default`].
    ///
    /// # Errors
    /// [`LensError::Limit`] when no photo could be described within them.
    pub fn with_limits(mut self, limits: Limits) -> Result<Self, LensError> {
        limits.check_inputs(self.embedder.bundle().spec().input_bytes())?;
        self.limits = limits;
        Ok(self)
    }

    /// What a question may cost.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The index that is searched.
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// The network that describes photos.
    pub fn embedder(&self) -> &Embedder {
        &self.embedder
    }

    /// Searches with a photo file: JPEG, PNG or WebP.
    ///
    /// # Errors
    /// [`LensError::Image`] when the file cannot be read; else as [`Lens::search`].
    #[cfg(feature = "codecs")]
    pub fn search_file(&self, photo: &Path, query: &Query) -> Result<Answer, LensError> {
        let start = Instant::now();
        let (region, sizing) = (query.region.as_ref(), self.decoded_for(query));
        let photo = Photo::read(photo, region, &sizing, &self.limits.photo)?;
        self.answer_photo(&photo, query, start)
    }

    /// Searches with an encoded photo in memory: JPEG, PNG or WebP.
    ///
    /// # Errors
    /// [`LensError::Image`] when the bytes are no sound photo; else as [`Lens::search`].
    #[cfg(feature = "codecs")]
    pub fn search_encoded(&self, photo: &[u8], query: &Query) -> Result<Answer, LensError> {
        let start = Instant::now();
        let (region, sizing) = (query.region.as_ref(), self.decoded_for(query));
        let photo = Photo::decode(photo, region, &sizing, &self.limits.photo)?;
        self.answer_photo(&photo, query, start)
    }

    /// What a photo is decoded for: a place in it needs more pixels than the whole.
    #[cfg(feature = "codecs")]
    fn decoded_for(&self, query: &Query) -> Sizing {
        let sizing = *self.embedder.sizing();
        let larger = Sizing {
            longest_side: sizing.longest_side * 2,
            ..sizing
        };
        match query.focus {
            Some(_) if larger.check().is_ok() => larger,
            _ => sizing,
        }
    }

    #[cfg(feature = "codecs")]
    fn answer_photo(
        &self,
        photo: &Photo,
        query: &Query,
        start: Instant,
    ) -> Result<Answer, LensError> {
        let input = |place: Option<&Region>| {
            let region = part(query, place, photo.width(), photo.height())?;
            let input = self.embedder.photo_input(photo, region.as_ref())?;
            Ok(Cow::Owned(input))
        };
        self.answer(&input, query, start)
    }

    /// Searches with an upright picture in memory.
    ///
    /// # Errors
    /// [`LensError`] when the region lies outside of the picture or the network does not run.
    pub fn search(&self, pixels: &Pixels, query: &Query) -> Result<Answer, LensError> {
        let input = |place: Option<&Region>| {
            let region = part(query, place, pixels.width(), pixels.height())?;
            let input = self.embedder.input(pixels, region.as_ref())?;
            Ok(Cow::Owned(input))
        };
        self.answer(&input, query, Instant::now())
    }

    /// Searches with a frame of a camera, whose region is given in the upright frame.
    ///
    /// # Errors
    /// As [`Lens::search`].
    pub fn search_frame(&self, frame: &Frame<'_>, query: &Query) -> Result<Answer, LensError> {
        let [width, height] = frame.upright_size();
        let input = |place: Option<&Region>| {
            let region = part(query, place, width, height)?;
            let input = frame.fit(region.as_ref(), self.embedder.sizing())?;
            Ok(Cow::Owned(input))
        };
        self.answer(&input, query, Instant::now())
    }

    /// Searches with a picture that has the network's size already, as [`Frame::fit`] and [`Embedder::input`] make
    /// it: for frames that must be handed back before the answer is there. The query's region is not looked at again, and
    /// where it is focused, places are taken of this small picture.
    ///
    /// # Errors
    /// As [`Lens::search`].
    pub fn search_input(&self, input: &Pixels, query: &Query) -> Result<Answer, LensError> {
        let input = |place: Option<&Region>| match place {
            Some(place) => self.embedder.input(input, Some(place)).map(Cow::Owned),
            None => Ok(Cow::Borrowed(input)),
        };
        self.answer(&input, query, Instant::now())
    }

    /// `input` crops and resizes what has been decoded since `start`.
    fn answer(
        &self,
        input: &Input<'_>,
        query: &Query,
        start: Instant,
    ) -> Result<Answer, LensError> {
        let depth = query.rerank.map_or(0, |rerank| rerank.depth);
        self.limits.check_hits(query.k.max(depth))?;
        if let Some(filter) = &query.filter {
            self.limits.filter.check(filter).map_err(IndexError::from)?;
        }
        let answered = self.answer_in_time(input, query, start);
        answered.map_err(|error| match error.is_late() {
            true => self.limits.out_of_time(start.elapsed()).into(),
            false => error,
        })
    }

    fn answer_in_time(
        &self,
        input: &Input<'_>,
        query: &Query,
        start: Instant,
    ) -> Result<Answer, LensError> {
        let stop = Stop {
            cancel: query.cancel.as_ref().map(CancelToken::flag),
            // Never, where the sum is beyond what the clock can say.
            deadline: start.checked_add(self.limits.time),
        };
        let mut times = Times {
            decode: start.elapsed(),
            ..Times::default()
        };
        let prepared = Instant::now();
        let filter = match &query.filter {
            Some(filter) => Some(self.index.prepare(filter)?),
            None => None,
        };
        times.search = prepared.elapsed();
        let run = RunOptions {
            delegate: self.delegate.as_deref(),
            cancel: stop.cancel,
            deadline: stop.deadline,
            max_bytes: self.limits.network_bytes,
            ..RunOptions::default()
        };
        let mut seen = self.look(input, query, filter.as_ref(), &run, &mut times)?;
        let mut ranking = std::mem::take(&mut seen.ranking);
        let looked = Instant::now();
        let mut evidence = Vec::new();
        stop.check().map_err(IndexError::from)?;
        if let Some(rerank) = &query.rerank {
            let local = match self.index.has_local_features() {
                true => self.embedder.local_features(&seen.best.maps),
                false => None,
            };
            let values = &seen.best.descriptor.values;
            (ranking, evidence) = self.second_look(rerank, values, local.as_ref(), ranking)?;
        }
        times.search += looked.elapsed();
        let prior = Calibration::default();
        let calibration = self.index.calibration().unwrap_or(&prior);
        let (verdict, confidence) = match ranking.standing() {
            Some(standing) => calibration.decide(standing, query.match_precision),
            None => (Verdict::NoMatch, 0.0),
        };
        ranking.hits.truncate(query.k);
        evidence.truncate(query.k);
        let mut heat_maps = Vec::new();
        if query.explain {
            for hit in &ranking.hits {
                stop.check().map_err(IndexError::from)?;
                heat_maps.extend(self.heat_map(seen.upright(), hit)?);
            }
        }
        times.total = start.elapsed();
        Ok(Answer {
            hits: ranking.hits,
            evidence,
            heat_maps,
            verdict,
            confidence,
            rival: ranking.rival,
            descriptor: seen.best.descriptor,
            place: seen.best.place,
            attributes: seen.best.attributes,
            delegate: self
                .delegate
                .as_ref()
                .filter(|_| seen.delegated)
                .map(|delegate| Delegated {
                    by: delegate.description().clone(),
                    least_cosine: delegate.least_cosine(),
                }),
            source: Source::Local,
            times,
        })
    }

    /// The hits in the order of the second look, and what it saw of each.
    fn second_look(
        &self,
        rerank: &Rerank,
        descriptor: &[f32],
        local: Option<&LocalFeatures>,
        ranking: Ranking,
    ) -> Result<(Ranking, Vec<Option<Evidence>>), LensError> {
        let looked_at = &ranking.hits[..ranking.hits.len().min(rerank.depth)];
        let candidate = |hit: &Hit| {
            Ok(Candidate {
                cosine: hit.score,
                vectors: self.index.vectors(&hit.key)?,
                local: self.index.local_features(&hit.key)?,
            })
        };
        let candidates = looked_at.iter().map(candidate);
        let candidates = candidates.collect::<Result<Vec<_>, IndexError>>()?;
        let order = rerank.order(descriptor, local, &candidates);
        let (order, mut evidence): (Vec<_>, Vec<_>) = order.into_iter().unzip();
        evidence.resize(ranking.hits.len(), None);
        Ok((ranking.reorder(&order), evidence))
    }

    /// Where the maps of a photo are like the best photo of a hit.
    fn heat_map(&self, maps: &[FeatureMap], hit: &Hit) -> Result<Option<HeatMap>, LensError> {
        let photos = self.index.vectors(&hit.key)?;
        let heat_maps = photos
            .iter()
            .filter_map(|vector| self.embedder.heat_map(maps, vector));
        Ok(heat_maps.max_by(|a, b| a.total().total_cmp(&b.total())))
    }
}

/// A place in what the query looks at, as a region of the whole picture.
fn part(
    query: &Query,
    place: Option<&Region>,
    width: u32,
    height: u32,
) -> Result<Option<Region>, ImageError> {
    match place {
        Some(place) => place.within(query.region.as_ref(), width, height).map(Some),
        None => Ok(query.region),
    }
}
