//! The model's dispatch: what may start, checked against what did start.

use headway_core::admission::Patience;

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
            deadline,
            room: None,
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
        let busy = self.lanes[lane].is_some();
        let Some(work) = self.bench.take(lane) else {
            assert!(busy || before.is_empty(), "work was left lying: {before:?}");
            return;
        };
        assert!(!busy);
        let ids: Vec<usize> = numbers(&work).into_iter().map(|number| number as usize).collect();
        assert!(ids.len() <= self.config.max_batch);
        self.lanes[lane] = Some((work, Vec::new()));
        for id in ids {
            assert!(self.eligible(id), "{id} may not start");
            assert!(self.all[id].deadline.is_none_or(|at| at > self.now), "expired work never starts");
            if !self.gated() {
                assert!(self.first_of_its_party(id), "first come first served");
                let top = self
                    .ids(At::Waiting)
                    .filter(|other| self.eligible(*other))
                    .map(|other| self.all[other].new.priority)
                    .max();
                assert_eq!(Some(self.all[id].new.priority), top);
            }
            self.all[id].at = At::Running;
            if let Some((_, running)) = &mut self.lanes[lane] {
                running.push(id);
            }
            self.move_line();
        }
    }
}
