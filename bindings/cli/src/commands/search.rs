//! `pocketlens search`: photos in, hits and verdicts out, as text, JSON or a contact sheet.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;
use pocketlens::bundle::Bundle;
use pocketlens::image::{Limits, Pixels, Region, read_photo, resize};
use pocketlens::index::filter::{Condition, Filter};
use pocketlens::index::{GroupBy, Hit};
use pocketlens::lens::{Answer, Lens, LensError, Query};
use pocketlens::localise::Focus;
use pocketlens::rerank::Rerank;
use pocketlens::verdict::{Precision, Verdict};
use serde_json::{Value, json};

use super::{milliseconds, print_json, print_line};
use crate::commands::index::pictures_of;
use crate::report::{
    HitCard, HitRow, IndexSummary, QueryCard, Report, Told, thumbnail, warm_thumbnail,
};

#[derive(Args)]
pub(crate) struct Arguments {
    /// The index directory
    index: PathBuf,
    /// Photos to ask with: JPEG, PNG or WebP
    #[arg(required = true)]
    photos: Vec<PathBuf>,
    /// Hits wanted
    #[arg(short, default_value_t = 10)]
    k: usize,
    /// Where to look, x,y,width,height: whole numbers are pixels of the upright photo, numbers with
    /// a decimal point are fractions of it
    #[arg(long)]
    roi: Option<Region>,
    /// Ask in all four quarter turns and keep the best
    #[arg(long)]
    rotations: bool,
    /// Look again where the thing is, and keep the best: saliency (what stands out) or detector (of the bundle)
    #[arg(long, value_name = "saliency|detector", num_args = 0..=1, default_missing_value = "saliency")]
    focus: Option<Focus>,
    /// Answer only with items whose payload meets these conditions: JSON, or @FILE. must, should,
    /// must_not; match, range, geo_radius, geo_bounding_box, has_id, is_empty, as in
    /// '{"must": [{"key": "price", "range": {"lt": 20}}]}'
    #[arg(long, value_name = "JSON|@FILE")]
    filter: Option<String>,
    /// One hit a group: "group", or a field of the payload whose equal values make a group. A group
    /// has the score of its best item; its votes are how many of the 32 best items are of it
    #[arg(long, value_name = "group|FIELD")]
    group_by: Option<GroupBy>,
    /// Share of matches that must be right, 0.5 to 0.999; 0.95 when absent
    #[arg(long)]
    precision: Option<Precision>,
    /// Look at the best hundred again, part by part, and order them by what is found where; JSON changes the weights, as
    /// in '{"geometry": 0.1}'. Local features are needed for it: index build --local-features
    #[arg(long, value_name = "JSON", num_args = 0..=1, default_missing_value = "{}")]
    rerank: Option<String>,
    /// Write a PNG a hit into this folder: the photo, warm where it is like the hit
    #[arg(long, value_name = "DIR")]
    heat_maps: Option<PathBuf>,
    /// A bundle from elsewhere; refused when it is not the one that made the index
    #[arg(long)]
    bundle: Option<PathBuf>,
    /// Print one JSON object a photo
    #[arg(long)]
    json: bool,
    /// Write a contact sheet: queries, hits, scores, timings
    #[arg(long)]
    html: Option<PathBuf>,
    /// Folder of the indexed pictures, for the contact sheet; where the index was built when absent
    #[arg(long)]
    pictures: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let lens = match &arguments.bundle {
        None => Lens::open(&arguments.index)?,
        Some(bundle) => Lens::with_bundle(&arguments.index, Bundle::open(bundle)?)?,
    };
    let rerank = arguments.rerank.as_deref().map(read_rerank).transpose()?;
    let query = Query {
        k: arguments.k,
        region: arguments.roi,
        rotations: arguments.rotations,
        focus: arguments.focus,
        filter: arguments.filter.as_deref().map(read_filter).transpose()?,
        group_by: arguments.group_by.clone(),
        match_precision: arguments.precision.unwrap_or_default(),
        rerank,
        explain: arguments.heat_maps.is_some() || arguments.html.is_some(),
        cancel: None,
    };
    if arguments.rerank.is_some() && !lens.index().has_local_features() {
        bail!(
            "{}: no local features to look at again; build the index with --local-features",
            arguments.index.display()
        );
    }
    if let Some(filter) = &query.filter {
        check_filter(&lens, filter)?;
    }
    if let Some(GroupBy::Column(name)) = &query.group_by {
        warn_of_unknown(&lens, [name.as_str()])?;
    }
    let pictures = arguments
        .pictures
        .clone()
        .or_else(|| pictures_of(&arguments.index));
    let mut cards = Vec::new();
    let mut refused = false;
    for (at, photo) in arguments.photos.iter().enumerate() {
        let answer = lens.search_file(photo, &query);
        let named = answer.as_ref().map_err(|error| named(photo, error));
        if let (Ok(answer), Some(folder)) = (&named, &arguments.heat_maps) {
            let earlier = &arguments.photos[..at];
            write_heat_maps(folder, photo, earlier, query.region.as_ref(), answer)?;
        }
        match &named {
            Ok(answer) if arguments.json => print_json(&answer_json(photo, answer))?,
            Ok(answer) => print_answer(photo, answer)?,
            Err(reason) => {
                refused = true;
                if arguments.json {
                    print_json(&json!({"query": photo, "error": reason}))?;
                }
                eprintln!("refused {reason}");
            }
        }
        if arguments.html.is_some() {
            cards.push(card(
                photo,
                query.region.as_ref(),
                named,
                pictures.as_deref(),
            ));
        }
    }
    if let Some(path) = &arguments.html {
        if pictures.is_none() {
            eprintln!("the indexed pictures are not known here; --pictures DIR shows them");
        }
        let report = Report {
            title: "Search results".to_owned(),
            subtitle: arguments.index.display().to_string(),
            index: summary(&lens),
            summary: Vec::new(),
            queries: cards,
        };
        write_report(path, &report)?;
        eprintln!("open {}", path.display());
    }
    Ok(if refused {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// Settings of the second look; what they leave out is as it comes.
pub(super) fn read_rerank(json: &str) -> Result<Rerank> {
    serde_json::from_str(json).with_context(|| format!("--rerank {json}"))
}

/// A filter, or `@` and the file that holds one.
fn read_filter(argument: &str) -> Result<Filter> {
    let Some(path) = argument.strip_prefix('@') else {
        return Ok(Filter::from_json(argument)?);
    };
    let text = std::fs::read_to_string(path).with_context(|| path.to_owned())?;
    Filter::from_json(&text).with_context(|| path.to_owned())
}

/// Refuses before the first photo what would be refused for every one.
fn check_filter(lens: &Lens, filter: &Filter) -> Result<()> {
    let left = lens.index().prepare(filter)?.count();
    warn_of_unknown(lens, filter.conditions().filter_map(Condition::key))?;
    if left == 0 {
        eprintln!("the filter leaves no item");
    }
    Ok(())
}

fn warn_of_unknown<'a>(lens: &Lens, keys: impl IntoIterator<Item = &'a str>) -> Result<()> {
    for key in lens.index().unknown_keys(keys)? {
        eprintln!(
            "no item has {key:?} in its payload (`pocketlens index info` lists what they have)"
        );
    }
    Ok(())
}

/// Errors of the bytes do not name the file: the reader of a list of photos needs it.
fn named(photo: &Path, error: &LensError) -> String {
    let (photo, reason) = (photo.display().to_string(), error.to_string());
    if reason.contains(&photo) {
        reason
    } else {
        format!("{photo}: {reason}")
    }
}

pub(super) fn write_report(path: &Path, report: &Report) -> Result<()> {
    std::fs::write(path, report.render()).with_context(|| path.display().to_string())
}

pub(super) fn summary(lens: &Lens) -> IndexSummary {
    let info = lens.index().info();
    IndexSummary {
        items: info.items,
        dim: info.dim,
        bytes: info.bytes,
        fingerprint: info.fingerprint.to_string(),
        bundle: lens.embedder().bundle().card().name.clone(),
    }
}

pub(super) fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Match => "match",
        Verdict::Unsure => "unsure",
        Verdict::NoMatch => "no_match",
    }
}

