//! Several requests in one run: joined along the model's batch axes, split again, and run one by one where that fails.

use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use headway_core::engine::{BatchAxes, Job, NodeInfo};
use headway_core::request::{Inputs, Wanted};
use headway_core::value::{Data, Dims, Memory, Tensor, Value, Values};
use smallvec::SmallVec;

use super::lane::OrtLane;
use super::values::count;
use crate::pool::{Entered, Pool};

/// An address for memory of no length.
const NOWHERE: usize = 64;

/// How a session's requests are joined, shared by its lanes.
pub(super) struct Plan {
    axes: BatchAxes,
    proofs: Vec<Proof>,
    /// Why nothing may be joined any more.
    broken: OnceLock<Box<str>>,
}

/// Whether an output has been seen to be as long as the batch, for two lengths of it: one could be chance, where the
/// axis is not the batch's at all.
#[derive(Default)]
struct Proof {
    /// 0 before the first sight.
    rows: AtomicI64,
    proven: AtomicBool,
}

impl Proof {
    fn note(&self, rows: i64) {
        if self.proven.load(Ordering::Relaxed) {
            return;
        }
        let before = self.rows.compare_exchange(0, rows, Ordering::Relaxed, Ordering::Relaxed);
        if before.is_err_and(|first| first != rows) {
            self.proven.store(true, Ordering::Relaxed);
        }
    }
}

/// Elements before an axis, and bytes of one step along it.
struct Strides {
    outer: usize,
    step: usize,
}

fn strides(tensor: &Tensor, axis: usize) -> Option<Strides> {
    let outer = count(tensor.dims.get(..axis)?)?;
    let inner = count(tensor.dims.get(axis + 1..)?)?;
    Some(Strides { outer, step: tensor.dtype.byte_len(inner) })
}

fn values_of(job: &Job) -> Option<&Values> {
    match &job.inputs {
        Inputs::Feeds(values) if job.options.is_none() => Some(values),
        Inputs::Feeds(_) | Inputs::Binding(_) => None,
    }
}

/// The bytes of plain elements.
fn bytes(memory: &Memory) -> &[u8] {
    if memory.len == 0 {
        return &[];
    }
    // SAFETY: a job's memory is readable until its lane has returned (invariant 6).
    unsafe { std::slice::from_raw_parts(ptr::with_exposed_provenance(memory.addr), memory.len) }
}

/// The same value for both requests.
fn equal(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::None, Value::None) => true,
        (Value::Tensor(one), Value::Tensor(other)) => {
            one.dtype == other.dtype
                && one.dims == other.dims
                && match (&one.data, &other.data) {
                    (Data::Memory(one), Data::Memory(other)) => bytes(one) == bytes(other),
                    (Data::Strings(one), Data::Strings(other)) => one == other,
                    _ => false,
                }
        }
        _ => false,
    }
}

/// Alike but for their lengths along the axis.
fn joinable(one: &Value, other: &Value, axis: usize) -> bool {
    let plain = |value: &Value| match value {
        Value::Tensor(tensor) => match &tensor.data {
            Data::Memory(memory) => {
                let bits = tensor.dtype.bits();
                bits >= 8
                    && count(&tensor.dims).is_some_and(|count| tensor.dtype.byte_len(count) == memory.len)
            }
            Data::Strings(_) => false,
        },
        _ => false,
    };
    let (Value::Tensor(first), Value::Tensor(second)) = (one, other) else { return false };
    let (mine, theirs) = (&first.dims, &second.dims);
    let apart =
        |dims: &Dims| (dims.get(..axis).map(Dims::from_slice), dims.get(axis + 1..).map(Dims::from_slice));
    plain(one)
        && plain(other)
        && first.dtype == second.dtype
        && axis < mine.len()
        && mine.len() == theirs.len()
        && apart(mine) == apart(theirs)
}

impl Plan {
    pub(super) fn new(axes: BatchAxes) -> Plan {
        let proofs = axes.outputs.iter().map(|_| Proof::default()).collect();
        Plan { axes, proofs, broken: OnceLock::new() }
    }

    pub(super) fn refusal(&self) -> Option<Box<str>> {
        self.broken.get().cloned()
    }

    fn axis_of_input(&self, at: usize) -> Option<usize> {
        self.axes.inputs.get(at).copied().flatten()
    }

    /// How long a request is along the batch's axis.
    fn rows(&self, job: &Job) -> Option<i64> {
        let values = values_of(job)?;
        let mut rows = None;
        for (at, value) in values.iter().enumerate() {
            if let (Some(axis), Value::Tensor(tensor)) = (self.axis_of_input(at), value) {
                let own = *tensor.dims.get(axis)?;
                if *rows.get_or_insert(own) != own {
                    return None;
                }
            }
        }
        rows.filter(|&rows| rows > 0)
    }

