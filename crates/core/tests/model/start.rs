//! The model's dispatch: what may start, checked against what did start.

use headway_core::admission::Patience;
use headway_core::batch::Reason;

use crate::New;
use crate::support::numbers;
use crate::system::{At, One, Sys};

impl Sys {
    pub(super) fn begin(&mut self, key: Option<i64>, deadline: Option<u64>) {
        let id = self.all.len();
        let new = New {
            flow: 0,
            patience: Patience::Never,
            priority: 0,
            key,
            deadline,
            room: None,
            callback: false,
            group: None,
        };
        let expect = self.open
            && deadline != Some(0)
            && self.ids(At::Waiting).count() == 0
            && self.line.iter().all(Vec::is_empty)
            && !self.gated()
            && self.lanes.iter().any(Option::is_none)
            && !self.key_runs(key);
        let work = self.bench.flow.begin(self.ask(id, new).request, false);
        assert_eq!(work.is_ok(), expect);
        let Ok(work) = work else { return };
        let deadline = deadline.map(|deadline| self.now + deadline);
        let one = One {
            new,
            at: At::Running,
            ticket: 0,
            submitted: self.now,
            deadline,
            room: None,
            parked: false,
            end: String::new(),
            delivered: false,
            inline: true,
            slot: None,
        };
        self.all.push(one);
        self.enroll(id, At::Running);
        let lane = work.lane;
        assert!(self.lanes[lane].is_none(), "one at a time on a lane");
        self.lanes[lane] = Some((work, vec![id]));
    }

    /// The first of each consumer that has not been handed over, where it has not ended.
    pub(super) fn awaited(&self) -> Vec<usize> {
        let consumer = |id: usize| (self.all[id].new.key, self.all[id].new.priority);
        let live =
            |id: &usize| self.all[*id].new.callback && matches!(self.all[*id].at, At::Waiting | At::Running);
        let open: Vec<usize> = (0..self.all.len()).filter(live).collect();
        open.iter()
            .copied()
            .filter(|id| {
                open.iter().all(|other| {
                    consumer(*other) != consumer(*id) || self.all[*other].ticket >= self.all[*id].ticket
                })
            })
            .collect()
    }

    /// A callback is due or being called.
    pub(super) fn delivery_busy(&self) -> bool {
        let awaited = self.awaited();
        let held = |id: &usize| {
            awaited.iter().any(|head| {
                (self.all[*head].new.key, self.all[*head].new.priority)
                    == (self.all[*id].new.key, self.all[*id].new.priority)
                    && self.all[*head].ticket < self.all[*id].ticket
            })
        };
        !self.undelivered().iter().all(held)
    }

    /// May this waiting request start now?
    pub(super) fn eligible(&self, id: usize) -> bool {
        let one = &self.all[id];
        let awaited = self.awaited();
        let for_delivery = |id: usize| {
            awaited.contains(&id)
                || (self.config.serial
                    && one.new.key.is_some()
                    && awaited.iter().any(|head| self.all[*head].new.key == one.new.key))
        };
        one.at == At::Waiting
            && !self.key_runs(one.new.key)
            && (!self.gated() || (!self.delivery_busy() && for_delivery(id)))
    }

    pub(super) fn take(&mut self, lane: usize) {
        let before: Vec<usize> = self.ids(At::Waiting).filter(|id| self.eligible(*id)).collect();
        let released = self.released();
        let busy = self.lanes[lane].is_some();
        let Some(work) = self.bench.take(lane) else {
            return if !busy {
                self.left_waiting(&before)
            };
        };
        assert!(!busy);
        let ids: Vec<usize> = numbers(&work).into_iter().map(|number| number as usize).collect();
        assert!(ids.len() <= self.config.max_batch || self.config.batching.is_some());
        self.lanes[lane] = Some((work, Vec::new()));
        self.passed_over(ids[0], &before);
        let reason = self.released().zip(released).map(|(now, then)| risen(&now, &then));
        let flow = self.all[ids[0]].new.flow;
        let company = self.company_of(ids[0], flow);
        let full = self.waiting(flow) >= self.flows[flow].0;
        ids.iter().for_each(|id| self.starts(lane, *id));
        if let Some(reason) = reason {
            self.has_reason(reason, &ids, &company, full);
            self.shares_a_run(reason, &ids);
        }
    }

    /// One of those that a lane took, in their order.
    fn starts(&mut self, lane: usize, id: usize) {
        assert!(self.eligible(id), "{id} may not start");
        assert!(self.all[id].deadline.is_none_or(|at| at > self.now), "expired work never starts");
        if !self.gated() {
            // In a batch others of the same key and flow may be no company.
            assert!(self.first_of_its_party(id) || self.passes(id), "first come first served");
            let eligible = self.ids(At::Waiting).filter(|other| self.eligible(*other));
            let top = eligible.map(|other| self.all[other].new.priority).max();
            assert!(self.config.batching.is_some() || Some(self.all[id].new.priority) == top);
        }
        self.all[id].at = At::Running;
        if let Some((_, running)) = &mut self.lanes[lane] {
            running.push(id);
        }
        self.move_line();
    }

    /// Requests without a key have no order among themselves once some of them wait for others.
    fn passes(&self, id: usize) -> bool {
        self.config.batching.is_some() && self.all[id].new.key.is_none()
    }

    fn released(&self) -> Option<[u64; Reason::ALL.len()]> {
        self.bench.stats().batching.map(|stats| stats.released)
    }
}

/// The one reason that was counted.
fn risen(now: &[u64], then: &[u64]) -> Reason {
    let more: Vec<Reason> =
        Reason::ALL.into_iter().filter(|reason| now[*reason as usize] != then[*reason as usize]).collect();
    assert_eq!(
        (more.len(), now.iter().sum::<u64>()),
        (1, then.iter().sum::<u64>() + 1),
        "one run, one reason"
    );
    more[0]
}
