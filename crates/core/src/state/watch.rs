//! The watchdog: a run that takes too long ends for its caller, and a lane that does not come back is given up.

use super::{Effects, State};
use crate::error::{Error, ErrorKind};
use crate::request::{Outcome, Time};

/// In the deadlines, the place of a request that runs.
const RUNNING: usize = usize::MAX;
/// In the deadlines, that a lane is to be looked at.
pub(super) const LOOK: usize = usize::MAX - 1;

impl State {
    /// Has the requests that a lane was just given end in time.
    #[inline]
    pub(super) fn watch(&mut self, lane: usize, now: Time, fx: &mut Effects) {
        if let Some(limit) = self.config.run_timeout {
            self.watch_run(lane, now + limit, fx);
        }
    }

    #[cold]
    fn watch_run(&mut self, lane: usize, at: Time, fx: &mut Effects) {
        for running in &mut self.lanes[lane].running {
            if running.deadline.is_some_and(|own| own <= at) {
                continue;
            }
            if let Some(own) = running.deadline.replace(at) {
                self.deadlines.remove(own, running.id);
            }
            self.deadlines.insert(at, running.id, RUNNING);
        }
        self.rearm(fx);
    }

    /// A running request has ended for its caller; its lane has as long again to come back.
    pub(super) fn look_later(&mut self, id: u64, now: Time, fx: &mut Effects) {
        if let Some(limit) = self.config.run_timeout {
            self.deadlines.insert(now + limit, id, LOOK);
            self.rearm(fx);
        }
    }

    /// The lane that still has this request is given up until it comes back.
    pub(super) fn give_up(&mut self, id: u64, now: Time, fx: &mut Effects) {
        let found =
            self.lanes.iter_mut().find(|lane| lane.busy && lane.running.iter().any(|one| one.id == id));
        let Some(lane) = found else { return };
        lane.hung = true;
        // Whoever closes need not wait for it.
        fx.settled = true;
        self.fail_without_lanes(now, fx);
    }

    /// With every lane given up, what waits ends now: nobody will ever run it.
    #[inline]
    pub(super) fn fail_without_lanes(&mut self, now: Time, fx: &mut Effects) {
        if self.config.run_timeout.is_some() && self.lanes.iter().all(|lane| lane.hung) {
            self.fail_waiting(now, fx);
        }
    }

    #[cold]
    fn fail_waiting(&mut self, now: Time, fx: &mut Effects) {
        let ticketed = |(index, entry): (usize, &Option<super::Entry>)| {
            entry.as_ref().and_then(|entry| entry.ticket).map(|_| index)
        };
        // One after the other: each lets the line for room move up.
        while let Some(index) = self.entries.iter().enumerate().find_map(ticketed) {
            let text =
                "no lane answers any more: each is inside a run that did not return within run_timeout";
            self.end_waiting(index, Outcome::Failed(Error::new(ErrorKind::Engine, text)), now, fx);
        }
    }
}
