//! What lives in the library, and the order in which it may be used.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::c_int;
use std::fmt::Write as _;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::slice;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::{Behaviour, check, compute};

pub(crate) const NO_ERROR: c_int = 0;
pub(crate) const UNEXPECTED_NULL: c_int = 3;
pub(crate) const BAD_DATA: c_int = 4;
pub(crate) const BAD_STATE: c_int = 6;
/// The handle of the one device.
pub(crate) const DEVICE: usize = 7;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct OperandType {
    pub(crate) kind: i32,
    pub(crate) dimension_count: u32,
    pub(crate) dimensions: *const u32,
    pub(crate) scale: f32,
    pub(crate) zero_point: i32,
}

#[derive(Clone)]
pub(crate) struct Operand {
    pub(crate) kind: i32,
    pub(crate) dimensions: Vec<usize>,
    pub(crate) scale: f32,
    pub(crate) zero: i32,
    /// Of weights: the dimension of channels, and a scale each.
    pub(crate) scales: Option<(usize, Vec<f32>)>,
    pub(crate) value: Value,
}

#[derive(Clone)]
pub(crate) enum Value {
    None,
    Copied(Vec<u8>),
    Mapped {
        memory: usize,
        offset: usize,
        length: usize,
    },
    /// An operation gives it.
    Computed,
    /// An input of the model.
    Input,
}

#[derive(Clone)]
pub(crate) struct Operation {
    pub(crate) kind: i32,
    pub(crate) inputs: Vec<usize>,
    pub(crate) output: usize,
}

#[derive(Clone, Default)]
pub(crate) struct Model {
    pub(crate) operands: Vec<Operand>,
    pub(crate) operations: Vec<Operation>,
    pub(crate) inputs: Vec<usize>,
    pub(crate) outputs: Vec<usize>,
    finished: bool,
}

pub(crate) struct Memory {
    pub(crate) file: File,
    pub(crate) offset: usize,
    pub(crate) size: usize,
}

pub(crate) struct Execution {
    model: usize,
    /// Address and length, by index.
    inputs: BTreeMap<usize, (usize, usize)>,
    outputs: BTreeMap<usize, (usize, usize)>,
    ran: bool,
}

impl Execution {
    pub(crate) fn new(model: usize) -> Self {
        Self {
            model,
            inputs: BTreeMap::new(),
            outputs: BTreeMap::new(),
            ran: false,
        }
    }
}

pub(crate) enum Object {
    Memory(Memory),
    Model(Model),
    Compilation { model: usize, finished: bool },
    Execution(Execution),
    Event,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Memory,
    Model,
    Compilation,
    Execution,
    Event,
}

impl Object {
    fn kind(&self) -> Kind {
        match self {
            Self::Memory(_) => Kind::Memory,
            Self::Model(_) => Kind::Model,
            Self::Compilation { .. } => Kind::Compilation,
            Self::Execution(_) => Kind::Execution,
            Self::Event => Kind::Event,
        }
    }
}

pub(crate) struct State {
    pub(crate) objects: BTreeMap<usize, Object>,
    /// Who must outlive whom: (maker, made).
    needed: BTreeSet<(usize, usize)>,
    violations: Vec<String>,
    pub(crate) behaviour: Behaviour,
    next: usize,
}

static STATE: Mutex<State> = Mutex::new(State {
    objects: BTreeMap::new(),
    needed: BTreeSet::new(),
    violations: Vec::new(),
    behaviour: Behaviour::SOUND,
    next: 0x1000,
});

