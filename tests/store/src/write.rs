//! The store as files: pictures, a catalogue, and the ground truth for an evaluation.

use std::fs;
use std::io;
use std::path::Path;

use image::RgbImage;
use image::codecs::jpeg::JpegEncoder;
use rayon::prelude::*;

use crate::{Product, Query, Store};

/// JPEG quality of the catalogue's pictures.
const CATALOGUE_QUALITY: u8 = 92;

impl Query {
    /// The picture as a phone would have saved it.
    pub fn jpeg(&self) -> Vec<u8> {
        jpeg(&self.picture, self.quality)
    }
}

impl Product {
    /// The catalogue picture as a file.
    pub fn jpeg(&self) -> Vec<u8> {
        jpeg(&self.picture, CATALOGUE_QUALITY)
    }
}

impl Store {
    /// Writes the store below `dir`:
    ///
    /// - `catalogue/<key>.jpg` and `catalogue/catalogue.csv` (image, key, group, title, kind,
    ///   price, colour),
    /// - `queries/<name>.jpg` and `queries/queries.csv` (image, key; no key when the store does
    ///   not sell what is seen),
    /// - `gt.tsv` (image_path, group_id, role) over the catalogue and the queries with an answer;
    ///   `group_id` is the product's key.
    pub fn write(&self, dir: &Path) -> io::Result<()> {
        let (catalogue, queries) = (dir.join("catalogue"), dir.join("queries"));
        fs::create_dir_all(&catalogue)?;
        fs::create_dir_all(&queries)?;
        self.products.par_iter().try_for_each(|product| {
            fs::write(
                catalogue.join(format!("{}.jpg", product.key)),
                product.jpeg(),
            )
        })?;
        self.queries.par_iter().try_for_each(|query| {
            fs::write(queries.join(format!("{}.jpg", query.name)), query.jpeg())
        })?;

        let mut table = csv::Writer::from_path(catalogue.join("catalogue.csv"))?;
        table.write_record(["image", "key", "group", "title", "kind", "price", "colour"])?;
        for p in &self.products {
            let price = format!("{}.{:02}", p.price / 100, p.price % 100);
            let image = format!("{}.jpg", p.key);
            table.write_record([&image, &p.key, &p.group, &p.title, p.kind, &price, p.colour])?;
        }
        table.flush()?;

        let mut table = csv::Writer::from_path(queries.join("queries.csv"))?;
        table.write_record(["image", "key"])?;
        for query in &self.queries {
            table.write_record([
                &format!("{}.jpg", query.name),
                query.truth.as_deref().unwrap_or(""),
            ])?;
        }
        table.flush()?;
        fs::write(dir.join("gt.tsv"), self.ground_truth())
    }

    fn ground_truth(&self) -> String {
        let mut text = String::from("image_path\tgroup_id\trole\n");
        for query in &self.queries {
            if let Some(key) = &query.truth {
                text += &format!("queries/{}.jpg\t{key}\tquery\n", query.name);
            }
        }
        for Product { key, .. } in &self.products {
            text += &format!("catalogue/{key}.jpg\t{key}\tdatabase\n");
        }
        text
    }
}

fn jpeg(picture: &RgbImage, quality: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    let encoder = JpegEncoder::new_with_quality(&mut bytes, quality);
    picture
        .write_with_encoder(encoder)
        .expect("memory takes any number of bytes");
    bytes
}
