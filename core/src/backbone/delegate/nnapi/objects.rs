//! The runtime's objects, each freed exactly once and after all that is made of it.

use std::ffi::{CStr, c_char, c_int};
use std::mem::ManuallyDrop;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::ptr;
use std::sync::Arc;

use super::super::DelegateError;
use super::api::{self, DEVICE_CPU, Functions, NO_ERROR, PROT_READ, code_name};

/// The open library.
pub(super) struct Runtime {
    pub(super) functions: Functions,
    /// Keeps the functions where they are. Never closed: a driver may have threads of its own in it.
    _library: ManuallyDrop<libloading::Library>,
}

/// A device that may be chosen.
pub(super) struct DeviceChoice {
    pub(super) device: *const api::Device,
    pub(super) name: String,
    pub(super) version: String,
}

// SAFETY: devices are constants of the runtime, which the header allows any thread to read.
unsafe impl Send for DeviceChoice {}
// SAFETY: as above.
unsafe impl Sync for DeviceChoice {}

/// The result code of a call as an error.
pub(super) fn check(call: &str, code: c_int) -> Result<(), DelegateError> {
    match code {
        NO_ERROR => Ok(()),
        _ => Err(DelegateError::Failed {
            call: format!("ANeuralNetworks{call}"),
            reason: format!("{} ({code})", code_name(code)),
        }),
    }
}

/// Calls a function of the runtime by its name in the header; `Err` where it is absent or fails.
macro_rules! call {
    ($runtime:expr, $name:ident($($argument:expr),* $(,)?)) => {{
        match $runtime.functions.$name {
            Some(function) => {
                // SAFETY: the signature is the header's; the pointers are live objects of this runtime, or point at
                // memory that outlives what the header asks for: see where each is made.
                let code = unsafe { function($($argument),*) };
                $crate::backbone::delegate::nnapi::objects::check(stringify!($name), code)
            }
            None => Err($crate::backbone::delegate::DelegateError::Unavailable {
                reason: format!("ANeuralNetworks{} needs a newer Android", stringify!($name)),
            }),
        }
    }};
}
pub(super) use call;

impl Runtime {
    pub(super) fn open(library: &Path, level: u32) -> Result<Arc<Self>, DelegateError> {
        let unavailable = |reason: String| DelegateError::Unavailable { reason };
        // SAFETY: opening runs the library's own start-up code; the system's is trusted with that, and a path to another
        // is given by who vouches for it.
        let opened = unsafe { libloading::Library::new(library) }
            .map_err(|error| unavailable(format!("{}: {error}", library.display())))?;
        // SAFETY: libneuralnetworks.so has the header's signatures, and `_library` outlives the functions.
        let functions = unsafe { Functions::load(&opened, level) }.map_err(|name| {
            unavailable(format!(
                "{} has no {name}, which API level {level} has",
                library.display()
            ))
        })?;
        Ok(Arc::new(Self {
            functions,
            _library: ManuallyDrop::new(opened),
        }))
    }

    /// The device of the highest type; of several the first.
    pub(super) fn best_device(&self) -> Result<Option<DeviceChoice>, DelegateError> {
        let mut count = 0;
        call!(self, _getDeviceCount(&raw mut count))?;
        let mut best: Option<(i32, DeviceChoice)> = None;
        for index in 0..count {
            let mut device = ptr::null_mut();
            call!(self, _getDevice(index, &raw mut device))?;
            let mut kind = 0;
            call!(self, Device_getType(device, &raw mut kind))?;
            if kind == DEVICE_CPU || best.as_ref().is_some_and(|(of, _)| *of >= kind) {
                continue;
            }
            let mut name = ptr::null();
            call!(self, Device_getName(device, &raw mut name))?;
            let mut version = ptr::null();
            call!(self, Device_getVersion(device, &raw mut version))?;
            let choice = DeviceChoice {
                device,
                name: text(name),
                version: text(version),
            };
            best = Some((kind, choice));
        }
        Ok(best.map(|(_, choice)| choice))
    }
}

