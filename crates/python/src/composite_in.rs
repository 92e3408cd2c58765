//! Inputs that are not plain tensors: lists, dicts, sparse tensors, and what may be left out.

use std::sync::Arc;

use headway_core::value::{DType, Data, Dims, Memory, Tensor, Value};
use headway_engines::ort::Composite;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};

use crate::array::{self, Alloc, How, Wanted};
use crate::errors_in::{DoorError, bad_input, invalid_argument};
use crate::kinds::{Kind, Typed};
use crate::ortvalue::OrtValue;
use crate::sparse;

/// Reads one input of this type. `None` is an absent value, where the type lets it be.
pub(crate) fn read(
    object: &Bound<'_, PyAny>,
    name: &str,
    typed: &Typed,
    how: How,
    alloc: Alloc<'_>,
) -> Result<Value, DoorError> {
    let absent = |value: &Bound<'_, OrtValue>| matches!(value.get().value(), Value::None);
    if typed.is_optional() && (object.is_none() || object.cast::<OrtValue>().is_ok_and(absent)) {
        return Ok(Value::None);
    }
    // A list may be changed by another thread while it is read by the engine: what is in it is held.
    let how = if how == How::Borrow { How::Hold } else { how };
    let held = typed.held();
    if !matches!(held.kind, Kind::Tensor(_) | Kind::Object)
        && let Some(value) = given_value(object)
    {
        return take(value.get(), name, typed, how, alloc);
    }
    match &held.kind {
        Kind::Tensor(dtype) => {
            array::read_input(object.py(), object, &Wanted { name, dtype: *dtype, dims: None }, how, alloc)
        }
        Kind::Object => array::read_any(object, name, how, alloc),
        Kind::Sequence(element) => sequence(object, name, held, element, how, alloc),
        Kind::Map { key, value } => map(object, name, held, *key, *value),
        Kind::Sparse(_) => Err(wrong_kind(object, name, &held.words, "pass a headway.SparseTensor")),
        Kind::Optional(_) | Kind::Unknown => {
            Err(bad_input(format!("input '{name}' is a {}, which Headway cannot feed", held.words)))
        }
    }
}

fn given_value<'py>(object: &Bound<'py, PyAny>) -> Option<Bound<'py, OrtValue>> {
    match object.cast::<OrtValue>() {
        Ok(value) => Some(value.clone()),
        Err(_) => sparse::value_of(object),
    }
}

/// A value that was made before: its type must be the input's.
fn take(value: &OrtValue, name: &str, typed: &Typed, how: How, alloc: Alloc<'_>) -> Result<Value, DoorError> {
    let (has, wants) = (value.held().words(), &typed.held().words);
    if has != *wants {
        return Err(invalid_argument(&format!(
            "Unexpected input data type. Actual: ({has}) , expected: ({wants}) for input '{name}'"
        )));
    }
    match value.value() {
        Value::Opaque(owner) if how == How::Copy => match owner.downcast_ref::<Composite>() {
            Some(composite) => copied(composite, alloc),
            None => Ok(Value::Opaque(Arc::clone(owner))),
        },
        other => Ok(other.clone()),
    }
}

/// The same in memory of its own. What keys, strings and sparse tensors are made of is never written to again.
fn copied(composite: &Composite, alloc: Alloc<'_>) -> Result<Value, DoorError> {
    let made = match composite {
        Composite::Sequence { element, elements } => {
            let copy = |value: &Value| match value {
                Value::Tensor(tensor) => array::copy_of(tensor, alloc),
                other => Ok(other.clone()),
            };
            let elements = elements.iter().map(copy).collect::<Result<_, _>>()?;
            Composite::Sequence { element: element.clone(), elements }
        }
        Composite::Sparse(sparse) => Composite::Sparse(sparse::copied(sparse, alloc)?),
        Composite::Map { .. } => composite.clone(),
    };
    Ok(Value::Opaque(Arc::new(made)))
}

