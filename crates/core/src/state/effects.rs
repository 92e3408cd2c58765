//! What a transition leaves to be done once the lock is released.

use smallvec::SmallVec;

use crate::bell::Bell;
use crate::engine::Job;
use crate::error::Error;
use crate::request::{Outcome, Time, Timing};
use crate::slot::{SlotRef, Tag};
use crate::work::Work;

/// What is to be done once the lock is released.
#[derive(Default)]
pub(crate) struct Effects {
    pub(crate) wake: SmallVec<[usize; 2]>,
    pub(crate) fills: SmallVec<[(SlotRef, Outcome, Timing); 1]>,
    rare: Option<Box<Rare>>,
    pub(crate) deliver: bool,
    /// Somebody who pulls may want to look.
    pub(crate) pulls: bool,
    /// Somebody who waits for the end may want to look.
    pub(crate) settled: bool,
    /// The timer is to look at this time at the latest.
    pub(crate) arm: Option<Time>,
}

/// What most transitions leave nothing of: apart, so that they neither make nor drop it.
#[derive(Default)]
pub(crate) struct Rare {
    pub(crate) admits: SmallVec<[SlotRef; 1]>,
    pub(crate) refusals: Vec<(SlotRef, Error)>,
    /// Slots whose thread was given work.
    pub(crate) grants: SmallVec<[SlotRef; 1]>,
    /// A lane whose worker should have come by now: it may wait for the core that this thread keeps.
    pub(crate) late: Option<usize>,
    /// Event loops that wait for a flow's output.
    pub(crate) rings: Vec<(std::sync::Arc<Bell>, u64)>,
    /// What is only dropped without the lock, for it may belong to the door.
    pub(crate) trash: Trash,
}

impl Effects {
    /// Where to write down what is rare.
    pub(crate) fn rare(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    /// What is rare, if there is any.
    pub(crate) fn take_rare(&mut self) -> Option<Box<Rare>> {
        self.rare.take()
    }

    /// True when nothing is to be done.
    pub(crate) fn is_idle(&self) -> bool {
        let told = self.fills.is_empty() && self.wake.is_empty() && self.rare.is_none();
        told && !self.deliver && !self.pulls && !self.settled && self.arm.is_none()
    }
}

/// What is dropped without the lock: it may belong to the door.
#[derive(Default)]
pub(crate) struct Trash {
    /// Jobs of requests that never started, or whose answer came late, with what they hold.
    pub(crate) jobs: Vec<Job>,
    /// Work of lanes that were abandoned, with the engine's lanes.
    pub(crate) works: Vec<Work>,
    /// Callbacks of refused requests.
    pub(crate) tags: SmallVec<[Tag; 1]>,
    /// Slots of requests that ended before their engine returned.
    pub(crate) slots: SmallVec<[SlotRef; 1]>,
}
