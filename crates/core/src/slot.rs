//! One request's outcome cell: written once, read by whoever holds the request.
//!
//! The state decides who ends a request; the cell is filled afterwards, without the state lock. A waiting
//! thread parks on its own cell, so one completion wakes one thread. Lock order: state, then cell.

use std::any::Any;
use std::time::{Duration, Instant};

use smallvec::SmallVec;

use crate::bell::Bell;
use crate::error::Error;
use crate::request::{Outcome, Ticket, Timing};
use crate::sync::{Arc, AtomicBool, Condvar, Mutex, MutexGuard, Ordering, lock, wait};
use crate::work::Work;

/// Something of the door's that travels with a request: a callback and its user data.
pub type Tag = Box<dyn Any + Send>;

/// How far a request has come, as its cell shows it.
#[derive(Debug)]
enum Stage {
    /// In the line of callers that wait for room: no ticket yet.
    Line,
    /// Admitted.
    Admitted(Ticket),
    /// Refused before a ticket existed.
    Refused(Error),
    /// Ended.
    Ended(Outcome),
    /// Ended, and somebody took the outcome.
    Taken,
}

/// What a subscriber waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Milestone {
    /// Admitted, refused or ended.
    Admitted,
    /// Refused or ended.
    Ended,
}

struct Cell {
    ticket: Option<Ticket>,
    stage: Stage,
    timing: Timing,
    /// Event loops to ring, with the number that each knows this request by.
    bells: SmallVec<[(Milestone, std::sync::Arc<Bell>, u64); 1]>,
    /// Callbacks of the door.
    tags: SmallVec<[Tag; 1]>,
    /// Threads parked here.
    sleepers: u32,
    /// Work that a lane hands to the thread parked here; boxed, for it is rare and would double the cell.
    grant: Option<Box<Work>>,
}

/// What a waiting thread finds.
#[derive(Debug)]
pub enum Seen {
    /// Refused before a ticket existed.
    Refused(Error),
    /// Admitted, not ended yet (only when that is what was waited for).
    Admitted(Ticket),
    /// Ended; the outcome can be taken.
    Ended,
    /// The caller itself is to run this work.
    Granted(Work),
    /// Nothing before the time was up.
    TimedOut,
}

/// The cell. Shared by the state, the lane that runs the request and the caller's future.
pub struct Slot {
    /// The request's number for the state; not its ticket, which it gets at admission.
    pub(crate) id: u64,
    /// Where the state kept it while it waited.
    pub(crate) index: usize,
    /// A cheap look before the lock: refused or ended.
    ended: AtomicBool,
    /// The same for a grant, which may come once at most before the request ends.
    granted: AtomicBool,
    /// It has a place, or its ending has come: nobody waits for room any more. Read without the lock.
    placed: AtomicBool,
    cell: Mutex<Cell>,
    wake: Condvar,
}

