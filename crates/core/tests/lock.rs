//! Invariant 3: the lock is not held over the engine or over anything that belongs to the door,
//! and a terminate flag, which is set under it, never outlives its request.

mod support;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use headway_core::admission::Overflow;
use headway_core::clock::Clock;
use headway_core::engine::{Control, Engine, Job, Lane, ModelInfo};
use headway_core::error::Error;
use headway_core::request::Inputs;
use headway_core::runtime::{Shared, Waiting};
use headway_core::slot::Seen;
use headway_core::state::{Config, Manner};
use headway_core::value::{Value, Values};
use support::{Ask, ask, flow, outcome, values};

/// Asks another thread to look at the session; false when the lock is held over us.
fn lock_is_free(flow: &Arc<Shared>) -> bool {
    let (sender, receiver) = mpsc::channel();
    let flow = Arc::clone(flow);
    std::thread::spawn(move || sender.send(flow.stats().counters.conserved()));
    receiver.recv_timeout(Duration::from_secs(5)).unwrap_or(false)
}

/// Something of the door's: notes whether the lock was free when it was dropped.
struct Probe {
    flow: Weak<Shared>,
    seen: mpsc::Sender<bool>,
}

impl Drop for Probe {
    fn drop(&mut self) {
        let free = self.flow.upgrade().is_none_or(|flow| lock_is_free(&flow));
        let _ = self.seen.send(free);
    }
}

/// A flag that the engine would look at, and an engine that looks at the lock.
#[derive(Default)]
struct Flag {
    set: AtomicBool,
    /// Set while the state lock was held, as it must be.
    under_lock: AtomicBool,
    /// The engine's lane is gone, and the lock was free then.
    lane_dropped: AtomicBool,
    flow: OnceLock<Weak<Shared>>,
}

impl Control for Flag {
    fn terminate(&self) {
        self.set.store(true, Ordering::SeqCst);
        let Some(flow) = self.flow.get().and_then(Weak::upgrade) else { return };
        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || sender.send(flow.stats().uptime));
        let held = receiver.recv_timeout(Duration::from_millis(50)).is_err();
        self.under_lock.store(held, Ordering::SeqCst);
    }
    fn reset(&self) {
        self.set.store(false, Ordering::SeqCst);
    }
    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

struct Looking(ModelInfo, Arc<Flag>);
struct LookingLane(Arc<Flag>);

impl Drop for LookingLane {
    fn drop(&mut self) {
        let flow = self.0.flow.get().and_then(Weak::upgrade);
        self.0.lane_dropped.store(flow.is_none_or(|flow| lock_is_free(&flow)), Ordering::SeqCst);
    }
}

impl Engine for Looking {
    fn name(&self) -> &'static str {
        "looking"
    }
    fn info(&self) -> &ModelInfo {
        &self.0
    }
    fn open_lane(&self, _: usize) -> Result<Box<dyn Lane>, Error> {
        Ok(Box::new(LookingLane(Arc::clone(&self.1))))
    }
    fn can_cancel(&self) -> bool {
        true
    }
    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

impl Lane for LookingLane {
    fn run(&mut self, jobs: &mut [Job]) {
        let flow = self.0.flow.get().and_then(Weak::upgrade);
        let free = flow.is_none_or(|flow| lock_is_free(&flow));
        for job in jobs {
            job.result = Some(Ok(values(u64::from(free))));
        }
    }
    fn control(&self) -> Option<Arc<dyn Control>> {
        Some(Arc::clone(&self.0) as Arc<dyn Control>)
    }
}

fn session(depth: usize, overflow: Overflow) -> (Arc<Shared>, Arc<Flag>) {
    let flag = Arc::new(Flag::default());
    let engine = Arc::new(Looking(ModelInfo::default(), Arc::clone(&flag)));
    let config = Config { flow: flow(depth, overflow), ..Config::default() };
    let flow = Shared::new(config, Some(engine), Clock::system()).expect("a lane");
    flag.flow.set(Arc::downgrade(&flow)).expect("once");
    (flow, flag)
}

