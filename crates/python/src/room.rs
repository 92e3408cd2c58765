//! Room where a call does not wait for it: in the place of others, and under an event loop.

use std::sync::Arc;

use headway_core::error::DropReason;
use headway_core::slot::SlotRef;
use pyo3::prelude::*;

use crate::core::Core;
use crate::future::InferenceFuture;
use crate::life::away;
use crate::session::Session;
use crate::submit::{Call, CallOptions, Deadline};
use crate::wait;

/// Submits a feed in the place of a pipeline's frames, which end as dropped("pipeline_reset"). When it is refused,
/// they go on. `keep` is as `_line_up`'s.
#[pyfunction]
#[pyo3(signature = (session, old, input_feed, output_names, keep, *, timeout=Deadline::Session, priority=0, stream=None, run_options=None))]
#[allow(clippy::too_many_arguments)]
pub(crate) fn line_up_instead<'py>(
    py: Python<'py>,
    session: &Session,
    old: Vec<Bound<'_, InferenceFuture>>,
    input_feed: &Bound<'_, PyAny>,
    output_names: Option<&Bound<'_, PyAny>>,
    keep: &Bound<'py, PyAny>,
    timeout: Deadline,
    priority: i32,
    stream: Option<&Bound<'_, PyAny>>,
    run_options: Option<&Bound<'_, PyAny>>,
) -> PyResult<Bound<'py, InferenceFuture>> {
    let core = session.core(py)?;
    core.enter(py)?;
    let options = CallOptions { timeout, priority, stream, run_options };
    let call = Call::arrays(input_feed, output_names);
    let request = core.request(&call, core.how(), &options)?;
    let old: Vec<SlotRef> = old.iter().map(|future| Arc::clone(&future.get().slot)).collect();
    let manner = core.manner(true, false, None);
    let slot = away(py, || core.shared.replace(&old, DropReason::PipelineReset, request, manner))
        .map_err(|error| core.raise(py, &error))?;
    InferenceFuture::new(Arc::clone(&core), slot, call.form()).kept(py, Some(keep))
}

/// What waits for room where `call` does not, because an event loop runs on this thread.
#[derive(Clone, Copy)]
pub(crate) struct Instead {
    pub(crate) call: &'static str,
    pub(crate) awaited: &'static str,
}

impl Instead {
    pub(crate) const SUBMIT: Self = Instead { call: "submit()", awaited: "`await session.asubmit(...)`" };
    pub(crate) const RUN_ASYNC: Self = Instead {
        call: "run_async()",
        awaited: "`await session.asubmit(...)`, whose future takes callbacks with add_done_callback(),",
    };
    const VALUES: Self =
        Instead { call: "submit_with_ort_values()", awaited: "`await session.arun_with_ort_values(...)`" };
    const BINDING: Self =
        Instead { call: "submit_with_iobinding()", awaited: "`await session.arun_with_iobinding(...)`" };
    pub(crate) const PUSH: Self =
        Instead { call: "push()", awaited: "`await asyncio.to_thread(run.push, ...)`" };

    /// For a call that takes a binding or `OrtValue`s.
    pub(crate) fn of_values(call: &Call<'_, '_>) -> Self {
        if matches!(call, Call::Binding(_)) { Self::BINDING } else { Self::VALUES }
    }

    /// The same QueueFull, which says what to do: where it was the event loop that kept the call from waiting
    /// (`looped`), and waiting for room in this flow would have helped.
    pub(crate) fn of(self, py: Python<'_>, core: &Core, flow: usize, looped: bool, error: PyErr) -> PyErr {
        if looped { self.advise(py, core, flow, error) } else { error }
    }

    #[cold]
    fn advise(self, py: Python<'_>, core: &Core, flow: usize, error: PyErr) -> PyErr {
        let Instead { call, awaited } = self;
        // On the delivery thread nothing waits for room.
        if wait::delivers(core) || !core.shared.lets_wait(flow) {
            return error;
        }
        let told = || -> PyResult<()> {
            let raised = error.value(py);
            if raised.is_instance(&py.import("headway._errors")?.getattr("QueueFull")?)? {
                let text = raised.str()?;
                let text = format!(
                    "{text}; {call} never waits on a thread whose event loop is running, as a notebook's is: {awaited} \
                     waits for room without blocking it"
                );
                raised.setattr("args", (text,))?;
            }
            Ok(())
        };
        told().err().unwrap_or(error)
    }
}