    /// Whether two requests may share a run.
    fn alike(&self, one: &Job, other: &Job) -> bool {
        let (Some(mine), Some(theirs)) = (values_of(one), values_of(other)) else { return false };
        one.wanted == other.wanted
            && mine.len() == theirs.len()
            && self.rows(one).is_some()
            && self.rows(other).is_some()
            && mine.iter().zip(theirs).enumerate().all(|(at, (one, other))| match self.axis_of_input(at) {
                Some(axis) => joinable(one, other, axis),
                None => equal(one, other),
            })
    }

    /// The model's outputs in the order wanted.
    fn wanted(&self, wanted: &Wanted) -> SmallVec<[usize; 8]> {
        match wanted {
            Wanted::All => (0..self.axes.outputs.len()).collect(),
            Wanted::Some(indices) => indices.iter().map(|&at| at as usize).collect(),
        }
    }

    /// Looks whether a run's outputs are as long as its rows. False ends all joining.
    fn holds(&self, nodes: &[NodeInfo], wanted: &Wanted, values: &Values, rows: i64) -> bool {
        for (at, value) in self.wanted(wanted).into_iter().zip(values) {
            let Some(axis) = self.axes.outputs.get(at).copied().flatten() else { continue };
            let length = match value {
                Value::Tensor(tensor) => tensor.dims.get(axis).copied(),
                _ => None,
            };
            if length != Some(rows) {
                let name = nodes.get(at).map_or("?", |node| node.name.as_str());
                let found = length.map_or("none".to_owned(), |length| length.to_string());
                let reason = format!(
                    "output '{name}' has length {found} on axis {axis} for {rows} rows; give its axis in \
                     Batching(axes=...), or None if it is not batched"
                );
                // The first reason stays.
                let _ = self.broken.set(reason.into());
                return false;
            }
            if let Some(proof) = self.proofs.get(at) {
                proof.note(rows);
            }
        }
        true
    }

    fn proven(&self, wanted: &Wanted) -> bool {
        self.wanted(wanted).into_iter().all(|at| {
            let batched = self.axes.outputs.get(at).copied().flatten().is_some();
            !batched || self.proofs.get(at).is_some_and(|proof| proof.proven.load(Ordering::Relaxed))
        })
    }
}

impl OrtLane {
    /// Looks at the outputs of a request that ran alone: what is known then need not be guessed.
    pub(super) fn witness(&self, job: &Job, values: &Values) {
        if let Some(plan) = &self.plan
            && let Some(rows) = plan.rows(job)
        {
            plan.holds(&self.session.info.outputs, &job.wanted, values, rows);
        }
    }

    /// Runs a batch: whoever is alike together, and one by one whoever is not, or when the joined run failed, so that
    /// only the guilty one fails.
    pub(super) fn run_batch(&mut self, entered: Option<&Entered>, plan: &Plan, jobs: &mut [Job]) {
        let mut left: SmallVec<[usize; 16]> = (0..jobs.len()).collect();
        while let Some(&first) = left.first() {
            let (members, others): (SmallVec<[usize; 16]>, SmallVec<[usize; 16]>) =
                left.iter().copied().partition(|&at| at == first || plan.alike(&jobs[first], &jobs[at]));
            left = others;
            let alone = members.len() < 2 || plan.broken.get().is_some();
            let joined = if alone { None } else { self.run_joined(entered, plan, jobs, &members) };
            match joined {
                Some(results) => {
                    for (at, values) in members.into_iter().zip(results) {
                        jobs[at].result = Some(Ok(values));
                    }
                }
                None => members.into_iter().for_each(|at| self.run_job(entered, &mut jobs[at])),
            }
        }
    }

    /// One run for all members; `None` when it failed or its outputs cannot be told apart.
    fn run_joined(
        &mut self,
        entered: Option<&Entered>,
        plan: &Plan,
        jobs: &[Job],
        members: &[usize],
    ) -> Option<Vec<Values>> {
        let rows: SmallVec<[i64; 16]> =
            members.iter().map(|&at| plan.rows(&jobs[at])).collect::<Option<_>>()?;
        let total = rows.iter().sum();
        let first = &jobs[members[0]];
        let mut values = Values::new();
        for (at, value) in values_of(first)?.iter().enumerate() {
            values.push(match plan.axis_of_input(at) {
                None => value.clone(),
                Some(axis) => {
                    let parts = members.iter().filter_map(|&member| values_of(&jobs[member])?.get(at));
                    Value::Tensor(join(&self.pool, parts, axis, total)?)
                }
            });
        }
        let batch =
            Job { inputs: Inputs::Feeds(values), wanted: first.wanted.clone(), options: None, result: None };
        let result = self.run_one(entered, &batch);
        self.release();
        let outputs = result.ok()?;
        if !plan.holds(&self.session.info.outputs, &batch.wanted, &outputs, total)
            || !plan.proven(&batch.wanted)
        {
            return None;
        }
        let axes: SmallVec<[Option<usize>; 8]> = plan
            .wanted(&batch.wanted)
            .into_iter()
            .map(|at| plan.axes.outputs.get(at).copied().flatten())
            .collect();
        let mut from = 0;
        let split = |&own: &i64| {
            let part = (from, own);
            from += own;
            outputs.iter().zip(&axes).map(|(value, axis)| part_of(&self.pool, value, *axis, part)).collect()
        };
        rows.iter().map(split).collect()
    }
}