#[test]
fn the_engine_runs_without_the_lock() {
    let (flow, _) = session(4, Overflow::Block);
    assert!(flow.can_cancel(), "as its engine says");
    let slot = flow.submit(ask(1).request, ask(1).manner).expect("room");
    let seen = flow.wait(&slot, None, Waiting { execute: true, ahead: false, again: false });
    assert!(matches!(seen, Seen::Ended));
    assert_eq!(outcome(&slot), "done 1", "free");
}

/// Inputs and callbacks of requests that end in every way are dropped without the lock.
#[test]
fn what_the_door_owns_is_dropped_without_the_lock() {
    let (sender, receiver) = mpsc::channel();
    let (flow, _) = session(1, Overflow::DropOldest);
    let probe = || Probe { flow: Arc::downgrade(&flow), seen: sender.clone() };
    let probed = |number| -> Ask {
        let mut asked = ask(number);
        asked.request.inputs = Inputs::Feeds(Values::from_iter([Value::Opaque(Arc::new(probe()))]));
        asked.manner.callback = Some(Box::new(probe()));
        asked
    };
    let submit = |asked: Ask| flow.submit(asked.request, asked.manner);
    drop(submit(probed(1)).expect("admitted"));
    drop(submit(probed(2)).expect("displaces 1"));
    let mut running = flow.try_take(0).expect("2");
    running.jobs[0].result = Some(Ok(Values::from_iter([Value::Opaque(Arc::new(probe()))])));
    drop(submit(probed(3)).expect("admitted"));
    flow.cancel_all();
    flow.complete(running);
    let mut due = Vec::new();
    flow.try_deliveries(9, &mut due);
    due.drain(..).for_each(|delivery| flow.delivered(&delivery, false));
    flow.begin_close(false);
    assert!(submit(probed(4)).is_err(), "refused");
    let drops: Vec<bool> = receiver.try_iter().collect();
    assert_eq!(drops, [true; 9], "4 inputs, 4 callbacks, 1 late answer");
}

#[test]
fn a_terminate_flag_is_set_under_the_lock_and_cleared_before_the_next_request() {
    let (flow, flag) = session(4, Overflow::Block);
    let submit = |asked: Ask| flow.submit(asked.request, asked.manner).expect("room");
    let own = Arc::new(Flag::default());
    own.flow.set(Arc::downgrade(&flow)).expect("once");
    for own in [None, Some(own)] {
        let mut asked = ask(1);
        asked.request.options = own.clone().map(|own| own as Arc<dyn Control>);
        let flag = own.as_ref().unwrap_or(&flag);
        let waiting = submit(ask(9));
        assert!(flow.cancel(&waiting) && !flag.set.load(Ordering::SeqCst), "it did not run");
        let slot = submit(asked);
        let work = flow.try_take(0).expect("1");
        assert!(flow.cancel(&slot) && flag.set.load(Ordering::SeqCst));
        assert!(flag.under_lock.load(Ordering::SeqCst), "else it could hit the lane's next request");
        flow.complete(work);
        assert!(!flag.set.load(Ordering::SeqCst), "cleared before the lane is free");
    }
    assert!(!flag.set.load(Ordering::SeqCst), "own options spare the lane's");
}

#[test]
fn in_a_batch_the_flag_spares_the_neighbours() {
    let flag = Arc::new(Flag::default());
    let engine = Arc::new(Looking(ModelInfo::default(), Arc::clone(&flag)));
    let config = Config { max_batch: 2, ..Config::default() };
    let flow = Shared::new(config, Some(engine), Clock::system()).expect("a lane");
    let slots: Vec<_> = (1..=2).map(|n| flow.submit(ask(n).request, ask(n).manner).expect("room")).collect();
    let work = flow.try_take(0).expect("both");
    flow.cancel(&slots[0]);
    assert!(!flag.set.load(Ordering::SeqCst), "number 2 still runs");
    flow.cancel(&slots[1]);
    assert!(flag.set.load(Ordering::SeqCst));
    flow.complete(work);
    assert!(!flag.set.load(Ordering::SeqCst));
}

