//! Every interleaving (up to two preemptions) of the races that the flow has to win.
//!
//! `RUSTFLAGS="--cfg loom" LOOM_MAX_PREEMPTIONS=2 cargo test -p headway-core --release --test loom`
#![cfg(loom)]

use std::sync::Arc;
use std::time::Duration;

use headway_core::admission::{Overflow, Patience};
use headway_core::clock::{Clock, ManualClock};
use headway_core::metrics::Counters;
use headway_core::request::{Inputs, Request, Wanted};
use headway_core::runtime::{Shared, Waiting};
use headway_core::slot::{Milestone, Seen, SlotRef};
use headway_core::state::{Config, FlowConfig, Manner};
use headway_core::value::Values;
use loom::thread;

type Flow = Arc<Shared>;

const EXECUTE: Waiting = Waiting { execute: true, ahead: false, again: false };

fn session(workers: usize, caller_lanes: usize, queue_depth: usize) -> (Flow, ManualClock) {
    let clock = ManualClock::default();
    let flow = FlowConfig { queue_depth, overflow: Overflow::Block };
    let config = Config { workers, caller_lanes, flow, ..Config::default() };
    (Shared::new(config, None, Clock::Manual(clock.clone())).expect("no engine"), clock)
}

fn request() -> Request {
    Request::new(Inputs::Feeds(Values::new()), Wanted::All)
}

fn submit(flow: &Flow) -> SlotRef {
    flow.submit(request(), Manner::default()).expect("room")
}

/// A worker thread: answers until its lane is closed.
fn worker(flow: &Flow) -> thread::JoinHandle<()> {
    let flow = flow.clone();
    thread::spawn(move || {
        while let Some(mut work) = flow.take(0) {
            work.jobs.iter_mut().for_each(|job| job.result = Some(Ok(Values::new())));
            flow.complete(work);
        }
    })
}

fn ended(slot: &SlotRef) {
    assert!(matches!(slot.wait(Milestone::Ended, None, Duration::ZERO), Seen::Ended | Seen::Refused(_)));
}

/// Everything has ended and nothing was counted twice.
fn settled(flow: &Flow, tickets: u64) -> Counters {
    let counters = flow.stats().counters;
    assert!(counters.conserved(), "{counters:?}");
    assert_eq!(counters.submitted, tickets);
    assert_eq!((counters.waiting, counters.running, counters.undelivered), (0, 0, 0));
    counters
}

#[test]
fn submit_against_take() {
    loom::model(|| {
        let (flow, _) = session(1, 0, 4);
        let worker = worker(&flow);
        let other = flow.clone();
        let second = thread::spawn(move || ended(&submit(&other)));
        ended(&submit(&flow));
        second.join().expect("second");
        flow.begin_close(true);
        worker.join().expect("worker");
        assert_eq!(settled(&flow, 2).done, 2);
    });
}

#[test]
fn complete_against_two_that_wait() {
    loom::model(|| {
        let (flow, _) = session(1, 0, 4);
        let slot = submit(&flow);
        let worker = worker(&flow);
        let (same, other) = (slot.clone(), flow.clone());
        let second = thread::spawn(move || {
            assert!(matches!(other.wait(&same, None, Waiting::default()), Seen::Ended))
        });
        ended(&slot);
        second.join().expect("second");
        flow.begin_close(true);
        worker.join().expect("worker");
        settled(&flow, 1);
    });
}

#[test]
fn cancel_against_complete() {
    loom::model(|| {
        let (flow, _) = session(1, 0, 4);
        let slot = submit(&flow);
        let worker = worker(&flow);
        let cancelled = flow.cancel(&slot);
        ended(&slot);
        flow.begin_close(true);
        worker.join().expect("worker");
        let counters = settled(&flow, 1);
        assert_eq!((counters.cancelled, counters.done), if cancelled { (1, 0) } else { (0, 1) });
    });
}

#[test]
fn expire_against_complete() {
    loom::model(|| {
        let (flow, clock) = session(1, 0, 4);
        let late = Request { deadline: Some(Duration::from_nanos(1)), ..request() };
        let slot = flow.submit(late, Manner::default()).expect("room");
        let worker = worker(&flow);
        clock.advance(Duration::from_nanos(1));
        flow.expire();
        ended(&slot);
        flow.begin_close(true);
        worker.join().expect("worker");
        let counters = settled(&flow, 1);
        assert_eq!(counters.expired + counters.done, 1);
    });
}

#[test]
fn close_against_submit() {
    for drain in [true, false] {
        loom::model(move || {
            let (flow, _) = session(1, 0, 4);
            let worker = worker(&flow);
            let other = flow.clone();
            let submitter = thread::spawn(move || match other.submit(request(), Manner::default()) {
                Ok(slot) => ended(&slot),
                Err(error) => assert_eq!(error.kind, headway_core::error::ErrorKind::Closed),
            });
            flow.begin_close(drain);
            submitter.join().expect("submitter");
            worker.join().expect("worker");
            let tickets = flow.stats().counters.submitted;
            settled(&flow, tickets);
        });
    }
}

#[test]
fn close_from_two_threads_against_complete() {
    loom::model(|| {
        let (flow, _) = session(1, 0, 4);
        let slot = submit(&flow);
        let worker = worker(&flow);
        let other = flow.clone();
        let closer = thread::spawn(move || other.finish_close(None));
        let report = flow.finish_close(None);
        assert_eq!(closer.join().expect("closer"), report);
        assert!(report.drained && slot.is_ended());
        worker.join().expect("worker");
        assert_eq!(settled(&flow, 1).done, 1);
    });
}

