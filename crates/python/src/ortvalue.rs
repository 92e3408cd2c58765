//! `OrtValue`: a tensor, a list, a dict, a sparse tensor or nothing, in the form that requests take and give.
//!
//! No engine object stands behind one on the CPU: it is the flow's own `Value`, for which the lane makes the engine's
//! object by borrowing, for each run.

use headway_core::value::{Data, Dims, Tensor, Value};
use pyo3::exceptions::{PyBufferError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyType};

use crate::array::{self, Writable};
use crate::errors_in::{DoorError, misuse};
use crate::facts::Held;
use crate::graveyard::drain_graveyard;
use crate::{device, errors, life, sparse};

/// What an error of a value says its engine is.
const ENGINE: &str = "onnxruntime";

/// A value in the form in which requests take and give it.
#[pyclass(frozen, weakref, module = "headway", name = "OrtValue")]
pub(crate) struct OrtValue {
    value: Value,
    /// False over a read-only array.
    writable: bool,
}

impl OrtValue {
    /// A value that a request gave.
    pub(crate) fn new(value: Value) -> Self {
        OrtValue { value, writable: true }
    }

    fn of((tensor, writable): Writable) -> Self {
        OrtValue { value: Value::Tensor(tensor), writable }
    }

    /// The value itself.
    pub(crate) fn value(&self) -> &Value {
        &self.value
    }

    /// The tensor, to be written to by an engine.
    pub(crate) fn target(&self) -> Result<&Tensor, DoorError> {
        match &self.value {
            Value::Tensor(tensor) if self.writable && matches!(tensor.data, Data::Memory(_)) => Ok(tensor),
            Value::Tensor(Tensor { data: Data::Strings(_), .. }) => {
                Err(misuse("an OrtValue of strings cannot be written to; bind the output with bind_output"))
            }
            Value::Tensor(_) => {
                Err(misuse("this OrtValue is over a read-only array: it cannot be written to"))
            }
            _ => Err(self.held().no_tensor("writing to it")),
        }
    }

    /// What it holds.
    pub(crate) fn held(&self) -> Held<'_> {
        Held::of(&self.value)
    }

    fn tensor(&self, what: &str) -> Result<&Tensor, DoorError> {
        match self.held() {
            Held::Tensor(tensor) => Ok(tensor),
            Held::Device(_) => {
                Err(misuse(format!("{what} needs memory of the CPU: copy the value with numpy()")))
            }
            held => Err(held.no_tensor(what)),
        }
    }

    /// The tensor as an array: the same memory, except from a device.
    fn array<'py>(&self, py: Python<'py>, what: &str) -> Result<Bound<'py, PyAny>, DoorError> {
        match self.held() {
            Held::Device(value) => array::shared(py, &life::away(py, || value.to_cpu())?, true),
            _ => array::shared(py, self.tensor(what)?, self.writable),
        }
    }
}

impl Drop for OrtValue {
    fn drop(&mut self) {
        // What the value held of Python goes at once: nothing else may come through the door for a long time.
        self.value = Value::None;
        life::drain_dropped();
    }
}

/// Every call of a value starts here, and its errors leave here.
fn inside<T>(py: Python<'_>, step: impl FnOnce() -> Result<T, DoorError>) -> PyResult<T> {
    let _inside = life::inside(py);
    drain_graveyard(py);
    step().map_err(|error| errors::raise_door(py, error, ENGINE))
}

#[pymethods]
impl OrtValue {
    /// A value over a numpy array's memory, which it keeps alive: nothing is copied. Strings, and arrays that an engine
    /// cannot read as they lie (strided, of the other byte order, of 4-bit elements), are copied. The array's own
    /// changes are seen by later runs.
    #[classmethod]
    #[pyo3(signature = (numpy_obj, /, device_type="cpu", device_id=0, vendor_id=-1))]
    fn ortvalue_from_numpy(
        _class: &Bound<'_, PyType>,
        py: Python<'_>,
        numpy_obj: &Bound<'_, PyAny>,
        device_type: &str,
        device_id: i32,
        vendor_id: i32,
    ) -> PyResult<Self> {
        inside(py, || {
            device::only_cpu(device_type, device_id, vendor_id)?;
            Ok(Self::of(array::of_array(numpy_obj)?))
        })
    }

    /// A value over an array's memory whose elements are read as another type of the same size: bfloat16 (16) in
    /// uint16, for example.
    #[classmethod]
    #[pyo3(signature = (data, /, onnx_element_type))]
    fn ortvalue_from_numpy_with_onnx_type(
        _class: &Bound<'_, PyType>,
        py: Python<'_>,
        data: &Bound<'_, PyAny>,
        onnx_element_type: &Bound<'_, PyAny>,
    ) -> PyResult<Self> {
        inside(py, || Ok(Self::of(array::of_array_as(data, array::dtype_of(onnx_element_type)?)?)))
    }

