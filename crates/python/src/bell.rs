//! An event loop's bell, as Python holds it.

use std::sync::Arc;

use pyo3::prelude::*;

/// One per event loop: native threads ring it, `add_reader` watches its descriptor.
#[pyclass(frozen, module = "headway._core")]
pub(crate) struct Bell {
    pub(crate) inner: Arc<headway_core::bell::Bell>,
}

#[pymethods]
impl Bell {
    #[new]
    fn new() -> PyResult<Self> {
        Ok(Bell { inner: Arc::new(headway_core::bell::Bell::new()?) })
    }

    /// The descriptor to watch for reading.
    #[cfg(unix)]
    fn fileno(&self) -> i32 {
        self.inner.descriptor()
    }

    /// The numbers rung for since the last look.
    fn answer(&self) -> Vec<u64> {
        self.inner.answer()
    }
}