fn timings(answer: &Answer) -> Vec<(&'static str, f64)> {
    let times = &answer.times;
    let stages = [
        ("decode", times.decode),
        ("resize", times.resize),
        ("backbone", times.backbone),
        ("describe", times.describe),
        ("search", times.search),
        ("total", times.total),
    ];
    stages
        .map(|(stage, time)| (stage, milliseconds(time)))
        .to_vec()
}

fn answer_json(photo: &Path, answer: &Answer) -> Value {
    let ms: serde_json::Map<String, Value> = timings(answer)
        .into_iter()
        .map(|(stage, ms)| (stage.to_owned(), ms.into()))
        .collect();
    let hits = answer.hits.iter().map(|hit| {
        let mut json =
            json!({"key": hit.key, "score": hit.score, "group": hit.group, "payload": hit.payload});
        if let Some(votes) = hit.votes {
            json["votes"] = votes.into();
        }
        json
    });
    let hits = hits.enumerate().map(|(at, mut json)| {
        if let Some(Some(evidence)) = answer.evidence.get(at) {
            let alignment = &evidence.alignment;
            json["evidence"] = json!({
                "likeness": evidence.likeness,
                "strength": alignment.strength,
                "inliers": alignment.inliers,
                "scale": alignment.scale,
                "rotation": alignment.rotation,
            });
        }
        json
    });
    let mut json = json!({
        "query": photo,
        "verdict": word(answer.verdict),
        "confidence": answer.confidence,
        "source": answer.source,
        "hits": hits.collect::<Vec<_>>(),
        "ms": ms,
    });
    if let Some(place) = &answer.place {
        json["place"] = json!([place.x, place.y, place.width, place.height]);
    }
    if !answer.attributes.is_empty() {
        let attributes = answer.attributes.iter().map(|attribute| {
            json!({
                "name": attribute.name,
                "label": attribute.label,
                "probability": attribute.probability,
            })
        });
        json["attributes"] = attributes.collect();
    }
    json
}

