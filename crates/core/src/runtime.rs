//! The runtime: one lock around the state, and what is done after it is released.
//!
//! `submit -> take -> complete` is the whole flow. Whoever drives a lane uses `take` and `complete`:
//! a native worker, the calling thread, a Python thread, a process proxy.

use std::time::{Duration, Instant};

use crate::clock::Clock;
use crate::engine::Engine;
use crate::error::Error;
use crate::request::{Outcome, Request, Time};
use crate::slot::{Milestone, Seen, Slot, SlotRef, Tag};
use crate::state::{Config, Effects, FlowConfig, LaneStats, Manner, State, Turn};
use crate::sync::{Arc, AtomicBool, AtomicU64, Condvar, Mutex, Ordering, lock};
use crate::vigil::Sign;
use crate::work::Work;

/// On a cache line of its own: who looks at it does not slow down who takes the lock beside it.
#[repr(align(128))]
struct Apart<T>(T);

/// What every thread of a session shares.
pub struct Shared {
    pub(crate) state: Mutex<State>,
    /// One a lane: its sleeping worker's.
    pub(crate) lane_bells: Vec<Condvar>,
    /// The delivery thread's.
    pub(crate) delivery_bell: Condvar,
    /// Those who pull from a flow.
    pub(crate) pull_bell: Condvar,
    /// Those who wait for the end.
    pub(crate) settled_bell: Condvar,
    /// Freed at close, after the last lane.
    pub(crate) engine: Mutex<Option<std::sync::Arc<dyn Engine>>>,
    can_cancel: bool,
    /// Requests wait for others: who parks on one ends that.
    batches: bool,
    pub(crate) clock: Clock,
    pub(crate) spin: Duration,
    /// What waits, for spinning workers to look at without the lock: a `Sign`.
    sign: Apart<AtomicU64>,
    /// No more requests are admitted: who spins goes to see whether its lane has to leave.
    pub(crate) closing: AtomicBool,
    /// Nanoseconds the model usually runs; 0 while unknown.
    usual: AtomicU64,
    /// The core of the thread that woke a worker last, see `cores`; 0 while unknown.
    pub(crate) waker: AtomicU64,
}

/// How a thread waits for its own request.
#[derive(Debug, Clone, Copy, Default)]
pub struct Waiting {
    /// It may run the request itself.
    pub execute: bool,
    /// It is the delivery thread: ahead of the queue, past the delivery bound.
    pub ahead: bool,
    /// It has waited for this request before, and spun for as long as it may.
    pub again: bool,
}

impl Shared {
    /// A session's flow. `lanes` holds one engine lane for each of `config.workers + config.caller_lanes`,
    /// or `None` for lanes that are driven without one.
    pub fn new(
        config: Config,
        engine: Option<std::sync::Arc<dyn Engine>>,
        clock: Clock,
    ) -> Result<Arc<Self>, Error> {
        let count = config.workers + config.caller_lanes;
        let lanes = (0..count)
            .map(|number| engine.as_ref().map(|engine| engine.open_lane(number)).transpose())
            .collect::<Result<Vec<_>, Error>>()?;
        let can_cancel = engine.as_ref().is_some_and(|engine| engine.can_cancel());
        Ok(Arc::new(Shared {
            lane_bells: (0..count).map(|_| Condvar::new()).collect(),
            delivery_bell: Condvar::new(),
            pull_bell: Condvar::new(),
            settled_bell: Condvar::new(),
            engine: Mutex::new(engine),
            can_cancel,
            batches: config.batching.is_some(),
            clock,
            spin: config.spin,
            sign: Apart(AtomicU64::new(0)),
            closing: AtomicBool::new(false),
            usual: AtomicU64::new(0),
            waker: AtomicU64::new(0),
            state: Mutex::new(State::new(config, lanes)),
        }))
    }

    /// `lock -> transition -> unlock -> act`, the only way into the state.
    #[inline]
    pub(crate) fn act<R>(
        self: &Arc<Self>,
        transition: impl FnOnce(&mut State, Time, &mut Effects) -> R,
    ) -> R {
        let now = self.clock.now();
        let mut fx = Effects::default();
        let mut state = lock(&self.state);
        let now = state.no_earlier(now);
        let result = transition(&mut state, now, &mut fx);
        self.publish(&mut state, &mut fx);
        drop(state);
        self.apply(&mut fx);
        result
    }

