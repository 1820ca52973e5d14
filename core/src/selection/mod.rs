//! Which delegate runs the network: judged against the plan, never trusted.
//!
//! A delegate must give the plan's descriptors, within a tolerance, and must be faster. What was
//! measured is kept in a folder of the app's, for the bundle, the sizes, the device, its operating
//! system and this library. While a delegate is opened, compiles and runs for the first time, a marker
//! lies in that folder: where two processes in a row died over it, the delegate is not tried again
//! before the system is updated. Whatever happens, the plan goes on.
//!
//! An accepted delegate answers questions alone. What is put into an index is always described by the
//! plan, so that an index never depends on whose accelerator built it.

mod judge;
mod marker;
mod record;

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use crate::backbone::delegate::{
    Accelerated, Compiled, Delegate, DelegateDescription, DelegateError, guarded,
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
    /// Two processes in a row ended while it was tried.
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
            Self::Crashed => {
                f.write_str("ended the process when it was tried, twice in a row; not tried again")
            }
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
        let (found, report) = consider(embedder, candidate, options);
        reports.push(report);
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

/// One delegate is tried at a time: a marker is of one trial.
static TRIAL: Mutex<()> = Mutex::new(());

fn consider(
    embedder: &Embedder,
    candidate: Candidate<'_>,
    options: &SelectOptions,
) -> (Option<Accelerated>, DelegateReport) {
    let _trial = TRIAL.lock().unwrap_or_else(PoisonError::into_inner);
    let Candidate { name, open } = candidate;
    let fingerprint = embedder.bundle().fingerprint();
    let report = |description, verdict, remembered| DelegateReport {
        name: name.to_owned(),
        description,
        verdict,
        remembered,
    };
    let refused = |reason: String| DelegateVerdict::Refused { reason };
    let record = Record::read(options, name, fingerprint);
    if let Some(record) = &record {
        // What was measured, by what is asked now.
        let verdict = judge::verdict(record.measured, options);
        if !matches!(verdict, DelegateVerdict::Accepted(_)) {
            return (
                None,
                report(Some(record.description.clone()), verdict, true),
            );
        }
    }
    let marker = match Marker::set(options, name, fingerprint) {
        Ok(Some(marker)) => marker,
        Ok(None) => return (None, report(None, DelegateVerdict::Crashed, true)),
        Err(error) => {
            let reason = format!(
                "{} cannot be written, so that a crash could not be remembered: {error}",
                options.cache.display()
            );
            return (None, report(None, refused(reason), false));
        }
    };
    let compiled = guarded("opening", || {
        let delegate = open()?;
        let networks = compile(embedder, delegate.as_ref(), options)?;
        Ok(Accelerated::new(delegate.describe(), networks))
    });
    let (found, report) = match compiled {
        // A refusal is cheap to find out again, and may be mended by what the app changes.
        Err(error) => (None, report(None, refused(error.to_string()), false)),
        Ok(accelerated) => {
            let description = accelerated.description().clone();
            let known = record.filter(|record| record.description == description);
            let known = known.map(|known| known.measured);
            let remembered = known.is_some();
            match judge::judge(embedder, accelerated, known, options) {
                Err(reason) => (None, report(Some(description), refused(reason), false)),
                Ok((measured, accelerated)) => {
                    let record = Record::new(options, &description, measured);
                    // Not remembered, it is judged again at the next start.
                    let _ = record.write(options, name, fingerprint);
                    let verdict = judge::verdict(measured, options);
                    (accelerated, report(Some(description), verdict, remembered))
                }
            }
        }
    };
    marker.clear();
    (found, report)
}

/// Compiles the network for each size.
fn compile(
    embedder: &Embedder,
    delegate: &dyn Delegate,
    options: &SelectOptions,
) -> Result<Vec<Compiled>, DelegateError> {
    let sizes = options.sizes.iter().map(|&[width, height]| {
        let network = embedder
            .backbone()
            .network(width, height)
            .map_err(|error| DelegateError::Unavailable {
                reason: error.to_string(),
            })?;
        Compiled::new([width, height], &network, delegate)
    });
    sizes.collect()
}
