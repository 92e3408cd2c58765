//! `PreparedCall`: a call whose names, dtypes and shapes were checked once; each run only passes pointers.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple};

use crate::binding::IoBinding;
use crate::core::Core;
use crate::life;
use crate::run;
use crate::session::Session;
use crate::submit::{Call, CallOptions, Deadline};

/// A call with fixed arrays: fill the inputs, run, read the outputs. `session.prepare()` makes it.
#[pyclass(frozen, weakref, module = "headway", name = "PreparedCall")]
pub(crate) struct PreparedCall {
    core: Arc<Core>,
    binding: Py<IoBinding>,
    inputs: Py<PyDict>,
    outputs: Py<PyTuple>,
}

#[pymethods]
impl PreparedCall {
    #[new]
    fn new(
        py: Python<'_>,
        session: &Bound<'_, Session>,
        binding: Py<IoBinding>,
        inputs: Py<PyDict>,
        outputs: Py<PyTuple>,
    ) -> PyResult<Self> {
        let core = Arc::clone(&*session.get().core(py)?);
        Ok(PreparedCall { core, binding, inputs, outputs })
    }

    /// The input arrays by name: what is written into them is what the next run reads.
    #[getter]
    fn inputs(&self, py: Python<'_>) -> Py<PyDict> {
        self.inputs.clone_ref(py)
    }

    /// The output arrays, in the order of the wanted outputs: every run writes into them.
    #[getter]
    fn outputs<'py>(&self, py: Python<'py>) -> Bound<'py, PyList> {
        self.outputs.bind(py).to_list()
    }

    /// Runs the model on what the input arrays hold, and gives the output arrays, the same ones each time.
    #[pyo3(signature = (*, timeout=Deadline::Session))]
    fn run<'py>(&self, py: Python<'py>, timeout: Deadline) -> PyResult<Bound<'py, PyList>> {
        let _inside = life::inside(py);
        let options = CallOptions { timeout, priority: 0, stream: None, run_options: None };
        run::run_bound(&self.core, &Call::Bound(self.binding.bind(py)), &options)?;
        Ok(self.outputs.bind(py).to_list())
    }

    fn __repr__(&self, py: Python<'_>) -> String {
        let outputs = self.outputs.bind(py).len();
        format!("<PreparedCall [{} inputs, {outputs} outputs]>", self.inputs.bind(py).len())
    }
}