    /// The last thing done under the lock.
    pub(crate) fn publish(&self, state: &mut State, fx: &mut Effects) {
        // A thread that does not sleep needs no wake-up; it looks before it sleeps.
        fx.deliver = fx.deliver && std::mem::take(&mut state.listening);
        self.sign.0.store(state.sign().bits(), Ordering::Relaxed);
        self.usual.store(state.usual_run, Ordering::Relaxed);
    }

    #[cfg(not(loom))]
    pub(crate) fn arm(self: &Arc<Self>, at: Time) {
        if let Some(instant) = self.clock.instant_of(at) {
            crate::timer::arm(instant, Arc::downgrade(self));
        }
    }

    #[cfg(loom)]
    pub(crate) fn arm(self: &Arc<Self>, _at: Time) {}

    /// The loaded model; `None` for lanes without an engine, and after close.
    pub fn engine(&self) -> Option<std::sync::Arc<dyn Engine>> {
        lock(&self.engine).clone()
    }

    /// Time on this session's clock.
    pub fn now(&self) -> Time {
        self.clock.now()
    }

    /// What a worker that is awake sees.
    pub fn sign(&self) -> Sign {
        Sign::from_bits(self.sign.0.load(Ordering::Relaxed))
    }

    /// How long the model usually runs, once it has run.
    pub fn usual_run(&self) -> Option<Duration> {
        match self.usual.load(Ordering::Relaxed) {
            0 => None,
            nanos => Some(Duration::from_nanos(nanos)),
        }
    }

    /// True when the engine can stop a running request.
    pub fn can_cancel(&self) -> bool {
        self.can_cancel
    }

    /// Hands a request in. Never blocks: a request that waits for room is in the line when this returns.
    ///
    /// # Errors
    /// `Closed`, `QueueFull`: no ticket was given.
    pub fn submit(self: &Arc<Self>, mut request: Request, manner: Manner) -> Result<SlotRef, Error> {
        // What was not admitted is dropped here, without the lock.
        self.act(|state, now, fx| state.offer(&mut request, manner, now, fx))
    }

    /// From now on somebody takes on a callers' lane, which then runs what any lane may run. False when somebody
    /// does already, or the session closes.
    pub fn staff(self: &Arc<Self>, lane: usize) -> bool {
        self.act(|state, _, _| state.staff(lane))
    }

    /// Counts a call that raised before it reached the flow.
    pub fn reject(self: &Arc<Self>) {
        self.act(|state, _, _| state.counters.rejected += 1);
    }

    /// Opens another admission queue; flows are served fairly.
    ///
    /// # Errors
    /// `Closed`.
    pub fn open_flow(self: &Arc<Self>, config: FlowConfig) -> Result<usize, Error> {
        self.act(|state, _, _| state.open_flow(config, false))
    }

    /// Admits nothing more to a flow; what waits in it still runs. Its number may be given out again.
    pub fn close_flow(self: &Arc<Self>, flow: usize) {
        self.act(|state, _, fx| state.close_flow(flow, fx));
    }

    /// Takes a lane for a request that the calling thread runs itself: when nothing waits and a lane is free.
    /// `ahead` is the delivery thread.
    ///
    /// # Errors
    /// The request itself, to be submitted instead.
    pub fn begin(self: &Arc<Self>, mut request: Request, ahead: bool) -> Result<Work, Request> {
        self.begin_with(&mut request, ahead).ok_or(request)
    }

    /// The same for a request that stays where it is: empty once its work was begun.
    #[inline]
    pub fn begin_with(self: &Arc<Self>, request: &mut Request, ahead: bool) -> Option<Work> {
        self.act(|state, now, fx| state.begin(request, ahead, now, fx))
    }

    /// Ends work that was taken. The outcome is returned for a request begun by its own caller.
    pub fn complete(self: &Arc<Self>, mut work: Work) -> Option<Outcome> {
        work.release();
        self.act(|state, now, fx| state.complete(work, now, fx))
    }

    /// Waits for work on a worker's lane; `None` when the lane is closed.
    pub fn take(self: &Arc<Self>, lane: usize) -> Option<Work> {
        self.step(lane, None)
    }

