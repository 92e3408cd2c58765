//! `_core.Session`: the native half of `InferenceSession`. Each method is one step of the flow, in its own file.

use std::ops::Deref;
use std::sync::{Arc, Mutex, OnceLock};

use headway_core::state::{Config, FlowConfig, Manner};
use headway_core::{batch::Limits, timer};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use crate::array::How;
use crate::binding::IoBinding;
use crate::callback::{self, Callback};
use crate::core::{Core, Settings};
use crate::errors::Voice;
use crate::flows::{self, Flow};
use crate::future::InferenceFuture;
use crate::graveyard::{PyOwner, drain_graveyard};
use crate::life::Inside;
use crate::model::Model;
use crate::out::Out;
use crate::pyfeed::Lane;
use crate::room::Instead;
use crate::submit::{Call, CallOptions, Deadline};
use crate::{batching, describe, errors, life, opening, placement, run, submit, wait};

/// The native half of a session.
#[pyclass(subclass, frozen, weakref, module = "headway._core")]
pub(crate) struct Session {
    core: OnceLock<Arc<Core>>,
}

/// The insides, for one call.
pub(crate) struct Entered<'a> {
    core: &'a Arc<Core>,
    _inside: Inside,
}

impl Deref for Entered<'_> {
    type Target = Arc<Core>;

    fn deref(&self) -> &Arc<Core> {
        self.core
    }
}

impl Session {
    pub(crate) fn core(&self, py: Python<'_>) -> PyResult<Entered<'_>> {
        let _inside = life::inside(py);
        let core = self.core.get().ok_or_else(|| errors::raise(py, &submit::closed(), "?"))?;
        Ok(Entered { core, _inside })
    }
}

#[pymethods]
impl Session {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(_args: &Bound<'_, PyAny>, _kwargs: Option<&Bound<'_, PyDict>>) -> Self {
        Session { core: OnceLock::new() }
    }

    /// Builds the flow on a loaded model.
    #[pyo3(signature = (model, *, workers, caller_lanes, queue_depth, delivery_depth, overflow, ordered, serial, spin, copy_inputs, timeout, submit_timeout, on_drop, batching=None, ez_rknn=false, placement=None, run_timeout=None))]
    #[allow(clippy::too_many_arguments)]
    fn _open(
        &self,
        py: Python<'_>,
        model: &Model,
        workers: usize,
        caller_lanes: usize,
        queue_depth: usize,
        delivery_depth: usize,
        overflow: &str,
        ordered: bool,
        serial: bool,
        spin: f64,
        copy_inputs: bool,
        timeout: Option<f64>,
        submit_timeout: Option<f64>,
        on_drop: Option<Py<PyAny>>,
        batching: Option<(u32, f64, batching::Given)>,
        ez_rknn: bool,
        placement: Option<(Vec<usize>, Vec<usize>, bool)>,
        run_timeout: Option<f64>,
    ) -> PyResult<()> {
        let _inside = life::inside(py);
        life::check(timer::generation()).map_err(|error| errors::raise(py, &error, model.name))?;
        if batching.is_some() && model.python.is_some() {
            return Err(PyValueError::new_err("batching: a Python engine does not batch"));
        }
        let batch_axes =
            batching.as_ref().map(|(_, _, axes)| batching::axes(&model.info, axes)).transpose()?;
        let limits = batching.map(|(max_size, max_delay, _)| {
            Deadline::seconds(max_delay).map(|max_delay| Limits { max_size, max_delay })
        });
        let placement = placement
            .map(|(cores, schedule, pinned)| placement::read(cores, schedule, pinned))
            .transpose()?;
        let run_timeout = run_timeout.map(Deadline::seconds).transpose()?;
        let config = Config {
            workers,
            caller_lanes,
            flow: FlowConfig { queue_depth, overflow: flows::overflow(overflow)? },
            delivery_depth,
            ordered,
            serial,
            tell_drops: on_drop.is_some(),
            max_batch: 1,
            batching: limits.transpose()?,
            spin: Deadline::seconds(spin)?,
            placement,
            run_timeout,
        };
        let settings = Settings {
            copy_inputs,
            timeout: timeout.map(Deadline::seconds).transpose()?,
            submit_timeout: submit_timeout.map(Deadline::seconds).transpose()?,
            on_drop: Mutex::new(on_drop),
            batch_axes,
            none_on_failure: ez_rknn,
            watched: run_timeout.is_some(),
        };
        let voice = Voice { engine: model.name, runtime: ez_rknn };
        let core = opening::core(py, model, config, settings, voice)?;
        self.core.set(core).map_err(|_| PyValueError::new_err("the session is open already"))
    }

