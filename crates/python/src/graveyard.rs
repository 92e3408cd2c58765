//! Python objects whose last Rust owner died on a thread that may not touch Python.
//!
//! A lane's thread drops a request's inputs without the GIL (invariant 2), so the reference is only
//! moved here; whoever next holds the GIL at the door gives it back to Python (invariant 6).

use std::ffi::{c_int, c_void};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};

use pyo3::prelude::*;

/// With more than this many waiting, the interpreter itself is asked to drain: a program that only
/// waits in native code would never come through the door.
const ASK_ABOVE: usize = 64;

/// One object that waits. A list without a lock: a lane never waits here for a thread that holds the GIL,
/// and a `fork()` in the middle of a burial leaves nothing locked in the child.
struct Grave {
    object: Py<PyAny>,
    next: *mut Grave,
}

static NEWEST: AtomicPtr<Grave> = AtomicPtr::new(ptr::null_mut());
/// How many were buried and not yet counted out; for a moment it may be ahead of the list.
static WAITING: AtomicUsize = AtomicUsize::new(0);
/// A pending call is on its way; one is enough.
static ASKED: AtomicBool = AtomicBool::new(false);
/// The interpreter is leaving: nothing here may call into it any more.
static LEAVING: AtomicBool = AtomicBool::new(false);

/// Keeps a Python object alive for native code. May be dropped on any thread, attached or not.
#[derive(Debug)]
pub(crate) struct PyOwner(Option<Py<PyAny>>);

impl PyOwner {
    /// Takes over one reference.
    pub(crate) fn new(object: Py<PyAny>) -> Self {
        PyOwner(Some(object))
    }

    /// Hands the reference over to a caller with the GIL: nothing has to be buried and dug up again.
    pub(crate) fn take(mut self, _py: Python<'_>) -> Option<Py<PyAny>> {
        self.0.take()
    }

    /// The object.
    pub(crate) fn object(&self) -> Option<&Py<PyAny>> {
        self.0.as_ref()
    }
}

impl Drop for PyOwner {
    fn drop(&mut self) {
        if let Some(object) = self.0.take() {
            bury(object);
        }
    }
}

fn bury(object: Py<PyAny>) {
    let waiting = WAITING.fetch_add(1, Ordering::Relaxed) + 1;
    let grave = Box::into_raw(Box::new(Grave { object, next: NEWEST.load(Ordering::Relaxed) }));
    loop {
        // SAFETY: until the exchange succeeds, nobody else knows this grave.
        let next = unsafe { (*grave).next };
        match NEWEST.compare_exchange_weak(next, grave, Ordering::Release, Ordering::Relaxed) {
            Ok(_) => break,
            // SAFETY: as above.
            Err(newest) => unsafe { (*grave).next = newest },
        }
    }
    if waiting > ASK_ABOVE && !LEAVING.load(Ordering::Acquire) && !ASKED.swap(true, Ordering::AcqRel) {
        ask_for_drain();
    }
}

fn ask_for_drain() {
    // SAFETY: Py_AddPendingCall may be called without the GIL while the interpreter lives, which
    // `LEAVING` guards; the callback needs no argument.
    let refused = unsafe { pyo3::ffi::Py_AddPendingCall(Some(drain_pending), ptr::null_mut()) } != 0;
    if refused {
        // The interpreter's short list is full; the next burial asks again.
        ASKED.store(false, Ordering::Release);
    }
}

/// Runs on the main thread between two bytecodes. It must not unwind into C.
extern "C" fn drain_pending(_: *mut c_void) -> c_int {
    ASKED.store(false, Ordering::Release);
    if !LEAVING.load(Ordering::Acquire) {
        // The GIL is held, but PyO3 does not know it here: only an attach of its own makes a drop legal.
        Python::attach(drain_graveyard);
    }
    0
}

/// Releases what waits. Every call through the door does this first: one load when there is nothing.
#[inline]
pub(crate) fn drain_graveyard(py: Python<'_>) {
    if WAITING.load(Ordering::Relaxed) != 0 {
        release_all(py);
    }
}

#[cold]
fn release_all(_py: Python<'_>) {
    // The whole list at once, so that no grave is ever reached by two threads.
    let mut newest = NEWEST.swap(ptr::null_mut(), Ordering::Acquire);
    while !newest.is_null() {
        // SAFETY: the swap made this list ours alone; each grave came from `Box::into_raw`.
        let grave = unsafe { Box::from_raw(newest) };
        newest = grave.next;
        WAITING.fetch_sub(1, Ordering::Relaxed);
        // A finaliser is user code: it may come back here, and may bury more.
        drop(grave.object);
    }
}

/// The exit hook's call: from now on nothing calls into the interpreter, and what is buried stays buried.
pub(crate) fn leave() {
    LEAVING.store(true, Ordering::Release);
}
