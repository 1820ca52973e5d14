//! The picture of an item, from the folder that the index was built from: small, and never from outside of it.

use std::path::Path;

use image::ExtendedColorType;
use image::codecs::jpeg::JpegEncoder;
use pocketlens::image::{Crop, Limits, read_photo, resize};
use pocketlens::index::StoredItem;
use serde_json::Value;

/// Longest side in pixels.
const SIDE: u32 = 360;

/// A JPEG of the item's picture in `folder` (without links in its path); `None` where there is none.
pub(super) fn thumbnail(folder: &Path, item: &StoredItem) -> Option<Vec<u8>> {
    // A folder's key is the picture; a table's row names it.
    let named = item.payload.get("image").and_then(Value::as_str);
    let path = folder
        .join(named.unwrap_or(&item.key))
        .canonicalize()
        .ok()?;
    // A catalogue is data from somewhere: `../` and links must not lead out.
    if !path.starts_with(folder) {
        return None;
    }
    let photo = read_photo(&path, &Limits::default()).ok()?;
    let (width, height) = (photo.width(), photo.height());
    let scale = (f64::from(SIDE) / f64::from(width.max(height))).min(1.0);
    let scaled = |side: u32| ((f64::from(side) * scale).round() as u32).max(1);
    let small = resize(
        &photo,
        Crop::whole(width, height),
        scaled(width),
        scaled(height),
    );
    let mut jpeg = Vec::new();
    JpegEncoder::new_with_quality(&mut jpeg, 82)
        .encode(
            small.data(),
            small.width(),
            small.height(),
            ExtendedColorType::Rgb8,
        )
        .ok()?;
    Some(jpeg)
}

#[cfg(test)]
mod tests {
    use pocketlens::index::StoredItem;
    use serde_json::json;

    use super::*;

    fn item(key: &str, payload: Value) -> StoredItem {
        StoredItem {
            key: key.to_owned(),
            group: key.to_owned(),
            payload,
            vectors: Vec::new(),
        }
    }

    #[test]
    fn pictures_come_from_the_folder_only() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().canonicalize().unwrap().join("shop");
        std::fs::create_dir_all(folder.join("mugs")).unwrap();
        let picture = image::RgbImage::from_pixel(720, 90, image::Rgb([9, 99, 200]));
        picture.save(folder.join("mugs/blue.png")).unwrap();
        picture.save(dir.path().join("private.png")).unwrap();
        std::fs::write(folder.join("notes.txt"), "not a picture").unwrap();

        let jpeg = thumbnail(&folder, &item("mugs/blue.png", json!({}))).unwrap();
        let small = image::load_from_memory(&jpeg).unwrap();
        assert_eq!((small.width(), small.height()), (360, 45));
        let named = item("1234", json!({"image": "mugs/blue.png"}));
        assert!(thumbnail(&folder, &named).is_some());

        let outside = dir.path().join("private.png").display().to_string();
        for name in [
            "../private.png",
            outside.as_str(),
            "notes.txt",
            "mugs",
            "no.png",
            "\0",
        ] {
            assert!(
                thumbnail(&folder, &item(name, json!({}))).is_none(),
                "{name}"
            );
            let named = item("1234", json!({ "image": name }));
            assert!(thumbnail(&folder, &named).is_none(), "{name}");
        }
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(dir.path(), folder.join("link")).unwrap();
            assert!(thumbnail(&folder, &item("link/private.png", json!({}))).is_none());
        }
    }
}
