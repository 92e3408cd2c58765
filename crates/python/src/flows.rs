//! Flows whose outcomes are pulled: the native half of a `Run`.

use std::sync::Arc;

use headway_core::error::{Error, ErrorKind};
use headway_core::request::Outcome;
use headway_core::slot::SlotRef;
use headway_core::state::{Manner, Output, Pulled};
use pyo3::exceptions::PyTimeoutError;
use pyo3::prelude::*;

use crate::core::Core;
use crate::graveyard::{PyOwner, drain_graveyard};
use crate::life::away;
use crate::submit::{CallOptions, Deadline};
use crate::{future, outputs, wait};

/// How a push waits for room.
pub(crate) struct Room {
    /// It may wait.
    pub(crate) block: bool,
    /// For at most this long; `None`: the session's `submit_timeout`.
    pub(crate) limit: Option<f64>,
}

/// Pushes a feed; `(ticket, kept)`, where `kept` is false for a feed that the policy dropped at once.
pub(crate) fn push(
    core: &Arc<Core>,
    flow: usize,
    feed: &Bound<'_, PyAny>,
    output_names: Option<&Bound<'_, PyAny>>,
    sample: Py<PyAny>,
    room: &Room,
    options: &CallOptions<'_, '_>,
) -> PyResult<(u64, bool)> {
    let py = feed.py();
    core.enter(py)?;
    let request = core.request(feed, output_names, core.how(), options)?;
    let block = room.block && !wait::in_event_loop(py);
    let mut manner = Manner { flow, ..core.manner(block, true, Some(Box::new(PyOwner::new(sample)))) };
    if let Some(limit) = room.limit {
        manner.room_until = Some(core.shared.now() + Deadline::seconds(limit)?);
    }
    let slot = core.enqueue(py, request, manner, true)?;
    Ok((slot.ticket_given().unwrap_or(0), !slot.was_dropped()))
}

/// What a pull gives: the sample, its outputs or the error, its timing, and how many a gap stands for.
pub(crate) type Piece = (Py<PyAny>, Py<PyAny>, Py<PyAny>, (f64, Option<f64>, Option<f64>), u64);

/// Pulls the next output.
///
/// # Errors
/// The builtin `TimeoutError`; `EndOfStream`; what a signal handler raised.
pub(crate) fn pull(py: Python<'_>, core: &Arc<Core>, flow: usize, timeout: Option<f64>) -> PyResult<Piece> {
    core.enter(py)?;
    let timeout = timeout.map(Deadline::seconds).transpose()?;
    let until = wait::instant_after(timeout);
    loop {
        let slice = wait::slice_until(wait::on_main_thread(py), until);
        match away(py, || core.shared.pull(flow, slice)) {
            Pulled::Output(output) => {
                drain_graveyard(py);
                return piece(py, core, output);
            }
            Pulled::End => {
                let end = py.import("headway._errors")?.getattr("EndOfStream")?;
                let end = end.call1(("the input is closed and everything has been pulled",))?;
                return Err(PyErr::from_value(end));
            }
            Pulled::Nothing => {
                py.check_signals()?;
                if until.is_some_and(|until| std::time::Instant::now() >= until) {
                    let text = "nothing came in time; the next pull gives what this one would have";
                    return Err(PyTimeoutError::new_err(text));
                }
            }
        }
    }
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
    let (outputs, error) = match outputs::answer(py, outcome, core) {
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
pub(crate) fn drop_frame(py: Python<'_>, future: &future::InferenceFuture) -> bool {
    away(py, || future.core.shared.drop_request(&future.slot, headway_core::error::DropReason::PipelineReset))
}

/// `(pushed, pulled, failed, dropped, expired, cancelled)` of a flow.
pub(crate) fn tally(core: &Core, flow: usize) -> (u64, u64, u64, u64, u64, u64) {
    let counters = core.shared.flow_counters(flow);
    let dropped = counters.dropped.iter().sum();
    (counters.submitted, counters.done, counters.failed, dropped, counters.expired, counters.cancelled)
}
