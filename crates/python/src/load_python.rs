//! Python engines: what their models say of themselves, and the flags that ask their lanes to stop.
//!
//! A terminate flag goes up under the state lock and on any thread, so Python is told later: a lane that computes in
//! Python looks at its flag (`Lane.cancelled`); for one that has to be interrupted, a Python thread waits here for
//! flags that went up ([`Terminations`]) and calls the lane's own `terminate`.

use std::any::Any;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use headway_core::engine::{self, Control, Dim, Engine, Job, ModelInfo, ModelMeta, NodeInfo, ValueType};
use headway_core::error::Error;
use headway_core::value::DType;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;

use crate::core::Core;
use crate::life;
use crate::model::Model;
use crate::submit;
use crate::testing::ManualClock;

/// One dimension: a length, a name, or None for any length.
#[derive(FromPyObject)]
pub(crate) enum Length {
    Fixed(i64),
    Named(String),
}

/// An input or output: name, ONNX's number of its dtype (None where anything will do), shape (None for any).
type NodeSpec = (String, Option<i32>, Option<Vec<Option<Length>>>);

/// Which of its nodes a Python engine has named.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Face {
    /// False: it takes any dict.
    pub(crate) inputs: bool,
    /// False: it gives what it gives.
    pub(crate) outputs: bool,
}

/// The model of a Python engine. Without `inputs` it takes any dict, without `outputs` it gives what it gives.
#[pyfunction]
#[pyo3(signature = (name, *, inputs, outputs, metadata, can_cancel, clock))]
pub(crate) fn load_python(
    name: &str,
    inputs: Option<Vec<NodeSpec>>,
    outputs: Option<Vec<NodeSpec>>,
    metadata: Vec<(String, String)>,
    can_cancel: bool,
    clock: Option<Py<ManualClock>>,
) -> PyResult<Model> {
    let face = Face { inputs: inputs.is_some(), outputs: outputs.is_some() };
    let nodes = |list: Option<Vec<NodeSpec>>| -> PyResult<Vec<NodeInfo>> {
        list.unwrap_or_default().into_iter().map(node).collect()
    };
    let info = ModelInfo {
        inputs: nodes(inputs)?,
        outputs: nodes(outputs)?,
        meta: ModelMeta { custom: metadata, ..ModelMeta::default() },
        ..ModelInfo::default()
    };
    let engine =
        PyEngine { name: interned(name), info, can_cancel, flags: Mutex::default(), watch: Arc::default() };
    Ok(Model::python(Arc::new(engine), face, clock))
}

fn node((name, dtype, dims): NodeSpec) -> PyResult<NodeInfo> {
    let kind = match dtype {
        Some(number) => {
            let dtype = DType::from_onnx(number)
                .ok_or_else(|| PyTypeError::new_err(format!("{number} is no dtype")))?;
            ValueType::Tensor(dtype, dims.map(|dims| dims.into_iter().map(dim).collect()))
        }
        None => ValueType::Other("object".into()),
    };
    Ok(NodeInfo { name, kind, required: true })
}

fn dim(length: Option<Length>) -> Dim {
    match length {
        Some(Length::Fixed(length)) => Dim::Fixed(length),
        Some(Length::Named(name)) => Dim::Named(name),
        None => Dim::Any,
    }
}

/// One text for each engine's name, kept for the life of the process: errors name it wherever they are made.
fn interned(name: &str) -> &'static str {
    static NAMES: Mutex<Vec<&'static str>> = Mutex::new(Vec::new());
    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    match names.iter().find(|known| **known == name) {
        Some(known) => known,
        None => {
            let kept: &'static str = Box::leak(name.into());
            names.push(kept);
            kept
        }
    }
}

/// What the flow sees of a Python engine. Its lanes run nothing: Python threads take the work and complete it.
struct PyEngine {
    name: &'static str,
    info: ModelInfo,
    can_cancel: bool,
    flags: Mutex<Vec<Arc<Flag>>>,
    watch: Arc<Watch>,
}

