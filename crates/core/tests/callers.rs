//! Threads that run their own requests: claims, grants on the callers' lanes, and leaving.

mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use headway_core::admission::{NOTICES_PER_PLACE, Overflow};
use headway_core::clock::{Clock, ManualClock};
use headway_core::engine::Engine;
use headway_core::runtime::{Shared, Waiting};
use headway_core::slot::Seen;
use headway_core::state::Config;
use support::{Bench, ask, echo::Echo, flow, outcome};

fn bench(workers: usize, caller_lanes: usize) -> Bench {
    let clock = ManualClock::default();
    let config = Config { workers, caller_lanes, flow: flow(8, Overflow::Block), ..Config::default() };
    let engine: Arc<dyn Engine> = Arc::new(Echo::default());
    let flow = Shared::new(config, Some(engine), Clock::Manual(clock.clone())).expect("lanes");
    Bench { flow, clock }
}

const EXECUTE: Waiting = Waiting { execute: true, ahead: false, again: false };

/// Looks once, as a thread whose time is up at once.
fn look(bench: &Bench, slot: &headway_core::slot::SlotRef) -> bool {
    let seen = bench.flow.wait(slot, Some(Instant::now()), EXECUTE);
    bench.stats();
    matches!(seen, Seen::Ended)
}

#[test]
fn a_waiting_thread_runs_its_request_when_it_is_next() {
    let bench = bench(1, 0);
    let first = bench.submit(ask(1));
    let second = bench.submit(ask(2));
    assert!(!look(&bench, &second), "it is not next");
    assert!(look(&bench, &first));
    assert_eq!(outcome(&first), "done 1");
    assert!(look(&bench, &second));
    assert_eq!(outcome(&second), "done 2");
}

#[test]
fn a_callers_lane_serves_those_who_wait_behind_asynchronous_work() {
    let bench = bench(1, 1);
    let running = bench.submit(ask(1));
    let (work, _) = bench.start(0);
    let behind = bench.submit(ask(2));
    let caller = bench.submit(ask(3).any_lane());
    assert!(look(&bench, &caller), "the callers' lane is free");
    assert!(!look(&bench, &behind), "asynchronous work uses the workers' lanes");
    assert_eq!(outcome(&caller), "done 3");
    bench.answer(work);
    assert_eq!((outcome(&running), bench.run(0)), ("done 1".into(), Some(2)));
}

#[test]
fn a_lane_that_becomes_free_is_granted_to_a_parked_caller() {
    let bench = bench(1, 1);
    bench.submit(ask(1));
    let (work, _) = bench.start(0);
    let other = bench.flow.begin(ask(2).request, false).expect("the callers' lane");
    let caller = bench.submit(ask(3).any_lane());
    assert!(!look(&bench, &caller));
    bench.complete(other);
    assert!(bench.flow.is_running(&caller), "granted");
    assert!(look(&bench, &caller));
    assert_eq!(outcome(&caller), "done 3");
    bench.answer(work);
}

#[test]
fn a_thread_that_leaves_runs_what_it_was_granted() {
    let bench = bench(1, 1);
    bench.submit(ask(1));
    let (work, _) = bench.start(0);
    let other = bench.flow.begin(ask(2).request, false).expect("the callers' lane");
    let caller = bench.submit(ask(3).any_lane());
    let gone = bench.submit(ask(4).any_lane());
    assert!(!look(&bench, &caller) && !look(&bench, &gone));
    bench.flow.leave(&gone);
    bench.complete(other);
    bench.flow.leave(&caller);
    assert_eq!(outcome(&caller), "done 3");
    assert!(!gone.is_ended(), "its thread has left, so it got no grant");
    bench.answer(work);
    assert_eq!(bench.run(0), Some(4));
}

