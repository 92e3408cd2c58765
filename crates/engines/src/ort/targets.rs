//! Requests that bring the places of their outputs.

use std::ptr;
use std::sync::Arc;

use headway_core::engine::{NodeInfo, ValueType};
use headway_core::error::{Error, ErrorKind};
use headway_core::request::{OwnerBox, Wanted};
use headway_core::value::{DType, Data, Memory, Tensor, Value, Values};

use super::binding::{Binding, Place};
use super::bound::{Bound, Places, Target};
use super::device::DeviceValue;
use super::lane::OrtLane;
use super::raw::*;
use super::runtime::Runtime;
use super::session::Session;
use super::values::{self, Outputs, count};
use crate::pool::Entered;

/// The binding that the request holds.
pub(super) fn bound_of(owner: &OwnerBox) -> Result<&Bound, Error> {
    let bound = owner.0.downcast_ref::<Bound>();
    bound.ok_or_else(|| Error::new(ErrorKind::Input, "this binding was made by another engine"))
}

/// Leaves the binding's outputs, or none after a failure, and ends its turn.
pub(super) fn finish(owner: &OwnerBox, values: Option<&Values>) {
    if let Ok(bound) = bound_of(owner)
        && !bound.places.once
    {
        bound.finish(values);
    }
}

impl OrtLane {
    /// Runs with the outputs going where the binding says. What is left behind is released by the caller.
    pub(super) fn run_bound(
        &mut self,
        entered: Option<&Entered>,
        bound: &Bound,
        wanted: &Wanted,
        options: *const OrtRunOptions,
    ) -> Result<Values, Error> {
        let places = &*bound.places;
        if let Some(made) = places.made.get().filter(|made| made.is_of(&self.session)) {
            self.reuse(made);
            let called = self.call_with(options, &made.names, &made.values, &made.output_names);
            let result = match called {
                Ok(()) if bound.silent && made.in_place => Ok(Values::new()),
                called => called.and_then(|()| self.take_targets(entered, wanted, &places.targets)),
            };
            self.give_up(made);
            return result;
        }
        // SAFETY: the job keeps the binding and with it the inputs' memory until the feeds are released.
        unsafe { self.feeds.fill(&self.session, &places.inputs, false) }?;
        self.want(wanted)?;
        check_wanted(wanted, &places.targets, self.output_names.len())?;
        self.place_all(wanted, &places.targets)?;
        if places.targets.iter().any(|target| matches!(target, Target::Device(..))) {
            self.call_bound(&places.targets, options)?;
        } else if places.once {
            self.call(options).map_err(wrong_shape)?;
        } else {
            self.call(options)?;
        }
        let values = self.take_targets(entered, wanted, &places.targets)?;
        if self.may_keep(places, wanted) {
            let places_of = places.targets.iter().map(|target| matches!(target, Target::Into(_)));
            let mut kept = self.keep(places_of);
            kept.in_place = (0..places.targets.len())
                .all(|at| !kept.outputs[at].is_null() && !self.session.passes_through(index(wanted, at)));
            // The binding's turn is this run's: nobody else has set it.
            drop(places.made.set(kept));
        }
        Ok(values)
    }

    /// The engine's views of the memory that outputs go to.
    fn place_all(&mut self, wanted: &Wanted, targets: &[Target]) -> Result<(), Error> {
        for (at, target) in targets.iter().enumerate() {
            if let Target::Into(tensor) = target {
                let index = index(wanted, at);
                let node = &self.session.info.outputs[index];
                let memory = check_place(node, tensor)?;
                if !self.session.passes_through(index) {
                    // SAFETY: as for the inputs; the binding's turn keeps its other runs away. A program that binds one
                    // memory twice races in its own bytes, never past them.
                    self.outputs[at] = unsafe { place(self.session.runtime, tensor, memory) }?;
                }
            }
        }
        Ok(())
    }

    /// The outputs, from wherever they went.
    fn take_targets(
        &mut self,
        entered: Option<&Entered>,
        wanted: &Wanted,
        targets: &[Target],
    ) -> Result<Values, Error> {
        let targets = targets.iter().enumerate();
        targets.map(|(at, target)| self.take_target(entered, index(wanted, at), at, target)).collect()
    }

    /// True when the engine's values may serve the next run too: views of memory that the binding holds, and nothing
    /// that lies on a device or is handed through from an input.
    fn may_keep(&self, places: &Places, wanted: &Wanted) -> bool {
        let plain = |value: &Value| matches!(value, Value::Tensor(_) | Value::None);
        let keeps = |(at, target): (usize, &Target)| match target {
            Target::Into(_) => !self.session.passes_through(index(wanted, at)),
            Target::Fresh => true,
            Target::Device(..) => false,
        };
        !places.once
            && places.made.get().is_none()
            && places.inputs.iter().all(plain)
            && places.targets.iter().enumerate().all(keeps)
    }