impl Engine for PyEngine {
    fn name(&self) -> &'static str {
        self.name
    }

    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn open_lane(&self, id: usize) -> Result<Box<dyn engine::Lane>, Error> {
        let flag = Arc::new(Flag { number: id, up: AtomicBool::new(false), watch: Arc::clone(&self.watch) });
        self.flags.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&flag));
        Ok(Box::new(PyLane(self.can_cancel.then_some(flag))))
    }

    fn can_cancel(&self) -> bool {
        self.can_cancel
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

struct PyLane(Option<Arc<Flag>>);

impl engine::Lane for PyLane {
    fn run(&mut self, _jobs: &mut [Job]) {}

    fn control(&self) -> Option<Arc<dyn Control>> {
        self.0.clone().map(|flag| flag as Arc<dyn Control>)
    }
}

/// A lane's terminate flag.
pub(crate) struct Flag {
    number: usize,
    up: AtomicBool,
    watch: Arc<Watch>,
}

impl Flag {
    /// True while the lane's request is to stop.
    pub(crate) fn is_up(&self) -> bool {
        self.up.load(Ordering::Acquire)
    }
}

impl Control for Flag {
    fn terminate(&self) {
        self.up.store(true, Ordering::Release);
        self.watch.ring(self.number);
    }

    fn reset(&self) {
        self.up.store(false, Ordering::Release);
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// Where flags that went up wait for the thread that tells Python. Its lock is held for a few instructions only, never
/// over a wait for the GIL: those who ring hold the state lock.
#[derive(Default)]
struct Watch {
    state: Mutex<Watched>,
    bell: Condvar,
}

#[derive(Default)]
struct Watched {
    /// Somebody waits, or will.
    listening: bool,
    over: bool,
    due: Vec<usize>,
}

impl Watch {
    fn state(&self) -> MutexGuard<'_, Watched> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ring(&self, number: usize) {
        let mut state = self.state();
        if state.listening && !state.due.contains(&number) {
            state.due.push(number);
            self.bell.notify_one();
        }
    }

    fn next(&self) -> Option<usize> {
        let mut state = self.state();
        while state.due.is_empty() && !state.over {
            state = self.bell.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.due.pop()
    }
}

/// Lanes whose terminate flag went up, for the Python thread that calls their `terminate`.
#[pyclass(frozen, module = "headway._core")]
pub(crate) struct Terminations {
    watch: Arc<Watch>,
}

#[pymethods]
impl Terminations {
    /// Waits for a flag that goes up: the lane's number, or None after `close`.
    fn next(&self, py: Python<'_>) -> Option<usize> {
        let _inside = life::inside(py);
        let watch = &self.watch;
        life::away(py, || watch.next())
    }

    /// Ends the waiting.
    fn close(&self) {
        let mut state = self.watch.state();
        (state.over, state.listening) = (true, false);
        self.watch.bell.notify_all();
    }
}

/// From now on the lanes whose flags go up are told of.
pub(crate) fn terminations(flag: &Flag) -> Terminations {
    flag.watch.state().listening = true;
    Terminations { watch: Arc::clone(&flag.watch) }
}

/// The flag of lane number `number`.
///
/// # Errors
/// `SessionClosed` when the engine has gone.
pub(crate) fn flag(py: Python<'_>, core: &Core, number: usize) -> PyResult<Arc<Flag>> {
    let engine = core.shared.engine();
    let engine = engine.as_ref().and_then(|engine| engine.as_any().downcast_ref::<PyEngine>());
    let flags = engine.map(|engine| engine.flags.lock().unwrap_or_else(PoisonError::into_inner));
    let found = flags.and_then(|flags| flags.iter().find(|flag| flag.number == number).cloned());
    found.ok_or_else(|| core.raise(py, &submit::closed()))
}