/// The parts one behind the other along the axis.
fn join<'a>(
    pool: &std::sync::Arc<Pool>,
    parts: impl Iterator<Item = &'a Value>,
    axis: usize,
    total: i64,
) -> Option<Tensor> {
    let mut made: Option<(Tensor, Strides, usize)> = None;
    for part in parts {
        let Value::Tensor(part) = part else { return None };
        let Data::Memory(from) = &part.data else { return None };
        let (whole, strides, done) = match &mut made {
            Some(made) => made,
            None => {
                let mut dims = part.dims.clone();
                *dims.get_mut(axis)? = total;
                let len = part.dtype.byte_len(count(&dims)?);
                let memory = match len {
                    0 => Memory { addr: NOWHERE, len: 0, owner: None },
                    len => pool.try_alloc(len)?.memory(),
                };
                let whole = Tensor { dtype: part.dtype, dims, data: Data::Memory(memory) };
                made.insert((whole, strides(part, axis)?, 0))
            }
        };
        let Data::Memory(to) = &whole.data else { return None };
        let own = usize::try_from(*part.dims.get(axis)?).ok()?;
        let (chunk, row) = (own * strides.step, usize::try_from(total).ok()? * strides.step);
        for outer in 0..strides.outer {
            copy(from, outer * chunk, to, outer * row + *done * strides.step, chunk)?;
        }
        *done += own;
    }
    made.map(|(whole, ..)| whole)
}

/// Copies bytes from one value's memory to another's, which nobody else sees yet. `None` when either is too short.
fn copy(from: &Memory, start: usize, to: &Memory, at: usize, len: usize) -> Option<()> {
    if start.checked_add(len)? > from.len || at.checked_add(len)? > to.len {
        return None;
    }
    if len > 0 {
        // SAFETY: both ends were checked; the target is a fresh block, so they do not overlap.
        unsafe {
            let (from, to) = (from.addr + start, to.addr + at);
            let to = ptr::with_exposed_provenance_mut::<u8>(to);
            ptr::copy_nonoverlapping(ptr::with_exposed_provenance::<u8>(from), to, len);
        }
    }
    Some(())
}

/// One request's part of an output, `(first row, rows)`; all of it where the output is not batched.
fn part_of(
    pool: &std::sync::Arc<Pool>,
    value: &Value,
    axis: Option<usize>,
    part: (i64, i64),
) -> Option<Value> {
    let Value::Tensor(tensor) = value else { return axis.is_none().then(|| value.clone()) };
    let Some(axis) = axis else { return own_copy(pool, tensor) };
    let (from, own) = (usize::try_from(part.0).ok()?, usize::try_from(part.1).ok()?);
    let total = usize::try_from(*tensor.dims.get(axis)?).ok()?;
    let mut dims = tensor.dims.clone();
    *dims.get_mut(axis)? = part.1;
    let strides = strides(tensor, axis)?;
    let data = match &tensor.data {
        Data::Strings(strings) => {
            let inner = count(tensor.dims.get(axis + 1..)?)?;
            let rows = (0..strides.outer).map(|outer| {
                let start = (outer * total + from) * inner;
                strings.get(start..start + own * inner)
            });
            Data::Strings(rows.collect::<Option<Vec<_>>>()?.concat().into())
        }
        Data::Memory(memory) => {
            let (chunk, row) = (own * strides.step, total * strides.step);
            let start = from * strides.step;
            Data::Memory(match strides.outer {
                _ if chunk * strides.outer == 0 => Memory { addr: NOWHERE, len: 0, owner: None },
                // The requests share the block, each its own stretch of it.
                1 if start + chunk <= memory.len => {
                    Memory { addr: memory.addr + start, len: chunk, owner: memory.owner.clone() }
                }
                outer => {
                    let to = pool.try_alloc(chunk * outer)?.memory();
                    for at in 0..outer {
                        copy(memory, at * row + start, &to, at * chunk, chunk)?;
                    }
                    to
                }
            })
        }
    };
    Some(Value::Tensor(Tensor { dtype: tensor.dtype, dims, data }))
}

/// What all requests of a batch get: each its own, since each may write to it.
fn own_copy(pool: &std::sync::Arc<Pool>, tensor: &Tensor) -> Option<Value> {
    let data = match &tensor.data {
        Data::Memory(memory) if memory.len > 0 => {
            let to = pool.try_alloc(memory.len)?.memory();
            copy(memory, 0, &to, 0, memory.len)?;
            Data::Memory(to)
        }
        other => other.clone(),
    };
    Some(Value::Tensor(Tensor { dtype: tensor.dtype, dims: tensor.dims.clone(), data }))
}
