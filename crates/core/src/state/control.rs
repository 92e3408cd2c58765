//! Cancelling, expiring, closing.

use super::admit::{closed, end_of, too_late};
use super::finish::Settled;
use super::watch::LOOK;
use super::{Effects, Phase, State};
use crate::error::{DropReason, Error, ErrorKind};
use crate::request::{Outcome, Time, Timing};
use crate::slot::{Slot, SlotRef, Tag};

/// Which requests a cancellation means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Aim {
    /// All of them, those in the line for room too.
    All,
    /// Only those in the line: they have no ticket and are refused because the session closes.
    Line,
}

impl State {
    /// Cancels one request. False when it has ended already.
    pub(crate) fn cancel(&mut self, slot: &Slot, now: Time, fx: &mut Effects) -> bool {
        self.end_early(slot.id, slot.index, Early::Cancelled, now, fx)
    }

    pub(super) fn end_early(
        &mut self,
        id: u64,
        index: usize,
        why: Early,
        now: Time,
        fx: &mut Effects,
    ) -> bool {
        if let Some(entry) = self.entry(index, id) {
            if entry.ticket.is_some() {
                let outcome = why.outcome(false);
                self.end_waiting(index, outcome, now, fx);
            } else {
                let error = why.refusal(entry.deadline.is_some_and(|deadline| deadline <= now));
                self.refuse(index, error, fx);
            }
            self.kick(now, fx);
            return true;
        }
        let place = self.lanes.iter().enumerate().find_map(|(number, lane)| {
            let position = lane.running.iter().position(|one| one.id == id && one.ended.is_none())?;
            Some((number, position))
        });
        if let Some((lane, position)) = place {
            self.end_running(lane, position, why, now, fx);
        }
        place.is_some()
    }

    /// Ends a running request: its caller has the outcome now, its lane shows `overrun` until the engine returns.
    pub(super) fn end_running(
        &mut self,
        lane: usize,
        position: usize,
        why: Early,
        now: Time,
        fx: &mut Effects,
    ) {
        let outcome = why.outcome(true);
        let slot = &mut self.lanes[lane];
        let since = slot.since;
        let running = &mut slot.running[position];
        running.ended = Some(Box::new(outcome.clone()));
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
        let (holder, settled_id) = (running.slot.clone(), running.id);
        if let Some(at) = running.deadline {
            self.deadlines.remove(at, running.id);
        }
        // The lock is held so that the flag cannot hit the lane's next request; in a batch it would hit
        // the neighbours, so it is set once all of them have ended.
        let all_ended = slot.running.iter().all(|one| one.ended.is_some());
        if all_ended {
            slot.controls().for_each(|control| control.terminate());
        }
        self.count(settled.key, |counters| counters.running -= 1);
        self.settle(&settled, holder.as_ref(), fx);
        if let Some(holder) = holder {
            fx.fills.push((holder, outcome, timing));
        }
        self.look_later(settled_id, now, fx);
        self.look_at_end(fx);
    }

    /// Takes a caller out of the line: it never gets a ticket.
    pub(super) fn refuse(&mut self, index: usize, error: Error, fx: &mut Effects) {
        if let Some(entry) = self.entries[index].as_ref()
            && let Some(at) = entry.due()
        {
            self.deadlines.remove(at, entry.id);
        }
        self.unqueue(index);
        let Some(entry) = self.take_entry(index) else { return };
        self.counters.rejected += 1;
        if entry.attached {
            self.deliver_refusal(&entry.slot, entry.submitted, fx);
        }
        fx.rare().refusals.push((entry.slot, error));
        fx.rare().trash.jobs.push(entry.job);
    }

    /// Ends everything that the aim means; the session stays as open as it was. Says how many had a ticket.
    pub(crate) fn cancel_all(&mut self, aim: Aim, now: Time, fx: &mut Effects) -> u64 {
        let live: Vec<(usize, bool)> = self
            .entries
            .iter()
            .enumerate()
            .filter_map(|(index, entry)| entry.as_ref().map(|entry| (index, entry.ticket.is_some())))
            .collect();
        // The line first, or it would move up into the places that become free.
        for (index, _) in live.iter().filter(|(_, ticketed)| !ticketed) {
            let error = match self.phase {
                Phase::Open => Early::Cancelled.refusal(false),
                Phase::Draining | Phase::Closed => closed(),
            };
            self.refuse(*index, error, fx);
        }
        if aim == Aim::Line {
            return 0;
        }
        let live_tickets = self.counters.waiting + self.counters.running;
        for (index, _) in live.iter().filter(|(_, ticketed)| *ticketed) {
            self.end_waiting(*index, Outcome::Cancelled, now, fx);
        }
        for lane in 0..self.lanes.len() {
            for position in 0..self.lanes[lane].running.len() {
                if self.lanes[lane].running[position].ended.is_none() {
                    self.end_running(lane, position, Early::Cancelled, now, fx);
                }
            }
        }
        live_tickets
    }

