//! Dynamic batching in the state: who runs with whom, and the window in which the first waits for others.

use smallvec::SmallVec;

use super::lane::Part;
use super::{Effects, Phase, Running, State};
use crate::batch::{Advice, Lanes, Limits, Reason, Verdict, Waiting, decide};
use crate::cost::Learner;
use crate::request::{Outcome, Time};
use crate::schedule::{Item, Seen, choose_flow};
use crate::slot::Slot;
use crate::work::Work;

/// What a session with batching keeps beside its queues.
pub(crate) struct Batcher {
    pub(super) limits: Limits,
    pub(super) learner: Learner,
    /// When the next window ends, as far as lanes are free.
    pub(super) window: Option<Time>,
    released: [u64; Reason::ALL.len()],
    runs: u64,
    requests: u64,
}

/// Dynamic batching in `stats()`.
#[derive(Debug, Clone, PartialEq)]
pub struct BatchStats {
    /// False while nothing is joined but to try it again.
    pub enabled: bool,
    /// Runs that were started.
    pub runs: u64,
    /// Requests in them.
    pub requests: u64,
    /// Runs by `Reason::ALL`.
    pub released: [u64; Reason::ALL.len()],
    /// How long a run of so many rows takes, where that is known.
    pub cost: Vec<(u32, std::time::Duration)>,
    /// Why nothing is joined.
    pub off_reason: Option<String>,
}

impl Batcher {
    pub(super) fn new(limits: Limits) -> Self {
        Batcher {
            limits,
            learner: Learner::default(),
            window: None,
            released: [0; Reason::ALL.len()],
            runs: 0,
            requests: 0,
        }
    }

    pub(super) fn count(&mut self, reason: Reason, requests: usize) {
        self.released[reason as usize] += 1;
        self.runs += 1;
        self.requests += requests as u64;
    }

    pub(crate) fn stats(&self) -> BatchStats {
        let off_reason = self.learner.off_reason();
        BatchStats {
            enabled: off_reason.is_none(),
            runs: self.runs,
            requests: self.requests,
            released: self.released,
            cost: self.learner.cost(),
            off_reason,
        }
    }
}

/// Whose windows have not ended.
#[derive(Default)]
struct Held {
    /// Groups that wait for company, with their priorities.
    windows: SmallVec<[(u64, i32); 4]>,
    /// Of these groups, but in nobody's company: they decide for themselves.
    apart: SmallVec<[usize; 4]>,
}

impl Held {
    /// The company of one that was looked at waits. Its lead's whole flow is of it or complete, so a window is looked
    /// at once a flow at most, and but once where no key comes through several.
    fn hold(&mut self, window: (u64, i32), company: &Company) {
        if !self.windows.contains(&window) {
            self.windows.push(window);
            self.apart.extend_from_slice(&company.apart);
        }
        self.apart.retain(|index| !company.members.contains(index));
    }
}

/// Whom others join.
#[derive(Clone, Copy)]
pub(super) struct Lead {
    pub(super) key: u64,
    flow: usize,
    priority: i32,
    /// On a callers' lane only what any lane may run.
    any_lane: bool,
}

/// Those who join, in the order in which they start.
pub(super) struct Company {
    pub(super) members: SmallVec<[usize; 8]>,
    /// Alike, but their serial key comes along from another flow.
    apart: SmallVec<[usize; 4]>,
    pub(super) waiting: Waiting,
}

/// Who starts next, why, and how many rows could go along.
pub(super) struct Choice {
    pub(super) index: usize,
    pub(super) reason: Reason,
    pub(super) rows: u32,
}

impl State {
    /// Takes the next batch for a lane, or sets the window in which its first request waits.
    pub(super) fn next_batch(&mut self, lane: usize, now: Time, fx: &mut Effects) -> Option<Work> {
        loop {
            let Some(Choice { index, reason, .. }) = self.choose(self.lanes[lane].worker, now) else {
                self.rearm(fx);
                return None;
            };
            let entry = self.entries[index].as_ref()?;
            if entry.deadline.is_some_and(|at| at <= now) {
                self.end_waiting(index, Outcome::Expired { running: false }, now, fx);
                continue;
            }
            if !entry.urgent && self.lanes[lane].worker {
                self.last_flow = entry.flow;
            }
            return self.launch(index, lane, reason, now, fx);
        }
    }

    /// True when something may start now for which no lane is on its way; else the window is set.
    pub(super) fn releasable(&mut self, coming: usize, now: Time, fx: &mut Effects) -> bool {
        let found = self.choose(true, now);
        self.rearm(fx);
        found.is_some_and(|choice| coming == 0 || self.needs_another(&choice, coming))
    }

