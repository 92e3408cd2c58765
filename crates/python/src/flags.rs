//! What Python sets while a model loads or a request runs, and the adapters that requests use.

use std::path::PathBuf;
use std::sync::Arc;

use headway_engines::ort::{self, LibrarySource};
use pyo3::prelude::*;

use crate::errors;
use crate::life::{away, inside};

/// Stops the loads it was given to.
#[pyclass(frozen, module = "headway._core")]
pub(crate) struct LoadFlag(pub(crate) ort::LoadFlag);

#[pymethods]
impl LoadFlag {
    #[new]
    fn new() -> Self {
        LoadFlag(ort::LoadFlag::default())
    }

    /// True when loads are to stop.
    fn get(&self) -> bool {
        self.0.get()
    }

    /// Stops loads, those that run too; False lets later ones run.
    fn set(&self, py: Python<'_>, canceled: bool) -> PyResult<()> {
        let _inside = inside(py);
        self.0.set(canceled).map_err(|error| errors::raise(py, &error, "onnxruntime"))
    }
}

/// Terminates the requests that were made with it.
#[pyclass(frozen, module = "headway._core")]
pub(crate) struct RunFlag(pub(crate) ort::RunFlag);

#[pymethods]
impl RunFlag {
    #[new]
    fn new() -> Self {
        RunFlag(ort::RunFlag::default())
    }

    /// True when requests are to stop.
    fn get(&self) -> bool {
        self.0.get()
    }

    /// Stops requests, those that run too; False lets later ones run.
    fn set(&self, terminate: bool) {
        self.0.set(terminate);
    }
}

/// Parameters that a request adds to its model.
#[pyclass(frozen, module = "headway._core")]
pub(crate) struct LoraAdapter(pub(crate) Arc<ort::LoraAdapter>);

#[pymethods]
impl LoraAdapter {
    /// Loads an adapter file.
    #[staticmethod]
    fn load(py: Python<'_>, path: PathBuf, candidates: Vec<PathBuf>) -> PyResult<Self> {
        let _inside = inside(py);
        let source = LibrarySource { explicit: None, candidates };
        let loaded = away(py, || ort::LoraAdapter::load(&source, &path));
        let adapter = loaded.map_err(|error| errors::raise(py, &error, "onnxruntime"))?;
        Ok(LoraAdapter(Arc::new(adapter)))
    }
}
