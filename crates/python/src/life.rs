//! The process around the sessions: interpreter exit and fork.
//!
//! Under abi3-py311 nothing can ask whether the interpreter is finalising. On Python 3.11 to 3.13 a thread that
//! wants the GIL then is ended by unwinding, which aborts where the unwinding meets a Rust frame. So the exit hook
//! lets no thread be inside the door when it returns: those inside come out, and who knocks later parks for ever.
//! It is not enough to watch detached calls: Python code that runs below a Rust frame (making an exception,
//! an import, a user's `__array__`) gives up the GIL too.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use headway_core::error::{Error, ErrorKind};
use headway_core::timer;
use headway_engines::fork;
use pyo3::prelude::*;

use crate::core::Core;
use crate::graveyard;

/// Set by the exit hook: every public call raises from here on.
static EXITING: AtomicBool = AtomicBool::new(false);
/// Set when all work has ended: nobody comes in any more.
static SHUT: AtomicBool = AtomicBool::new(false);
/// Set when the hook returns: a thread that comes back to the GIL now would meet a dying interpreter.
static GONE: AtomicBool = AtomicBool::new(false);
/// Threads between the entry and the return of a call into the door.
static INSIDE: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// The thread that ends the interpreter; it alone may go on after the hook (in older `atexit` handlers).
    static LAST: Cell<bool> = const { Cell::new(false) };
    /// The locks that this thread holds while it forks.
    static FORKING: Cell<Option<fork::Held>> = const { Cell::new(None) };
}

/// How long the exit hook waits in all for engines, callbacks and threads.
const EXIT_PATIENCE: Duration = Duration::from_secs(5);
/// How long it waits for a thread that was about to take the GIL when it was given up.
const STRAGGLERS: Duration = Duration::from_millis(20);

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
    own(generation)
}

/// The part of [`check`] that also holds for `close`: the exit hook closes, and closing again is no mistake.
///
/// # Errors
/// `Closed` when the session belongs to a parent process.
pub(crate) fn own(generation: u64) -> Result<(), Error> {
    if timer::generation() != generation {
        let text = "the session was created in another process (before a fork); create a new one here";
        return Err(Error::new(ErrorKind::Closed, text));
    }
    Ok(())
}

/// A thread inside the door, from the entry of a call to its return.
#[must_use]
pub(crate) struct Inside {
    generation: u64,
}

impl Drop for Inside {
    fn drop(&mut self) {
        // A fork below this frame has reset the count.
        if self.generation == timer::generation() {
            INSIDE.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

/// The first thing that every call does which runs Python code or detaches.
#[inline]
pub(crate) fn inside(py: Python<'_>) -> Inside {
    INSIDE.fetch_add(1, Ordering::SeqCst);
    let inside = Inside { generation: timer::generation() };
    if SHUT.load(Ordering::SeqCst) && !LAST.get() {
        drop(inside);
        py.detach(park_for_ever);
        unreachable!("a parked thread never comes back");
    }
    inside
}

/// For destructors that hold Python objects: gives back at once what they buried, whose finalisers may be Python code.
/// A thread that comes after the exit hook leaves it buried; it must not meet the dying interpreter in a Rust frame.
pub(crate) fn drain_dropped() {
    Python::try_attach(|py| {
        INSIDE.fetch_add(1, Ordering::SeqCst);
        let _inside = Inside { generation: timer::generation() };
        if !SHUT.load(Ordering::SeqCst) || LAST.get() {
            graveyard::drain_graveyard(py);
        }
    });
}

fn park_for_ever() {
    loop {
        std::thread::park();
    }
}

/// Runs `call` detached. A thread that returns after the interpreter has gone parks for ever instead of attaching.
pub(crate) fn away<R: Send>(py: Python<'_>, call: impl FnOnce() -> R + Send) -> R {
    py.detach(|| {
        let result = call();
        if GONE.load(Ordering::SeqCst) && !LAST.get() {
            park_for_ever();
        }
        result
    })
}

/// The `atexit` hook: cancels, terminates, delivers, joins; then waits until no thread is inside the door.
#[pyfunction]
#[pyo3(name = "_exit")]
pub(crate) fn exit(py: Python<'_>) {
    if EXITING.swap(true, Ordering::SeqCst) {
        return;
    }
    LAST.set(true);
    let live: Vec<_> = sessions().iter().filter_map(Weak::upgrade).collect();
    let own: Vec<_> = live.iter().filter(|core| core.generation == timer::generation()).cloned().collect();
    py.detach(|| {
        for core in &own {
            core.shared.begin_close(false);
        }
        let until = Instant::now() + EXIT_PATIENCE;
        for core in &own {
            core.shared.wait_delivered(Some(until));
            core.close_lanes(Some(until.saturating_duration_since(Instant::now())));
        }
        SHUT.store(true, Ordering::SeqCst);
        let in_time = come_out(until + STRAGGLERS);
        graveyard::leave();
        GONE.store(true, Ordering::SeqCst);
        if !in_time {
            // Only an engine or a callback that does not return is still inside. One that returned between its
            // look at `GONE` and taking the GIL gets it now.
            std::thread::sleep(STRAGGLERS);
        }
    });
}

/// Waits until every thread has left the door; false when one has not by then.
fn come_out(until: Instant) -> bool {
    while INSIDE.load(Ordering::SeqCst) > 0 {
        if Instant::now() >= until {
            return false;
        }
        std::thread::sleep(Duration::from_micros(200));
    }
    true
}

/// To be called before a fork: takes the locks that the child will need, so that no other thread has them then.
#[pyfunction]
#[pyo3(name = "_forking")]
pub(crate) fn forking(py: Python<'_>) {
    let _inside = inside(py);
    // Detached, as everybody waits for these: another thread that forks at this moment holds them, and needs the GIL to
    // go on, or, where there is none, this thread to stop.
    away(py, || FORKING.set(Some(fork::hold_locks())));
}

/// To be called after a fork, in the parent (`child` is false) and in the child: what the parent made is not touched
/// there.
#[pyfunction]
#[pyo3(name = "_forked")]
pub(crate) fn forked(child: bool) {
    FORKING.take();
    if child {
        timer::forked();
        INSIDE.store(0, Ordering::SeqCst);
    }
}

/// Cores that this process may use: affinity and cgroup quota, at least 1.
#[pyfunction]
pub(crate) fn usable_cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}
