//! Loading: a model becomes an engine, before a session is built on it.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use headway_core::clock::Clock;
use headway_core::engine::{Control, Dim, Engine, ModelInfo, NodeInfo, ValueType};
use headway_core::value::DType;
use headway_engines::fake::{FakeConfig, FakeEngine};
use headway_engines::ort::{LibrarySource, LoadOptions, ModelSource, OrtEngine};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use crate::core::RunOptionsReader;
use crate::life::{away, inside};
use crate::options::{ort_options, session_config};
use crate::profiler::Profiler;
use crate::testing::{FakeControl, ManualClock};
use crate::{errors, submit};

/// A fake engine's input or output: name, ONNX's number of its dtype, shape (`None` where any length will do).
type NodeSpec = (String, i32, Option<Vec<Option<i64>>>);

/// A loaded engine on its way into a session, which takes it out.
#[pyclass(frozen, module = "headway._core")]
pub(crate) struct Model {
    engine: Mutex<Option<Arc<dyn Engine>>>,
    pub(crate) info: ModelInfo,
    pub(crate) name: &'static str,
    pub(crate) clock: Option<Py<ManualClock>>,
    pub(crate) run_options: Option<RunOptionsReader>,
}

impl Model {
    pub(crate) fn native(
        engine: Arc<dyn Engine>,
        clock: Option<Py<ManualClock>>,
        read: RunOptionsReader,
    ) -> Self {
        Model {
            info: engine.info().clone(),
            name: engine.name(),
            engine: Mutex::new(Some(engine)),
            clock,
            run_options: Some(read),
        }
    }

    /// The engine; `None` for a Python callable, or when a session took it before.
    pub(crate) fn take(&self) -> Option<Arc<dyn Engine>> {
        self.engine.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub(crate) fn clock(&self) -> Clock {
        self.clock.as_ref().map_or_else(Clock::system, |clock| clock.get().clock())
    }
}

#[pymethods]
impl Model {
    /// A Python callable with the given names; its session drives it on Python threads.
    #[staticmethod]
    fn callable(inputs: Vec<String>, outputs: Vec<String>, clock: Option<Py<ManualClock>>) -> Self {
        let node = |name: String| NodeInfo { name, kind: ValueType::Other("object".into()), required: true };
        let info = ModelInfo {
            inputs: inputs.into_iter().map(node).collect(),
            outputs: outputs.into_iter().map(node).collect(),
            ..ModelInfo::default()
        };
        Model { engine: Mutex::new(None), info, name: "python", clock, run_options: None }
    }

    /// A fake engine and its steering.
    #[staticmethod]
    #[pyo3(signature = (inputs, outputs, *, can_cancel, held, clock))]
    fn fake(
        inputs: Vec<NodeSpec>,
        outputs: Vec<NodeSpec>,
        can_cancel: bool,
        held: bool,
        clock: Option<Py<ManualClock>>,
    ) -> PyResult<(Self, FakeControl)> {
        let nodes = |list: Vec<NodeSpec>| -> PyResult<Vec<NodeInfo>> {
            list.into_iter().map(|(name, dtype, dims)| node(name, dtype, dims)).collect()
        };
        let info = ModelInfo { inputs: nodes(inputs)?, outputs: nodes(outputs)?, ..ModelInfo::default() };
        let engine = FakeEngine::new(FakeConfig { info, can_cancel, held, ..FakeConfig::default() });
        let control = FakeControl { handle: engine.handle() };
        Ok((Model::native(Arc::new(engine), clock, fake_options), control))
    }

    /// The model's own key-value pairs.
    #[getter]
    fn metadata(&self) -> HashMap<String, String> {
        self.info.meta.custom.iter().cloned().collect()
    }

    /// The threads of its operators, `(intra_op, shared)`; None on other engines.
    #[getter]
    fn threads(&self) -> Option<(usize, bool)> {
        let engine = self.engine.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        let threads = engine.as_any().downcast_ref::<OrtEngine>()?.threads();
        Some((threads.intra_op, threads.shared))
    }

    /// What ends the profiling of a model that was loaded with it; before a session takes the model.
    fn profiler(&self) -> Option<Profiler> {
        self.engine.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(Profiler::new)
    }

    /// Loads an ONNX model. `session` holds session options by their ONNX Runtime names.
    #[staticmethod]
    #[pyo3(signature = (model, *, candidates, session, providers))]
    fn onnxruntime(
        py: Python<'_>,
        model: &Bound<'_, PyAny>,
        candidates: Vec<PathBuf>,
        session: &Bound<'_, PyDict>,
        providers: Vec<(String, Vec<(String, String)>)>,
    ) -> PyResult<Self> {
        let _inside = inside(py);
        let config = session_config(session)?;
        let library = LibrarySource { explicit: None, candidates };
        let load =
            |model: ModelSource<'_>| OrtEngine::load(LoadOptions { library, model, config, providers });
        let loaded = match model.cast::<PyBytes>() {
            Ok(bytes) => {
                let bytes = bytes.as_bytes();
                away(py, || load(ModelSource::Bytes(bytes)))
            }
            Err(_) => {
                let path: PathBuf = model.extract()?;
                away(py, || load(ModelSource::Path(path)))
            }
        };
        let engine = loaded.map_err(|error| errors::raise(py, &error, "onnxruntime"))?;
        Ok(Model::native(Arc::new(engine), None, ort_options))
    }
}

fn node(name: String, dtype: i32, dims: Option<Vec<Option<i64>>>) -> PyResult<NodeInfo> {
    let dtype =
        DType::from_onnx(dtype).ok_or_else(|| PyTypeError::new_err(format!("{dtype} is no dtype")))?;
    let dims = dims.map(|dims| dims.into_iter().map(|dim| dim.map_or(Dim::Any, Dim::Fixed)).collect());
    Ok(NodeInfo { name, kind: ValueType::Tensor(dtype, dims), required: true })
}

fn fake_options(_: &Bound<'_, PyAny>, engine: &dyn Engine) -> PyResult<Arc<dyn Control>> {
    match engine.as_any().downcast_ref::<FakeEngine>() {
        Some(engine) => Ok(engine.run_options()),
        None => Err(PyTypeError::new_err("run_options: this engine takes none")),
    }
}

impl crate::core::Core {
    /// The engine's own run options, from Python's.
    pub(crate) fn control(&self, given: &Bound<'_, PyAny>) -> PyResult<Arc<dyn Control>> {
        let engine = self.shared.engine();
        match (self.run_options, engine) {
            (Some(read), Some(engine)) => read(given, engine.as_ref()),
            (Some(_), None) => Err(self.raise(given.py(), &submit::closed())),
            (None, _) => Err(PyTypeError::new_err("run_options: a Python engine takes none")),
        }
    }
}