    /// Ends what is due, windows of batches too. Returns when to look again, unless that is known.
    pub(crate) fn expire(&mut self, now: Time, fx: &mut Effects) -> Option<Time> {
        self.armed.retain(|at| *at > now);
        while let Some((id, index)) = self.deadlines.pop_due(now) {
            match index {
                LOOK => self.give_up(id, now, fx),
                _ => {
                    self.end_early(id, index, Early::Expired, now, fx);
                }
            }
        }
        let window = self.batcher.as_mut().and_then(|batcher| batcher.window.take_if(|at| *at <= now));
        if window.is_some() {
            self.kick(now, fx);
        }
        self.rearm(fx);
        fx.arm.take()
    }

    /// Stops admission. Idempotent.
    pub(crate) fn begin_close(&mut self, drain: bool, now: Time, fx: &mut Effects) {
        if self.phase == Phase::Open {
            self.phase = Phase::Draining;
        }
        self.cut += self.cancel_all(if drain { Aim::Line } else { Aim::All }, now, fx);
        // The delivery bound holds nobody back any more, a caller beside a lane of its own least of all.
        self.kick(now, fx);
        self.wake_everyone(fx);
        self.ring_all_pullers(fx);
    }

    /// Wakes every sleeping worker, so that each can see that it may leave.
    pub(crate) fn wake_everyone(&mut self, fx: &mut Effects) {
        for (number, lane) in self.lanes.iter_mut().enumerate().filter(|(_, lane)| lane.parked) {
            lane.parked = false;
            lane.waking = true;
            fx.wake.push(number);
        }
        fx.settled = true;
        fx.deliver = true;
    }

    /// True when nothing waits or runs and no engine call is under way.
    pub(crate) fn quiet(&self) -> bool {
        self.waiting() == 0 && self.running() == 0 && self.lanes.iter().all(|lane| !lane.busy || lane.hung)
    }

    /// True when every worker has left.
    pub(crate) fn left(&self) -> bool {
        self.lanes.iter().all(|lane| !lane.is_driven() || lane.gone || lane.hung)
    }

    /// Lanes whose engine has not returned.
    pub(crate) fn stuck(&self) -> Vec<usize> {
        self.lanes.iter().enumerate().filter(|(_, lane)| lane.busy).map(|(number, _)| number).collect()
    }

    /// Adds a callback to a request that has not ended; gives it back when it has.
    pub(crate) fn attach(&mut self, slot: &SlotRef, tag: Tag) -> Option<Tag> {
        let (index, id) = (slot.index, slot.id);
        if let Some(entry) = self.entries.get_mut(index).and_then(Option::as_mut).filter(|e| e.id == id) {
            entry.callback = true;
            entry.attached = true;
            slot.add_tag(tag);
            self.end_head_start(index);
            return None;
        }
        let mut running = self.lanes.iter_mut().flat_map(|lane| lane.running.iter_mut());
        match running.find(|one| one.id == id && one.ended.is_none()) {
            Some(one) => {
                one.callback = true;
                slot.add_tag(tag);
                None
            }
            None => Some(tag),
        }
    }

    /// True while a lane holds the request and it has not ended.
    pub(crate) fn is_running(&self, slot: &Slot) -> bool {
        self.lanes.iter().flat_map(|lane| &lane.running).any(|one| one.id == slot.id && one.ended.is_none())
    }
}

/// Why a request ends before its engine has answered.
#[derive(Debug, Clone, Copy)]
pub(super) enum Early {
    Cancelled,
    Expired,
    Dropped(DropReason),
}

impl Early {
    pub(super) fn outcome(self, running: bool) -> Outcome {
        match self {
            Early::Cancelled => Outcome::Cancelled,
            Early::Expired => Outcome::Expired { running },
            Early::Dropped(reason) => Outcome::Dropped(reason),
        }
    }

    /// What the caller in the line is told. `deadline` says that the request's own deadline passed.
    fn refusal(self, deadline: bool) -> Error {
        match self {
            Early::Cancelled => Error::new(ErrorKind::Cancelled, "the request was cancelled"),
            Early::Dropped(reason) => Error::new(
                ErrorKind::Dropped(reason),
                format!("the request was dropped: {}", reason.as_str()),
            ),
            Early::Expired if deadline => too_late(),
            Early::Expired => Error::new(
                ErrorKind::QueueFull,
                "there was no room in the queue within submit_timeout; raise it, or set overflow",
            ),
        }
    }
}
