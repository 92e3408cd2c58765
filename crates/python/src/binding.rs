//! `IOBinding`: inputs and the places of outputs, bound once and run many times.
//!
//! It is Python's alone: every call takes a snapshot of it (`Bound`) into the flow, which holds all memory that it names.
//! The snapshot has the binding's turn, so that nobody else runs or changes it until the engine has returned.

mod refusals;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use headway_core::engine::ValueType;
use headway_core::request::{Inputs, OwnerBox, Request, Wanted};
use headway_core::value::{Dims, Value, Values};
use headway_engines::ort::{Bound as Snapshot, Places as Frozen, Target, Turn};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyList;
use smallvec::SmallVec;

use crate::array::{self, How};
use crate::core::{Core, Kind};
use crate::device::{self, Place};
use crate::errors_in::{DoorError, bad_input, misuse};
use crate::feeds::FeedNames;
use crate::graveyard::drain_graveyard;
use crate::session::Session;
use crate::{composite_in, errors, life, outputs};
use refusals::{in_use, no_output, ort_value, python_engine};

/// Inputs and the places of outputs of one session, bound once and run many times.
#[pyclass(frozen, weakref, module = "headway", name = "IOBinding")]
pub(crate) struct IoBinding {
    core: Arc<Core>,
    places: Mutex<Places>,
    /// True while a request has it.
    taken: Arc<AtomicBool>,
    /// What the last request left, until somebody looks.
    results: Arc<Mutex<Option<Values>>>,
}

/// What is bound.
struct Places {
    /// In the model's order; `Value::None` where nothing is bound.
    inputs: Values,
    /// In the order of the first binding of each.
    outputs: Vec<Output>,
    /// Both as the engine takes them, and the numbers of the outputs; made by the first run after a change.
    frozen: Option<(Arc<Frozen>, SmallVec<[u32; 4]>)>,
    /// What the last request held, to be used again by the next once nobody holds it any more.
    spare: Option<Arc<Snapshot>>,
}

impl Places {
    /// The spare, when it is nobody else's.
    fn free_spare(&mut self) -> Option<&mut Snapshot> {
        self.spare.as_mut().and_then(Arc::get_mut)
    }

    /// Binds anew at the next run.
    fn thaw(&mut self) -> impl Sized + use<> {
        (self.frozen.take(), self.spare.take())
    }

    fn freeze(&self) -> Result<(Arc<Frozen>, SmallVec<[u32; 4]>), DoorError> {
        if self.outputs.is_empty() {
            return Err(misuse("Error in execution: At least one output should be requested."));
        }
        let numbers = self.outputs.iter().map(|output| output.index.ok_or_else(|| no_output(&output.name)));
        let wanted = numbers.collect::<Result<_, _>>()?;
        let targets = self.outputs.iter().map(|output| output.target.clone()).collect();
        Ok((Arc::new(Frozen::new(self.inputs.clone(), targets)), wanted))
    }
}

struct Output {
    name: String,
    /// Its place among the model's outputs. Any name may be bound; a wrong one is told when it runs.
    index: Option<u32>,
    target: Target,
    /// What the last run gave.
    last: Value,
}

impl IoBinding {
    fn names(&self) -> Result<&FeedNames, DoorError> {
        match &self.core.kind {
            Kind::Native(names) => Ok(names),
            Kind::Python(_) => Err(python_engine()),
        }
    }

    fn places(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is bound, for one who will change or read it: nobody runs it, and the last outputs are in their places.
    fn at_rest(&self) -> Result<MutexGuard<'_, Places>, DoorError> {
        let mut places = self.places();
        // Nobody takes the turn without the lock, so it stays free as long as the lock is held. It is not taken either
        // when its request has gone without a run.
        if self.taken.load(Ordering::Acquire) && places.free_spare().is_none() {
            return Err(in_use());
        }
        if let Some(values) = self.results.lock().unwrap_or_else(PoisonError::into_inner).take() {
            for (output, value) in places.outputs.iter_mut().zip(values) {
                output.last = value;
            }
        }
        Ok(places)
    }

    /// A request for one run of the binding as it is now. `silent`: its answer is to hold no outputs.
    pub(crate) fn request(&self, py: Python<'_>, core: &Core, silent: bool) -> PyResult<Request> {
        if !std::ptr::eq(Arc::as_ptr(&self.core), core) {
            return Err(PyValueError::new_err("IOBinding must be used with the session that created it."));
        }
        self.snapshot(silent).map_err(|error| errors::raise_door(py, error, core.voice))
    }

