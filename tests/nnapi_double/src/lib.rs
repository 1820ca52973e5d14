//! A double of Android's `libneuralnetworks.so`: the C functions that Pocketlens calls, each of which
//! checks the order of calls, how operands are encoded and who owns what, and a device that computes
//! the operations in plain code of its own (`compute.rs`).
//!
//! It proves that the protocol is kept, as the header tells it. It proves nothing of real drivers.
//! `double_configure` and `double_report` are the test's own.

#![allow(unsafe_code, reason = "a C library")]
#![allow(non_snake_case, reason = "the header's names")]
#![allow(
    missing_docs,
    clippy::missing_safety_doc,
    reason = "the header documents them"
)]
// The header's types, as any caller of the library passes them.
#![allow(clippy::not_unsafe_ptr_arg_deref)]

mod check;
mod compute;
mod state;

use std::ffi::{c_char, c_int, c_void};
use std::fs::File;
use std::os::fd::BorrowedFd;
use std::slice;

use state::{BAD_DATA, BAD_STATE, Kind, NO_ERROR, Object, OperandType, UNEXPECTED_NULL, state};

/// How the one device behaves.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Behaviour {
    /// An operation that it does not support, or -1.
    pub refuses: i32,
    /// What computing returns.
    pub compute: c_int,
    /// Added to every byte that it gives, wrapping.
    pub offset: i32,
    /// 2: there is nothing but processor code; 4: an accelerator.
    pub device_type: i32,
}

impl Behaviour {
    const SOUND: Self = Self {
        refuses: -1,
        compute: NO_ERROR,
        offset: 0,
        device_type: 4,
    };
}

/// The list of a pointer and a count; empty for null.
unsafe fn list<'a, T>(data: *const T, count: u32) -> &'a [T] {
    if data.is_null() {
        return &[];
    }
    // SAFETY: a caller of the library passes what its header asks for.
    unsafe { slice::from_raw_parts(data, count as usize) }
}

