//! A store of made-up products, rendered from a seed: a catalogue picture of each, and camera
//! queries whose right answers are known.
//!
//! No photograph and no brand is real. The same seed gives the same bytes on the same platform.
//! Near twins (one brand and design, another flavour and colour) share their `group`, and are
//! different products all the same. Some queries show products of other stores, or none.

mod art;
mod assortment;
mod capture;
mod scene;
mod solid;
mod studio;
mod write;

use fastrand::Rng;
use image::RgbImage;
use rayon::prelude::*;

use assortment::{Article, ELSEWHERE, STOCK};
use solid::Model;

/// Camera queries of products that the store sells.
const KNOWN_QUERIES: usize = 72;
/// Camera pictures without any product.
const CLUTTER_QUERIES: usize = 12;

/// Something to sell.
#[derive(Clone, Debug)]
pub struct Product {
    /// Unique: brand, line and variant, as in `solara-crunch-honey`.
    pub key: String,
    /// The line, shared by near twins: `solara-crunch`.
    pub group: String,
    /// What a customer reads.
    pub title: String,
    /// Cereal, book, can…
    pub kind: &'static str,
    /// In cents.
    pub price: u32,
    /// Name of the main colour.
    pub colour: &'static str,
    /// Catalogue picture on a light ground, 480 pixels along its longer side.
    pub picture: RgbImage,
}

/// A camera picture whose answer is known.
#[derive(Clone, Debug)]
pub struct Query {
    /// File name without its extension.
    pub name: String,
    /// Key of the product in the picture; `None` when the store does not sell it, or when there is
    /// no product in the picture.
    pub truth: Option<String>,
    /// 480×640 or 640×480 pixels, before compression.
    pub picture: RgbImage,
    /// JPEG quality, 1 to 100, with which a phone would have saved it.
    pub quality: u8,
}

/// The catalogue, what is sold elsewhere, and the queries.
#[derive(Clone, Debug)]
pub struct Store {
    /// What the index is built from.
    pub products: Vec<Product>,
    /// Products of other stores; no key of theirs is in `products`.
    pub strangers: Vec<Product>,
    /// Queries of known products first, then of strangers, then clutter.
    pub queries: Vec<Query>,
}

impl Store {
    /// Renders everything; uses all cores.
    ///
    /// ```
    /// let store = pocketlens_sample_store::Store::render(1);
    /// assert!(store.queries.iter().any(|query| query.truth.is_none()));
    /// ```
    pub fn render(seed: u64) -> Self {
        let (stock, elsewhere) = (solids(STOCK), solids(ELSEWHERE));
        let portraits = |solids: &[(Article, Model)]| -> Vec<Product> {
            solids
                .par_iter()
                .map(|(article, model)| portrait(article, model, seed))
                .collect()
        };
        let mut order: Vec<_> = (0..stock.len()).collect();
        Rng::with_seed(seed).shuffle(&mut order);
        let known = order
            .iter()
            .take(KNOWN_QUERIES)
            .map(|&i| (Some(&stock[i]), true));
        let strange = elsewhere.iter().map(|solid| (Some(solid), false));
        let empty = std::iter::repeat_n((None, false), CLUTTER_QUERIES);
        let shots: Vec<_> = known.chain(strange).chain(empty).enumerate().collect();
        let queries = shots
            .par_iter()
            .map(|&(i, (solid, sold))| query(i, solid, sold, seed));
        Self {
            products: portraits(&stock),
            strangers: portraits(&elsewhere),
            queries: queries.collect(),
        }
    }
}

fn solids(lines: &[assortment::Line]) -> Vec<(Article, Model)> {
    let articles: Vec<_> = lines.iter().flat_map(assortment::Line::articles).collect();
    let build = |article: Article| {
        let model = article.kind.build(&article.design);
        (article, model)
    };
    articles.into_par_iter().map(build).collect()
}

fn portrait(article: &Article, model: &Model, seed: u64) -> Product {
    let mut rng = Rng::with_seed(seed ^ article.design.seed);
    Product {
        key: article.key.clone(),
        group: article.group.clone(),
        title: article.title.clone(),
        kind: article.kind.name(),
        price: article.price,
        colour: article.colour,
        picture: studio::portrait(article.kind, model, &mut rng),
    }
}

fn query(number: usize, solid: Option<&(Article, Model)>, sold: bool, seed: u64) -> Query {
    let mut rng = Rng::with_seed(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ (number as u64 + 1));
    let picture = match solid {
        Some((article, model)) => studio::snapshot(article.kind, model, &mut rng),
        None => studio::clutter(&mut rng),
    };
    Query {
        name: format!("query-{number:03}"),
        truth: solid
            .filter(|_| sold)
            .map(|(article, _)| article.key.clone()),
        picture,
        quality: rng.u8(62..93),
    }
}
