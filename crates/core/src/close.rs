//! Close: bounded and total (invariant 7).

use std::time::{Duration, Instant};

use crate::runtime::Shared;
use crate::state::Phase;
use crate::sync::{Arc, lock};

/// How long cancelled work has to leave its engine once the drain's time is up.
const GRACE: Duration = Duration::from_secs(1);

/// What `close` did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CloseReport {
    /// True when everything that was admitted ran to its own end.
    pub drained: bool,
    /// Requests that were cancelled because the time was up.
    pub cancelled: u64,
    /// Lanes whose engine has not returned; they are left to themselves.
    pub abandoned: Vec<usize>,
}

impl Shared {
    /// Stops admission; what was admitted finishes (`drain`) or is cancelled. Returns at once. Idempotent.
    pub fn begin_close(self: &Arc<Self>, drain: bool) {
        self.act(|state, now, fx| state.begin_close(drain, now, fx));
    }

    /// True once no more requests are admitted.
    pub fn is_closing(self: &Arc<Self>) -> bool {
        lock(&self.state).phase > Phase::Open
    }

    /// Waits until all work has ended; cancels the rest when the time is up, and abandons what does not return.
    pub fn finish_close(self: &Arc<Self>, timeout: Option<Duration>) -> CloseReport {
        let until = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let before = lock(&self.state).counters.cancelled;
        let mut report = CloseReport { drained: true, ..CloseReport::default() };
        if !self.wait_for(until, |state| state.quiet()) {
            report.drained = false;
            self.begin_close(false);
            self.wait_for(Instant::now().checked_add(GRACE), |state| state.quiet() && state.left());
        }
        self.wait_for(Instant::now().checked_add(GRACE), |state| state.left() || !state.stuck().is_empty());
        let mut state = lock(&self.state);
        state.phase = Phase::Closed;
        report.abandoned = state.stuck();
        report.cancelled = state.counters.cancelled.saturating_sub(before);
        report.drained &= report.cancelled == 0;
        let lanes = state.take_engines();
        drop(state);
        drop(lanes);
        // The engine goes last; an abandoned lane keeps its own hold on it.
        let engine = lock(&self.engine).take();
        drop(engine);
        report
    }
}
