//! Admission: offers, the line for room, and the caller that runs its own request.

use super::{Effects, Entry, Flow, Manner, Phase, Running, State};
use crate::admission::{self, Decision, Load};
use crate::engine::Job;
use crate::error::{DropReason, Error, ErrorKind};
use crate::metrics::End;
use crate::request::{Outcome, Request, Ticket, Time};
use crate::slot::{Slot, SlotRef};
use crate::sync::Arc;
use crate::work::Work;

pub(crate) fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the session is closed")
}

pub(super) fn input_closed() -> Error {
    Error::new(ErrorKind::Closed, "the input is closed")
}

impl State {
    /// Offers a request to its flow. `Ok` holds its slot: admitted, in the line for room, or already ended.
    pub(crate) fn offer(
        &mut self,
        request: &mut Request,
        manner: Manner,
        now: Time,
        fx: &mut Effects,
    ) -> Result<SlotRef, Error> {
        let flow = self.flows.get(manner.flow).filter(|_| self.phase == Phase::Open);
        let (load, policy) = match flow {
            Some(flow) if flow.open => (self.load(flow), flow.config.overflow),
            Some(_) => return Err(self.turn_away(manner, input_closed(), fx)),
            None => return Err(self.turn_away(manner, closed(), fx)),
        };
        let expired = request.deadline.is_some_and(|deadline| deadline <= now);
        let decision = match admission::decide(policy, load, manner.patience) {
            _ if manner.urgent => Decision::Admit,
            decision => decision,
        };
        match decision {
            Decision::Refuse => return Err(self.turn_away(manner, full(load), fx)),
            Decision::Line if expired => return Err(self.turn_away(manner, too_late(), fx)),
            Decision::Displace if !expired => self.displace(manner.flow, now, fx),
            _ => {}
        }
        let ticket = (decision != Decision::Line).then_some(self.next_ticket + 1);
        let (index, slot) = self.insert(request, manner, ticket, now);
        match decision {
            _ if expired => self.admit_and_end(index, Outcome::Expired { running: false }, now, fx),
            Decision::Line => self.join_line(index),
            Decision::DropNew => self.admit_and_end(index, Outcome::Dropped(DropReason::Overflow), now, fx),
            _ => {
                self.admit(index);
                self.kick(now, fx);
                self.chase(now, fx);
                self.fail_without_lanes(now, fx);
            }
        }
        self.rearm(fx);
        Ok(slot)
    }

    pub(super) fn load(&self, flow: &Flow) -> Load {
        Load {
            waiting: flow.queue.len(),
            depth: flow.config.queue_depth,
            line: flow.line.len(),
            notices: if flow.is_pulled() { flow.notices + self.told } else { self.notices },
        }
    }

    /// Refuses a request before it has a ticket. What it brought is dropped without the lock.
    pub(super) fn turn_away(&mut self, manner: Manner, error: Error, fx: &mut Effects) -> Error {
        self.counters.rejected += 1;
        fx.rare().trash.tags.extend(manner.callback);
        error
    }

    #[inline]
    fn insert(
        &mut self,
        request: &mut Request,
        manner: Manner,
        ticket: Option<Ticket>,
        now: Time,
    ) -> (usize, SlotRef) {
        let index = self.free.pop().unwrap_or_else(|| {
            self.entries.push(None);
            self.entries.len() - 1
        });
        self.next_id += 1;
        self.leads += usize::from(manner.head_start);
        self.led += u64::from(manner.head_start);
        let callback = manner.callback.is_some();
        let slot = Arc::new(Slot::new(self.next_id, index, ticket, manner.callback));
        self.entries[index] = Some(Entry {
            id: self.next_id,
            ticket: None,
            flow: manner.flow,
            priority: request.priority,
            stream: request.stream.take(),
            key: None,
            job: Job::of(request),
            slot: Arc::clone(&slot),
            callback,
            attached: false,
            ordered: callback && self.config.ordered,
            any_lane: manner.any_lane,
            caller: false,
            awaited: false,
            urgent: manner.urgent,
            head_start: manner.head_start,
            submitted: now,
            deadline: request.deadline,
            room_until: manner.room_until.or_else(|| Some(now.saturating_add(manner.room_for?))),
            group: request.group,
        });
        (index, slot)
    }

    fn join_line(&mut self, index: usize) {
        let Some(entry) = self.entries[index].as_ref() else { return };
        self.flows[entry.flow].line.push_back(index);
        if let Some(at) = entry.due() {
            self.deadlines.insert(at, entry.id, index);
        }
    }

    /// Gives the ticket: from here on the request counts and must end exactly once.
    fn enroll(&mut self, index: usize) -> Option<Ticket> {
        let entry = self.entries[index].as_mut()?;
        self.next_ticket += 1;
        let ticket = self.next_ticket;
        entry.ticket = Some(ticket);
        entry.key = entry.stream.as_ref().map(|key| self.keys.acquire(key));
        let (flow, key) = (entry.flow, entry.key);
        if self.flows[flow].is_pulled() {
            self.consumers.open((flow, key, 0), ticket);
        } else if entry.ordered {
            self.consumers.open((0, key, entry.priority), ticket);
        }
        self.enter_flow(flow);
        self.count(key, |counters| {
            counters.submitted += 1;
            counters.waiting += 1;
        });
        Some(ticket)
    }

