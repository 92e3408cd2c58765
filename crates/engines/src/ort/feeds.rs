//! A request's inputs as the engine takes them: names, values, and what is missing.

use std::ffi::c_char;
use std::sync::Arc;

use headway_core::engine::{NodeInfo, ValueType};
use headway_core::error::{Error, ErrorKind};
use headway_core::value::{DType, Data, Dims, Memory, Owner, Tensor, Value};

use super::composite::Composite;
use super::device::DeviceValue;
use super::raw::OrtValue;
use super::runtime::Runtime;
use super::session::Session;
use super::{composite_in, values};

/// Names (into the session) and values of what is fed; kept for their capacity.
#[derive(Default)]
pub(super) struct Feeds {
    pub(super) names: Vec<*const c_char>,
    pub(super) values: Vec<*mut OrtValue>,
    /// Those among the values that are released with the request.
    pub(super) made: Vec<*mut OrtValue>,
    /// What keeps values alive that belong to somebody else. Nearly always empty.
    lent: Vec<Owner>,
    /// The last view of each input: who feeds the same memory in the same shape again gets the same view.
    views: Vec<Option<View>>,
}

/// The engine's value over a stretch of memory. It only names the memory: nothing reads through it unless a request
/// that keeps the very same memory passes it.
struct View {
    dtype: DType,
    dims: Dims,
    addr: usize,
    len: usize,
    value: *mut OrtValue,
}

impl View {
    #[inline]
    fn is_of(&self, tensor: &Tensor, memory: &Memory) -> bool {
        (self.addr, self.len, self.dtype) == (memory.addr, memory.len, tensor.dtype)
            && self.dims == tensor.dims
    }
}

impl Feeds {
    /// `again` says that views are kept for the next request.
    ///
    /// # Safety
    /// The values' memory stays readable until the feeds are released.
    pub(super) unsafe fn fill(
        &mut self,
        session: &Session,
        values: &[Value],
        again: bool,
    ) -> Result<(), Error> {
        if values.len() > session.input_names.len() {
            return Err(too_many(values.len(), session.input_names.len()));
        }
        let mut missing = values.len() < session.info.inputs.len();
        for (at, value) in values.iter().enumerate() {
            let node = session.node(at);
            let made = match (value, &node.kind) {
                (Value::Tensor(tensor), ValueType::Tensor(..)) => {
                    // SAFETY: passed on.
                    unsafe { self.make(session.runtime, node, tensor, again.then_some(at)) }?
                }
                (Value::None, _) => {
                    missing |= session.info.inputs.get(at).is_some_and(needed);
                    continue;
                }
                // SAFETY: passed on.
                (other, _) => unsafe { self.make_other(session.runtime, node, other) }?,
            };
            self.names.push(session.input_names[at].as_ptr());
            self.values.push(made);
        }
        if missing { check_missing(session, values) } else { Ok(()) }
    }

    /// The engine's value for a tensor: the view kept in `place` when it is of the same memory.
    ///
    /// # Safety
    /// As for `fill`.
    #[inline]
    unsafe fn make(
        &mut self,
        runtime: &Runtime,
        node: &NodeInfo,
        tensor: &Tensor,
        place: Option<usize>,
    ) -> Result<*mut OrtValue, Error> {
        // Strings are the engine's own copies, so there is no view of them.
        let (Some(place), Data::Memory(memory)) = (place, &tensor.data) else {
            // SAFETY: passed on.
            let made = unsafe { values::make(runtime, &node.name, tensor) }?;
            self.made.push(made);
            return Ok(made);
        };
        if let Some(Some(view)) = self.views.get(place)
            && view.is_of(tensor, memory)
        {
            return Ok(view.value);
        }
        // SAFETY: passed on.
        let value = unsafe { values::make(runtime, &node.name, tensor) }?;
        if self.views.len() <= place {
            self.views.resize_with(place + 1, || None);
        }
        let (dtype, dims) = (tensor.dtype, tensor.dims.clone());
        let view = View { dtype, dims, addr: memory.addr, len: memory.len, value };
        if let Some(old) = self.views[place].replace(view) {
            // SAFETY: a view of this lane's that no request uses any more, released once.
            unsafe { (runtime.api.release_value)(old.value) };
        }
        Ok(value)
    }

