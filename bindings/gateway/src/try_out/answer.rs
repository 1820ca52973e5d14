//! The answer as the page draws it.

use std::time::Duration;

use pocketlens::descriptor::HeatMap;
use pocketlens::index::Hit;
use pocketlens::lens::{Answer, Source};
use pocketlens::verdict::Verdict;
use serde::Serialize;
use serde_json::Value;

/// Rows and columns of the heat map that the page gets, at most.
const CELLS: usize = 64;

#[derive(Serialize)]
pub(super) struct TryAnswer {
    verdict: Verdict,
    confidence: f32,
    source: Source,
    /// Milliseconds a stage, in the order in which they run.
    ms: Vec<(&'static str, f64)>,
    hits: Vec<TryHit>,
}

#[derive(Serialize)]
struct TryHit {
    key: String,
    title: String,
    group: String,
    score: f32,
    payload: Value,
    /// Whether `/try/picture` may have one.
    picture: bool,
    heat: Option<Heat>,
}

/// How warm the photo is where: `height` rows of `width`, each 0 to 255.
#[derive(Serialize)]
struct Heat {
    height: usize,
    width: usize,
    warmth: Vec<u8>,
}

impl TryAnswer {
    pub(super) fn of(answer: &Answer, pictures: bool) -> Self {
        let times = &answer.times;
        let ms = |time: Duration| (time.as_secs_f64() * 1e5).round() / 1e2;
        let stages = times.decode + times.resize + times.backbone + times.describe + times.search;
        let hits = answer.hits.iter().enumerate();
        Self {
            verdict: answer.verdict,
            confidence: answer.confidence,
            source: answer.source,
            ms: vec![
                ("decode", ms(times.decode)),
                ("resize", ms(times.resize)),
                ("backbone", ms(times.backbone)),
                ("describe", ms(times.describe)),
                ("search", ms(times.search)),
                // What is left of the total: only drawn here, a plain search has none.
                ("heat maps", ms(times.total.saturating_sub(stages))),
                ("total", ms(times.total)),
            ],
            hits: hits
                .map(|(at, hit)| TryHit {
                    key: hit.key.clone(),
                    title: title(hit),
                    group: hit.group.clone(),
                    score: hit.score,
                    payload: hit.payload.clone(),
                    picture: pictures,
                    heat: answer.heat_maps.get(at).map(heat),
                })
                .collect(),
        }
    }
}

fn title(hit: &Hit) -> String {
    let text = |name: &str| hit.payload.get(name).and_then(Value::as_str);
    text("title")
        .or(text("name"))
        .unwrap_or(&hit.key)
        .to_owned()
}

fn heat(map: &HeatMap) -> Heat {
    let (height, width) = (map.height().clamp(1, CELLS), map.width().clamp(1, CELLS));
    let middle = |at: usize, count: usize| (at as f64 + 0.5) / count as f64;
    let cells = (0..height * width).map(|at| {
        let warmth = map.warmth(middle(at % width, width), middle(at / width, height));
        (255.0 * warmth).round() as u8
    });
    Heat {
        height,
        width,
        warmth: cells.collect(),
    }
}