pub(crate) fn state() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State {
    /// Notes what a caller did wrong.
    pub(crate) fn violate(&mut self, code: c_int, what: impl Into<String>) -> c_int {
        self.violations.push(what.into());
        code
    }

    pub(crate) fn add(&mut self, object: Object, of: Option<usize>) -> usize {
        self.next += 16;
        self.needed.extend(of.map(|of| (of, self.next)));
        self.objects.insert(self.next, object);
        self.next
    }

    /// Notes that `user` reads from `used` as long as it lives.
    pub(crate) fn needs(&mut self, user: usize, used: usize) {
        self.needed.insert((used, user));
    }

    pub(crate) fn free(&mut self, handle: usize, kind: Kind) {
        match self.objects.remove(&handle) {
            Some(object) if object.kind() == kind => {}
            _ => {
                self.violate(BAD_DATA, format!("freed no live {kind:?}"));
            }
        }
        let users = self.needed.iter().filter(|(used, _)| *used == handle);
        if users
            .clone()
            .any(|(_, user)| self.objects.contains_key(user))
        {
            self.violate(
                BAD_STATE,
                format!("a {kind:?} was freed before what was made of it"),
            );
        }
        self.needed.retain(|(_, user)| *user != handle);
    }

    pub(crate) fn device(&mut self, device: usize) -> c_int {
        match device {
            DEVICE => NO_ERROR,
            _ => self.violate(BAD_DATA, "no such device"),
        }
    }

    /// A model that may still be changed.
    pub(crate) fn open_model(
        &mut self,
        model: usize,
        change: impl FnOnce(&mut Model) -> Result<(), String>,
    ) -> c_int {
        let changed = match self.objects.get_mut(&model) {
            Some(Object::Model(model)) if !model.finished => change(model),
            Some(Object::Model(_)) => return self.violate(BAD_STATE, "the model is finished"),
            _ => return self.violate(BAD_DATA, "no live model"),
        };
        match changed {
            Ok(()) => NO_ERROR,
            Err(reason) => self.violate(BAD_DATA, reason),
        }
    }

    pub(crate) fn finished_model(&mut self, model: usize) -> Result<Model, c_int> {
        match self.objects.get(&model) {
            Some(Object::Model(model)) if model.finished => Ok(model.clone()),
            Some(Object::Model(_)) => Err(self.violate(BAD_STATE, "the model is not finished")),
            _ => Err(self.violate(BAD_DATA, "no live model")),
        }
    }

    pub(crate) fn open_compilation(&mut self, compilation: usize) -> c_int {
        match self.objects.get(&compilation) {
            Some(Object::Compilation {
                finished: false, ..
            }) => NO_ERROR,
            Some(Object::Compilation { .. }) => {
                self.violate(BAD_STATE, "the compilation is finished")
            }
            _ => self.violate(BAD_DATA, "no live compilation"),
        }
    }

    pub(crate) fn finish_compilation(&mut self, compilation: usize) {
        if let Some(Object::Compilation { finished, .. }) = self.objects.get_mut(&compilation) {
            *finished = true;
        }
    }

    pub(crate) fn buffer(
        &mut self,
        execution: usize,
        index: i32,
        data: usize,
        length: usize,
        is_input: bool,
    ) -> c_int {
        let Some(Object::Execution(found)) = self.objects.get_mut(&execution) else {
            return self.violate(BAD_DATA, "no live execution");
        };
        if found.ran {
            return self.violate(BAD_STATE, "the execution has run");
        }
        let buffers = match is_input {
            true => &mut found.inputs,
            false => &mut found.outputs,
        };
        buffers.insert(index as usize, (data, length));
        NO_ERROR
    }

    pub(crate) fn report(&self) -> String {
        let mut report = String::new();
        for kind in [
            Kind::Memory,
            Kind::Model,
            Kind::Compilation,
            Kind::Execution,
            Kind::Event,
        ] {
            let count = self
                .objects
                .values()
                .filter(|object| object.kind() == kind)
                .count();
            writeln!(report, "{kind:?} {count}").expect("text");
        }
        for violation in &self.violations {
            writeln!(report, "violation: {violation}").expect("text");
        }
        report
    }

    /// The bytes of all constants; an error names what is missing.
    fn constants(&self, model: &Model) -> Result<Vec<Option<Vec<u8>>>, String> {
        let read = |operand: &Operand| match &operand.value {
            Value::Copied(bytes) => Ok(Some(bytes.clone())),
            Value::Mapped {
                memory,
                offset,
                length,
            } => {
                let Some(Object::Memory(memory)) = self.objects.get(memory) else {
                    return Err("the memory of a constant was freed".to_owned());
                };
                let mut bytes = vec![0; *length];
                let at = (memory.offset + offset) as u64;
                let read = memory.file.read_exact_at(&mut bytes, at);
                read.map_err(|error| error.to_string())
                    .map(|()| Some(bytes))
            }
            _ => Ok(None),
        };
        model.operands.iter().map(read).collect()
    }
}

impl Model {
    pub(crate) fn add_operand(
        &mut self,
        operand: OperandType,
        dimensions: Vec<u32>,
    ) -> Result<(), String> {
        check::operand(&operand, &dimensions)?;
        self.operands.push(Operand {
            kind: operand.kind,
            dimensions: dimensions.into_iter().map(|side| side as usize).collect(),
            scale: operand.scale,
            zero: operand.zero_point,
            scales: None,
            value: Value::None,
        });
        Ok(())
    }

    fn operand(&mut self, index: i32) -> Result<&mut Operand, String> {
        let found = usize::try_from(index).ok();
        found
            .and_then(|index| self.operands.get_mut(index))
            .ok_or_else(|| format!("no operand {index}"))
    }

    pub(crate) fn set_value(&mut self, index: i32, value: Value) -> Result<(), String> {
        let operand = self.operand(index)?;
        let length = match &value {
            Value::Copied(bytes) => bytes.len(),
            Value::Mapped { length, .. } => *length,
            _ => 0,
        };
        let expected = check::bytes(operand);
        if length != expected {
            return Err(format!(
                "operand {index}: {expected} bytes expected, found {length}"
            ));
        }
        operand.value = value;
        Ok(())
    }

    pub(crate) fn set_scales(
        &mut self,
        index: i32,
        dim: u32,
        scales: Vec<f32>,
    ) -> Result<(), String> {
        let operand = self.operand(index)?;
        check::scales(operand, dim as usize, &scales)?;
        operand.scales = Some((dim as usize, scales));
        Ok(())
    }

