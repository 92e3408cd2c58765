//! `batching=`: which axis of each input and output is the batch's, from what the caller says and the model has.

use std::collections::HashMap;

use headway_core::engine::{BatchAxes, Dim, ModelInfo, NodeInfo, ValueType};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// Axes by name; None for what a batch shares.
pub(crate) type Given = HashMap<String, Option<usize>>;

/// The axes of a model's inputs, initializers and outputs.
pub(crate) fn axes(info: &ModelInfo, given: &Given) -> PyResult<BatchAxes> {
    let nodes = || info.inputs.iter().chain(&info.initializers).chain(&info.outputs);
    if let Some(unknown) = given.keys().find(|name| !nodes().any(|node| node.name == **name)) {
        let names: Vec<_> = nodes().map(|node| node.name.as_str()).collect();
        return Err(wrong(format!(
            "there is no input or output {unknown:?}; the model has {}",
            names.join(", ")
        )));
    }
    let mut inputs = all("input", &info.inputs, given)?;
    // A weight is the model's own; a caller who feeds one feeds the same to all.
    let own = |node: &NodeInfo| match given.get(&node.name) {
        Some(Some(_)) => axis("input", node, given),
        _ => Ok(None),
    };
    inputs.extend(info.initializers.iter().map(own).collect::<PyResult<Vec<_>>>()?);
    if inputs.iter().all(Option::is_none) {
        return Err(wrong("no input of the model is batched".to_owned()));
    }
    Ok(BatchAxes { inputs, outputs: all("output", &info.outputs, given)? })
}

fn all(what: &str, nodes: &[NodeInfo], given: &Given) -> PyResult<Vec<Option<usize>>> {
    nodes.iter().map(|node| axis(what, node, given)).collect()
}

/// The batch's axis of one input or output; None when the batch shares it.
fn axis(what: &str, node: &NodeInfo, given: &Given) -> PyResult<Option<usize>> {
    let name = &node.name;
    let own = given.get(name).copied();
    if own == Some(None) {
        return Ok(None);
    }
    let dims = match &node.kind {
        ValueType::Tensor(_, dims) => dims.as_deref(),
        ValueType::Other(words) => {
            return Err(wrong(format!(
                "{what} {name:?} is a {words}, which cannot be joined; if requests of a batch share it, \
                 say axes={{{name:?}: None}}"
            )));
        }
    };
    let axis = own.flatten();
    let Some(dims) = dims else { return Ok(Some(axis.unwrap_or(0))) };
    match (dims.get(axis.unwrap_or(0)), axis) {
        (Some(Dim::Named(_) | Dim::Any), _) => Ok(Some(axis.unwrap_or(0))),
        (Some(Dim::Fixed(length)), _) => Err(wrong(format!(
            "axis {} of {what} {name:?} is fixed to {length} by the model, so requests cannot be joined along it; \
             name another axis, axes={{{name:?}: 1}}, or say axes={{{name:?}: None}} if requests of a batch share it",
            axis.unwrap_or(0)
        ))),
        // A single number has no axis: it has to be equal in a batch.
        (None, None) => Ok(None),
        (None, Some(axis)) => {
            Err(wrong(format!("{what} {name:?} has no axis {axis}: it has {} dimensions", dims.len())))
        }
    }
}

fn wrong(text: String) -> PyErr {
    PyValueError::new_err(format!("batching: {text}"))
}