#[test]
fn granted_work_that_was_cancelled_never_starts() {
    let bench = bench(1, 1);
    bench.submit(ask(1));
    let (work, _) = bench.start(0);
    let other = bench.flow.begin(ask(2).request, false).expect("the callers' lane");
    // The engine would panic on 13.
    let caller = bench.submit(ask(13).any_lane());
    assert!(!look(&bench, &caller));
    bench.complete(other);
    bench.cancel(&caller);
    assert!(look(&bench, &caller));
    assert_eq!(outcome(&caller), "cancelled");
    assert!(bench.stats().lanes.iter().filter(|lane| lane.state == "idle").count() == 1);
    bench.answer(work);
}

#[test]
fn an_engine_that_panics_fails_its_batch_and_nothing_else() {
    let bench = bench(1, 0);
    std::panic::set_hook(Box::new(|_| ()));
    let slot = bench.submit(ask(13));
    assert!(look(&bench, &slot));
    assert_eq!(outcome(&slot), "failed");
    let next = bench.submit(ask(1));
    assert!(look(&bench, &next));
    assert_eq!(outcome(&next), "done 1");
}

#[test]
fn grants_keep_the_order_of_a_serial_key() {
    let clock = ManualClock::default();
    let config =
        Config { caller_lanes: 1, serial: true, flow: flow(8, Overflow::Block), ..Config::default() };
    let flow = Shared::new(config, None, Clock::Manual(clock.clone())).expect("no engine");
    let bench = Bench { flow, clock };
    bench.submit(ask(1));
    let (work, _) = bench.start(0);
    bench.submit(ask(2).key(1));
    let caller = bench.submit(ask(3).key(1).any_lane());
    assert!(!look(&bench, &caller) && !bench.flow.is_running(&caller), "2 comes first");
    bench.answer(work);
    let (work, numbers) = bench.start(0);
    assert_eq!(numbers, [2]);
    assert!(!bench.flow.is_running(&caller), "one of a key at a time");
    bench.answer(work);
    assert!(bench.flow.is_running(&caller));
    let granted = caller.take_grant().expect("granted");
    bench.answer(granted);
    assert_eq!(outcome(&caller), "done 3");
}

#[test]
fn the_delivery_thread_is_granted_the_next_free_lane_at_the_bound() {
    let bench = bench(1, 1);
    for number in 1..=4 {
        bench.submit(ask(number).callback());
        bench.run(0);
    }
    let due = bench.due(1);
    let one = bench.flow.begin(ask(5).request, true).expect("a lane");
    let two = bench.flow.begin(ask(6).request, true).expect("a lane");
    let urgent = bench.submit(ask(7).urgent());
    let how = Waiting { execute: true, ahead: true, again: false };
    bench.flow.wait(&urgent, Some(Instant::now()), how);
    // Whichever lane becomes free first: here the callers' one.
    let (caller, worker) = if one.lane == 1 { (one, two) } else { (two, one) };
    bench.complete(caller);
    assert!(bench.flow.is_running(&urgent), "granted, although callbacks are due");
    bench.flow.wait(&urgent, Some(Instant::now() + Duration::from_secs(5)), how);
    assert_eq!(outcome(&urgent), "done 7");
    bench.complete(worker);
    bench.returned(&due[0], false);
}

/// Closing lifts the delivery bound: nothing else will happen that could give the lane to who waits beside it.
#[test]
fn closing_gives_a_lane_to_a_caller_whom_the_bound_held_back() {
    let clock = ManualClock::default();
    let config = Config { caller_lanes: 1, delivery_depth: 1, ..Config::default() };
    let engine: Arc<dyn Engine> = Arc::new(Echo::default());
    let flow = Shared::new(config, Some(engine), Clock::Manual(clock.clone())).expect("lanes");
    let bench = Bench { flow, clock };
    bench.submit(ask(1));
    let (work, _) = bench.start(0);
    assert!(bench.submit(ask(2).callback().deadline(0)).is_ended(), "its callback is due");
    let caller = bench.submit(ask(3).any_lane());
    assert!(!look(&bench, &caller), "the bound is reached");
    bench.flow.begin_close(true);
    assert!(bench.flow.is_running(&caller), "granted");
    assert!(look(&bench, &caller));
    bench.answer(work);
}

