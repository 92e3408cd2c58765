//! Arrays that outputs are written into.

use headway_core::engine::{NodeInfo, ValueType};
use headway_core::value::{DType, Value};
use pyo3::prelude::*;

use super::check::shape_fits;
use super::dtype::numpy_name;
use super::view::ArrayView;
use crate::errors_in::{DoorError, bad_input};
use crate::graveyard::PyOwner;

/// Refuses what an output cannot be written into as it lies. `node` is what the model says of it.
pub(crate) fn check_out(
    object: &Bound<'_, PyAny>,
    name: &str,
    node: Option<&NodeInfo>,
) -> Result<(), DoorError> {
    let wrong = |expected: &str, got: String| {
        Err(bad_input(format!("output '{name}': expected {expected} in out=, got {got}")))
    };
    let Some(view) = ArrayView::of(object) else {
        return wrong("a numpy array or None", format!("{}", object.get_type().name()?));
    };
    if let Some(node) = node {
        let (dtype, dims) = match &node.kind {
            ValueType::Tensor(dtype, dims) if *dtype != DType::String && dtype.bits() >= 8 => (*dtype, dims),
            ValueType::Tensor(dtype, _) => {
                let text = format!("None, for a tensor({}) cannot be written into an array,", dtype.as_str());
                return wrong(&text, "one".into());
            }
            ValueType::Other(words) => {
                return wrong(&format!("None, for it is a {words},"), "an array".into());
            }
        };
        if view.dtype() != Some(dtype) {
            let expected = format!("an array of {}", numpy_name(dtype));
            return wrong(&expected, format!("one of {}", object.getattr("dtype")?));
        }
        if !shape_fits(view.shape(), dims.as_deref()) {
            let (expected, got) = (super::check::dims_text(dims.as_deref()), view.shape());
            return wrong(&format!("an array of the shape {expected}"), format!("{got:?}"));
        }
    }
    if !view.is_writable() {
        return wrong("a writable array", "a read-only one".into());
    }
    if !view.is_plain() {
        let strides = object.getattr("strides")?;
        let expected = "a C-contiguous, aligned array of this machine's byte order";
        return wrong(expected, format!("{} with the strides {strides}", object.getattr("dtype")?.repr()?));
    }
    Ok(())
}

/// The program's own array behind an output that was written into it.
pub(crate) fn given(py: Python<'_>, value: &Value) -> Option<Py<PyAny>> {
    let Value::Tensor(tensor) = value else { return None };
    let headway_core::value::Data::Memory(memory) = &tensor.data else { return None };
    let owner = memory.owner.as_ref()?.downcast_ref::<PyOwner>()?;
    owner.object().map(|object| object.clone_ref(py))
}
