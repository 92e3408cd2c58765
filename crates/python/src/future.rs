//! `InferenceFuture`: the protocol of `concurrent.futures.Future` over a native slot. No Python thread behind it.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use headway_core::error::{Error, ErrorKind};
use headway_core::slot::{Milestone, Seen, SlotRef};
use pyo3::exceptions::{PyBaseException, PyTimeoutError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::sync::{OnceLockExt, PyOnceLock};
use pyo3::types::PyList;

use crate::bell::Bell;
use crate::callback::{self, Callback};
use crate::core::Core;
use crate::graveyard::{PyOwner, drain_graveyard};
use crate::once::cached;
use crate::submit::Deadline;
use crate::{errors, life, outputs, wait};

/// How it ended, in Python's terms: made once, given to every caller.
enum Ended {
    Results(Py<PyList>),
    Failed(Py<PyBaseException>, ErrorKind),
}

/// The result of `submit`: a request on its way.
#[pyclass(frozen, weakref, module = "headway", name = "InferenceFuture")]
pub(crate) struct InferenceFuture {
    pub(crate) core: Arc<Core>,
    pub(crate) slot: SlotRef,
    ended: OnceLock<Ended>,
}

impl InferenceFuture {
    pub(crate) fn new(core: Arc<Core>, slot: SlotRef) -> Self {
        InferenceFuture { core, slot, ended: OnceLock::new() }
    }

    /// The ending, converted once. Call it only when the slot has ended.
    fn ended(&self, py: Python<'_>) -> &Ended {
        self.ended.get_or_init_py_attached(py, || {
            let outcome = match self.slot.take_outcome() {
                Some(outcome) => outcome.into_result(),
                None => Err(self.slot.refusal().unwrap_or_else(|| {
                    Error::new(ErrorKind::Engine, "the answer was taken by somebody else")
                })),
            };
            let converted = match outcome {
                Ok(values) => outputs::to_list(py, values, &self.core),
                Err(error) => {
                    Err((errors::raise(py, &error, self.core.engine_name).into_value(py), error.kind))
                }
            };
            match converted {
                Ok(list) => Ended::Results(list),
                Err((exception, kind)) => Ended::Failed(exception, kind),
            }
        })
    }

    /// Waits for the end, or raises `TimeoutError` after `timeout` seconds.
    fn settle(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<&Ended> {
        let _inside = life::inside(py);
        drain_graveyard(py);
        if !self.slot.is_ended() {
            self.check(py)?;
            let timeout = timeout.map(Deadline::seconds).transpose()?;
            let usual = self.core.shared.usual_run();
            // A thread that runs the request itself cannot come back early.
            let in_time = timeout.is_none_or(|limit| usual.is_some_and(|usual| usual < limit / 2));
            // Nor one that runs it on an engine that cannot stop, when its deadline passes or somebody cancels it.
            let stoppable = self.core.shared.can_cancel();
            let execute = in_time && stoppable && wait::may_execute(py, &self.core);
            let until = wait::instant_after(timeout);
            if let Seen::TimedOut = wait::wait_ended(py, &self.core, &self.slot, until, execute)? {
                let after = timeout.unwrap_or(Duration::ZERO);
                return Err(PyTimeoutError::new_err(format!(
                    "no result within {after:?}; the request goes on"
                )));
            }
        }
        Ok(self.ended(py))
    }

    fn check(&self, py: Python<'_>) -> PyResult<()> {
        life::check(self.core.generation).map_err(|error| errors::raise(py, &error, self.core.engine_name))
    }

    fn ended_as(&self, py: Python<'_>, kind: ErrorKind) -> PyResult<bool> {
        if !self.slot.is_ended() {
            return Ok(false);
        }
        Ok(matches!(self.ended(py), Ended::Failed(_, found) if *found == kind))
    }
}

#[pymethods]
impl InferenceFuture {
    /// A raised exception holds the frames that it came through, and they hold this future. Without `__clear__`:
    /// the exception's own breaks that cycle.
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        match self.ended.get() {
            Some(Ended::Results(list)) => visit.call(list),
            Some(Ended::Failed(exception, _)) => visit.call(exception),
            None => Ok(()),
        }
    }

    /// The outputs, once they are there.
    #[pyo3(signature = (timeout=None))]
    fn result(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<Py<PyList>> {
        match self.settle(py, timeout)? {
            Ended::Results(list) => Ok(list.clone_ref(py)),
            Ended::Failed(exception, _) => Err(PyErr::from_value(exception.bind(py).clone().into_any())),
        }
    }

    /// The exception, or `None` when it ended well.
    #[pyo3(signature = (timeout=None))]
    fn exception(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<Option<Py<PyBaseException>>> {
        match self.settle(py, timeout)? {
            Ended::Results(_) => Ok(None),
            // As in `concurrent.futures`: a cancelled future has no exception to give, it raises.
            Ended::Failed(exception, ErrorKind::Cancelled) => {
                Err(PyErr::from_value(exception.bind(py).clone().into_any()))
            }
            Ended::Failed(exception, _) => Ok(Some(exception.clone_ref(py))),
        }
    }

    /// True once it has ended in any way.
    fn done(&self) -> bool {
        self.slot.is_ended()
    }

    /// True while a lane runs it.
    fn running(&self, py: Python<'_>) -> PyResult<bool> {
        let _inside = life::inside(py);
        if self.slot.is_ended() {
            return Ok(false);
        }
        self.check(py)?;
        Ok(self.core.shared.is_running(&self.slot))
    }

    /// True when it was cancelled.
    fn cancelled(&self, py: Python<'_>) -> PyResult<bool> {
        let _inside = life::inside(py);
        self.ended_as(py, ErrorKind::Cancelled)
    }

    /// Cancels it: waiting work is removed, running work terminated. False when it had ended.
    fn cancel(&self, py: Python<'_>) -> PyResult<bool> {
        let _inside = life::inside(py);
        drain_graveyard(py);
        if self.slot.is_ended() {
            return self.cancelled(py);
        }
        self.check(py)?;
        let cancelled = away_cancel(py, self);
        if cancelled { Ok(true) } else { self.cancelled(py) }
    }

    /// Has `fn(future)` called when it ends, on the delivery thread; at once when it has ended.
    #[pyo3(name = "add_done_callback", signature = (r#fn, /))]
    fn add_done_callback(slf: &Bound<'_, Self>, r#fn: Bound<'_, PyAny>) -> PyResult<()> {
        let py = slf.py();
        let _inside = life::inside(py);
        let this = slf.get();
        drain_graveyard(py);
        if !this.slot.is_ended() {
            this.check(py)?;
            callback::start_delivery(py, &this.core)?;
            let tag = Callback::Done {
                callable: PyOwner::new(r#fn.clone().unbind()),
                future: PyOwner::new(slf.clone().into_any().unbind()),
            };
            if this.core.shared.attach(&this.slot, Box::new(tag)).is_none() {
                return Ok(());
            }
        }
        if let Err(raised) = r#fn.call1((slf,)) {
            raised.write_unraisable(py, Some(&r#fn));
        }
        Ok(())
    }

    /// Submission, start and end in seconds on the session's clock.
    #[getter]
    fn timing<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let _inside = life::inside(py);
        let timing = self.slot.timing();
        let seconds = |time: Option<Duration>| time.map(|time| time.as_secs_f64());
        let make = py.import("headway._metrics")?.getattr("Timing")?;
        make.call1((timing.submitted.as_secs_f64(), seconds(timing.started), seconds(timing.ended)))
    }

    /// Has the bell rung with `number` once admitted (`milestone` "admitted") or ended. False when that is past.
    fn _subscribe(&self, bell: &Bell, number: u64, admitted: bool) -> bool {
        let milestone = if admitted { Milestone::Admitted } else { Milestone::Ended };
        self.slot.subscribe(milestone, &bell.inner, number)
    }

    /// Raises what refused it before it got a ticket, if something did.
    fn _raise_refusal(&self, py: Python<'_>) -> PyResult<()> {
        let _inside = life::inside(py);
        match self.slot.refusal() {
            Some(error) => Err(errors::raise(py, &error, self.core.engine_name)),
            None => Ok(()),
        }
    }

    fn __await__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        static AWAIT: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        let py = slf.py();
        let _inside = life::inside(py);
        let wait =
            cached(py, &AWAIT, || Ok(py.import("headway._delivery")?.getattr("await_future")?.unbind()))?;
        wait.bind(py).call1((slf,))?.call_method0("__await__")
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let _inside = life::inside(py);
        let state = match () {
            () if self.slot.is_ended() => match self.ended(py) {
                Ended::Results(_) => "done".to_owned(),
                Ended::Failed(exception, _) => exception.bind(py).get_type().name()?.to_string(),
            },
            () if life::check(self.core.generation).is_ok() && self.core.shared.is_running(&self.slot) => {
                "running".to_owned()
            }
            () => "waiting".to_owned(),
        };
        Ok(format!("<InferenceFuture {state}>"))
    }
}

/// Cancelling may end callbacks' requests and drop inputs: nothing of it needs the GIL.
fn away_cancel(py: Python<'_>, future: &InferenceFuture) -> bool {
    life::away(py, || future.core.shared.cancel(&future.slot))
}
