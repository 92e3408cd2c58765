//! Lists, dicts and sparse tensors on their way to the caller.

use headway_core::error::{Error, ErrorKind};
use headway_core::value::{Owner, Tensor, Value};
use headway_engines::ort::{Composite, DeviceValue};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use crate::array;
use crate::errors_in::DoorError;
use crate::ortvalue::OrtValue;
use crate::sparse;

/// The Python object: a list, a dict, or a `SparseTensor`.
pub(crate) fn to_python(py: Python<'_>, owner: &Owner) -> Result<Py<PyAny>, DoorError> {
    match owner.downcast_ref::<Composite>() {
        Some(Composite::Sequence { elements, .. }) => {
            let list = PyList::empty(py);
            for element in elements {
                list.append(array::to_python(py, element.clone())?)?;
            }
            Ok(list.into_any().unbind())
        }
        Some(Composite::Map { keys, values }) => Ok(dict(py, keys, values)?.into_any().unbind()),
        Some(Composite::Sparse(_)) => sparse::face(py, Value::Opaque(Owner::clone(owner))),
        None if owner.downcast_ref::<DeviceValue>().is_some() => {
            let value = Bound::new(py, OrtValue::new(Value::Opaque(Owner::clone(owner))))?;
            Ok(value.call_method0("numpy")?.unbind())
        }
        None => {
            let message = "this output is neither a tensor nor a Python object and cannot be handed out";
            Err(Error::new(ErrorKind::Engine, message).into())
        }
    }
}

/// Python's own numbers and strings, as ONNX Runtime gives them.
fn dict<'py>(py: Python<'py>, keys: &Tensor, values: &Tensor) -> Result<Bound<'py, PyDict>, DoorError> {
    let list = |tensor: &Tensor| -> Result<Bound<'py, PyList>, DoorError> {
        let array = array::to_python(py, Value::Tensor(tensor.clone()))?;
        Ok(array.bind(py).call_method0("tolist")?.cast_into::<PyList>().map_err(PyErr::from)?)
    };
    let dict = PyDict::new(py);
    for (key, value) in list(keys)?.iter().zip(list(values)?) {
        dict.set_item(key, value)?;
    }
    Ok(dict)
}
