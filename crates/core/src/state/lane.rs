//! Lanes as the state sees them.

use std::time::Duration;

use smallvec::SmallVec;

use super::{Running, State};
use crate::engine::{Control, Lane};
use crate::request::Time;
use crate::work::Work;

/// What a lane took of the rows that were there. Zeros where nothing was joined.
#[derive(Clone, Copy, Default)]
pub(crate) struct Part {
    /// Most rows that were there at once while it ran, waiting or running.
    pub(super) rows: u32,
    /// Among so many lanes they were shared; 1 where it took all although others could have had some.
    pub(super) lanes: u32,
}

/// A lane, as the state sees it.
pub(crate) struct LaneSlot {
    /// What is taken to run here, empty but for the engine's lane; `None` while somebody has it.
    pub(super) work: Option<Work>,
    pub(super) control: Option<std::sync::Arc<dyn Control>>,
    /// It has a worker thread of its own.
    pub(super) worker: bool,
    /// A callers' lane that was given a thread, for requests that any lane may run.
    pub(super) staffed: bool,
    pub(super) busy: bool,
    /// Its worker sleeps.
    pub(super) parked: bool,
    /// Its worker was woken and has not come yet.
    pub(super) waking: bool,
    /// Its worker has left.
    pub(super) gone: bool,
    /// Its engine did not come back in time; nobody waits for it.
    pub(super) hung: bool,
    pub(super) running: SmallVec<[Running; 1]>,
    pub(super) part: Part,
    pub(super) since: Time,
    pub(super) busy_time: Duration,
    pub(super) runs: u64,
}

impl LaneSlot {
    pub(super) fn new(number: usize, engine: Option<Box<dyn Lane>>, worker: bool) -> Self {
        LaneSlot {
            control: engine.as_ref().and_then(|lane| lane.control()),
            work: Some(Work::new(number, engine)),
            worker,
            staffed: false,
            busy: false,
            parked: false,
            waking: false,
            gone: false,
            hung: false,
            running: SmallVec::new(),
            part: Part::default(),
            since: Time::ZERO,
            busy_time: Duration::ZERO,
            runs: 0,
        }
    }
}

impl LaneSlot {
    /// A thread of the session's own drives it.
    pub(super) fn is_driven(&self) -> bool {
        self.worker || self.staffed
    }

    /// Rows of what it runs.
    pub(super) fn rows(&self) -> u32 {
        self.running.iter().fold(0, |rows, one| rows.saturating_add(one.group.map_or(1, |group| group.rows)))
    }

    /// What stops each of the lane's requests: its own options, else the lane's.
    pub(super) fn controls(&self) -> impl Iterator<Item = &std::sync::Arc<dyn Control>> {
        self.running.iter().filter_map(|one| one.control.as_ref().or(self.control.as_ref()))
    }
}

impl State {
    /// The engine's lanes that nobody is using, to be dropped without the lock.
    pub(crate) fn take_engines(&mut self) -> Vec<Box<dyn Lane>> {
        self.lanes.iter_mut().filter_map(|lane| lane.work.as_mut()?.engine.take()).collect()
    }

    /// How many lanes are at work.
    pub(crate) fn lanes_running(&self) -> usize {
        self.lanes.iter().filter(|lane| lane.busy).count()
    }

    /// True while the lane's worker is to sleep.
    pub(crate) fn is_parked(&self, lane: usize) -> bool {
        self.lanes[lane].parked
    }

    pub(crate) fn lane_line(&self, lane: usize, now: Time) -> LaneStats {
        let slot = &self.lanes[lane];
        let live = slot.running.iter().any(|running| running.ended.is_none());
        let state = match () {
            () if slot.busy && live => "running",
            () if slot.busy && slot.hung => "hung",
            () if slot.busy => "overrun",
            () if slot.gone => "closed",
            () => "idle",
        };
        let current = if slot.busy { now.saturating_sub(slot.since) } else { Duration::ZERO };
        LaneStats {
            id: lane,
            state,
            runs: slot.runs,
            busy: slot.busy_time + current,
            running_for: slot.busy.then_some(current),
            worker: slot.worker,
        }
    }
}

/// A lane in `stats()`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaneStats {
    /// Its number.
    pub id: usize,
    /// `idle`, `running`, `overrun` (its request ended before the engine returned), `hung` (it did
    /// not return for so long that it was given up), `closed`.
    pub state: &'static str,
    /// Batches it has run.
    pub runs: u64,
    /// Time it was busy since the session's start.
    pub busy: Duration,
    /// How long its engine has been busy with what it runs now.
    pub running_for: Option<Duration>,
    /// False for a lane that only waiting callers use.
    pub worker: bool,
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::state::{Config, Effects};

    #[test]
    fn a_lane_whose_thread_did_not_come_to_be_is_what_it_was() {
        let config = Config { caller_lanes: 1, ..Config::default() };
        let mut state = State::new(config, vec![None, None]);
        let mut fx = Effects::default();
        assert!(state.staff(1) && !state.staff(1));
        state.lanes[0].gone = true;
        assert!(!state.left(), "its thread is waited for");
        state.unstaff(1, &mut fx);
        assert!(state.left() && fx.settled);
        assert!(state.staff(1), "it may have one another time");
    }
}
