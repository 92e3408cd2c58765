//! Dispatch: which request starts on which lane, and which sleeper is woken for it.

use smallvec::SmallVec;

use super::{Effects, Flow, LaneSlot, Phase, Running, State};
use crate::request::{Outcome, Ticket, Time};
use crate::schedule::{Item, choose_flow};
use crate::work::Work;

/// A worker that is awake takes what waits sooner than that.
pub(super) const AWAKE_BY: Time = Time::from_micros(15);

/// Waking one on an idle core takes less than that.
pub(super) const WOKEN_BY: Time = Time::from_micros(80);

/// A model that runs longer loses nothing by a worker that waits for its core.
pub(super) const LONG: Time = Time::from_micros(50);

/// One is looked for at most this often.
pub(super) const CHASE_EVERY: Time = Time::from_micros(200);

impl State {
    /// True when so much of a flow is undelivered that nothing new of it may start (invariant 4). Closing lifts
    /// it: nothing is admitted any more, and the thread that closes may be the one that delivers.
    pub(super) fn gated(&self, flow: usize) -> bool {
        let flow = &self.flows[self.delivery_of(flow)];
        self.phase == Phase::Open && flow.undelivered >= flow.delivery_depth
    }

    /// Whose order and bound a flow's outcomes obey: its own when they are pulled, else the session's callbacks'.
    pub(super) fn delivery_of(&self, flow: usize) -> usize {
        if self.flows[flow].is_pulled() { flow } else { 0 }
    }

    /// A lane that nobody uses, for the request with this ticket; `any` includes those that only waiting callers may use, and prefers them.
    pub(super) fn free_lane(&self, any: bool, ticket: Ticket) -> Option<usize> {
        if let Some(placement) = &self.config.placement {
            return self.placed_lane(placement, ticket);
        }
        let free = |number: &usize| {
            let lane = &self.lanes[*number];
            !lane.busy && (any || lane.worker)
        };
        (0..self.lanes.len()).rev().find(free)
    }

    pub(super) fn may_start(&self, item: &Item) -> bool {
        !self.config.serial || item.key.is_none_or(|key| self.keys.get(key).running == 0)
    }

    /// The flow whose turn it is, and its next request.
    pub(super) fn peek(&self) -> Option<(usize, Item)> {
        if self.flows.len() == 1 {
            return self.peek_flow(0).map(|item| (0, item));
        }
        let tops: SmallVec<[(usize, Item); 8]> =
            (0..self.flows.len()).filter_map(|flow| Some((flow, self.peek_flow(flow)?))).collect();
        let flow = choose_flow(tops.iter().map(|(flow, item)| (*flow, item.priority)), self.last_flow)?;
        tops.into_iter().find(|(other, _)| *other == flow)
    }

    fn peek_flow(&self, flow: usize) -> Option<Item> {
        if self.gated(flow) {
            self.awaited(flow)
        } else {
            self.flows[flow].queue.peek(|item| self.may_start(item))
        }
    }

    /// While a flow's delivery is blocked by its bound: the request that delivery itself waits for.
    pub(super) fn awaited(&self, flow: usize) -> Option<Item> {
        let state = &self.flows[flow];
        let delivers = !self.ready.is_empty() || self.delivering > 0;
        if if state.is_pulled() { state.has_output() } else { delivers } {
            return None;
        }
        let heads: SmallVec<[Ticket; 8]> = self.consumers.heads(self.delivery_of(flow)).collect();
        let item = state.queue.find(|item| heads.contains(&item.ticket) && self.may_start(item))?;
        let first = state.queue.party(&item).next().filter(|_| self.keeps_order(&item));
        Some(first.copied().unwrap_or(item))
    }

    /// True when the item may not pass those of its key.
    pub(super) fn keeps_order(&self, item: &Item) -> bool {
        self.config.serial && item.key.is_some()
    }

    /// True when the item may start out of turn: at most it passes other keys' requests.
    pub(super) fn may_pass(&self, flow: &Flow, item: &Item) -> bool {
        self.may_start(item)
            && (!self.keeps_order(item) || flow.queue.party(item).next().is_some_and(|first| first == item))
    }

    /// The first urgent request that may start.
    pub(super) fn urgent_next(&self) -> Option<usize> {
        self.urgent.iter().copied().find(|index| {
            self.entries[*index]
                .as_ref()
                .and_then(|entry| State::item(entry, *index))
                .is_some_and(|item| self.may_start(&item))
        })
    }

