//! `InferenceFuture`: the protocol of `concurrent.futures.Future` over a native slot. No Python thread behind it.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use headway_core::error::{Error, ErrorKind};
use headway_core::slot::{Milestone, Seen, SlotRef};
use pyo3::exceptions::{PyAttributeError, PyBaseException, PyTimeoutError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::sync::{MutexExt, OnceLockExt};
use pyo3::types::PyWeakrefMethods;
use pyo3::types::{PyList, PyTuple, PyWeakrefReference};

use crate::bell::Bell;
use crate::callback::{self, Callback};
use crate::core::Core;
use crate::graveyard::{PyOwner, drain_graveyard};
use crate::once::cached;
use crate::out::Later;
use crate::outputs::{self, Form};
use crate::submit::Deadline;
use crate::{errors, life, wait};

/// How it ended. The outputs are made once and given to every caller.
enum Ended {
    Results(Py<PyList>),
    Failed(Error),
    /// The outputs could not be made (a dtype that needs a package which is not there).
    Unmade(Py<PyBaseException>),
}

/// The result of `submit`: a request on its way.
#[pyclass(frozen, weakref, module = "headway", name = "InferenceFuture")]
pub(crate) struct InferenceFuture {
    pub(crate) core: Arc<Core>,
    pub(crate) slot: SlotRef,
    form: Form,
    /// Arrays that the outputs are to be copied into.
    fills: Option<Later>,
    ended: OnceLock<Ended>,
    /// The exception, for as long as somebody else holds it: an exception that was raised holds the frames that it
    /// came through, and they hold this future.
    raised: Mutex<Option<Py<PyWeakrefReference>>>,
}

impl InferenceFuture {
    pub(crate) fn new(core: Arc<Core>, slot: SlotRef, form: Form) -> Self {
        InferenceFuture { core, slot, form, fills: None, ended: OnceLock::new(), raised: Mutex::new(None) }
    }

    /// The same, whose outputs are copied into arrays when somebody asks for them.
    pub(crate) fn filling(mut self, fills: Option<Later>) -> Self {
        self.fills = fills;
        self
    }

    /// The future as Python has it, given to `keep` first: a callable, or a callable and a tag that goes along.
    ///
    /// Between a call and the place where its caller puts what it returned, a signal's handler may raise; what came back is
    /// then held by nobody, and nobody cancels it. Appending to a list or a deque here runs no Python code.
    pub(crate) fn kept<'py>(
        self,
        py: Python<'py>,
        keep: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, InferenceFuture>> {
        let future = Bound::new(py, self)?;
        let Some(keep) = keep else { return Ok(future) };
        let done = match keep.cast::<PyTuple>() {
            Ok(pair) => pair.get_borrowed_item(0).and_then(|keep| {
                let tag = pair.get_borrowed_item(1)?;
                keep.call1(((&future, tag),))
            }),
            Err(_) => keep.call1((&future,)),
        };
        if let Err(error) = done {
            future.get().cancel(py)?;
            return Err(error);
        }
        Ok(future)
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
            let taken = |values| {
                let list = outputs::to_list(py, values, &self.core, self.form)?;
                match &self.fills {
                    Some(later) => later.fill(py, list),
                    None => Ok(list),
                }
            };
            match outcome.map(taken) {
                Ok(Ok(list)) => Ended::Results(list),
                Ok(Err(raised)) => Ended::Unmade(raised.into_value(py)),
                Err(error) => Ended::Failed(error),
            }
        })
    }

    /// The outputs, or what is raised instead of them.
    fn answer(&self, py: Python<'_>, ended: &Ended) -> PyResult<Py<PyList>> {
        match ended {
            Ended::Results(list) => Ok(list.clone_ref(py)),
            Ended::Failed(error) => Err(self.raise(py, error)),
            Ended::Unmade(exception) => Err(PyErr::from_value(exception.bind(py).clone().into_any())),
        }
    }

    /// The same exception to everybody, while somebody has it.
    fn raise(&self, py: Python<'_>, error: &Error) -> PyErr {
        let raised = || self.raised.lock_py_attached(py).unwrap_or_else(PoisonError::into_inner);
        let known = raised().as_ref().map(|one| one.clone_ref(py));
        if let Some(exception) = known.and_then(|known| known.bind(py).upgrade()) {
            return PyErr::from_value(exception);
        }
        let made = outputs::raise(py, error, &self.core, self.form);
        let Ok(weak) = PyWeakrefReference::new(made.value(py)) else { return made };
        let mut place = raised();
        // Making it may run Python code: another thread may have been quicker.
        if let Some(exception) = place.as_ref().and_then(|other| other.bind(py).upgrade()) {
            drop(place);
            return PyErr::from_value(exception);
        }
        let old = place.replace(weak.unbind());
        drop(place);
        drop(old);
        made
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
            self.hurry(py);
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

    /// What the delivery thread waits for in any way goes ahead: lanes may start nothing else until it is back.
    fn hurry(&self, py: Python<'_>) {
        if wait::delivers(&self.core) && !self.slot.is_ended() {
            life::away(py, || self.core.shared.hurry(&self.slot));
        }
    }

    fn check(&self, py: Python<'_>) -> PyResult<()> {
        life::check(self.core.generation).map_err(|error| errors::raise(py, &error, self.core.voice))
    }

    fn ended_as(&self, py: Python<'_>, kind: ErrorKind) -> PyResult<bool> {
        let _inside = life::inside(py);
        if !self.slot.is_ended() {
            return Ok(false);
        }
        Ok(matches!(self.ended(py), Ended::Failed(error) if error.kind == kind))
    }
}

