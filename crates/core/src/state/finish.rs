//! Endings: of waiting requests, of running ones, and of callbacks.

use super::admit::end_of;
use super::{Delivery, Effects, Phase, Running, State};
use crate::engine::Job;
use crate::error::{DropReason, Error, ErrorKind};
use crate::metrics::End;
use crate::request::{Outcome, Ticket, Time, Timing};
use crate::schedule::KeyId;
use crate::slot::SlotRef;
use crate::work::Work;

/// An ending on its way to a counter or to delivery.
pub(super) struct Settled {
    pub(super) ticket: Ticket,
    pub(super) flow: usize,
    pub(super) key: Option<KeyId>,
    pub(super) priority: i32,
    pub(super) callback: bool,
    pub(super) ordered: bool,
    pub(super) end: End,
    pub(super) timing: Timing,
}

/// An ending that costs its caller nothing: nothing but the count of notices bounds how many there are.
pub(super) fn is_notice(end: End) -> bool {
    !matches!(end, End::Done | End::Failed)
}

impl State {
    /// Ends a request that waits, and lets the line move up into its place.
    pub(super) fn end_waiting(&mut self, index: usize, outcome: Outcome, now: Time, fx: &mut Effects) {
        let Some(entry) = self.entries[index].as_ref() else { return };
        let flow = entry.flow;
        if let Some(at) = entry.due() {
            self.deadlines.remove(at, entry.id);
        }
        self.unqueue(index);
        self.end_unqueued(index, outcome, now, fx);
        self.move_line(flow, fx);
        self.look_at_end(fx);
    }

    /// While closing: once nothing waits, sleeping workers may leave and whoever waits for the end may look.
    pub(super) fn look_at_end(&mut self, fx: &mut Effects) {
        if self.phase > Phase::Open {
            fx.settled = true;
            fx.deliver = true;
            if self.waiting() == 0 {
                self.wake_everyone(fx);
            }
        }
    }

    /// Counts an ending: at once when its caller holds the slot, else when its callback has returned.
    pub(super) fn settle(&mut self, settled: &Settled, slot: Option<&SlotRef>, fx: &mut Effects) {
        let Settled { ticket, key, timing, .. } = *settled;
        let ended = timing.ended.unwrap_or(timing.submitted);
        let pulled = self.flows[settled.flow].is_pulled();
        let Some(slot) = slot.filter(|_| settled.callback || pulled) else {
            self.tell_drop(settled, slot, fx);
            self.count(key, |counters| counters.end(settled.end));
            self.histograms.total.record(ended.saturating_sub(timing.submitted));
            self.release(key);
            return;
        };
        self.tell_drop(settled, Some(slot), fx);
        let delivery = Delivery {
            slot: SlotRef::clone(slot),
            ticket,
            told: None,
            refused: false,
            end: settled.end,
            key,
            submitted: timing.submitted,
            ended,
        };
        if pulled {
            self.settle_pulled(settled, delivery, ended, fx);
            return;
        }
        self.flows[0].undelivered += 1;
        self.count(key, |counters| counters.undelivered += 1);
        self.notices += usize::from(is_notice(settled.end));
        if settled.ordered {
            self.reorder(settled, delivery);
        } else {
            self.ready.push_back(delivery);
        }
        fx.deliver |= !self.ready.is_empty();
    }

    /// Has the delivery thread told of a drop, where somebody wants to know.
    fn tell_drop(&mut self, settled: &Settled, slot: Option<&SlotRef>, fx: &mut Effects) {
        let Timing { submitted, ended, .. } = settled.timing;
        if let (End::Dropped(reason), Some(slot)) = (settled.end, slot) {
            self.tell(slot, settled.ticket, reason, (submitted, ended.unwrap_or(submitted)), fx);
        }
    }

    /// A delivery thread that has left cannot be told any more: outputs may be given up long after the close.
    pub(super) fn tell(
        &mut self,
        slot: &SlotRef,
        ticket: Ticket,
        reason: DropReason,
        (submitted, ended): (Time, Time),
        fx: &mut Effects,
    ) {
        if !self.config.tell_drops || self.deaf {
            return;
        }
        self.notices += 1;
        self.told += 1;
        let (slot, end) = (SlotRef::clone(slot), End::Dropped(reason));
        self.ready.push_back(Delivery {
            slot,
            ticket,
            told: Some(reason),
            refused: false,
            end,
            key: None,
            submitted,
            ended,
        });
        fx.deliver = true;
    }

    /// Has the callbacks of a future called that was refused while its caller already held it.
    pub(super) fn deliver_refusal(&mut self, slot: &SlotRef, submitted: Time, fx: &mut Effects) {
        let (slot, end) = (SlotRef::clone(slot), End::Cancelled);
        self.notices += 1;
        self.ready.push_back(Delivery {
            slot,
            ticket: 0,
            told: None,
            refused: true,
            end,
            key: None,
            submitted,
            ended: submitted,
        });
        fx.deliver = true;
    }

    fn reorder(&mut self, settled: &Settled, delivery: Delivery) {
        let consumer = (0, settled.key, settled.priority);
        let Some(order) = self.consumers.get_mut(&consumer) else { return };
        order.fill(settled.ticket, delivery);
        while let Some((_, next)) = order.pop() {
            self.ready.push_back(next);
        }
        if order.is_empty() {
            self.consumers.forget(&consumer);
        }
    }

