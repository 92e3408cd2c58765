//! Errors of the core become exceptions of Headway's tree.

use headway_core::error::{Error, ErrorKind};
use pyo3::exceptions::PyBaseException;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

use crate::errors_in::DoorError;
use crate::graveyard::PyOwner;
use crate::once::cached;

static MAKE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

fn kind_name(kind: ErrorKind) -> (&'static str, Option<&'static str>) {
    match kind {
        ErrorKind::Load => ("load", None),
        ErrorKind::Input => ("input", None),
        ErrorKind::QueueFull => ("queue_full", None),
        ErrorKind::Dropped(reason) => ("dropped", Some(reason.as_str())),
        ErrorKind::Expired { running } => ("expired", Some(if running { "running" } else { "waiting" })),
        ErrorKind::Cancelled => ("cancelled", None),
        ErrorKind::Engine => ("engine", None),
        ErrorKind::Closed => ("closed", None),
    }
}

/// The exception for an error of the core; `_errors.from_core` chooses the class.
pub(crate) fn exception(py: Python<'_>, error: &Error, engine: &str) -> PyResult<Py<PyBaseException>> {
    let make = cached(py, &MAKE, || Ok(py.import("headway._errors")?.getattr("from_core")?.unbind()))?;
    let (kind, detail) = kind_name(error.kind);
    let cause = error.payload.as_ref().and_then(|payload| payload.downcast_ref::<PyOwner>());
    let cause = cause.and_then(PyOwner::object).map(|object| object.clone_ref(py));
    let made = make.bind(py).call1((kind, &error.message, error.code, engine, detail, cause))?;
    Ok(made.cast_into::<PyBaseException>()?.unbind())
}

/// The same, ready to raise.
pub(crate) fn raise(py: Python<'_>, error: &Error, engine: &str) -> PyErr {
    match exception(py, error, engine) {
        Ok(exception) => PyErr::from_value(exception.into_bound(py).into_any()),
        Err(failure) => failure,
    }
}

/// What the way in refused.
pub(crate) fn raise_door(py: Python<'_>, error: DoorError, engine: &str) -> PyErr {
    match error {
        DoorError::Core(error) => raise(py, &error, engine),
        DoorError::Py(error) => error,
    }
}
