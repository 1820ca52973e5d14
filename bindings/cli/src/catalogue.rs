//! What is to be indexed: a folder of photos, or a table (CSV or JSON Lines) that names them.
//!
//! A table has the columns `image` (relative to the table's folder) and `key`, optionally `group`;
//! the others, and `image`, become the payload. A key that occurs again adds a photo to its item.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use pocketlens::build::Entry;
use serde_json::{Map, Value};

const PHOTO_EXTENSIONS: [&str; 4] = ["jpg", "jpeg", "png", "webp"];

/// Paths that could not be read, with the reason.
pub(crate) type Failed = Vec<(PathBuf, String)>;

/// Entries and the folder that their pictures are relative to.
pub(crate) struct Catalogue {
    pub(crate) root: PathBuf,
    pub(crate) entries: Vec<Entry>,
    /// Folders that could not be read.
    pub(crate) failed: Failed,
}

/// Reads a folder, a `.csv` or a `.jsonl` file.
pub(crate) fn read(source: &Path, group_by_folder: bool) -> Result<Catalogue> {
    let metadata = fs::metadata(source).with_context(|| source.display().to_string())?;
    if metadata.is_dir() {
        return folder(source, group_by_folder);
    }
    let root = source.parent().unwrap_or(Path::new("")).to_owned();
    let extension = source
        .extension()
        .and_then(|e| e.to_str())
        .unwrap_or_default();
    let entries = match extension.to_ascii_lowercase().as_str() {
        "csv" => csv_rows(source, &root)?,
        "jsonl" | "ndjson" => json_rows(source, &root)?,
        _ => bail!(
            "{}: a catalogue is a folder, a .csv or a .jsonl file with the columns image and key",
            source.display()
        ),
    };
    if entries.is_empty() {
        bail!("{}: the catalogue has no rows", source.display());
    }
    Ok(Catalogue {
        root,
        entries,
        failed: Vec::new(),
    })
}

/// The photos of a folder and of the folders in it, sorted by path.
pub(crate) fn photos(folder: &Path) -> Result<(Vec<PathBuf>, Failed)> {
    let mut found = Vec::new();
    let mut failed = Vec::new();
    let mut pending = vec![folder.to_owned()];
    while let Some(folder) = pending.pop() {
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) => {
                failed.push((folder, format!("folder cannot be read: {error}")));
                continue;
            }
        };
        for entry in entries {
            let entry = entry.with_context(|| folder.display().to_string())?;
            let (path, kind) = (entry.path(), entry.file_type()?);
            if kind.is_dir() {
                pending.push(path);
            } else if is_photo(&path) {
                found.push(path);
            }
        }
    }
    found.sort();
    if found.is_empty() {
        if let Some((path, reason)) = failed.first() {
            bail!("{}: {reason}", path.display());
        }
        bail!(
            "{}: no photos found (.jpg, .jpeg, .png, .webp)",
            folder.display()
        );
    }
    Ok((found, failed))
}

fn is_photo(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    extension.is_some_and(|e| PHOTO_EXTENSIONS.contains(&e.to_ascii_lowercase().as_str()))
}

fn folder(root: &Path, group_by_folder: bool) -> Result<Catalogue> {
    let (photos, failed) = photos(root)?;
    let entries = photos.into_iter().map(|image| {
        let relative = image.strip_prefix(root).unwrap_or(&image);
        // Keys are the same on every platform: slashes, whatever the separator here is.
        let parts: Vec<_> = relative.iter().map(|part| part.to_string_lossy()).collect();
        let group = match parts.as_slice() {
            [folders @ .., _] if group_by_folder && !folders.is_empty() => Some(folders.join("/")),
            _ => None,
        };
        Entry {
            key: parts.join("/"),
            image,
            group,
            payload: Value::Object(Map::new()),
        }
    });
    Ok(Catalogue {
        root: root.to_owned(),
        entries: entries.collect(),
        failed,
    })
}

