//! Feeds and answers of Python engines: they stay Python objects all the way.

use std::sync::Arc;

use headway_core::engine::Job;
use headway_core::error::{Error, ErrorKind};
use headway_core::request::Inputs;
use headway_core::value::{Value, Values};
use headway_core::work::Work;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

use crate::core::Core;
use crate::errors_in::bad_input;
use crate::graveyard::{PyOwner, drain_graveyard};
use crate::once::cached;
use crate::{errors, life};

fn helper<'py>(py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
    static MODULE: PyOnceLock<Py<PyModule>> = PyOnceLock::new();
    let module = cached(py, &MODULE, || Ok(py.import("headway._callable")?.unbind()))?;
    module.bind(py).getattr(name)
}

/// What the callable will be called with: `(feed, output names)`, checked against the session's names.
pub(crate) fn read(
    core: &Core,
    feed: &Bound<'_, PyAny>,
    output_names: Option<&Bound<'_, PyAny>>,
    copy: bool,
) -> PyResult<PyOwner> {
    let py = feed.py();
    let names = |nodes: &[headway_core::engine::NodeInfo]| -> Vec<String> {
        nodes.iter().map(|node| node.name.clone()).collect()
    };
    let (inputs, outputs) = (names(&core.info.inputs), names(&core.info.outputs));
    let made = helper(py, "read_feed")?.call1((feed, output_names, inputs, outputs, copy))?;
    // A string is what is wrong with the feed; the class of that error is the door's business.
    match made.extract::<String>() {
        Ok(wrong) => Err(errors::raise_door(py, bad_input(wrong), core.engine_name)),
        Err(_) => Ok(PyOwner::new(made.unbind())),
    }
}

/// Work on a Python lane, between `take` and `complete`.
#[pyclass(frozen, module = "headway._core")]
pub(crate) struct Lane {
    core: Arc<Core>,
    number: usize,
    work: std::sync::Mutex<Option<Work>>,
}

impl Lane {
    pub(crate) fn new(core: Arc<Core>, number: usize) -> Self {
        Lane { core, number, work: std::sync::Mutex::new(None) }
    }

    fn work(&self) -> std::sync::MutexGuard<'_, Option<Work>> {
        self.work.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[pymethods]
impl Lane {
    /// Waits for work: the `(feed, output names)` of each request, or `None` when the lane is closed.
    fn take(&self, py: Python<'_>) -> PyResult<Option<Vec<Py<PyAny>>>> {
        let _inside = life::inside(py);
        drain_graveyard(py);
        let shared = &self.core.shared;
        let Some(work) = life::away(py, || shared.take(self.number)) else { return Ok(None) };
        let feeds = work.jobs.iter().filter_map(|job| fed(py, job)).collect();
        *self.work() = Some(work);
        Ok(Some(feeds))
    }

    /// Ends the work: for each request `(True, list of outputs)` or `(False, exception)`.
    fn complete(&self, py: Python<'_>, results: Vec<(bool, Py<PyAny>)>) {
        let _inside = life::inside(py);
        let Some(mut work) = self.work().take() else { return };
        for (job, (good, object)) in work.jobs.iter_mut().zip(results) {
            job.result = Some(if good {
                Ok(Values::from_iter([Value::Opaque(Arc::new(PyOwner::new(object)))]))
            } else {
                Err(engine_error(py, object))
            });
        }
        life::away(py, || self.core.shared.complete(work));
        drain_graveyard(py);
    }
}

fn fed(py: Python<'_>, job: &Job) -> Option<Py<PyAny>> {
    let Inputs::Feeds(values) = &job.inputs else { return None };
    match values.first()? {
        Value::Opaque(owner) => owner.downcast_ref::<PyOwner>()?.object().map(|object| object.clone_ref(py)),
        _ => None,
    }
}

/// What a callable raised, as the error of its request.
pub(crate) fn engine_error(py: Python<'_>, exception: Py<PyAny>) -> Error {
    let bound = exception.bind(py);
    let name = bound.get_type().name().map_or_else(|_| "exception".to_owned(), |name| name.to_string());
    let text = match bound.str() {
        Ok(text) if text.len().is_ok_and(|len| len > 0) => format!("the callable raised {name}: {text}"),
        _ => format!("the callable raised {name}"),
    };
    Error::new(ErrorKind::Engine, text).with_payload(Arc::new(PyOwner::new(exception)))
}
