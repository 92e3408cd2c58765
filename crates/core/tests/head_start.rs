//! The moment that a worker leaves a lone request to its caller.

mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use headway_core::admission::Overflow;
use headway_core::clock::{Clock, ManualClock};
use headway_core::engine::Engine;
use headway_core::runtime::{Shared, Waiting};
use headway_core::slot::{Milestone, Seen};
use headway_core::state::Config;
use headway_core::threads::Threads;
use support::{Ask, Bench, ask, echo::Echo, flow, outcome};

const EXECUTE: Waiting = Waiting { execute: true, ahead: false, again: false };

fn bench() -> Bench {
    let clock = ManualClock::default();
    let config = Config { workers: 2, flow: flow(2, Overflow::Block), ..Config::default() };
    let engine: Arc<dyn Engine> = Arc::new(Echo::default());
    let flow = Shared::new(config, Some(engine), Clock::Manual(clock.clone())).expect("lanes");
    Bench { flow, clock }
}

/// A request that its caller may run on the spot.
fn led(number: u64) -> Ask {
    let mut asked = ask(number);
    asked.manner.head_start = true;
    asked
}

#[test]
fn only_a_request_that_is_alone_is_left_to_its_caller() {
    let bench = bench();
    let is_lone = || bench.flow.sign().is_lone();
    assert!(!is_lone());
    let first = bench.submit(led(1));
    assert!(is_lone());
    let second = bench.submit(led(2));
    assert!(!is_lone(), "two wait");
    bench.run(0);
    assert!(is_lone(), "the first has ended, so the second is alone");
    bench.run(0);
    assert!(!is_lone());
    assert_eq!((outcome(&first), outcome(&second)), ("done 1".into(), "done 2".into()));
}

#[test]
fn whatever_nobody_runs_on_the_spot_is_not_left() {
    let bench = bench();
    bench.submit(ask(1));
    assert!(!bench.flow.sign().is_lone(), "its caller cannot run it");
    let (work, _) = bench.start(0);
    bench.submit(led(2));
    assert!(!bench.flow.sign().is_lone(), "the session is not idle");
    bench.answer(work);
    bench.run(1);
    let third = bench.submit(led(3));
    assert!(bench.flow.sign().is_lone());
    assert!(bench.flow.attach(&third, Box::new(3_u64)).is_none());
    assert!(!bench.flow.sign().is_lone(), "a callback was added");
    bench.run(0);
}

#[test]
fn a_caller_that_cannot_run_it_after_all_ends_the_moment() {
    let bench = bench();
    let slot = bench.submit(led(1));
    let (one, two) = (bench.flow.begin(ask(7).request, true), bench.flow.begin(ask(8).request, true));
    assert!(matches!(bench.flow.wait(&slot, Some(Instant::now()), EXECUTE), Seen::TimedOut));
    for work in [one, two] {
        bench.flow.complete(work.expect("a lane"));
    }
    assert!(!bench.flow.sign().is_lone());
    assert_eq!(bench.run(0), Some(1));
}

#[test]
fn a_request_that_nobody_asks_for_runs_all_the_same() {
    let config =
        Config { spin: Duration::from_millis(20), flow: flow(8, Overflow::Block), ..Config::default() };
    let flow = Shared::new(config, Some(Arc::new(Echo::default())), Clock::system()).expect("lanes");
    let threads = Threads::start(&flow).expect("threads");
    for number in 20..220 {
        let slot = flow.submit(led(number).request, led(number).manner).expect("room");
        if number % 3 == 0 {
            assert!(matches!(flow.wait(&slot, None, EXECUTE), Seen::Ended));
        } else {
            assert!(matches!(slot.wait(Milestone::Ended, None, Duration::ZERO), Seen::Ended));
        }
        assert_eq!(outcome(&slot), format!("done {number}"));
    }
    threads.join(&flow.finish_close(None));
}
