//! The phone's accelerator: judged against the plan, and told of.

#[cfg(any(feature = "nnapi", target_vendor = "apple"))]
mod judged;

use std::sync::Arc;

use pocketlens::lens as core;
use pocketlens::selftest::SelftestReport;

use crate::{Lens, PocketlensError, task};

/// Which accelerator is looked at, and how.
#[derive(Clone, Debug, PartialEq, uniffi::Record)]
pub struct DelegateOptions {
    /// The device and its system, such as `Build.FINGERPRINT`: after an update of either it is judged anew.
    pub device: String,
    /// Android's `Build.VERSION.SDK_INT`: NNAPI is judged where it is given.
    #[uniffi(default = None)]
    pub android_api: Option<u32>,
    /// Use NNAPI on Android 15 and later, which deprecate it.
    #[uniffi(default = false)]
    pub allow_deprecated: bool,
    /// NNAPI's library, where it is not the system's.
    #[uniffi(default = None)]
    pub nnapi_library: Option<String>,
    /// The network as an ML program (`.mlpackage`): Core ML is judged where it is given.
    #[uniffi(default = None)]
    pub core_ml_package: Option<String>,
    /// How many times faster than the plan it must be.
    #[uniffi(default = 1.0)]
    pub least_speedup: f32,
}

/// The host's say on accelerators. Called on the library's threads, where it may block.
#[uniffi::export(with_foreign)]
pub trait DelegateChooser: Send + Sync {
    /// A folder of the app's cache, for verdicts and compiled networks; made where it is not there. Asked once a call, before
    /// anything is opened.
    ///
    /// # Errors
    /// [`PocketlensError`] where there is none: nothing is judged, and the plan runs.
    fn cache_folder(&self) -> Result<String, PocketlensError>;
    /// Whether an accelerator that was judged as good as the plan and faster may run the network.
    ///
    /// # Errors
    /// [`PocketlensError`] where the host cannot say: it may not.
    fn allows(&self, report: DelegateReport) -> Result<bool, PocketlensError>;
}

/// What became of an accelerator, for the app's log.
#[derive(Clone, Debug, PartialEq, uniffi::Record)]
pub struct DelegateReport {
    /// `nnapi` or `coreml`.
    pub name: String,
    /// Device and driver, where it could be opened.
    pub device: Option<String>,
    /// Whether it runs the network from now on.
    pub accepted: bool,
    /// Why, in words.
    pub explanation: String,
    /// The least cosine of its descriptors with the plan's.
    pub least_cosine: Option<f32>,
    /// How many times faster than the plan it is.
    pub speedup: Option<f64>,
    /// Whether the verdict is that of an earlier start.
    pub remembered: bool,
}

/// The accelerator's part in an answer.
#[derive(Clone, Debug, PartialEq, uniffi::Record)]
pub struct Delegated {
    /// Who ran the network.
    pub name: String,
    /// The least cosine of its descriptors with the plan's, which the index holds.
    pub least_cosine: f32,
}

/// Whether this device gives the golden descriptors.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct SelfTestReport {
    /// Nothing is wrong: all instruction sets agree, with each other and with the golden descriptors.
    pub passed: bool,
    /// For people: a line an instruction set and accelerator.
    pub text: String,
}

#[uniffi::export]
impl Lens {
    /// Judges the phone's accelerator against the plan, and lets it run the network for what is asked from now on where it
    /// is as good and faster and the host allows it. What is put into the index is described by the plan all the same. Seconds at the first
    /// start; a crash of its driver is remembered, and it is not tried again.
    ///
    /// # Errors
    /// What the chooser failed with; the plan runs then. A failing accelerator is no error: its report says why.
    pub async fn accelerate(
        self: Arc<Self>,
        options: DelegateOptions,
        chooser: Arc<dyn DelegateChooser>,
    ) -> Result<Vec<DelegateReport>, PocketlensError> {
        task::run_whole(move || self.judge(&options, &*chooser)).await
    }

    /// Describes the golden pictures on every instruction set of this processor. Seconds.
    ///
    /// # Errors
    /// [`PocketlensError::Incompatible`] when the model does not run.
    pub async fn self_test(
        self: Arc<Self>,
        device: String,
    ) -> Result<SelfTestReport, PocketlensError> {
        task::run_whole(move || {
            let report = SelftestReport::run(self.current().embedder(), device, Vec::new())
                .map_err(core::LensError::from)?;
            Ok(SelfTestReport {
                passed: report.passed(),
                text: report.to_string(),
            })
        })
        .await
    }
}

impl Lens {
    #[cfg(any(feature = "nnapi", target_vendor = "apple"))]
    fn judge(
        &self,
        options: &DelegateOptions,
        chooser: &dyn DelegateChooser,
    ) -> Result<Vec<DelegateReport>, PocketlensError> {
        judged::judge(self, options, chooser)
    }

    /// Without a delegate nothing of judging one is in the library.
    #[cfg(not(any(feature = "nnapi", target_vendor = "apple")))]
    fn judge(
        &self,
        options: &DelegateOptions,
        _: &dyn DelegateChooser,
    ) -> Result<Vec<DelegateReport>, PocketlensError> {
        let report = |name: &str, explanation: &str| DelegateReport {
            name: name.to_owned(),
            device: None,
            accepted: false,
            explanation: explanation.to_owned(),
            least_cosine: None,
            speedup: None,
            remembered: false,
        };
        let nnapi = options.android_api.map(|_| {
            report(
                "nnapi",
                "does not run: this library was built without it (feature `nnapi`)",
            )
        });
        let core_ml = options.core_ml_package.as_ref();
        let core_ml =
            core_ml.map(|_| report("coreml", "does not run: it is on Apple's systems only"));
        Ok(nnapi.into_iter().chain(core_ml).collect())
    }
}

impl From<core::Delegated> for Delegated {
    fn from(delegated: core::Delegated) -> Self {
        Self {
            name: delegated.by.name,
            least_cosine: delegated.least_cosine,
        }
    }
}