    /// A value of zeros in memory of its own: to be bound as an output, or filled with `update_inplace`.
    #[classmethod]
    #[pyo3(signature = (shape, element_type, device_type="cpu", device_id=0, vendor_id=-1, memory_info=None))]
    #[allow(clippy::too_many_arguments)]
    fn ortvalue_from_shape_and_type(
        _class: &Bound<'_, PyType>,
        py: Python<'_>,
        shape: Vec<i64>,
        element_type: &Bound<'_, PyAny>,
        device_type: &str,
        device_id: i32,
        vendor_id: i32,
        memory_info: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        inside(py, || {
            match memory_info {
                None => device::only_cpu(device_type, device_id, vendor_id)?,
                Some(info) => device::only_cpu_memory(info)?,
            }
            let tensor = array::zeros(array::dtype_of(element_type)?, Dims::from_vec(shape))?;
            Ok(Self::of((tensor, true)))
        })
    }

    /// A value that holds a `SparseTensor`.
    #[classmethod]
    fn ort_value_from_sparse_tensor(
        _class: &Bound<'_, PyType>,
        py: Python<'_>,
        sparse_tensor: &Bound<'_, PyAny>,
    ) -> PyResult<Self> {
        inside(py, || match sparse::value_of(sparse_tensor) {
            Some(value) => Ok(OrtValue::new(value.get().value.clone())),
            None => {
                let text = format!("expected a headway.SparseTensor, got {}", sparse_tensor.get_type());
                Err(PyTypeError::new_err(text).into())
            }
        })
    }

    /// A value over the memory of an object with `__dlpack__`, or of a DLPack capsule: nothing is copied.
    #[classmethod]
    #[pyo3(signature = (data, /))]
    fn from_dlpack(_class: &Bound<'_, PyType>, py: Python<'_>, data: &Bound<'_, PyAny>) -> PyResult<Self> {
        inside(py, || Ok(Self::of(array::import(data)?)))
    }

    /// A DLPack capsule over the value's memory, which it keeps alive: nothing is copied unless `copy` is true.
    #[pyo3(signature = (*, stream=None, max_version=None, dl_device=None, copy=None))]
    fn __dlpack__(
        &self,
        py: Python<'_>,
        stream: Option<&Bound<'_, PyAny>>,
        max_version: Option<(u32, u32)>,
        dl_device: Option<(i32, i32)>,
        copy: Option<bool>,
    ) -> PyResult<Py<PyAny>> {
        // Memory of the CPU has no streams: whoever names one has nothing to wait for.
        let _ = stream;
        inside(py, || {
            let tensor = self.tensor("__dlpack__")?;
            if dl_device.is_some_and(|device| device != array::CPU_DEVICE) {
                let text = "this OrtValue is on the CPU, and DLPack moves nothing to another device";
                return Err(PyBufferError::new_err(text).into());
            }
            let versioned = max_version.is_some_and(|(major, _)| major >= 1);
            if copy == Some(true) {
                return array::export(py, &array::duplicate(tensor)?, true, versioned);
            }
            array::export(py, tensor, self.writable, versioned)
        })
    }

    /// `(device type, device number)` in DLPack's numbers: `(1, 0)`, the CPU.
    fn __dlpack_device__(&self, py: Python<'_>) -> PyResult<(i32, i32)> {
        inside(py, || self.tensor("__dlpack_device__").map(|_| array::CPU_DEVICE))
    }

    /// The tensor as a numpy array that shares its memory; strings and 4-bit elements are copied.
    fn numpy(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        inside(py, || Ok(self.array(py, "numpy()")?.unbind()))
    }

