//! Process lanes, as the lane's own process has them: what it is to load, and the loop of its lane.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use headway_core::engine::{Job, NodeInfo};
use headway_core::error::{Error, ErrorKind};
use headway_core::request::{Inputs, Wanted};
use headway_core::value::{Value, Values};
use headway_engines::isolated::{Mailbox, Origin, RemoteTraceback, serve};
use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList};

use crate::errors_in::DoorError;
use crate::graveyard::drain_graveyard;
use crate::life::{away, inside};
use crate::model::Model;
use crate::{array, pyfeed};

/// This process's lane: it was started by a session of another process.
#[pyclass(frozen, module = "headway._core")]
pub(crate) struct ServedLane {
    origin: Mutex<Option<Origin>>,
    mailbox: Mutex<Option<Mailbox>>,
    /// Names of the inputs and outputs of a Python engine, and its own.
    names: Mutex<(Vec<String>, Vec<String>)>,
    engine: Mutex<&'static str>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn spent() -> PyErr {
    PyRuntimeError::new_err("the lane was opened already")
}

#[pymethods]
impl ServedLane {
    /// Takes over the standard input, which is the session's socket.
    #[staticmethod]
    fn inherit() -> PyResult<Self> {
        let origin = Mutex::new(Some(Origin::inherit()?));
        Ok(ServedLane {
            origin,
            mailbox: Mutex::default(),
            names: Mutex::default(),
            engine: Mutex::default(),
        })
    }

    /// What to load.
    fn description<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let origin = locked(&self.origin);
        Ok(PyBytes::new(py, &origin.as_ref().ok_or_else(spent)?.description))
    }

    /// The model's bytes; None where it is a file or a callable. The second call gives None.
    fn model<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        let bytes = locked(&self.origin).as_mut()?.model.take()?;
        Some(PyBytes::new(py, &bytes))
    }

    /// Says why the model cannot be loaded: `kind` is `load` or `input`.
    fn fail(&self, kind: &str, message: String, code: Option<i32>) -> PyResult<()> {
        let origin = locked(&self.origin).take().ok_or_else(spent)?;
        let kind = if kind == "input" { ErrorKind::Input } else { ErrorKind::Load };
        Ok(origin.fail(Error { code, ..Error::new(kind, message) })?)
    }

    /// Runs a loaded model until the session closes.
    fn serve(&self, py: Python<'_>, model: &Model, facts: &str) -> PyResult<()> {
        let _inside = inside(py);
        let engine = model.take().ok_or_else(spent)?;
        let origin = locked(&self.origin).take().ok_or_else(spent)?;
        away(py, || {
            let mut mailbox = origin.welcome(&model.info, facts)?;
            serve(&mut mailbox, &engine);
            drop(engine);
            std::io::Result::Ok(())
        })?;
        Ok(())
    }

    /// Opens the lane of a Python engine: `take` and `complete` drive it.
    fn open(&self, model: &Model, facts: &str) -> PyResult<()> {
        if model.python.is_some_and(|face| !face.inputs) {
            let text = "isolation=\"process\": the engine does not name its inputs; do it with inputs=[...]";
            return Err(PyTypeError::new_err(text));
        }
        let names = |nodes: &[NodeInfo]| nodes.iter().map(|node| node.name.clone()).collect();
        let origin = locked(&self.origin).take().ok_or_else(spent)?;
        *locked(&self.mailbox) = Some(origin.welcome(&model.info, facts)?);
        *locked(&self.names) = (names(&model.info.inputs), names(&model.info.outputs));
        *locked(&self.engine) = model.name;
        Ok(())
    }

    /// Waits for work: the `(feed, output names)` of each request, or None when the session has closed. The arrays lie
    /// in the memory that the session wrote them to. In the place of a feed that cannot be made stands what was raised:
    /// it is that request's error, and no reason to end the process.
    fn take<'py>(&self, py: Python<'py>) -> PyResult<Option<Vec<Fed<'py>>>> {
        let _inside = inside(py);
        drain_graveyard(py);
        let jobs = away(py, || locked(&self.mailbox).as_mut().and_then(Mailbox::take));
        let names = locked(&self.names);
        let Some(jobs) = jobs else { return Ok(None) };
        Ok(Some(jobs.into_iter().map(|job| fed(py, job, &names)).collect()))
    }

    /// Answers the work: for each request `(True, list of arrays)` or `(False, (exception, traceback))`, without a
    /// traceback where the exception came in the place of a feed.
    fn complete(&self, py: Python<'_>, results: Bound<'_, PyList>) -> PyResult<()> {
        let _inside = inside(py);
        let read: Vec<_> =
            results.iter().map(|one| result(&one, *locked(&self.engine))).collect::<PyResult<_>>()?;
        results.call_method0("clear")?;
        drop(results);
        if let Some(mailbox) = locked(&self.mailbox).as_mut() {
            mailbox.answer(read, None, || drain_graveyard(py));
        }
        Ok(())
    }
}

/// What a Python engine is called with, and the names of the outputs that are wanted.
type Fed<'py> = (Bound<'py, PyAny>, Option<Vec<String>>);

fn fed<'py>(py: Python<'py>, job: Job, names: &(Vec<String>, Vec<String>)) -> Fed<'py> {
    let feed = match job.inputs {
        Inputs::Feeds(values) => feed(py, &names.0, values),
        Inputs::Binding(_) => Ok(PyDict::new(py)),
    };
    let feed = feed.map_or_else(|error| error.into_value(py).into_bound(py).into_any(), Bound::into_any);
    let wanted = match job.wanted {
        Wanted::All => None,
        Wanted::Some(indices) => {
            Some(indices.iter().filter_map(|&at| names.1.get(at as usize).cloned()).collect())
        }
    };
    (feed, wanted)
}

fn feed<'py>(py: Python<'py>, names: &[String], values: Values) -> PyResult<Bound<'py, PyDict>> {
    let feed = PyDict::new(py);
    for (name, value) in names.iter().zip(values) {
        if !matches!(value, Value::None) {
            feed.set_item(name, array::to_python(py, value).map_err(plain)?)?;
        }
    }
    Ok(feed)
}

fn plain(error: DoorError) -> PyErr {
    match error {
        DoorError::Core(error) | DoorError::Misuse(error) => PyRuntimeError::new_err(error.message),
        DoorError::Py(error) => error,
    }
}

fn result(given: &Bound<'_, PyAny>, engine: &str) -> PyResult<Result<Values, Error>> {
    let (good, what): (bool, Bound<'_, PyAny>) = given.extract()?;
    if !good {
        let (exception, traceback): (Bound<'_, PyAny>, String) = what.extract()?;
        if traceback.is_empty() {
            return Ok(Err(Error::new(ErrorKind::Engine, exception.str()?.to_string())));
        }
        let error = pyfeed::engine_error(given.py(), engine, exception.unbind());
        return Ok(Err(error.with_payload(Arc::new(RemoteTraceback(traceback)))));
    }
    let mut values = Values::new();
    for array in what.try_iter()? {
        match array::of_array(&array?) {
            Ok((tensor, _)) => values.push(Value::Tensor(tensor)),
            Err(DoorError::Core(error) | DoorError::Misuse(error)) => {
                let what = error.message.strip_prefix("input 'numpy_obj': ").unwrap_or(&error.message);
                let message = format!("an output that cannot be given: {what}");
                return Ok(Err(Error { kind: ErrorKind::Engine, message, ..error }));
            }
            Err(DoorError::Py(error)) => return Err(error),
        }
    }
    Ok(Ok(values))
}
