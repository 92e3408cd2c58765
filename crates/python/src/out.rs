//! `out=`: arrays of the program's for a request's outputs.
//!
//! An engine that can write there does; what the others give is copied when the program takes it.

use std::cell::RefCell;
use std::sync::Arc;

use headway_core::request::{Inputs, OwnerBox, Request, Wanted};
use headway_core::value::{Data, Memory, Tensor, Value};
use headway_engines::ort::{Bound as Places, Target};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyMapping, PyTuple};
use smallvec::SmallVec;

use crate::array;
use crate::core::{Core, Kind};
use crate::errors;
use crate::errors_in::{DoorError, bad_input};

/// What a call was given as `out=`.
pub(crate) struct Out<'a, 'py> {
    given: &'a Bound<'py, PyAny>,
    later: RefCell<Option<Later>>,
}

/// `(name, array or None)` for each wanted output, to be filled once the outputs are there.
pub(crate) struct Later(Py<PyList>);

/// One array for each wanted output, `None` where the engine is to find memory itself.
type Arrays<'py> = SmallVec<[Option<Bound<'py, PyAny>>; 2]>;

impl<'a, 'py> Out<'a, 'py> {
    pub(crate) fn new(given: &'a Bound<'py, PyAny>) -> Self {
        Out { given, later: RefCell::new(None) }
    }

    /// Has the request's outputs put into the arrays, which it holds until the engine has returned.
    pub(crate) fn place(
        &self,
        core: &Core,
        request: &mut Request,
        output_names: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<()> {
        let placed = match &core.kind {
            Kind::Native(_) => self.place_native(core, request),
            Kind::Python(_) => self.note(core, &python_names(core, output_names)?),
        };
        placed.map_err(|error| errors::raise_door(self.given.py(), error, core.voice))
    }

    fn place_native(&self, core: &Core, request: &mut Request) -> Result<(), DoorError> {
        let nodes: SmallVec<[_; 4]> = match &request.wanted {
            Wanted::All => core.info.outputs.iter().collect(),
            Wanted::Some(indices) => indices.iter().map(|&at| &core.info.outputs[at as usize]).collect(),
        };
        let names: Vec<&str> = nodes.iter().map(|node| node.name.as_str()).collect();
        if !core.shared.engine().is_some_and(|engine| engine.places_outputs()) {
            return self.note(core, &names);
        }
        let arrays = self.arrays(&names)?;
        let mut targets = Vec::with_capacity(arrays.len());
        for (array, node) in arrays.iter().zip(&nodes) {
            targets.push(match array {
                None => Target::Fresh,
                Some(array) => {
                    array::check_out(array, &node.name, Some(node))?;
                    Target::Into(array::of_array(array)?.0)
                }
            });
        }
        let Inputs::Feeds(values) = &mut request.inputs else { return Ok(()) };
        if targets.iter().all(|target| matches!(target, Target::Fresh)) {
            return Ok(());
        }
        check_apart(core, values, &names, &targets)?;
        let bound = Places::once(std::mem::take(values), targets);
        request.inputs = Inputs::Binding(OwnerBox(Arc::new(bound)));
        Ok(())
    }

    /// For an engine that cannot write there itself: what is to be done with its outputs.
    fn note(&self, core: &Core, names: &[&str]) -> Result<(), DoorError> {
        let arrays = self.arrays(names)?;
        let numbers: Vec<String>;
        let names = match names {
            [] => {
                numbers = (0..arrays.len()).map(|at| at.to_string()).collect();
                numbers.iter().map(String::as_str).collect()
            }
            names => names.to_vec(),
        };
        for (array, name) in arrays.iter().zip(&names) {
            if let Some(array) = array {
                let node = core.info.outputs.iter().find(|node| node.name == **name);
                let node = node.filter(|_| matches!(core.kind, Kind::Native(_)));
                array::check_out(array, name, node)?;
            }
        }
        let list = PyList::new(self.given.py(), names.into_iter().zip(arrays))?;
        self.later.replace(Some(Later(list.unbind())));
        Ok(())
    }

    /// The arrays in the order of the wanted outputs. Without names, only a list can say which is which.
    fn arrays(&self, names: &[&str]) -> Result<Arrays<'py>, DoorError> {
        let given = self.given;
        let some = |array: Bound<'py, PyAny>| (!array.is_none()).then_some(array);
        if array::is_array(given) {
            if names.len() != 1 {
                let text = "out is one array: expected a dict by output name, or a list with one for each of";
                return Err(bad_input(format!("{text} the wanted outputs {names:?}")));
            }
            return Ok(Arrays::from_iter([Some(given.clone())]));
        }
        if given.is_instance_of::<PyList>() || given.is_instance_of::<PyTuple>() {
            let arrays = given.try_iter()?.map(|array| array.map(some)).collect::<PyResult<Arrays<'_>>>()?;
            if !names.is_empty() && arrays.len() != names.len() {
                let (got, expected) = (arrays.len(), names.len());
                return Err(bad_input(format!(
                    "out: expected an array or None for each of the {expected} wanted outputs {names:?}, got {got}"
                )));
            }
            return Ok(arrays);
        }
        let Ok(mapping) = given.cast::<PyMapping>() else {
            let kind = given.get_type();
            let expected =
                "out: expected a dict of arrays by output name, a list or tuple of them, or one array";
            return Err(PyTypeError::new_err(format!("{expected}, got {kind}")).into());
        };
        let mut arrays: Arrays<'py> = names.iter().map(|_| None).collect();
        for item in mapping.items()?.iter() {
            let (name, array): (Bound<'py, PyAny>, Bound<'py, PyAny>) = item.extract()?;
            let text = name.extract::<String>().unwrap_or_default();
            let Some(at) = names.iter().position(|known| *known == text) else {
                let name = name.repr()?;
                return Err(bad_input(format!(
                    "out names {name}, which is not one of the wanted outputs {names:?}"
                )));
            };
            arrays[at] = some(array);
        }
        Ok(arrays)
    }

