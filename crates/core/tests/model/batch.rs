//! The model's batching: who may share a run, and how long anybody may wait for others.

use std::time::Duration;

use headway_core::batch::{Limits, Reason, SLACK};

use crate::system::{At, Sys};

/// Who waits for whom: a group, its priority, and the flow whose request would lead.
type Window = (u64, i32);

impl Sys {
    fn limits(&self) -> Option<Limits> {
        self.config.batching
    }

    fn rows(&self, ids: &[usize]) -> u32 {
        ids.iter().filter_map(|id| self.all[*id].new.group).map(|(_, rows)| rows).sum()
    }

    fn window_of(&self, id: usize) -> Option<Window> {
        let new = self.all[id].new;
        new.group.map(|(key, _)| (key, new.priority))
    }

    /// May start as far as its own key is concerned: nobody passes another of it.
    fn heads(&self, id: usize) -> bool {
        self.all[id].new.key.is_none() || self.first_of_its_party(id)
    }

    /// Everyone of a window who may be next to join a run: of a serial key one in each flow.
    fn alike(&self, window: Window) -> Vec<usize> {
        let suits = |id: &usize| self.window_of(*id) == Some(window) && !self.key_runs(self.all[*id].new.key);
        let goes_along = |id: &usize| {
            let new = self.all[*id].new;
            let before = |other: &usize| {
                let (one, ours) = (&self.all[*other], &self.all[*id]);
                (one.new.flow, one.new.priority, one.new.key) == (new.flow, new.priority, new.key)
                    && one.ticket < ours.ticket
            };
            let mut earlier = self.ids(At::Waiting).filter(before);
            match new.key {
                None => true,
                // One at a time of a serial key; else those before it come along, or it stays too.
                Some(_) if self.config.serial => earlier.next().is_none(),
                Some(_) => earlier.all(|other| suits(&other)),
            }
        };
        self.ids(At::Waiting).filter(suits).filter(goes_along).collect()
    }

    /// Everyone of a window who could share one run if it were large enough and began in this flow.
    fn company(&self, window: Window, flow: usize) -> Vec<usize> {
        let mut found = self.alike(window);
        found.sort_by_key(|id| self.all[*id].new.flow != flow);
        if self.config.serial {
            // A key is in a run once, whichever flow its requests come from.
            let mut keys = Vec::new();
            found.retain(|id| {
                let new = self.all[*id].new.key;
                let first = new.is_none() || !keys.contains(&new);
                keys.push(new);
                first
            });
        }
        found
    }

    /// Who could share a run with this one: nobody while only what delivery waits for may start.
    pub(super) fn company_of(&self, id: usize, flow: usize) -> Vec<usize> {
        let window = self.window_of(id).filter(|_| !self.gated());
        let company = window.map(|window| self.company(window, flow)).unwrap_or_default();
        if company.contains(&id) { company } else { vec![id] }
    }

    /// May this request, whose turn it is, be left waiting now? Whoever was first of its window looked around, in
    /// either flow, and this one would go along.
    fn may_wait(&self, id: usize) -> bool {
        let Some(window) = self.window_of(id).filter(|_| !self.gated()) else { return false };
        (0..2).any(|flow| {
            let company = self.company(window, flow);
            company.contains(&id) && self.may_wait_with(window, flow, &company)
        })
    }

    /// May this company wait, led by one of the flow?
    fn may_wait_with(&self, window: Window, flow: usize, company: &[usize]) -> bool {
        let Some(limits) = self.limits() else { return false };
        let leads = |id: &usize| self.all[*id].new.flow == flow && self.heads(*id);
        let in_time = |id: &usize| {
            let deadline = self.all[*id].deadline.map(Duration::from_millis);
            // What a model takes that has never run, nobody knows.
            deadline.is_none_or(|at| self.runs.contains_key(&window.0) && self.clock() + SLACK < at)
        };
        self.open
            && self.rows(company) < limits.max_size
            && company.iter().all(|id| self.clock() < self.end_of_window(*id, &limits))
            && company.iter().all(in_time)
            && company.iter().all(|id| !self.all[*id].parked)
            && company.iter().any(leads)
            && self.waiting(flow) < self.flows[flow].0
    }

    fn clock(&self) -> Duration {
        Duration::from_millis(self.now)
    }

    fn end_of_window(&self, id: usize, limits: &Limits) -> Duration {
        Duration::from_millis(self.all[id].submitted) + limits.max_delay
    }

