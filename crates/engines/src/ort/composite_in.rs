//! Sequences and maps on their way into the engine, made of the engine's own tensors.

use std::ptr;

use headway_core::error::{Error, ErrorKind};
use headway_core::value::{DType, Tensor, Value};

use super::composite::Composite;
use super::feeds::word;
use super::raw::*;
use super::runtime::Runtime;
use super::values::{self, EngineValue, wrong};
use super::{empty, sparse};

/// The composite as the engine's value. Every type inside is checked before the engine sees it.
///
/// # Safety
/// The memory of every tensor inside stays readable until the value is released.
pub(super) unsafe fn make(
    runtime: &Runtime,
    name: &str,
    composite: &Composite,
) -> Result<*mut OrtValue, Error> {
    match composite {
        Composite::Sequence { element, elements } if elements.is_empty() => {
            empty::sequence(runtime, name, element)
        }
        Composite::Sequence { element, elements } => {
            let made = elements.iter().enumerate().map(|(at, value)| {
                // SAFETY: passed on.
                unsafe { make_element(runtime, name, at, element, value) }
            });
            join(runtime, name, &made.collect::<Result<Vec<_>, _>>()?, class::SEQUENCE)
        }
        Composite::Map { keys, values } => {
            check_map(name, keys, values)?;
            // SAFETY: passed on.
            let made = |tensor| unsafe { values::make(runtime, name, tensor) }.map(|raw| runtime.own(raw));
            join(runtime, name, &[made(keys)?, made(values)?], class::MAP)
        }
        Composite::Sparse(tensor) => sparse::make(runtime, name, tensor),
    }
}

/// # Safety
/// As for `make`.
unsafe fn make_element<'a>(
    runtime: &'a Runtime,
    name: &str,
    at: usize,
    expected: &str,
    value: &Value,
) -> Result<EngineValue<'a>, Error> {
    let got = word(value);
    if got.as_deref() != Some(expected) {
        let got = got.as_deref().unwrap_or("something else");
        return Err(wrong(name, &format!("element {at} of the sequence is {got}, expected {expected}")));
    }
    let raw = match value {
        // SAFETY: passed on.
        Value::Tensor(tensor) => unsafe { values::make(runtime, name, tensor) }?,
        Value::Opaque(owner) => match owner.downcast_ref::<Composite>() {
            // SAFETY: passed on.
            Some(map @ Composite::Map { .. }) => unsafe { make(runtime, name, map) }?,
            _ => return Err(wrong(name, "a sequence takes tensors and maps only")),
        },
        Value::None => return Err(wrong(name, "a sequence takes tensors and maps only")),
    };
    Ok(runtime.own(raw))
}

fn check_map(name: &str, keys: &Tensor, values: &Tensor) -> Result<(), Error> {
    if !matches!(keys.dtype, DType::I64 | DType::String) {
        let got = keys.dtype.as_str();
        return Err(wrong(name, &format!("a map's keys are int64 or string, got {got}")));
    }
    if !matches!(values.dtype, DType::I64 | DType::F32 | DType::F64 | DType::String) {
        let got = values.dtype.as_str();
        return Err(wrong(name, &format!("a map's values are int64, float, double or string, got {got}")));
    }
    if keys.dims.len() != 1 || values.dims.as_slice() != keys.dims.as_slice() {
        let (keys, values) = (keys.dims.as_slice(), values.dims.as_slice());
        let text = format!(
            "a map's keys and values have one dimension of the same length, got {keys:?} and {values:?}"
        );
        return Err(wrong(name, &text));
    }
    Ok(())
}

/// One value out of `parts`, which the engine shares or copies: they are released by their owner.
fn join(runtime: &Runtime, name: &str, parts: &[EngineValue<'_>], kind: i32) -> Result<*mut OrtValue, Error> {
    let raw: Vec<_> = parts.iter().map(|part| part.raw().cast_const()).collect();
    let mut value = ptr::null_mut();
    // SAFETY: the array has the length told and its values are live; an out parameter.
    let status = unsafe { (runtime.api.create_composite)(raw.as_ptr(), raw.len(), kind, &mut value) };
    runtime.api.check(status, ErrorKind::Input).map_err(|error| about(name, error))?;
    Ok(value)
}

/// The engine's error with the input's name in front.
pub(super) fn about(name: &str, mut error: Error) -> Error {
    error.message = format!("input {name:?}: {}", error.message);
    error
}
