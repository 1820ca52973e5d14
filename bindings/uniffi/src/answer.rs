//! What comes back.

use std::collections::HashMap;
use std::time::Duration;

use pocketlens::attributes;
use pocketlens::descriptor::HeatMap;
use pocketlens::lens;
use pocketlens::localise::Located;
use pocketlens::rerank;
use pocketlens::verdict;

use crate::{Delegated, Descriptor, Value, value};

/// Hits, best first, and whether to believe them.
#[derive(Clone, Debug, PartialEq, uniffi::Record)]
pub struct Answer {
    /// At most `k`.
    pub hits: Vec<Hit>,
    /// Whether the first hit is what the photo shows.
    pub verdict: Verdict,
    /// Probability that the first hit is right, 0 to 1.
    pub confidence: f32,
    /// The best score of another group than that of the first hit.
    pub rival: Option<f32>,
    /// What was searched with: what a server is asked with.
    pub descriptor: Descriptor,
    /// Who answered.
    pub source: Source,
    /// Time spent in each stage.
    pub times: Times,
    /// The accelerator's part, where one ran the network.
    #[uniffi(default = None)]
    pub delegate: Option<Delegated>,
    /// The place that has the best hit, where the query has a focus; absent when the whole photo has it.
    #[uniffi(default = None)]
    pub place: Option<Place>,
    /// What the model says in words of what was searched with; empty where it has no words.
    #[uniffi(default)]
    pub attributes: Vec<Attribute>,
}

/// A place in a photo, upright and cropped to its region.
#[derive(Clone, Copy, Debug, PartialEq, uniffi::Record)]
pub struct Place {
    /// Left edge, as a fraction of the width, 0 to 1.
    pub x: f64,
    /// Top edge, as a fraction of the height, 0 to 1.
    pub y: f64,
    /// Share of the width, above 0.
    pub width: f64,
    /// Share of the height, above 0.
    pub height: f64,
    /// How sure it is that something is there, 0 to 1.
    pub score: f32,
}

/// What a model says of a photo in a word.
#[derive(Clone, Debug, PartialEq, uniffi::Record)]
pub struct Attribute {
    /// What is told, such as `sleeve`.
    pub name: String,
    /// The word for it, such as `long`.
    pub label: String,
    /// How sure it is, 0 to 1.
    pub probability: f32,
}

/// The answer in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum Verdict {
    /// The first hit is what the photo shows.
    Match,
    /// It may be: ask the user or a server.
    Unsure,
    /// The catalogue does not have it.
    NoMatch,
}

/// Who answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum Source {
    /// The index on this device.
    Local,
    /// A server.
    Server,
}

/// An item that was found.
#[derive(Clone, Debug, PartialEq, uniffi::Record)]
pub struct Hit {
    /// Names the item.
    pub key: String,
    /// The group that it belongs to; its own key where none was given.
    pub group: String,
    /// Cosine with its best photo, -1 to 1.
    pub score: f32,
    /// What was indexed with it.
    pub payload: HashMap<String, Value>,
    /// How many of the best items are of its group, where there is one hit a group.
    pub votes: Option<u32>,
    /// What the second look saw, where there was one.
    pub evidence: Option<Evidence>,
    /// Where the photo is like it, where that was asked for and can be told.
    pub explanation: Option<Explanation>,
    /// Who found it.
    pub source: Source,
}

/// What parts of the photo say of a hit.
#[derive(Clone, Copy, Debug, PartialEq, uniffi::Record)]
pub struct Evidence {
    /// How alike the parts are, -1 to 1.
    pub likeness: f64,
    /// Pairs of parts that lie alike.
    pub inliers: u32,
    /// How large the photo shows the thing, by the hit's photo.
    pub scale: f64,
    /// How far it is turned, in radians.
    pub rotation: f64,
}

/// Where a photo, upright and cropped to its region, is like a hit: shares of the score over a grid, together the score.
#[derive(Clone, Debug, PartialEq, uniffi::Record)]
pub struct Explanation {
    /// Places in a row.
    pub columns: u32,
    /// Rows.
    pub rows: u32,
    /// What each place adds to the score, row by row; less than 0 where it speaks against it.
    pub shares: Vec<f32>,
}

/// Time spent in each stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Record)]
pub struct Times {
    /// Reading and decoding.
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

impl From<lens::Answer> for Answer {
    fn from(answer: lens::Answer) -> Self {
        let mut evidence = answer.evidence.into_iter();
        let mut heat_maps = answer.heat_maps.into_iter();
        let hits = answer.hits.into_iter().map(|hit| Hit {
            key: hit.key,
            group: hit.group,
            score: hit.score,
            payload: value::members(hit.payload),
            votes: hit.votes,
            evidence: evidence.next().flatten().map(Into::into),
            explanation: heat_maps.next().map(Into::into),
            source: Source::Local,
        });
        Self {
            hits: hits.collect(),
            verdict: answer.verdict.into(),
            confidence: answer.confidence,
            rival: answer.rival,
            descriptor: Descriptor {
                fingerprint: answer.descriptor.fingerprint.to_string(),
                values: answer.descriptor.values,
            },
            source: answer.source.into(),
            delegate: answer.delegate.map(Into::into),
            place: answer.place.map(Into::into),
            attributes: answer.attributes.into_iter().map(Into::into).collect(),
            times: Times {
                decode: answer.times.decode,
                resize: answer.times.resize,
                backbone: answer.times.backbone,
                describe: answer.times.describe,
                search: answer.times.search,
                total: answer.times.total,
            },
        }
    }
}

impl From<Located> for Place {
    fn from(located: Located) -> Self {
        Self {
            x: located.x,
            y: located.y,
            width: located.width,
            height: located.height,
            score: located.score,
        }
    }
}

impl From<attributes::Attribute> for Attribute {
    fn from(attribute: attributes::Attribute) -> Self {
        Self {
            name: attribute.name,
            label: attribute.label,
            probability: attribute.probability,
        }
    }
}

impl From<verdict::Verdict> for Verdict {
    fn from(verdict: verdict::Verdict) -> Self {
        match verdict {
            verdict::Verdict::Match => Self::Match,
            verdict::Verdict::Unsure => Self::Unsure,
            verdict::Verdict::NoMatch => Self::NoMatch,
        }
    }
}

impl From<lens::Source> for Source {
    fn from(source: lens::Source) -> Self {
        match source {
            lens::Source::Local => Self::Local,
            lens::Source::Server => Self::Server,
        }
    }
}

impl From<rerank::Evidence> for Evidence {
    fn from(evidence: rerank::Evidence) -> Self {
        Self {
            likeness: evidence.likeness,
            inliers: evidence.alignment.inliers as u32,
            scale: evidence.alignment.scale,
            rotation: evidence.alignment.rotation,
        }
    }
}

impl From<HeatMap> for Explanation {
    fn from(heat: HeatMap) -> Self {
        Self {
            columns: heat.width() as u32,
            rows: heat.height() as u32,
            shares: heat.shares().iter().map(|&share| share as f32).collect(),
        }
    }
}
