//! Waiting for one's own request, detached, with an eye on signals.

use std::cell::Cell;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use headway_core::runtime::Waiting;
use headway_core::slot::{Milestone, Seen, SlotRef};
use headway_core::timer;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use crate::core::{Core, Kind};
use crate::life::away;
use crate::once::cached;

/// How often a waiting main thread looks for signals.
pub(crate) const SIGNAL_TICK: Duration = Duration::from_millis(50);

/// The same everywhere.
const SIGINT: i32 = 2;

thread_local! {
    /// (generation, is it the main thread): a forked child's only thread becomes its main thread.
    static MAIN: Cell<Option<(u64, bool)>> = const { Cell::new(None) };
    /// The session whose callbacks this thread delivers, by address; 0 for none.
    static DELIVERS: Cell<usize> = const { Cell::new(0) };
}

/// True on Python's main thread, the only one that sees signals.
pub(crate) fn on_main_thread(py: Python<'_>) -> bool {
    let generation = timer::generation();
    if let Some((at, main)) = MAIN.get()
        && at == generation
    {
        return main;
    }
    // It refuses this handler on the main thread, and every handler on the others. `threading.main_thread()` is Python
    // code, which lets a signal's own handler run: what that raises would be lost here, and the answer with it.
    let asked =
        py.import("_signal").and_then(|module| module.getattr("signal")?.call1((SIGINT, "no handler")));
    let main = asked.is_err_and(|refused| refused.is_instance_of::<PyTypeError>(py));
    MAIN.set(Some((generation, main)));
    main
}

/// Marks this thread as the one that delivers this session's callbacks.
pub(crate) fn deliver_for(core: Option<&Core>) {
    DELIVERS.set(core.map_or(0, |core| std::ptr::from_ref(core).addr()));
}

/// True on the thread that delivers this session's callbacks.
pub(crate) fn delivers(core: &Core) -> bool {
    DELIVERS.get() == std::ptr::from_ref(core).addr()
}

/// True on a thread whose event loop is running: it must never wait for room.
pub(crate) fn in_event_loop(py: Python<'_>) -> bool {
    static RUNNING: OnceLock<Py<PyAny>> = OnceLock::new();
    let ask = match RUNNING.get() {
        Some(ask) => ask,
        None => match asyncio(py).and_then(|module| module.getattr("_get_running_loop").ok()) {
            Some(ask) => RUNNING.get_or_init(|| ask.unbind()),
            None => return false,
        },
    };
    ask.bind(py).call0().is_ok_and(|running| !running.is_none())
}

/// asyncio, if the program has imported it. Without it there is no loop to freeze, and importing it takes
/// longer than most models.
fn asyncio(py: Python<'_>) -> Option<Bound<'_, PyAny>> {
    static MODULES: OnceLock<Py<PyDict>> = OnceLock::new();
    let find = || Ok(py.import("sys")?.getattr("modules")?.cast_into::<PyDict>()?.unbind());
    static NAME: OnceLock<Py<PyString>> = OnceLock::new();
    let name = cached(py, &NAME, || Ok(PyString::intern(py, "_asyncio").unbind())).ok()?;
    cached(py, &MODULES, find).ok()?.bind(py).get_item(name).ok().flatten()
}

/// The main thread runs requests itself only when they are known to be quick, or Ctrl-C would wait for them.
pub(crate) fn may_execute(py: Python<'_>, core: &Core) -> bool {
    match core.kind {
        Kind::Python(_) => false,
        Kind::Native(_) if core.settings.watched => false,
        Kind::Native(_) => {
            !on_main_thread(py) || core.shared.usual_run().is_some_and(|usual| usual < SIGNAL_TICK)
        }
    }
}

/// `timeout` seconds from now; `None` for ever.
pub(crate) fn instant_after(timeout: Option<Duration>) -> Option<Instant> {
    timeout.and_then(|timeout| Instant::now().checked_add(timeout))
}

/// Waits until the request ends or `until`.
///
/// # Errors
/// What a signal handler raised; the request goes on.
pub(crate) fn wait_ended(
    py: Python<'_>,
    core: &Core,
    slot: &SlotRef,
    until: Option<Instant>,
    execute: bool,
) -> PyResult<Seen> {
    let mut how = Waiting { execute, ahead: delivers(core), again: false };
    let main = on_main_thread(py);
    loop {
        let seen = away(py, || core.shared.wait_until(slot, || slice_until(main, until), how));
        match seen {
            Seen::TimedOut if main => {
                if let Err(raised) = py.check_signals() {
                    away(py, || core.shared.leave(slot));
                    return Err(raised);
                }
                if until.is_some_and(|until| Instant::now() >= until) {
                    away(py, || core.shared.leave(slot));
                    return Ok(Seen::TimedOut);
                }
                how.again = true;
            }
            Seen::TimedOut => {
                away(py, || core.shared.leave(slot));
                return Ok(Seen::TimedOut);
            }
            seen => return Ok(seen),
        }
    }
}

/// Waits until the request is admitted or refused.
///
/// # Errors
/// What a signal handler raised; the request is cancelled.
pub(crate) fn wait_admitted(py: Python<'_>, core: &Core, slot: &SlotRef) -> PyResult<Seen> {
    let main = on_main_thread(py);
    let mut spin = core.shared.patience();
    loop {
        let slice = slice_until(main, None);
        let seen = away(py, || slot.wait(Milestone::Admitted, slice, spin));
        spin = Duration::ZERO;
        if !matches!(seen, Seen::TimedOut) {
            return Ok(seen);
        }
        if let Err(raised) = py.check_signals() {
            away(py, || core.shared.cancel(slot));
            return Err(raised);
        }
    }
}

/// `until`, or the next look at signals on the main thread.
pub(crate) fn slice_until(main: bool, until: Option<Instant>) -> Option<Instant> {
    let tick = main.then(|| Instant::now() + SIGNAL_TICK);
    match (tick, until) {
        (Some(tick), Some(until)) => Some(tick.min(until)),
        (tick, until) => tick.or(until),
    }
}
