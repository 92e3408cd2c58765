//! Feeds that are refused: what was expected, what was got, what to do.

use headway_core::engine::{Dim, NodeInfo, ValueType};
use pyo3::prelude::*;
use pyo3::types::{PyList, PyString};

use super::{FeedNames, Found, Place, SharedDim};
use crate::errors_in::{DoorError, bad_input, invalid_argument};

#[cold]
pub(super) fn missing(
    py: Python<'_>,
    found: &Found<'_>,
    keys: &[Bound<'_, PyAny>],
    names: &FeedNames,
) -> DoorError {
    let missing: Vec<_> = (0..names.len())
        .filter(|&index| names.needs(index) && found[index].is_none())
        .map(|index| names.names[index].clone_ref(py))
        .collect();
    let fed = listed_any(py, keys);
    bad_input(format!("Required inputs ({}) are missing from input feed ({fed}).", listed(py, &missing)))
}

#[cold]
pub(super) fn unknown_input(key: &Bound<'_, PyAny>, names: &FeedNames) -> DoorError {
    let valid = listed(key.py(), &names.names);
    invalid_argument(&format!("Invalid input name: {key}; the model's inputs are {valid}"))
}

#[cold]
pub(super) fn wrong_count(py: Python<'_>, given: usize, names: &FeedNames) -> DoorError {
    let inputs = listed(py, &names.names);
    let (expected, noun) = (names.inputs, if names.inputs == 1 { "input" } else { "inputs" });
    bad_input(format!(
        "the feed is a list of {given}, but the model has {expected} {noun} ({inputs}): \
         give one array for each input, in this order, or a dict by name"
    ))
}

#[cold]
pub(super) fn not_a_feed(py: Python<'_>, feed: &Bound<'_, PyAny>, names: &FeedNames) -> DoorError {
    let (kind, inputs) = (feed.get_type(), listed(py, &names.names));
    bad_input(format!(
        "the feed must be a dict by name or a list in input order, got {kind}: the model's inputs are {inputs}"
    ))
}

#[cold]
pub(super) fn fed_none(node: &NodeInfo) -> DoorError {
    let advice = match &node.kind {
        _ if !node.required => "leave the name out".to_owned(),
        ValueType::Tensor(..) => "pass an array".to_owned(),
        ValueType::Other(words) => format!("expected a {words}"),
    };
    bad_input(format!("input '{}' is None: {advice}", node.name))
}

#[cold]
pub(super) fn unequal(names: &FeedNames, pair: &SharedDim, first: i64, second: i64) -> DoorError {
    let name_of = |place: Place| names.nodes[place.node].name.as_str();
    let symbol = match &names.nodes[pair.first.node].kind {
        ValueType::Tensor(_, Some(dims)) => match dims.get(pair.first.axis) {
            Some(Dim::Named(symbol)) => symbol.as_str(),
            _ => "",
        },
        _ => "",
    };
    invalid_argument(&format!(
        "Got different lengths for the dimension '{symbol}': input '{}' has {first} at index {}, \
         input '{}' has {second} at index {}; they must be equal within one request",
        name_of(pair.first),
        pair.first.axis,
        name_of(pair.second),
        pair.second.axis,
    ))
}

/// Names as Python prints a list of them.
pub(super) fn listed(py: Python<'_>, names: &[Py<PyString>]) -> String {
    let names: Vec<_> = names.iter().map(|name| name.bind(py).as_any().clone()).collect();
    listed_any(py, &names)
}

pub(super) fn listed_any(py: Python<'_>, objects: &[Bound<'_, PyAny>]) -> String {
    let list = PyList::new(py, objects).and_then(|list| list.repr());
    list.map(|text| text.to_string()).unwrap_or_default()
}