    /// For `numpy.asarray(value)`: shares memory where `dtype` and `copy` allow it.
    #[pyo3(signature = (dtype=None, copy=None))]
    fn __array__<'py>(
        &self,
        py: Python<'py>,
        dtype: Option<&Bound<'py, PyAny>>,
        copy: Option<bool>,
    ) -> PyResult<Bound<'py, PyAny>> {
        inside(py, || {
            let array = self.array(py, "__array__")?;
            let options = PyDict::new(py);
            if let Some(dtype) = dtype {
                options.set_item("dtype", dtype)?;
            }
            let numpy = py.import("numpy")?;
            match copy {
                Some(copy) => options.set_item("copy", copy)?,
                None => return Ok(numpy.call_method("asarray", (array,), Some(&options))?),
            }
            Ok(numpy.call_method("array", (array,), Some(&options))?)
        })
    }

    /// The dimensions of the tensor, or of the dense tensor that a sparse one stands for.
    fn shape<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        inside(py, || {
            let held = self.held();
            Ok(PyList::new(py, held.dims().ok_or_else(|| held.no_tensor("shape()"))?)?)
        })
    }

    /// The type in ONNX Runtime's words: `tensor(float)`.
    fn data_type(&self, py: Python<'_>) -> PyResult<String> {
        inside(py, || match self.held() {
            Held::Nothing => Err(Held::Nothing.no_tensor("data_type()")),
            held => Ok(held.words()),
        })
    }

    /// ONNX's number of the element type: 1 is float32.
    fn element_type(&self, py: Python<'_>) -> PyResult<i32> {
        inside(py, || {
            let dtype = self.held().element();
            Ok(dtype.ok_or_else(|| misuse("Tensor proto_type is unavailable for this value."))? as i32)
        })
    }

    /// Where the elements are: `cpu`.
    fn device_name(&self, py: Python<'_>) -> PyResult<String> {
        let held = self.held();
        inside(py, || held.device().ok_or_else(|| held.no_tensor("device_name()")))
    }

    /// The address of the first element; 0 for a tensor without elements.
    fn data_ptr(&self, py: Python<'_>) -> PyResult<usize> {
        let held = self.held();
        inside(py, || Ok(held.memory().ok_or_else(|| held.no_tensor("data_ptr()"))??.0))
    }

    /// Bytes that the elements take (packed, where they are narrower than a byte).
    fn tensor_size_in_bytes(&self, py: Python<'_>) -> PyResult<usize> {
        let held = self.held();
        inside(py, || Ok(held.memory().ok_or_else(|| held.no_tensor("tensor_size_in_bytes()"))??.1))
    }

    /// False for an optional output that is not there, and for one that is bound and has not been run.
    fn has_value(&self) -> bool {
        !matches!(self.value, Value::None)
    }

    /// True when it holds a tensor.
    fn is_tensor(&self) -> bool {
        matches!(self.held(), Held::Tensor(_) | Held::Device(_))
    }

    /// True when it holds a sparse tensor.
    fn is_sparse_tensor(&self) -> bool {
        self.held().sparse().is_some()
    }

    /// True when it holds a list of tensors.
    fn is_tensor_sequence(&self) -> bool {
        self.held().is_tensors()
    }

    /// The `SparseTensor` that it holds.
    fn as_sparse_tensor(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        inside(py, || match self.held() {
            held if held.sparse().is_some() => sparse::face(py, self.value.clone()),
            held => {
                let words = held.words();
                Err(misuse(format!("This OrtValue does not contain SparseTensor, but {words}.")))
            }
        })
    }

    /// Writes an array's or another value's elements into this one's memory; its address stays. The dtype must be
    /// this value's, and the elements as many.
    fn update_inplace(&self, py: Python<'_>, data: &Bound<'_, PyAny>) -> PyResult<()> {
        inside(py, || {
            let target = self.target()?;
            match data.cast::<OrtValue>() {
                Ok(source) => array::write_tensor(target, source.get().tensor("update_inplace")?),
                Err(_) if array::is_array(data) => array::write_array(target, data),
                Err(_) => {
                    let text = format!(
                        "data must be a numpy.ndarray or an OrtValue, got {}",
                        data.get_type().name()?
                    );
                    Err(PyTypeError::new_err(text).into())
                }
            }
        })
    }

    /// A sparse tensor over arrays: `_sparse.SparseTensor` is its face. `format` is 1 (COO) or 2 (CSR).
    #[staticmethod]
    fn _sparse(
        py: Python<'_>,
        format: i32,
        dense_shape: Vec<i64>,
        values: &Bound<'_, PyAny>,
        indices: Vec<Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        inside(py, || Ok(OrtValue::new(sparse::of_arrays(format, dense_shape, values, &indices)?)))
    }

    /// `(format, type, dense shape, values, indices)` of a sparse tensor, its arrays over this value's memory.
    fn _parts(&self, py: Python<'_>) -> PyResult<sparse::Parts> {
        inside(py, || match self.held().sparse() {
            Some(sparse) => sparse::parts(py, sparse),
            None => Err(misuse("this OrtValue holds no sparse tensor")),
        })
    }

    fn __repr__(&self) -> String {
        let held = self.held();
        match (held.dims(), held.device()) {
            (Some(dims), Some(device)) => format!("<OrtValue {} {dims:?} on {device}>", held.words()),
            _ => format!("<OrtValue {}>", held.words()),
        }
    }
}
