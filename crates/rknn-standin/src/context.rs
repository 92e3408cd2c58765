//! One context: a model, the cores it runs on, what is set and bound.

use std::ffi::CString;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use headway_core::engine::Lane;

use crate::abi::*;
use crate::compute::{Model, Reals};
use crate::cores;
use crate::file::Tensor;
use crate::numbers::Kind;
use crate::tensors::{Form, View, attr, scale_of, store, unstore};
use crate::world::{State, world};

pub struct Context {
    pub id: u64,
    pub model: Arc<Model>,
    pub flags: u32,
    /// Whose weights it uses.
    pub master: Option<u64>,
    pub inside: AtomicBool,
    pub inner: Mutex<Inner>,
}

/// Memory that is bound to a tensor.
#[derive(Debug, Clone, Copy)]
pub struct Bound {
    pub memory: usize,
    pub form: Form,
}

#[derive(Default)]
pub struct Inner {
    pub mask: u32,
    /// The set of shapes.
    pub set: usize,
    /// Stored numbers of each input.
    pub inputs: Vec<Option<Vec<u8>>>,
    pub outputs: Option<Vec<Vec<u8>>>,
    pub bound_inputs: Vec<Option<Bound>>,
    pub bound_outputs: Vec<Option<Bound>>,
    pub operators: usize,
    /// Buffers of outputs that were not the caller's own.
    pub lent: Vec<Box<[u8]>>,
    pub perf: CString,
    pub last_run: i64,
    lane: Option<Box<dyn Lane>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Input,
    Output,
}

impl Context {
    pub fn new(id: u64, model: Arc<Model>, flags: u32, master: Option<u64>) -> Context {
        let inner = Inner { lane: model.lane(), ..Inner::default() };
        Context { id, model, flags, master, inside: AtomicBool::new(false), inner: Mutex::new(inner) }
    }

    pub fn tensors(&self, side: Side) -> &[Tensor] {
        match side {
            Side::Input => &self.model.description.inputs,
            Side::Output => &self.model.description.outputs,
        }
    }

    /// Dimensions of a tensor at a set of shapes.
    pub fn dims(&self, side: Side, index: usize, set: usize) -> Vec<u32> {
        let tensor = &self.tensors(side)[index];
        match self.model.description.shapes.get(set) {
            Some(shapes) if side == Side::Input => shapes.inputs[index].clone(),
            Some(shapes) => shapes.outputs[index].clone(),
            None => tensor.dims.clone(),
        }
    }

    pub fn attr(&self, side: Side, index: u32, view: View, set: usize) -> Option<TensorAttr> {
        let tensor = self.tensors(side).get(index as usize)?;
        attr(tensor, index, &self.dims(side, index as usize, set), view)
    }

    /// Runs what is set or bound.
    pub fn run(&self, inner: &mut Inner) -> Result<(), i32> {
        if inner.operators < self.model.description.custom_ops {
            return Err(FAIL);
        }
        let bound = self.is_bound(inner)?;
        let count = self.model.description.inputs.len();
        let inputs: Vec<Vec<u8>> =
            (0..count).map(|at| self.stored_input(inner, at, bound)).collect::<Result<_, _>>()?;
        let reals: Vec<Reals> = (0..count).map(|at| self.reals(inner.set, at, &inputs[at])).collect();
        let answer = self.model.run(inner.lane.as_mut(), &reals).ok_or(FAIL)?;
        let first = reals.first().and_then(|reals| reals.values.first()).copied().unwrap_or(0.0);
        let mut stored = Vec::with_capacity(answer.len());
        for (at, (tensor, reals)) in self.model.description.outputs.iter().zip(&answer).enumerate() {
            let expected: u32 = self.dims(Side::Output, at, inner.set).iter().product();
            if expected as usize != reals.values.len() {
                return Err(FAIL);
            }
            stored.push(quantised(tensor, &reals.values));
        }
        enter_run();
        cores::run(inner.mask, self.model.description.latency, |state, core| {
            state.counts.runs.push((core, first));
        });
        world().with(|state| state.at_once -= 1);
        inner.last_run = (self.model.description.latency * 1e6) as i64;
        if bound {
            self.write_bound(inner, &stored)
        } else {
            inner.outputs = Some(stored);
            Ok(())
        }
    }

