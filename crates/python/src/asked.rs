//! What one call asks for many requests: checked when it is called, not with its first request.

use pyo3::prelude::*;

use crate::core::Kind;
use crate::session::Session;
use crate::submit::{Deadline, stream_key};
use crate::{errors, feeds, pyfeed};

/// Raises what every request of a call with these arguments would raise.
#[pyfunction]
#[pyo3(signature = (session, output_names, *, timeout=Deadline::Session, priority=0, stream=None, run_options=None))]
pub(crate) fn check_call(
    py: Python<'_>,
    session: &Session,
    output_names: Option<&Bound<'_, PyAny>>,
    timeout: Deadline,
    priority: i32,
    stream: Option<&Bound<'_, PyAny>>,
    run_options: Option<&Bound<'_, PyAny>>,
) -> PyResult<()> {
    // Numbers are checked by being one.
    let _ = (timeout, priority);
    let core = session.core(py)?;
    core.enter(py)?;
    let check = || -> PyResult<()> {
        match &core.kind {
            Kind::Native(names) => feeds::read_output_names(py, output_names, names).map(drop),
            Kind::Python(known) => pyfeed::wanted(&core, py, known, output_names).map(drop),
        }
        .map_err(|error| errors::raise_door(py, error, core.voice))?;
        stream.map(stream_key).transpose()?;
        run_options.map(|given| core.control(given)).transpose()?;
        Ok(())
    };
    check().inspect_err(|_| core.shared.reject())
}
