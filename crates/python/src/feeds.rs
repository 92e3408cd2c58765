//! A feed, in any of its forms, as values in the model's own order.

mod refusals;

use headway_core::engine::{Dim, ModelInfo, NodeInfo, ValueType};
use headway_core::request::Wanted as WantedOutputs;
use headway_core::value::{DType, Value, Values};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::sync::critical_section::with_critical_section;
use pyo3::types::{PyBytes, PyDict, PyList, PyMapping, PyString, PyTuple};
use smallvec::SmallVec;

use crate::array::{Alloc, How, Wanted, element_of, is_array, read_input};
use crate::composite_in;
use crate::errors_in::{DoorError, bad_input, invalid_argument};
use crate::kinds::Typed;
use refusals::{fed_none, listed, missing, not_a_feed, unequal, unknown_input, wrong_count};

/// What was fed for each input, in the model's order.
pub(crate) type Found<'py> = SmallVec<[Option<Bound<'py, PyAny>>; 4]>;

/// A model's names, ready for quick comparison with a feed's. Made once for each session.
pub(crate) struct FeedNames {
    /// The inputs, then the overridable initializers: the order of a request's values.
    nodes: Vec<NodeInfo>,
    /// How many of `nodes` are inputs.
    inputs: usize,
    /// `nodes`' names, interned: a program's own literals are the same objects.
    names: Vec<Py<PyString>>,
    /// What each of `nodes` takes that is not a plain tensor.
    typed: Vec<Option<Typed>>,
    /// The outputs' names, interned.
    outputs: Vec<Py<PyString>>,
    /// Pairs of dimensions that must be equal within one request.
    shared: Vec<SharedDim>,
    /// Element types that the engine takes for any tensor, and converts.
    converts: Vec<DType>,
}

/// Two places where the model writes the same symbolic dimension.
struct SharedDim {
    first: Place,
    second: Place,
}

/// A dimension of a node.
#[derive(Clone, Copy)]
struct Place {
    node: usize,
    axis: usize,
}

impl FeedNames {
    /// Prepares the names of a model.
    pub(crate) fn new(py: Python<'_>, info: &ModelInfo) -> Self {
        let intern = |node: &NodeInfo| PyString::intern(py, &node.name).unbind();
        let nodes: Vec<NodeInfo> = info.inputs.iter().chain(&info.initializers).cloned().collect();
        FeedNames {
            inputs: info.inputs.len(),
            names: nodes.iter().map(intern).collect(),
            outputs: info.outputs.iter().map(intern).collect(),
            shared: shared_dims(&nodes),
            typed: nodes.iter().map(typed).collect(),
            converts: info.converts.clone(),
            nodes,
        }
    }

    /// The element type of what was given, where the engine converts from it.
    #[inline]
    fn converted(&self, object: &Bound<'_, PyAny>) -> Option<DType> {
        if self.converts.is_empty() {
            return None;
        }
        element_of(object).filter(|dtype| self.converts.contains(dtype))
    }

    /// True for an input that every feed must have.
    fn needs(&self, index: usize) -> bool {
        self.nodes[index].required && !self.typed[index].as_ref().is_some_and(Typed::is_optional)
    }

    /// The index of an input, or of an initializer that a feed may override.
    pub(crate) fn input(&self, py: Python<'_>, name: &Bound<'_, PyAny>) -> Option<usize> {
        position(py, name, &self.names)
    }

    /// The index of an output.
    pub(crate) fn output(&self, py: Python<'_>, name: &Bound<'_, PyAny>) -> Option<u32> {
        position(py, name, &self.outputs).and_then(|index| u32::try_from(index).ok())
    }

    /// How many values a request has.
    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Input number `index`: what it is, and what it takes when that is not a plain tensor.
    pub(crate) fn node(&self, index: usize) -> (&NodeInfo, Option<&Typed>) {
        (&self.nodes[index], self.typed[index].as_ref())
    }

    /// The one input of a model that can be fed without a name.
    fn only_input(&self) -> Option<usize> {
        let mut required = (0..self.inputs).filter(|&index| self.needs(index));
        match (required.next(), required.next(), self.inputs) {
            (Some(index), None, _) => Some(index),
            (None, None, 1) => Some(0),
            _ => None,
        }
    }
}

/// Every later place of a name against its first: equality then holds among all of them.
fn shared_dims(nodes: &[NodeInfo]) -> Vec<SharedDim> {
    let mut seen: Vec<(&str, Place)> = Vec::new();
    let mut shared = Vec::new();
    for (node, info) in nodes.iter().enumerate() {
        let ValueType::Tensor(_, Some(dims)) = &info.kind else { continue };
        for (axis, dim) in dims.iter().enumerate() {
            let Dim::Named(name) = dim else { continue };
            if !says_something(name) {
                continue;
            }
            let second = Place { node, axis };
            match seen.iter().find(|(known, _)| known == name) {
                Some(&(_, first)) => shared.push(SharedDim { first, second }),
                None => seen.push((name, second)),
            }
        }
    }
    shared
}

/// False for names such as `?`: exporters write them wherever they do not know the length.
fn says_something(dimension: &str) -> bool {
    dimension.chars().any(char::is_alphabetic)
}

