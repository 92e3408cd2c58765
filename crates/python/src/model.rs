//! Loading: a model becomes an engine, before a session is built on it.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use headway_core::clock::Clock;
use headway_core::engine::{Control, Dim, Engine, ModelInfo, NodeInfo, ValueType};
use headway_core::error::Error;
use headway_core::value::DType;
use headway_engines::fake::{FakeConfig, FakeEngine};
use headway_engines::ort::{
    LibrarySource, LoadOptions, ModelSource, OrtEngine, RunConfig, Runtime, SessionConfig, drain_log,
};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use crate::core::RunOptionsReader;
use crate::life::{away, inside};
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
    fn native(engine: Arc<dyn Engine>, clock: Option<Py<ManualClock>>, read: RunOptionsReader) -> Self {
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

    /// Loads an ONNX model. `session` holds session options by their ONNX Runtime names.
    #[staticmethod]
    #[pyo3(signature = (model, *, library, candidates, session, providers))]
    fn onnxruntime(
        py: Python<'_>,
        model: &Bound<'_, PyAny>,
        library: Option<PathBuf>,
        candidates: Vec<PathBuf>,
        session: &Bound<'_, PyDict>,
        providers: Vec<(String, Vec<(String, String)>)>,
    ) -> PyResult<Self> {
        let _inside = inside(py);
        let config = session_config(session)?;
        let library = LibrarySource { explicit: library, candidates };
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

/// Providers that the onnxruntime library at hand was built with.
#[pyfunction]
pub(crate) fn available_providers(
    py: Python<'_>,
    library: Option<PathBuf>,
    candidates: Vec<PathBuf>,
) -> PyResult<Vec<String>> {
    let _inside = inside(py);
    let source = LibrarySource { explicit: library, candidates };
    let found: Result<Vec<String>, Error> =
        away(py, || Runtime::get(&source).and_then(|runtime| runtime.available_providers()));
    found.map_err(|error| errors::raise(py, &error, "onnxruntime"))
}

/// The version and path of the onnxruntime library at hand.
#[pyfunction]
pub(crate) fn onnxruntime_version(
    py: Python<'_>,
    library: Option<PathBuf>,
    candidates: Vec<PathBuf>,
) -> PyResult<(String, PathBuf)> {
    let _inside = inside(py);
    let source = LibrarySource { explicit: library, candidates };
    let found = away(py, || {
        Runtime::get(&source).map(|runtime| (runtime.version().to_owned(), runtime.path().to_owned()))
    });
    found.map_err(|error| errors::raise(py, &error, "onnxruntime"))
}

/// Engine log lines since the last call: `(severity, category, message)`.
#[pyfunction]
pub(crate) fn engine_log() -> Vec<(i32, String, String)> {
    drain_log().into_iter().map(|line| (line.severity, line.category, line.message)).collect()
}

fn node(name: String, dtype: i32, dims: Option<Vec<Option<i64>>>) -> PyResult<NodeInfo> {
    let dtype =
        DType::from_onnx(dtype).ok_or_else(|| PyTypeError::new_err(format!("{dtype} is no dtype")))?;
    let dims = dims.map(|dims| dims.into_iter().map(|dim| dim.map_or(Dim::Any, Dim::Fixed)).collect());
    Ok(NodeInfo { name, kind: ValueType::Tensor(dtype, dims), required: true })
}

fn get<'py, T: for<'a> FromPyObject<'a, 'py, Error = PyErr>>(
    dict: &Bound<'py, PyDict>,
    name: &str,
) -> PyResult<Option<T>> {
    match dict.get_item(name)? {
        Some(value) if !value.is_none() => Ok(Some(value.extract()?)),
        _ => Ok(None),
    }
}

fn session_config(dict: &Bound<'_, PyDict>) -> PyResult<SessionConfig> {
    Ok(SessionConfig {
        intra_op_num_threads: get(dict, "intra_op_num_threads")?,
        inter_op_num_threads: get(dict, "inter_op_num_threads")?,
        execution_mode: get(dict, "execution_mode")?,
        graph_optimization_level: get(dict, "graph_optimization_level")?,
        enable_cpu_mem_arena: get(dict, "enable_cpu_mem_arena")?,
        enable_mem_pattern: get(dict, "enable_mem_pattern")?,
        profile_file_prefix: get(dict, "profile_file_prefix")?,
        optimized_model_filepath: get(dict, "optimized_model_filepath")?,
        logid: get(dict, "logid")?,
        log_severity_level: get(dict, "log_severity_level")?,
        log_verbosity_level: get(dict, "log_verbosity_level")?,
        use_deterministic_compute: get(dict, "use_deterministic_compute")?,
        config_entries: get(dict, "config_entries")?.unwrap_or_default(),
        free_dimensions_by_name: get(dict, "free_dimensions_by_name")?.unwrap_or_default(),
        free_dimensions_by_denotation: get(dict, "free_dimensions_by_denotation")?.unwrap_or_default(),
        custom_op_libraries: get(dict, "custom_op_libraries")?.unwrap_or_default(),
        ..SessionConfig::default()
    })
}

fn ort_options(given: &Bound<'_, PyAny>, engine: &dyn Engine) -> PyResult<Arc<dyn Control>> {
    let Ok(fields) = given.call_method0("_fields") else {
        let text = format!("run_options: expected headway.RunOptions, got {}", given.get_type().name()?);
        return Err(PyTypeError::new_err(text));
    };
    let fields = fields.cast::<PyDict>()?;
    let config = RunConfig {
        log_severity_level: get(fields, "log_severity_level")?,
        log_verbosity_level: get(fields, "log_verbosity_level")?,
        logid: get(fields, "logid")?,
        config_entries: get(fields, "config_entries")?.unwrap_or_default(),
    };
    let Some(engine) = engine.as_any().downcast_ref::<OrtEngine>() else {
        return Err(PyTypeError::new_err("run_options: this engine takes none"));
    };
    let control =
        engine.run_options(&config).map_err(|error| errors::raise(given.py(), &error, "onnxruntime"))?;
    if get(fields, "terminate")?.unwrap_or(false) {
        control.terminate();
    }
    Ok(control)
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