    pub(super) fn release(&mut self, key: Option<KeyId>) {
        if let Some(key) = key {
            self.keys.release(key);
        }
    }

    /// The engine has returned: the lane is free, and what has not ended yet ends now. Returns the outcome
    /// of a request that its own caller ran without a slot.
    pub(crate) fn complete(&mut self, mut work: Work, now: Time, fx: &mut Effects) -> Option<Outcome> {
        let closed = self.phase == Phase::Closed;
        let lane = &mut self.lanes[work.lane];
        lane.busy = false;
        lane.hung = false;
        lane.runs += 1;
        let since = lane.since;
        let took = now.saturating_sub(since);
        lane.busy_time += took;
        self.histograms.run.record(took);
        // Fits for 584 years.
        let nanos = (took.as_nanos() as u64).max(1);
        self.usual_run =
            if self.usual_run == 0 { nanos } else { (self.usual_run / 8 * 7 + nanos / 8).max(1) };
        if lane.running.iter().any(|one| one.ended.is_some()) {
            lane.controls().for_each(|control| control.reset());
        }
        if self.batcher.is_some() {
            self.learn(&mut work, took, now);
        }
        let mut inline = None;
        let mut running = std::mem::take(&mut self.lanes[work.lane].running);
        let mut jobs = work.jobs.iter_mut();
        for one in &mut running {
            if let Some(outcome) = self.finish(one, jobs.next(), since, now, fx) {
                inline = Some(outcome);
            }
        }
        if work.jobs.iter().any(Job::is_left) {
            fx.rare().trash.jobs.extend(work.jobs.drain(..));
        }
        work.jobs.clear();
        if closed {
            // It was abandoned and nobody will come for it: its engine's lane goes with it, without the lock.
            fx.rare().trash.works.push(work);
        } else {
            let lane = work.lane;
            self.lanes[lane].work = Some(work);
        }
        self.look_at_end(fx);
        self.kick(now, fx);
        inline
    }

    /// Ends one request that its engine has answered, unless it ended before.
    fn finish(
        &mut self,
        running: &mut Running,
        job: Option<&mut Job>,
        since: Time,
        now: Time,
        fx: &mut Effects,
    ) -> Option<Outcome> {
        if let Some(key) = running.key {
            self.keys.stop(key);
        }
        if let Some(ended) = running.ended.take() {
            return match running.slot.take() {
                Some(slot) => {
                    fx.rare().trash.slots.push(slot);
                    None
                }
                None => Some(*ended),
            };
        }
        if let Some(at) = running.deadline {
            self.deadlines.remove(at, running.id);
        }
        // A late answer stays in its job: it is dropped without the lock.
        let outcome = match job.and_then(|job| job.result.take()) {
            Some(Ok(values)) => Outcome::Done(values),
            Some(Err(error)) => Outcome::Failed(error),
            None => Outcome::Failed(Error::new(ErrorKind::Engine, "the engine gave no answer")),
        };
        self.count(running.key, |counters| counters.running -= 1);
        let timing = Timing { submitted: running.submitted, started: Some(since), ended: Some(now) };
        let settled = Settled {
            ticket: running.ticket,
            flow: running.flow,
            key: running.key,
            priority: running.priority,
            callback: running.callback,
            ordered: running.ordered,
            end: end_of(&outcome),
            timing,
        };
        self.settle(&settled, running.slot.as_ref(), fx);
        match running.slot.take() {
            Some(slot) => {
                fx.fills.push((slot, outcome, timing));
                None
            }
            None => Some(outcome),
        }
    }

    /// Outcomes whose callbacks are due.
    pub(crate) fn due(&self) -> u64 {
        self.ready.len() as u64
    }

    /// Takes outcomes whose callbacks are to be called, at most `most`.
    pub(crate) fn take_ready(&mut self, most: usize, into: &mut Vec<Delivery>) {
        let count = most.min(self.ready.len());
        self.delivering += count;
        into.extend(self.ready.drain(..count));
    }

    /// A callback has returned; `raised` says how.
    pub(crate) fn delivered(&mut self, delivery: &Delivery, raised: bool, now: Time, fx: &mut Effects) {
        self.delivering -= 1;
        self.notices -= usize::from(is_notice(delivery.end));
        if delivery.told.is_some() || delivery.refused {
            self.told -= usize::from(delivery.told.is_some());
            self.counters.callback_errors += u64::from(raised);
        } else {
            self.account(delivery, raised, now);
        }
        for flow in 0..self.flows.len() {
            self.move_line(flow, fx);
        }
        self.kick(now, fx);
        self.look_at_end(fx);
    }

    fn account(&mut self, delivery: &Delivery, raised: bool, now: Time) {
        self.flows[0].undelivered -= 1;
        self.count(delivery.key, |counters| {
            counters.undelivered -= 1;
            counters.end(delivery.end);
            counters.callback_errors += u64::from(raised);
        });
        self.histograms.delivery.record(now.saturating_sub(delivery.ended));
        self.histograms.total.record(now.saturating_sub(delivery.submitted));
        self.release(delivery.key);
    }

    /// True when every callback has returned and nobody is still to be told of a drop.
    pub(crate) fn all_told(&self) -> bool {
        self.flows[0].undelivered == 0 && self.ready.is_empty() && self.delivering == 0
    }

    /// True when no callback will ever be due again.
    pub(crate) fn delivery_over(&self) -> bool {
        self.phase > Phase::Open && self.waiting() == 0 && self.running() == 0 && self.ready.is_empty()
    }
}
