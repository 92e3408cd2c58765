//! Outputs on their way to the caller.

use headway_core::request::Outcome;
use headway_core::value::{Value, Values};
use pyo3::prelude::*;
use pyo3::types::PyList;

use crate::core::{Core, Kind};
use crate::errors;
use crate::graveyard::PyOwner;

/// The list of outputs.
pub(crate) fn to_list(py: Python<'_>, values: Values, core: &Core) -> PyResult<Py<PyList>> {
    match core.kind {
        Kind::Native(_) => native(py, values, core),
        Kind::Python => python(py, &values),
    }
}

fn native(py: Python<'_>, values: Values, core: &Core) -> PyResult<Py<PyList>> {
    let list = PyList::empty(py);
    for value in values {
        let array = crate::array::to_python(py, value)
            .map_err(|error| errors::raise_door(py, error, core.engine_name))?;
        list.append(array)?;
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
pub(crate) fn answer(py: Python<'_>, outcome: Outcome, core: &Core) -> PyResult<Py<PyList>> {
    match outcome.into_result() {
        Ok(values) => to_list(py, values, core),
        Err(error) => Err(errors::raise(py, &error, core.engine_name)),
    }
}
