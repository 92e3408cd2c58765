//! What a transition leaves to be done once the lock is released.

use smallvec::SmallVec;

use crate::bell::Bell;
use crate::engine::Job;
use crate::error::Error;
use crate::request::{Outcome, Time, Timing};
use crate::slot::{SlotRef, Tag};

/// What is to be done once the lock is released.
#[derive(Default)]
pub(crate) struct Effects {
    pub(crate) wake: SmallVec<[usize; 4]>,
    pub(crate) fills: SmallVec<[(SlotRef, Outcome, Timing); 1]>,
    pub(crate) admits: SmallVec<[SlotRef; 1]>,
    pub(crate) refusals: Vec<(SlotRef, Error)>,
    /// Slots whose thread was given work.
    pub(crate) grants: SmallVec<[SlotRef; 1]>,
    pub(crate) trash: Trash,
    pub(crate) deliver: bool,
    /// Somebody who pulls may want to look.
    pub(crate) pulls: bool,
    /// Event loops that wait for a flow's output.
    pub(crate) rings: Vec<(std::sync::Arc<Bell>, u64)>,
    /// Somebody who waits for the end may want to look.
    pub(crate) settled: bool,
    /// The timer is to look at this time at the latest.
    pub(crate) arm: Option<Time>,
}

impl Effects {
    /// True when nothing is to be done.
    pub(crate) fn is_idle(&self) -> bool {
        let told = self.fills.is_empty() && self.admits.is_empty() && self.refusals.is_empty();
        let woken = self.wake.is_empty() && self.grants.is_empty() && self.rings.is_empty();
        told && woken && !self.deliver && !self.pulls && !self.settled && self.arm.is_none()
    }
}

/// What is dropped without the lock: it may belong to the door.
#[derive(Default)]
pub(crate) struct Trash {
    /// Jobs of requests that never started, with their inputs.
    pub(crate) jobs: Vec<Job>,
    /// Callbacks of refused requests.
    pub(crate) tags: SmallVec<[Tag; 1]>,
    /// Slots of requests that ended before their engine returned.
    pub(crate) slots: SmallVec<[SlotRef; 1]>,
}
