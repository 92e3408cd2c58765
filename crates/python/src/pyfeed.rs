//! Feeds and answers of Python engines: they stay Python objects all the way.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use headway_core::engine::{Job, NodeInfo, ValueType};
use headway_core::error::{Error, ErrorKind};
use headway_core::request::{Inputs, Wanted};
use headway_core::value::{Value, Values};
use headway_core::work::Work;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use crate::array::{How, to_python};
use crate::core::Core;
use crate::errors_in::{DoorError, bad_input};
use crate::feeds::{self, FeedNames};
use crate::graveyard::{PyOwner, drain_graveyard};
use crate::life::Inside;
use crate::load_python::{self, Face, Flag, Terminations};
use crate::once::cached;
use crate::{errors, life};

/// What a Python engine's requests are read with.
pub(crate) struct PyNames {
    names: FeedNames,
    face: Face,
}

impl PyNames {
    pub(crate) fn new(names: FeedNames, face: Face) -> Box<Self> {
        Box::new(PyNames { names, face })
    }
}

fn helper<'py>(py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
    static MODULE: OnceLock<Py<PyModule>> = OnceLock::new();
    let module = cached(py, &MODULE, || Ok(py.import("headway._pyfeed")?.unbind()))?;
    module.bind(py).getattr(name)
}

/// What the engine will be called with: `(feed, output names)`, checked against what it says of itself.
pub(crate) fn read(
    core: &Core,
    known: &PyNames,
    feed: &Bound<'_, PyAny>,
    output_names: Option<&Bound<'_, PyAny>>,
    how: How,
) -> PyResult<PyOwner> {
    let py = feed.py();
    let raise = |error| errors::raise_door(py, error, core.voice);
    let wanted = wanted(core, py, known, output_names).map_err(raise)?;
    let fed = match known.face.inputs {
        true => named(core, &known.names, feed, how).map_err(raise)?,
        false => free(py, feed, how).map_err(raise)?,
    };
    Ok(PyOwner::new((fed, wanted).into_pyobject(py)?.into_any().unbind()))
}

/// A feed for an engine that has named its inputs: what has a dtype is checked and converted as for native engines.
fn named<'py>(
    core: &Core,
    names: &FeedNames,
    feed: &Bound<'py, PyAny>,
    how: How,
) -> Result<Bound<'py, PyAny>, DoorError> {
    let py = feed.py();
    let found = feeds::find(py, feed, names)?;
    let dict = PyDict::new(py);
    let mut values = Values::with_capacity(found.len());
    for (index, object) in found.iter().enumerate() {
        let mut value = Value::None;
        if let Some(object) = object {
            let (node, _) = names.node(index);
            let array = if let ValueType::Tensor(..) = node.kind {
                value = feeds::read_one(py, object, node, None, None, how, &|len| core.alloc(len))?;
                to_python(py, value.clone())?
            } else {
                anything(object, node, how)?.unbind()
            };
            dict.set_item(&node.name, array)?;
        }
        values.push(value);
    }
    feeds::check_shared(&values, names)?;
    Ok(dict.into_any())
}

/// An input without a dtype: an array stays as it is, its own class too; everything else becomes one.
fn anything<'py>(
    object: &Bound<'py, PyAny>,
    node: &NodeInfo,
    how: How,
) -> Result<Bound<'py, PyAny>, DoorError> {
    if object.is_none() {
        return Err(bad_input(format!("input '{}' is None: pass an array", node.name)));
    }
    Ok(helper(object.py(), "as_array")?.call1((object, how == How::Copy))?)
}

/// A feed for an engine that has not named its inputs. A text is what is wrong with it.
fn free<'py>(py: Python<'py>, feed: &Bound<'py, PyAny>, how: How) -> Result<Bound<'py, PyAny>, DoorError> {
    let made = helper(py, "free_feed")?.call1((feed, how == How::Copy))?;
    match made.extract::<String>() {
        Ok(wrong) => Err(bad_input(wrong)),
        Err(_) => Ok(made),
    }
}

