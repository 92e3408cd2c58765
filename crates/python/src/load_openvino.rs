//! A model on OpenVINO, and what only such a session can tell.

use std::path::PathBuf;
use std::sync::Arc;

use headway_core::engine::{Control, Dim, Engine, ValueType};
use headway_core::error::{Error, ErrorKind};
use headway_engines::openvino::{LoadOptions, ModelSource, NodeTiming, OpenVinoEngine, Runtime};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::life::{away, inside};
use crate::model::Model;
use crate::session::Session;
use crate::{errors, submit};

const ENGINE: &str = "openvino";

/// Loads and compiles a model. Gives it with the compiled model's own words for the properties of `asked`, None for one
/// that the device does not have, and whether an input's shape is open.
#[pyfunction]
#[pyo3(signature = (model, *, weights, candidates, device, properties, asked))]
pub(crate) fn load_openvino(
    py: Python<'_>,
    model: &Bound<'_, PyAny>,
    weights: Option<Bound<'_, PyBytes>>,
    candidates: Vec<PathBuf>,
    device: String,
    properties: Vec<(String, String)>,
    asked: Vec<String>,
) -> PyResult<(Model, Vec<Option<String>>, bool)> {
    let _inside = inside(py);
    let load = |model: ModelSource<'_>| {
        let engine = OpenVinoEngine::load(LoadOptions { candidates, model, device, properties })?;
        let told = asked.iter().map(|name| engine.property(name).ok()).collect();
        Ok((engine, told))
    };
    let loaded: Result<_, Error> = match model.cast::<PyBytes>() {
        Ok(bytes) => {
            let (model, weights) = (bytes.as_bytes(), weights.as_ref().map(|bytes| bytes.as_bytes()));
            away(py, || load(ModelSource::Bytes { model, weights }))
        }
        Err(_) => {
            let path: PathBuf = model.extract()?;
            away(py, || load(ModelSource::Path(path)))
        }
    };
    let (engine, told) = loaded.map_err(|error| errors::raise(py, &error, ENGINE))?;
    let open = engine.info().inputs.iter().any(|node| is_open(&node.kind));
    Ok((Model::native(Arc::new(engine), None, no_run_options), told, open))
}

fn is_open(kind: &ValueType) -> bool {
    match kind {
        ValueType::Tensor(_, Some(dims)) => dims.iter().any(|dim| !matches!(dim, Dim::Fixed(_))),
        _ => true,
    }
}

fn no_run_options(_: &Bound<'_, PyAny>, _: &dyn Engine) -> PyResult<Arc<dyn Control>> {
    Err(PyTypeError::new_err("run_options: the openvino engine takes none"))
}

/// Version of OpenVINO's library at hand, and the devices that it finds on this machine.
#[pyfunction]
pub(crate) fn openvino_devices(py: Python<'_>, candidates: Vec<PathBuf>) -> PyResult<(String, Vec<String>)> {
    let _inside = inside(py);
    let ask = || {
        let runtime = Runtime::get(&candidates)?;
        Ok((runtime.version().to_owned(), runtime.devices()?))
    };
    away(py, ask).map_err(|error: Error| errors::raise(py, &error, ENGINE))
}

/// A node's name, operation, way of running, status, microseconds, microseconds of the CPU.
type Timing = (String, String, String, &'static str, i64, i64);

/// What the nodes took in a session's last request.
#[pyfunction]
pub(crate) fn openvino_profile(py: Python<'_>, session: &Session) -> PyResult<Vec<Timing>> {
    let core = session.core(py)?;
    core.enter(py)?;
    let engine = core.shared.engine().ok_or_else(|| core.raise(py, &submit::closed()))?;
    let timings = engine
        .as_any()
        .downcast_ref::<OpenVinoEngine>()
        .ok_or_else(|| format!("profiling_info: the {} engine has none", core.voice.engine))
        .and_then(|engine| {
            let none = "profiling_info: the session was made without engine_options={\"PERF_COUNT\": True}";
            engine.profile().ok_or_else(|| none.to_owned())
        })
        .map_err(|text| core.raise(py, &Error::new(ErrorKind::Input, text)))?;
    let row = |one: NodeTiming| (one.node, one.kind, one.execution, one.status, one.real_us, one.cpu_us);
    Ok(timings.into_iter().map(row).collect())
}