#[test]
fn who_runs_its_own_request_passes_nobody_in_the_line() {
    let config = Config { flow: flow(1, Overflow::Block), delivery_depth: 99, ..Config::default() };
    let bench = Bench::new(config);
    for number in 0..NOTICES_PER_PLACE as u64 {
        bench.submit(ask(number).callback().deadline(0));
    }
    let lined = bench.submit(ask(50).waits());
    assert_eq!((lined.ticket(), bench.counters().waiting), (None, 0), "it waits for callbacks to return");
    assert!(bench.flow.begin(ask(51).request, false).is_err());
    bench.deliver();
    assert_eq!(bench.run_all(), [50]);
    assert!(bench.flow.begin(ask(51).request, false).is_ok());
}

#[test]
fn a_callers_lane_gets_one_thread_while_the_session_is_open() {
    let bench = bench(1, 1);
    assert!(!bench.flow.staff(0), "it has a worker");
    bench.submit(ask(1));
    assert!(bench.take(1).is_none(), "not what belongs on the workers' lanes");
    assert!(bench.flow.staff(1) && !bench.flow.staff(1));
    bench.submit(ask(2).any_lane());
    let (work, numbers) = bench.start(1);
    assert_eq!(numbers, [2]);
    bench.answer(work);
    let closed = self::bench(1, 1);
    closed.flow.begin_close(true);
    assert!(!closed.flow.staff(1));
}

#[test]
fn what_the_delivery_thread_is_about_to_wait_for_goes_ahead() {
    let bench = bench(1, 0);
    (1..=2).for_each(|number| drop(bench.submit(ask(number).priority(1))));
    let slot = bench.submit(ask(3));
    bench.flow.hurry(&slot);
    bench.flow.hurry(&slot);
    assert_eq!((0..3).map(|_| bench.run(0)).collect::<Vec<_>>(), [Some(3), Some(1), Some(2)]);
    bench.flow.hurry(&slot);
}

#[test]
fn a_waiting_thread_starts_nothing_that_has_expired() {
    let bench = bench(1, 1);
    let late = bench.submit(ask(1).deadline(5));
    bench.clock.advance(Duration::from_millis(5));
    assert!(!look(&bench, &late), "nobody has looked at the clock yet");
    bench.flow.leave(&late);
    bench.advance(0);
    assert_eq!(outcome(&late), "expired waiting");
    // Nor is it granted a lane.
    bench.submit(ask(2));
    let (work, _) = bench.start(0);
    let other = bench.flow.begin(ask(3).request, false).expect("the callers' lane");
    let late = bench.submit(ask(4).any_lane().deadline(9));
    assert!(!look(&bench, &late));
    bench.clock.advance(Duration::from_millis(4));
    bench.complete(other);
    assert!(!bench.flow.is_running(&late));
    bench.advance(0);
    assert_eq!(outcome(&late), "expired waiting");
    bench.answer(work);
}

#[test]
fn a_waiting_thread_passes_no_urgent_request() {
    let bench = bench(1, 0);
    let slot = bench.submit(ask(1));
    bench.submit(ask(2).urgent());
    assert!(!look(&bench, &slot));
    assert_eq!(bench.run_all(), [2, 1]);
}

#[test]
fn a_thread_that_leaves_late_takes_nobody_elses_place() {
    let bench = bench(1, 1);
    let old = bench.submit(ask(1));
    assert!(look(&bench, &old));
    bench.submit(ask(2).priority(1));
    let (work, _) = bench.start(0);
    let other = bench.flow.begin(ask(3).request, false).expect("the callers' lane");
    let caller = bench.submit(ask(4).any_lane());
    assert!(!look(&bench, &caller));
    bench.flow.leave(&old);
    bench.complete(other);
    assert!(bench.flow.is_running(&caller), "granted");
    bench.flow.leave(&caller);
    bench.answer(work);
}
