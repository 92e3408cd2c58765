//! Every interleaving (up to two preemptions) of pulls, and of lanes that were given a thread later.
#![cfg(loom)]

use std::sync::Arc;
use std::time::Duration;

use headway_core::admission::{Overflow, Patience};
use headway_core::bell::Bell;
use headway_core::clock::{Clock, ManualClock};
use headway_core::request::{Inputs, Request, StreamKey, Wanted};
use headway_core::runtime::Shared;
use headway_core::slot::{Milestone, Seen, SlotRef};
use headway_core::state::{Config, FlowConfig, Manner, Output, Pulled};
use headway_core::value::Values;
use headway_core::work::Work;
use loom::thread::{self, JoinHandle};

type Flow = Arc<Shared>;

fn session(caller_lanes: usize) -> Flow {
    let config = Config { workers: 1, caller_lanes, ..Config::default() };
    Shared::new(config, None, Clock::Manual(ManualClock::default())).expect("no engine")
}

fn open(flow: &Flow, queue_depth: usize, overflow: Overflow) -> usize {
    flow.open_pulled(FlowConfig { queue_depth, overflow }).expect("open")
}

fn request() -> Request {
    Request::new(Inputs::Feeds(Values::new()), Wanted::All)
}

fn push(flow: &Flow, run: usize) -> SlotRef {
    push_one(flow, run, 0, None)
}

fn push_one(flow: &Flow, run: usize, priority: i32, key: Option<i64>) -> SlotRef {
    let request = Request { priority, stream: key.map(StreamKey::Int), ..request() };
    flow.submit(request, Manner { flow: run, ..Manner::default() }).expect("room")
}

fn answer(flow: &Flow, mut work: Work) {
    work.jobs.iter_mut().for_each(|job| job.result = Some(Ok(Values::new())));
    flow.complete(work);
}

fn worker(flow: &Flow, lane: usize) -> JoinHandle<()> {
    let flow = flow.clone();
    thread::spawn(move || {
        while let Some(work) = flow.take(lane) {
            answer(&flow, work);
        }
    })
}

/// Pulls until the end; how many outcomes came, each of them in its slot.
fn puller(flow: &Flow, run: usize) -> JoinHandle<u64> {
    let flow = flow.clone();
    thread::spawn(move || pull_all(&flow, run))
}

fn pull_all(flow: &Flow, run: usize) -> u64 {
    let mut pulled = 0;
    loop {
        match flow.pull(run, None) {
            Pulled::Output(Output::Item(delivery)) => {
                assert!(delivery.slot.take_outcome().is_some(), "not filled yet");
                pulled += 1;
            }
            Pulled::Output(Output::Gap(_)) => {}
            Pulled::Nothing => panic!("waited for ever"),
            Pulled::End => return pulled,
        }
    }
}

fn close(flow: &Flow, worker: JoinHandle<()>) {
    flow.begin_close(true);
    worker.join().expect("worker");
    let counters = flow.stats().counters;
    assert!(counters.conserved(), "{counters:?}");
    assert_eq!((counters.waiting, counters.running, counters.undelivered), (0, 0, 0));
}

#[test]
fn pull_against_complete() {
    loom::model(|| {
        let flow = session(0);
        let run = open(&flow, 1, Overflow::Block);
        let worker = worker(&flow, 0);
        let puller = puller(&flow, run);
        push(&flow, run);
        flow.close_flow(run);
        assert_eq!(puller.join().expect("puller"), 1);
        close(&flow, worker);
    });
}

/// Two wait; one outcome and the end come: each sees the end, one of them the outcome.
#[test]
fn two_that_pull_against_complete_and_close_flow() {
    loom::model(|| {
        let flow = session(0);
        let run = open(&flow, 1, Overflow::Block);
        push(&flow, run);
        let work = flow.try_take(0).expect("work");
        let (first, second) = (puller(&flow, run), puller(&flow, run));
        flow.close_flow(run);
        answer(&flow, work);
        assert_eq!(first.join().expect("first") + second.join().expect("second"), 1);
    });
}

#[test]
fn pull_against_the_end_of_an_empty_flow() {
    for how in 0..4 {
        loom::model(move || {
            let flow = session(0);
            let run = open(&flow, 1, Overflow::Block);
            let (first, second) = (puller(&flow, run), puller(&flow, run));
            match how {
                0 => flow.close_flow(run),
                1 => flow.stop_flow(run),
                2 => flow.release_flow(run),
                _ => flow.begin_close(true),
            }
            assert_eq!(first.join().expect("first") + second.join().expect("second"), 0);
        });
    }
}

/// A dropped request may be the last: its gap, then the end.
#[test]
fn pull_against_a_drop_that_is_the_last() {
    loom::model(|| {
        let flow = session(0);
        let run = open(&flow, 1, Overflow::Block);
        let slot = push(&flow, run);
        flow.close_flow(run);
        let puller = puller(&flow, run);
        assert!(flow.drop_request(&slot, headway_core::error::DropReason::PipelineReset));
        assert_eq!(puller.join().expect("puller"), 0);
    });
}

