//! The one lock's contents, and the transitions that change them.
//!
//! Every transition is called under the lock with the time as an argument, decides, and writes down in
//! [`Effects`] what is to be done after the lock is released (invariant 3): `lock -> transition -> unlock -> act`.

mod admit;
#[cfg(all(test, not(loom)))]
mod chase_tests;
mod claim;
mod consumers;
mod control;
mod dispatch;
mod effects;
mod finish;
mod flow;
mod join;
mod lane;
mod place;
mod replace;
mod share;
mod time;
#[cfg(all(test, not(loom)))]
mod walk_tests;
mod watch;

use std::collections::VecDeque;
use std::time::Duration;

use crate::admission::{Overflow, Patience};
use crate::batch::Limits;
use crate::deadlines::Deadlines;
use crate::engine::{Control, Job, Lane};
use crate::error::DropReason;
use crate::keys::Keys;
use crate::metrics::{Counters, End, Histogram};
use crate::placement::Placement;
use crate::request::{Group, Outcome, StreamKey, Ticket, Time};
use crate::schedule::{Item, KeyId};
use crate::slot::{SlotRef, Tag};
use crate::vigil::Sign;

use consumers::Consumers;
pub(crate) use control::Aim;
pub(crate) use dispatch::Turn;
pub(crate) use effects::Effects;
use flow::Flow;
pub use flow::{Output, Pulled};
pub use join::BatchStats;
use join::Batcher;
pub(crate) use lane::LaneSlot;
pub use lane::LaneStats;

/// A flow's own bounds.
#[derive(Debug, Clone, Copy)]
pub struct FlowConfig {
    /// Waiting requests, at least 1.
    pub queue_depth: usize,
    /// What happens to one more.
    pub overflow: Overflow,
}

/// A session's bounds, fixed at its start.
#[derive(Debug, Clone)]
pub struct Config {
    /// Lanes with a worker of their own. Lane numbers `0..workers`.
    pub workers: usize,
    /// Further lanes that only threads which wait for their own answer may use.
    pub caller_lanes: usize,
    /// The session's own flow, number 0.
    pub flow: FlowConfig,
    /// Undelivered callbacks at which lanes start nothing new.
    pub delivery_depth: usize,
    /// Callbacks in submission order.
    pub ordered: bool,
    /// The delivery thread is told of every drop.
    pub tell_drops: bool,
    /// One request of a stream key at a time.
    pub serial: bool,
    /// How many requests a lane takes at once.
    pub max_batch: usize,
    /// Requests of a group share a run.
    pub batching: Option<Limits>,
    /// How long a worker or a waiting thread spins before it parks.
    pub spin: Duration,
    /// Lanes are on different cores. Not with callers' lanes, and not with batching.
    pub placement: Option<std::sync::Arc<Placement>>,
    /// How long a request may run; a lane that has not come back after as long again is given up.
    pub run_timeout: Option<Duration>,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            workers: 1,
            caller_lanes: 0,
            flow: FlowConfig { queue_depth: 4, overflow: Overflow::Block },
            delivery_depth: 4,
            ordered: true,
            tell_drops: false,
            serial: false,
            max_batch: 1,
            batching: None,
            spin: Duration::ZERO,
            placement: None,
            run_timeout: None,
        }
    }
}

/// How a request is handed in, beside what it is.
pub struct Manner {
    /// The flow that admits it.
    pub flow: usize,
    /// Whether the caller may wait for room.
    pub patience: Patience,
    /// How long it waits for room, from the moment that it is handed in.
    pub room_for: Option<Duration>,
    /// Until when it waits for room, whatever `room_for` says. With neither it waits for ever.
    pub room_until: Option<Time>,
    /// A callback of the door; the request counts as undelivered until it has returned.
    pub callback: Option<Tag>,
    /// True when the caller waits for the answer itself, so that any lane will do.
    pub any_lane: bool,
    /// Ahead of everything, past every bound: the delivery thread waits for it.
    pub urgent: bool,
    /// Its caller may run it itself: a worker that is awake leaves it a moment for that, see `vigil`.
    pub head_start: bool,
}

