//! Flows: admission queues side by side, and the outbox of one whose outcomes are pulled.

use std::collections::VecDeque;

use super::admit::{closed, input_closed};
use super::control::Early;
use super::finish::{Settled, is_notice};
use super::{Delivery, Effects, FlowConfig, Phase, State};
use crate::bell::Bell;
use crate::error::{DropReason, Error};
use crate::metrics::{Counters, End};
use crate::request::Time;
use crate::schedule::Queue;
use crate::slot::SlotRef;

/// One admission queue.
pub(crate) struct Flow {
    pub(super) config: FlowConfig,
    /// Undelivered outcomes at which nothing of this flow starts.
    pub(super) delivery_depth: usize,
    pub(super) queue: Queue,
    /// Callers waiting for room, by place in `entries`, first come first.
    pub(super) line: VecDeque<usize>,
    /// It admits.
    pub(super) open: bool,
    /// Somebody may still ask for it by its number.
    held: bool,
    /// Outcomes in order, to be pulled; `None` for a flow whose outcomes go to callers and callbacks.
    outbox: Option<VecDeque<Output>>,
    /// Admitted and not handed over.
    live: usize,
    /// Ended and not handed over.
    pub(super) undelivered: usize,
    /// Those among the undelivered that never ran to their end: no lane and no depth bounds how many there are.
    pub(super) notices: usize,
    /// What is not pulled is dropped: nobody will pull any more.
    discards: bool,
    counters: Counters,
    /// Event loops that wait for an output.
    bells: Vec<(std::sync::Arc<Bell>, u64)>,
}

/// What is pulled from a flow.
#[derive(Debug)]
pub enum Output {
    /// An outcome; its request's cell holds it.
    Item(Delivery),
    /// So many requests in a row were dropped.
    Gap(u64),
}

/// What a pull finds.
#[derive(Debug)]
pub enum Pulled {
    /// The next output.
    Output(Output),
    /// Nothing yet.
    Nothing,
    /// Nothing will come any more.
    End,
}

impl Flow {
    pub(super) fn new(config: FlowConfig, delivery_depth: usize, pulled: bool) -> Self {
        Flow {
            config,
            delivery_depth,
            queue: Queue::default(),
            line: VecDeque::new(),
            open: true,
            held: pulled,
            outbox: pulled.then(VecDeque::new),
            live: 0,
            undelivered: 0,
            notices: 0,
            discards: false,
            counters: Counters::default(),
            bells: Vec::new(),
        }
    }

    /// True when its outcomes are pulled.
    pub(super) fn is_pulled(&self) -> bool {
        self.outbox.is_some()
    }

    fn is_empty(&self) -> bool {
        self.live == 0
            && self.queue.is_empty()
            && self.line.is_empty()
            && self.outbox.as_ref().is_none_or(VecDeque::is_empty)
    }

    fn give(&mut self, output: Output) {
        let Some(outbox) = &mut self.outbox else { return };
        match (outbox.back_mut(), output) {
            (Some(Output::Gap(count)), Output::Gap(more)) => *count += more,
            (_, output) => outbox.push_back(output),
        }
    }

    /// True when the next output is there.
    pub(super) fn has_output(&self) -> bool {
        self.outbox.as_ref().is_some_and(|outbox| !outbox.is_empty())
    }
}

impl State {
    /// Opens another admission queue on this session; `pulled` says that its outcomes are pulled in order.
    pub(crate) fn open_flow(&mut self, config: FlowConfig, pulled: bool) -> Result<usize, Error> {
        if self.phase != Phase::Open {
            return Err(closed());
        }
        let fresh = Flow::new(config, config.queue_depth, pulled);
        match (0..self.flows.len()).find(|flow| self.is_spent(*flow)) {
            Some(flow) => {
                self.flows[flow] = fresh;
                Ok(flow)
            }
            None => {
                self.flows.push(fresh);
                Ok(self.flows.len() - 1)
            }
        }
    }

    /// True when nobody asks for a flow any more and no request of it is left, on a lane least of all: a new flow
    /// of the same number would get its outcome.
    fn is_spent(&self, flow: usize) -> bool {
        let state = &self.flows[flow];
        let mut running = self.lanes.iter().flat_map(|lane| &lane.running);
        let over = !state.open && !state.held && state.is_empty();
        over && running.all(|one| one.flow != flow)
            && self.entries.iter().flatten().all(|one| one.flow != flow)
    }