    /// Takes the next request for a worker's lane. Expired ones end here: they never start.
    #[inline]
    pub(super) fn next(&mut self, lane: usize, now: Time, fx: &mut Effects) -> Option<Work> {
        if self.lanes[lane].busy {
            return None;
        }
        if self.batcher.is_some() {
            return self.next_batch(lane, now, fx);
        }
        let mut work: Option<Work> = None;
        while work.as_ref().is_none_or(|work| work.jobs.len() < self.config.max_batch) {
            let index = match self.urgent_on(lane) {
                Some(index) => index,
                // Urgent work goes to the next free lane, whoever's; else these take only what any lane may run.
                None if !self.lanes[lane].worker => match self.for_any_lane(|_| true) {
                    Some(index) => index,
                    None => break,
                },
                None => match self.peek_on(lane) {
                    Some((flow, item)) => {
                        self.last_flow = flow;
                        item.index
                    }
                    None => break,
                },
            };
            if self.entries[index].as_ref().is_some_and(|entry| entry.deadline.is_some_and(|at| at <= now)) {
                self.end_waiting(index, Outcome::Expired { running: false }, now, fx);
                continue;
            }
            let mut taken = work.take().unwrap_or_else(|| self.occupy(lane, now));
            let started = self.start(index, &mut taken, now, fx);
            if taken.jobs.is_empty() {
                self.vacate(taken);
                break;
            }
            work = Some(taken);
            if !started {
                break;
            }
        }
        if let Some(work) = &work {
            self.watch(work.lane, now, fx);
        }
        work
    }

    /// Takes a waiting request out of its queue and puts it on a lane. False when it does not wait.
    #[inline]
    pub(super) fn start(&mut self, index: usize, work: &mut Work, now: Time, fx: &mut Effects) -> bool {
        self.take_from_queue(index, true);
        let Some(entry) = self.take_entry(index) else { return false };
        let Some(ticket) = entry.ticket else { return false };
        self.count(entry.key, |counters| counters.waiting -= 1);
        let flow = entry.flow;
        let running = Running {
            id: entry.id,
            ticket,
            flow,
            key: entry.key,
            priority: entry.priority,
            slot: Some(entry.slot),
            callback: entry.callback,
            ordered: entry.ordered,
            submitted: entry.submitted,
            deadline: entry.deadline,
            control: entry.job.options.clone(),
            group: entry.group,
            ended: None,
        };
        work.jobs.push(entry.job);
        self.move_line(flow, fx);
        self.mark_running(work.lane, running, now);
        self.untaken_since = now;
        true
    }

    /// Takes an entry out of whichever queue it stands in.
    pub(super) fn unqueue(&mut self, index: usize) {
        self.take_from_queue(index, false);
    }

    /// `to_run` says that its key has had its turn.
    fn take_from_queue(&mut self, index: usize, to_run: bool) {
        let Some(entry) = self.entries[index].as_ref() else { return };
        match State::item(entry, index) {
            Some(_) if entry.urgent => self.urgent.retain(|other| *other != index),
            Some(item) => {
                let queue = &mut self.flows[entry.flow].queue;
                if to_run {
                    queue.take(&item)
                } else {
                    queue.remove(&item)
                };
            }
            None => self.flows[entry.flow].line.retain(|other| *other != index),
        }
    }

    /// Takes a free lane.
    #[inline]
    pub(super) fn occupy(&mut self, lane: usize, now: Time) -> Work {
        let slot = &mut self.lanes[lane];
        slot.busy = true;
        slot.waking = false;
        slot.since = now;
        slot.work.take().unwrap_or_else(|| Work::new(lane, None))
    }

    /// Gives a lane back on which nothing was started.
    pub(super) fn vacate(&mut self, work: Work) {
        let slot = &mut self.lanes[work.lane];
        slot.busy = false;
        slot.work = Some(work);
    }

    pub(super) fn mark_running(&mut self, lane: usize, running: Running, now: Time) {
        self.count(running.key, |counters| counters.running += 1);
        if let Some(key) = running.key {
            self.keys.start(key);
        }
        self.histograms.queue.record(now.saturating_sub(running.submitted));
        self.lanes[lane].running.push(running);
    }

    /// True for a lane whose worker sleeps, or that a parked caller may get.
    #[inline]
    fn is_called(&self, lane: &LaneSlot) -> bool {
        !lane.busy && !lane.gone && (lane.parked || (!lane.worker && self.callers > 0))
    }