fn print_answer(photo: &Path, answer: &Answer) -> Result<()> {
    let verdict = word(answer.verdict).replace('_', " ");
    let confidence = 100.0 * answer.confidence;
    let total = milliseconds(answer.times.total);
    print_line(format_args!(
        "{}: {verdict}, {confidence:.0} % sure, {total:.0} ms",
        photo.display()
    ))?;
    for attribute in &answer.attributes {
        print_line(format_args!(
            "  {}: {}, {:.0} % sure",
            attribute.name,
            attribute.label,
            100.0 * attribute.probability
        ))?;
    }
    for hit in &answer.hits {
        let group = if hit.group == hit.key {
            String::new()
        } else {
            format!("  ({})", hit.group)
        };
        let votes = match hit.votes {
            None => String::new(),
            Some(1) => ", 1 vote".to_owned(),
            Some(votes) => format!(", {votes} votes"),
        };
        print_line(format_args!(
            "  {:.3}  {}{group}{votes}",
            hit.score, hit.key
        ))?;
    }
    Ok(())
}

/// Writes `NAME.1.png`, `NAME.2.png`, …, in the order of the hits; `NAME-2.1.png` where an earlier photo has that name.
fn write_heat_maps(
    folder: &Path,
    photo: &Path,
    earlier: &[PathBuf],
    region: Option<&Region>,
    answer: &Answer,
) -> Result<()> {
    if answer.heat_maps.is_empty() {
        return Ok(());
    }
    std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    let pixels = cropped(read_photo(photo, &Limits::default())?, region)?;
    let stem = photo.file_stem();
    let namesakes = earlier.iter().filter(|other| other.file_stem() == stem);
    let mut name = stem.unwrap_or(photo.as_os_str()).to_os_string();
    match namesakes.count() {
        0 => {}
        count => name.push(format!("-{}", count + 1)),
    }
    for (heat, number) in answer.heat_maps.iter().zip(1..) {
        let path = folder.join(format!("{}.{number}.png", name.to_string_lossy()));
        let painted = heat.paint(&pixels);
        let (width, height) = (painted.width(), painted.height());
        image::save_buffer(
            &path,
            painted.data(),
            width,
            height,
            image::ExtendedColorType::Rgb8,
        )
        .with_context(|| path.display().to_string())?;
    }
    Ok(())
}

