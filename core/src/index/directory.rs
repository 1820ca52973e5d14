//! The directory of an index: what may lie in it, the files that a writer adds, and how it is
//! tidied up afterwards.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use super::items::Item;
use super::manifest::{FileEntry, Manifest, SegmentEntry, sha256};
use super::segment_writer::SegmentForm;
use super::storage::{PendingFile, Storage, write_file};
use super::{IndexError, segment_writer};

/// Most photos a segment file: 256 MiB of rows at 256 dimensions, which a 32-bit phone can map.
pub(super) const SEGMENT_ROWS: u32 = 1 << 20;

/// The files that a writer adds. Dropped before the manifest that names them is published, they are
/// removed again.
pub(super) struct NewFiles<'a> {
    storage: &'a dyn Storage,
    dir: &'a Path,
    made_dir: bool,
    written: Vec<String>,
}

impl<'a> NewFiles<'a> {
    pub(super) fn begin(storage: &'a dyn Storage, dir: &'a Path) -> Result<Self, IndexError> {
        let made_dir = !dir.exists();
        storage
            .create_dir(dir)
            .map_err(|source| io_error(dir, source))?;
        if made_dir {
            storage
                .sync_dir(parent_of(dir))
                .map_err(|source| io_error(dir, source))?;
        }
        Ok(Self {
            storage,
            dir,
            made_dir,
            written: Vec::new(),
        })
    }

    /// Writes an immutable file under a name made of its content.
    pub(super) fn write(
        &mut self,
        prefix: &str,
        bytes: &[u8],
        suffix: &str,
    ) -> Result<FileEntry, IndexError> {
        let sha256 = sha256(bytes);
        let file = format!("{prefix}{}{suffix}", &sha256[..16]);
        let path = self.dir.join(&file);
        self.note(&file);
        write_file(self.storage, &path, bytes).map_err(|source| io_error(&path, source))?;
        Ok(FileEntry {
            file,
            length: bytes.len() as u64,
            sha256,
        })
    }

    /// Begins a file whose bytes come bit by bit; [`PendingFile::publish`] gives it its name.
    pub(super) fn pending(&mut self, file: &str) -> Result<PendingFile<'a>, IndexError> {
        let path = self.dir.join(file);
        self.note(file);
        PendingFile::beside(self.storage, &path).map_err(|source| io_error(&path, source))
    }

    /// Writes items that are sorted by key as segments of at most `limit` rows each.
    pub(super) fn write_segments(
        &mut self,
        form: &SegmentForm<'_>,
        items: &[(String, Item)],
        limit: u32,
    ) -> Result<Vec<SegmentEntry>, IndexError> {
        let mut segments = Vec::new();
        for items in split(items, limit) {
            let bytes = segment_writer::segment(form, items).to_bytes();
            segments.push(SegmentEntry {
                file: self.write("segment-", &bytes, ".seg")?,
                items: items.len() as u32,
                rows: items.iter().map(|(_, item)| item.photos.len() as u32).sum(),
                tombstones: None,
            });
        }
        Ok(segments)
    }

    /// Makes the index what this manifest says, once all files that it names are safe, and removes
    /// what neither it nor the manifest before it (see [`Manifest::previous_path`]) names.
    pub(super) fn publish(self, manifest: &Manifest) -> Result<(), IndexError> {
        self.publish_bytes(manifest, &manifest.to_bytes())
    }

    /// As [`Self::publish`], with the very bytes of the manifest, which may hold fields that are
    /// unknown here.
    pub(super) fn publish_bytes(
        mut self,
        manifest: &Manifest,
        bytes: &[u8],
    ) -> Result<(), IndexError> {
        let path = Manifest::path(self.dir);
        let publish = || {
            self.storage.sync_dir(self.dir)?;
            write_file(self.storage, &path, bytes)?;
            self.storage.sync_dir(self.dir)
        };
        publish().map_err(|source| io_error(&path, source))?;
        self.written.clear();
        self.made_dir = false;
        remove_unnamed(self.storage, self.dir, manifest);
        Ok(())
    }

    fn note(&mut self, file: &str) {
        if !self.dir.join(file).exists() {
            self.written.push(file.to_owned());
        }
    }
}

impl Drop for NewFiles<'_> {
    fn drop(&mut self) {
        // Best effort: the writer has failed already, and its error is the one to report. The
        // failure may have come after the rename of the manifest; then the files are needed.
        let named = match Manifest::read(self.dir) {
            Ok(manifest) => names(&manifest),
            Err(IndexError::NotAnIndex { .. } | IndexError::Corrupt { .. }) => HashSet::new(),
            Err(_) => return,
        };
        for file in self.written.iter().filter(|file| !named.contains(*file)) {
            let _ = self.storage.remove(&self.dir.join(file));
        }
        if self.made_dir {
            let _ = self.storage.remove_dir(self.dir);
        }
    }
}