    /// The first in schedule order that does not wait for others, and why it does not.
    fn choose(&mut self, worker: bool, now: Time) -> Option<Choice> {
        let mut held = Held::default();
        let mut window: Option<Time> = None;
        let found = loop {
            let Some(index) = self.candidate(worker, &held) else { break None };
            let mut company = Company::new(self.nobody(now));
            match self.verdict(index, !worker, now, &mut company) {
                Verdict::Release(reason) => break Some(Choice { index, reason, rows: company.waiting.rows }),
                Verdict::Wait(until) => {
                    window = Some(window.map_or(until, |other| other.min(until)));
                    held.hold(self.window_of(index)?, &company);
                }
            }
        };
        if let Some(batcher) = &mut self.batcher {
            batcher.window = window;
        }
        found
    }

    /// Whose window a request is in: groups of different priorities do not mix.
    fn window_of(&self, index: usize) -> Option<(u64, i32)> {
        let entry = self.entries[index].as_ref()?;
        Some((entry.group?.key, entry.priority))
    }

    /// Who would start next if those in `held` were not there.
    fn candidate(&self, worker: bool, held: &Held) -> Option<usize> {
        let free = |index: usize| {
            self.window_of(index).is_none_or(|window| !held.windows.contains(&window))
                || held.apart.contains(&index)
        };
        if let Some(index) = self.urgent_next().filter(|index| free(*index)) {
            return Some(index);
        }
        if !worker {
            return self.for_any_lane(free);
        }
        if held.windows.is_empty() {
            return self.peek().map(|(_, item)| item.index);
        }
        let first = |flow: usize| {
            if self.gated(flow) {
                // Nobody of it goes along, and delivery waits for this one: other flows' windows are not its own.
                return self.awaited(flow).filter(|item| free(item.index));
            }
            let queue = &self.flows[flow].queue;
            // Nobody passes another of its own key.
            let heads = |item: &Item| item.key.is_none() || queue.party(item).next() == Some(item);
            queue.find(|item| free(item.index) && self.may_start(item) && heads(item))
        };
        let tops: SmallVec<[(usize, Item); 8]> =
            (0..self.flows.len()).filter_map(|flow| Some((flow, first(flow)?))).collect();
        let flow = choose_flow(tops.iter().map(|(flow, item)| (*flow, item.priority)), self.last_flow)?;
        tops.into_iter().find(|(other, _)| *other == flow).map(|(_, item)| item.index)
    }

    /// Whether the request at `index` starts now, with those that could join it: they are the `company`.
    fn verdict(&self, index: usize, any_lane: bool, now: Time, company: &mut Company) -> Verdict {
        let alone = Verdict::Release(Reason::Alone);
        let (Some(batcher), Some(entry)) = (&self.batcher, self.entries[index].as_ref()) else {
            return alone;
        };
        let Some(group) = entry.group.filter(|_| entry.deadline.is_none_or(|at| at > now)) else {
            return alone;
        };
        let advice = batcher.learner.advice(group.key, &batcher.limits);
        if !matches!(advice, Advice::Join { .. }) {
            return decide(&batcher.limits, &self.nobody(entry.submitted), advice, now);
        }
        // While its flow's delivery is at its bound nobody of it may come along, and delivery waits for this one.
        if entry.urgent || self.gated(entry.flow) {
            return Verdict::Release(Reason::Idle);
        }
        let lead = Lead { key: group.key, flow: entry.flow, priority: entry.priority, any_lane };
        company.waiting.lanes = self.sharers(group.key, None);
        company.add(index, group.rows, entry);
        self.gather(&lead, company, now);
        let flow = &self.flows[entry.flow];
        company.waiting.complete |= flow.queue.len() >= flow.config.queue_depth;
        decide(&batcher.limits, &company.waiting, advice, now)
    }

    pub(super) fn nobody(&self, oldest: Time) -> Waiting {
        Waiting {
            rows: 0,
            oldest,
            deadline: None,
            complete: false,
            awaited: false,
            closing: self.phase > Phase::Open,
            lanes: Lanes { count: 1, running: 0 },
        }
    }

    /// Adds whoever may run with the lead: of its flow first, then of the others.
    pub(super) fn gather(&self, lead: &Lead, company: &mut Company, now: Time) {
        let Some(batcher) = &self.batcher else { return };
        let (most, count) = (batcher.limits.max_size, self.flows.len());
        for flow in (0..count).map(|step| (lead.flow + step) % count) {
            if self.gated(flow) || company.waiting.rows >= most {
                continue;
            }
            self.flows[flow].queue.together(lead.priority, self.config.serial, |item| {
                if company.members.contains(&item.index) {
                    return Seen::Taken;
                }
                let Some(entry) = self.entries[item.index].as_ref() else { return Seen::Passed };
                let alike = entry.group.filter(|group| group.key == lead.key);
                let suits = (entry.any_lane || !lead.any_lane) && entry.deadline.is_none_or(|at| at > now);
                let Some(group) = alike.filter(|_| suits && self.may_start(item)) else {
                    return Seen::Passed;
                };
                // `together` knows its own flow only: a serial key may have come along from another.
                if flow != lead.flow && self.keeps_order(item) && self.holds_key(company, item) {
                    company.apart.push(item.index);
                    return Seen::Passed;
                }
                if company.waiting.rows.saturating_add(group.rows) > most {
                    company.waiting.complete = true;
                    return Seen::Passed;
                }
                company.add(item.index, group.rows, entry);
                if company.waiting.rows >= most { Seen::Enough } else { Seen::Taken }
            });
        }
    }

