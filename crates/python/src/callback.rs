//! Callbacks: what travels with a request, and the thread that calls them.
//!
//! User code is called from Python frames (`headway._delivery`), never from Rust ones: a thread that the
//! dying interpreter ends would otherwise be unwound through Rust and abort the process.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use headway_core::error::Error;
use headway_core::state::Delivery;
use pyo3::exceptions::PyBaseException;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple};
use smallvec::SmallVec;

use crate::core::Core;
use crate::graveyard::{PyOwner, drain_graveyard};
use crate::outputs::{self, Form};
use crate::{errors, life, wait};

/// How many outcomes one look takes: one GIL acquisition for all of them.
const BATCH: usize = 64;

/// After this long a callback is called slow.
const SLOW_CALLBACK: Duration = Duration::from_secs(1);

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

/// The delivery thread's handle on its session: an iterator over calls. Being asked for the next says that the last has
/// returned, so that one call into the door does for each callback.
#[pyclass(module = "headway._core")]
pub(crate) struct Deliveries {
    core: Arc<Core>,
    /// Told of a slow callback: `slow(callback, seconds)`.
    slow: Py<PyAny>,
    /// Requests whose callbacks are due, in order.
    due: VecDeque<Delivery>,
    /// The request whose callbacks are being called, and those that are still to be called.
    current: Option<(Delivery, smallvec::IntoIter<[Call; 1]>)>,
    /// One of its callbacks raised.
    raised: bool,
    /// The callback that was given out last, and when.
    out: Option<(Py<PyAny>, Instant)>,
}

/// A callback and its arguments.
type Call = (Py<PyAny>, Py<PyTuple>);

#[pymethods]
impl Deliveries {
    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    /// Waits for the next callback that is due: `(callable, args)`. Ends when there will be none any more.
    fn __next__(&mut self, py: Python<'_>) -> PyResult<Option<Call>> {
        let _inside = life::inside(py);
        drain_graveyard(py);
        if let Some((callback, since)) = self.out.take() {
            let took = since.elapsed();
            if took >= SLOW_CALLBACK {
                let args = (callback, took.as_secs_f64()).into_pyobject(py)?.unbind();
                return Ok(Some((self.slow.clone_ref(py), args)));
            }
        }
        loop {
            if let Some((delivery, calls)) = &mut self.current {
                if let Some(call) = calls.next() {
                    self.out = Some((call.0.clone_ref(py), Instant::now()));
                    return Ok(Some(call));
                }
                // Short enough to hold the GIL over: letting it go and taking it again would cost more.
                self.core.shared.delivered(delivery, std::mem::take(&mut self.raised));
                self.current = None;
            }
            if self.due.is_empty() && !self.wait(py) {
                return Ok(None);
            }
            if let Some(delivery) = self.due.pop_front() {
                let calls = self.calls(py, &delivery)?;
                self.current = Some((delivery, calls.into_iter()));
            }
        }
    }

    /// Tells `sys.unraisablehook` what a callback raised. Here, because only the interpreter can make the hook's
    /// argument, and because it copes with a hook that raises too.
    fn report(&mut self, py: Python<'_>, callback: &Bound<'_, PyAny>, raised: Bound<'_, PyBaseException>) {
        let _inside = life::inside(py);
        self.raised = true;
        PyErr::from_value(raised.into_any()).write_unraisable(py, Some(callback));
    }
}

impl Deliveries {
    /// False when there will be none any more.
    fn wait(&mut self, py: Python<'_>) -> bool {
        wait::deliver_for(Some(&self.core));
        let shared = &self.core.shared;
        let found = life::away(py, || {
            let mut due = Vec::new();
            shared.next_deliveries(BATCH, &mut due).then_some(due)
        });
        match found {
            Some(due) => self.due.extend(due),
            None => wait::deliver_for(None),
        }
        !self.due.is_empty()
    }

    /// What is to be called for a request.
    fn calls(&self, py: Python<'_>, delivery: &Delivery) -> PyResult<SmallVec<[Call; 1]>> {
        let mut calls = SmallVec::new();
        if let Some(reason) = delivery.told {
            if let Some(on_drop) = self.core.on_drop(py) {
                let args = (delivery.ticket, reason.as_str()).into_pyobject(py)?;
                calls.push((on_drop, args.unbind()));
            }
            return Ok(calls);
        }
        for tag in delivery.slot.take_tags() {
            let Ok(callback) = tag.downcast::<Callback>() else { continue };
            match *callback {
                Callback::Done { callable, future } => {
                    let (Some(callable), Some(future)) = (callable.take(py), future.take(py)) else {
                        continue;
                    };
                    calls.push((callable, (future,).into_pyobject(py)?.unbind()));
                }
                Callback::Async { callable, user_data, none_on_failure } => {
                    let (Some(callable), Some(user_data)) = (callable.take(py), user_data.take(py)) else {
                        continue;
                    };
                    let (results, message) = self.results(py, delivery, none_on_failure)?;
                    calls.push((callable, (results, user_data, message).into_pyobject(py)?.unbind()));
                }
            }
        }
        Ok(calls)
    }

    fn results(
        &self,
        py: Python<'_>,
        delivery: &Delivery,
        none: bool,
    ) -> PyResult<(Py<PyAny>, Cow<'static, str>)> {
        let outcome = delivery
            .slot
            .take_outcome()
            .map(|outcome| outputs::answer(py, outcome, &self.core, Form::Arrays));
        let raised = match outcome {
            Some(Ok(list)) => return Ok((list.into_any(), Cow::Borrowed(""))),
            Some(Err(raised)) => raised,
            None => {
                let lost = Error::new(headway_core::error::ErrorKind::Engine, "the answer is gone");
                errors::raise(py, &lost, self.core.voice)
            }
        };
        let nothing = if none { py.None() } else { PyList::empty(py).into_any().unbind() };
        let text = raised.value(py).to_string();
        let text = if text.is_empty() { raised.get_type(py).name()?.to_string() } else { text };
        Ok((nothing, Cow::Owned(text)))
    }
}

/// Starts the session's delivery thread, if it has none yet.
pub(crate) fn start_delivery(py: Python<'_>, core: &Arc<Core>) -> PyResult<()> {
    if !core.starts_delivery() {
        return Ok(());
    }
    // Without a thread nothing was submitted either: the next callback tries again.
    deliver_on_a_thread(py, core).inspect_err(|_| core.delivery_failed())
}

fn deliver_on_a_thread(py: Python<'_>, core: &Arc<Core>) -> PyResult<()> {
    let module = py.import("headway._delivery")?;
    let handle = Deliveries {
        core: Arc::clone(core),
        slow: module.getattr("Watch")?.call0()?.getattr("look")?.unbind(),
        due: VecDeque::new(),
        current: None,
        raised: false,
        out: None,
    };
    let (target, handle) = (module.getattr("deliver")?, Bound::new(py, handle)?);
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
