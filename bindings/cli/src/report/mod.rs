//! The contact sheet: queries, hits, scores and timings as one HTML file that needs nothing else.
//!
//! Pictures are embedded, nothing is fetched; it reads on a phone and on a desktop, in light and
//! in dark, and prints. Whatever comes from a catalogue is escaped by the template.

mod page;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use image::codecs::jpeg::JpegEncoder;
use pocketlens::descriptor::HeatMap;
use pocketlens::image::{Crop, Pixels, resize};

/// Longest side of an embedded picture, in pixels.
const THUMBNAIL: u32 = 200;

/// Everything on the page.
pub(crate) struct Report {
    pub(crate) title: String,
    pub(crate) subtitle: String,
    pub(crate) index: IndexSummary,
    /// Tiles at the top: label and value.
    pub(crate) summary: Vec<(String, String)>,
    pub(crate) queries: Vec<QueryCard>,
}

/// What was searched.
pub(crate) struct IndexSummary {
    pub(crate) items: u64,
    pub(crate) dim: usize,
    pub(crate) bytes: u64,
    pub(crate) fingerprint: String,
    pub(crate) bundle: String,
}

/// A photo and its answer.
#[derive(Default)]
pub(crate) struct QueryCard {
    pub(crate) name: String,
    /// JPEG bytes.
    pub(crate) thumbnail: Option<Vec<u8>>,
    pub(crate) told: Option<Told>,
    pub(crate) truth: Option<Truth>,
    /// Further lines under the photo: label and value.
    pub(crate) facts: Vec<(&'static str, String)>,
    pub(crate) rows: Vec<HitRow>,
    pub(crate) timings_ms: Vec<(&'static str, f64)>,
    pub(crate) error: Option<String>,
}

/// A verdict.
pub(crate) struct Told {
    /// `match`, `unsure` or `no_match`.
    pub(crate) verdict: &'static str,
    pub(crate) confidence: f32,
}

/// Hits beside each other, best first.
#[derive(Default)]
pub(crate) struct HitRow {
    pub(crate) heading: Option<String>,
    pub(crate) hits: Vec<HitCard>,
}

/// What the right answer is, where it is known.
pub(crate) struct Truth {
    /// The key; `None` when the index does not hold what the photo shows.
    pub(crate) expected: Option<String>,
    pub(crate) right: bool,
}

/// A hit under its query.
pub(crate) struct HitCard {
    /// Place in the ranking, from 1, where that is not plain from the row.
    pub(crate) rank: Option<usize>,
    pub(crate) key: String,
    pub(crate) title: String,
    pub(crate) group: String,
    pub(crate) score: f32,
    /// JPEG bytes.
    pub(crate) thumbnail: Option<Vec<u8>>,
    /// JPEG bytes of the query, warm where it is like the hit.
    pub(crate) heat: Option<Vec<u8>>,
    pub(crate) payload: Vec<(String, String)>,
    pub(crate) correct: Option<bool>,
}

/// Photos that belong together: a name and JPEG bytes each.
pub(crate) type PhotoSet = Vec<(String, Option<Vec<u8>>)>;

/// A page of sets of photos.
pub(crate) struct SetsPage {
    pub(crate) title: String,
    pub(crate) subtitle: String,
    /// A heading and its sets.
    pub(crate) sections: Vec<(String, Vec<PhotoSet>)>,
}

impl SetsPage {
    /// The page as HTML.
    pub(crate) fn render(&self) -> String {
        page::sets(self).into_string()
    }
}

impl Report {
    /// The page as HTML.
    pub(crate) fn render(&self) -> String {
        page::page(self).into_string()
    }
}

/// A small JPEG of a picture.
pub(crate) fn thumbnail(pixels: &Pixels) -> Vec<u8> {
    jpeg(&small(pixels))
}

/// The same with a map of heat on it.
pub(crate) fn warm_thumbnail(pixels: &Pixels, heat: &HeatMap) -> Vec<u8> {
    jpeg(&heat.paint(&small(pixels)))
}

/// A picture in the size of a thumbnail.
pub(crate) fn small(pixels: &Pixels) -> Pixels {
    let (width, height) = (pixels.width(), pixels.height());
    let scale = f64::from(THUMBNAIL) / f64::from(width.max(height));
    let scaled = |side: u32| ((f64::from(side) * scale.min(1.0)).round() as u32).max(1);
    resize(
        pixels,
        Crop::whole(width, height),
        scaled(width),
        scaled(height),
    )
}

fn jpeg(small: &Pixels) -> Vec<u8> {
    let mut jpeg = Vec::new();
    let written = JpegEncoder::new_with_quality(&mut jpeg, 78).encode(
        small.data(),
        small.width(),
        small.height(),
        image::ExtendedColorType::Rgb8,
    );
    written.expect("a small RGB picture can be written to memory");
    jpeg
}

fn data_url(jpeg: &[u8]) -> String {
    format!("data:image/jpeg;base64,{}", STANDARD.encode(jpeg))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_users_write_is_escaped() {
        let hit = HitCard {
            rank: None,
            key: "<script>alert('k')</script>".into(),
            title: "\"quoted\" & <b>".into(),
            group: "g".into(),
            score: 0.5,
            thumbnail: None,
            heat: None,
            payload: vec![("note".into(), "</style><script>".into())],
            correct: Some(true),
        };
        let query = QueryCard {
            name: "q\">".into(),
            facts: vec![("of", "</p><i>".into())],
            rows: vec![HitRow {
                heading: Some("</h3><u>".into()),
                hits: vec![hit],
            }],
            ..QueryCard::default()
        };
        let index = IndexSummary {
            items: 1,
            dim: 2,
            bytes: 3,
            fingerprint: "f".into(),
            bundle: "b".into(),
        };
        let report = Report {
            title: "t".into(),
            subtitle: "s".into(),
            index,
            summary: vec![],
            queries: vec![query],
        };
        let html = report.render();
        assert!(!html.contains("<script>alert") && !html.contains("</style><script>"));
        assert!(!html.contains("</p><i>") && !html.contains("</h3><u>"));
        assert!(
            html.contains("&lt;script&gt;") && html.contains("&quot;quoted&quot; &amp; &lt;b&gt;")
        );
    }

    #[test]
    fn thumbnails_keep_the_aspect_and_do_not_enlarge() {
        let pixels = Pixels::from_rgb(400, 100, vec![9; 120_000]).unwrap();
        let small = image::load_from_memory(&thumbnail(&pixels)).unwrap();
        assert_eq!((small.width(), small.height()), (200, 50));
        let tiny = Pixels::from_rgb(4, 3, vec![9; 36]).unwrap();
        assert_eq!(
            image::load_from_memory(&thumbnail(&tiny)).unwrap().width(),
            4
        );
    }
}