/// Makes an object and stores its handle.
unsafe fn create(kind: Object, of: Option<usize>, out: *mut usize) -> c_int {
    if out.is_null() {
        return state().violate(UNEXPECTED_NULL, "no place for a new object");
    }
    let handle = state().add(kind, of);
    // SAFETY: not null, and a place for a handle by the header.
    unsafe { *out = handle };
    NO_ERROR
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn double_configure(behaviour: *const Behaviour) {
    // SAFETY: the test passes one.
    state().behaviour = unsafe { *behaviour };
}

/// Writes what lives and what was violated, as text; returns its length.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn double_report(out: *mut u8, length: usize) -> usize {
    let report = state().report();
    let bytes = &report.as_bytes()[..report.len().min(length)];
    // SAFETY: the test passes a buffer of that length.
    unsafe { out.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
    bytes.len()
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn ANeuralNetworks_getDeviceCount(count: *mut u32) -> c_int {
    // SAFETY: a place for a number by the header.
    unsafe { *count = 1 };
    NO_ERROR
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn ANeuralNetworks_getDevice(index: u32, device: *mut usize) -> c_int {
    if index != 0 {
        return state().violate(BAD_DATA, "there is one device");
    }
    // SAFETY: a place for a handle by the header.
    unsafe { *device = state::DEVICE };
    NO_ERROR
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn ANeuralNetworksDevice_getName(
    device: usize,
    name: *mut *const c_char,
) -> c_int {
    // SAFETY: a place for a pointer by the header.
    unsafe { *name = c"double".as_ptr() };
    state().device(device)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn ANeuralNetworksDevice_getVersion(
    device: usize,
    version: *mut *const c_char,
) -> c_int {
    // SAFETY: a place for a pointer by the header.
    unsafe { *version = c"1.0".as_ptr() };
    state().device(device)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn ANeuralNetworksDevice_getType(device: usize, kind: *mut i32) -> c_int {
    // SAFETY: a place for a number by the header.
    unsafe { *kind = state().behaviour.device_type };
    state().device(device)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn ANeuralNetworksMemory_createFromFd(
    size: usize,
    protect: c_int,
    descriptor: c_int,
    offset: usize,
    memory: *mut usize,
) -> c_int {
    if protect & 1 == 0 {
        return state().violate(BAD_DATA, "memory that may not be read");
    }
    // SAFETY: the header asks for an open file; a handle of our own is made of it here, as the runtime does.
    let owned = unsafe { BorrowedFd::borrow_raw(descriptor) }.try_clone_to_owned();
    let Ok(owned) = owned else {
        return state().violate(BAD_DATA, "no open file");
    };
    let memory_of = state::Memory {
        file: File::from(owned),
        offset,
        size,
    };
    // SAFETY: as the header asks.
    unsafe { create(Object::Memory(memory_of), None, memory) }
}

#[unsafe(no_mangle)]
pub extern "C" fn ANeuralNetworksMemory_free(memory: usize) {
    state().free(memory, Kind::Memory);
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn ANeuralNetworksModel_create(model: *mut usize) -> c_int {
    // SAFETY: as the header asks.
    unsafe { create(Object::Model(state::Model::default()), None, model) }
}

#[unsafe(no_mangle)]
pub extern "C" fn ANeuralNetworksModel_free(model: usize) {
    state().free(model, Kind::Model);
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn ANeuralNetworksModel_addOperand(
    model: usize,
    operand: *const OperandType,
) -> c_int {
    // SAFETY: as the header asks; what it points at is copied.
    let (operand, dimensions) = unsafe {
        let operand = &*operand;
        (
            *operand,
            list(operand.dimensions, operand.dimension_count).to_vec(),
        )
    };
    state().open_model(model, |model| model.add_operand(operand, dimensions))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn ANeuralNetworksModel_setOperandValue(
    model: usize,
    index: i32,
    data: *const c_void,
    length: usize,
) -> c_int {
    if length > 128 {
        // It would have to outlive the model, which nobody here can check.
        return state().violate(BAD_DATA, "a constant above 128 bytes is not copied");
    }
    // SAFETY: as the header asks.
    let bytes = unsafe { list(data.cast::<u8>(), length as u32) }.to_vec();
    state().open_model(model, |model| {
        model.set_value(index, state::Value::Copied(bytes))
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn ANeuralNetworksModel_setOperandValueFromMemory(
    model: usize,
    index: i32,
    memory: usize,
    offset: usize,
    length: usize,
) -> c_int {
    let mut state = state();
    match state.objects.get(&memory) {
        Some(Object::Memory(memory)) if offset + length <= memory.size => {}
        Some(Object::Memory(_)) => return state.violate(BAD_DATA, "beyond the memory"),
        _ => return state.violate(BAD_DATA, "no live memory"),
    }
    state.needs(model, memory);
    let value = state::Value::Mapped {
        memory,
        offset,
        length,
    };
    state.open_model(model, |model| model.set_value(index, value))
}

#[repr(C)]
pub struct SymmPerChannelQuantParams {
    channel_dim: u32,
    scale_count: u32,
    scales: *const f32,
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn ANeuralNetworksModel_setOperandSymmPerChannelQuantParams(
    model: usize,
    index: i32,
    parameters: *const SymmPerChannelQuantParams,
) -> c_int {
    // SAFETY: as the header asks; the scales are copied.
    let (dim, scales) = unsafe {
        let parameters = &*parameters;
        (
            parameters.channel_dim,
            list(parameters.scales, parameters.scale_count).to_vec(),
        )
    };
    state().open_model(model, |model| model.set_scales(index, dim, scales))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn ANeuralNetworksModel_addOperation(
    model: usize,
    kind: i32,
    input_count: u32,
    inputs: *const u32,
    output_count: u32,
    outputs: *const u32,
) -> c_int {
    // SAFETY: as the header asks; both lists are copied.
    let (inputs, outputs) = unsafe {
        (
            list(inputs, input_count).to_vec(),
            list(outputs, output_count).to_vec(),
        )
    };
    state().open_model(model, |model| model.add_operation(kind, &inputs, &outputs))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn ANeuralNetworksModel_identifyInputsAndOutputs(
    model: usize,
    input_count: u32,
    inputs: *const u32,
    output_count: u32,
    outputs: *const u32,
) -> c_int {
    // SAFETY: as the header asks; both lists are copied.
    let (inputs, outputs) = unsafe {
        (
            list(inputs, input_count).to_vec(),
            list(outputs, output_count).to_vec(),
        )
    };
    state().open_model(model, |model| model.identify(inputs, outputs))
}

#[unsafe(no_mangle)]
pub extern "C" fn ANeuralNetworksModel_finish(model: usize) -> c_int {
    state().open_model(model, state::Model::finish)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn ANeuralNetworksModel_getSupportedOperationsForDevices(
    model: usize,
    devices: *const usize,
    count: u32,
    supported: *mut bool,
) -> c_int {
    // SAFETY: as the header asks.
    let devices = unsafe { list(devices, count) };
    let found = state().finished_model(model);
    let kinds = match found {
        Ok(model) => model
            .operations
            .iter()
            .map(|operation| operation.kind)
            .collect::<Vec<_>>(),
        Err(code) => return code,
    };
    let refuses = state().behaviour.refuses;
    for (at, kind) in kinds.into_iter().enumerate() {
        // SAFETY: one flag an operation by the header.
        unsafe { *supported.add(at) = kind != refuses };
    }
    state().device(devices.first().copied().unwrap_or_default())
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn ANeuralNetworksCompilation_create(
    model: usize,
    compilation: *mut usize,
) -> c_int {
    let found = state().finished_model(model);
    if let Err(code) = found {
        return code;
    }
    // SAFETY: as the header asks.
    unsafe {
        create(
            Object::Compilation {
                model,
                finished: false,
            },
            Some(model),
            compilation,
        )
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn ANeuralNetworksCompilation_createForDevices(
    model: usize,
    devices: *const usize,
    count: u32,
    compilation: *mut usize,
) -> c_int {
    // SAFETY: as the header asks.
    let devices = unsafe { list(devices, count) };
    let found = state().device(devices.first().copied().unwrap_or_default());
    match found {
        // SAFETY: as the header asks.
        NO_ERROR => unsafe { ANeuralNetworksCompilation_create(model, compilation) },
        code => code,
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn ANeuralNetworksCompilation_setPreference(
    compilation: usize,
    preference: i32,
) -> c_int {
    match preference {
        0..=2 => state().open_compilation(compilation),
        _ => state().violate(BAD_DATA, "no such preference"),
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn ANeuralNetworksCompilation_setCaching(
    compilation: usize,
    folder: *const c_char,
    token: *const u8,
) -> c_int {
    if folder.is_null() || token.is_null() {
        return state().violate(UNEXPECTED_NULL, "a folder and a token of 32 bytes");
    }
    state().open_compilation(compilation)
}

#[unsafe(no_mangle)]
pub extern "C" fn ANeuralNetworksCompilation_finish(compilation: usize) -> c_int {
    let mut state = state();
    let code = state.open_compilation(compilation);
    if code == NO_ERROR {
        state.finish_compilation(compilation);
    }
    code
}

#[unsafe(no_mangle)]
pub extern "C" fn ANeuralNetworksCompilation_free(compilation: usize) {
    state().free(compilation, Kind::Compilation);
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn ANeuralNetworksExecution_create(
    compilation: usize,
    execution: *mut usize,
) -> c_int {
    let mut state = state();
    let model = match state.objects.get(&compilation) {
        Some(Object::Compilation {
            model,
            finished: true,
        }) => *model,
        Some(Object::Compilation { .. }) => {
            return state.violate(BAD_STATE, "the compilation is not finished");
        }
        _ => return state.violate(BAD_DATA, "no live compilation"),
    };
    drop(state);
    let object = Object::Execution(state::Execution::new(model));
    // SAFETY: as the header asks.
    unsafe { create(object, Some(compilation), execution) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn ANeuralNetworksExecution_setInput(
    execution: usize,
    index: i32,
    kind: *const OperandType,
    data: *const c_void,
    length: usize,
) -> c_int {
    if !kind.is_null() {
        return state().violate(BAD_DATA, "the type was given with the model");
    }
    state().buffer(execution, index, data as usize, length, true)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn ANeuralNetworksExecution_setOutput(
    execution: usize,
    index: i32,
    kind: *const OperandType,
    data: *mut c_void,
    length: usize,
) -> c_int {
    if !kind.is_null() {
        return state().violate(BAD_DATA, "the type was given with the model");
    }
    state().buffer(execution, index, data as usize, length, false)
}

#[unsafe(no_mangle)]
pub extern "C" fn ANeuralNetworksExecution_compute(execution: usize) -> c_int {
    state::compute(execution)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn ANeuralNetworksExecution_startCompute(
    execution: usize,
    event: *mut usize,
) -> c_int {
    let code = state::compute(execution);
    match code {
        // SAFETY: as the header asks.
        NO_ERROR => unsafe { create(Object::Event, None, event) },
        code => code,
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn ANeuralNetworksExecution_free(execution: usize) {
    state().free(execution, Kind::Execution);
}

#[unsafe(no_mangle)]
pub extern "C" fn ANeuralNetworksEvent_wait(event: usize) -> c_int {
    let mut state = state();
    match state.objects.get(&event) {
        Some(Object::Event) => NO_ERROR,
        _ => state.violate(BAD_DATA, "no live event"),
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn ANeuralNetworksEvent_free(event: usize) {
    state().free(event, Kind::Event);
}
