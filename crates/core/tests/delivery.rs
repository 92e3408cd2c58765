//! Delivery: order of callbacks, the gate at `delivery_depth`, and what the delivery thread may do.

mod support;

use headway_core::admission::{NOTICES_PER_PLACE, Overflow, Patience};
use headway_core::error::ErrorKind;
use headway_core::runtime::Waiting;
use headway_core::state::Config;
use support::{Bench, ask, flow, outcome};

fn bench(delivery_depth: usize, workers: usize) -> Bench {
    let flow = flow(8, Overflow::Block);
    Bench::new(Config { workers, delivery_depth, flow, ..Config::default() })
}

#[test]
fn callbacks_come_in_submission_order_with_failures_between() {
    let bench = bench(9, 3);
    let cancelled = bench.submit(ask(1).callback());
    bench.cancel(&cancelled);
    for number in 2..=4 {
        bench.submit(ask(number).callback());
    }
    let late = bench.submit(ask(5).callback().deadline(3));
    let works: Vec<_> = (0..3).map(|lane| bench.start(lane).0).collect();
    let mut works = works.into_iter();
    let (two, three, four) = (works.next(), works.next(), works.next());
    bench.answer(four.expect("4"));
    bench.advance(3);
    bench.fail(three.expect("3"));
    assert!(late.is_ended());
    assert_eq!(bench.deliver(), ["1: cancelled"], "2 still runs");
    bench.answer(two.expect("2"));
    assert_eq!(bench.deliver(), ["2: done 2", "3: failed", "4: done 4", "5: expired waiting"]);
}

#[test]
fn each_key_and_priority_is_a_consumer_of_its_own() {
    let bench = bench(9, 4);
    bench.submit(ask(1).callback().key(1).priority(5));
    bench.submit(ask(2).callback().key(2).priority(4));
    bench.submit(ask(3).callback().key(1).priority(4));
    bench.submit(ask(4).callback().key(2).priority(4).deadline(1));
    let works: Vec<_> = (0..3).map(|lane| bench.start(lane).0).collect();
    bench.advance(1);
    let mut works = works.into_iter();
    let first = works.next();
    works.for_each(|work| assert!(bench.answer(work).is_none()));
    assert_eq!(bench.deliver(), ["2: done 2", "4: expired waiting", "3: done 3"]);
    bench.answer(first.expect("1"));
    assert_eq!(bench.deliver(), ["1: done 1"]);
}

#[test]
fn unordered_callbacks_come_as_they_end() {
    let bench = Bench::new(Config { workers: 2, ordered: false, ..Config::default() });
    bench.submit(ask(1).callback());
    bench.submit(ask(2).callback());
    let (one, two) = (bench.start(0).0, bench.start(1).0);
    bench.answer(two);
    bench.answer(one);
    assert_eq!(bench.deliver(), ["2: done 2", "1: done 1"]);
}

#[test]
fn at_the_bound_lanes_start_nothing() {
    let bench = bench(1, 1);
    bench.submit(ask(1).callback());
    bench.submit(ask(2));
    bench.run(0);
    assert!(bench.take(0).is_none());
    assert!(bench.flow.begin(ask(3).request, false).is_err());
    let due = bench.due(9);
    assert!(bench.take(0).is_none(), "the callback has not returned");
    bench.returned(&due[0], true);
    assert_eq!(bench.counters().callback_errors, 1);
    assert_eq!(bench.run(0), Some(2));
}

#[test]
fn at_the_bound_the_request_that_delivery_waits_for_starts() {
    let bench = bench(1, 2);
    bench.submit(ask(1).callback());
    let second = bench.submit(ask(2).callback());
    bench.submit(ask(3));
    bench.submit(ask(4).callback().key(1));
    bench.cancel(&second);
    // The cancelled one is held back by number 1; numbers 3 and 4 wait behind the gate.
    assert_eq!(bench.counters().undelivered, 1);
    let (work, numbers) = bench.start(0);
    assert_eq!(numbers, [1]);
    bench.answer(work);
    assert!(bench.take(0).is_none(), "two callbacks are due");
    assert_eq!(bench.deliver(), ["1: done 1", "2: cancelled"]);
    assert_eq!(bench.run_all(), [4], "and shuts the gate again");
    bench.deliver();
    assert_eq!(bench.run_all(), [3]);
}

