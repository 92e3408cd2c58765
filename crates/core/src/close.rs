//! Close: bounded and total (invariant 7).

use std::time::{Duration, Instant};

use crate::runtime::Shared;
use crate::state::Phase;
use crate::sync::{Arc, Ordering, lock};

/// How long cancelled work has to leave its engine once the drain's time is up.
const GRACE: Duration = Duration::from_secs(1);

/// What `close` did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CloseReport {
    /// True when everything that was admitted ran to its own end.
    pub drained: bool,
    /// Requests that closing cancelled: because it was not to drain, or because the time was up.
    pub cancelled: u64,
    /// Lanes whose engine has not returned, or whose process has not ended; they are left to themselves.
    pub abandoned: Vec<usize>,
}

impl Shared {
    /// Stops admission; what was admitted finishes (`drain`) or is cancelled. Returns at once. Idempotent.
    pub fn begin_close(self: &Arc<Self>, drain: bool) {
        self.act(|state, now, fx| state.begin_close(drain, now, fx));
        self.closing.store(true, Ordering::Relaxed);
    }

    /// True once no more requests are admitted.
    pub fn is_closing(self: &Arc<Self>) -> bool {
        lock(&self.state).phase > Phase::Open
    }

    /// Waits until all work has ended; cancels the rest when the time is up, and abandons what does not return.
    pub fn finish_close(self: &Arc<Self>, timeout: Option<Duration>) -> CloseReport {
        let until = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        self.begin_close(true);
        if !self.wait_for(until, |state| state.quiet()) {
            self.begin_close(false);
            self.wait_for(Instant::now().checked_add(GRACE), |state| state.quiet() && state.left());
        }
        self.wait_for(Instant::now().checked_add(GRACE), |state| state.left() || !state.stuck().is_empty());
        let mut state = lock(&self.state);
        state.phase = Phase::Closed;
        let (abandoned, cancelled) = (state.stuck(), state.cut);
        let drained = cancelled == 0 && abandoned.is_empty();
        let mut report = CloseReport { drained, cancelled, abandoned };
        let lanes = state.take_engines();
        drop(state);
        drop(lanes);
        // The engine goes last; an abandoned lane keeps its own hold on it.
        let engine = lock(&self.engine).take();
        if let Some(engine) = engine {
            report.abandoned.extend(engine.end(until));
            report.abandoned.sort_unstable();
            report.abandoned.dedup();
        }
        report
    }
}
