//! Delivery: the queue that one Python thread reads, and the count that holds lanes back.

use std::time::{Duration, Instant};

use crate::runtime::Shared;
use crate::state::Delivery;
use crate::sync::{Arc, lock, wait};

impl Shared {
    /// Waits for outcomes whose callbacks are due, at most `most` of them. False when there will be none any more.
    pub fn next_deliveries(self: &Arc<Self>, most: usize, into: &mut Vec<Delivery>) -> bool {
        let mut state = lock(&self.state);
        loop {
            state.take_ready(most, into);
            if !into.is_empty() {
                break;
            }
            if state.delivery_over() {
                state.deaf = true;
                return false;
            }
            state.listening = true;
            state = wait(&self.delivery_bell, state, None);
        }
        drop(state);
        // The state knew of the ending before the slot was filled.
        into.iter().for_each(|delivery| delivery.slot.wait_filled());
        true
    }

    /// Takes outcomes whose callbacks are due now, at most `most` of them.
    pub fn try_deliveries(self: &Arc<Self>, most: usize, into: &mut Vec<Delivery>) {
        lock(&self.state).take_ready(most, into);
        into.iter().for_each(|delivery| delivery.slot.wait_filled());
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
