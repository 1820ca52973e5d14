//! The part of `NeuralNetworks.h` that is used: numbers, structures, and the signatures of functions by
//! the API level that brought them. Names are those of the header.

use std::ffi::{c_char, c_int, c_void};

/// Opaque objects of the runtime.
macro_rules! opaque {
    ($($name:ident),*) => {$(
        #[repr(C)]
        pub(super) struct $name {
            _opaque: [u8; 0],
        }
    )*};
}
opaque!(Model, Compilation, Execution, Event, Memory, Device);

pub(super) const NO_ERROR: c_int = 0;

pub(super) const INT32: i32 = 1;
pub(super) const TENSOR_INT32: i32 = 4;
pub(super) const TENSOR_QUANT8_ASYMM: i32 = 5;
pub(super) const BOOL: i32 = 6;
pub(super) const TENSOR_QUANT8_SYMM_PER_CHANNEL: i32 = 11;
pub(super) const TENSOR_QUANT8_ASYMM_SIGNED: i32 = 14;

pub(super) const ADD: i32 = 0;
pub(super) const AVERAGE_POOL_2D: i32 = 1;
pub(super) const CONCATENATION: i32 = 2;
pub(super) const CONV_2D: i32 = 3;
pub(super) const DEPTHWISE_CONV_2D: i32 = 4;
pub(super) const MAX_POOL_2D: i32 = 17;
pub(super) const MUL: i32 = 18;
pub(super) const GROUPED_CONV_2D: i32 = 55;
pub(super) const HARD_SWISH: i32 = 99;

pub(super) const FUSED_NONE: i32 = 0;
pub(super) const FUSED_RELU: i32 = 1;
pub(super) const FUSED_RELU6: i32 = 3;

pub(super) const PREFER_FAST_SINGLE_ANSWER: i32 = 1;
pub(super) const DEVICE_CPU: i32 = 2;
pub(super) const PROT_READ: c_int = 1;

#[repr(C)]
pub(super) struct OperandType {
    pub(super) kind: i32,
    pub(super) dimension_count: u32,
    pub(super) dimensions: *const u32,
    pub(super) scale: f32,
    pub(super) zero_point: i32,
}

#[repr(C)]
pub(super) struct SymmPerChannelQuantParams {
    pub(super) channel_dim: u32,
    pub(super) scale_count: u32,
    pub(super) scales: *const f32,
}

/// Functions with the API level that brought them; those above the level asked for stay `None`.
macro_rules! functions {
    ($($name:ident: $level:literal = fn($($argument:ty),*) -> $result:ty;)*) => {
        #[allow(non_snake_case, reason = "the header's names")]
        pub(super) struct Functions {
            $(pub(super) $name: Option<unsafe extern "C" fn($($argument),*) -> $result>,)*
        }

        impl Functions {
            /// Looks up what API `level` has, in order; `Err` is the name of a function that should be there.
            ///
            /// # Safety
            /// `library` has functions with the signatures of `NeuralNetworks.h`, and outlives what is returned.
            pub(super) unsafe fn load(library: &libloading::Library, level: u32) -> Result<Self, &'static str> {
                Ok(Self {
                    $($name: if level < $level {
                        None
                    } else {
                        // SAFETY: the caller vouches for the signature.
                        let symbol = unsafe { library.get(concat!("ANeuralNetworks", stringify!($name), "\0").as_bytes()) };
                        Some(*symbol.map_err(|_| concat!("ANeuralNetworks", stringify!($name)))?)
                    },)*
                })
            }
        }
    };
}

functions! {
    Model_create: 27 = fn(*mut *mut Model) -> c_int;
    Model_free: 27 = fn(*mut Model) -> ();
    Model_finish: 27 = fn(*mut Model) -> c_int;
    Model_addOperand: 27 = fn(*mut Model, *const OperandType) -> c_int;
    Model_setOperandValue: 27 = fn(*mut Model, i32, *const c_void, usize) -> c_int;
    Model_setOperandValueFromMemory: 27 = fn(*mut Model, i32, *const Memory, usize, usize) -> c_int;
    Model_addOperation: 27 = fn(*mut Model, i32, u32, *const u32, u32, *const u32) -> c_int;
    Model_identifyInputsAndOutputs: 27 = fn(*mut Model, u32, *const u32, u32, *const u32) -> c_int;
    Memory_createFromFd: 27 = fn(usize, c_int, c_int, usize, *mut *mut Memory) -> c_int;
    Memory_free: 27 = fn(*mut Memory) -> ();
    Compilation_create: 27 = fn(*mut Model, *mut *mut Compilation) -> c_int;
    Compilation_setPreference: 27 = fn(*mut Compilation, i32) -> c_int;
    Compilation_finish: 27 = fn(*mut Compilation) -> c_int;
    Compilation_free: 27 = fn(*mut Compilation) -> ();
    Execution_create: 27 = fn(*mut Compilation, *mut *mut Execution) -> c_int;
    Execution_setInput: 27 = fn(*mut Execution, i32, *const OperandType, *const c_void, usize) -> c_int;
    Execution_setOutput: 27 = fn(*mut Execution, i32, *const OperandType, *mut c_void, usize) -> c_int;
    Execution_startCompute: 27 = fn(*mut Execution, *mut *mut Event) -> c_int;
    Execution_free: 27 = fn(*mut Execution) -> ();
    Event_wait: 27 = fn(*mut Event) -> c_int;
    Event_free: 27 = fn(*mut Event) -> ();
    _getDeviceCount: 29 = fn(*mut u32) -> c_int;
    _getDevice: 29 = fn(u32, *mut *mut Device) -> c_int;
    Device_getName: 29 = fn(*const Device, *mut *const c_char) -> c_int;
    Device_getVersion: 29 = fn(*const Device, *mut *const c_char) -> c_int;
    Device_getType: 29 = fn(*const Device, *mut i32) -> c_int;
    Model_setOperandSymmPerChannelQuantParams: 29 = fn(*mut Model, i32, *const SymmPerChannelQuantParams) -> c_int;
    Model_getSupportedOperationsForDevices: 29 = fn(*const Model, *const *const Device, u32, *mut bool) -> c_int;
    Compilation_createForDevices: 29 = fn(*mut Model, *const *const Device, u32, *mut *mut Compilation) -> c_int;
    Compilation_setCaching: 29 = fn(*mut Compilation, *const c_char, *const u8) -> c_int;
    Execution_compute: 29 = fn(*mut Execution) -> c_int;
}

/// What a result code means.
pub(super) fn code_name(code: c_int) -> &'static str {
    match code {
        1 => "out of memory",
        2 => "incomplete",
        3 => "unexpected null",
        4 => "bad data",
        5 => "operation failed",
        6 => "bad state",
        7 => "unmappable",
        8 => "output size insufficient",
        9 => "device unavailable",
        10 | 11 => "missed deadline",
        12 | 13 => "resources exhausted",
        14 => "dead object",
        _ => "an unknown code",
    }
}
