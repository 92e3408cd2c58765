//! A lane: a context, and the way a request takes through it.

use std::ptr;
use std::sync::{Arc, PoisonError};

use headway_core::engine::{Control, Job, Lane};
use headway_core::error::{Error, ErrorKind};
use headway_core::request::{Inputs, Wanted};
use headway_core::value::{DType, Data, Dims, Memory, Tensor, Value, Values};

use super::attr::{Format, TensorAttr, element_of};
use super::bound::Bound;
use super::context::Context;
use super::convert::{Conversion, Scale};
use super::engine::Loaded;
use super::error::{check, missing};
use super::layout::{Places, count};
use super::model::InputPlan;
use super::places;
use super::raw::*;
use crate::pool::Pool;

/// A place where one request at a time runs.
pub(super) struct RknnLane {
    pub(super) loaded: Arc<Loaded>,
    /// Its own, for as long as it lives; `None` only while it is dropped.
    pub(super) ready: Option<Ready>,
    pub(super) pool: Arc<Pool>,
}

/// A context that waits for a lane.
pub(super) struct Ready {
    pub(super) context: Arc<Context>,
    /// Where it runs, in words.
    pub(super) place: String,
    /// Its number.
    pub(super) number: usize,
    /// The set of shapes that it was told last.
    pub(super) set: usize,
    /// Its outputs at that set.
    pub(super) outputs: Vec<TensorAttr>,
    /// What is bound to it, where nothing is copied.
    pub(super) bound: Option<Bound>,
}

/// An input as the lane found it.
pub(super) struct Fed<'a> {
    pub(super) dtype: DType,
    pub(super) dims: &'a [i64],
    pub(super) start: *const u8,
}

impl Lane for RknnLane {
    fn run(&mut self, jobs: &mut [Job]) {
        for job in jobs {
            job.result = Some(self.run_one(job));
        }
    }

    /// The runtime cannot stop a run.
    fn control(&self) -> Option<Arc<dyn Control>> {
        None
    }
}

impl RknnLane {
    fn run_one(&mut self, job: &Job) -> Result<Values, Error> {
        match &job.inputs {
            Inputs::Feeds(values) => self.run_feeds(values, &job.wanted),
            Inputs::Binding(owner) => {
                let bound = places::bound_of(owner)?;
                let result = self.run_feeds(bound.places.inputs(), &job.wanted);
                let result = result.and_then(|values| places::place(bound, values));
                places::finish(bound, result.as_ref().ok());
                result
            }
        }
    }

    fn run_feeds(&mut self, values: &Values, asked: &Wanted) -> Result<Values, Error> {
        let loaded = Arc::clone(&self.loaded);
        let fed = loaded.check(values)?;
        let wanted = wanted(asked, loaded.plans.outputs.len())?;
        let Some(ready) = self.ready.as_mut() else {
            return Err(Error::new(ErrorKind::Closed, "the lane is closed"));
        };
        let outcome = ready.reshape(&loaded, &fed).and_then(|()| match ready.bound.as_mut() {
            // SAFETY: the job keeps its inputs' memory until this has returned.
            Some(bound) => unsafe {
                bound.run(&loaded, &ready.context, &ready.outputs, &self.pool, &fed, &wanted)
            },
            // SAFETY: as above.
            None => unsafe { ready.copy_through(&loaded, &self.pool, &fed, &wanted) },
        });
        if outcome.is_ok() && loaded.perf {
            *loaded.perf_text.lock().unwrap_or_else(PoisonError::into_inner) = ready.context.perf_detail();
        }
        outcome.map_err(|error| match error.kind {
            ErrorKind::Engine => Error { message: format!("{} on {}", error.message, ready.place), ..error },
            _ => error,
        })
    }
}