    /// Puts a request into its flow's queue.
    fn admit(&mut self, index: usize) {
        if self.enroll(index).is_none() {
            return;
        }
        let Some(entry) = self.entries[index].as_ref() else { return };
        if let Some(at) = entry.deadline {
            self.deadlines.insert(at, entry.id, index);
        }
        match State::item(entry, index) {
            Some(_) if entry.urgent => self.urgent.push_back(index),
            Some(item) => self.flows[entry.flow].queue.push(item),
            None => {}
        }
    }

    fn admit_and_end(&mut self, index: usize, outcome: Outcome, now: Time, fx: &mut Effects) {
        if self.enroll(index).is_some() {
            self.end_unqueued(index, outcome, now, fx);
        }
    }

    fn displace(&mut self, flow: usize, now: Time, fx: &mut Effects) {
        if let Some(victim) = self.flows[flow].queue.victim() {
            self.end_waiting(victim.index, Outcome::Dropped(DropReason::Overflow), now, fx);
        }
    }

    /// Lets the line move up while there is room. The timer looks no later than it has to: nobody is due sooner with a
    /// place than without.
    pub(super) fn move_line(&mut self, flow: usize, fx: &mut Effects) {
        while self.load(&self.flows[flow]).has_room() {
            let Some(index) = self.flows[flow].line.pop_front() else { break };
            if let Some(entry) = self.entries[index].as_ref()
                && let Some(at) = entry.due()
            {
                self.deadlines.remove(at, entry.id);
            }
            self.admit(index);
            if let Some(entry) = self.entries[index].as_ref()
                && let Some(ticket) = entry.ticket
            {
                entry.slot.number(ticket);
                fx.rare().admits.push(Arc::clone(&entry.slot));
            }
        }
    }

    /// Starts a request on the calling thread when nothing waits and a lane is free: no queue, no hand-off.
    /// Leaves the request as it is otherwise. `ahead` is the delivery thread, which passes every queue and bound.
    pub(crate) fn begin(
        &mut self,
        request: &mut Request,
        ahead: bool,
        now: Time,
        fx: &mut Effects,
    ) -> Option<Work> {
        let lined = self.flows.iter().any(|flow| !flow.line.is_empty());
        let behind = self.waiting() > 0 || lined || self.gated(0);
        let expired = request.deadline.is_some_and(|deadline| deadline <= now);
        if self.phase != Phase::Open || expired || (behind && !ahead) {
            return None;
        }
        let lane = self.free_lane(true, self.next_ticket + 1)?;
        let key = request.stream.as_ref().map(|key| self.keys.acquire(key));
        if let Some(key) = key.filter(|key| self.config.serial && self.keys.get(*key).running > 0) {
            self.keys.release(key);
            return None;
        }
        self.next_ticket += 1;
        self.next_id += 1;
        if let Some(at) = request.deadline {
            self.deadlines.insert(at, self.next_id, usize::MAX);
            self.rearm(fx);
        }
        self.count(key, |counters| counters.submitted += 1);
        let running = Running {
            id: self.next_id,
            ticket: self.next_ticket,
            flow: 0,
            key,
            priority: request.priority,
            slot: None,
            callback: false,
            ordered: false,
            submitted: now,
            deadline: request.deadline,
            control: request.options.clone(),
            group: request.group,
            ended: None,
        };
        if let Some(batcher) = &mut self.batcher {
            batcher.count(crate::batch::Reason::Alone, 1);
        }
        let mut work = self.occupy(lane, now);
        work.jobs.push(Job::of(request));
        self.mark_running(lane, running, now);
        self.watch(lane, now, fx);
        if behind {
            // The lane may have been meant for what waits.
            self.kick(now, fx);
        }
        Some(work)
    }

    pub(super) fn end_unqueued(&mut self, index: usize, outcome: Outcome, now: Time, fx: &mut Effects) {
        let Some(entry) = self.take_entry(index) else { return };
        self.count(entry.key, |counters| counters.waiting -= 1);
        let end = end_of(&outcome);
        let Some(ticket) = entry.ticket else { return };
        let timing = crate::request::Timing { submitted: entry.submitted, started: None, ended: Some(now) };
        let settled = super::finish::Settled {
            ticket,
            flow: entry.flow,
            key: entry.key,
            priority: entry.priority,
            callback: entry.callback,
            ordered: entry.ordered,
            end,
            timing,
        };
        self.settle(&settled, Some(&entry.slot), fx);
        fx.fills.push((entry.slot, outcome, timing));
        fx.rare().trash.jobs.push(entry.job);
    }
}

pub(super) fn end_of(outcome: &Outcome) -> End {
    match outcome {
        Outcome::Done(_) => End::Done,
        Outcome::Failed(_) => End::Failed,
        Outcome::Dropped(reason) => End::Dropped(*reason),
        Outcome::Expired { .. } => End::Expired,
        Outcome::Cancelled => End::Cancelled,
    }
}

pub(super) fn full(load: Load) -> Error {
    let Load { waiting, depth, notices, .. } = load;
    let text = match load.is_noticed() {
        true => format!("no room: {notices} requests that ended without running are still to be handed over"),
        false => format!("the queue is full: {waiting} waiting, queue_depth is {depth}"),
    };
    Error::new(ErrorKind::QueueFull, text)
}

pub(super) fn too_late() -> Error {
    let text = "the request's timeout passed while it was waiting for room";
    Error::new(ErrorKind::Expired { running: false }, text)
}
