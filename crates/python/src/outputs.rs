//! Outputs on their way to the caller.

use headway_core::error::Error;
use headway_core::request::Outcome;
use headway_core::value::{Value, Values};
use pyo3::prelude::*;
use pyo3::types::PyList;
use smallvec::SmallVec;

use crate::core::{Core, Kind};
use crate::errors;
use crate::graveyard::{PyOwner, drain_graveyard};
use crate::ortvalue::OrtValue;

/// What a request's outputs become, and how its errors are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// Arrays, lists, dicts.
    Arrays,
    /// The same, some of them in arrays of the program's.
    Out,
    /// `OrtValue`s.
    OrtValues,
    /// `OrtValue`s of a binding; what the engine said is told as ONNX Runtime tells it there.
    Binding,
}

/// The list of outputs.
pub(crate) fn to_list(py: Python<'_>, values: Values, core: &Core, form: Form) -> PyResult<Py<PyList>> {
    match (&core.kind, form) {
        (Kind::Native(_), Form::Arrays) => native(py, values, core),
        (Kind::Native(_), Form::Out) => placed(py, values, core),
        (Kind::Native(_), Form::OrtValues | Form::Binding) => ort_values(py, values),
        (Kind::Python(_), _) => python(py, &values),
    }
}

fn native(py: Python<'_>, values: Values, core: &Core) -> PyResult<Py<PyList>> {
    let mut arrays: SmallVec<[Py<PyAny>; 4]> = SmallVec::new();
    for value in values {
        let array =
            crate::array::to_python(py, value).map_err(|error| errors::raise_door(py, error, core.voice))?;
        arrays.push(array);
    }
    Ok(PyList::new(py, arrays)?.unbind())
}

/// The same, where what lies in an array of the program's is that very array.
fn placed(py: Python<'_>, values: Values, core: &Core) -> PyResult<Py<PyList>> {
    let list = PyList::empty(py);
    for value in values {
        let array = match crate::array::given(py, &value) {
            Some(array) => array,
            None => crate::array::to_python(py, value)
                .map_err(|error| errors::raise_door(py, error, core.voice))?,
        };
        list.append(array)?;
    }
    // The request held the arrays; from here on their program alone does.
    drain_graveyard(py);
    Ok(list.unbind())
}

/// The same values, not looked into.
pub(crate) fn ort_values(py: Python<'_>, values: Values) -> PyResult<Py<PyList>> {
    let list = PyList::empty(py);
    for value in values {
        list.append(Bound::new(py, OrtValue::new(value))?)?;
    }
    Ok(list.unbind())
}

/// A Python engine leaves one value: the list itself.
fn python(py: Python<'_>, values: &Values) -> PyResult<Py<PyList>> {
    let owner = match values.first() {
        Some(Value::Opaque(owner)) => owner.downcast_ref::<PyOwner>().and_then(PyOwner::object),
        _ => None,
    };
    match owner {
        Some(object) => Ok(object.bind(py).cast::<PyList>()?.clone().unbind()),
        None => Ok(PyList::empty(py).unbind()),
    }
}

/// The answer of a request, or the exception that it ended with.
pub(crate) fn answer(py: Python<'_>, outcome: Outcome, core: &Core, form: Form) -> PyResult<Py<PyList>> {
    match outcome.into_result() {
        Ok(values) => to_list(py, values, core, form),
        Err(error) => Err(raise(py, &error, core, form)),
    }
}

/// The exception that a request of this form ended with.
pub(crate) fn raise(py: Python<'_>, error: &Error, core: &Core, form: Form) -> PyErr {
    match form {
        Form::Arrays | Form::Out | Form::OrtValues => errors::raise(py, error, core.voice),
        Form::Binding => errors::raise_execution(py, error, core.voice),
    }
}
