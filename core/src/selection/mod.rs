//! Which delegate runs the network: judged against the plan, never trusted.
//!
//! A delegate must give the plan's descriptors, within a tolerance, and must be faster. The verdict is
//! kept in a folder of the app's, for the bundle, the device and its operating system. While a
//! delegate is opened, compiles and runs for the first time, a marker lies in that folder: where the
//! process died of it, the marker is still there at the next start, and the delegate is not tried
//! again. Whatever happens, the plan goes on.
//!
//! An accepted delegate answers questions alone. What is put into an index is always described by the
//! plan, so that an index never depends on whose accelerator built it.

mod judge;
mod marker;
mod record;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use crate::backbone::delegate::{
    Accelerated, Delegate, DelegateDescription, DelegateError, Networks,
};
use crate::embedder::Embedder;
use marker::Marker;
use record::Record;

/// Opens a delegate. Loading a driver runs its code, so that it is part of what is guarded.
pub type Open<'a> = Box<dyn FnOnce() -> Result<Box<dyn Delegate>, DelegateError> + 'a>;

/// A delegate that may be there.
pub struct Candidate<'a> {
    /// Letters, digits and hyphens: the verdict is filed under it.
    pub name: &'a str,
    /// Called at most once.
    pub open: Open<'a>,
}

/// How delegates are judged.
#[derive(Clone, Debug)]
pub struct SelectOptions {
    /// A folder of the app's, for verdicts and markers.
    pub cache: PathBuf,
    /// The device and its operating system, such as `Build.FINGERPRINT`: after an update of either a
    /// delegate is judged anew.
    pub device: String,
    /// Widths and heights of the network's input that a delegate is asked to run; it runs no others.
    pub sizes: Vec<[u32; 2]>,
    /// The least cosine with the plan's descriptor, of any picture.
    pub least_cosine: f32,
    /// How many times faster than the plan it must be.
    pub least_speedup: f32,
}

impl SelectOptions {
    /// Both orientations of a 4:3 camera at a longest side of 320, a cosine of 0.99, any gain of time.
    pub fn new(cache: impl Into<PathBuf>, device: impl Into<String>) -> Self {
        Self {
            cache: cache.into(),
            device: device.into(),
            sizes: vec![[320, 256], [256, 320]],
            least_cosine: 0.99,
            least_speedup: 1.0,
        }
    }
}

/// What became of the candidates.
#[derive(Debug)]
pub struct Selection {
    /// The first that was accepted; `None`: the plan runs.
    pub accelerated: Option<Accelerated>,
    /// One a candidate that was looked at, in their order.
    pub reports: Vec<DelegateReport>,
}

/// What became of a candidate, for an app to log.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct DelegateReport {
    /// The candidate.
    pub name: String,
    /// Device and driver; `None` where it could not be opened.
    pub description: Option<DelegateDescription>,
    /// Whether it runs, or why not.
    pub verdict: DelegateVerdict,
    /// Whether the verdict is that of an earlier start.
    pub remembered: bool,
}

/// Whether a delegate runs the network, or why not.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum DelegateVerdict {
    /// It runs.
    Accepted(Measured),
    /// Its descriptors are too far from the plan's.
    Inaccurate(Measured),
    /// It is not faster.
    Slow(Measured),
    /// It is not there, does not run this network, or failed.
    Refused {
        /// Why.
        reason: String,
    },
    /// The process ended while it was tried.
    Crashed,
}

/// What was measured of a delegate.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Measured {
    /// Of its descriptors with the plan's, over all pictures.
    pub least_cosine: f32,
    /// Median time of a descriptor, all sizes together, milliseconds.
    pub delegate_ms: f64,
    /// The same of the plan, on one thread, in turns with the delegate.
    pub plan_ms: f64,
}

impl std::fmt::Display for DelegateVerdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut say = |what: &str, measured: &Measured| {
            let Measured {
                least_cosine,
                delegate_ms,
                plan_ms,
            } = measured;
            write!(
                f,
                "{what} (cosine {least_cosine:.4}, {delegate_ms:.2} ms, plan {plan_ms:.2} ms)"
            )
        };
        match self {
            Self::Accepted(measured) => say("runs", measured),
            Self::Inaccurate(measured) => say("too far from the plan", measured),
            Self::Slow(measured) => say("not faster than the plan", measured),
            Self::Refused { reason } => write!(f, "does not run: {reason}"),
            Self::Crashed => f.write_str("ended the process when it was tried; not tried again"),
        }
    }
}

