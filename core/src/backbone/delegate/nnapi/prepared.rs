//! A compiled model, and running it.

use std::borrow::Cow;
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::ptr;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::super::{DelegateError, NetworkValue, PreparedNetwork};
use super::Encoding;
use super::api::PREFER_FAST_SINGLE_ANSWER;
use super::model::Built;
use super::objects::{Compilation, DeviceChoice, Execution, call};
use crate::backbone::FeatureMap;
use crate::image::Pixels;

/// What runs one size of input.
pub(super) struct Compiled {
    compilation: Arc<Compilation>,
    input: NetworkValue,
    taps: Vec<NetworkValue>,
    encoding: Encoding,
}

impl Built {
    /// Compiles for a device, or below API 29 for what the system chooses. What the driver compiles is
    /// kept in `cache`, as far as it can.
    pub(super) fn compile(
        self,
        device: Option<&DeviceChoice>,
        cache: &Path,
    ) -> Result<Compiled, DelegateError> {
        let compilation = Compilation::new(&self.model, device)?;
        let runtime = &compilation.runtime;
        call!(
            runtime,
            Compilation_setPreference(compilation.raw, PREFER_FAST_SINGLE_ANSWER)
        )?;
        if let Some(device) = device {
            let token = self.token(device);
            if let Ok(folder) = CString::new(cache.as_os_str().as_bytes()) {
                let (folder, token) = (folder.as_ptr(), token.as_ptr());
                // Without it the driver compiles anew each time, and that is all.
                let _ = call!(
                    runtime,
                    Compilation_setCaching(compilation.raw, folder, token)
                );
            }
        }
        call!(runtime, Compilation_finish(compilation.raw))?;
        Ok(Compiled {
            compilation: Arc::new(compilation),
            input: self.input,
            taps: self.taps,
            encoding: self.encoding,
        })
    }

    /// Names what is compiled: 32 bytes that differ where the result may.
    fn token(&self, device: &DeviceChoice) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(self.digest);
        hash.update(device.name.as_bytes());
        hash.update([0]);
        hash.update(device.version.as_bytes());
        hash.finalize().into()
    }
}

impl PreparedNetwork for Compiled {
    fn run(&self, pixels: &Pixels) -> Result<Vec<FeatureMap>, DelegateError> {
        let [rows, columns, _] = self.input.shape;
        let found = [pixels.height() as usize, pixels.width() as usize];
        if found != [rows, columns] {
            return Err(DelegateError::Failed {
                call: "reading the input".to_owned(),
                reason: format!("{columns}×{rows} expected, found {}×{}", found[1], found[0]),
            });
        }
        let execution = Execution::new(&self.compilation)?;
        let runtime = &execution.runtime;
        let input = self.encoded(pixels.data());
        let (data, length) = (input.as_ptr().cast(), input.len());
        call!(
            runtime,
            Execution_setInput(execution.raw, 0, ptr::null(), data, length)
        )?;
        let lengths = self.taps.iter().map(|tap| tap.shape.iter().product());
        let mut outputs: Vec<Vec<u8>> = lengths.map(|length: usize| vec![0; length]).collect();
        for (output, index) in outputs.iter_mut().zip(0..) {
            let (data, length) = (output.as_mut_ptr().cast(), output.len());
            call!(
                runtime,
                Execution_setOutput(execution.raw, index, ptr::null(), data, length)
            )?;
        }
        // The buffers live until this returns, and nothing of it runs on.
        execution.compute()?;
        Ok(outputs
            .iter()
            .zip(&self.taps)
            .map(|(bytes, tap)| self.map(bytes, tap))
            .collect())
    }
}

impl Compiled {
    fn encoded<'a>(&self, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        match self.encoding {
            Encoding::Unsigned => Cow::Borrowed(bytes),
            Encoding::Signed => bytes.iter().map(|byte| byte ^ 0x80).collect(),
        }
    }

    fn map(&self, bytes: &[u8], tap: &NetworkValue) -> FeatureMap {
        let flip = match self.encoding {
            Encoding::Unsigned => 0,
            Encoding::Signed => 0x80,
        };
        let real: [f32; 256] =
            std::array::from_fn(|byte| (byte as f32 - f32::from(tap.zero)) * tap.scale);
        let data = bytes.iter().map(|&byte| real[usize::from(byte ^ flip)]);
        let [rows, columns, channels] = tap.shape;
        FeatureMap::new(rows, columns, channels, data.collect()).expect("shapes are never empty")
    }
}