    /// Admits nothing more to a flow; what waits in it still runs.
    pub(crate) fn close_flow(&mut self, flow: usize, fx: &mut Effects) {
        let Some(closing) = self.flows.get_mut(flow) else { return };
        closing.open = false;
        for index in std::mem::take(&mut closing.line) {
            self.refuse(index, input_closed(), fx);
        }
        self.ring_pullers(flow, fx);
    }

    /// Nobody will ask for the flow any more: its number may be given out again once it is empty.
    pub(crate) fn release_flow(&mut self, flow: usize, now: Time, fx: &mut Effects) {
        self.close_flow(flow, fx);
        self.discard_flow(flow, now, fx);
        if let Some(released) = self.flows.get_mut(flow) {
            released.held = false;
        }
    }

    /// From now on what ends well without having been pulled counts as dropped("unpulled").
    pub(crate) fn discard_flow(&mut self, flow: usize, now: Time, fx: &mut Effects) {
        let Some(discarding) = self.flows.get_mut(flow) else { return };
        discarding.discards = true;
        let outputs = discarding.outbox.as_mut().map(std::mem::take).unwrap_or_default();
        for output in outputs {
            if let Output::Item(delivery) = output {
                self.hand_over(flow, &delivery, now, fx);
                fx.rare().trash.slots.push(delivery.slot);
            }
        }
        self.kick(now, fx);
        self.ring_pullers(flow, fx);
    }

    /// Cancels what waits and runs in a flow, closes it and discards what was not pulled.
    pub(crate) fn stop_flow(&mut self, flow: usize, now: Time, fx: &mut Effects) {
        self.close_flow(flow, fx);
        // Urgent ones stand in no flow's queue.
        for index in 0..self.entries.len() {
            if self.entries[index].as_ref().is_some_and(|entry| entry.flow == flow) {
                self.end_waiting(index, Early::Cancelled.outcome(false), now, fx);
            }
        }
        for lane in 0..self.lanes.len() {
            for position in 0..self.lanes[lane].running.len() {
                let running = &self.lanes[lane].running[position];
                if running.flow == flow && running.ended.is_none() {
                    self.end_running(lane, position, Early::Cancelled, now, fx);
                }
            }
        }
        self.discard_flow(flow, now, fx);
    }

    /// A request of a pulled flow has its ticket.
    pub(super) fn enter_flow(&mut self, flow: usize) {
        if self.flows[flow].is_pulled() {
            self.flows[flow].live += 1;
            self.flows[flow].counters.submitted += 1;
        }
    }

    /// An ending in a pulled flow: dropped ones leave a gap in the order, others go to the outbox in order.
    pub(super) fn settle_pulled(
        &mut self,
        settled: &Settled,
        delivery: Delivery,
        now: Time,
        fx: &mut Effects,
    ) {
        let flow = settled.flow;
        let consumer = (flow, settled.key, 0);
        let mut ready: Vec<Output> = Vec::new();
        let Some(order) = self.consumers.get_mut(&consumer) else { return };
        let dropped = matches!(settled.end, End::Dropped(_));
        let placed = if dropped { order.skip(settled.ticket) } else { order.fill(settled.ticket, delivery) };
        debug_assert!(placed, "a request of a pulled flow has a place in its order");
        while let Some((gap, item)) = order.pop() {
            if gap > 0 {
                ready.push(Output::Gap(gap));
            }
            ready.push(Output::Item(item));
        }
        let trailing = order.take_trailing();
        if trailing > 0 {
            ready.push(Output::Gap(trailing));
        }
        if order.is_empty() {
            self.consumers.forget(&consumer);
        }
        if dropped {
            self.flows[flow].live -= 1;
            self.flows[flow].counters.end(settled.end);
            self.count(settled.key, |counters| counters.end(settled.end));
            self.release(settled.key);
        } else {
            self.flows[flow].undelivered += 1;
            self.flows[flow].notices += usize::from(is_notice(settled.end));
            self.count(settled.key, |counters| counters.undelivered += 1);
        }
        self.put_out(flow, ready, now, fx);
        self.ring_pullers(flow, fx);
    }

    fn put_out(&mut self, flow: usize, ready: Vec<Output>, now: Time, fx: &mut Effects) {
        for output in ready {
            match output {
                Output::Item(delivery) if self.flows[flow].discards => {
                    self.hand_over(flow, &delivery, now, fx);
                    fx.rare().trash.slots.push(delivery.slot);
                }
                output if self.flows[flow].discards => drop(output),
                output => self.flows[flow].give(output),
            }
        }
    }

