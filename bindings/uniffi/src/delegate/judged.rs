//! Judging what this platform has, and this library was built with.

use pocketlens::backbone::delegate::{Delegate, DelegateError};
use pocketlens::selection::{self, Candidate, DelegateVerdict, SelectOptions};

use super::{DelegateChooser, DelegateOptions, DelegateReport};
use crate::{Lens, PocketlensError};

/// Judges, and lets the first that is accepted run the network where the host allows it.
pub(super) fn judge(
    lens: &Lens,
    options: &DelegateOptions,
    chooser: &dyn DelegateChooser,
) -> Result<Vec<DelegateReport>, PocketlensError> {
    let current = lens.current();
    let cache = chooser.cache_folder()?;
    let select = SelectOptions {
        least_speedup: options.least_speedup,
        ..SelectOptions::new(&cache, &options.device)
    };
    let found = selection::select(current.embedder(), candidates(options, &cache), &select);
    let mut reports: Vec<DelegateReport> = found.reports.into_iter().map(Into::into).collect();
    // Of several only the first is accepted.
    let accepted = reports.iter_mut().find(|report| report.accepted);
    if let (Some(accelerated), Some(report)) = (found.accelerated, accepted) {
        if chooser.allows(report.clone())? {
            lens.accelerate_with(&current, accelerated);
        } else {
            report.accepted = false;
            report.explanation = format!("the app does not allow it: {}", report.explanation);
        }
    }
    Ok(reports)
}

fn candidates<'a>(options: &'a DelegateOptions, cache: &'a str) -> Vec<Candidate<'a>> {
    let mut candidates = Vec::new();
    if options.android_api.is_some() {
        candidates.push(Candidate {
            name: "nnapi",
            open: Box::new(|| nnapi(options, cache)),
        });
    }
    if options.core_ml_package.is_some() {
        candidates.push(Candidate {
            name: "coreml",
            open: Box::new(|| core_ml(options, cache)),
        });
    }
    candidates
}

type Opened = Result<Box<dyn Delegate>, DelegateError>;

#[cfg(all(feature = "nnapi", unix))]
fn nnapi(options: &DelegateOptions, cache: &str) -> Opened {
    use pocketlens::backbone::delegate::{Nnapi, NnapiOptions};

    let level = options.android_api.unwrap_or(0);
    let mut nnapi = NnapiOptions::new(level, cache);
    nnapi.allow_deprecated = options.allow_deprecated;
    if let Some(library) = &options.nnapi_library {
        nnapi.library = library.into();
    }
    Ok(Box::new(Nnapi::open(nnapi)?))
}

#[cfg(not(all(feature = "nnapi", unix)))]
fn nnapi(_: &DelegateOptions, _: &str) -> Opened {
    Err(DelegateError::Unavailable {
        reason: "this library was built without NNAPI (feature `nnapi`)".to_owned(),
    })
}

#[cfg(target_vendor = "apple")]
fn core_ml(options: &DelegateOptions, cache: &str) -> Opened {
    use std::path::Path;

    use pocketlens::backbone::delegate::CoreMl;

    let package = options.core_ml_package.as_deref().unwrap_or_default();
    Ok(Box::new(CoreMl::open(
        Path::new(package),
        Path::new(cache),
        &*options.device,
    )?))
}

#[cfg(not(target_vendor = "apple"))]
fn core_ml(_: &DelegateOptions, _: &str) -> Opened {
    Err(DelegateError::Unavailable {
        reason: "Core ML is on Apple's systems only".to_owned(),
    })
}

impl From<selection::DelegateReport> for DelegateReport {
    fn from(report: selection::DelegateReport) -> Self {
        let measured = match report.verdict {
            DelegateVerdict::Accepted(measured)
            | DelegateVerdict::Inaccurate(measured)
            | DelegateVerdict::Slow(measured) => Some(measured),
            DelegateVerdict::Refused { .. } | DelegateVerdict::Crashed => None,
        };
        Self {
            name: report.name,
            device: report.description.map(|description| description.device),
            accepted: matches!(report.verdict, DelegateVerdict::Accepted(_)),
            explanation: report.verdict.to_string(),
            least_cosine: measured.map(|measured| measured.least_cosine),
            speedup: measured.map(|measured| measured.plan_ms / measured.delegate_ms),
            remembered: report.remembered,
        }
    }
}
