//! An array against what the model wants, and the refusals in ONNX Runtime's words.

use std::fmt::Write;

use headway_core::engine::Dim;
use headway_core::value::DType;
use pyo3::prelude::*;

use super::dtype::{is_extension, numpy_name};
use super::view::ArrayView;
use crate::errors_in::{DoorError, invalid_argument};

/// What to do, the last sentence of ONNX Runtime's own messages about shapes.
const FIX: &str = "Please fix either the inputs/outputs or the model.";

/// True when the shape is one that the model takes.
///
/// A model's rank of 0 is not checked, as in ONNX Runtime: many exporters write it for "unknown".
#[inline]
pub(super) fn shape_fits(shape: &[isize], wanted: Option<&[Dim]>) -> bool {
    let Some(wanted) = wanted else { return true };
    if wanted.is_empty() {
        return true;
    }
    shape.len() == wanted.len() && shape.iter().zip(wanted).all(|(&length, dim)| length_fits(length, dim))
}

#[inline]
fn length_fits(length: isize, dim: &Dim) -> bool {
    match dim {
        Dim::Fixed(fixed) => *fixed == length as i64,
        Dim::Named(_) | Dim::Any => true,
    }
}

/// A model's dimensions, `?` for any length.
pub(super) fn dims_text(dims: Option<&[Dim]>) -> String {
    let words = dims.unwrap_or_default().iter().map(|dim| match dim {
        Dim::Fixed(length) => length.to_string(),
        Dim::Named(name) => name.clone(),
        Dim::Any => "?".to_owned(),
    });
    format!("[{}]", words.collect::<Vec<_>>().join(", "))
}

/// The refusal of a shape that does not fit.
#[cold]
pub(super) fn wrong_shape(name: &str, shape: &[isize], wanted: &[Dim]) -> DoorError {
    if shape.len() != wanted.len() {
        let (got, expected) = (shape.len(), wanted.len());
        return invalid_argument(&format!(
            "Invalid rank for input: {name} Got: {got} Expected: {expected} {FIX}"
        ));
    }
    let mut message = format!("Got invalid dimensions for input: {name} for the following indices\n");
    for (index, (&length, dim)) in shape.iter().zip(wanted).enumerate() {
        if let Dim::Fixed(expected) = dim
            && !length_fits(length, dim)
        {
            // Writing to a String cannot fail.
            let _ = writeln!(message, " index: {index} Got: {length} Expected: {expected}");
        }
    }
    message.push(' ');
    message.push_str(FIX);
    invalid_argument(&message)
}

/// The refusal of an element type.
#[cold]
pub(super) fn wrong_dtype(name: &str, view: ArrayView<'_, '_>, expected: DType) -> DoorError {
    let actual = match view.dtype() {
        Some(dtype) => format!("tensor({})", dtype.as_str()),
        None => view.object().getattr("dtype").map(|dtype| dtype.to_string()).unwrap_or_default(),
    };
    wrong_type(name, &actual, expected)
}

/// The same for a value that says its type in ONNX Runtime's words.
#[cold]
pub(super) fn wrong_type(name: &str, actual: &str, expected: DType) -> DoorError {
    let advice = if expected == DType::String {
        "pass an array of str".to_owned()
    } else if actual == "tensor(string)" {
        format!("pass an array of {}, not of text or objects", spelled(expected))
    } else {
        format!("convert it with array.astype({})", spelled(expected))
    };
    invalid_argument(&format!(
        "Unexpected input data type. Actual: ({actual}) , expected: (tensor({})) for input '{name}'; {advice}",
        expected.as_str()
    ))
}

/// How a program writes the type: `numpy.float32`, `ml_dtypes.bfloat16`.
fn spelled(dtype: DType) -> String {
    let module = if is_extension(dtype) { "ml_dtypes" } else { "numpy" };
    let name = numpy_name(dtype);
    if dtype == DType::Bool { "bool".to_owned() } else { format!("{module}.{name}") }
}
