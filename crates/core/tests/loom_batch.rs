//! A lane that waits in a window for company, against everything that ends the window (loom).
#![cfg(loom)]

use std::sync::Arc;
use std::time::Duration;

use headway_core::batch::Limits;
use headway_core::clock::{Clock, ManualClock};
use headway_core::metrics::Counters;
use headway_core::request::{Group, Inputs, Request, Wanted};
use headway_core::runtime::{Shared, Waiting};
use headway_core::slot::{Milestone, Seen, SlotRef};
use headway_core::state::{Config, Manner};
use headway_core::value::Values;
use loom::thread;

type Flow = Arc<Shared>;

const WINDOW: Duration = Duration::from_millis(5);

/// Two in a run; time stands still unless a test moves it.
fn session() -> (Flow, ManualClock) {
    let clock = ManualClock::default();
    let batching = Some(Limits { max_size: 2, max_delay: WINDOW });
    let config = Config { workers: 1, batching, ..Config::default() };
    (Shared::new(config, None, Clock::Manual(clock.clone())).expect("no engine"), clock)
}

fn request() -> Request {
    let group = Some(Group { key: 1, rows: 1 });
    Request { group, ..Request::new(Inputs::Feeds(Values::new()), Wanted::All) }
}

fn submit(flow: &Flow) -> SlotRef {
    flow.submit(request(), Manner::default()).expect("room")
}

/// A worker thread: answers until its lane is closed, and says how many each run had.
fn worker(flow: &Flow) -> thread::JoinHandle<Vec<usize>> {
    let flow = flow.clone();
    thread::spawn(move || {
        let mut runs = Vec::new();
        while let Some(mut work) = flow.take(0) {
            runs.push(work.jobs.len());
            work.jobs.iter_mut().for_each(|job| job.result = Some(Ok(Values::new())));
            flow.complete(work);
        }
        runs
    })
}

fn ended(slot: &SlotRef) {
    assert!(matches!(slot.wait(Milestone::Ended, None, Duration::ZERO), Seen::Ended | Seen::Refused(_)));
}

fn settled(flow: &Flow, tickets: u64) -> Counters {
    let counters = flow.stats().counters;
    assert!(counters.conserved(), "{counters:?}");
    assert_eq!(counters.submitted, tickets);
    assert_eq!((counters.waiting, counters.running, counters.undelivered), (0, 0, 0));
    counters
}

#[test]
fn a_window_against_the_company_it_waits_for() {
    loom::model(|| {
        let (flow, _) = session();
        let worker = worker(&flow);
        let other = flow.clone();
        let second = thread::spawn(move || ended(&submit(&other)));
        // Time stands still: only the second can end the window of the first.
        ended(&submit(&flow));
        second.join().expect("second");
        flow.begin_close(true);
        assert_eq!(worker.join().expect("worker"), [2]);
        assert_eq!(settled(&flow, 2).done, 2);
    });
}

#[test]
fn the_end_of_a_window_against_the_lane_that_waits() {
    loom::model(|| {
        let (flow, clock) = session();
        let worker = worker(&flow);
        let slot = submit(&flow);
        clock.advance(WINDOW);
        flow.expire();
        ended(&slot);
        flow.begin_close(true);
        assert_eq!(worker.join().expect("worker"), [1]);
        settled(&flow, 1);
    });
}

#[test]
fn the_end_of_a_window_against_cancel() {
    loom::model(|| {
        let (flow, clock) = session();
        let slot = submit(&flow);
        let worker = worker(&flow);
        let (same, other) = (slot.clone(), flow.clone());
        let canceller = thread::spawn(move || other.cancel(&same));
        clock.advance(WINDOW);
        flow.expire();
        ended(&slot);
        let cancelled = canceller.join().expect("canceller");
        flow.begin_close(true);
        worker.join().expect("worker");
        let counters = settled(&flow, 1);
        assert_eq!((counters.cancelled, counters.done), if cancelled { (1, 0) } else { (0, 1) });
    });
}

#[test]
fn a_window_against_a_thread_that_waits_for_its_answer() {
    loom::model(|| {
        let (flow, _) = session();
        let worker = worker(&flow);
        let slot = submit(&flow);
        assert!(matches!(flow.wait(&slot, None, Waiting::default()), Seen::Ended));
        flow.begin_close(true);
        assert_eq!(worker.join().expect("worker"), [1]);
        settled(&flow, 1);
    });
}

#[test]
fn a_window_against_close() {
    for drain in [true, false] {
        loom::model(move || {
            let (flow, _) = session();
            let slot = submit(&flow);
            let worker = worker(&flow);
            flow.begin_close(drain);
            ended(&slot);
            worker.join().expect("worker");
            assert_eq!(settled(&flow, 1).done + u64::from(!drain) * flow.stats().counters.cancelled, 1);
        });
    }
}

/// Two lanes that know that two rows come at a time: each takes one, woken for it.
#[test]
fn shares_of_two_lanes_against_each_other() {
    loom::model(|| {
        let batching = Some(Limits { max_size: 2, max_delay: WINDOW });
        let config = Config { workers: 2, batching, ..Config::default() };
        let flow = Shared::new(config, None, Clock::Manual(ManualClock::default())).expect("no engine");
        let mut tickets = 0;
        for rows in [2; 8].into_iter().chain([1; 8]) {
            (0..rows).for_each(|_| drop(submit(&flow)));
            tickets += rows;
            let mut work = flow.try_take(0).expect("work");
            work.jobs.iter_mut().for_each(|job| job.result = Some(Ok(Values::new())));
            flow.complete(work);
        }
        let workers = [0, 1].map(|lane| {
            let flow = flow.clone();
            thread::spawn(move || {
                while let Some(mut work) = flow.take(lane) {
                    work.jobs.iter_mut().for_each(|job| job.result = Some(Ok(Values::new())));
                    flow.complete(work);
                }
            })
        });
        let slots = [submit(&flow), submit(&flow)];
        // Time stands still: nobody is left in a window.
        slots.iter().for_each(ended);
        flow.begin_close(true);
        workers.into_iter().for_each(|worker| worker.join().expect("worker"));
        assert_eq!(settled(&flow, tickets + 2).done, tickets + 2);
    });
}
