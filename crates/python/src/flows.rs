//! Flows whose outcomes are pulled: the native half of a `Run`.

use std::sync::Arc;
use std::time::Instant;

use headway_core::admission::Overflow;
use headway_core::error::{DropReason, Error, ErrorKind};
use headway_core::request::Outcome;
use headway_core::slot::SlotRef;
use headway_core::state::{Manner, Output, Pulled};
use pyo3::exceptions::{PyTimeoutError, PyValueError};
use pyo3::prelude::*;

use crate::bell::Bell;
use crate::core::Core;
use crate::graveyard::{PyOwner, drain_graveyard};
use crate::life::{self, away};
use crate::outputs::{self, Form};
use crate::room::Instead;
use crate::submit::{Call, CallOptions, Deadline};
use crate::{future, wait};

/// One flow of a session: feeds are pushed in, outcomes pulled out. Its number is handed back when it is dropped.
#[pyclass(frozen, module = "headway._core")]
pub(crate) struct Flow {
    core: Arc<Core>,
    number: usize,
}

/// What a pull gives: the sample, its outputs or the error, its timing, and how many a gap stands for.
pub(crate) type Piece = (Py<PyAny>, Py<PyAny>, Py<PyAny>, (f64, Option<f64>, Option<f64>), u64);

impl Flow {
    pub(crate) fn new(core: Arc<Core>, number: usize) -> Self {
        Flow { core, number }
    }
}

impl Drop for Flow {
    fn drop(&mut self) {
        // Neither a forked child nor a leaving interpreter may touch the lock.
        if life::check(self.core.generation).is_ok() {
            self.core.shared.release_flow(self.number);
        }
    }
}

