//! NNAPI, Android's way to a phone's neural accelerator: `libneuralnetworks.so`, opened at run time.
//!
//! Android 8.1 (API 27) brought it and Android 15 (API 35) deprecates it, so that it is off there
//! unless asked for. A network is handed over whole or not at all: where a device refuses a layer,
//! the plan runs. Per-channel weights need API 29, signed bytes and HardSwish API 30.

// Every call crosses a foreign interface.
#![allow(unsafe_code)]

mod api;
mod model;
mod objects;
mod prepared;

use std::path::PathBuf;
use std::sync::Arc;

use super::{Delegate, DelegateDescription, DelegateError, Network, PreparedNetwork};
use objects::{DeviceChoice, Runtime};

/// The first API level that deprecates NNAPI: Android 15.
const DEPRECATED: u32 = 35;

/// How a device is to see bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    /// `QUANT8_ASYMM`, 0..=255: the plan's own.
    #[default]
    Unsigned,
    /// `QUANT8_ASYMM_SIGNED`, -128..=127, from API 30 on: some drivers know nothing else.
    Signed,
}

/// How NNAPI is used.
#[derive(Clone, Debug)]
pub struct NnapiOptions {
    /// The library's name or path.
    pub library: PathBuf,
    /// The device's API level (`Build.VERSION.SDK_INT`).
    pub api_level: u32,
    /// A folder of the app's for weights and compiled networks.
    pub cache: PathBuf,
    /// Bytes with or without a sign.
    pub encoding: Encoding,
    /// Use it on Android 15 and later, too.
    pub allow_deprecated: bool,
}

impl NnapiOptions {
    /// The system's library, unsigned bytes, not where it is deprecated.
    pub fn new(api_level: u32, cache: impl Into<PathBuf>) -> Self {
        Self {
            library: "libneuralnetworks.so".into(),
            api_level,
            cache: cache.into(),
            encoding: Encoding::default(),
            allow_deprecated: false,
        }
    }
}

/// NNAPI on one device.
pub struct Nnapi {
    runtime: Arc<Runtime>,
    /// `None` below API 29, where the system chooses.
    device: Option<DeviceChoice>,
    options: NnapiOptions,
}

impl Nnapi {
    /// Opens the library and chooses a device: an accelerator before a GPU, the system's own processor
    /// code never.
    ///
    /// # Errors
    /// [`DelegateError::Unavailable`] without a library or a device, below API 27, and where it is
    /// deprecated; [`DelegateError::Failed`] when the driver fails.
    pub fn open(options: NnapiOptions) -> Result<Self, DelegateError> {
        let unavailable = |reason: String| Err(DelegateError::Unavailable { reason });
        let level = options.api_level;
        if level < 27 {
            return unavailable(format!("NNAPI needs API level 27, this is {level}"));
        }
        if level >= DEPRECATED && !options.allow_deprecated {
            return unavailable(format!(
                "NNAPI is deprecated from API level {DEPRECATED} on, this is {level}; `allow_deprecated` tries it nevertheless"
            ));
        }
        if options.encoding == Encoding::Signed && level < 30 {
            return unavailable(format!("signed bytes need API level 30, this is {level}"));
        }
        let runtime = Runtime::open(&options.library, level)?;
        let device = match level {
            ..29 => None,
            _ => match runtime.best_device()? {
                Some(device) => Some(device),
                None => return unavailable("no device but the system's processor code".to_owned()),
            },
        };
        Ok(Self {
            runtime,
            device,
            options,
        })
    }
}

impl Delegate for Nnapi {
    fn describe(&self) -> DelegateDescription {
        let device = match &self.device {
            Some(device) => format!("{} {}", device.name, device.version),
            None => "chosen by the system".to_owned(),
        };
        DelegateDescription {
            name: "nnapi".to_owned(),
            device: format!("{device}, API {}", self.options.api_level),
        }
    }

    fn prepare(&self, network: &Network) -> Result<Box<dyn PreparedNetwork>, DelegateError> {
        let built = model::build(&self.runtime, network, &self.options)?;
        if let Some(device) = &self.device {
            built.require_whole(device)?;
        }
        let compiled = built.compile(self.device.as_ref(), &self.options.cache)?;
        Ok(Box::new(compiled))
    }
}