    /// The run through the engine's own binding. Afterwards `outputs` holds all that is to be taken and released.
    fn call_bound(&mut self, targets: &[Target], options: *const OrtRunOptions) -> Result<(), Error> {
        let runtime = self.session.runtime;
        let binding = Binding::new(&self.session)?;
        for (&name, &value) in self.feeds.names.iter().zip(&self.feeds.values) {
            // SAFETY: a name of the session's, and a value that lives until the feeds are released.
            unsafe { binding.input(name, value) }?;
        }
        for (at, target) in targets.iter().enumerate() {
            let name = self.output_names[at];
            // SAFETY: as above; the descriptions live during the calls, a placed value until the outputs are released.
            unsafe {
                match target {
                    Target::Fresh => binding.output_on(name, runtime.cpu),
                    Target::Into(_) if !self.outputs[at].is_null() => binding.output(name, self.outputs[at]),
                    Target::Into(_) => binding.output_on(name, runtime.cpu),
                    Target::Device(device, id) => {
                        binding.output_on(name, Place::new(runtime, device, *id)?.raw())
                    }
                }
            }?;
        }
        // SAFETY: all of it was bound just now and is still there; the job or the lane holds the options.
        unsafe { binding.run(options) }?;
        // The engine's own handles take the places of those that were bound.
        super::feeds::release_all(runtime, &mut self.outputs);
        binding.take_outputs(&mut self.outputs)?;
        if self.outputs.len() == targets.len() {
            return Ok(());
        }
        let (got, expected) = (self.outputs.len(), targets.len());
        Err(Error::new(ErrorKind::Engine, format!("the binding gave {got} outputs instead of {expected}")))
    }

    /// Output number `at` of the request, the model's number `index`, as its target has it.
    fn take_target(
        &mut self,
        entered: Option<&Entered>,
        index: usize,
        at: usize,
        target: &Target,
    ) -> Result<Value, Error> {
        let runtime = self.session.runtime;
        match target {
            Target::Into(tensor) => {
                if self.session.passes_through(index) {
                    let node = &self.session.info.outputs[index];
                    // SAFETY: the run just gave this value; the binding's memory is as long as its dimensions say.
                    unsafe { copy_into(runtime, node, self.outputs[at], tensor) }?;
                }
                return Ok(Value::Tensor(tensor.clone()));
            }
            Target::Device(..) => {
                let raw = self.outputs[at];
                // SAFETY: the run just gave this value, and only this lane has it.
                if unsafe { stays(runtime, raw) }? {
                    self.outputs[at] = ptr::null_mut();
                    // SAFETY: as above, and it was taken off the list of what the lane releases.
                    let value = unsafe { DeviceValue::new(runtime, raw) }?;
                    return Ok(Value::Opaque(Arc::new(value)));
                }
            }
            Target::Fresh => {}
        }
        let from = Outputs { runtime, pool: &self.pool, entered };
        let node = &self.session.info.outputs[index];
        // SAFETY: as above.
        unsafe { from.take(node, self.session.output_kinds[index], self.outputs[at]) }
    }
}

/// True for a tensor of plain elements: all else is on the CPU whatever was asked for.
///
/// # Safety
/// `value` is null or live.
unsafe fn stays(runtime: &Runtime, value: *const OrtValue) -> Result<bool, Error> {
    // SAFETY: the caller's promise.
    if value.is_null() || unsafe { runtime.class_of(value) }? != Some(class::TENSOR) {
        return Ok(false);
    }
    // SAFETY: as above, and it is a tensor.
    Ok(unsafe { runtime.type_and_dims(value) }?.0 != DType::String as i32)
}

/// The engine's refusal of an array whose shape is not the output's, in the words of `out=`; other errors as they are.
#[cold]
fn wrong_shape(error: Error) -> Error {
    let between = |before: &str, after: &str| {
        let (_, rest) = error.message.split_once(before)?;
        rest.split_once(after).map(|(found, _)| found.to_owned())
    };
    let shapes = (between(" has shape {", "}"), between("shape for this run is {", "}"));
    let text = match (between("provided for output '", "'"), shapes) {
        (Some(name), (Some(got), Some(expected))) => {
            format!("output '{name}': expected the shape ({expected}), got an array of the shape ({got})")
        }
        // What libraries before 1.24 say, and any that will say it otherwise.
        _ if error.message.contains("shape verification failed") || is_about_output(&error.message) => {
            format!("an array in out= has another shape than its output: {}", error.message)
        }
        _ => return error,
    };
    Error::new(ErrorKind::Input, text)
}