/// Judges candidates in their order until one is accepted.
///
/// It takes as long as the delegates compile, and some dozen runs of the network where no verdict is
/// remembered: call it on a thread of its own. It never fails; where the folder cannot be written,
/// nothing is remembered and nothing is tried, because nothing could be guarded.
pub fn select(
    embedder: &Embedder,
    candidates: Vec<Candidate<'_>>,
    options: &SelectOptions,
) -> Selection {
    let mut reports = Vec::new();
    for candidate in candidates {
        let name = candidate.name.to_owned();
        let (found, report) = consider(embedder, candidate, options);
        reports.push(DelegateReport { name, ..report });
        if found.is_some() {
            return Selection {
                accelerated: found,
                reports,
            };
        }
    }
    Selection {
        accelerated: None,
        reports,
    }
}

fn consider(
    embedder: &Embedder,
    candidate: Candidate<'_>,
    options: &SelectOptions,
) -> (Option<Accelerated>, DelegateReport) {
    let fingerprint = embedder.bundle().fingerprint();
    let report = |description, verdict, remembered| DelegateReport {
        name: String::new(),
        description,
        verdict,
        remembered,
    };
    let record = Record::read(options, candidate.name, fingerprint);
    if Marker::is_left(options, candidate.name, fingerprint) {
        return (None, report(None, DelegateVerdict::Crashed, true));
    }
    match &record {
        Some(Record {
            verdict: DelegateVerdict::Accepted(_),
            ..
        })
        | None => {}
        Some(record) => {
            let (description, verdict) = (record.description.clone(), record.verdict.clone());
            return (None, report(description, verdict, true));
        }
    }
    let refused = |reason: String| DelegateVerdict::Refused { reason };
    let marker = match Marker::set(options, candidate.name, fingerprint) {
        Ok(marker) => marker,
        Err(error) => {
            let reason = format!(
                "{} cannot be written, so that a crash could not be remembered: {error}",
                options.cache.display()
            );
            return (None, report(None, refused(reason), false));
        }
    };
    let name = candidate.name;
    let opened = guarded("opening", candidate.open);
    let (description, prepared) = match opened {
        Ok(delegate) => (
            Some(delegate.describe()),
            prepare(embedder, delegate.as_ref(), options),
        ),
        Err(error) => (None, Err(error)),
    };
    let known = record.filter(|record| record.description == description);
    let remembered = known.is_some();
    let (accelerated, verdict) = match (prepared, &description) {
        (Ok(networks), Some(description)) => {
            let accelerated = Accelerated::new(description.clone(), 0.0, networks);
            judge::judge(
                embedder,
                accelerated,
                known.as_ref().map(|known| &known.verdict),
                options,
            )
        }
        (Err(error), _) => (None, refused(error.to_string())),
        (Ok(_), None) => unreachable!("what was prepared was opened"),
    };
    if !remembered || accelerated.is_none() {
        let record = Record {
            device: options.device.clone(),
            description: description.clone(),
            verdict: verdict.clone(),
        };
        // Not remembered, it is judged again at the next start.
        let _ = record.write(options, name, fingerprint);
    }
    marker.clear();
    (accelerated, report(description, verdict, remembered))
}

/// Compiles the network for each size.
fn prepare(
    embedder: &Embedder,
    delegate: &dyn Delegate,
    options: &SelectOptions,
) -> Result<Networks, DelegateError> {
    let sizes = options.sizes.iter().map(|&[width, height]| {
        let network = embedder
            .backbone()
            .network(width, height)
            .map_err(|error| DelegateError::Unavailable {
                reason: error.to_string(),
            })?;
        let prepared = guarded("preparing", || delegate.prepare(&network))?;
        Ok(([width, height], prepared))
    });
    sizes.collect()
}

/// Runs a delegate's code; its panic is its failure.
fn guarded<T>(
    what: &str,
    run: impl FnOnce() -> Result<T, DelegateError>,
) -> Result<T, DelegateError> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| {
        Err(DelegateError::Failed {
            call: what.to_owned(),
            reason: "it panicked".to_owned(),
        })
    })
}