    /// What is not a plain tensor for a plain tensor's place. Its type is checked here: the engine would only look at
    /// the outermost layer before it reads the rest as what the model says.
    ///
    /// # Safety
    /// As for `fill`.
    #[cold]
    unsafe fn make_other(
        &mut self,
        runtime: &Runtime,
        node: &NodeInfo,
        value: &Value,
    ) -> Result<*mut OrtValue, Error> {
        let (expected, got) = (expected(&node.kind), word(value));
        if got.as_deref() != Some(expected.as_str()) {
            return Err(unexpected(&node.name, &expected, got.as_deref()));
        }
        match value {
            // SAFETY: passed on.
            Value::Tensor(tensor) => unsafe { self.make(runtime, node, tensor, None) },
            Value::Opaque(owner) => {
                if let Some(composite) = owner.downcast_ref::<Composite>() {
                    // SAFETY: passed on.
                    let made = unsafe { composite_in::make(runtime, &node.name, composite) }?;
                    self.made.push(made);
                    return Ok(made);
                }
                let device = owner.downcast_ref::<DeviceValue>();
                let device = device.ok_or_else(|| unexpected(&node.name, &expected, None))?;
                self.lent.push(Arc::clone(owner));
                Ok(device.raw())
            }
            Value::None => Err(unexpected(&node.name, &expected, None)),
        }
    }

    /// Releases every engine value that was made for the request alone.
    pub(super) fn release(&mut self, runtime: &Runtime) {
        release_all(runtime, &mut self.made);
        self.values.clear();
        self.lent.clear();
        self.names.clear();
    }

    /// Releases the views too: the lane goes.
    pub(super) fn forget(&mut self, runtime: &Runtime) {
        self.release(runtime);
        for view in self.views.drain(..).flatten() {
            // SAFETY: as in `make`.
            unsafe { (runtime.api.release_value)(view.value) };
        }
    }
}

/// Releases what is not null and empties the list.
pub(super) fn release_all(runtime: &Runtime, values: &mut Vec<*mut OrtValue>) {
    for value in values.drain(..) {
        if !value.is_null() {
            // SAFETY: made for this request, released once.
            unsafe { (runtime.api.release_value)(value) };
        }
    }
}

impl Session {
    /// Input number `at`, counting on into the initializers.
    fn node(&self, at: usize) -> &NodeInfo {
        let inputs = &self.info.inputs;
        inputs.get(at).unwrap_or_else(|| &self.info.initializers[at - inputs.len()])
    }
}

/// The type that is fed, in ONNX Runtime's words: an optional value is fed as what it contains.
fn expected(kind: &ValueType) -> String {
    match kind {
        ValueType::Tensor(dtype, _) => format!("tensor({})", dtype.as_str()),
        ValueType::Other(words) => strip(words, "optional(").unwrap_or(words).to_owned(),
    }
}

/// What stands between `head` and the closing parenthesis.
pub(super) fn strip<'a>(words: &'a str, head: &str) -> Option<&'a str> {
    words.strip_prefix(head)?.strip_suffix(')')
}

/// A value's type in ONNX Runtime's words; `None` for what this engine does not know.
pub(super) fn word(value: &Value) -> Option<String> {
    match value {
        Value::Tensor(tensor) => Some(format!("tensor({})", tensor.dtype.as_str())),
        Value::Opaque(owner) => match owner.downcast_ref::<Composite>() {
            Some(composite) => Some(composite.word()),
            None => owner.downcast_ref::<DeviceValue>().map(DeviceValue::word),
        },
        Value::None => None,
    }
}

/// True for an input that the engine cannot run without.
fn needed(node: &NodeInfo) -> bool {
    node.required && !matches!(&node.kind, ValueType::Other(words) if words.starts_with("optional("))
}

#[cold]
fn check_missing(session: &Session, values: &[Value]) -> Result<(), Error> {
    let fed = |at: usize| values.get(at).is_some_and(|value| !matches!(value, Value::None));
    let inputs = session.info.inputs.iter().enumerate();
    let quoted = |name: &str| format!("'{name}'");
    let missing: Vec<_> = inputs
        .clone()
        .filter(|&(at, node)| needed(node) && !fed(at))
        .map(|(_, node)| quoted(&node.name))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let given: Vec<_> = inputs.filter(|&(at, _)| fed(at)).map(|(_, node)| quoted(&node.name)).collect();
    let (missing, given) = (missing.join(", "), given.join(", "));
    let text = format!("Required inputs ([{missing}]) are missing from input feed ([{given}]).");
    Err(Error::new(ErrorKind::Input, text))
}

#[cold]
fn too_many(got: usize, most: usize) -> Error {
    Error::new(ErrorKind::Input, format!("{got} values were given, but the model takes at most {most}"))
}

#[cold]
fn unexpected(name: &str, expected: &str, got: Option<&str>) -> Error {
    let got = got.unwrap_or("a value of another engine");
    Error::new(ErrorKind::Input, format!("input {name:?}: expected {expected}, got {got}"))
}