    /// The handle of a Python lane's thread.
    fn _lane(&self, py: Python<'_>, number: usize) -> PyResult<Lane> {
        Lane::new(py, Arc::clone(&*self.core(py)?), number)
    }

    #[doc = include_str!("help/run.txt")]
    #[pyo3(signature = (output_names, input_feed, run_options=None, *, timeout=Deadline::Session, priority=0, stream=None, out=None))]
    #[allow(clippy::too_many_arguments)]
    fn run(
        &self,
        py: Python<'_>,
        output_names: Option<&Bound<'_, PyAny>>,
        input_feed: &Bound<'_, PyAny>,
        run_options: Option<&Bound<'_, PyAny>>,
        timeout: Deadline,
        priority: i32,
        stream: Option<&Bound<'_, PyAny>>,
        out: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Py<PyList>> {
        let options = CallOptions { timeout, priority, stream, run_options };
        let core = self.core(py)?;
        match out {
            None => run::run_arrays(&core, input_feed, output_names, &options),
            Some(out) => run::run_into(&core, input_feed, output_names, out, &options),
        }
    }

    #[doc = include_str!("help/run_with_ort_values.txt")]
    #[pyo3(signature = (output_names, input_dict_ort_values, run_options=None, *, timeout=Deadline::Session, priority=0, stream=None))]
    #[allow(clippy::too_many_arguments)]
    fn run_with_ort_values(
        &self,
        py: Python<'_>,
        output_names: Option<&Bound<'_, PyAny>>,
        input_dict_ort_values: &Bound<'_, PyAny>,
        run_options: Option<&Bound<'_, PyAny>>,
        timeout: Deadline,
        priority: i32,
        stream: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Py<PyList>> {
        let options = CallOptions { timeout, priority, stream, run_options };
        let core = self.core(py)?;
        run::run(&core, &Call::ort_values(input_dict_ort_values, output_names), &options)
    }

    #[doc = include_str!("help/run_with_iobinding.txt")]
    #[pyo3(signature = (iobinding, run_options=None, *, timeout=Deadline::Session, priority=0, stream=None))]
    fn run_with_iobinding(
        &self,
        py: Python<'_>,
        iobinding: &Bound<'_, IoBinding>,
        run_options: Option<&Bound<'_, PyAny>>,
        timeout: Deadline,
        priority: i32,
        stream: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let options = CallOptions { timeout, priority, stream, run_options };
        let core = self.core(py)?;
        run::run_bound(&core, &Call::Bound(iobinding), &options)
    }

    /// Submits a binding, or a feed of `OrtValue`s. Waits for room when `waits` is true; else the future may still be
    /// waiting for it.
    #[pyo3(signature = (input, output_names=None, *, waits, block=true, timeout=Deadline::Session, priority=0, stream=None, run_options=None))]
    #[allow(clippy::too_many_arguments)]
    fn _submit_values(
        &self,
        py: Python<'_>,
        input: &Bound<'_, PyAny>,
        output_names: Option<&Bound<'_, PyAny>>,
        waits: bool,
        block: bool,
        timeout: Deadline,
        priority: i32,
        stream: Option<&Bound<'_, PyAny>>,
        run_options: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<InferenceFuture> {
        let core = self.core(py)?;
        core.enter(py)?;
        let options = CallOptions { timeout, priority, stream, run_options };
        let call = match input.cast::<IoBinding>() {
            Ok(binding) => Call::Binding(binding),
            Err(_) => Call::ort_values(input, output_names),
        };
        let request = core.request(&call, How::Hold, &options)?;
        let looped = block && waits && wait::in_event_loop(py);
        let manner = core.manner(block && !looped, waits, None);
        let full = |error| Instead::of_values(&call).of(py, &core, 0, looped, error);
        let slot = core.enqueue(py, request, manner, waits).map_err(full)?;
        Ok(InferenceFuture::new(Arc::clone(&core), slot, call.form()))
    }

    #[doc = include_str!("help/submit.txt")]
    #[pyo3(signature = (input_feed, output_names=None, *, block=true, timeout=Deadline::Session, priority=0, stream=None, run_options=None, out=None))]
    #[allow(clippy::too_many_arguments)]
    fn submit(
        &self,
        py: Python<'_>,
        input_feed: &Bound<'_, PyAny>,
        output_names: Option<&Bound<'_, PyAny>>,
        block: bool,
        timeout: Deadline,
        priority: i32,
        stream: Option<&Bound<'_, PyAny>>,
        run_options: Option<&Bound<'_, PyAny>>,
        out: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<InferenceFuture> {
        let core = self.core(py)?;
        core.enter(py)?;
        let options = CallOptions { timeout, priority, stream, run_options };
        let out = out.map(Out::new);
        let call = Call::into_arrays(input_feed, output_names, out.as_ref());
        let request = core.request(&call, core.how(), &options)?;
        let looped = wait::in_event_loop(py);
        // What awaits in an event loop never runs a request itself.
        let head_start = !looped && core.shared.can_cancel() && wait::may_execute(py, &core);
        let manner = Manner { head_start, ..core.manner(block && !looped, true, None) };
        let full = |error| Instead::SUBMIT.of(py, &core, 0, block && looped, error);
        let slot = core.enqueue(py, request, manner, true).map_err(full)?;
        Ok(InferenceFuture::new(Arc::clone(&core), slot, call.form()).filling(out.and_then(Out::later)))
    }

    /// Submits without blocking: the future may still be waiting for room. `bounded`: for `submit_timeout` at most.
    // The first five in order: reading keywords takes as long as the rest of the call's arguments.
    #[pyo3(signature = (input_feed, output_names=None, bounded=false, run_options=None, _keep=None, *, any_lane=false, timeout=Deadline::Session, priority=0, stream=None, _out=None))]
    #[allow(clippy::too_many_arguments)]
    fn _line_up<'py>(
        &self,
        py: Python<'py>,
        input_feed: &Bound<'_, PyAny>,
        output_names: Option<&Bound<'_, PyAny>>,
        bounded: bool,
        run_options: Option<&Bound<'_, PyAny>>,
        _keep: Option<&Bound<'py, PyAny>>,
        any_lane: bool,
        timeout: Deadline,
        priority: i32,
        stream: Option<&Bound<'_, PyAny>>,
        _out: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Bound<'py, InferenceFuture>> {
        let core = self.core(py)?;
        core.enter(py)?;
        let options = CallOptions { timeout, priority, stream, run_options };
        let out = _out.map(Out::new);
        let call = Call::into_arrays(input_feed, output_names, out.as_ref());
        let request = core.request(&call, core.how(), &options)?;
        let manner = Manner { any_lane, ..core.manner(true, bounded, None) };
        let slot = core.enqueue(py, request, manner, false)?;
        let future =
            InferenceFuture::new(Arc::clone(&core), slot, call.form()).filling(out.and_then(Out::later));
        future.kept(py, _keep)
    }

    #[doc = include_str!("help/run_async.txt")]
    #[pyo3(signature = (output_names, input_feed, callback, user_data=None, run_options=None, *, timeout=Deadline::Session, priority=0, stream=None))]
    #[allow(clippy::too_many_arguments)]
    fn run_async(
        &self,
        py: Python<'_>,
        output_names: Option<&Bound<'_, PyAny>>,
        input_feed: &Bound<'_, PyAny>,
        callback: Bound<'_, PyAny>,
        user_data: Option<Py<PyAny>>,
        run_options: Option<&Bound<'_, PyAny>>,
        timeout: Deadline,
        priority: i32,
        stream: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let core = self.core(py)?;
        core.enter(py)?;
        if !callback.is_callable() {
            let text = format!("callback: expected a callable, got {}", callback.get_type().name()?);
            return Err(pyo3::exceptions::PyTypeError::new_err(text));
        }
        let options = CallOptions { timeout, priority, stream, run_options };
        let request = core.request(&Call::arrays(input_feed, output_names), core.how(), &options)?;
        callback::start_delivery(py, &core)?;
        let tag = Callback::Async {
            callable: PyOwner::new(callback.unbind()),
            user_data: PyOwner::new(user_data.unwrap_or_else(|| py.None())),
            none_on_failure: core.settings.none_on_failure,
        };
        let looped = wait::in_event_loop(py);
        let full = |error| Instead::RUN_ASYNC.of(py, &core, 0, looped, error);
        let manner = core.manner(!looped, true, Some(Box::new(tag)));
        core.enqueue(py, request, manner, true).map_err(full).map(drop)
    }

    /// Lets every lane run what is submitted with `any_lane`.
    fn _staff(&self, py: Python<'_>) -> PyResult<()> {
        self.core(py)?.staff(py)
    }

    /// Ends a request as dropped("pipeline_reset"). False when it had ended.
    fn _drop(&self, py: Python<'_>, future: &InferenceFuture) -> PyResult<bool> {
        flows::drop_frame(py, future)
    }

    /// Opens a flow whose outcomes are pulled.
    fn _open_flow(&self, py: Python<'_>, queue_depth: usize, overflow: &str) -> PyResult<Flow> {
        let core = self.core(py)?;
        core.enter(py)?;
        let config = FlowConfig { queue_depth, overflow: flows::overflow(overflow)? };
        let number = core.shared.open_pulled(config).map_err(|error| core.raise(py, &error))?;
        Ok(Flow::new(Arc::clone(&core), number))
    }

    /// Cancels what waits and what runs; the session stays usable.
    fn cancel_all(&self, py: Python<'_>) -> PyResult<()> {
        let core = self.core(py)?;
        core.enter(py)?;
        life::away(py, || core.shared.cancel_all());
        Ok(())
    }

    /// Stops admission; drains or cancels; waits. Gives `(drained, cancelled, abandoned, undelivered)`.
    fn _close(
        &self,
        py: Python<'_>,
        drain: bool,
        timeout: Option<f64>,
    ) -> PyResult<(bool, u64, Vec<usize>, bool)> {
        let core = self.core(py)?;
        life::own(core.generation).map_err(|error| core.raise(py, &error))?;
        let timeout = timeout.map(Deadline::seconds).transpose()?;
        let delivering = wait::delivers(&core);
        let done = life::away(py, || core.close(drain, timeout, delivering));
        if done.3 && !delivering {
            core.forget_on_drop();
        }
        Ok(done)
    }

    /// Stops admission; what was admitted finishes in the background.
    fn _abandon(&self, py: Python<'_>) {
        let _inside = life::inside(py);
        if let Some(core) = self.core.get()
            && life::check(core.generation).is_ok()
        {
            life::away(py, || core.shared.begin_close(true));
        }
    }

    /// `(open here, closing)`: the first is false before `_open` and in a forked child.
    fn _state(&self) -> (bool, bool) {
        match self.core.get() {
            Some(core) if life::check(core.generation).is_ok() => (true, core.shared.is_closing()),
            Some(_) | None => (false, true),
        }
    }

    /// The model's inputs, outputs and metadata.
    fn _info<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        describe::info(py, &self.core(py)?.info)
    }

    /// Counters, lanes and times.
    fn _stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let core = self.core(py)?;
        drain_graveyard(py);
        life::check(core.generation).map_err(|error| core.raise(py, &error))?;
        describe::stats(py, &core)
    }

    /// True when a running request can be stopped, at least between two operators.
    #[getter]
    fn engine_can_cancel(&self, py: Python<'_>) -> PyResult<bool> {
        Ok(self.core(py)?.shared.can_cancel())
    }
}
