//! Errors of the core become exceptions of Headway's tree.

use std::sync::OnceLock;

use headway_core::error::{Error, ErrorKind};
use pyo3::exceptions::PyBaseException;
use pyo3::prelude::*;

use crate::errors_in::DoorError;
use crate::graveyard::PyOwner;
use crate::once::cached;

static MAKE: OnceLock<Py<PyAny>> = OnceLock::new();

/// In whose words errors are raised.
#[derive(Clone, Copy)]
pub(crate) struct Voice<'a> {
    /// The engine's name.
    pub(crate) engine: &'a str,
    /// Every exception is a `RuntimeError` too: programs for EZ RKNN Async know no other.
    pub(crate) runtime: bool,
}

impl<'a> From<&'a str> for Voice<'a> {
    fn from(engine: &'a str) -> Self {
        Voice { engine, runtime: false }
    }
}

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
pub(crate) fn exception<'a>(
    py: Python<'_>,
    error: &Error,
    voice: impl Into<Voice<'a>>,
) -> PyResult<Py<PyBaseException>> {
    make(py, error, voice.into())
}

fn make(py: Python<'_>, error: &Error, voice: Voice<'_>) -> PyResult<Py<PyBaseException>> {
    let make = cached(py, &MAKE, || Ok(py.import("headway._errors")?.getattr("from_core")?.unbind()))?;
    let (kind, detail) = kind_name(error.kind);
    #[cfg(target_os = "linux")]
    if let Some(crash) = crate::isolated::crash_detail(error) {
        let crashed = ("crashed", &error.message, error.code, voice.engine, crash, py.None(), voice.runtime);
        return Ok(make.bind(py).call1(crashed)?.cast_into::<PyBaseException>()?.unbind());
    }
    let cause = error.payload.as_ref().and_then(|payload| payload.downcast_ref::<PyOwner>());
    let cause = cause.and_then(PyOwner::object).map(|object| object.clone_ref(py));
    let made = make.bind(py).call1((
        kind,
        &error.message,
        error.code,
        voice.engine,
        detail,
        cause,
        voice.runtime,
    ))?;
    #[cfg(target_os = "linux")]
    if let Some(traceback) = crate::isolated::traceback(error) {
        made.call_method1("add_note", (traceback,))?;
    }
    Ok(made.cast_into::<PyBaseException>()?.unbind())
}

/// The same, ready to raise.
pub(crate) fn raise<'a>(py: Python<'_>, error: &Error, voice: impl Into<Voice<'a>>) -> PyErr {
    raised(py, exception(py, error, voice))
}

/// What a run with a binding ended with: ONNX Runtime says where it came from, and leaves out its own code.
pub(crate) fn raise_execution(py: Python<'_>, error: &Error, voice: Voice<'_>) -> PyErr {
    if !matches!(error.kind, ErrorKind::Input | ErrorKind::Engine) {
        return raise(py, error, voice);
    }
    let mut named = error.clone();
    named.message = format!("Error in execution: {}", without_code(&error.message));
    raised(py, make(py, &named, Voice { runtime: true, ..voice }))
}

/// The message behind `[ONNXRuntimeError] : 2 : INVALID_ARGUMENT : `.
fn without_code(message: &str) -> &str {
    let rest = message.strip_prefix("[ONNXRuntimeError] : ");
    rest.and_then(|rest| rest.splitn(3, " : ").nth(2)).unwrap_or(message)
}

fn raised(py: Python<'_>, exception: PyResult<Py<PyBaseException>>) -> PyErr {
    match exception {
        Ok(exception) => PyErr::from_value(exception.into_bound(py).into_any()),
        Err(failure) => failure,
    }
}

/// What the way in refused.
pub(crate) fn raise_door<'a>(py: Python<'_>, error: DoorError, voice: impl Into<Voice<'a>>) -> PyErr {
    let voice = voice.into();
    match error {
        DoorError::Core(error) => raise(py, &error, voice),
        DoorError::Misuse(error) => raised(py, make(py, &error, Voice { runtime: true, ..voice })),
        DoorError::Py(error) => error,
    }
}
