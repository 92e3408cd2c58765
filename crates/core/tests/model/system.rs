//! The session beside its model: endings, delivery, closing, and what is checked after every operation.

use std::collections::HashMap;
use std::time::Instant;

use headway_core::admission::Overflow;
use headway_core::runtime::Waiting;
use headway_core::slot::SlotRef;
use headway_core::state::{Config, Delivery};
use headway_core::work::Work;

use crate::support::{Bench, flow, outcome, word};
use crate::{New, Op};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum At {
    Line,
    Waiting,
    Running,
    Ended,
    Refused,
}

/// A request as the model knows it; its number is its place in the list.
pub(crate) struct One {
    pub(crate) new: New,
    pub(crate) at: At,
    /// Order of admission.
    pub(crate) ticket: u64,
    /// When it was handed in.
    pub(crate) submitted: u64,
    pub(crate) deadline: Option<u64>,
    /// A thread has parked on it.
    pub(crate) parked: bool,
    pub(crate) room: Option<u64>,
    pub(crate) end: String,
    pub(crate) delivered: bool,
    pub(crate) inline: bool,
    pub(crate) slot: Option<SlotRef>,
}

pub(crate) struct Sys {
    pub(crate) bench: Bench,
    pub(crate) config: Config,
    pub(crate) flows: [(usize, Overflow); 2],
    pub(crate) all: Vec<One>,
    pub(crate) line: [Vec<usize>; 2],
    pub(crate) lanes: Vec<Option<(Work, Vec<usize>)>>,
    pub(crate) collected: Vec<Delivery>,
    pub(crate) tickets: u64,
    pub(crate) now: u64,
    pub(crate) open: bool,
    pub(crate) delivered: HashMap<(Option<i64>, i32), u64>,
    /// Runs of each group that were answered.
    pub(crate) runs: HashMap<u64, u64>,
}

impl Sys {
    pub(crate) fn new(config: Config, second: (usize, Overflow)) -> Self {
        let bench = Bench::new(config.clone());
        let own = (config.flow.queue_depth, config.flow.overflow);
        assert_eq!(bench.flow.open_flow(flow(second.0, second.1)).ok(), Some(1));
        let lanes = (0..config.workers + config.caller_lanes).map(|_| None).collect();
        Sys {
            bench,
            config,
            flows: [own, second],
            all: Vec::new(),
            line: [Vec::new(), Vec::new()],
            lanes,
            collected: Vec::new(),
            tickets: 0,
            now: 0,
            open: true,
            delivered: HashMap::new(),
            runs: HashMap::new(),
        }
    }

    pub(crate) fn ids(&self, at: At) -> impl Iterator<Item = usize> {
        (0..self.all.len()).filter(move |id| self.all[*id].at == at)
    }

    pub(crate) fn waiting(&self, flow: usize) -> usize {
        self.ids(At::Waiting).filter(|id| self.all[*id].new.flow == flow).count()
    }

    /// Ended, their callbacks have not returned.
    pub(crate) fn undelivered(&self) -> Vec<usize> {
        self.ids(At::Ended).filter(|id| self.all[*id].new.callback && !self.all[*id].delivered).collect()
    }

    pub(crate) fn noticed(&self, flow: usize) -> bool {
        let notice = |id: &usize| !self.all[*id].end.starts_with("done") && self.all[*id].end != "failed";
        self.undelivered().into_iter().filter(notice).count() >= 16 * self.flows[flow].0
    }

    pub(crate) fn room(&self, flow: usize) -> bool {
        self.waiting(flow) < self.flows[flow].0 && !self.noticed(flow)
    }

    pub(crate) fn gated(&self) -> bool {
        self.open && self.undelivered().len() >= self.config.delivery_depth
    }

    pub(crate) fn key_runs(&self, key: Option<i64>) -> bool {
        let mut on_lanes = self.lanes.iter().flatten().flat_map(|(_, ids)| ids);
        self.config.serial && key.is_some() && on_lanes.any(|id| self.all[*id].new.key == key)
    }

