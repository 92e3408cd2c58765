//! Strings: from arrays of str, bytes, objects and numpy's `StringDType`, and back to arrays of str.

use std::slice;
use std::sync::Arc;

use headway_core::value::{DType, Dims};
use numpy::npyffi::NPY_TYPES;
use pyo3::ffi::{self, PyObject};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

use super::copy::made_plain;
use super::output::{empty_array, wrong_size};
use super::view::ArrayView;
use crate::errors_in::{DoorError, bad_input};

/// The elements of an array of strings, as UTF-8.
pub(super) fn read_strings(view: ArrayView<'_, '_>, name: &str) -> Result<Arc<[Box<str>]>, DoorError> {
    let objects = as_plain_objects(view)?;
    let Some(objects) = ArrayView::of(&objects) else {
        return Err(bad_input(format!("input '{name}': this array cannot be read as str objects")));
    };
    let count = objects.count();
    if count == 0 {
        return Ok(Arc::new([]));
    }
    // SAFETY: a plain array of objects is `count` pointers in a row, each null (numpy's None) or alive.
    let elements = unsafe { slice::from_raw_parts(objects.address() as *const *mut PyObject, count) };
    let py = view.py();
    elements
        .iter()
        .enumerate()
        .map(|(index, &element)| {
            // SAFETY: as above; the reference taken keeps the element while it is read.
            let element = unsafe { Bound::from_borrowed_ptr_or_opt(py, element) };
            read_string(element.as_ref(), index, name)
        })
        .collect()
}

/// The same strings in an array of objects, in C order.
fn as_plain_objects<'py>(view: ArrayView<'_, 'py>) -> PyResult<Bound<'py, PyAny>> {
    let array = view.object().to_owned();
    let array = if view.type_num() == NPY_TYPES::NPY_OBJECT as i32 {
        array
    } else {
        array.call_method1("astype", (view.py().get_type::<PyAny>(),))?
    };
    match ArrayView::of(&array) {
        Some(objects) if !objects.is_plain() => made_plain(objects),
        _ => Ok(array),
    }
}

fn read_string(element: Option<&Bound<'_, PyAny>>, index: usize, name: &str) -> Result<Box<str>, DoorError> {
    let Some(element) = element else { return Err(bad_input(not_a_string(name, index, "None"))) };
    let text = if let Ok(text) = element.cast::<PyString>() {
        text.to_str().map(Box::from).map_err(|reason| reason.to_string())
    } else if let Ok(bytes) = element.cast::<PyBytes>() {
        std::str::from_utf8(bytes.as_bytes()).map(Box::from).map_err(|reason| reason.to_string())
    } else {
        let got = if element.is_none() { "None".to_owned() } else { element.get_type().to_string() };
        return Err(bad_input(not_a_string(name, index, &got)));
    };
    text.map_err(|reason| bad_input(format!("input '{name}': element {index} is not UTF-8 text: {reason}")))
}

fn not_a_string(name: &str, index: usize, got: &str) -> String {
    format!(
        "input '{name}': element {index} must be str or UTF-8 bytes, got {got}; convert it with str() first"
    )
}

/// An array of str objects, as ONNX Runtime gives strings.
pub(super) fn strings_to_python<'py>(
    py: Python<'py>,
    dims: &Dims,
    strings: &[Box<str>],
) -> Result<Bound<'py, PyAny>, DoorError> {
    let array = empty_array(py, DType::String, dims)?;
    let view = ArrayView::of(&array).filter(|view| view.count() == strings.len());
    let Some(view) = view else { return Err(wrong_size(DType::String, dims)) };
    let slots = view.address() as *mut *mut PyObject;
    for (index, text) in strings.iter().enumerate() {
        let text = PyString::new(py, text).into_ptr();
        // SAFETY: a new array of objects has one pointer an element, null or alive, and nobody else sees it yet;
        // the slot takes the new reference over and gives the old one up.
        unsafe { ffi::Py_XDECREF(slots.add(index).replace(text)) };
    }
    Ok(array)
}
