//! Cuts the power at every operation of every writer: what is there afterwards must be the old
//! index or the new one, whole, and the next writer must be able to go on from it.
//!
//! The double keeps beside the real directory what would outlast a power cut: bytes that were
//! synced, names that were synced. At the cut it makes the directory that.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use serde_json::json;

use super::compaction::compact_on;
use super::delta::{apply_on, rollback_on};
use super::directory::is_made_by_us;
use super::manifest::Manifest;
use super::merge::merge_on;
use super::storage::{Storage, StoredFile};
use super::{
    CompactionOptions, Delta, Index, IndexError, IndexUpdate, IndexWriter, ItemPhoto, StoredItem,
    diff,
};
use crate::fingerprint::Fingerprint;

/// What happens at the chosen operation.
#[derive(Clone, Copy, Debug)]
enum Fault {
    /// The operation fails, those after it do not: a full disk.
    Error,
    /// The process dies; a write in progress got half of its bytes out.
    Kill,
    /// The power goes. Of what was not synced nothing is left.
    LoseAll,
    /// The power goes. Of the names and bytes that were not synced any part may be left.
    LoseSome(u64),
}

const FAULTS: [Fault; 7] = [
    Fault::Error,
    Fault::Kill,
    Fault::LoseAll,
    Fault::LoseSome(1),
    Fault::LoseSome(2),
    Fault::LoseSome(3),
    Fault::LoseSome(4),
];

#[derive(Default)]
struct State {
    operations: usize,
    at: Option<(usize, Fault)>,
    is_off: bool,
    /// Written and synced bytes of each file that ever was.
    files: Vec<(Vec<u8>, Vec<u8>)>,
    names: BTreeMap<PathBuf, usize>,
    durable_names: BTreeMap<PathBuf, usize>,
    /// Changes of names since the last sync: each happens as a whole or not.
    pending: Vec<Vec<(PathBuf, Option<usize>)>>,
}

/// The disk of one index, with a fault.
#[derive(Clone)]
struct FaultyDisk(Arc<Mutex<State>>);

impl FaultyDisk {
    /// Begins with what is in the directory, as if all of it were synced.
    fn on(dir: &Path, at: Option<(usize, Fault)>) -> Self {
        let mut state = State {
            at,
            ..State::default()
        };
        for (path, bytes) in files_of(dir) {
            state.names.insert(path, state.files.len());
            state.files.push((bytes.clone(), bytes));
        }
        state.durable_names = state.names.clone();
        Self(Arc::new(Mutex::new(state)))
    }

    fn operations(&self) -> usize {
        self.0.lock().unwrap().operations
    }

    /// Counts an operation and refuses it if it is the chosen one or the machine is off.
    fn begin(&self) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        let number = state.operations;
        state.operations += 1;
        let is_here = state.at.is_some_and(|(at, _)| at == number);
        if is_here && !matches!(state.at, Some((_, Fault::Error))) {
            state.is_off = true;
        }
        if is_here || state.is_off {
            return Err(io::Error::other("cut"));
        }
        Ok(())
    }

    fn change(&self, names: Vec<(PathBuf, Option<usize>)>) {
        let mut state = self.0.lock().unwrap();
        for (path, file) in &names {
            set(&mut state.names, path, *file);
        }
        state.pending.push(names);
    }

    /// Leaves in the directory what outlasts the fault.
    fn restart(&self, dir: &Path) {
        let state = self.0.lock().unwrap();
        let Some((_, fault)) = state.at.filter(|_| state.is_off) else {
            return;
        };
        let mut rng = match fault {
            Fault::Error | Fault::Kill => return,
            Fault::LoseAll => None,
            Fault::LoseSome(seed) => Some(seed),
        };
        let mut chance = || {
            let state = rng.as_mut()?;
            *state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            Some(*state >> 33)
        };
        let mut names = state.durable_names.clone();
        for change in &state.pending {
            if chance().is_some_and(|chance| chance % 2 == 0) {
                for (path, file) in change {
                    set(&mut names, path, *file);
                }
            }
        }
        let _ = fs::remove_dir_all(dir);
        fs::create_dir_all(dir).unwrap();
        for (path, file) in names {
            let (written, synced) = &state.files[file];
            let mut bytes = synced.clone();
            if written.len() > synced.len()
                && let Some(chance) = chance()
            {
                let more = chance as usize % (written.len() - synced.len() + 1);
                bytes.extend(&written[synced.len()..synced.len() + more]);
            }
            fs::write(path, bytes).unwrap();
        }
    }
}

