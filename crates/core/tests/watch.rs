//! The watchdog: runs that take too long, lanes that do not come back.

mod support;

use std::time::Duration;

use headway_core::admission::Overflow;
use headway_core::runtime::Waiting;
use headway_core::state::Config;
use support::{Bench, ask, flow, outcome, word};

/// A run may take 10 ms, and its lane 10 more.
fn bench(workers: usize) -> Bench {
    Bench::new(Config {
        workers,
        flow: flow(4, Overflow::Block),
        run_timeout: Some(Duration::from_millis(10)),
        ..Config::default()
    })
}

fn states(bench: &Bench) -> Vec<&'static str> {
    bench.stats().lanes.iter().map(|lane| lane.state).collect()
}

#[test]
fn a_run_that_takes_too_long_ends_for_its_caller() {
    let bench = bench(1);
    let slow = bench.submit(ask(1));
    let next = bench.submit(ask(2));
    bench.advance(30);
    let (work, _) = bench.start(0);
    bench.advance(9);
    assert_eq!((outcome(&slow).as_str(), states(&bench)), ("none", vec!["running"]));
    bench.advance(1);
    assert_eq!((outcome(&slow).as_str(), states(&bench)), ("expired running", vec!["overrun"]));
    // It comes back late, and works on.
    bench.answer(work);
    assert_eq!((bench.run(0), outcome(&next).as_str()), (Some(2), "done 2"));
    bench.advance(100);
    assert_eq!(states(&bench), ["idle"]);
}

#[test]
fn a_requests_own_deadline_comes_first_when_it_is_sooner() {
    let bench = bench(1);
    let (soon, late) = (bench.submit(ask(1).deadline(5)), bench.submit(ask(2).deadline(500)));
    let (work, _) = bench.start(0);
    bench.advance(5);
    assert_eq!(outcome(&soon), "expired running");
    bench.answer(work);
    let (work, _) = bench.start(0);
    bench.advance(10);
    assert_eq!(outcome(&late), "expired running");
    bench.answer(work);
    bench.advance(600);
    assert_eq!(bench.counters().expired, 2);
}

#[test]
fn a_lane_that_does_not_come_back_is_given_up_and_the_others_go_on() {
    let bench = bench(2);
    let stuck = bench.submit(ask(1));
    let (work, _) = bench.start(0);
    bench.advance(10);
    bench.advance(10);
    assert_eq!((outcome(&stuck).as_str(), states(&bench)), ("expired running", vec!["hung", "idle"]));
    let next = bench.submit(ask(2));
    assert_eq!((bench.run(1), outcome(&next).as_str()), (Some(2), "done 2"));
    // Nobody that closes waits for it.
    bench.flow.begin_close(true);
    assert!(bench.flow.try_take(1).is_none());
    let report = bench.flow.finish_close(None);
    assert_eq!((report.abandoned, report.cancelled), (vec![0], 0));
    bench.answer(work);
}

#[test]
fn a_lane_that_comes_back_works_again() {
    let bench = bench(1);
    bench.submit(ask(1));
    let (work, _) = bench.start(0);
    bench.advance(10);
    bench.advance(10);
    assert_eq!(states(&bench), ["hung"]);
    bench.answer(work);
    let next = bench.submit(ask(2));
    assert_eq!((bench.run(0), outcome(&next).as_str(), states(&bench)), (Some(2), "done 2", vec!["idle"]));
}

#[test]
fn with_every_lane_given_up_what_waits_fails_and_so_does_what_comes() {
    let bench = bench(2);
    let slots: Vec<_> = (1..=2).map(|number| bench.submit(ask(number))).collect();
    let works = [bench.start(0).0, bench.start(1).0];
    let waiting: Vec<_> = (3..=7).map(|number| bench.submit(ask(number).waits())).collect();
    bench.advance(10);
    assert!(waiting.iter().all(|slot| outcome(slot) == "none"));
    bench.advance(10);
    assert_eq!(states(&bench), ["hung", "hung"]);
    assert_eq!(waiting.iter().map(outcome).collect::<Vec<_>>(), ["failed"; 5]);
    assert_eq!(slots.iter().map(outcome).collect::<Vec<_>>(), ["expired running"; 2]);
    assert_eq!(outcome(&bench.submit(ask(8))), "failed");
    let [first, second] = works;
    bench.answer(first);
    let after = bench.submit(ask(9));
    assert_eq!((bench.run(0), outcome(&after).as_str()), (Some(9), "done 9"));
    bench.answer(second);
}

#[test]
fn a_cancelled_run_that_does_not_come_back_is_given_up_too() {
    let bench = bench(1);
    let slot = bench.submit(ask(1));
    let (work, _) = bench.start(0);
    assert!(bench.cancel(&slot));
    assert_eq!(states(&bench), ["overrun"]);
    bench.advance(10);
    assert_eq!(states(&bench), ["hung"]);
    bench.answer(work);
}

#[test]
fn a_run_on_the_thread_that_waits_for_it_is_watched_too() {
    let bench = bench(1);
    let work = bench.flow.begin(ask(1).request, false).expect("a lane");
    bench.advance(10);
    assert_eq!(states(&bench), ["overrun"]);
    assert_eq!(bench.answer(work).map(|outcome| word(&outcome)), Some("expired running".into()));
    let config =
        Config { caller_lanes: 1, run_timeout: Some(Duration::from_millis(10)), ..Config::default() };
    let bench = Bench::new(config);
    bench.submit(ask(2));
    let (worker, _) = bench.start(0);
    let other = bench.flow.begin(ask(3).request, false).expect("the callers' lane");
    let slot = bench.submit(ask(4).any_lane());
    let how = Waiting { execute: true, ..Waiting::default() };
    bench.flow.wait(&slot, Some(std::time::Instant::now()), how);
    bench.answer(other);
    assert!(bench.flow.is_running(&slot), "granted");
    bench.advance(10);
    assert_eq!(outcome(&slot), "expired running");
    bench.flow.leave(&slot);
    bench.answer(worker);
}
