//! `headway.testing`: an engine that does what a test says, and a clock that stands still.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use headway_core::clock::{Clock, ManualClock as CoreClock};
use headway_core::distance::round_trip;
use headway_core::error::{Error, ErrorKind};
use headway_core::runtime::Shared;
use pyo3::prelude::*;

use crate::life::{away, inside};
use crate::wait::SIGNAL_TICK;

/// A clock that stands still until it is moved.
#[pyclass(frozen, module = "headway.testing", name = "ManualClock")]
pub(crate) struct ManualClock {
    clock: CoreClock,
    /// Sessions on this clock: the timer thread knows nothing of them.
    sessions: Mutex<Vec<std::sync::Weak<Shared>>>,
}

impl ManualClock {
    pub(crate) fn clock(&self) -> Clock {
        Clock::Manual(self.clock.clone())
    }

    pub(crate) fn adopt(&self, shared: &Arc<Shared>) {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(shared));
    }
}

#[pymethods]
impl ManualClock {
    #[new]
    fn new() -> Self {
        ManualClock { clock: CoreClock::default(), sessions: Mutex::new(Vec::new()) }
    }

    /// Moves time forward by `seconds` and lets expire what is due.
    fn advance(&self, py: Python<'_>, seconds: f64) -> PyResult<()> {
        let _inside = inside(py);
        self.clock.advance(crate::submit::Deadline::seconds(seconds)?);
        let sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner).clone();
        away(py, || {
            for session in sessions.iter().filter_map(std::sync::Weak::upgrade) {
                session.expire();
            }
        });
        Ok(())
    }

    /// Seconds since the clock was made.
    fn now(&self) -> f64 {
        self.clock.now().as_secs_f64()
    }
}

/// Waits for as long as it takes. What never comes must not keep Ctrl-C, or a test's time limit, from being seen.
fn patiently(py: Python<'_>, come: impl Fn() -> bool + Sync) -> PyResult<()> {
    let _inside = inside(py);
    while !away(py, &come) {
        py.check_signals()?;
    }
    Ok(())
}

/// Steers a fake engine from outside.
#[pyclass(frozen, module = "headway._core")]
pub(crate) struct FakeControl {
    pub(crate) handle: Arc<headway_engines::fake::FakeHandle>,
}

#[pymethods]
impl FakeControl {
    /// Requests block on their lanes from now on.
    fn hold(&self) {
        self.handle.hold();
    }

    /// Lets `n` blocked requests finish.
    fn release(&self, n: usize) {
        self.handle.release(n);
    }

    /// Lets everything through from now on.
    fn open(&self) {
        self.handle.open();
    }

    /// Request number `nth` (from 0) fails with `message`.
    fn fail_nth(&self, nth: u64, message: String) {
        self.handle.fail_nth(nth, Error::new(ErrorKind::Engine, message));
    }

    /// Waits until `n` requests are running.
    fn wait_running(&self, py: Python<'_>, n: usize) -> PyResult<()> {
        patiently(py, || self.handle.is_running_within(n, SIGNAL_TICK))
    }

    /// Waits until `n` requests have finished in all.
    fn wait_finished(&self, py: Python<'_>, n: u64) -> PyResult<()> {
        patiently(py, || self.handle.is_finished_within(n, SIGNAL_TICK))
    }

    /// Every request computes this many seconds.
    fn set_busy(&self, seconds: f64) {
        self.handle.set_busy(Duration::from_secs_f64(seconds.max(0.0)));
    }

    /// (started, finished, terminated, running)
    fn counts(&self) -> (u64, u64, u64, usize) {
        let counts = self.handle.counts();
        (counts.started, counts.finished, counts.terminated, self.handle.running())
    }
}

/// How long a line of memory takes from one usable core to another and back, in seconds; `None` with one core.
#[pyfunction]
#[pyo3(name = "_core_round_trip")]
pub(crate) fn core_round_trip(py: Python<'_>) -> Option<f64> {
    let _inside = inside(py);
    let fastest = || (0..5).filter_map(|_| round_trip(1_000)).min();
    away(py, fastest).map(|took| took.as_secs_f64())
}
