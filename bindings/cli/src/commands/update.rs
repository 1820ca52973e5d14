//! `pocketlens index`: what changes an index that stands: add, remove, compact, merge, diff, apply, rollback, export.

use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;

use anyhow::{Context, Result, bail};
use clap::Args;
use pocketlens::build::add_to_index;
use pocketlens::bundle::Bundle;
use pocketlens::embedder::Embedder;
use pocketlens::image::Limits;
use pocketlens::index::{
    self, CompactionOptions, Delta, Index, IndexUpdate, PublicKey, SigningKey, shard_of,
};
use serde_json::json;

use super::{print_json, warn_about};
use crate::{catalogue, progress};

/// Items that are read at a time.
const PAGE: usize = 1000;

#[derive(Args)]
pub(crate) struct Add {
    /// The index directory
    index: PathBuf,
    /// Folder of photos, or a catalogue file
    source: PathBuf,
    /// Photos of one sub-folder answer as one group
    #[arg(long)]
    group_by_folder: bool,
    /// Threads; all cores when absent
    #[arg(long)]
    jobs: Option<usize>,
}

impl Add {
    pub(super) fn run(&self) -> Result<ExitCode> {
        let bundle = Index::open(&self.index)?.bundle_path();
        let embedder = Embedder::new(Bundle::open(bundle)?)?;
        let catalogue = catalogue::read(&self.source, self.group_by_folder)?;
        let entries = &catalogue.entries;
        let bar = progress::bar(entries.len(), "describing");
        let mut report = progress::with_jobs(self.jobs, || {
            let told = |done| bar.inc(done as u64);
            add_to_index(&self.index, &embedder, entries, &Limits::default(), &told)
        })??;
        bar.finish_and_clear();
        report.failed.extend(catalogue.failed);
        warn_about(&report.failed);
        eprintln!("{} photos added, {} items now", report.photos, report.items);
        Ok(ExitCode::SUCCESS)
    }
}

#[derive(Args)]
pub(crate) struct Remove {
    /// The index directory
    index: PathBuf,
    /// Keys of items, or @FILE with one a line
    #[arg(required = true)]
    keys: Vec<String>,
}

impl Remove {
    pub(super) fn run(&self) -> Result<ExitCode> {
        let mut update = IndexUpdate::open(&self.index)?;
        let mut unknown = Vec::new();
        for given in &self.keys {
            let listed = match given.strip_prefix('@') {
                Some(file) => std::fs::read_to_string(file).with_context(|| file.to_owned())?,
                None => given.clone(),
            };
            for key in listed.lines().filter(|key| !key.is_empty()) {
                if !update.remove(key)? {
                    unknown.push(key.to_owned());
                }
            }
        }
        if let Some(first) = unknown.first() {
            bail!(
                "{} of the keys are not in the index, the first: {first:?}; nothing was removed",
                unknown.len()
            );
        }
        eprintln!("{} items now", update.commit()?.info().items);
        Ok(ExitCode::SUCCESS)
    }
}

#[derive(Args)]
pub(crate) struct Compact {
    /// The index directory
    index: PathBuf,
    /// Merge all segments, not only those that are due
    #[arg(long)]
    all: bool,
    /// Most megabytes of memory
    #[arg(long, default_value_t = 256)]
    memory: u64,
}

impl Compact {
    pub(super) fn run(&self) -> Result<ExitCode> {
        let options = CompactionOptions {
            memory: self.memory.saturating_mul(1 << 20),
            all: self.all,
        };
        print_json(&Index::compact(&self.index, &options)?)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// One of so many parts of a catalogue, counted from 1.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shard {
    number: u32,
    of: u32,
}

impl Shard {
    pub(super) fn has(self, key: &str) -> bool {
        shard_of(key, self.of) == self.number - 1
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('/');
        let numbers = parts.and_then(|(number, of)| Some((number.parse().ok()?, of.parse().ok()?)));
        match numbers {
            Some((number, of)) if (1..=of).contains(&number) => Ok(Self { number, of }),
            _ => Err(format!("expected a part like 2/8, found {text:?}")),
        }
    }
}

#[derive(Args)]
pub(crate) struct Merge {
    /// Index directories that have no key in common
    #[arg(required = true)]
    shards: Vec<PathBuf>,
    /// The index directory to write
    #[arg(long)]
    out: PathBuf,
}

impl Merge {
    pub(super) fn run(&self) -> Result<ExitCode> {
        let info = index::merge(&self.shards, &self.out)?.info();
        eprintln!("{} items, {} bytes", info.items, info.bytes);
        Ok(ExitCode::SUCCESS)
    }
}

#[derive(Args)]
pub(crate) struct Diff {
    /// The index that devices have; "none" for a full pack
    old: PathBuf,
    /// The index that they are to have
    new: PathBuf,
    /// The pack to write
    #[arg(long)]
    out: PathBuf,
    /// File with an Ed25519 key of 64 hexadecimal digits, to sign with
    #[arg(long, value_name = "KEYFILE")]
    sign: Option<PathBuf>,
}

impl Diff {
    pub(super) fn run(&self) -> Result<ExitCode> {
        let key = self.sign.as_deref().map(SigningKey::read).transpose()?;
        let is_full = self.old.as_os_str() == "none";
        let delta = Delta {
            old: (!is_full).then_some(self.old.as_path()),
            new: &self.new,
            sign: key.as_ref(),
        };
        let packed = index::diff(&delta, &self.out)?;
        let share = 100.0 * packed.bytes as f64 / packed.of as f64;
        eprintln!("{} bytes, {share:.2} % of the index", packed.bytes);
        if let Some(key) = &key {
            eprintln!("devices check it with the public key {}", key.public_key());
        }
        Ok(ExitCode::SUCCESS)
    }
}

#[derive(Args)]
pub(crate) struct Apply {
    /// The index directory; made where there is none and the pack is full
    index: PathBuf,
    /// The pack
    pack: PathBuf,
    /// File with the public Ed25519 key, 64 hexadecimal digits: refuse what it did not sign
    #[arg(long, value_name = "KEYFILE")]
    key: Option<PathBuf>,
}

impl Apply {
    pub(super) fn run(&self) -> Result<ExitCode> {
        let key = self.key.as_deref().map(PublicKey::read).transpose()?;
        let info = index::apply(&self.index, &self.pack, key.as_ref())?.info();
        eprintln!("{} items; index rollback goes back", info.items);
        Ok(ExitCode::SUCCESS)
    }
}

#[derive(Args)]
pub(crate) struct Rollback {
    /// The index directory
    index: PathBuf,
}

impl Rollback {
    pub(super) fn run(&self) -> Result<ExitCode> {
        eprintln!("{} items", index::rollback(&self.index)?.info().items);
        Ok(ExitCode::SUCCESS)
    }
}

#[derive(Args)]
pub(crate) struct Export {
    /// The index directory
    index: PathBuf,
    /// Vectors too, one a photo
    #[arg(long)]
    vectors: bool,
}

impl Export {
    pub(super) fn run(&self) -> Result<ExitCode> {
        let index = Index::open(&self.index)?;
        let mut last: Option<String> = None;
        loop {
            let page = index.items(last.as_deref(), PAGE)?;
            for item in &page {
                let mut line =
                    json!({"key": item.key, "group": item.group, "payload": item.payload});
                if self.vectors {
                    line["vectors"] = json!(item.vectors);
                }
                print_json(&line)?;
            }
            match page.into_iter().next_back() {
                Some(item) => last = Some(item.key),
                None => return Ok(ExitCode::SUCCESS),
            }
        }
    }
}