#[test]
fn a_terminate_flag_is_left_alone_where_nothing_was_ended() {
    let (flow, flag) = session(4, Overflow::Block);
    let slot = flow.submit(ask(1).request, ask(1).manner).expect("room");
    let work = flow.try_take(0).expect("1");
    flag.set.store(true, Ordering::SeqCst);
    flow.complete(work);
    assert!(
        slot.is_ended() && flag.set.load(Ordering::SeqCst),
        "whoever set it wants the next run stopped too"
    );
}

/// The cell of a request may hold the last of what is the door's: callbacks, and outputs that nobody took.
#[test]
fn cells_are_dropped_without_the_lock() {
    let (sender, receiver) = mpsc::channel();
    let (flow, _) = session(1, Overflow::Block);
    let probe = || Probe { flow: Arc::downgrade(&flow), seen: sender.clone() };
    let submit = |asked: Ask| flow.submit(asked.request, asked.manner).expect("room");
    let called = || Ask { manner: Manner { callback: Some(Box::new(probe())), ..ask(1).manner }, ..ask(1) };
    // It ended while it ran, its callback was called, and only its lane still has it.
    let slot = submit(called());
    let work = flow.try_take(0).expect("work");
    assert!(flow.cancel(&slot));
    let mut due = Vec::new();
    flow.try_deliveries(9, &mut due);
    due.drain(..).for_each(|delivery| flow.delivered(&delivery, false));
    drop(slot);
    flow.complete(work);
    assert_eq!(receiver.try_iter().collect::<Vec<bool>>(), [true], "a callback");
    // Nobody will pull them: before and after the flow is discarded.
    let run = flow.open_pulled(support::flow(2, Overflow::Block)).expect("open");
    (0..2).for_each(|_| drop(submit(called().on(run))));
    for _ in 0..2 {
        let mut work = flow.try_take(0).expect("work");
        work.jobs[0].result = Some(Ok(Values::from_iter([Value::Opaque(Arc::new(probe()))])));
        flow.complete(work);
        flow.begin_drain(run);
        assert_eq!(receiver.try_iter().collect::<Vec<bool>>(), [true; 2], "a callback and an output");
    }
    // Refused in the line.
    let waiting = submit(ask(1));
    let mut asked = called();
    asked.request.inputs = Inputs::Feeds(Values::from_iter([Value::Opaque(Arc::new(probe()))]));
    let lined = submit(asked.waits());
    assert!(flow.cancel(&lined) && flow.cancel(&waiting));
    drop(lined);
    assert_eq!(receiver.try_iter().collect::<Vec<bool>>(), [true; 2], "a callback and an input");
}

#[test]
fn inputs_are_dropped_without_the_lock_whoever_ends_the_run() {
    let (sender, receiver) = mpsc::channel();
    let (flow, _) = session(1, Overflow::Block);
    let mut asked = ask(1);
    let probe = Probe { flow: Arc::downgrade(&flow), seen: sender };
    asked.request.inputs = Inputs::Feeds(Values::from_iter([Value::Opaque(Arc::new(probe))]));
    flow.submit(asked.request, asked.manner).expect("room");
    flow.complete(flow.try_take(0).expect("work"));
    assert_eq!(receiver.try_iter().collect::<Vec<bool>>(), [true]);
}

#[test]
fn an_abandoned_lane_goes_when_its_run_returns() {
    let (flow, flag) = session(1, Overflow::Block);
    flow.submit(ask(1).request, ask(1).manner).expect("room");
    let work = flow.try_take(0).expect("work");
    let report = flow.finish_close(Some(Duration::ZERO));
    assert_eq!((report.abandoned.as_slice(), flag.lane_dropped.load(Ordering::SeqCst)), (&[0][..], false));
    flow.begin_close(true);
    flow.complete(work);
    assert!(flag.lane_dropped.load(Ordering::SeqCst), "without the lock");
}
