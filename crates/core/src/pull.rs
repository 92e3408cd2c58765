//! Pull: the other end of a flow whose outcomes nobody holds a future for.

use std::time::{Duration, Instant};

use crate::bell::Bell;
use crate::error::{DropReason, Error};
use crate::metrics::Counters;
use crate::request::Request;
use crate::runtime::Shared;
use crate::slot::SlotRef;
use crate::state::{Effects, FlowConfig, Manner, Output, Pulled};
use crate::sync::{Arc, lock, wait};

impl Shared {
    /// Opens a flow whose outcomes are pulled, in order of admission within each stream key. Nothing of it starts
    /// while `queue_depth` outcomes wait to be pulled.
    ///
    /// # Errors
    /// `Closed`.
    pub fn open_pulled(self: &Arc<Self>, config: FlowConfig) -> Result<usize, Error> {
        self.act(|state, _, _| state.open_flow(config, true))
    }

    /// The flow's next output; waits until `until`. The outcome is in its slot when this returns.
    pub fn pull(self: &Arc<Self>, flow: usize, until: Option<Instant>) -> Pulled {
        loop {
            let pulled = self.act(|state, now, fx| state.pull(flow, now, fx));
            match pulled {
                Pulled::Output(Output::Item(delivery)) => {
                    // The state knew of the ending before the slot was filled.
                    delivery.slot.wait_filled();
                    return Pulled::Output(Output::Item(delivery));
                }
                Pulled::Nothing if self.wait_output(flow, until) => {}
                pulled => return pulled,
            }
        }
    }

    /// Waits until the flow has an output or is over. False when the time is up.
    fn wait_output(&self, flow: usize, until: Option<Instant>) -> bool {
        let mut state = lock(&self.state);
        while !state.has_news(flow) {
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                return false;
            }
            state = wait(&self.pull_bell, state, left);
        }
        true
    }

    /// Has the bell rung when the flow has an output or is over. False when that is so now.
    pub fn await_output(self: &Arc<Self>, flow: usize, bell: &std::sync::Arc<Bell>, number: u64) -> bool {
        self.act(|state, _, _| state.await_output(flow, bell, number))
    }

    /// Whoever waited with this bell and number does not wait any more.
    pub fn forget_output(self: &Arc<Self>, flow: usize, bell: &std::sync::Arc<Bell>, number: u64) {
        self.act(|state, _, _| state.forget_output(flow, bell, number));
    }

    /// Cancels what waits and runs in the flow, closes it, and drops what was not pulled.
    pub fn stop_flow(self: &Arc<Self>, flow: usize) {
        self.act(|state, now, fx| state.stop_flow(flow, now, fx));
    }

    /// Closes the flow, lets it finish until `until` and drops what nobody pulls; then stops it.
    pub fn drain_flow(self: &Arc<Self>, flow: usize, until: Option<Instant>) {
        self.begin_drain(flow);
        if !self.wait_drained(flow, until) {
            self.stop_flow(flow);
        }
    }

    /// Closes the flow; from now on what nobody has pulled is dropped. Returns at once. Idempotent.
    pub fn begin_drain(self: &Arc<Self>, flow: usize) {
        self.act(|state, now, fx| {
            state.close_flow(flow, fx);
            state.discard_flow(flow, now, fx);
        });
    }

    /// Waits until everything in the flow has ended and was handed over. False when the time is up.
    pub fn wait_drained(self: &Arc<Self>, flow: usize, until: Option<Instant>) -> bool {
        let mut state = lock(&self.state);
        while !state.flow_is_empty(flow) {
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                return false;
            }
            state = wait(&self.pull_bell, state, left);
        }
        true
    }

    /// Closes the flow; its number is given out again once it is empty.
    pub fn release_flow(self: &Arc<Self>, flow: usize) {
        self.act(|state, now, fx: &mut Effects| state.release_flow(flow, now, fx));
    }

    /// How the flow's requests ended so far.
    pub fn flow_counters(self: &Arc<Self>, flow: usize) -> Counters {
        lock(&self.state).flow_counters(flow)
    }

    /// Ends one request as dropped. False when it had ended.
    pub fn drop_request(self: &Arc<Self>, slot: &SlotRef, reason: DropReason) -> bool {
        self.act(|state, now, fx| state.drop_request(slot, reason, now, fx))
    }

    /// Hands a request in, in the place of others, which end as dropped: both or neither.
    ///
    /// # Errors
    /// As for `submit`; the others then go on.
    pub fn replace(
        self: &Arc<Self>,
        old: &[SlotRef],
        reason: DropReason,
        mut request: Request,
        manner: Manner,
    ) -> Result<SlotRef, Error> {
        self.act(|state, now, fx| state.replace(old, reason, &mut request, manner, now, fx))
    }

    /// True when a caller that is willing to may wait for room in a flow: its policy is not to refuse.
    pub fn lets_wait(self: &Arc<Self>, flow: usize) -> bool {
        self.act(|state, _, _| state.lets_wait(flow))
    }
}