    pub(crate) fn add_operation(
        &mut self,
        kind: i32,
        inputs: &[u32],
        outputs: &[u32],
    ) -> Result<(), String> {
        let place = |index: &u32| {
            let index = *index as usize;
            (index < self.operands.len())
                .then_some(index)
                .ok_or("no such operand")
        };
        let inputs = inputs.iter().map(place).collect::<Result<Vec<_>, _>>()?;
        let outputs = outputs.iter().map(place).collect::<Result<Vec<_>, _>>()?;
        let [output] = outputs[..] else {
            return Err(format!("one output expected, found {}", outputs.len()));
        };
        if !matches!(self.operands[output].value, Value::None) {
            return Err("an output that has a value already".to_owned());
        }
        self.operands[output].value = Value::Computed;
        self.operations.push(Operation {
            kind,
            inputs,
            output,
        });
        Ok(())
    }

    pub(crate) fn identify(&mut self, inputs: Vec<u32>, outputs: Vec<u32>) -> Result<(), String> {
        for &input in &inputs {
            let operand = self.operand(input as i32)?;
            if !matches!(operand.value, Value::None) {
                return Err("an input that has a value".to_owned());
            }
            operand.value = Value::Input;
        }
        let indices = |list: Vec<u32>| list.into_iter().map(|index| index as usize).collect();
        self.inputs = indices(inputs);
        self.outputs = indices(outputs);
        Ok(())
    }

    /// Checks that all is there, in an order in which it can run.
    pub(crate) fn finish(&mut self) -> Result<(), String> {
        if self.inputs.is_empty() || self.outputs.is_empty() {
            return Err("inputs and outputs were not identified".to_owned());
        }
        let ready = |operand: &Operand| {
            matches!(
                operand.value,
                Value::Input | Value::Copied(_) | Value::Mapped { .. }
            )
        };
        let mut known: Vec<bool> = self.operands.iter().map(ready).collect();
        for operation in &self.operations {
            if operation.inputs.iter().any(|&input| !known[input]) {
                return Err(format!(
                    "operation {} reads what is not there yet",
                    operation.kind
                ));
            }
            check::operation(self, operation)?;
            known[operation.output] = true;
        }
        if let Some(output) = self.outputs.iter().find(|&&output| !known[output]) {
            return Err(format!("nothing gives the output {output}"));
        }
        self.finished = true;
        Ok(())
    }
}

/// Runs an execution with the buffers that it was given.
pub(crate) fn compute(execution: usize) -> c_int {
    let mut state = state();
    let (inputs, outputs, handle) = match state.objects.get_mut(&execution) {
        Some(Object::Execution(found)) if !found.ran => {
            found.ran = true;
            (found.inputs.clone(), found.outputs.clone(), found.model)
        }
        Some(Object::Execution(_)) => return state.violate(BAD_STATE, "the execution has run"),
        _ => return state.violate(BAD_DATA, "no live execution"),
    };
    let model = match state.finished_model(handle) {
        Ok(model) => model,
        Err(code) => return code,
    };
    if state.behaviour.compute != NO_ERROR {
        return state.behaviour.compute;
    }
    let mut values = match state.constants(&model) {
        Ok(values) => values,
        Err(reason) => return state.violate(BAD_DATA, reason),
    };
    let buffer = |buffers: &BTreeMap<usize, (usize, usize)>, at: usize, operand: usize| {
        let expected = check::bytes(&model.operands[operand]);
        match buffers.get(&at) {
            Some(&(data, length)) if data != 0 && length == expected => Ok((data, length)),
            Some((_, length)) => Err(format!("{expected} bytes expected, found {length}")),
            None => Err(format!("no buffer {at}")),
        }
    };
    for (at, &operand) in model.inputs.iter().enumerate() {
        let (data, length) = match buffer(&inputs, at, operand) {
            Ok(found) => found,
            Err(reason) => return state.violate(BAD_DATA, reason),
        };
        // SAFETY: the caller gave a buffer of that length, which lives until this returns.
        values[operand] =
            Some(unsafe { slice::from_raw_parts(data as *const u8, length) }.to_vec());
    }
    for operation in &model.operations {
        values[operation.output] = Some(compute::operation(&model, operation, &values));
    }
    for (at, &operand) in model.outputs.iter().enumerate() {
        let (data, length) = match buffer(&outputs, at, operand) {
            Ok(found) => found,
            Err(reason) => return state.violate(BAD_DATA, reason),
        };
        let offset = state.behaviour.offset as u8;
        let bytes = values[operand]
            .as_ref()
            .expect("checked when it was finished");
        let bytes: Vec<u8> = bytes.iter().map(|byte| byte.wrapping_add(offset)).collect();
        // SAFETY: as above, and writable.
        unsafe { slice::from_raw_parts_mut(data as *mut u8, length) }.copy_from_slice(&bytes);
    }
    NO_ERROR
}