impl Default for Manner {
    fn default() -> Self {
        Manner {
            flow: 0,
            patience: Patience::Never,
            room_for: None,
            room_until: None,
            callback: None,
            any_lane: false,
            urgent: false,
            head_start: false,
        }
    }
}

/// A request that has not started.
pub(crate) struct Entry {
    id: u64,
    /// `None` while it stands in the line for room.
    ticket: Option<Ticket>,
    flow: usize,
    priority: i32,
    stream: Option<StreamKey>,
    /// The stream key's number, from admission on.
    key: Option<KeyId>,
    job: Job,
    slot: SlotRef,
    callback: bool,
    /// A callback was added to it while its caller held it.
    attached: bool,
    /// It holds a place in its consumer's order.
    ordered: bool,
    any_lane: bool,
    /// A thread is parked on its slot and would run it.
    caller: bool,
    /// A thread is parked on its slot: in a window, nobody waits for others then.
    awaited: bool,
    /// It stands in the urgent queue.
    urgent: bool,
    /// A worker that is awake leaves it to its caller for a moment.
    head_start: bool,
    submitted: Time,
    deadline: Option<Time>,
    room_until: Option<Time>,
    group: Option<Group>,
}

impl Entry {
    /// When the timer has to look at it.
    fn due(&self) -> Option<Time> {
        match (self.ticket, self.room_until, self.deadline) {
            (None, Some(room), Some(deadline)) => Some(room.min(deadline)),
            (None, Some(room), None) => Some(room),
            (_, _, deadline) => deadline,
        }
    }
}

/// A request that a lane holds.
pub(crate) struct Running {
    id: u64,
    ticket: Ticket,
    flow: usize,
    key: Option<KeyId>,
    priority: i32,
    /// `None` when the thread that runs it is the one that waits for it.
    slot: Option<SlotRef>,
    callback: bool,
    ordered: bool,
    submitted: Time,
    deadline: Option<Time>,
    control: Option<std::sync::Arc<dyn Control>>,
    group: Option<Group>,
    /// It ended before its engine returned; the answer goes nowhere (invariant 5).
    ended: Option<Box<Outcome>>,
}

/// How far closing has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Admitting.
    Open,
    /// Not admitting; finishing what was admitted.
    Draining,
    /// Everything has ended.
    Closed,
}

/// An outcome whose callback is to be called.
#[derive(Debug)]
pub struct Delivery {
    /// The request's cell, with outcome and callbacks.
    pub slot: SlotRef,
    /// Its ticket.
    pub ticket: Ticket,
    /// Set when it only tells of a drop: nothing is handed over with it.
    pub told: Option<DropReason>,
    /// Set when the request was refused in the line: its caller has the future, and wants its callbacks called.
    pub refused: bool,
    end: End,
    key: Option<KeyId>,
    submitted: Time,
    ended: Time,
}

/// Histograms of where requests spend their time.
#[derive(Default, Clone)]
pub(crate) struct Histograms {
    pub(crate) queue: Histogram,
    pub(crate) run: Histogram,
    pub(crate) delivery: Histogram,
    pub(crate) total: Histogram,
}