    fn snapshot(&self, silent: bool) -> Result<Request, DoorError> {
        let mut places = self.places();
        if let Some(spare) = places.free_spare() {
            spare.turn.renew();
            spare.silent = silent;
        } else {
            let turn = Turn::take(&self.taken).ok_or_else(in_use)?;
            if places.frozen.is_none() {
                places.frozen = Some(places.freeze()?);
            }
            let Some((frozen, _)) = &places.frozen else { return Err(in_use()) };
            let results = Arc::clone(&self.results);
            places.spare = Some(Arc::new(Snapshot { places: Arc::clone(frozen), turn, results, silent }));
        }
        let Places { outputs, frozen: Some((frozen, wanted)), spare: Some(spare), .. } = &mut *places else {
            return Err(in_use());
        };
        // The run may fail, and then these are nobody's results any more.
        outputs.iter_mut().for_each(|output| output.last = Value::None);
        if frozen.leaves_results() {
            *self.results.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
        let held = Arc::clone(spare);
        Ok(Request::new(Inputs::Binding(OwnerBox(held)), Wanted::Some(wanted.clone())))
    }

    fn set_input(&self, index: usize, value: Value) -> Result<(), DoorError> {
        let replaced = {
            let mut places = self.at_rest()?;
            (places.thaw(), std::mem::replace(&mut places.inputs[index], value))
        };
        drop(replaced);
        Ok(())
    }

    fn set_output(&self, name: &Bound<'_, PyAny>, target: Target) -> Result<(), DoorError> {
        let index = self.names()?.output(name.py(), name);
        let name: String = name.extract()?;
        let mut places = self.at_rest()?;
        let thawed = places.thaw();
        match places.outputs.iter_mut().find(|output| output.name == name) {
            Some(output) => (output.target, output.last) = (target, Value::None),
            None => places.outputs.push(Output { name, index, target, last: Value::None }),
        }
        drop(places);
        drop(thawed);
        Ok(())
    }

    fn input(&self, name: &Bound<'_, PyAny>) -> Result<usize, DoorError> {
        let found = self.names()?.input(name.py(), name);
        found.ok_or_else(|| misuse(format!("Failed to find NodeArg with name: {name} in the def list")))
    }

    /// The first thing every call does, and how its errors leave.
    fn inside<T>(&self, py: Python<'_>, step: impl FnOnce() -> Result<T, DoorError>) -> PyResult<T> {
        let _inside = life::inside(py);
        drain_graveyard(py);
        life::own(self.core.generation).map_err(|error| self.core.raise(py, &error))?;
        step().map_err(|error| errors::raise_door(py, error, self.core.voice))
    }

    /// What each output holds now: what the last run gave, or the memory that it is bound to.
    fn held(&self) -> Result<Vec<(Value, bool)>, DoorError> {
        let places = self.at_rest()?;
        let held = places.outputs.iter().map(|output| match (&output.last, &output.target) {
            (Value::None, Target::Into(tensor)) => (Value::Tensor(tensor.clone()), true),
            (last, target) => (last.clone(), matches!(target, Target::Into(_))),
        });
        Ok(held.collect())
    }
}

impl Drop for IoBinding {
    fn drop(&mut self) {
        // As for an `OrtValue`: the arrays that it held go at once.
        let places = self.places.get_mut().unwrap_or_else(PoisonError::into_inner);
        places.inputs.clear();
        places.outputs.clear();
        drop(places.thaw());
        life::drain_dropped();
    }
}

#[pymethods]
impl IoBinding {
    #[new]
    fn new(py: Python<'_>, session: &Bound<'_, Session>) -> PyResult<Self> {
        let core = session.get().core(py)?;
        core.enter(py)?;
        let count = match &core.kind {
            Kind::Native(names) => names.len(),
            Kind::Python(_) => return Err(errors::raise_door(py, python_engine(), core.voice)),
        };
        let places = Places {
            inputs: std::iter::repeat_n(Value::None, count).collect(),
            outputs: Vec::new(),
            frozen: None,
            spare: None,
        };
        Ok(IoBinding {
            core: Arc::clone(&core),
            places: Mutex::new(places),
            taken: Arc::default(),
            results: Arc::default(),
        })
    }

    /// Binds an input to an array, which is held, not copied: later runs see what is written to it. Arrays that an
    /// engine cannot read as they lie are copied here. Dtype and shape are checked when it runs.
    fn bind_cpu_input(
        &self,
        py: Python<'_>,
        name: &Bound<'_, PyAny>,
        arr_on_cpu: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        self.inside(py, || {
            let index = self.input(name)?;
            let (node, typed) = self.names()?.node(index);
            let value = match (&node.kind, typed) {
                (_, Some(typed)) => {
                    let alloc = |len| self.core.alloc(len);
                    composite_in::read(arr_on_cpu, &node.name, typed, How::Hold, &alloc)?
                }
                (ValueType::Tensor(..), None) => Value::Tensor(array::of_array(arr_on_cpu)?.0),
                (ValueType::Other(words), None) => return Err(bad_input(format!("{words} cannot be bound"))),
            };
            self.set_input(index, value)
        })
    }

    /// Binds an input to memory by its address, which must stay valid and readable until every run has ended and
    /// something else is bound in its place: nothing here can check that.
    #[allow(clippy::too_many_arguments)]
    fn bind_input(
        &self,
        py: Python<'_>,
        name: &Bound<'_, PyAny>,
        device_type: &str,
        device_id: i32,
        element_type: &Bound<'_, PyAny>,
        shape: Vec<i64>,
        buffer_ptr: usize,
    ) -> PyResult<()> {
        self.inside(py, || {
            let index = self.input(name)?;
            device::only_cpu(device_type, device_id, -1)?;
            let tensor = array::over(array::dtype_of(element_type)?, Dims::from_vec(shape), buffer_ptr)?;
            self.set_input(index, Value::Tensor(tensor))
        })
    }