fn is_about_output(message: &str) -> bool {
    message.contains("dimensions for output:") || message.contains("rank for output:")
}

fn index(wanted: &Wanted, at: usize) -> usize {
    match wanted {
        Wanted::All => at,
        Wanted::Some(indices) => indices.get(at).map_or(0, |&index| index as usize),
    }
}

/// One target for each output, and no output twice: the engine would write only one of its places.
fn check_wanted(wanted: &Wanted, targets: &[Target], count: usize) -> Result<(), Error> {
    if targets.len() != count {
        let text = format!("a binding of {} places for {count} outputs", targets.len());
        return Err(Error::new(ErrorKind::Input, text));
    }
    let Wanted::Some(indices) = wanted else { return Ok(()) };
    let twice = indices.iter().enumerate().find(|(at, index)| indices[..*at].contains(index));
    match twice {
        None => Ok(()),
        Some((_, index)) => {
            Err(Error::new(ErrorKind::Input, format!("output number {index} is bound twice")))
        }
    }
}

impl Session {
    /// True for an output that is an input of the model: the engine hands that back and leaves a bound place alone.
    fn passes_through(&self, index: usize) -> bool {
        self.input_names.contains(&self.output_names[index])
    }
}

/// The memory for an output, when it fits the model's type and its own dimensions.
fn check_place<'a>(node: &NodeInfo, tensor: &'a Tensor) -> Result<&'a Memory, Error> {
    let wrong = |what: String| Error::new(ErrorKind::Input, format!("output {:?}: {what}", node.name));
    let dtype = match &node.kind {
        ValueType::Tensor(dtype, _) => *dtype,
        ValueType::Other(words) => {
            return Err(wrong(format!(
                "only a tensor can be put into memory of the caller's, this is {words}"
            )));
        }
    };
    let Data::Memory(memory) = &tensor.data else {
        return Err(wrong("strings cannot be put into memory of the caller's".into()));
    };
    if dtype == DType::String || dtype != tensor.dtype {
        let (expected, got) = (dtype.as_str(), tensor.dtype.as_str());
        return Err(wrong(format!("the memory is for tensor({got}), the model gives tensor({expected})")));
    }
    if count(&tensor.dims).map(|count| dtype.byte_len(count)) != Some(memory.len) {
        let (got, dims) = (memory.len, tensor.dims.as_slice());
        return Err(wrong(format!("{got} bytes of memory do not fit the dimensions {dims:?}")));
    }
    Ok(memory)
}

/// The engine's view of the memory that an output goes to.
///
/// # Safety
/// The memory, checked, stays writable and nobody else's until the value is released.
unsafe fn place(runtime: &Runtime, tensor: &Tensor, memory: &Memory) -> Result<*mut OrtValue, Error> {
    // SAFETY: the caller's promise.
    unsafe { values::over(runtime, tensor.dtype, &tensor.dims, memory) }
}

/// What the engine would have written, had it been a place for an operator's output.
///
/// # Safety
/// `value` is live; `tensor` was checked, and its memory is nobody else's.
unsafe fn copy_into(
    runtime: &Runtime,
    node: &NodeInfo,
    value: *mut OrtValue,
    tensor: &Tensor,
) -> Result<(), Error> {
    let memory = check_place(node, tensor)?;
    // SAFETY: the caller's promise; it is a tensor by the model's word.
    let (element, dims) = unsafe { runtime.type_and_dims(value) }?;
    if element != tensor.dtype as i32 || dims != tensor.dims {
        let (name, got, dims) = (&node.name, tensor.dims.as_slice(), dims.as_slice());
        let text =
            format!("output {name:?}: the memory is for the dimensions {got:?}, the output has {dims:?}");
        return Err(Error::new(ErrorKind::Input, text));
    }
    let mut data = ptr::null_mut();
    // SAFETY: as above; an out parameter.
    runtime.api.check_run(unsafe { (runtime.api.tensor_data)(value, &mut data) })?;
    if memory.len > 0 {
        let to = ptr::with_exposed_provenance_mut::<u8>(memory.addr);
        // SAFETY: both have as many bytes as type and dimensions say. They may overlap, where an input is its own output.
        unsafe { ptr::copy(data.cast::<u8>(), to, memory.len) };
    }
    Ok(())
}
