//! Process lanes, as the session's process has them: loading, and what is known of the processes.

use std::ffi::OsString;
use std::sync::Arc;
use std::time::Duration;

use headway_core::engine::{Control, Engine};
use headway_core::error::{Error, ErrorKind};
use headway_engines::isolated::{Crashed, Exit, IsolatedEngine, LaneReport, Launch, Limits, RemoteTraceback};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::core::Core;
use crate::errors;
use crate::life::{away, inside};
use crate::model::Model;
use crate::session::Session;
use crate::submit::Deadline;

/// How long Ctrl-C may wait while processes load their model.
const LOOK: Duration = Duration::from_millis(50);

/// Starts the processes of a session and waits until each has its model loaded: the model, and what the first process
/// tells of it.
#[pyfunction]
#[pyo3(signature = (engine, lanes, *, command, environment, description, model, retries, memory_limit, spin))]
#[allow(clippy::too_many_arguments)]
pub(crate) fn load_isolated(
    py: Python<'_>,
    engine: &str,
    lanes: usize,
    command: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    description: &Bound<'_, PyBytes>,
    model: Option<&Bound<'_, PyBytes>>,
    retries: usize,
    memory_limit: Option<u64>,
    spin: f64,
) -> PyResult<(Model, String)> {
    let _inside = inside(py);
    let launch = Launch {
        command,
        environment,
        description: description.as_bytes().to_vec(),
        model: model.map(|bytes| bytes.as_bytes().to_vec()),
    };
    let limits = Limits { retries, memory: memory_limit, spin: Deadline::seconds(spin)? };
    let raise = |error: Error| errors::raise(py, &error, engine);
    let made = away(py, || IsolatedEngine::start(engine, lanes, launch, limits)).map_err(raise)?;
    loop {
        // Failing, it ends its processes as it is dropped: without the GIL, for that takes a moment.
        match away(py, || made.wait_loaded(LOOK)) {
            Ok(true) => break,
            Ok(false) => {
                if let Err(interrupt) = py.check_signals() {
                    away(py, || drop(made));
                    return Err(interrupt);
                }
            }
            Err(error) => {
                away(py, || drop(made));
                return Err(raise(error));
            }
        }
    }
    let facts = made.facts().to_owned();
    Ok((Model::native(Arc::new(made), None, no_options), facts))
}

fn no_options(_: &Bound<'_, PyAny>, _: &dyn Engine) -> PyResult<Arc<dyn Control>> {
    Err(PyTypeError::new_err(
        "run_options: the engine is in another process, which takes none (isolation=\"process\")",
    ))
}

/// The processes of a session's lanes; `None` where lanes are threads.
pub(crate) fn report(core: &Core) -> Option<(Vec<LaneReport>, Option<String>)> {
    let engine = core.shared.engine()?;
    Some(engine.as_any().downcast_ref::<IsolatedEngine>()?.report())
}

/// What `lane_processes` gives: `(state, pid, restarts)` of each lane, and what went wrong last.
type Processes = (Vec<(&'static str, Option<u32>, u64)>, Option<String>);

/// `(state, pid, restarts)` of each lane's process, and what went wrong last; None where lanes are threads.
#[pyfunction]
pub(crate) fn lane_processes(py: Python<'_>, session: &Session) -> PyResult<Option<Processes>> {
    let core = session.core(py)?;
    let found = report(&core);
    Ok(found.map(|(lanes, trouble)| {
        (lanes.into_iter().map(|lane| (lane.state, lane.pid, lane.restarts)).collect(), trouble)
    }))
}

/// `lane,pid,signal,status` of the process whose death an error is, for `_errors.from_core`.
pub(crate) fn crash_detail(error: &Error) -> Option<String> {
    let crashed = error.payload.as_ref()?.downcast_ref::<Crashed>()?;
    if error.kind != ErrorKind::Engine {
        return None;
    }
    let (signal, status) = match crashed.exit {
        Exit::Signal(signal) => (signal.to_string(), String::new()),
        Exit::Status(status) => (String::new(), status.to_string()),
        Exit::Unknown => (String::new(), String::new()),
    };
    Some(format!("{},{},{signal},{status}", crashed.lane, crashed.pid))
}

/// The traceback that an error brought from a lane's process.
pub(crate) fn traceback(error: &Error) -> Option<&str> {
    Some(&error.payload.as_ref()?.downcast_ref::<RemoteTraceback>()?.0)
}