/// The names of the wanted outputs; `None` for all.
pub(crate) fn wanted<'py>(
    core: &Core,
    py: Python<'py>,
    known: &PyNames,
    output_names: Option<&Bound<'py, PyAny>>,
) -> Result<Option<Bound<'py, PyAny>>, DoorError> {
    let Some(given) = output_names.filter(|given| !given.is_none()) else { return Ok(None) };
    if !known.face.outputs {
        let listed = helper(py, "free_names")?.call1((given,))?;
        return Ok((!listed.is_none()).then_some(listed));
    }
    match feeds::read_output_names(py, Some(given), &known.names)? {
        Wanted::All => Ok(None),
        Wanted::Some(places) => {
            let names = places.iter().filter_map(|place| core.info.outputs.get(*place as usize));
            Ok(Some(PyList::new(py, names.map(|node| node.name.as_str()).collect::<Vec<_>>())?.into_any()))
        }
    }
}

/// Work on a Python lane, between `take` and `complete`.
#[pyclass(frozen, module = "headway._core")]
pub(crate) struct Lane {
    core: Arc<Core>,
    number: usize,
    flag: Arc<Flag>,
    work: Mutex<Option<Work>>,
    /// The thread is to close what it opened: exit waits for it as for those inside the door.
    leaving: Mutex<Option<Inside>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Lane {
    pub(crate) fn new(py: Python<'_>, core: Arc<Core>, number: usize) -> PyResult<Self> {
        let flag = load_python::flag(py, &core, number)?;
        Ok(Lane { core, number, flag, work: Mutex::new(None), leaving: Mutex::new(None) })
    }
}

#[pymethods]
impl Lane {
    /// Waits for work: the `(feed, output names)` of each request, or `None` when the lane is closed.
    /// The thread then has until `leave` to put away what it has.
    fn take(&self, py: Python<'_>) -> PyResult<Option<Vec<Py<PyAny>>>> {
        let inside = life::inside(py);
        drain_graveyard(py);
        let shared = &self.core.shared;
        let Some(work) = life::away(py, || shared.take(self.number)) else {
            *lock(&self.leaving) = Some(inside);
            return Ok(None);
        };
        let feeds = work.jobs.iter().filter_map(|job| fed(py, job)).collect();
        *lock(&self.work) = Some(work);
        Ok(Some(feeds))
    }

    /// Ends the work: for each request `(True, list of outputs)` or `(False, exception)`.
    fn complete(&self, py: Python<'_>, results: Vec<(bool, Py<PyAny>)>) {
        let _inside = life::inside(py);
        let Some(mut work) = lock(&self.work).take() else { return };
        for (job, (good, object)) in work.jobs.iter_mut().zip(results) {
            job.result = Some(if good {
                Ok(Values::from_iter([Value::Opaque(Arc::new(PyOwner::new(object)))]))
            } else {
                Err(engine_error(py, self.core.voice.engine, object))
            });
        }
        life::away(py, || self.core.shared.complete(work));
        drain_graveyard(py);
    }

    /// The thread has put away what it had.
    fn leave(&self) {
        let inside = lock(&self.leaving).take();
        drop(inside);
    }

    /// True while the request that the lane runs is to stop.
    #[getter]
    fn cancelled(&self) -> bool {
        self.flag.is_up()
    }

    /// What tells of the session's lanes whose requests are to stop.
    fn terminations(&self) -> Terminations {
        load_python::terminations(&self.flag)
    }
}

fn fed(py: Python<'_>, job: &Job) -> Option<Py<PyAny>> {
    let Inputs::Feeds(values) = &job.inputs else { return None };
    match values.first()? {
        Value::Opaque(owner) => owner.downcast_ref::<PyOwner>()?.object().map(|object| object.clone_ref(py)),
        _ => None,
    }
}

/// What an engine raised, as the error of its request.
pub(crate) fn engine_error(py: Python<'_>, engine: &str, exception: Py<PyAny>) -> Error {
    let bound = exception.bind(py);
    let who = if engine == "python" { "the callable".to_owned() } else { format!("the {engine} engine") };
    let name = bound.get_type().name().map_or_else(|_| "exception".to_owned(), |name| name.to_string());
    let text = match bound.str() {
        Ok(text) if text.len().is_ok_and(|len| len > 0) => format!("{who} raised {name}: {text}"),
        _ => format!("{who} raised {name}"),
    };
    Error::new(ErrorKind::Engine, text).with_payload(Arc::new(PyOwner::new(exception)))
}