#[test]
fn stop_against_complete() {
    loom::model(|| {
        let flow = session(0);
        let run = open(&flow, 1, Overflow::Block);
        push(&flow, run);
        let worker = worker(&flow, 0);
        let puller = puller(&flow, run);
        flow.stop_flow(run);
        let pulled = puller.join().expect("puller");
        let counters = flow.flow_counters(run);
        assert_eq!(counters.done, pulled);
        assert_eq!(counters.done + counters.cancelled + counters.dropped.iter().sum::<u64>(), 1);
        close(&flow, worker);
    });
}

#[test]
fn drain_against_complete() {
    loom::model(|| {
        let flow = session(0);
        let run = open(&flow, 1, Overflow::Block);
        push(&flow, run);
        let worker = worker(&flow, 0);
        flow.drain_flow(run, None);
        assert_eq!(flow.flow_counters(run).dropped.iter().sum::<u64>(), 1);
        close(&flow, worker);
    });
}

/// Whoever waits until everything was handed over is woken by the pull of the last.
#[test]
fn waiting_until_drained_against_the_last_pull() {
    loom::model(|| {
        let flow = session(0);
        let run = open(&flow, 1, Overflow::Block);
        push(&flow, run);
        answer(&flow, flow.try_take(0).expect("work"));
        flow.close_flow(run);
        let puller = puller(&flow, run);
        assert!(flow.wait_drained(run, None));
        assert_eq!(puller.join().expect("puller"), 1);
    });
}

#[test]
fn a_bell_against_complete() {
    loom::model(|| {
        let flow = session(0);
        let run = open(&flow, 1, Overflow::Block);
        let worker = worker(&flow, 0);
        let slot = push(&flow, run);
        let bell = Arc::new(Bell::new().expect("a descriptor"));
        let waits = flow.await_output(run, &bell, 7);
        assert!(matches!(slot.wait(Milestone::Ended, None, Duration::ZERO), Seen::Ended));
        flow.close_flow(run);
        assert_eq!(pull_all(&flow, run), 1);
        close(&flow, worker);
        assert_eq!(bell.answer(), if waits { vec![7] } else { vec![] });
    });
}

/// The bound is reached by what overtook; a gap stands before what the order waits for. Taking the gap away is
/// all that happens, and the worker may sleep already.
#[test]
fn a_pulled_gap_wakes_the_worker() {
    loom::model(|| {
        let flow = session(0);
        let run = open(&flow, 2, Overflow::DropNewest);
        push_one(&flow, run, 0, None);
        for _ in 0..2 {
            push_one(&flow, run, 1, None);
            answer(&flow, flow.try_take(0).expect("the larger priority"));
        }
        push_one(&flow, run, -1, None);
        push_one(&flow, run, 0, Some(2));
        assert!(flow.try_take(0).is_none(), "a gap is to be pulled");
        let worker = worker(&flow, 0);
        flow.close_flow(run);
        assert_eq!(pull_all(&flow, run), 4);
        close(&flow, worker);
    });
}

#[test]
fn a_producer_that_waits_for_room_against_pull() {
    loom::model(|| {
        let flow = session(0);
        let run = open(&flow, 1, Overflow::Block);
        push(&flow, run);
        answer(&flow, flow.try_take(0).expect("work"));
        push(&flow, run);
        let waits = Manner { flow: run, patience: Patience::Wait, ..Manner::default() };
        let lined = flow.submit(request(), waits).expect("the line");
        let worker = worker(&flow, 0);
        assert!(matches!(flow.pull(run, None), Pulled::Output(_)));
        assert!(matches!(lined.wait(Milestone::Admitted, None, Duration::ZERO), Seen::Admitted(_)));
        flow.close_flow(run);
        assert_eq!(pull_all(&flow, run), 2);
        close(&flow, worker);
    });
}

/// A lane that was woken for what any lane may run comes too late, while something waits that it may not run.
#[test]
fn a_staffed_lane_that_comes_too_late_wakes_the_worker() {
    loom::model(|| {
        let flow = session(1);
        assert!(flow.staff(1) && !flow.staff(1));
        let lanes = [worker(&flow, 0), worker(&flow, 1)];
        let any = || Manner { any_lane: true, ..Manner::default() };
        let slots =
            [any(), any(), Manner::default()].map(|manner| flow.submit(request(), manner).expect("room"));
        for slot in slots {
            assert!(matches!(slot.wait(Milestone::Ended, None, Duration::ZERO), Seen::Ended));
        }
        flow.begin_close(true);
        lanes.into_iter().for_each(|lane| lane.join().expect("lane"));
        assert_eq!(flow.stats().counters.done, 3);
    });
}