fn csv_rows(source: &Path, root: &Path) -> Result<Vec<Entry>> {
    let name = source.display();
    let mut reader = csv::Reader::from_path(source).with_context(|| name.to_string())?;
    let headers = reader.headers().with_context(|| name.to_string())?.clone();
    let mut entries = Vec::new();
    for row in reader.records() {
        let row = row.with_context(|| name.to_string())?;
        let line = row.position().map_or(0, csv::Position::line);
        let fields = headers.iter().zip(&row);
        let fields = fields.map(|(name, text)| (name.trim().to_owned(), csv_value(name, text)));
        entries
            .push(entry(fields.collect(), root).with_context(|| format!("{name}, line {line}"))?);
    }
    Ok(entries)
}

/// Numbers become numbers, so that filters can compare them; names stay text.
fn csv_value(column: &str, text: &str) -> Value {
    if matches!(column.trim(), "image" | "key" | "group") {
        return text.into();
    }
    // Only text that prints back the same: "007" and "1e5" are names as likely as numbers.
    if let Ok(whole) = text.parse::<i64>()
        && whole.to_string() == text
    {
        return whole.into();
    }
    match text.parse::<f64>() {
        Ok(real) if real.is_finite() && text.contains('.') && !text.contains(['e', 'E']) => {
            real.into()
        }
        _ => text.into(),
    }
}

fn json_rows(source: &Path, root: &Path) -> Result<Vec<Entry>> {
    let name = source.display();
    let text = fs::read_to_string(source).with_context(|| name.to_string())?;
    let lines = text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(number, line)| {
            let place = || format!("{name}, line {}", number + 1);
            let fields: Map<String, Value> = serde_json::from_str(line).with_context(place)?;
            entry(fields, root).with_context(place)
        })
        .collect()
}

fn entry(mut fields: Map<String, Value>, root: &Path) -> Result<Entry> {
    let text = |column: &str| match fields.get(column) {
        Some(Value::String(text)) if !text.is_empty() => Ok(Some(text.clone())),
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(_)) => Ok(None),
        Some(other) => bail!("column {column:?} must be text, found {other}"),
    };
    let image = text("image")?.context("column \"image\" is missing or empty")?;
    let key = text("key")?.context("column \"key\" is missing or empty")?;
    let group = text("group")?;
    fields.remove("key");
    fields.remove("group");
    Ok(Entry {
        image: root.join(image),
        key,
        group,
        payload: Value::Object(fields),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    #[test]
    fn a_folder_gives_relative_keys_in_order() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.JPG", "shoes/red/a.png", "notes.txt"] {
            write(folder.path(), name, "");
        }
        let catalogue = read(folder.path(), true).unwrap();
        let found: Vec<_> = catalogue
            .entries
            .iter()
            .map(|e| (e.key.as_str(), e.group.as_deref()))
            .collect();
        assert_eq!(
            found,
            [("b.JPG", None), ("shoes/red/a.png", Some("shoes/red"))]
        );
    }

    #[test]
    fn csv_and_json_lines_say_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let csv = write(
            folder.path(),
            "c.csv",
            "image,key,group,price,code\np/1.jpg,k1,g,2.5,007\n",
        );
        let json = write(
            folder.path(),
            "c.jsonl",
            "{\"image\":\"p/1.jpg\",\"key\":\"k1\",\"group\":\"g\",\"price\":2.5,\"code\":\"007\"}\n\n",
        );
        let (csv, json) = (read(&csv, false).unwrap(), read(&json, false).unwrap());
        assert_eq!(csv.entries, json.entries);
        assert_eq!(csv.entries[0].image, folder.path().join("p/1.jpg"));
        assert_eq!(csv.entries[0].payload["price"], 2.5);
        assert_eq!(csv.entries[0].payload["code"], "007");
    }

    #[test]
    fn rows_without_key_are_named_by_line() {
        let folder = tempfile::tempdir().unwrap();
        let csv = write(folder.path(), "c.csv", "image,key\na.jpg,a\nb.jpg,\n");
        let refused = format!("{:#}", read(&csv, false).err().unwrap());
        assert!(
            refused.contains("line 3") && refused.contains("\"key\""),
            "{refused}"
        );
        let empty = write(folder.path(), "e.csv", "image,key\n");
        assert!(read(&empty, false).is_err());
    }
}
