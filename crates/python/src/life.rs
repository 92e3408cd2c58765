//! The process around the sessions: interpreter exit and fork.
//!
//! Under abi3-py311 nothing can ask whether the interpreter is finalising, so an exit flag of our own is
//! tested before every attach (invariant 2's neighbour; see `DESIGN` of exits in ARCHITECTURE.md).

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use headway_core::error::{Error, ErrorKind};
use headway_core::timer;
use pyo3::prelude::*;

use crate::core::Core;
use crate::graveyard;

/// Set by the exit hook: every public call raises from here on.
static EXITING: AtomicBool = AtomicBool::new(false);
/// Set when the hook has returned: a thread that comes back now would meet a dying interpreter.
static GONE: AtomicBool = AtomicBool::new(false);
/// Threads that are inside a detached call.
static AWAY: AtomicUsize = AtomicUsize::new(0);

/// How long the exit hook waits for engines, callbacks and threads, each.
const EXIT_PATIENCE: Duration = Duration::from_secs(5);

static SESSIONS: Mutex<Vec<Weak<Core>>> = Mutex::new(Vec::new());

fn sessions() -> std::sync::MutexGuard<'static, Vec<Weak<Core>>> {
    SESSIONS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Remembers a session for the exit hook.
pub(crate) fn register(core: Weak<Core>) {
    let mut sessions = sessions();
    sessions.retain(|session| session.strong_count() > 0);
    sessions.push(core);
}

/// The first thing every public call does. `generation` is the session's.
///
/// # Errors
/// `Closed` when the interpreter is leaving or the session belongs to a parent process.
pub(crate) fn check(generation: u64) -> Result<(), Error> {
    if EXITING.load(Ordering::Relaxed) {
        return Err(Error::new(ErrorKind::Closed, "the interpreter is exiting"));
    }
    if timer::generation() != generation {
        let text = "the session was created in another process (before a fork); create a new one here";
        return Err(Error::new(ErrorKind::Closed, text));
    }
    Ok(())
}

/// Runs `call` detached. A thread that returns after the interpreter has gone parks for ever instead of attaching.
pub(crate) fn away<R: Send>(py: Python<'_>, call: impl FnOnce() -> R + Send) -> R {
    AWAY.fetch_add(1, Ordering::SeqCst);
    let result = py.detach(|| {
        let result = call();
        while GONE.load(Ordering::SeqCst) {
            std::thread::park();
        }
        result
    });
    AWAY.fetch_sub(1, Ordering::SeqCst);
    result
}

/// The `atexit` hook: cancels, terminates, delivers, joins; then waits until every thread is back in Python.
#[pyfunction]
#[pyo3(name = "_exit")]
pub(crate) fn exit(py: Python<'_>) {
    if EXITING.swap(true, Ordering::SeqCst) {
        return;
    }
    let live: Vec<_> = sessions().iter().filter_map(Weak::upgrade).collect();
    let own: Vec<_> = live.iter().filter(|core| core.generation == timer::generation()).cloned().collect();
    py.detach(|| {
        for core in &own {
            core.shared.begin_close(false);
        }
        let until = Instant::now() + EXIT_PATIENCE;
        for core in &own {
            core.shared.wait_delivered(Some(until));
            core.close_lanes(Some(EXIT_PATIENCE));
        }
        while AWAY.load(Ordering::SeqCst) > 0 && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(1));
        }
        graveyard::leave();
        GONE.store(true, Ordering::SeqCst);
    });
}

/// To be called in a forked child: what the parent made is not touched here.
#[pyfunction]
#[pyo3(name = "_forked")]
pub(crate) fn forked() {
    timer::forked();
    AWAY.store(0, Ordering::SeqCst);
}

/// Cores that this process may use: affinity and cgroup quota, at least 1.
#[pyfunction]
pub(crate) fn usable_cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}
