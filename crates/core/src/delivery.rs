//! Delivery: the queue that one Python thread reads, and the count that holds lanes back.

use std::time::{Duration, Instant};

use crate::cores;
use crate::runtime::Shared;
use crate::state::Delivery;
use crate::sync::{Arc, Ordering, lock, wait};

impl Shared {
    /// Waits for outcomes whose callbacks are due, at most `most` of them. False when there will be none any more.
    pub fn next_deliveries(self: &Arc<Self>, most: usize, into: &mut Vec<Delivery>) -> bool {
        let mut patience = self.patience();
        let mut state = lock(&self.state);
        loop {
            state.take_ready(most, into);
            if !into.is_empty() {
                self.show_due(&state);
                break;
            }
            if state.delivery_over() {
                state.deaf = true;
                return false;
            }
            if !patience.is_zero() {
                drop(state);
                self.spin_for_due(std::mem::take(&mut patience));
                state = lock(&self.state);
                continue;
            }
            state.listening = true;
            state = wait(&self.delivery_bell, state, None);
        }
        drop(state);
        self.step_aside();
        // The state knew of the ending before the slot was filled.
        into.iter().for_each(|delivery| delivery.slot.wait_filled());
        true
    }

    /// Leaves a core on which a worker computes: callbacks run where the thread that waited for the GIL woke up, and
    /// the kernel leaves the two there for milliseconds, even beside an idle core.
    fn step_aside(&self) {
        if self.spin.is_zero() || !self.roomy {
            return;
        }
        let core = cores::current();
        if core != 0 && self.spots.iter().any(|spot| spot.is_on(core)) {
            cores::leave(core, 0);
        }
    }

    /// Stays awake until an outcome is due, or none came for long enough.
    fn spin_for_due(&self, patience: Duration) {
        let start = Instant::now();
        while self.due() == 0 && !self.closing.load(Ordering::Relaxed) && start.elapsed() < patience {
            for _ in 0..32 {
                std::hint::spin_loop();
            }
            // The worker that is waited for may want this very core.
            std::thread::yield_now();
        }
    }

    /// Takes outcomes whose callbacks are due now, at most `most` of them.
    pub fn try_deliveries(self: &Arc<Self>, most: usize, into: &mut Vec<Delivery>) {
        self.take_deliveries(most, into);
        into.iter().for_each(|delivery| delivery.slot.wait_filled());
    }

    /// The same, without waiting until each slot is filled, which happens a moment after its ending is known.
    pub fn take_deliveries(self: &Arc<Self>, most: usize, into: &mut Vec<Delivery>) {
        let mut state = lock(&self.state);
        state.take_ready(most, into);
        self.show_due(&state);
        drop(state);
        if !into.is_empty() {
            self.step_aside();
        }
    }

    /// A callback has returned: the request is handed over. `raised` says that it raised.
    pub fn delivered(self: &Arc<Self>, delivery: &Delivery, raised: bool) {
        self.act(|state, now, fx| state.delivered(delivery, raised, now, fx));
    }

    /// Waits until every callback has returned. False when the time was up first.
    pub fn wait_delivered(self: &Arc<Self>, until: Option<Instant>) -> bool {
        self.wait_for(until, |state| state.all_told())
    }

    /// Waits for a condition that endings can bring about.
    pub(crate) fn wait_for(
        self: &Arc<Self>,
        until: Option<Instant>,
        condition: impl Fn(&crate::state::State) -> bool,
    ) -> bool {
        let mut state = lock(&self.state);
        while !condition(&state) {
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                return false;
            }
            state = wait(&self.settled_bell, state, left);
        }
        true
    }
}