/// The part of a photo that was asked about.
fn cropped(pixels: Pixels, region: Option<&Region>) -> Result<Pixels> {
    let Some(region) = region else {
        return Ok(pixels);
    };
    let crop = region.resolve(pixels.width(), pixels.height())?;
    Ok(resize(&pixels, crop, crop.width, crop.height))
}

/// A photo's row in the contact sheet.
pub(super) fn card(
    photo: &Path,
    region: Option<&Region>,
    answer: Result<&Answer, String>,
    pictures: Option<&Path>,
) -> QueryCard {
    let name = photo
        .file_name()
        .unwrap_or(photo.as_os_str())
        .to_string_lossy()
        .into_owned();
    let picture = |path: &Path| {
        read_photo(path, &Limits::default())
            .ok()
            .map(|pixels| thumbnail(&pixels))
    };
    let asked = read_photo(photo, &Limits::default()).ok();
    let mut card = QueryCard {
        name,
        thumbnail: asked.as_ref().map(thumbnail),
        ..QueryCard::default()
    };
    match answer {
        Ok(answer) => {
            card.told = Some(Told {
                verdict: word(answer.verdict),
                confidence: answer.confidence,
            });
            card.timings_ms = timings(answer);
            let looked_at = asked.and_then(|pixels| cropped(pixels, region).ok());
            let hits = answer.hits.iter().enumerate().map(|(at, hit)| HitCard {
                heat: looked_at
                    .as_ref()
                    .zip(answer.heat_maps.get(at))
                    .map(|(pixels, heat)| warm_thumbnail(pixels, heat)),
                ..hit_card(hit, pictures, &picture)
            });
            card.rows = vec![HitRow {
                heading: None,
                hits: hits.collect(),
            }];
        }
        Err(reason) => card.error = Some(reason),
    }
    card
}

fn hit_card(
    hit: &Hit,
    pictures: Option<&Path>,
    picture: &dyn Fn(&Path) -> Option<Vec<u8>>,
) -> HitCard {
    // A folder's key is the picture; a table's row names it.
    let image = hit
        .payload
        .get("image")
        .and_then(Value::as_str)
        .unwrap_or(&hit.key);
    let text = |name: &str| hit.payload.get(name).and_then(Value::as_str);
    let lines = hit.payload.as_object().into_iter().flatten();
    HitCard {
        rank: None,
        key: hit.key.clone(),
        title: text("title")
            .or(text("name"))
            .unwrap_or(&hit.key)
            .to_owned(),
        group: hit.group.clone(),
        score: hit.score,
        thumbnail: pictures.and_then(|folder| picture(&folder.join(image))),
        heat: None,
        payload: lines
            .filter(|(name, _)| !matches!(name.as_str(), "image" | "title" | "name"))
            .map(|(name, value)| match value {
                Value::String(text) => (name.clone(), text.clone()),
                other => (name.clone(), other.to_string()),
            })
            .collect(),
        correct: None,
    }
}