#[test]
fn at_the_bound_serial_runs_what_comes_before_the_awaited_one() {
    let bench = Bench::new(Config {
        serial: true,
        delivery_depth: 1,
        flow: flow(8, Overflow::Block),
        ..Config::default()
    });
    bench.submit(ask(1).key(1));
    bench.submit(ask(2).key(1).callback());
    let third = bench.submit(ask(3).key(1).callback());
    bench.submit(ask(4));
    bench.cancel(&third);
    assert_eq!((bench.run(0), bench.run(0), bench.run(0)), (Some(1), Some(2), None));
    assert_eq!(bench.deliver(), ["2: done 2", "3: cancelled"]);
    assert_eq!(bench.run_all(), [4]);
}

#[test]
fn at_the_bound_serial_does_not_start_the_awaited_one_beside_another_of_its_key() {
    let bench = Bench::new(Config { serial: true, workers: 2, delivery_depth: 1, ..Config::default() });
    bench.submit(ask(1).key(7).priority(1));
    let (work, _) = bench.start(0);
    bench.submit(ask(2).key(7).callback());
    bench.submit(ask(3).key(7).callback().deadline(0));
    assert!(bench.take(1).is_none(), "its key runs");
    bench.answer(work);
    assert_eq!(bench.run(1), Some(2));
    assert_eq!(bench.deliver(), ["2: done 2", "3: expired waiting"]);
}

#[test]
fn closing_lifts_the_gate_and_still_delivers_everything() {
    let bench = bench(1, 1);
    bench.submit(ask(1).callback());
    bench.submit(ask(2).callback());
    bench.run(0);
    assert!(bench.take(0).is_none());
    bench.flow.begin_close(true);
    assert_eq!(bench.run_all(), [2]);
    assert_eq!(bench.deliver(), ["1: done 1", "2: done 2"]);
    let mut none = Vec::new();
    assert!(!bench.flow.next_deliveries(1, &mut none), "there will be none any more");
}

#[test]
fn callbacks_can_be_added_until_the_request_has_ended() {
    let bench = bench(9, 1);
    let slot = bench.submit(ask(1));
    assert!(bench.flow.attach(&slot, Box::new(10_u64)).is_none());
    let (work, _) = bench.start(0);
    assert!(bench.flow.attach(&slot, Box::new(11_u64)).is_none());
    bench.answer(work);
    assert!(bench.flow.attach(&slot, Box::new(12_u64)).is_some(), "the caller calls it itself");
    assert_eq!(bench.counters().undelivered, 1);
    assert_eq!(bench.deliver(), ["10+11: done 1"]);
}

#[test]
fn callbacks_of_futures_hold_up_no_consumer() {
    let bench = bench(9, 2);
    bench.submit(ask(1).callback());
    let future = bench.submit(ask(2));
    bench.flow.attach(&future, Box::new(2_u64));
    let (one, two) = (bench.start(0).0, bench.start(1).0);
    bench.answer(two);
    assert_eq!(bench.deliver(), ["2: done 2"]);
    bench.answer(one);
    assert_eq!(bench.deliver(), ["1: done 1"]);
}

/// The delivery thread sits in a callback and runs something: ahead of the queue, past the gate.
#[test]
fn the_delivery_thread_passes_queue_and_gate() {
    let bench = bench(1, 1);
    bench.submit(ask(1).callback());
    bench.submit(ask(2));
    bench.run(0);
    let due = bench.due(1);
    let work = bench.flow.begin(ask(3).request, true).expect("ahead of 2, at the bound");
    let urgent = bench.submit(ask(4).urgent().patience(Patience::Delivery));
    bench.answer(work);
    assert_eq!(bench.run(0), Some(4), "a worker passes the gate for it");
    assert_eq!(outcome(&urgent), "done 4");
    assert!(bench.take(0).is_none());
    bench.returned(&due[0], false);
    assert_eq!(bench.run(0), Some(2));
}