fn set(names: &mut BTreeMap<PathBuf, usize>, path: &Path, file: Option<usize>) {
    match file {
        Some(file) => names.insert(path.to_owned(), file),
        None => names.remove(path),
    };
}

impl Storage for FaultyDisk {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.begin()?;
        fs::create_dir_all(path)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn StoredFile>> {
        self.begin()?;
        let file = File::create_new(path)?;
        let number = {
            let mut state = self.0.lock().unwrap();
            state.files.push((Vec::new(), Vec::new()));
            state.files.len() - 1
        };
        self.change(vec![(path.to_owned(), Some(number))]);
        let disk = self.clone();
        Ok(Box::new(FaultyFile { disk, file, number }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.begin()?;
        fs::rename(from, to)?;
        let file = self.0.lock().unwrap().names.get(from).copied();
        self.change(vec![(from.to_owned(), None), (to.to_owned(), file)]);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.begin()?;
        fs::remove_file(path)?;
        self.change(vec![(path.to_owned(), None)]);
        Ok(())
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.begin()?;
        fs::remove_dir(path)
    }

    fn sync_dir(&self, _path: &Path) -> io::Result<()> {
        self.begin()?;
        let mut state = self.0.lock().unwrap();
        state.durable_names = state.names.clone();
        state.pending.clear();
        Ok(())
    }
}

struct FaultyFile {
    disk: FaultyDisk,
    file: File,
    number: usize,
}

impl Write for FaultyFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let refused = self.disk.begin().err();
        let bytes = match refused {
            Some(_) => &bytes[..bytes.len() / 2],
            None => bytes,
        };
        self.file.write_all(bytes)?;
        self.disk.0.lock().unwrap().files[self.number]
            .0
            .extend(bytes);
        refused.map_or(Ok(bytes.len()), Err)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl StoredFile for FaultyFile {
    fn sync(&mut self) -> io::Result<()> {
        self.disk.begin()?;
        let file = &mut self.disk.0.lock().unwrap().files[self.number];
        file.1 = file.0.clone();
        Ok(())
    }
}

fn files_of(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let entries = fs::read_dir(dir).into_iter().flatten();
    entries
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect()
}

fn copy(from: &Path, to: &Path) {
    for (path, bytes) in files_of(from) {
        fs::create_dir_all(to).unwrap();
        fs::write(to.join(path.file_name().unwrap()), bytes).unwrap();
    }
}

fn model() -> Fingerprint {
    Fingerprint::of_parts([b"weights".as_slice()])
}

fn push(key: &str, number: u32, mut to: impl FnMut(&ItemPhoto<'_>)) {
    let payload = &json!({ "number": number });
    let vector = &[1.0, number as f32, 3.0];
    to(&ItemPhoto {
        key,
        group: None,
        payload,
        vector,
    });
}

fn writer(dir: &Path, numbers: std::ops::Range<u32>) -> IndexWriter {
    let mut writer = IndexWriter::create(dir, b"the bundle", model(), 3)
        .unwrap()
        .with_segment_rows(3);
    for number in numbers {
        push(&format!("item-{number}"), number, |photo| {
            writer.push(photo).unwrap();
        });
    }
    writer
}

/// Replaces an item, removes one (a whole segment's last where there is one), adds one.
fn update(dir: &Path) -> IndexUpdate {
    let mut update = IndexUpdate::open(dir).unwrap();
    push("item-1", 100, |photo| update.put(photo).unwrap());
    push("new", 7, |photo| update.put(photo).unwrap());
    update.remove("item-6").unwrap();
    update
}

/// All that an index says, checked; `None` where there is no index.
fn state_of(dir: &Path) -> Option<Vec<StoredItem>> {
    match Index::open(dir) {
        Ok(index) => {
            index.verify().unwrap();
            Some(index.items(None, usize::MAX).unwrap())
        }
        Err(IndexError::NotAnIndex { .. }) => None,
        Err(error) => panic!("{error}"),
    }
}

/// Lets `act` run on a copy of `start` with each fault at each operation.
fn cut_everywhere(start: &Path, act: impl Fn(&Path, &dyn Storage) -> Result<(), String>) {
    let before = state_of(start);
    let fresh = || {
        let holder = tempfile::tempdir().unwrap();
        let dir = holder.path().join("shop.plx");
        copy(start, &dir);
        (holder, dir)
    };
    let (_holder, dir) = fresh();
    let whole = FaultyDisk::on(&dir, None);
    act(&dir, &whole).unwrap();
    let after = state_of(&dir);
    let operations = whole.operations();
    assert!(operations > 5, "{operations}");

    for at in 0..operations {
        for fault in FAULTS {
            let (_holder, dir) = fresh();
            let disk = FaultyDisk::on(&dir, Some((at, fault)));
            let outcome = act(&dir, &disk);
            disk.restart(&dir);
            let found = state_of(&dir);
            let case = format!("{fault:?} at operation {at} of {operations}: {outcome:?}");
            assert!(
                found == before || found == after,
                "{case}: neither old nor new"
            );
            assert!(
                outcome.is_err() || found == after,
                "{case}: done but not there"
            );

            // The next writer goes on from there and tidies up.
            writer(&dir, 0..2).finish().unwrap();
            let manifest = Manifest::read(&dir).unwrap();
            for path in files_of(&dir).into_keys() {
                let name = path.file_name().unwrap().to_str().unwrap();
                let is_named = manifest.files().any(|entry| entry.file == name);
                assert!(
                    is_named || name == "manifest.json",
                    "{case}: {name} is left"
                );
                assert_eq!(is_named, is_made_by_us(name));
            }
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn text(error: impl ToString) -> String {
    error.to_string()
}

#[test]
fn a_cut_build_leaves_the_old_index_or_the_new() {
    let holder = tempfile::tempdir().unwrap();
    let build = |dir: &Path, disk: &dyn Storage| {
        let built = writer(dir, 5..12).finish_on(disk, |_| Ok::<_, IndexError>(None));
        built.map(drop).map_err(text)
    };
    cut_everywhere(&holder.path().join("nothing"), build);
    let old = holder.path().join("old");
    writer(&old, 0..7).finish().unwrap();
    cut_everywhere(&old, build);
}

#[test]
fn a_cut_commit_leaves_the_old_index_or_the_new() {
    let holder = tempfile::tempdir().unwrap();
    let old = holder.path().join("old");
    writer(&old, 0..7).finish().unwrap();
    cut_everywhere(&old, |dir, disk| {
        update(dir).commit_on(disk).map(drop).map_err(text)
    });
    // Where tombstones are replaced.
    update(&old).commit().unwrap();
    cut_everywhere(&old, |dir, disk| {
        let mut update = IndexUpdate::open(dir).unwrap();
        assert!(update.remove("item-0").unwrap() && update.remove("new").unwrap());
        update.commit_on(disk).map(drop).map_err(text)
    });
}

#[test]
fn a_cut_compaction_leaves_the_same_items() {
    let holder = tempfile::tempdir().unwrap();
    let old = holder.path().join("old");
    writer(&old, 0..7).finish().unwrap();
    update(&old).commit().unwrap();
    let options = CompactionOptions {
        all: true,
        ..CompactionOptions::default()
    };
    cut_everywhere(&old, |dir, disk| {
        compact_on(disk, dir, &options, || ())
            .map(drop)
            .map_err(text)
    });
}

#[test]
fn a_cut_merge_leaves_the_old_index_or_the_new() {
    let holder = tempfile::tempdir().unwrap();
    let [a, b, old] = ["a", "b", "old"].map(|name| holder.path().join(name));
    writer(&a, 0..4).finish().unwrap();
    writer(&b, 4..9).finish().unwrap();
    writer(&old, 20..23).finish().unwrap();
    let shards = [a, b];
    let act = |dir: &Path, disk: &dyn Storage| merge_on(disk, &shards, dir).map(drop).map_err(text);
    cut_everywhere(&holder.path().join("nothing"), act);
    cut_everywhere(&old, act);
}

#[test]
fn a_cut_pack_leaves_the_old_index_or_the_new() {
    let holder = tempfile::tempdir().unwrap();
    let [old, new, pack] = ["old", "new", "pack"].map(|name| holder.path().join(name));
    writer(&old, 0..7).finish().unwrap();
    copy(&old, &new);
    update(&new).commit().unwrap();
    let make = |from: Option<&Path>| {
        let delta = Delta {
            old: from,
            new: &new,
            #[cfg(feature = "signature")]
            sign: None,
        };
        diff(&delta, &pack).unwrap();
    };
    let act = |dir: &Path, disk: &dyn Storage| {
        apply_on(disk, dir, &pack, &|_, _| Ok(()))
            .map(drop)
            .map_err(text)
    };
    make(None);
    cut_everywhere(&holder.path().join("nothing"), act);
    cut_everywhere(&old, act);
    make(Some(&old));
    cut_everywhere(&old, act);

    // And back again.
    apply_on(&super::storage::Disk, &old, &pack, &|_, _| Ok(())).unwrap();
    assert_eq!(state_of(&old), state_of(&new));
    cut_everywhere(&old, |dir, disk| {
        rollback_on(disk, dir).map(drop).map_err(text)
    });
}