/// Reads a whole feed: a mapping by name, a list or tuple in input order, or the one input of a model with one.
/// `found` then has the objects, which keep what is borrowed alive.
pub(crate) fn read_feeds<'py>(
    py: Python<'py>,
    feed: &Bound<'py, PyAny>,
    names: &FeedNames,
    how: How,
    alloc: Alloc<'_>,
    found: &mut Found<'py>,
) -> Result<Values, DoorError> {
    *found = find(py, feed, names)?;
    let mut values = Values::with_capacity(found.len());
    for (object, (node, typed)) in found.iter().zip(names.nodes.iter().zip(&names.typed)) {
        values.push(match object {
            Some(object) => {
                let dtype = names.converted(object);
                read_one(py, object, node, typed.as_ref(), dtype, how, alloc)?
            }
            None => Value::None,
        });
    }
    check_shared(&values, names)?;
    Ok(values)
}

#[inline(always)]
pub(crate) fn read_one(
    py: Python<'_>,
    object: &Bound<'_, PyAny>,
    node: &NodeInfo,
    typed: Option<&Typed>,
    converted: Option<DType>,
    how: How,
    alloc: Alloc<'_>,
) -> Result<Value, DoorError> {
    if object.is_none() && !typed.is_some_and(Typed::is_optional) {
        return Err(fed_none(node));
    }
    let name = node.name.as_str();
    match (&node.kind, typed) {
        (ValueType::Tensor(dtype, dims), None) => {
            let dtype = converted.unwrap_or(*dtype);
            read_input(py, object, &Wanted { name, dtype, dims: dims.as_deref() }, how, alloc)
        }
        (_, Some(typed)) => composite_in::read(object, name, typed, how, alloc),
        (ValueType::Other(words), None) => {
            Err(bad_input(format!("input '{name}' is a {words}: it cannot be fed")))
        }
    }
}

fn typed(node: &NodeInfo) -> Option<Typed> {
    match &node.kind {
        ValueType::Tensor(..) => None,
        ValueType::Other(words) => Some(Typed::parse(words)),
    }
}

/// Which object is for which input. Runs none of the objects' code except a mapping's own.
pub(crate) fn find<'py>(
    py: Python<'py>,
    feed: &Bound<'py, PyAny>,
    names: &FeedNames,
) -> Result<Found<'py>, DoorError> {
    if let Ok(dict) = feed.cast::<PyDict>() {
        // Without a GIL another thread could change the dict between two steps of the iteration, over which PyO3 panics.
        return with_critical_section(feed, || find_named(py, || dict.iter(), names));
    }
    if let Ok(list) = feed.cast::<PyList>() {
        return find_listed(py, list.iter(), names);
    }
    if let Ok(tuple) = feed.cast::<PyTuple>() {
        return find_listed(py, tuple.iter(), names);
    }
    // Asking whether something is a mapping is slow, and an array is none.
    if !is_array(feed)
        && let Ok(mapping) = feed.cast::<PyMapping>()
    {
        let items = mapping.items()?;
        let pairs: Vec<(Bound<'py, PyAny>, Bound<'py, PyAny>)> =
            items.iter().map(|item| item.extract()).collect::<PyResult<_>>()?;
        return find_named(py, || pairs.iter().cloned(), names);
    }
    let Some(index) = names.only_input() else { return Err(not_a_feed(py, feed, names)) };
    let mut found = nothing(names);
    found[index] = Some(feed.clone());
    Ok(found)
}

fn nothing<'py>(names: &FeedNames) -> Found<'py> {
    std::iter::repeat_with(|| None).take(names.nodes.len()).collect()
}

fn find_named<'py, I: Iterator<Item = (Bound<'py, PyAny>, Bound<'py, PyAny>)>>(
    py: Python<'py>,
    pairs: impl Fn() -> I,
    names: &FeedNames,
) -> Result<Found<'py>, DoorError> {
    let mut found = nothing(names);
    let mut unknown = None;
    for (key, object) in pairs() {
        match position(py, &key, &names.names) {
            Some(index) => found[index] = Some(object),
            None if unknown.is_none() => unknown = Some(key),
            None => {}
        }
    }
    if found.iter().enumerate().any(|(index, object)| object.is_none() && names.needs(index)) {
        let keys: Vec<Bound<'py, PyAny>> = pairs().map(|(key, _)| key).collect();
        return Err(missing(py, &found, &keys, names));
    }
    match unknown {
        Some(key) => Err(unknown_input(&key, names)),
        None => Ok(found),
    }
}

/// The index of a name: by identity first, which is what a program's literals give.
#[inline]
fn position(py: Python<'_>, key: &Bound<'_, PyAny>, names: &[Py<PyString>]) -> Option<usize> {
    names.iter().position(|name| name.as_ptr() == key.as_ptr()).or_else(|| {
        let key = key.cast::<PyString>().ok()?.to_str().ok()?;
        names.iter().position(|name| name.bind(py).to_str().is_ok_and(|name| name == key))
    })
}