/// `result()` inside a callback, on a request that waits behind the gate.
#[test]
fn the_delivery_thread_runs_what_it_waits_for() {
    let bench = bench(1, 1);
    bench.submit(ask(1).callback());
    bench.submit(ask(2));
    let wanted = bench.submit(ask(3));
    bench.run(0);
    let due = bench.due(1);
    let busy = bench.flow.begin(ask(9).request, true).expect("the lane");
    let how = Waiting { execute: true, ahead: true, again: false };
    bench.flow.wait(&wanted, Some(std::time::Instant::now()), how);
    bench.answer(busy);
    assert_eq!(bench.run(0), Some(3), "it became urgent");
    assert!(bench.take(0).is_none());
    bench.returned(&due[0], false);
    assert_eq!(bench.run(0), Some(2));
}

/// The same with `serial`: those of its key that come first become urgent with it, and nothing runs twice at once.
#[test]
fn urgent_requests_keep_the_order_of_a_serial_key() {
    let bench = Bench::new(Config {
        workers: 2,
        serial: true,
        delivery_depth: 1,
        flow: flow(8, Overflow::Block),
        ..Config::default()
    });
    bench.submit(ask(1).callback());
    bench.run(0);
    let due = bench.due(1);
    bench.submit(ask(2).key(1));
    let wanted = bench.submit(ask(3).key(1));
    bench.submit(ask(4).key(1));
    let how = Waiting { execute: true, ahead: true, again: false };
    let now = || Some(std::time::Instant::now());
    bench.flow.wait(&wanted, now(), how);
    let (work, numbers) = bench.start(0);
    assert_eq!(numbers, [2]);
    assert!(bench.take(1).is_none(), "one of a key at a time");
    bench.flow.wait(&wanted, now(), how);
    assert!(!wanted.is_ended());
    bench.answer(work);
    assert_eq!((bench.run(1), bench.run(1)), (Some(3), None));
    bench.returned(&due[0], false);
    assert_eq!(bench.run(0), Some(4));
}

/// What becomes urgent leaves its place in the flow to whoever waits for room.
#[test]
fn an_urgent_request_makes_room_in_its_flow() {
    let bench = Bench::new(Config { flow: flow(1, Overflow::Block), ..Config::default() });
    let busy = bench.flow.begin(ask(9).request, false).expect("the lane");
    let wanted = bench.submit(ask(1));
    let lined = bench.submit(ask(2).waits());
    let how = Waiting { execute: true, ahead: true, again: false };
    bench.flow.wait(&wanted, Some(std::time::Instant::now()), how);
    assert!(lined.ticket().is_some());
    bench.answer(busy);
    assert_eq!(bench.run_all(), [1, 2]);
}

#[test]
fn urgent_requests_come_in_their_own_order() {
    let bench = bench(9, 1);
    bench.submit(ask(1).priority(5));
    bench.submit(ask(2).urgent());
    bench.submit(ask(3).urgent());
    assert_eq!(bench.run_all(), [2, 3, 1]);
}

#[test]
fn every_drop_is_told_once_in_order_beside_its_callback() {
    let config = Config { tell_drops: true, flow: flow(1, Overflow::DropNewest), ..Config::default() };
    let bench = Bench::new(config);
    bench.submit(ask(1));
    bench.submit(ask(2));
    bench.submit(ask(3).callback());
    bench.submit(ask(4));
    let due = bench.due(9);
    let told: Vec<(u64, bool)> = due.iter().map(|one| (one.ticket, one.told.is_some())).collect();
    assert_eq!(told, [(2, true), (3, true), (3, false), (4, true)]);
    due.iter().for_each(|delivery| bench.returned(delivery, true));
    assert_eq!(bench.counters().callback_errors, 4);
    bench.run_all();
    assert!(bench.due(9).is_empty());
    bench.flow.begin_close(true);
    assert!(bench.flow.wait_delivered(Some(std::time::Instant::now())));
}