    /// True when everything is bound, false when nothing is.
    fn is_bound(&self, inner: &Inner) -> Result<bool, i32> {
        let all = |list: &[Option<Bound>], count: usize| list.iter().flatten().count() == count;
        let description = &self.model.description;
        if inner.bound_inputs.iter().chain(&inner.bound_outputs).all(Option::is_none) {
            return Ok(false);
        }
        if !all(&inner.bound_inputs, description.inputs.len()) {
            return Err(INPUT_INVALID);
        }
        if !all(&inner.bound_outputs, description.outputs.len()) {
            return Err(OUTPUT_INVALID);
        }
        if inner.inputs.iter().any(Option::is_some) {
            world().with(|state| state.violation("inputs were both set and bound"));
        }
        Ok(true)
    }

    fn stored_input(&self, inner: &Inner, at: usize, bound: bool) -> Result<Vec<u8>, i32> {
        if !bound {
            return inner.inputs.get(at).cloned().flatten().ok_or(INPUT_INVALID);
        }
        let bound = inner.bound_inputs[at].ok_or(INPUT_INVALID)?;
        let dims = self.dims(Side::Input, at, inner.set);
        with_shadow(bound.memory, |shadow| {
            store(&self.model.description.inputs[at], &dims, shadow, bound.form)
        })
        .flatten()
        .ok_or(INPUT_INVALID)
    }

    fn write_bound(&self, inner: &Inner, stored: &[Vec<u8>]) -> Result<(), i32> {
        for (at, (tensor, stored)) in self.model.description.outputs.iter().zip(stored).enumerate() {
            let bound = inner.bound_outputs[at].ok_or(OUTPUT_INVALID)?;
            let dims = self.dims(Side::Output, at, inner.set);
            let done = with_shadow(bound.memory, |shadow| unstore(tensor, &dims, stored, shadow, bound.form));
            if done != Some(true) {
                return Err(OUTPUT_INVALID);
            }
        }
        Ok(())
    }

    fn reals(&self, set: usize, at: usize, stored: &[u8]) -> Reals {
        let tensor = &self.model.description.inputs[at];
        let dims = self.dims(Side::Input, at, set);
        let (zero, scale) = scale_of(tensor);
        let count: u32 = dims.iter().product();
        let values = (0..count as usize).map(|at| (tensor.kind.read(stored, at) - zero) * scale).collect();
        Reals { dims, values }
    }
}

fn enter_run() {
    world().with(|state: &mut State| {
        state.at_once += 1;
        state.counts.most_at_once = state.counts.most_at_once.max(state.at_once);
    });
}

fn quantised(tensor: &Tensor, values: &[f64]) -> Vec<u8> {
    let (zero, scale) = scale_of(tensor);
    let mut stored = vec![0; values.len() * tensor.kind.bytes()];
    values
        .iter()
        .enumerate()
        .for_each(|(at, value)| tensor.kind.write(&mut stored, at, value / scale + zero));
    stored
}

/// What the NPU sees of a piece of memory; `None` when there is no such piece any more.
fn with_shadow<T>(memory: usize, step: impl FnOnce(&mut [u8]) -> T) -> Option<T> {
    world().with(|state| match state.memories.get_mut(&memory) {
        Some(memory) => Some(step(memory.shadow())),
        None => {
            state.counts.bad_memories += 1;
            None
        }
    })
}

/// The form of a tensor that callers hand over or get.
pub fn form(kind: Kind, fmt: i32) -> Form {
    Form { kind, fmt, w_stride: 0, h_stride: 0, c2: 1 }
}