#[pymethods]
impl Flow {
    /// Pushes a feed: `(ticket, kept)`, where `kept` is false for a feed that the policy dropped at once.
    #[pyo3(signature = (input_feed, output_names, sample, *, block, room, timeout=Deadline::Session, priority=0, stream=None))]
    #[allow(clippy::too_many_arguments)]
    fn push(
        &self,
        py: Python<'_>,
        input_feed: &Bound<'_, PyAny>,
        output_names: Option<&Bound<'_, PyAny>>,
        sample: Py<PyAny>,
        block: bool,
        room: Option<f64>,
        timeout: Deadline,
        priority: i32,
        stream: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<(u64, bool)> {
        let _inside = life::inside(py);
        let core = &self.core;
        core.enter(py)?;
        let options = CallOptions { timeout, priority, stream, run_options: None };
        let request = core.request(&Call::arrays(input_feed, output_names), core.how(), &options)?;
        let looped = block && wait::in_event_loop(py);
        let block = block && !looped;
        let tag = Box::new(PyOwner::new(sample));
        let mut manner = Manner { flow: self.number, ..core.manner(block, true, Some(tag)) };
        if let Some(limit) = room {
            manner.room_until = Some(core.shared.now() + Deadline::seconds(limit)?);
        }
        let full = |error| Instead::PUSH.of(py, core, self.number, looped, error);
        let slot = core.enqueue(py, request, manner, true).map_err(full)?;
        Ok((slot.ticket_given().unwrap_or(0), !slot.was_dropped()))
    }

    /// The next output: `(sample, outputs, error, timing, gap)`. The builtin `TimeoutError` when none came in
    /// `timeout` seconds, `EndOfStream` when none will come.
    fn pull(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<Piece> {
        let _inside = life::inside(py);
        let core = &self.core;
        core.enter(py)?;
        let until = wait::instant_after(timeout.map(Deadline::seconds).transpose()?);
        loop {
            let slice = wait::slice_until(wait::on_main_thread(py), until);
            match away(py, || core.shared.pull(self.number, slice)) {
                Pulled::Output(output) => {
                    drain_graveyard(py);
                    return piece(py, core, output);
                }
                Pulled::End => return Err(end_of_stream(py)?),
                Pulled::Nothing => {
                    py.check_signals()?;
                    if until.is_some_and(|until| Instant::now() >= until) {
                        let text = "nothing came in time; the next pull gives what this one would have";
                        return Err(PyTimeoutError::new_err(text));
                    }
                }
            }
        }
    }

    /// Has the bell rung with `number` when there is an output or the end. False when that is so now.
    fn subscribe(&self, py: Python<'_>, bell: &Bell, number: u64) -> PyResult<bool> {
        let _inside = life::inside(py);
        self.core.enter(py)?;
        Ok(self.core.shared.await_output(self.number, &bell.inner, number))
    }

    /// Takes back a [`Flow::subscribe`]: a task that gave up waiting would leave its number there for ever.
    fn unsubscribe(&self, bell: &Bell, number: u64) {
        if life::check(self.core.generation).is_ok() {
            self.core.shared.forget_output(self.number, &bell.inner, number);
        }
    }

    /// Admits nothing more.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        let _inside = life::inside(py);
        self.core.enter(py)?;
        away(py, || self.core.shared.close_flow(self.number));
        Ok(())
    }

    /// Closes and lets everything finish for at most `timeout` seconds; what nobody pulls is dropped.
    fn drain(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<()> {
        let _inside = life::inside(py);
        self.core.enter(py)?;
        let until = wait::instant_after(timeout.map(Deadline::seconds).transpose()?);
        let shared = &self.core.shared;
        away(py, || shared.begin_drain(self.number));
        loop {
            let slice = wait::slice_until(wait::on_main_thread(py), until);
            if away(py, || shared.wait_drained(self.number, slice)) {
                return Ok(());
            }
            py.check_signals()?;
            if until.is_some_and(|until| Instant::now() >= until) {
                away(py, || shared.stop_flow(self.number));
                return Ok(());
            }
        }
    }

    /// Closes and cancels what waits and runs.
    fn stop(&self, py: Python<'_>) -> PyResult<()> {
        let _inside = life::inside(py);
        self.core.enter(py)?;
        away(py, || self.core.shared.stop_flow(self.number));
        Ok(())
    }

    /// `(pushed, pulled, failed, dropped, expired, cancelled)` so far.
    fn tally(&self, py: Python<'_>) -> PyResult<(u64, u64, u64, u64, u64, u64)> {
        let _inside = life::inside(py);
        life::own(self.core.generation).map_err(|error| self.core.raise(py, &error))?;
        let counters = self.core.shared.flow_counters(self.number);
        let dropped = counters.dropped.iter().sum();
        Ok((
            counters.submitted,
            counters.done,
            counters.failed,
            dropped,
            counters.expired,
            counters.cancelled,
        ))
    }
}

fn end_of_stream(py: Python<'_>) -> PyResult<PyErr> {
    let end = py.import("headway._errors")?.getattr("EndOfStream")?;
    Ok(PyErr::from_value(end.call1(("the input is closed and everything has been pulled",))?))
}

fn piece(py: Python<'_>, core: &Arc<Core>, output: Output) -> PyResult<Piece> {
    let slot = match output {
        Output::Gap(count) => return Ok((py.None(), py.None(), py.None(), (0.0, None, None), count)),
        Output::Item(delivery) => delivery.slot,
    };
    let timing = slot.timing();
    let timing = (
        timing.submitted.as_secs_f64(),
        timing.started.map(|time| time.as_secs_f64()),
        timing.ended.map(|time| time.as_secs_f64()),
    );
    let outcome = slot
        .take_outcome()
        .unwrap_or_else(|| Outcome::Failed(Error::new(ErrorKind::Engine, "the answer is gone")));
    let (outputs, error) = match outputs::answer(py, outcome, core, Form::Arrays) {
        Ok(list) => (list.into_any(), py.None()),
        Err(raised) => (py.None(), raised.into_value(py).into_any()),
    };
    Ok((sample_of(py, &slot), outputs, error, timing, 0))
}

fn sample_of(py: Python<'_>, slot: &SlotRef) -> Py<PyAny> {
    let tags = slot.take_tags();
    let owner = tags.first().and_then(|tag| tag.downcast_ref::<PyOwner>());
    owner.and_then(PyOwner::object).map_or_else(|| py.None(), |object| object.clone_ref(py))
}

/// Ends a pipeline's pending frame as dropped("pipeline_reset"). False when it had ended.
pub(crate) fn drop_frame(py: Python<'_>, future: &future::InferenceFuture) -> PyResult<bool> {
    let _inside = life::inside(py);
    future.core.enter(py)?;
    let shared = &future.core.shared;
    Ok(away(py, || shared.drop_request(&future.slot, DropReason::PipelineReset)))
}

/// What happens when a flow is full, by its name.
pub(crate) fn overflow(name: &str) -> PyResult<Overflow> {
    match name {
        "block" => Ok(Overflow::Block),
        "raise" => Ok(Overflow::Raise),
        "drop_oldest" => Ok(Overflow::DropOldest),
        "drop_newest" => Ok(Overflow::DropNewest),
        _ => Err(PyValueError::new_err(format!(
            "overflow: expected 'block', 'raise', 'drop_oldest' or 'drop_newest', got {name:?}"
        ))),
    }
}