/// Cuts sorted items where a segment would get more than `limit` rows; an item is never split.
fn split(items: &[(String, Item)], limit: u32) -> impl Iterator<Item = &[(String, Item)]> {
    let mut rest = items;
    std::iter::from_fn(move || {
        let mut rows = 0;
        let fits = |(_, item): &&(String, Item)| {
            rows += item.photos.len();
            rows <= limit as usize
        };
        let count = rest.iter().take_while(fits).count().max(1).min(rest.len());
        let (segment, others) = rest.split_at(count);
        rest = others;
        (!segment.is_empty()).then_some(segment)
    })
}

/// Refuses a directory that holds anything but an index, or the remains of a build.
pub(super) fn check_free(dir: &Path) -> Result<(), IndexError> {
    let occupied = |found: String| {
        Err(IndexError::Occupied {
            path: dir.to_owned(),
            found,
        })
    };
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            return occupied("a file".to_owned());
        }
        Err(error) => return Err(io_error(dir, error)),
    };
    if has_manifest(dir).map_err(|source| io_error(dir, source))? {
        return Ok(());
    }
    for entry in entries {
        let name = entry.map_err(|source| io_error(dir, source))?.file_name();
        if !name.to_str().is_some_and(is_made_by_us) {
            return occupied(format!("{name:?}"));
        }
    }
    Ok(())
}

fn has_manifest(dir: &Path) -> io::Result<bool> {
    let mut first_bytes = Vec::new();
    match File::open(Manifest::path(dir)) {
        Ok(file) => file.take(64).read_to_end(&mut first_bytes)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    Ok(Manifest::is_ours(&first_bytes))
}

/// Names that only a writer gives: immutable files, and temporary ones that a killed one left.
pub(super) fn is_made_by_us(name: &str) -> bool {
    let temporary = name
        .strip_prefix('.')
        .and_then(|name| name.strip_suffix(".tmp"));
    match temporary.and_then(|name| name.rsplit_once('.')) {
        Some((final_name, _count)) => {
            let here = Path::new("");
            is_immutable(final_name)
                || Manifest::path(here) == Path::new(final_name)
                || Manifest::previous_path(here) == Path::new(final_name)
        }
        None => is_immutable(name),
    }
}

fn is_immutable(name: &str) -> bool {
    [
        ("segment-", ".seg"),
        ("tombstones-", ".dead"),
        ("bundle-", ".lens"),
    ]
    .into_iter()
    .any(|(prefix, suffix)| {
        let digest = name
            .strip_prefix(prefix)
            .and_then(|rest| rest.strip_suffix(suffix));
        digest.is_some_and(|hex| hex.len() == 16 && hex.bytes().all(|b| b.is_ascii_hexdigit()))
    })
}

/// Removes what no manifest names any more. Readers that have it mapped keep it; what cannot be
/// removed now is removed by the next writer.
pub(super) fn remove_unnamed(storage: &dyn Storage, dir: &Path, manifest: &Manifest) {
    let Ok(entries) = fs::read_dir(dir) else {
        return;
    };
    let mut named = names(manifest);
    if let Ok(Some(previous)) = Manifest::read_previous_bytes(dir)
        && let Ok(previous) = Manifest::parse(&previous, dir)
    {
        named.extend(names(&previous));
    }
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        if is_made_by_us(name) && !named.contains(name) {
            let _ = storage.remove(&entry.path());
        }
    }
}

fn names(manifest: &Manifest) -> HashSet<String> {
    manifest.files().map(|entry| entry.file.clone()).collect()
}

pub(super) fn io_error(path: &Path, source: io::Error) -> IndexError {
    IndexError::Io {
        path: path.to_owned(),
        source,
    }
}

pub(super) fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Writes a manifest under another name than that of the index, and makes it safe.
pub(super) fn keep_as_previous(
    storage: &dyn Storage,
    dir: &Path,
    bytes: &[u8],
) -> Result<(), IndexError> {
    let path = Manifest::previous_path(dir);
    write_file(storage, &path, bytes)
        .and_then(|()| storage.sync_dir(dir))
        .map_err(|source| io_error(&path, source))
}

/// Forgets the index before this one; its files go with the next tidying.
pub(super) fn forget_previous(storage: &dyn Storage, dir: &Path) -> Result<(), IndexError> {
    let path = Manifest::previous_path(dir);
    match storage.remove(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io_error(&path, error)),
        _ => Ok(()),
    }
}