impl std::fmt::Debug for Slot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Slot").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Slot {
    pub(crate) fn new(id: u64, index: usize, ticket: Option<Ticket>, tag: Option<Tag>) -> Self {
        let cell = Cell {
            ticket,
            stage: ticket.map_or(Stage::Line, Stage::Admitted),
            timing: Timing::default(),
            bells: SmallVec::new(),
            tags: tag.into_iter().collect(),
            sleepers: 0,
            grant: None,
        };
        Slot {
            id,
            index,
            ended: AtomicBool::new(false),
            granted: AtomicBool::new(false),
            placed: AtomicBool::new(false),
            cell: Mutex::new(cell),
            wake: Condvar::new(),
        }
    }

    /// True once the request was refused or ended.
    pub fn is_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// True once it has its ticket, whatever became of it since.
    pub fn is_admitted(&self) -> bool {
        matches!(lock(&self.cell).stage, Stage::Admitted(_) | Stage::Ended(_) | Stage::Taken)
    }

    /// Its ticket, once admitted and until it ended.
    pub fn ticket(&self) -> Option<Ticket> {
        match lock(&self.cell).stage {
            Stage::Admitted(ticket) => Some(ticket),
            _ => None,
        }
    }

    /// Its ticket, whatever became of it since.
    pub fn ticket_given(&self) -> Option<Ticket> {
        lock(&self.cell).ticket
    }

    /// True when it ended as dropped and nobody took that outcome.
    pub fn was_dropped(&self) -> bool {
        matches!(lock(&self.cell).stage, Stage::Ended(Outcome::Dropped(_)))
    }

    /// Takes the outcome; later calls get `None`. The caller keeps what it took.
    pub fn take_outcome(&self) -> Option<Outcome> {
        let mut cell = lock(&self.cell);
        match std::mem::replace(&mut cell.stage, Stage::Taken) {
            Stage::Ended(outcome) => Some(outcome),
            other => {
                cell.stage = other;
                None
            }
        }
    }

    /// What ended it, without taking the outputs: the error, or `None` when it is done or not ended.
    pub fn refusal(&self) -> Option<Error> {
        match &lock(&self.cell).stage {
            Stage::Refused(error) => Some(error.clone()),
            _ => None,
        }
    }

    /// When it was submitted, started and ended.
    pub fn timing(&self) -> Timing {
        lock(&self.cell).timing
    }

    /// Takes the callbacks, in the order in which they were added.
    pub fn take_tags(&self) -> SmallVec<[Tag; 1]> {
        std::mem::take(&mut lock(&self.cell).tags)
    }

    /// Adds a callback. Only the state calls this, under its lock, so that the ending cannot miss it.
    pub(crate) fn add_tag(&self, tag: Tag) {
        lock(&self.cell).tags.push(tag);
    }

    /// Has the bell rung with `number` at the milestone. False when it is already past.
    pub fn subscribe(&self, milestone: Milestone, bell: &std::sync::Arc<Bell>, number: u64) -> bool {
        let mut cell = lock(&self.cell);
        let past = match cell.stage {
            Stage::Line => false,
            Stage::Admitted(_) => milestone == Milestone::Admitted,
            _ => true,
        };
        if !past {
            cell.bells.push((milestone, std::sync::Arc::clone(bell), number));
        }
        !past
    }

    /// The bell is not rung for this request any more.
    pub fn unsubscribe(&self, bell: &std::sync::Arc<Bell>) {
        lock(&self.cell).bells.retain(|(_, other, _)| !std::sync::Arc::ptr_eq(other, bell));
    }

    /// Waits until the milestone, a grant, or `until`. Spins for at most `spin` before it parks.
    pub fn wait(&self, milestone: Milestone, until: Option<Instant>, spin: Duration) -> Seen {
        if !spin.is_zero() {
            self.spin(milestone, spin, until);
        }
        let mut cell = lock(&self.cell);
        loop {
            if let Some(work) = cell.grant.take() {
                return Seen::Granted(*work);
            }
            match &cell.stage {
                Stage::Refused(error) => return Seen::Refused(error.clone()),
                Stage::Ended(_) | Stage::Taken => return Seen::Ended,
                Stage::Admitted(ticket) if milestone == Milestone::Admitted => {
                    return Seen::Admitted(*ticket);
                }
                Stage::Admitted(_) | Stage::Line => {}
            }
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return Seen::TimedOut;
            }
            cell.sleepers += 1;
            cell = wait(&self.wake, cell, left);
            cell.sleepers -= 1;
        }
    }

    fn spin(&self, milestone: Milestone, limit: Duration, until: Option<Instant>) {
        let start = Instant::now();
        let limit = until.map_or(limit, |until| limit.min(until.saturating_duration_since(start)));
        let come = || match milestone {
            Milestone::Admitted => self.placed.load(Ordering::Relaxed),
            Milestone::Ended => self.is_ended() || self.granted.load(Ordering::Relaxed),
        };
        while !come() && start.elapsed() < limit {
            for _ in 0..32 {
                std::hint::spin_loop();
            }
            // The thread that is waited for may want this very core.
            std::thread::yield_now();
        }
    }

    /// Notes the ticket. Under the state lock, so that no ending can come first.
    pub(crate) fn number(&self, ticket: Ticket) {
        let mut cell = lock(&self.cell);
        cell.ticket = Some(ticket);
        cell.stage = Stage::Admitted(ticket);
        self.placed.store(true, Ordering::Relaxed);
    }

    /// Tells those who wait for room; whatever happened since is told too.
    pub(crate) fn announce(&self) {
        self.tell(lock(&self.cell));
    }

    pub(crate) fn refuse(&self, error: Error) {
        self.advance(Stage::Refused(error), None);
    }

    pub(crate) fn fill(&self, outcome: Outcome, timing: Timing) {
        self.advance(Stage::Ended(outcome), Some(timing));
    }

    fn advance(&self, stage: Stage, timing: Option<Timing>) {
        let mut cell = lock(&self.cell);
        debug_assert!(matches!(cell.stage, Stage::Line | Stage::Admitted(_)), "a request ends once");
        cell.stage = stage;
        if let Some(timing) = timing {
            cell.timing = timing;
        }
        self.placed.store(true, Ordering::Relaxed);
        self.ended.store(true, Ordering::Release);
        self.tell(cell);
    }

    /// Wakes the threads parked here and rings the loops whose milestone has come; the cell is unlocked first.
    fn tell(&self, mut cell: MutexGuard<'_, Cell>) {
        let ended = self.ended.load(Ordering::Relaxed);
        let mut ring: SmallVec<[(std::sync::Arc<Bell>, u64); 1]> = SmallVec::new();
        cell.bells.retain(|(milestone, bell, number)| {
            let now = ended || *milestone == Milestone::Admitted;
            if now {
                ring.push((std::sync::Arc::clone(bell), *number));
            }
            !now
        });
        let sleepers = cell.sleepers;
        drop(cell);
        if sleepers > 0 {
            self.wake.notify_all();
        }
        for (bell, number) in ring {
            bell.ring(number);
        }
    }

    /// Puts work here for the thread parked here. Under the state lock, so that a thread that leaves either
    /// is no longer a candidate or finds the work; it is woken afterwards by [`Slot::wake_granted`].
    pub(crate) fn grant(&self, work: Work) {
        lock(&self.cell).grant = Some(Box::new(work));
        self.granted.store(true, Ordering::Relaxed);
    }

    pub(crate) fn wake_granted(&self) {
        self.wake.notify_all();
    }

    /// Waits for an ending that the state has already decided: its thread is between unlocking and filling.
    pub(crate) fn wait_filled(&self) {
        if self.is_ended() {
            return;
        }
        let mut cell = lock(&self.cell);
        while matches!(cell.stage, Stage::Line | Stage::Admitted(_)) {
            cell.sleepers += 1;
            cell = wait(&self.wake, cell, None);
            cell.sleepers -= 1;
        }
    }

    /// Takes work that was granted, if the thread it was granted to does not want it any more.
    pub fn take_grant(&self) -> Option<Work> {
        lock(&self.cell).grant.take().map(|work| *work)
    }
}

/// A shared slot.
pub type SlotRef = Arc<Slot>;