#[pymethods]
impl InferenceFuture {
    /// Outputs of a Python callable may be any objects, this future's holders among them. Without `__clear__`: the
    /// list's own breaks such a cycle.
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        if let Some(later) = &self.fills {
            visit.call(later.list())?;
        }
        match self.ended.get() {
            Some(Ended::Results(list)) => visit.call(list),
            Some(Ended::Unmade(exception)) => visit.call(exception),
            Some(Ended::Failed(_)) | None => Ok(()),
        }
    }

    #[doc = include_str!("help/result.txt")]
    #[pyo3(signature = (timeout=None))]
    fn result(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<Py<PyList>> {
        // Over all of it: making an exception runs Python code below this frame.
        let _inside = life::inside(py);
        let ended = self.settle(py, timeout)?;
        self.answer(py, ended)
    }

    #[doc = include_str!("help/exception.txt")]
    #[pyo3(signature = (timeout=None))]
    fn exception(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<Option<Py<PyBaseException>>> {
        let _inside = life::inside(py);
        let ended = self.settle(py, timeout)?;
        // As in `concurrent.futures`: a cancelled future has no exception to give, it raises.
        let cancelled = matches!(ended, Ended::Failed(error) if error.kind == ErrorKind::Cancelled);
        match self.answer(py, ended) {
            Ok(_) => Ok(None),
            Err(raised) if cancelled => Err(raised),
            Err(raised) => Ok(Some(raised.into_value(py))),
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

    /// What `concurrent.futures.wait` and `as_completed` look for first: they know futures of their own kind only.
    #[getter]
    fn _condition(&self) -> PyResult<()> {
        let text = "an InferenceFuture has no '_condition': concurrent.futures knows its own futures only; \
                    use headway.wait and headway.as_completed";
        Err(PyAttributeError::new_err(text))
    }

    /// Has the bell rung with `number` once admitted (`milestone` "admitted") or ended. False when that is past.
    fn _subscribe(&self, py: Python<'_>, bell: &Bell, number: u64, admitted: bool) -> PyResult<bool> {
        let _inside = life::inside(py);
        if !self.slot.is_ended() {
            // In a forked child nobody would ever ring.
            self.check(py)?;
            self.hurry(py);
        }
        let milestone = if admitted { Milestone::Admitted } else { Milestone::Ended };
        Ok(self.slot.subscribe(milestone, &bell.inner, number))
    }

    /// The bell is not rung for it any more.
    fn _unsubscribe(&self, bell: &Bell) {
        self.slot.unsubscribe(&bell.inner);
    }

    /// Raises what refused it before it got a ticket, if something did.
    fn _raise_refusal(&self, py: Python<'_>) -> PyResult<()> {
        let _inside = life::inside(py);
        match self.slot.refusal() {
            Some(error) => Err(errors::raise(py, &error, self.core.voice)),
            None => Ok(()),
        }
    }

    fn __await__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        static AWAIT: OnceLock<Py<PyAny>> = OnceLock::new();
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
                ended => match self.answer(py, ended) {
                    Ok(_) => "done".to_owned(),
                    Err(raised) => raised.get_type(py).name()?.to_string(),
                },
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