    /// Binds an input to an `OrtValue`, which is held.
    fn bind_ortvalue_input(
        &self,
        py: Python<'_>,
        name: &Bound<'_, PyAny>,
        ortvalue: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        self.inside(py, || {
            let index = self.input(name)?;
            self.set_input(index, ort_value(ortvalue)?.get().value().clone())
        })
    }

    /// Binds an output: to new memory at every run, on the CPU or on a device, or, with `buffer_ptr`, to memory by its
    /// address, which must stay valid and writable until every run has ended and something else is bound in its place.
    #[pyo3(signature = (name, device_type="cpu", device_id=0, element_type=None, shape=None, buffer_ptr=None))]
    #[allow(clippy::too_many_arguments)]
    fn bind_output(
        &self,
        py: Python<'_>,
        name: &Bound<'_, PyAny>,
        device_type: &str,
        device_id: i32,
        element_type: Option<&Bound<'_, PyAny>>,
        shape: Option<Vec<i64>>,
        buffer_ptr: Option<usize>,
    ) -> PyResult<()> {
        self.inside(py, || {
            let target = match (buffer_ptr, element_type, shape) {
                (None, ..) => match device::place(device_type)? {
                    Place::Cpu => Target::Fresh,
                    Place::Device(words) => Target::Device(words.to_owned(), device_id),
                },
                (Some(addr), Some(element_type), Some(shape)) => {
                    device::only_cpu(device_type, device_id, -1)?;
                    let dtype = array::dtype_of(element_type)?;
                    Target::Into(array::over(dtype, Dims::from_vec(shape), addr)?)
                }
                (Some(_), ..) => {
                    let text =
                        "`element_type` and `shape` are to be provided if pre-allocated memory is provided";
                    return Err(PyValueError::new_err(text).into());
                }
            };
            self.set_output(name, target)
        })
    }

    /// Binds an output to an `OrtValue`'s memory, which every run writes to.
    fn bind_ortvalue_output(
        &self,
        py: Python<'_>,
        name: &Bound<'_, PyAny>,
        ortvalue: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        self.inside(py, || {
            let value = ort_value(ortvalue)?;
            self.set_output(name, Target::Into(value.get().target()?.clone()))
        })
    }

    /// Waits for copies of inputs to a device: a run does that itself.
    fn synchronize_inputs(&self, py: Python<'_>) -> PyResult<()> {
        self.inside(py, || self.at_rest().map(drop))
    }

    /// Waits for copies of outputs from a device: a run does that itself.
    fn synchronize_outputs(&self, py: Python<'_>) -> PyResult<()> {
        self.inside(py, || self.at_rest().map(drop))
    }

    /// The outputs of the last run as `OrtValue`s, in the order in which they were bound. Before a run, and after one
    /// that failed, those that are bound to no memory have no value.
    fn get_outputs(&self, py: Python<'_>) -> PyResult<Py<PyList>> {
        let held = self.inside(py, || self.held())?;
        outputs::ort_values(py, held.into_iter().map(|(value, _)| value).collect())
    }

    /// The same list: programs that ask for the vector index it and take its length.
    fn get_outputs_as_ortvaluevector(&self, py: Python<'_>) -> PyResult<Py<PyList>> {
        self.get_outputs(py)
    }

    /// The outputs of the last run as arrays, lists and dicts. What lies in memory that was bound is copied: the next
    /// run writes there.
    fn copy_outputs_to_cpu(&self, py: Python<'_>) -> PyResult<Py<PyList>> {
        self.inside(py, || {
            let list = PyList::empty(py);
            for (value, bound) in self.held()? {
                let value = match value {
                    Value::Tensor(tensor) if bound => Value::Tensor(array::duplicate(&tensor)?),
                    other => other,
                };
                list.append(array::to_python(py, value)?)?;
            }
            Ok(list.unbind())
        })
    }

    /// Binds no input any more.
    fn clear_binding_inputs(&self, py: Python<'_>) -> PyResult<()> {
        self.inside(py, || {
            let mut places = self.at_rest()?;
            drop(places.thaw());
            places.inputs.fill(Value::None);
            Ok(())
        })
    }

    /// Binds no output any more.
    fn clear_binding_outputs(&self, py: Python<'_>) -> PyResult<()> {
        self.inside(py, || {
            let mut places = self.at_rest()?;
            drop(places.thaw());
            places.outputs.clear();
            Ok(())
        })
    }

    fn __repr__(&self) -> String {
        let places = self.places();
        let inputs = places.inputs.iter().filter(|value| !matches!(value, Value::None)).count();
        format!("<IOBinding [{inputs} inputs, {} outputs]>", places.outputs.len())
    }
}