    pub(crate) fn enroll(&mut self, id: usize, at: At) {
        self.tickets += 1;
        self.all[id].ticket = self.tickets;
        self.all[id].at = at;
    }

    pub(crate) fn end(&mut self, id: usize, end: &str) {
        assert!(matches!(self.all[id].at, At::Waiting | At::Running), "ends once");
        self.all[id].at = At::Ended;
        self.all[id].end = end.into();
        self.move_line();
    }

    pub(crate) fn move_line(&mut self) {
        for flow in 0..2 {
            while self.open && self.room(flow) && !self.line[flow].is_empty() {
                let id = self.line[flow].remove(0);
                self.enroll(id, At::Waiting);
            }
        }
    }

    pub(crate) fn refuse(&mut self, id: usize) {
        self.all[id].at = At::Refused;
        self.line.iter_mut().for_each(|line| line.retain(|other| *other != id));
    }

    pub(crate) fn complete(&mut self, lane: usize, well: bool) {
        let Some((work, ids)) = self.lanes[lane].take() else { return };
        let group = ids.first().and_then(|id| self.all[*id].new.group);
        if let Some((key, _)) = group.filter(|_| well && ids.iter().all(|id| self.all[*id].at == At::Running))
        {
            *self.runs.entry(key).or_default() += 1;
        }
        let inline = if well { self.bench.answer(work) } else { self.bench.fail(work) };
        for id in ids {
            if self.all[id].at == At::Running {
                self.end(id, &if well { format!("done {id}") } else { "failed".into() });
            }
            let seen = inline.as_ref().map(word);
            assert_eq!(seen, self.all[id].inline.then(|| self.all[id].end.clone()), "its own answer or none");
        }
    }

    pub(crate) fn cancel(&mut self, id: usize) {
        let Some(slot) = self.all[id].slot.clone() else { return };
        let ended = self.bench.cancel(&slot);
        match self.all[id].at {
            At::Line => self.refuse(id),
            At::Waiting | At::Running => self.end(id, "cancelled"),
            At::Ended | At::Refused => return assert!(!ended),
        }
        assert!(ended);
    }

    pub(crate) fn park(&mut self, id: usize) {
        let Some(slot) = self.all[id].slot.clone() else { return };
        if matches!(self.all[id].at, At::Line | At::Waiting) {
            self.all[id].parked = true;
        }
        self.bench.flow.wait(&slot, Some(Instant::now()), Waiting::default());
    }

    pub(crate) fn advance(&mut self, by: u64) {
        self.bench.advance(by);
        self.now += by;
        let due = |one: &One| match one.at {
            At::Line => one.deadline.into_iter().chain(one.room).min(),
            At::Waiting | At::Running => one.deadline,
            At::Ended | At::Refused => None,
        };
        while let Some((_, id)) = (0..self.all.len())
            .filter_map(|id| due(&self.all[id]).filter(|at| *at <= self.now).map(|at| (at, id)))
            .min()
        {
            match self.all[id].at {
                At::Line => self.refuse(id),
                At::Running => self.end(id, "expired running"),
                _ => self.end(id, "expired waiting"),
            }
        }
    }

    pub(crate) fn cancel_all(&mut self) {
        self.line.concat().into_iter().for_each(|id| self.refuse(id));
        let live: Vec<usize> = self.ids(At::Waiting).chain(self.ids(At::Running)).collect();
        live.into_iter().for_each(|id| self.end(id, "cancelled"));
    }

    pub(crate) fn close(&mut self, drain: bool) {
        self.bench.flow.begin_close(drain);
        self.open = false;
        match drain {
            true => self.line.concat().into_iter().for_each(|id| self.refuse(id)),
            false => self.cancel_all(),
        }
    }