fn sequence(
    object: &Bound<'_, PyAny>,
    name: &str,
    typed: &Typed,
    element: &Typed,
    how: How,
    alloc: Alloc<'_>,
) -> Result<Value, DoorError> {
    let items: Vec<Bound<'_, PyAny>> = if let Ok(list) = object.cast::<PyList>() {
        list.iter().collect()
    } else if let Ok(tuple) = object.cast::<PyTuple>() {
        tuple.iter().collect()
    } else {
        let what = if matches!(element.kind, Kind::Map { .. }) { "dicts" } else { "arrays" };
        return Err(wrong_kind(object, name, &typed.words, &format!("pass a list of {what}")));
    };
    let mut elements = Vec::with_capacity(items.len());
    for (at, item) in items.iter().enumerate() {
        let name = format!("{name}[{at}]");
        if item.is_none() {
            return Err(bad_input(format!("input '{name}' is None: expected a {}", element.words)));
        }
        elements.push(read(item, &name, element, how, alloc)?);
    }
    Ok(Value::Opaque(Arc::new(Composite::Sequence { element: element.words.clone(), elements })))
}

fn map(
    object: &Bound<'_, PyAny>,
    name: &str,
    typed: &Typed,
    key: DType,
    value: DType,
) -> Result<Value, DoorError> {
    let Ok(dict) = object.cast::<PyDict>() else {
        return Err(wrong_kind(object, name, &typed.words, "pass a dict"));
    };
    // A copy: without a GIL another thread may change the dict between its keys and its values.
    let dict = dict.copy()?;
    let (keys, values) = (dict.keys(), dict.values());
    let keys = column(&keys, &format!("a key of input '{name}'"), key)?;
    let values = column(&values, &format!("a value of input '{name}'"), value)?;
    Ok(Value::Opaque(Arc::new(Composite::Map { keys, values })))
}

/// Keys or values of a dict as a tensor of rank 1.
fn column(items: &Bound<'_, PyList>, what: &str, dtype: DType) -> Result<Tensor, DoorError> {
    let items = items.iter();
    let dims = Dims::from_slice(&[items.len() as i64]);
    let data = match dtype {
        DType::String => Data::Strings(items.map(|item| string(&item, what)).collect::<Result<_, _>>()?),
        DType::I64 => plain(items.map(|item| whole(&item, what)).collect::<Result<Vec<_>, _>>()?),
        DType::F32 => {
            plain(items.map(|item| Ok(float(&item, what)? as f32)).collect::<Result<Vec<_>, DoorError>>()?)
        }
        DType::F64 => plain(items.map(|item| float(&item, what)).collect::<Result<Vec<_>, _>>()?),
        other => {
            return Err(bad_input(format!("{what} is of {}, which Headway cannot feed", other.as_str())));
        }
    };
    Ok(Tensor { dtype, dims, data })
}

/// Numbers as a value's memory, which lives as long as the value.
fn plain<T: Send + Sync + 'static>(numbers: Vec<T>) -> Data {
    let (addr, len) = (numbers.as_ptr().expose_provenance(), size_of_val(numbers.as_slice()));
    Data::Memory(Memory { addr, len, owner: Some(Arc::new(numbers)) })
}

fn string(item: &Bound<'_, PyAny>, what: &str) -> Result<Box<str>, DoorError> {
    match item.cast::<PyString>() {
        Ok(text) => Ok(text.to_str()?.into()),
        Err(_) => Err(wrong_item(item, what, "a str")),
    }
}

/// A bool counts as 0 or 1, as it does for ONNX Runtime; a float is no whole number, not even 1.0.
fn whole(item: &Bound<'_, PyAny>, what: &str) -> Result<i64, DoorError> {
    item.extract::<i64>().map_err(|raised| match item.is_instance_of::<PyInt>() {
        true => bad_input(format!("{what} does not fit into int64: {}", raised.value(item.py()))),
        false => wrong_item(item, what, "an int"),
    })
}

fn float(item: &Bound<'_, PyAny>, what: &str) -> Result<f64, DoorError> {
    if let Ok(number) = item.cast::<PyFloat>() {
        return Ok(number.value());
    }
    item.extract::<f64>().map_err(|_| wrong_item(item, what, "a float"))
}

#[cold]
fn wrong_item(item: &Bound<'_, PyAny>, what: &str, expected: &str) -> DoorError {
    let (shown, kind) = (item.repr().map(|text| text.to_string()).unwrap_or_default(), item.get_type());
    invalid_argument(&format!("{what} must be {expected}, got {shown} of {kind}"))
}

#[cold]
fn wrong_kind(object: &Bound<'_, PyAny>, name: &str, words: &str, advice: &str) -> DoorError {
    let kind = object.get_type();
    invalid_argument(&format!(
        "Unexpected input data type. Actual: ({kind}) , expected: ({words}) for input '{name}'; {advice}"
    ))
}
