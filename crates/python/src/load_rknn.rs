//! Loading an RKNN model, and what the runtime says of it.

use std::path::PathBuf;
use std::sync::Arc;

use headway_core::engine::{Control, Engine};
use headway_engines::rknn::{
    Form, LanePlace, Layout, Outputs, Priority, Quantisation, RknnEngine, RknnOptions, RknnSource, TensorAttr,
};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList};

use crate::life::{away, inside};
use crate::model::Model;
use crate::session::Session;
use crate::{errors, submit};

/// A word among those that an option takes.
fn word<T: Copy>(name: &str, given: &str, words: &[(&str, T)]) -> PyResult<T> {
    let found = words.iter().find(|(word, _)| *word == given).map(|(_, value)| *value);
    found.ok_or_else(|| PyValueError::new_err(format!("{name}: {given:?} is none of its words")))
}

/// Loads an RKNN model. Gives the model and what the runtime says of it.
#[pyfunction]
#[pyo3(signature = (model, *, library, lanes, layout, outputs, zero_copy, zero_copy_layout, buffers, priority, sram, perf, dup_context, custom_ops, share_weights))]
#[allow(clippy::too_many_arguments)]
pub(crate) fn load_rknn<'py>(
    py: Python<'py>,
    model: &Bound<'py, PyAny>,
    library: Option<PathBuf>,
    lanes: Vec<(Option<i32>, String)>,
    layout: &str,
    outputs: &str,
    zero_copy: bool,
    zero_copy_layout: &str,
    buffers: usize,
    priority: &str,
    sram: bool,
    perf: bool,
    dup_context: bool,
    custom_ops: Vec<PathBuf>,
    share_weights: Option<&Bound<'py, Session>>,
) -> PyResult<(Model, Bound<'py, PyDict>)> {
    let _inside = inside(py);
    let layouts = [
        ("nchw", Layout::Nchw),
        ("nchw_software", Layout::NchwSoftware),
        ("nhwc", Layout::Nhwc),
        ("any", Layout::Any),
    ];
    let priorities = [("high", Priority::High), ("medium", Priority::Medium), ("low", Priority::Low)];
    let share_weights = match share_weights {
        Some(other) => {
            let core = other.get().core(py)?;
            Some(core.shared.engine().ok_or_else(|| core.raise(py, &submit::closed()))?)
        }
        None => None,
    };
    let options = RknnOptions {
        library,
        lanes: lanes.into_iter().map(|(mask, name)| LanePlace { mask, name }).collect(),
        layout: word("layout", layout, &layouts)?,
        outputs: word("outputs", outputs, &[("float32", Outputs::Float32), ("native", Outputs::Native)])?,
        zero_copy,
        form: word("zero_copy_layout", zero_copy_layout, &[("nhwc", Form::Nhwc), ("native", Form::Native)])?,
        buffers,
        priority: word("priority", priority, &priorities)?,
        sram,
        perf,
        duplicate: dup_context,
        custom_ops,
        share_weights,
    };
    let loaded = match model.cast::<PyBytes>() {
        Ok(bytes) => {
            let bytes = bytes.as_bytes();
            away(py, || RknnEngine::load(RknnSource::Bytes(bytes), &options))
        }
        Err(_) => {
            let path: PathBuf = model.extract()?;
            away(py, || RknnEngine::load(RknnSource::Path(path), &options))
        }
    };
    // The other session's engine is let go of without the GIL, as all engines are.
    away(py, || drop(options));
    let engine = loaded.map_err(|error| errors::raise(py, &error, "rknn"))?;
    let said = facts(py, &engine)?;
    Ok((Model::native(Arc::new(engine), None, no_options), said))
}

/// Times of every layer of the session's last run, as the runtime writes them; None without `perf=True`.
#[pyfunction]
pub(crate) fn rknn_perf_detail(py: Python<'_>, session: &Bound<'_, Session>) -> PyResult<Option<String>> {
    let core = session.get().core(py)?;
    let engine = core.shared.engine();
    Ok(engine.and_then(|engine| engine.as_any().downcast_ref::<RknnEngine>()?.perf_detail()))
}

fn facts<'py>(py: Python<'py>, engine: &RknnEngine) -> PyResult<Bound<'py, PyDict>> {
    let facts = engine.facts();
    let dict = PyDict::new(py);
    dict.set_item("library", &facts.library)?;
    dict.set_item("api_version", &facts.api_version)?;
    dict.set_item("driver_version", &facts.driver_version)?;
    dict.set_item("inputs", attrs(py, &facts.inputs)?)?;
    dict.set_item("outputs", attrs(py, &facts.outputs)?)?;
    dict.set_item("native_inputs", attrs(py, &facts.native_inputs)?)?;
    dict.set_item("native_outputs", attrs(py, &facts.native_outputs)?)?;
    let names = ["weights", "internal", "dma", "sram", "free_sram"];
    match facts.memory {
        Some(sizes) => {
            let memory = PyDict::new(py);
            for (name, size) in names.into_iter().zip(sizes) {
                memory.set_item(name, size)?;
            }
            dict.set_item("memory", memory)?;
        }
        None => dict.set_item("memory", py.None())?,
    }
    Ok(dict)
}

fn attrs<'py>(py: Python<'py>, list: &[TensorAttr]) -> PyResult<Bound<'py, PyList>> {
    PyList::new(py, list.iter().map(|one| attr(py, one)).collect::<PyResult<Vec<_>>>()?)
}

fn attr<'py>(py: Python<'py>, attr: &TensorAttr) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("name", &attr.name)?;
    dict.set_item("index", attr.index)?;
    dict.set_item("shape", &attr.dims)?;
    dict.set_item("type", format!("tensor({})", attr.dtype.as_str()))?;
    dict.set_item("layout", attr.format.as_str())?;
    let (zero_point, scale) = attr.quantisation.affine();
    let quantisation = match attr.quantisation {
        Quantisation::None => None,
        _ => Some((zero_point, scale)),
    };
    dict.set_item("quantisation", quantisation)?;
    dict.set_item("n_elems", attr.n_elems)?;
    dict.set_item("size", attr.size)?;
    dict.set_item("size_with_stride", attr.size_with_stride)?;
    dict.set_item("w_stride", attr.w_stride)?;
    dict.set_item("h_stride", attr.h_stride)?;
    Ok(dict)
}

fn no_options(_: &Bound<'_, PyAny>, _: &dyn Engine) -> PyResult<Arc<dyn Control>> {
    Err(PyTypeError::new_err("run_options: the rknn engine takes none"))
}