    /// True when one of the item's key is of the company.
    fn holds_key(&self, company: &Company, item: &Item) -> bool {
        let key = |index: &usize| self.entries[*index].as_ref().map(|entry| entry.key);
        company.members.iter().any(|index| key(index) == Some(item.key))
    }

    /// Starts a request on a free lane, with whoever may join it.
    pub(super) fn launch(
        &mut self,
        index: usize,
        lane: usize,
        mut reason: Reason,
        now: Time,
        fx: &mut Effects,
    ) -> Option<Work> {
        let lead = self.lead(index, lane);
        let mut work = self.occupy(lane, now);
        if !self.start(index, &mut work, now, fx) {
            self.vacate(work);
            return None;
        }
        if let Some(lead) = lead.filter(|_| !matches!(reason, Reason::Alone | Reason::Off)) {
            reason = self.join(&lead, &mut work, reason, now, fx);
        }
        if let Some(batcher) = &mut self.batcher {
            batcher.count(reason, work.jobs.len());
            // Whoever still waits is looked at again if a lane is free.
            batcher.window = None;
        }
        Some(work)
    }

    /// Why a request that starts out of turn, on the thread that waits for it, starts as it does.
    pub(super) fn reason_out_of_turn(&self, index: usize) -> Reason {
        let Some(batcher) = &self.batcher else { return Reason::Alone };
        match self.window_of(index).map(|(key, _)| batcher.learner.advice(key, &batcher.limits)) {
            None | Some(Advice::Alone) => Reason::Alone,
            Some(Advice::Off) => Reason::Off,
            Some(Advice::Join { .. }) => Reason::Idle,
        }
    }

    /// As if one that runs led another run.
    pub(super) fn lead_like(&self, one: &Running) -> Option<Lead> {
        Some(Lead { key: one.group?.key, flow: one.flow, priority: one.priority, any_lane: false })
    }

    fn lead(&self, index: usize, lane: usize) -> Option<Lead> {
        let entry = self.entries[index].as_ref()?;
        let any_lane = !self.lanes[lane].worker;
        Some(Lead { key: entry.group?.key, flow: entry.flow, priority: entry.priority, any_lane })
    }

    /// A thread parks on a request that it does not run itself.
    pub(crate) fn await_slot(&mut self, slot: &Slot, now: Time, fx: &mut Effects) {
        let entry = self.entries.get_mut(slot.index).and_then(Option::as_mut);
        if let Some(entry) = entry.filter(|entry| entry.id == slot.id && !entry.awaited) {
            entry.awaited = true;
            self.kick(now, fx);
        }
    }

    /// Learns from a run that has ended.
    pub(super) fn learn(&mut self, work: &mut Work, took: Time, now: Time) {
        let part = self.lanes[work.lane].part;
        let there = if part.rows > 0 { self.there_at_once(work.lane, now) } else { 0 };
        let Some(batcher) = &mut self.batcher else { return };
        if let Some(reason) = work.refused.take() {
            batcher.learner.refuse(reason);
        }
        self.lanes[work.lane].part = Part::default();
        let running = &self.lanes[work.lane].running;
        if let Some(group) = running.first().and_then(|one| one.group).filter(|_| there > 0) {
            batcher.learner.together(group.key, there);
        }
        // What was stopped or failed says nothing of what a run costs.
        let whole = running.iter().all(|one| one.ended.is_none());
        let answered = work.jobs.iter().any(|job| matches!(job.result, Some(Ok(_))));
        let Some(group) = running.first().and_then(|one| one.group).filter(|_| whole && answered) else {
            return;
        };
        let rows = running.iter().filter_map(|one| Some(one.group?.rows)).sum();
        let requests = u32::try_from(running.len()).unwrap_or(u32::MAX);
        batcher.learner.record(group.key, requests, rows, took, now);
        if part.lanes > 0 {
            batcher.learner.split(group.key, rows, part.lanes, took);
        }
    }
}

impl Company {
    pub(super) fn new(waiting: Waiting) -> Self {
        Company { members: SmallVec::new(), apart: SmallVec::new(), waiting }
    }

    fn add(&mut self, index: usize, rows: u32, entry: &super::Entry) {
        self.members.push(index);
        let waiting = &mut self.waiting;
        waiting.rows = waiting.rows.saturating_add(rows);
        waiting.oldest = waiting.oldest.min(entry.submitted);
        waiting.awaited |= entry.caller || entry.awaited;
        waiting.deadline = match (waiting.deadline, entry.deadline) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
    }
}