fn find_listed<'py>(
    py: Python<'py>,
    objects: impl ExactSizeIterator<Item = Bound<'py, PyAny>>,
    names: &FeedNames,
) -> Result<Found<'py>, DoorError> {
    let given = objects.len();
    if given > names.nodes.len() {
        return Err(wrong_count(py, given, names));
    }
    let mut found = nothing(names);
    for (place, object) in found.iter_mut().zip(objects) {
        *place = Some(object);
    }
    // What is there, not `given`: another thread may have shortened the list meanwhile.
    if found.iter().enumerate().any(|(index, object)| object.is_none() && names.needs(index)) {
        return Err(wrong_count(py, given, names));
    }
    Ok(found)
}

pub(crate) fn check_shared(values: &Values, names: &FeedNames) -> Result<(), DoorError> {
    for pair in &names.shared {
        if let (Some(first), Some(second)) = (length(values, pair.first), length(values, pair.second))
            && first != second
        {
            return Err(unequal(names, pair, first, second));
        }
    }
    Ok(())
}

#[inline]
fn length(values: &Values, place: Place) -> Option<i64> {
    match &values[place.node] {
        Value::Tensor(tensor) => tensor.dims.get(place.axis).copied(),
        _ => None,
    }
}

/// Reads the names of the wanted outputs; `None` and an empty list mean all.
pub(crate) fn read_output_names(
    py: Python<'_>,
    wanted: Option<&Bound<'_, PyAny>>,
    names: &FeedNames,
) -> Result<WantedOutputs, DoorError> {
    let Some(wanted) = wanted.filter(|wanted| !wanted.is_none()) else { return Ok(WantedOutputs::All) };
    let mut indices = SmallVec::new();
    if let Ok(list) = wanted.cast::<PyList>() {
        for name in list.iter() {
            indices.push(output_index(py, &name, names)?);
        }
    } else if let Ok(tuple) = wanted.cast::<PyTuple>() {
        for name in tuple.iter() {
            indices.push(output_index(py, &name, names)?);
        }
    } else {
        // Keys of a dict, a generator, an array of names: whatever is no text itself.
        let text = wanted.is_instance_of::<PyString>() || wanted.is_instance_of::<PyBytes>();
        let Some(given) = wanted.try_iter().ok().filter(|_| !text) else {
            return Err(no_names(wanted).into());
        };
        for name in given {
            indices.push(output_index(py, &name?, names).map_err(|error| perhaps_feed(wanted, error))?);
        }
    }
    Ok(if indices.is_empty() { WantedOutputs::All } else { WantedOutputs::Some(indices) })
}

/// The refusal of what holds no names. A lone name is written as the list that was meant.
#[cold]
fn no_names(wanted: &Bound<'_, PyAny>) -> PyErr {
    let mut text = format!("output_names must be None or a list of str, got {}", wanted.get_type());
    if let Ok(name) = wanted.cast::<PyString>() {
        text.push_str(&format!("; write ['{name}']"));
    }
    PyTypeError::new_err(text)
}

/// `run` takes the names before the feed, `submit` after it: a dict with no output's name is likely to be the feed.
#[cold]
fn perhaps_feed(wanted: &Bound<'_, PyAny>, error: DoorError) -> DoorError {
    if !wanted.is_instance_of::<PyDict>() {
        return error;
    }
    let order = "the order is run(output_names, input_feed) and submit(input_feed, output_names)";
    PyTypeError::new_err(format!("output_names must be None or a list of str, got a dict; {order}")).into()
}

/// The names as a list where they can be read only once, as from a generator; None where they can be read again.
///
/// # Errors
/// What the iterator raised.
#[inline(always)]
pub(crate) fn lasting_names<'py>(wanted: Option<&Bound<'py, PyAny>>) -> PyResult<Option<Bound<'py, PyAny>>> {
    match wanted {
        Some(wanted) if !wanted.is_none() && !wanted.is_instance_of::<PyList>() => listed_names(wanted),
        Some(_) | None => Ok(None),
    }
}

#[cold]
fn listed_names<'py>(wanted: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let lasts = wanted.is_instance_of::<PyTuple>()
        || wanted.is_instance_of::<PyDict>()
        || wanted.is_instance_of::<PyString>()
        || wanted.is_instance_of::<PyBytes>();
    // What is no names at all is refused by whoever reads it.
    let Some(names) = wanted.try_iter().ok().filter(|_| !lasts) else { return Ok(None) };
    let list = PyList::empty(wanted.py());
    for name in names {
        list.append(name?)?;
    }
    Ok(Some(list.into_any()))
}

fn output_index(py: Python<'_>, name: &Bound<'_, PyAny>, names: &FeedNames) -> Result<u32, DoorError> {
    if let Some(index) = position(py, name, &names.outputs) {
        return Ok(u32::try_from(index).unwrap_or(u32::MAX));
    }
    let Ok(name) = name.cast::<PyString>() else {
        let kind = name.get_type();
        return Err(PyTypeError::new_err(format!("output_names must hold str only, got {kind}")).into());
    };
    let valid = listed(py, &names.outputs);
    Err(invalid_argument(&format!("Invalid output name:{name}; the model's outputs are {valid}")))
}