impl Ready {
    /// Tells the runtime of other shapes, when they are others.
    fn reshape(&mut self, loaded: &Loaded, fed: &[Fed<'_>]) -> Result<(), Error> {
        let dims: Vec<&[i64]> = fed.iter().map(|input| input.dims).collect();
        let set = loaded.plans.shape_set(&dims)?;
        if set == self.set {
            return Ok(());
        }
        let Some(tell) = self.context.api.set_input_shapes else {
            return Err(missing(ErrorKind::Engine, "rknn_set_input_shapes", "other shapes cannot be run"));
        };
        let mut attrs = Vec::with_capacity(fed.len());
        for plan in &loaded.plans.inputs {
            let mut attr = self.context.raw_attr(query::INPUT_ATTR, plan.attr.index)?;
            let dims = plan.listed(set);
            attr.n_dims = dims.len() as u32;
            attr.dims[..dims.len()].copy_from_slice(dims);
            // Without it the runtime does not know what the dimensions mean.
            attr.fmt = plan.attr.format.raw();
            attrs.push(attr);
        }
        // Until all of it has worked, nobody knows what the context believes.
        self.set = usize::MAX;
        // SAFETY: the context is live, the array as long as told.
        let code = unsafe { tell(self.context.raw(), attrs.len() as u32, attrs.as_mut_ptr()) };
        check(ErrorKind::Engine, "rknn_set_input_shapes", code)?;
        let outputs = loaded.plans.outputs.len() as u32;
        self.outputs = self.context.attrs(query::CURRENT_OUTPUT_ATTR, outputs, "output")?;
        if let Some(old) = self.bound.take() {
            let fresh = Bound::new(loaded, &self.context, &self.outputs, set, true);
            let keep = match fresh {
                Ok(fresh) => self.bound.insert(fresh),
                Err(error) => {
                    self.bound = Some(old);
                    return Err(error);
                }
            };
            keep.replace(old);
        }
        self.set = set;
        Ok(())
    }

    /// Runs with the runtime's own copies of inputs and outputs.
    ///
    /// # Safety
    /// The memory of what was fed stays there until this has returned.
    unsafe fn copy_through(
        &self,
        loaded: &Loaded,
        pool: &Arc<Pool>,
        fed: &[Fed<'_>],
        wanted: &[usize],
    ) -> Result<Values, Error> {
        let api = self.context.api;
        let (Some(set), Some(get), Some(release)) = (api.inputs_set, api.outputs_get, api.outputs_release)
        else {
            return Err(missing(ErrorKind::Engine, "rknn_inputs_set", "use zero_copy=True with it"));
        };
        // Keeps transposed inputs until the runtime has copied them.
        let mut transposed = Vec::new();
        let mut inputs = Vec::with_capacity(fed.len());
        for (plan, input) in loaded.plans.inputs.iter().zip(fed) {
            let mut start = input.start;
            let bytes = input.dtype.byte_len(count(plan.listed(self.set)));
            if plan.fed != plan.passed && plan.passed != Format::Undefined {
                let block = pool.alloc(bytes);
                // SAFETY: the input was checked to be as large as its dimensions say.
                unsafe { self.transpose(plan, input, block.as_ptr()) }?;
                start = block.as_ptr();
                transposed.push(block);
            }
            inputs.push(RawInput {
                index: plan.attr.index,
                buf: start.cast_mut().cast(),
                size: bytes as u32,
                pass_through: 0,
                element: element_of(input.dtype).unwrap_or(element::F32),
                fmt: plan.passed.raw(),
            });
        }
        // SAFETY: the context is live and this lane's alone; the buffers are as long as told.
        let code = unsafe { set(self.context.raw(), inputs.len() as u32, inputs.as_mut_ptr()) };
        check(ErrorKind::Engine, "rknn_inputs_set", code)?;
        self.context.run()?;
        let mut values = Vec::with_capacity(self.outputs.len());
        let mut outputs = Vec::with_capacity(self.outputs.len());
        for (plan, attr) in loaded.plans.outputs.iter().zip(&self.outputs) {
            let bytes = plan.dtype.byte_len(count(&attr.dims));
            let block = pool.alloc(bytes);
            outputs.push(RawOutput {
                want_float: u8::from(plan.dtype == DType::F32 && plan.attr.reads_as_float()),
                is_prealloc: 1,
                index: plan.attr.index,
                buf: block.as_ptr().cast(),
                size: bytes as u32,
            });
            values.push(tensor(plan.dtype, &attr.dims, block.memory()));
        }
        // SAFETY: as above.
        let code =
            unsafe { get(self.context.raw(), outputs.len() as u32, outputs.as_mut_ptr(), ptr::null_mut()) };
        check(ErrorKind::Engine, "rknn_outputs_get", code)?;
        // SAFETY: what was got is released once; the buffers are this lane's own all the same.
        let code = unsafe { release(self.context.raw(), outputs.len() as u32, outputs.as_mut_ptr()) };
        check(ErrorKind::Engine, "rknn_outputs_release", code)?;
        Ok(wanted.iter().map(|&at| values[at].clone()).collect())
    }

    /// # Safety
    /// Both memories hold the whole input.
    unsafe fn transpose(&self, plan: &InputPlan, input: &Fed<'_>, to: *mut u8) -> Result<(), Error> {
        let target = TensorAttr {
            dims: plan.listed(self.set).to_vec(),
            w_stride: 0,
            h_stride: 0,
            ..plan.attr.clone()
        };
        let places = Places::new(&plan.shape(self.set), plan.fed, &target)
            .ok_or_else(|| Error::new(ErrorKind::Engine, "an input's shapes do not fit each other"))?;
        let same = (input.dtype, Scale::ONE);
        let conversion = Conversion { from: same, to: same };
        // SAFETY: the caller's promise.
        unsafe { conversion.apply(input.start, to, places.iter().enumerate()) };
        Ok(())
    }
}

/// A tensor over memory that was just filled, or will be before anybody sees it.
pub(super) fn tensor(dtype: DType, dims: &[u32], memory: Memory) -> Value {
    let dims: Dims = dims.iter().map(|&dim| i64::from(dim)).collect();
    Value::Tensor(Tensor { dtype, dims, data: Data::Memory(memory) })
}

fn wanted(wanted: &Wanted, count: usize) -> Result<Vec<usize>, Error> {
    let Wanted::Some(indices) = wanted else { return Ok((0..count).collect()) };
    let one = |&at: &u32| match at as usize {
        at if at < count => Ok(at),
        at => Err(Error::new(
            ErrorKind::Input,
            format!("there is no output number {at}: the model has {count}"),
        )),
    };
    indices.iter().map(one).collect()
}

impl Drop for RknnLane {
    fn drop(&mut self) {
        self.pool.close();
        if let Some(ready) = self.ready.take() {
            self.loaded.take_back(ready);
        }
    }
}