/// A text of the runtime's; empty for null.
fn text(pointer: *const c_char) -> String {
    if pointer.is_null() {
        return String::new();
    }
    // SAFETY: the header promises a C string that lives as long as the library.
    let text = unsafe { CStr::from_ptr(pointer) };
    text.to_string_lossy().into_owned()
}

/// An object of the runtime that is freed with its owner.
macro_rules! object {
    ($name:ident, $raw:ty, $free:ident, $keeps:ty) => {
        pub(super) struct $name {
            pub(super) raw: *mut $raw,
            pub(super) runtime: Arc<Runtime>,
            /// What must outlive it.
            _keeps: $keeps,
        }

        // SAFETY: the header lets an object move between threads; all uses here are of one thread at a time, or reads.
        unsafe impl Send for $name {}
        // SAFETY: as above.
        unsafe impl Sync for $name {}

        impl Drop for $name {
            fn drop(&mut self) {
                if let Some(free) = self.runtime.functions.$free {
                    // SAFETY: it was created once, is freed once, and before what it was made of.
                    unsafe { free(self.raw) };
                }
            }
        }
    };
}
object!(Memory, api::Memory, Memory_free, ());
object!(Model, api::Model, Model_free, Option<Memory>);
object!(Compilation, api::Compilation, Compilation_free, Arc<Model>);
object!(Execution, api::Execution, Execution_free, Arc<Compilation>);
object!(Event, api::Event, Event_free, ());

impl Memory {
    /// Maps a file's first `length` bytes; the runtime keeps its own handle of it.
    pub(super) fn of_file(
        runtime: &Arc<Runtime>,
        file: &std::fs::File,
        length: usize,
    ) -> Result<Self, DelegateError> {
        let mut raw = ptr::null_mut();
        let descriptor = file.as_raw_fd();
        call!(
            runtime,
            Memory_createFromFd(length, PROT_READ, descriptor, 0, &raw mut raw)
        )?;
        Ok(Self {
            raw,
            runtime: runtime.clone(),
            _keeps: (),
        })
    }
}

impl Model {
    pub(super) fn new(
        runtime: &Arc<Runtime>,
        weights: Option<Memory>,
    ) -> Result<Self, DelegateError> {
        let mut raw = ptr::null_mut();
        call!(runtime, Model_create(&raw mut raw))?;
        Ok(Self {
            raw,
            runtime: runtime.clone(),
            _keeps: weights,
        })
    }

    /// The weights that its operands point into.
    pub(super) fn weights(&self) -> Option<&Memory> {
        self._keeps.as_ref()
    }
}

impl Compilation {
    pub(super) fn new(
        model: &Arc<Model>,
        device: Option<&DeviceChoice>,
    ) -> Result<Self, DelegateError> {
        let runtime = &model.runtime;
        let mut raw = ptr::null_mut();
        match device {
            Some(device) => {
                let devices = [device.device];
                let (devices, raw) = (devices.as_ptr(), &raw mut raw);
                call!(
                    runtime,
                    Compilation_createForDevices(model.raw, devices, 1, raw)
                )?;
            }
            None => call!(runtime, Compilation_create(model.raw, &raw mut raw))?,
        }
        Ok(Self {
            raw,
            runtime: runtime.clone(),
            _keeps: model.clone(),
        })
    }
}

impl Execution {
    pub(super) fn new(compilation: &Arc<Compilation>) -> Result<Self, DelegateError> {
        let runtime = &compilation.runtime;
        let mut raw = ptr::null_mut();
        call!(runtime, Execution_create(compilation.raw, &raw mut raw))?;
        Ok(Self {
            raw,
            runtime: runtime.clone(),
            _keeps: compilation.clone(),
        })
    }

    /// Runs to the end: in one call from API 29 on, before it by an event.
    pub(super) fn compute(&self) -> Result<(), DelegateError> {
        if self.runtime.functions.Execution_compute.is_some() {
            return call!(self.runtime, Execution_compute(self.raw));
        }
        let mut raw = ptr::null_mut();
        call!(self.runtime, Execution_startCompute(self.raw, &raw mut raw))?;
        let event = Event {
            raw,
            runtime: self.runtime.clone(),
            _keeps: (),
        };
        call!(self.runtime, Event_wait(event.raw))
    }
}