    /// The next output of a flow, handed over to whoever pulls.
    pub(crate) fn pull(&mut self, flow: usize, now: Time, fx: &mut Effects) -> Pulled {
        let Some(pulling) = self.flows.get_mut(flow) else { return Pulled::End };
        let Some(output) = pulling.outbox.as_mut().and_then(VecDeque::pop_front) else {
            let over = !pulling.open || self.phase > Phase::Open;
            return if over && self.flows[flow].is_empty() { Pulled::End } else { Pulled::Nothing };
        };
        if let Output::Item(delivery) = &output {
            self.hand_over(flow, delivery, now, fx);
            self.move_line(flow, fx);
        }
        // A gap taken away may be what held up the request that the order waits for, or the last before the end.
        self.kick(now, fx);
        self.ring_pullers(flow, fx);
        Pulled::Output(output)
    }

    /// Counts an output as its consumer's. Starts nothing: an ending may hand over while its lane is being filled.
    fn hand_over(&mut self, flow: usize, delivery: &Delivery, now: Time, fx: &mut Effects) {
        let end = match delivery.end {
            End::Done if self.flows[flow].discards => {
                let times = (delivery.submitted, delivery.ended);
                self.tell(&delivery.slot, delivery.ticket, DropReason::Unpulled, times, fx);
                End::Dropped(DropReason::Unpulled)
            }
            end => end,
        };
        self.flows[flow].live -= 1;
        self.flows[flow].undelivered -= 1;
        self.flows[flow].notices -= usize::from(is_notice(delivery.end));
        self.flows[flow].counters.end(end);
        self.count(delivery.key, |counters| {
            counters.undelivered -= 1;
            counters.end(end);
        });
        self.histograms.delivery.record(now.saturating_sub(delivery.ended));
        self.histograms.total.record(now.saturating_sub(delivery.submitted));
        self.release(delivery.key);
    }

    /// Somebody who waits for a flow's output, or for its end, may want to look.
    pub(super) fn ring_pullers(&mut self, flow: usize, fx: &mut Effects) {
        if self.flows[flow].is_pulled() && self.has_news(flow) {
            fx.pulls = true;
            if !self.flows[flow].bells.is_empty() {
                fx.rare().rings.append(&mut self.flows[flow].bells);
            }
        }
    }

    /// Has the bell rung when the flow has an output or is over. False when that is so now.
    pub(crate) fn await_output(&mut self, flow: usize, bell: &std::sync::Arc<Bell>, number: u64) -> bool {
        let news = self.has_news(flow);
        if !news {
            self.flows[flow].bells.push((std::sync::Arc::clone(bell), number));
        }
        !news
    }

    /// Whoever waited with this bell and number does not wait any more.
    pub(crate) fn forget_output(&mut self, flow: usize, bell: &std::sync::Arc<Bell>, number: u64) {
        if let Some(flow) = self.flows.get_mut(flow) {
            flow.bells.retain(|(other, at)| *at != number || !std::sync::Arc::ptr_eq(other, bell));
        }
    }

    /// True when the flow has an output or is over.
    pub(crate) fn has_news(&self, flow: usize) -> bool {
        let over = self.phase > Phase::Open;
        self.flows.get(flow).is_none_or(|flow| flow.has_output() || ((over || !flow.open) && flow.is_empty()))
    }

    /// How a flow's requests ended so far.
    pub(crate) fn flow_counters(&self, flow: usize) -> Counters {
        self.flows.get(flow).map(|flow| flow.counters.clone()).unwrap_or_default()
    }

    /// True when every request of the flow has ended and was handed over.
    pub(crate) fn flow_is_empty(&self, flow: usize) -> bool {
        self.flows.get(flow).is_none_or(Flow::is_empty)
    }

    /// Every flow's pullers may look: the session is closing.
    pub(super) fn ring_all_pullers(&mut self, fx: &mut Effects) {
        fx.pulls = true;
        for flow in &mut self.flows {
            fx.rare().rings.append(&mut flow.bells);
        }
    }

    /// Ends one request as dropped for `reason`. False when it has ended already.
    pub(crate) fn drop_request(
        &mut self,
        slot: &SlotRef,
        reason: DropReason,
        now: Time,
        fx: &mut Effects,
    ) -> bool {
        self.end_early(slot.id, slot.index, Early::Dropped(reason), now, fx)
    }
}
