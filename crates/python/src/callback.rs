//! Callbacks: what travels with a request, and the thread that calls them.
//!
//! User code is called from Python frames (`headway._delivery`), never from Rust ones: a thread that the
//! dying interpreter ends would otherwise be unwound through Rust and abort the process.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use headway_core::error::Error;
use headway_core::slot::Milestone;
use headway_core::state::Delivery;
use pyo3::exceptions::PyBaseException;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use crate::core::Core;
use crate::graveyard::{PyOwner, drain_graveyard};
use crate::outputs::{self, Form};
use crate::{errors, life, wait};

/// How many outcomes one look takes: one GIL acquisition for all of them.
const BATCH: usize = 64;

/// A callback on its way.
pub(crate) enum Callback {
    /// `run_async`: `callback(results, user_data, err)`.
    Async {
        /// The callback.
        callable: PyOwner,
        /// Its user data.
        user_data: PyOwner,
        /// True for EZ RKNN Async's convention: `results is None` on failure.
        none_on_failure: bool,
    },
    /// `add_done_callback`: `fn(future)`.
    Done {
        /// The function.
        callable: PyOwner,
        /// The future it is called with.
        future: PyOwner,
    },
}

/// The delivery thread's handle on its session.
#[pyclass(frozen, module = "headway._core")]
pub(crate) struct Deliveries {
    core: Arc<Core>,
    /// Given to Python, callbacks not returned yet, in order.
    out: Mutex<VecDeque<Delivery>>,
}

#[pymethods]
impl Deliveries {
    /// Waits for due callbacks: a list of `(calls, ...)`, each `[(callable, args), ...]` of one request; `None` at the end.
    fn next<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyList>>> {
        let _inside = life::inside(py);
        drain_graveyard(py);
        wait::deliver_for(Some(&self.core));
        let mut due = Vec::new();
        if !life::away(py, || self.core.shared.next_deliveries(BATCH, &mut due)) {
            wait::deliver_for(None);
            return Ok(None);
        }
        let batch = PyList::empty(py);
        for delivery in due {
            batch.append(self.calls(py, &delivery)?)?;
            self.out.lock().unwrap_or_else(PoisonError::into_inner).push_back(delivery);
        }
        Ok(Some(batch))
    }

    /// Tells `sys.unraisablehook` what a callback raised. Here, because only the interpreter can make the hook's
    /// argument, and because it copes with a hook that raises too.
    fn report(&self, py: Python<'_>, callback: &Bound<'_, PyAny>, raised: Bound<'_, PyBaseException>) {
        let _inside = life::inside(py);
        PyErr::from_value(raised.into_any()).write_unraisable(py, Some(callback));
    }

    /// The callbacks of the oldest request given out have returned.
    fn returned(&self, py: Python<'_>, raised: bool) {
        let _inside = life::inside(py);
        let oldest = self.out.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        if let Some(delivery) = oldest {
            // Short enough to hold the GIL over: letting it go and taking it again would cost more.
            self.core.shared.delivered(&delivery, raised);
        }
    }
}

impl Deliveries {
    fn calls<'py>(&self, py: Python<'py>, delivery: &Delivery) -> PyResult<Bound<'py, PyList>> {
        // The outcome is set just after it was counted: at most a moment's wait.
        if !delivery.slot.is_ended() {
            life::away(py, || delivery.slot.wait(Milestone::Ended, None, std::time::Duration::ZERO));
        }
        let calls = PyList::empty(py);
        if let Some(reason) = delivery.told {
            let on_drop = self.core.on_drop(py);
            if let Some(on_drop) = on_drop {
                calls.append((on_drop.bind(py), (delivery.ticket, reason.as_str())))?;
            }
            return Ok(calls);
        }
        for tag in delivery.slot.take_tags() {
            let Ok(callback) = tag.downcast::<Callback>() else { continue };
            match *callback {
                Callback::Done { callable, future } => {
                    let (Some(callable), Some(future)) = (callable.object(), future.object()) else {
                        continue;
                    };
                    calls.append((callable.bind(py), (future.bind(py),)))?;
                }
                Callback::Async { callable, user_data, none_on_failure } => {
                    let (Some(callable), Some(user_data)) = (callable.object(), user_data.object()) else {
                        continue;
                    };
                    let (results, message) = self.results(py, delivery, none_on_failure)?;
                    calls.append((callable.bind(py), (results, user_data.bind(py), message)))?;
                }
            }
        }
        Ok(calls)
    }

    fn results(&self, py: Python<'_>, delivery: &Delivery, none: bool) -> PyResult<(Py<PyAny>, String)> {
        let outcome = delivery
            .slot
            .take_outcome()
            .map(|outcome| outputs::answer(py, outcome, &self.core, Form::Arrays));
        let raised = match outcome {
            Some(Ok(list)) => return Ok((list.into_any(), String::new())),
            Some(Err(raised)) => raised,
            None => {
                let lost = Error::new(headway_core::error::ErrorKind::Engine, "the answer is gone");
                errors::raise(py, &lost, self.core.voice)
            }
        };
        let nothing = if none { py.None() } else { PyList::empty(py).into_any().unbind() };
        let text = raised.value(py).to_string();
        let text = if text.is_empty() { raised.get_type(py).name()?.to_string() } else { text };
        Ok((nothing, text))
    }
}

/// Starts the session's delivery thread, if it has none yet.
pub(crate) fn start_delivery(py: Python<'_>, core: &Arc<Core>) -> PyResult<()> {
    if !core.starts_delivery() {
        return Ok(());
    }
    let handle = Bound::new(py, Deliveries { core: Arc::clone(core), out: Mutex::new(VecDeque::new()) })?;
    let target = py.import("headway._delivery")?.getattr("deliver")?;
    start_thread(py, "headway-delivery", &target, handle.as_any())
}

/// Starts a daemon thread: a plain one would be joined before the exit hook can end its session.
pub(crate) fn start_thread(
    py: Python<'_>,
    name: &str,
    target: &Bound<'_, PyAny>,
    argument: &Bound<'_, PyAny>,
) -> PyResult<()> {
    let options = PyDict::new(py);
    options.set_item("target", target)?;
    options.set_item("args", (argument,))?;
    options.set_item("name", name)?;
    options.set_item("daemon", true)?;
    py.import("threading")?.getattr("Thread")?.call((), Some(&options))?.call_method0("start")?;
    Ok(())
}