    /// Takes work if there is some now.
    pub fn try_take(self: &Arc<Self>, lane: usize) -> Option<Work> {
        self.act(|state, now, fx| match state.turn(lane, false, now, fx) {
            Turn::Work(work) => Some(work),
            Turn::Park | Turn::Leave => None,
        })
    }

    /// Waits until the request ends (or `until`), running it on this thread where `how` allows.
    pub fn wait(self: &Arc<Self>, slot: &SlotRef, until: Option<Instant>, how: Waiting) -> Seen {
        self.wait_until(slot, || until, how)
    }

    /// The same; the clock is not looked at for a request that need not wait.
    #[inline]
    pub fn wait_until(
        self: &Arc<Self>,
        slot: &SlotRef,
        until: impl Fn() -> Option<Instant>,
        how: Waiting,
    ) -> Seen {
        let spin = if how.again { Duration::ZERO } else { self.patience() };
        loop {
            if how.execute && !slot.is_ended() {
                let claimed = self.act(|state, now, fx| state.claim(slot, how.ahead, now, fx));
                if let Some(work) = claimed {
                    self.run(work, slot);
                    if slot.is_ended() {
                        return Seen::Ended;
                    }
                    continue;
                }
            }
            if self.batches && !how.execute && !slot.is_ended() {
                self.act(|state, now, fx| state.await_slot(slot, now, fx));
            }
            match slot.wait(Milestone::Ended, until(), spin) {
                Seen::Granted(work) => self.run(work, slot),
                seen => return seen,
            }
        }
    }

    /// How long to spin for an answer, or for room: it pays while the model is quick.
    pub fn patience(&self) -> Duration {
        match self.usual_run() {
            Some(usual) if usual < self.spin => self.spin,
            _ => Duration::ZERO,
        }
    }

    /// Runs work on the thread that waits for it; what ended before it came here never starts.
    fn run(self: &Arc<Self>, mut work: Work, slot: &Slot) {
        // Others may have joined it: they run all the same.
        if work.jobs.len() > 1 || !slot.is_ended() {
            work.run();
        }
        self.complete(work);
    }

    /// The delivery thread is about to wait for a request: it goes ahead of the queue, past the delivery bound.
    pub fn hurry(self: &Arc<Self>, slot: &Slot) {
        self.act(|state, now, fx| state.hurry_slot(slot, now, fx));
    }

    /// A thread gives up waiting for a request that it might have run itself.
    pub fn leave(self: &Arc<Self>, slot: &Slot) {
        self.act(|state, _, _| state.unclaim(slot));
        if let Some(work) = slot.take_grant() {
            self.run(work, slot);
        }
    }

    /// Cancels one request: what waits is removed, what runs is terminated. False when it has ended.
    pub fn cancel(self: &Arc<Self>, slot: &Slot) -> bool {
        self.act(|state, now, fx| state.cancel(slot, now, fx))
    }

    /// Cancels everything; the session stays usable.
    pub fn cancel_all(self: &Arc<Self>) {
        self.act(|state, now, fx| state.cancel_all(crate::state::Aim::All, now, fx));
    }

    /// Ends what is due. The timer thread calls it; with a manual clock, whoever moves the clock.
    pub fn expire(self: &Arc<Self>) -> Option<Time> {
        self.act(|state, now, fx| state.expire(now, fx))
    }

    /// True while a lane holds the request and it has not ended.
    pub fn is_running(self: &Arc<Self>, slot: &Slot) -> bool {
        self.act(|state, _, _| state.is_running(slot))
    }

    /// Adds a callback to a request. Gives it back when the request has ended: the caller calls it then.
    pub fn attach(self: &Arc<Self>, slot: &SlotRef, tag: Tag) -> Option<Tag> {
        let late = self.act(|state, _, _| state.attach(slot, tag));
        if late.is_some() {
            slot.wait_filled();
        }
        late
    }

    /// Counters, lanes and times, taken together under the lock.
    pub fn stats(self: &Arc<Self>) -> crate::stats::Stats {
        let (mut stats, histograms) = self.act(|state, now, _| crate::stats::Stats::of(state, now));
        stats.summarise(&histograms);
        stats
    }

    /// Every lane's line in `stats`.
    pub(crate) fn lane_lines(state: &State, now: Time) -> Vec<LaneStats> {
        (0..state.lanes.len()).map(|lane| state.lane_line(lane, now)).collect()
    }
}