    /// A free lane took nothing: whoever could start is in a window that has not ended.
    pub(super) fn left_waiting(&self, eligible: &[usize]) {
        for id in eligible.iter().filter(|id| self.heads(**id)) {
            assert!(self.may_wait(*id), "{id} was left lying: {:?}", self.all[*id].new);
        }
    }

    /// Whoever was passed over had a turn before the head's and waits for others with right.
    pub(super) fn passed_over(&self, head: usize, eligible: &[usize]) {
        if self.gated() {
            return;
        }
        let priority = |id: usize| self.all[id].new.priority;
        for id in eligible.iter().filter(|id| self.heads(**id) && priority(**id) > priority(head)) {
            assert!(self.may_wait(*id), "{id} was passed over for {head}");
        }
    }

    /// Why a run may start as it does. `company` is who could share it before it started.
    pub(super) fn has_reason(&self, reason: Reason, ids: &[usize], company: &[usize], flow_full: bool) {
        let Some(limits) = self.limits() else { return };
        let group = self.all[ids[0]].new.group;
        let runs = group.map_or(0, |(key, _)| self.runs.get(&key).copied().unwrap_or(0));
        let holds = match reason {
            Reason::Full => {
                flow_full || self.rows(company) >= limits.max_size || self.rows(ids) >= limits.max_size
            }
            Reason::Delay => company.iter().any(|id| self.clock() >= self.end_of_window(*id, &limits)),
            Reason::Deadline => company.iter().any(|id| self.all[*id].deadline.is_some()),
            Reason::Closing => !self.open,
            // Nobody knows what usually comes together, or what it saves, before some runs.
            Reason::Idle => runs >= 8 || self.gated() || company.iter().any(|id| self.all[*id].parked),
            Reason::Alone => ids.len() == 1 && (group.is_none() || runs >= 8),
            Reason::Off => ids.len() == 1 && runs >= 16,
            // What usually comes together has to be known, and who takes the rest.
            Reason::Shared => runs >= 8 && self.sharers(ids).0 > 1,
        };
        assert!(holds, "{reason:?} is no reason for {ids:?} of {company:?}");
    }

    /// The lanes that share the rows of these who are about to start: free ones, and those that run rows of their group. And
    /// how many rows these run.
    fn sharers(&self, ids: &[usize]) -> (u32, u32) {
        let key = |ids: &[usize]| ids.first().and_then(|id| self.all[*id].new.group).map(|(key, _)| key);
        let others = self.lanes.iter().flatten().map(|(_, own)| own).filter(|own| own.as_slice() != ids);
        let alike: Vec<&Vec<usize>> = others.filter(|own| key(own) == key(ids)).collect();
        let free = self.lanes.iter().take(self.config.workers).filter(|lane| lane.is_none()).count();
        let running = alike.iter().map(|own| self.rows(own)).sum();
        (u32::try_from(1 + free + alike.len()).expect("few"), running)
    }

    /// All of one group and priority, in one run that is not too large, and nobody who fits was left behind.
    pub(super) fn shares_a_run(&self, reason: Reason, ids: &[usize]) {
        let Some(limits) = self.limits() else { return };
        let window = self.window_of(ids[0]);
        assert!(ids.iter().all(|id| self.window_of(*id) == window), "{ids:?} are not alike");
        assert!(
            ids.len() == 1 || (window.is_some() && self.rows(ids) <= limits.max_size),
            "{ids:?} are too many"
        );
        let keys: Vec<i64> = ids.iter().filter_map(|id| self.all[*id].new.key).collect();
        let twice = |key: &i64| keys.iter().filter(|other| *other == key).count() > 1;
        assert!(!self.config.serial || !keys.iter().any(twice), "a serial key is in a run once");
        let joined = window.filter(|_| !matches!(reason, Reason::Alone | Reason::Off) && !self.gated());
        // Not the company: the first of a key may be too large where the one of another flow fits.
        let mut left = joined.map(|window| self.alike(window)).unwrap_or_default();
        left.retain(|id| self.rows(ids) + self.rows(&[*id]) <= limits.max_size && self.heads(*id));
        if reason == Reason::Shared {
            let (lanes, running) = self.sharers(ids);
            let least = left.iter().map(|id| self.rows(&[*id])).min().expect("somebody is left");
            let there = self.rows(ids) + least + running;
            assert!(self.rows(ids) >= there.div_ceil(lanes), "{ids:?} are less than their share");
        } else {
            assert!(left.is_empty(), "{left:?} would have fitted beside {ids:?}");
        }
    }
}
