//! The blocking call: on this thread when nothing waits and a lane is free, else on the next lane.

use headway_core::error::{Error, ErrorKind};
use headway_core::request::{Outcome, Request};
use headway_core::slot::Seen;
use headway_core::state::Manner;
use pyo3::prelude::*;
use pyo3::types::PyList;

use crate::array::How;
use crate::core::{Core, Kind};
use crate::submit::{CallOptions, Deadline};
use crate::{life, outputs, wait};

/// `run(output_names, input_feed, ...)`.
pub(crate) fn run(
    core: &Core,
    feed: &Bound<'_, PyAny>,
    output_names: Option<&Bound<'_, PyAny>>,
    options: &CallOptions<'_, '_>,
) -> PyResult<Py<PyList>> {
    let py = feed.py();
    core.enter(py)?;
    let ahead = wait::delivers(core);
    // The caller waits for as long as the engine reads: its arrays are borrowed, not even counted.
    if may_begin(py, core, options) {
        let request = core.request(feed, output_names, How::Borrow, options)?;
        if let Ok(mut work) = core.shared.begin(request, ahead) {
            let outcome = life::away(py, || {
                work.run();
                core.shared.complete(work)
            });
            return outputs::answer(py, outcome.unwrap_or_else(lost), core);
        }
    }
    // Another thread may run it and outlive an interrupted caller: the arrays are held.
    let request = core.request(feed, output_names, How::Hold, options)?;
    queued(py, core, request, ahead)
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

fn queued(py: Python<'_>, core: &Core, request: Request, ahead: bool) -> PyResult<Py<PyList>> {
    let deadline = request.deadline;
    let manner = Manner { any_lane: true, urgent: ahead, ..core.manner(true, false, None) };
    let slot = core.shared.submit(request, manner).map_err(|error| core.raise(py, &error))?;
    let execute = wait::may_execute(py, core) && (deadline.is_none() || core.shared.can_cancel());
    let seen = wait::wait_ended(py, core, &slot, None, execute);
    match seen {
        Ok(Seen::Refused(error)) => Err(core.raise(py, &error)),
        Ok(_) => outputs::answer(py, slot.take_outcome().unwrap_or_else(lost), core),
        Err(raised) => {
            life::away(py, || core.shared.cancel(&slot));
            Err(raised)
        }
    }
}

fn lost() -> Outcome {
    Outcome::Failed(Error::new(ErrorKind::Engine, "the answer is gone"))
}