    pub(crate) fn returned(&mut self, raised: bool) {
        if self.collected.is_empty() {
            return;
        }
        let delivery = self.collected.remove(0);
        let tags = delivery.slot.take_tags();
        let id = *tags[0].downcast_ref::<u64>().expect("a number") as usize;
        assert_eq!((tags.len(), self.all[id].at), (1, At::Ended));
        assert_eq!(outcome(&delivery.slot), self.all[id].end, "callback of {id}");
        let one = &mut self.all[id];
        assert!(!one.delivered, "called twice");
        let last = self.delivered.insert((one.new.key, one.new.priority), one.ticket);
        assert!(last.is_none_or(|last| last < one.ticket), "out of order");
        one.delivered = true;
        self.bench.returned(&delivery, raised);
        self.move_line();
    }

    pub(crate) fn apply(&mut self, op: &Op) {
        let lanes = self.lanes.len();
        match op {
            Op::Submit(new) => self.submit(*new),
            Op::Begin(key, deadline) => self.begin(*key, *deadline),
            Op::Take(lane) => self.take(lane % self.config.workers),
            Op::Complete(lane, well) => self.complete(lane % lanes, *well),
            Op::Cancel(pick) if !self.all.is_empty() => self.cancel(pick.index(self.all.len())),
            Op::Park(pick) if !self.all.is_empty() => self.park(pick.index(self.all.len())),
            Op::Cancel(_) | Op::Park(_) => {}
            Op::Advance(by) => self.advance(*by),
            Op::Collect(most) => {
                let due = self.bench.due(*most);
                self.collected.extend(due);
            }
            Op::Return(raised) => self.returned(*raised),
            Op::CancelAll => {
                self.bench.flow.cancel_all();
                self.cancel_all();
            }
            Op::Close(drain) => self.close(*drain),
        }
        self.check();
    }

    /// The counters are the model's, every slot shows what the model says, and the bounds hold.
    pub(crate) fn check(&self) {
        let counters = self.bench.counters();
        assert_eq!(counters.submitted, self.tickets);
        assert_eq!(counters.waiting, self.ids(At::Waiting).count() as u64);
        assert_eq!(counters.running, self.ids(At::Running).count() as u64);
        assert_eq!(counters.undelivered, self.undelivered().len() as u64);
        for one in &self.all {
            let over = matches!(one.at, At::Ended | At::Refused);
            assert!(one.slot.as_ref().is_none_or(|slot| slot.is_ended() == over), "{:?}", one.new);
        }
        let together = self.config.batching.map_or(self.config.max_batch, |limits| limits.max_size as usize);
        let lanes = self.lanes.len() * together;
        let depths: usize = self.flows.iter().map(|(depth, _)| *depth).sum();
        for flow in 0..2 {
            assert!(self.waiting(flow) <= 2 * self.flows[flow].0);
            assert!(self.line[flow].is_empty() || !self.room(flow), "room, and nobody moves up");
        }
        let bound = self.config.delivery_depth + 2 * lanes + 18 * depths;
        assert!(self.undelivered().len() <= bound);
    }

    /// Everything ends, every callback is called, every outcome is the request's own.
    pub(crate) fn finish(mut self) {
        self.apply(&Op::Close(true));
        loop {
            (0..self.lanes.len()).for_each(|lane| self.apply(&Op::Complete(lane, true)));
            if self.ids(At::Waiting).count() == 0 {
                break;
            }
            (0..self.config.workers).for_each(|lane| self.apply(&Op::Take(lane)));
        }
        self.apply(&Op::Collect(usize::MAX));
        while !self.collected.is_empty() {
            self.apply(&Op::Return(false));
        }
        let counters = self.bench.counters();
        assert_eq!((counters.waiting, counters.running, counters.undelivered), (0, 0, 0));
        for one in self.all.iter().filter(|one| one.at == At::Ended && !one.new.callback) {
            assert!(one.slot.as_ref().is_none_or(|slot| outcome(slot) == one.end));
        }
    }
}
