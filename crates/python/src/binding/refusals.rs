//! What an `IOBinding` does not take.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;

use crate::errors_in::{DoorError, misuse};
use crate::ortvalue::OrtValue;

pub(super) fn ort_value<'a, 'py>(
    object: &'a Bound<'py, PyAny>,
) -> Result<&'a Bound<'py, OrtValue>, DoorError> {
    object.cast::<OrtValue>().map_err(|_| {
        let text = format!("ortvalue: expected a headway.OrtValue, got {}", object.get_type());
        PyTypeError::new_err(text).into()
    })
}

#[cold]
pub(super) fn no_output(name: &str) -> DoorError {
    misuse(format!("Error in execution: Invalid output name: {name}"))
}

#[cold]
pub(super) fn in_use() -> DoorError {
    misuse(
        "this IOBinding is in use: a request that runs it has not ended; wait for it, or make another IOBinding",
    )
}

#[cold]
pub(super) fn python_engine() -> DoorError {
    PyTypeError::new_err("a Python engine has no IOBinding: it takes and gives Python objects").into()
}