/// Everything that changes.
pub(crate) struct State {
    pub(crate) config: Config,
    pub(crate) phase: Phase,
    flows: Vec<Flow>,
    /// The flow that was served last.
    last_flow: usize,
    urgent: VecDeque<usize>,
    entries: Vec<Option<Entry>>,
    free: Vec<usize>,
    pub(crate) lanes: Vec<LaneSlot>,
    pub(crate) counters: Counters,
    pub(crate) keys: Keys,
    consumers: Consumers,
    ready: VecDeque<Delivery>,
    /// Callbacks being called now.
    delivering: usize,
    /// Those among the undelivered that never ran to their end: dropped, expired, cancelled.
    notices: usize,
    /// Those among them that only tell of a drop.
    told: usize,
    /// The delivery thread has left: nobody can be told of a drop any more.
    pub(crate) deaf: bool,
    /// The delivery thread sleeps.
    pub(crate) listening: bool,
    deadlines: Deadlines,
    /// When the timer will look, the next time last: what it was told is not told again.
    armed: Vec<Time>,
    /// Dynamic batching, where the session has it.
    pub(crate) batcher: Option<Box<Batcher>>,
    /// The time of the last transition.
    latest: Time,
    /// Since when something waits that nobody took.
    untaken_since: Time,
    /// When a late worker was looked for last.
    chased: Time,
    next_ticket: Ticket,
    next_id: u64,
    /// Requests that closing has cancelled.
    pub(crate) cut: u64,
    /// Entries with `caller` set.
    callers: usize,
    /// Entries with `head_start` set.
    leads: usize,
    /// Requests that came with a head start so far.
    led: u64,
    pub(crate) histograms: Histograms,
    /// Nanoseconds that this model usually runs; 0 before the first run.
    pub(crate) usual_run: u64,
}

impl State {
    pub(crate) fn new(config: Config, lanes: Vec<Option<Box<dyn Lane>>>) -> Self {
        let workers = config.workers;
        let lanes = lanes
            .into_iter()
            .enumerate()
            .map(|(number, engine)| LaneSlot::new(number, engine, number < workers));
        let flow = Flow::new(config.flow, config.delivery_depth, false);
        State {
            phase: Phase::Open,
            flows: vec![flow],
            last_flow: 0,
            urgent: VecDeque::new(),
            entries: Vec::new(),
            free: Vec::new(),
            lanes: lanes.collect(),
            counters: Counters::default(),
            keys: Keys::default(),
            consumers: Consumers::default(),
            ready: VecDeque::new(),
            delivering: 0,
            notices: 0,
            told: 0,
            deaf: false,
            listening: false,
            cut: 0,
            deadlines: Deadlines::default(),
            armed: Vec::new(),
            batcher: config.batching.map(|limits| Box::new(Batcher::new(limits))),
            latest: Time::ZERO,
            untaken_since: Time::ZERO,
            chased: Time::ZERO,
            next_ticket: 0,
            next_id: 0,
            callers: 0,
            leads: 0,
            led: 0,
            histograms: Histograms::default(),
            usual_run: 0,
            config,
        }
    }

    /// Applies a change to the session's counters and to its key's.
    fn count(&mut self, key: Option<KeyId>, change: impl Fn(&mut Counters)) {
        change(&mut self.counters);
        if let Some(key) = key {
            change(&mut self.keys.get_mut(key).counters);
        }
    }

    fn item(entry: &Entry, index: usize) -> Option<Item> {
        Some(Item { ticket: entry.ticket?, index, priority: entry.priority, key: entry.key })
    }

    fn entry(&self, index: usize, id: u64) -> Option<&Entry> {
        self.entries.get(index)?.as_ref().filter(|entry| entry.id == id)
    }

    #[inline]
    fn take_entry(&mut self, index: usize) -> Option<Entry> {
        let entry = self.entries.get_mut(index)?.take()?;
        self.free.push(index);
        self.callers -= usize::from(entry.caller);
        self.leads -= usize::from(entry.head_start);
        Some(entry)
    }

    /// Nobody will run the request on the spot: it is for the next worker.
    fn end_head_start(&mut self, index: usize) {
        if let Some(entry) = self.entries[index].as_mut() {
            self.leads -= usize::from(entry.head_start);
            entry.head_start = false;
        }
    }

    /// What a worker that is awake sees without the lock.
    #[inline]
    pub(crate) fn sign(&self) -> Sign {
        let alone = self.leads == 1 && self.entries.len() - self.free.len() == 1;
        Sign::new(self.led, self.waiting(), alone && self.running() == 0)
    }

    /// Requests that wait, in every flow.
    pub(crate) fn waiting(&self) -> usize {
        self.counters.waiting as usize
    }

    pub(crate) fn running(&self) -> usize {
        self.counters.running as usize
    }
}