    /// What is left to do when the outputs come.
    pub(crate) fn later(self) -> Option<Later> {
        self.later.into_inner()
    }
}

impl Later {
    /// Copies the outputs into the arrays, which take their places in the list.
    pub(crate) fn fill(&self, py: Python<'_>, results: Py<PyList>) -> PyResult<Py<PyList>> {
        let fill = py.import("headway._out")?.getattr("fill")?;
        Ok(fill.call1((self.0.bind(py), results))?.cast_into::<PyList>()?.unbind())
    }

    /// For the garbage collector.
    pub(crate) fn list(&self) -> &Py<PyList> {
        &self.0
    }
}

fn python_names<'c>(core: &'c Core, given: Option<&Bound<'_, PyAny>>) -> PyResult<Vec<&'c str>> {
    let known: Vec<&str> = core.info.outputs.iter().map(|node| node.name.as_str()).collect();
    let wanted: Vec<String> = match given.filter(|given| !given.is_none()) {
        Some(given) => given.extract()?,
        None => Vec::new(),
    };
    if wanted.is_empty() {
        return Ok(known);
    }
    // A name that the session does not know was refused before.
    Ok(wanted.iter().filter_map(|name| known.iter().copied().find(|known| known == name)).collect())
}

/// Memory that is written to while somebody else uses it gives wrong answers.
fn check_apart(core: &Core, values: &[Value], names: &[&str], targets: &[Target]) -> Result<(), DoorError> {
    let into = |target: &'_ Target| match target {
        Target::Into(tensor) => span(tensor),
        Target::Fresh | Target::Device(..) => None,
    };
    let meet = |one: &(usize, usize), other: (usize, usize)| one.0 < other.1 && other.0 < one.1;
    let advice = "the engine writes while it reads; pass another array, or a copy";
    for (at, target) in targets.iter().enumerate() {
        let Some(mine) = into(target) else { continue };
        let name = names[at];
        for (number, value) in values.iter().enumerate() {
            if let Value::Tensor(tensor) = value
                && span(tensor).is_some_and(|other| meet(&mine, other))
            {
                let nodes = core.info.inputs.iter().chain(&core.info.initializers);
                let input = nodes.map(|node| node.name.as_str()).nth(number).unwrap_or_default();
                return Err(bad_input(format!(
                    "output '{name}': its array shares memory with input '{input}': {advice}"
                )));
            }
        }
        let other =
            targets[..at].iter().position(|other| into(other).is_some_and(|other| meet(&mine, other)));
        if let Some(other) = other {
            let other = names[other];
            return Err(bad_input(format!("outputs '{other}' and '{name}': their arrays share memory")));
        }
    }
    Ok(())
}

/// Where its bytes begin and end.
fn span(tensor: &Tensor) -> Option<(usize, usize)> {
    match &tensor.data {
        Data::Memory(Memory { addr, len, .. }) if *len > 0 => Some((*addr, addr.saturating_add(*len))),
        Data::Memory(_) | Data::Strings(_) => None,
    }
}
