//! The blocking call: on this thread when nothing waits and a lane is free, else on the next lane.

use headway_core::error::{Error, ErrorKind};
use headway_core::request::{Outcome, Request};
use headway_core::slot::Seen;
use headway_core::state::Manner;
use pyo3::prelude::*;
use pyo3::types::PyList;

use crate::array::How;
use crate::core::{Core, Kind};
use crate::feeds::Found;
use crate::out::Out;
use crate::outputs::{self, Form};
use crate::submit::{Call, CallOptions, Deadline};
use crate::{feeds, life, wait};

/// `run(output_names, input_feed, ...)`: the outputs.
pub(crate) fn run_arrays<'py>(
    core: &Core,
    feed: &Bound<'py, PyAny>,
    output_names: Option<&Bound<'py, PyAny>>,
    options: &CallOptions<'_, 'py>,
) -> PyResult<Py<PyList>> {
    // A request that finds no lane free is read again, to hold what it was going to borrow.
    let lasting = feeds::lasting_names(output_names).inspect_err(|_| core.shared.reject())?;
    run(core, &Call::arrays(feed, lasting.as_ref().or(output_names)), options)
}

/// The same for any call.
pub(crate) fn run(core: &Core, call: &Call<'_, '_>, options: &CallOptions<'_, '_>) -> PyResult<Py<PyList>> {
    // Until the answer is made: an engine may answer with the memory that it was given.
    let mut found = Found::new();
    let outcome = outcome(core, call, options, &mut found)?;
    outputs::answer(call.py(), outcome, core, call.form())
}

/// `run(..., out=...)`: the outputs, in arrays of the program's.
#[inline(never)]
pub(crate) fn run_into<'py>(
    core: &Core,
    feed: &Bound<'py, PyAny>,
    output_names: Option<&Bound<'py, PyAny>>,
    out: &Bound<'py, PyAny>,
    options: &CallOptions<'_, 'py>,
) -> PyResult<Py<PyList>> {
    let out = Out::new(out);
    let lasting = feeds::lasting_names(output_names).inspect_err(|_| core.shared.reject())?;
    let output_names = lasting.as_ref().or(output_names);
    let results = run(core, &Call::into_arrays(feed, output_names, Some(&out)), options)?;
    match out.later() {
        Some(later) => later.fill(feed.py(), results),
        None => Ok(results),
    }
}

/// `run_with_iobinding(...)`: the outputs stay in the binding.
pub(crate) fn run_bound(core: &Core, call: &Call<'_, '_>, options: &CallOptions<'_, '_>) -> PyResult<()> {
    match outcome(core, call, options, &mut Found::new())?.into_result() {
        Ok(_) => Ok(()),
        Err(error) => Err(outputs::raise(call.py(), &error, core, call.form())),
    }
}

/// How the request ended; raises only what kept it from having an end. `found` holds what it borrows.
#[inline(always)]
fn outcome<'py>(
    core: &Core,
    call: &Call<'_, 'py>,
    options: &CallOptions<'_, '_>,
    found: &mut Found<'py>,
) -> PyResult<Outcome> {
    let py = call.py();
    core.enter(py)?;
    let ahead = wait::delivers(core);
    if !may_begin(py, core, options) {
        return queued(core, call, options, None, ahead);
    }
    // The caller waits for as long as the engine reads: its arrays are borrowed. They are held apart from the feed, out of
    // which another thread may take them meanwhile.
    let how = if matches!(call.form(), Form::Arrays | Form::Out) { How::Borrow } else { How::Hold };
    let mut request = core.request_over(call, how, options, found)?;
    match core.shared.begin_with(&mut request, ahead) {
        Some(mut work) => {
            let outcome = life::away(py, || {
                work.run();
                core.shared.complete(work)
            });
            Ok(outcome.unwrap_or_else(lost))
        }
        None => queued(core, call, options, (how == How::Hold).then_some(request), ahead),
    }
}

/// A lane can be taken at once only where this thread may run the model: quick, and stoppable in time.
fn may_begin(py: Python<'_>, core: &Core, options: &CallOptions<'_, '_>) -> bool {
    let timed = match options.timeout {
        Deadline::Session => core.settings.timeout.is_some(),
        Deadline::Own(timeout) => timeout.is_some(),
    };
    let stoppable = core.shared.can_cancel() || !timed;
    matches!(core.kind, Kind::Native(_)) && stoppable && wait::may_execute(py, core)
}

/// The way through the queue. Another thread may run it and outlive an interrupted caller: the arrays are held.
#[inline(never)]
fn queued(
    core: &Core,
    call: &Call<'_, '_>,
    options: &CallOptions<'_, '_>,
    request: Option<Request>,
    ahead: bool,
) -> PyResult<Outcome> {
    let py = call.py();
    let request = match request {
        Some(request) => request,
        None => core.request(call, How::Hold, options)?,
    };
    let deadline = request.deadline;
    let manner = Manner { any_lane: true, urgent: ahead, ..core.manner(true, false, None) };
    let slot = core.shared.submit(request, manner).map_err(|error| core.raise(py, &error))?;
    let execute = wait::may_execute(py, core) && (deadline.is_none() || core.shared.can_cancel());
    let seen = wait::wait_ended(py, core, &slot, None, execute);
    match seen {
        Ok(Seen::Refused(error)) => Err(outputs::raise(py, &error, core, call.form())),
        Ok(_) => Ok(slot.take_outcome().unwrap_or_else(lost)),
        Err(raised) => {
            life::away(py, || core.shared.cancel(&slot));
            Err(raised)
        }
    }
}

fn lost() -> Outcome {
    Outcome::Failed(Error::new(ErrorKind::Engine, "the answer is gone"))
}