/// Its caller has a future of it: the callbacks are called, and it counts as rejected and as nothing else.
#[test]
fn callbacks_of_what_is_refused_in_the_line_are_called() {
    let bench = Bench::new(Config { flow: flow(1, Overflow::Block), ..Config::default() });
    bench.submit(ask(1));
    let lined = [2, 3, 4].map(|number| bench.submit(ask(number).waits()));
    for (slot, number) in lined.iter().zip([2_u64, 3]) {
        assert!(bench.flow.attach(slot, Box::new(number)).is_none());
    }
    assert!(lined.iter().all(|slot| bench.cancel(slot)));
    assert_eq!((bench.counters().rejected, bench.counters().undelivered), (3, 0));
    let due = bench.due(9);
    let numbers: Vec<u64> = due
        .iter()
        .flat_map(|one| one.slot.take_tags())
        .filter_map(|tag| tag.downcast_ref().copied())
        .collect();
    assert_eq!(numbers, [2, 3]);
    assert!(due.iter().all(|one| one.refused && one.told.is_none() && one.ticket == 0));
    bench.returned(&due[0], true);
    bench.returned(&due[1], false);
    assert_eq!((bench.counters().callback_errors, bench.counters().cancelled), (1, 0));
}

#[test]
fn refusals_count_as_notices_until_their_callbacks_return() {
    let bench = Bench::new(Config { flow: flow(1, Overflow::Block), ..Config::default() });
    let running = bench.submit(ask(0));
    for number in 1..=NOTICES_PER_PLACE as u64 {
        let lined = bench.submit(ask(number).waits());
        bench.flow.attach(&lined, Box::new(number));
        bench.cancel(&lined);
    }
    bench.cancel(&running);
    assert_eq!(bench.refused(ask(99)), ErrorKind::QueueFull);
    let due = bench.due(1);
    bench.returned(&due[0], false);
    bench.submit(ask(99));
}

#[test]
fn a_callback_is_added_to_the_one_request_and_to_nobody_beside_it() {
    let bench = Bench::new(Config { max_batch: 2, ..Config::default() });
    let [first, second] = [1, 2].map(|number| bench.submit(ask(number)));
    let (work, numbers) = bench.start(0);
    assert_eq!(numbers, [1, 2]);
    assert!(bench.flow.attach(&second, Box::new(2_u64)).is_none());
    assert!(bench.cancel(&first) && !bench.flow.is_running(&first) && bench.flow.is_running(&second));
    assert!(bench.flow.attach(&first, Box::new(1_u64)).is_some(), "it has ended, although it is on the lane");
    bench.answer(work);
    assert_eq!(bench.deliver(), ["2: done 2"]);
    let next = bench.submit(ask(3));
    assert!(bench.flow.attach(&first, Box::new(1_u64)).is_some(), "another is in its place");
    assert!(!bench.flow.is_running(&next));
    assert_eq!(bench.counters().undelivered, 0);
}

#[test]
fn an_urgent_request_passes_every_bound_and_leaves_its_place_to_no_other_urgent_one() {
    let bench = Bench::new(Config { flow: flow(2, Overflow::Raise), ..Config::default() });
    (1..=2).for_each(|number| drop(bench.submit(ask(number))));
    (3..=4).for_each(|number| drop(bench.submit(ask(number).urgent())));
    assert_eq!(bench.run_all(), [3, 4, 1, 2]);
    bench.submit(ask(5));
    bench.submit(ask(6).priority(1));
    assert_eq!(bench.run_all(), [6, 5]);
}