#[test]
fn close_and_cancel_against_complete() {
    loom::model(|| {
        let (flow, _) = session(1, 0, 4);
        let slot = submit(&flow);
        let worker = worker(&flow);
        flow.begin_close(false);
        ended(&slot);
        let report = flow.finish_close(None);
        worker.join().expect("worker");
        assert_eq!(settled(&flow, 1).cancelled, report.cancelled);
    });
}

/// The worker comes to leave while a caller holds its lane, and is woken when the caller is done.
#[test]
fn close_while_a_caller_holds_the_workers_lane() {
    loom::model(|| {
        let (flow, _) = session(1, 0, 4);
        let work = flow.begin(request(), false).expect("the worker's lane");
        let worker = worker(&flow);
        flow.begin_close(true);
        flow.complete(work);
        worker.join().expect("worker");
        settled(&flow, 1);
    });
}

#[test]
fn claim_against_worker() {
    loom::model(|| {
        let (flow, _) = session(1, 0, 4);
        let worker = worker(&flow);
        let slot = submit(&flow);
        assert!(matches!(flow.wait(&slot, None, EXECUTE), Seen::Ended));
        flow.begin_close(true);
        worker.join().expect("worker");
        settled(&flow, 1);
    });
}

#[test]
fn grant_against_leave() {
    loom::model(|| {
        let (flow, _) = session(1, 1, 4);
        let worker = flow.begin(request(), false).expect("a lane");
        let caller = flow.begin(request(), false).expect("a lane");
        let any = || Manner { any_lane: true, ..Manner::default() };
        let slot = flow.submit(request(), any()).expect("room");
        let (same, other) = (slot.clone(), flow.clone());
        // A thread whose time is up: it may be granted the lane just as it leaves.
        let leaver = thread::spawn(move || {
            other.wait(&same, Some(std::time::Instant::now()), EXECUTE);
            other.leave(&same);
        });
        let (caller, worker) = if caller.lane == 1 { (caller, worker) } else { (worker, caller) };
        let other = flow.clone();
        let completer = thread::spawn(move || other.complete(caller).is_some());
        leaver.join().expect("leaver");
        assert!(completer.join().expect("completer"));
        flow.complete(worker);
        while let Some(work) = flow.try_take(0) {
            flow.complete(work);
        }
        ended(&slot);
        settled(&flow, 3);
    });
}

#[test]
fn granted_caller_against_cancel() {
    loom::model(|| {
        let (flow, _) = session(1, 1, 4);
        let worker = flow.begin(request(), false).expect("a lane");
        let caller = flow.begin(request(), false).expect("a lane");
        let slot = flow.submit(request(), Manner { any_lane: true, ..Manner::default() }).expect("room");
        let (same, other) = (slot.clone(), flow.clone());
        let waiter = thread::spawn(move || assert!(matches!(other.wait(&same, None, EXECUTE), Seen::Ended)));
        let (same, other) = (slot.clone(), flow.clone());
        let canceller = thread::spawn(move || other.cancel(&same));
        flow.complete(worker);
        flow.complete(caller);
        let cancelled = canceller.join().expect("canceller");
        waiter.join().expect("waiter");
        assert_eq!(settled(&flow, 3).cancelled, u64::from(cancelled));
    });
}

#[test]
fn line_admission_against_cancel() {
    loom::model(|| {
        let (flow, _) = session(1, 0, 1);
        let first = submit(&flow);
        let waits = Manner { patience: Patience::Wait, ..Manner::default() };
        let lined = flow.submit(request(), waits).expect("the line");
        let (same, other) = (lined.clone(), flow.clone());
        let waiter = thread::spawn(move || {
            same.wait(Milestone::Admitted, None, Duration::ZERO);
            ended(&same);
            drop(other);
        });
        let worker = worker(&flow);
        flow.cancel(&lined);
        ended(&first);
        waiter.join().expect("waiter");
        flow.begin_close(true);
        worker.join().expect("worker");
        let counters = flow.stats().counters;
        assert_eq!(counters.submitted + counters.rejected, 2);
        settled(&flow, counters.submitted);
    });
}

/// The delivery thread sees every outcome filled, and leaves when there will be none any more.
#[test]
fn delivery_against_complete_and_close() {
    loom::model(|| {
        let (flow, _) = session(1, 0, 4);
        let other = flow.clone();
        let delivery = thread::spawn(move || {
            let (mut due, mut called) = (Vec::new(), 0);
            while other.next_deliveries(4, &mut due) {
                for delivery in due.drain(..) {
                    assert!(delivery.slot.take_outcome().is_some(), "not filled yet");
                    other.delivered(&delivery, false);
                    called += 1;
                }
            }
            called
        });
        let worker = worker(&flow);
        let callback = Manner { callback: Some(Box::new(())), ..Manner::default() };
        drop(flow.submit(request(), callback).expect("room"));
        flow.begin_close(true);
        worker.join().expect("worker");
        assert!(flow.wait_delivered(None));
        assert_eq!(delivery.join().expect("delivery"), 1);
        settled(&flow, 1);
    });
}

#[test]
fn attach_against_complete() {
    loom::model(|| {
        let (flow, _) = session(1, 0, 4);
        let slot = submit(&flow);
        let worker = worker(&flow);
        let late = flow.attach(&slot, Box::new(()));
        assert!(late.is_none() || slot.is_ended(), "whoever calls it sees the outcome");
        flow.begin_close(true);
        worker.join().expect("worker");
        let mut due = Vec::new();
        flow.try_deliveries(9, &mut due);
        assert_eq!(due.len(), usize::from(late.is_none()));
        due.iter().for_each(|delivery| flow.delivered(delivery, false));
        settled(&flow, 1);
    });
}