    /// Wakes as many sleeping workers as there is work for, and hands work to callers parked on their own requests.
    pub(super) fn kick(&mut self, now: Time, fx: &mut Effects) {
        if self.waiting() == 0
            || (self.batcher.is_none() && !self.lanes.iter().any(|lane| self.is_called(lane)))
        {
            return;
        }
        if self.config.placement.is_some() {
            return self.kick_placed(fx);
        }
        let waking = self.lanes.iter().filter(|lane| lane.waking && !lane.busy).count();
        let mut unclaimed = self.waiting().saturating_sub(waking);
        if unclaimed == 0 || (self.urgent_next().is_none() && self.peek().is_none()) {
            return;
        }
        if self.batcher.is_some() {
            // One worker takes a whole batch or its share, and wakes the next when something is left.
            let idle = self.lanes.iter().filter(|lane| !lane.busy && !lane.gone).count();
            if idle <= waking || !self.releasable(waking, now, fx) {
                return;
            }
            unclaimed = 1;
        }
        for number in 0..self.lanes.len() {
            let lane = &mut self.lanes[number];
            if unclaimed == 0 {
                break;
            }
            if lane.busy || lane.gone {
                continue;
            }
            let (worker, parked) = (lane.worker, lane.parked);
            if !worker && self.callers > 0 && self.grant(number, now, fx) {
                unclaimed -= 1;
            } else if parked && (worker || self.has_for_any_lane()) {
                self.lanes[number].parked = false;
                self.lanes[number].waking = true;
                fx.wake.push(number);
                unclaimed -= 1;
            }
        }
    }

    /// Looks for a worker that should have come by now. A thread that gets ready on the core of one that computes
    /// waits there for milliseconds, even beside an idle core; so whoever submits has it moved.
    pub(super) fn chase(&mut self, now: Time, fx: &mut Effects) {
        if self.waiting() < 2 {
            self.untaken_since = now;
        }
        let late = now.saturating_sub(self.untaken_since);
        if late < AWAKE_BY || now.saturating_sub(self.chased) < CHASE_EVERY || self.batcher.is_some() {
            return;
        }
        let usual = Time::from_nanos(self.usual_run);
        let awaited = |lane: &LaneSlot| match lane.busy {
            // It may have been driven from its core in the middle of a run.
            true => late >= AWAKE_BY + usual * 4 && usual < LONG,
            false => !lane.gone && !lane.parked && late >= if lane.waking { WOKEN_BY } else { AWAKE_BY },
        };
        if let Some(lane) = self.lanes.iter().position(|lane| lane.worker && awaited(lane))
            && self.peek().is_some()
        {
            self.chased = now;
            fx.rare().late = Some(lane);
        }
    }

    /// The first waiting request that any lane may run and that satisfies `wanted`.
    pub(super) fn for_any_lane(&self, wanted: impl Fn(usize) -> bool) -> Option<usize> {
        let suits = |item: &Item| {
            self.entries[item.index].as_ref().is_some_and(|entry| entry.any_lane) && wanted(item.index)
        };
        self.flows.iter().enumerate().find_map(|(number, flow)| {
            let open = !self.gated(number);
            let item = flow.queue.find(|item| open && suits(item) && self.may_pass(flow, item))?;
            Some(item.index)
        })
    }

    fn has_for_any_lane(&self) -> bool {
        self.urgent_next().is_some() || self.for_any_lane(|_| true).is_some()
    }

    /// Gives a callers' lane a thread of its own, for requests that any lane may run. False when it has one.
    pub(crate) fn staff(&mut self, lane: usize) -> bool {
        let slot = &mut self.lanes[lane];
        let free = !slot.is_driven() && self.phase == Phase::Open;
        slot.staffed |= free;
        free
    }

    /// The thread did not come to be: nobody that closes waits for it.
    pub(crate) fn unstaff(&mut self, lane: usize, fx: &mut Effects) {
        self.lanes[lane].staffed = false;
        fx.settled = true;
    }

    /// What a worker finds when it comes back: work, a place to sleep (`may_park`), or the end.
    #[inline]
    pub(crate) fn turn(&mut self, lane: usize, may_park: bool, now: Time, fx: &mut Effects) -> Turn {
        self.lanes[lane].waking = false;
        self.lanes[lane].parked = false;
        if let Some(work) = self.next(lane, now, fx) {
            self.kick(now, fx);
            return Turn::Work(work);
        }
        if self.phase > Phase::Open && self.waiting() == 0 && !self.lanes[lane].busy {
            self.lanes[lane].gone = true;
            fx.settled = true;
            return Turn::Leave;
        }
        if !self.lanes[lane].worker {
            // While it was on its way it counted as the one who takes the work, which may not be for it.
            self.kick(now, fx);
        }
        self.lanes[lane].parked = may_park;
        Turn::Park
    }
}

/// What a worker does next.
pub(crate) enum Turn {
    Work(Work),
    Park,
    Leave,
}
