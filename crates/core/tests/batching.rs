//! Dynamic batching in the flow, with a manual clock.

mod support;

use std::time::Duration;

use headway_core::admission::Overflow;
use headway_core::batch::{Limits, Reason};
use headway_core::request::Group;
use headway_core::state::Config;
use proptest::prelude::*;
use support::{Ask, Bench, ask, flow, outcome};

const MS: Duration = Duration::from_millis(1);

fn limits(max_size: u32, millis: u64) -> Limits {
    Limits { max_size, max_delay: Duration::from_millis(millis) }
}

/// A session with windows of so many milliseconds.
fn bench(max_size: u32, delay: u64) -> Bench {
    with(max_size, delay, Config::default())
}

fn with(max_size: u32, delay: u64, config: Config) -> Bench {
    let flow = flow(16, Overflow::Block);
    Bench::new(Config { batching: Some(limits(max_size, delay)), flow, delivery_depth: 99, ..config })
}

fn rows(mut ask: Ask, key: u64, rows: u32) -> Ask {
    ask.request.group = Some(Group { key, rows });
    ask
}

fn row(number: u64) -> Ask {
    rows(ask(number), 1, 1)
}

fn released(bench: &Bench) -> Vec<(&'static str, u64)> {
    let stats = bench.stats().batching.expect("batching");
    let all = Reason::ALL.into_iter().map(|reason| (reason.as_str(), stats.released[reason as usize]));
    all.filter(|(_, count)| *count > 0).collect()
}

#[test]
fn the_oldest_waits_for_others_until_its_window_ends() {
    let bench = bench(4, 5);
    bench.submit(row(1));
    assert!(bench.take(0).is_none(), "it waits");
    bench.advance(3);
    bench.submit(row(2));
    assert!(bench.take(0).is_none());
    assert_eq!(bench.flow.expire(), None, "the timer knows of the window");
    bench.advance(2);
    let (work, numbers) = bench.start(0);
    assert_eq!(numbers, [1, 2]);
    assert_eq!(bench.counters().running, 2);
    bench.answer(work);
    assert_eq!((bench.counters().done, released(&bench)), (2, vec![("delay", 1)]));
    assert_eq!(bench.stats().lanes[0].runs, 1, "one run of the engine");
}

#[test]
fn a_full_batch_goes_at_once_and_what_is_left_waits() {
    let bench = bench(4, 5);
    (1..=6).for_each(|number| drop(bench.submit(row(number))));
    let (work, numbers) = bench.start(0);
    assert_eq!(numbers, [1, 2, 3, 4]);
    bench.answer(work);
    assert!(bench.take(0).is_none(), "two wait for others");
    bench.flow.begin_close(true);
    let (work, numbers) = bench.start(0);
    assert_eq!(numbers, [5, 6]);
    bench.answer(work);
    assert_eq!(released(&bench), [("full", 1), ("closing", 1)]);
}

#[test]
fn a_queue_without_room_waits_for_nobody() {
    let bench = Bench::new(Config {
        batching: Some(limits(8, 5)),
        flow: flow(2, Overflow::Block),
        ..Config::default()
    });
    (1..=2).for_each(|number| drop(bench.submit(row(number))));
    let lined = bench.submit(row(3).waits());
    let (work, numbers) = bench.start(0);
    assert_eq!(numbers, [1, 2, 3], "who stands in the line moves up and joins");
    assert!(lined.ticket().is_some());
    bench.answer(work);
    assert_eq!(released(&bench), [("full", 1)]);
}

#[test]
fn a_deadline_ends_the_window_and_the_expired_never_join() {
    let bench = bench(4, 50);
    bench.submit(row(1).deadline(40));
    let (work, numbers) = bench.start(0);
    assert_eq!(numbers, [1], "nobody knows how long the model takes");
    bench.clock.advance(MS * 4);
    bench.answer(work);
    bench.submit(row(2).deadline(54));
    assert!(bench.take(0).is_none(), "it has time for others");
    let late = bench.submit(row(3).deadline(20));
    let kept = bench.submit(row(4));
    bench.cancel(&late);
    // 54 less half as much again as four rows take, and the slack: 54 - 24 - 1.
    bench.advance(24);
    assert!(bench.take(0).is_none());
    bench.advance(1);
    let (work, numbers) = bench.start(0);
    assert_eq!(numbers, [2, 4]);
    bench.answer(work);
    assert_eq!(outcome(&kept), "done 4");
    assert_eq!(released(&bench), [("deadline", 2)]);
}

#[test]
fn other_groups_and_what_cannot_be_joined_pass_the_window() {
    let bench = with(4, 5, Config { workers: 2, ..Config::default() });
    bench.submit(row(1));
    bench.submit(rows(ask(2), 2, 1));
    bench.submit(ask(3));
    let (work, numbers) = bench.start(0);
    assert_eq!(numbers, [3]);
    bench.submit(row(4).priority(1));
    bench.submit(rows(ask(5), 1, 3));
    let (second, numbers) = bench.start(1);
    assert_eq!(numbers, [1, 5], "of one priority only");
    bench.answer(work);
    bench.answer(second);
    bench.advance(5);
    let mut rest: Vec<Vec<u64>> = std::iter::from_fn(|| {
        let work = bench.take(0)?;
        let numbers = support::numbers(&work);
        bench.answer(work);
        Some(numbers)
    })
    .collect();
    rest.sort();
    assert_eq!(rest, [[2], [4]]);
}

#[test]
fn rows_that_do_not_fit_are_left_for_the_next_run() {
    let bench = bench(4, 5);
    bench.submit(rows(ask(1), 1, 3));
    bench.submit(rows(ask(2), 1, 2));
    let (work, numbers) = bench.start(0);
    assert_eq!(numbers, [1]);
    bench.answer(work);
    bench.submit(rows(ask(3), 1, 9));
    bench.advance(5);
    let (work, numbers) = bench.start(0);
    assert_eq!(numbers, [2]);
    bench.answer(work);
    let (work, numbers) = bench.start(0);
    assert_eq!(numbers, [3], "one request alone may be larger");
    bench.answer(work);
    assert_eq!(released(&bench), [("full", 3)]);
}

#[test]
fn a_serial_key_is_in_a_batch_once_and_keys_take_turns() {
    let bench = with(8, 0, Config { serial: true, ..Config::default() });
    for (number, key) in [(1, 1), (2, 1), (3, 2), (4, 3), (5, 2)] {
        bench.submit(row(number).key(key));
    }
    let (work, numbers) = bench.start(0);
    assert_eq!(numbers, [1, 3, 4]);
    assert!(bench.take(0).is_none());
    bench.answer(work);
    let (work, numbers) = bench.start(0);
    assert_eq!(numbers, [2, 5]);
    bench.answer(work);
}

#[test]
fn a_serial_key_of_two_flows_is_in_a_batch_once() {
    let bench = with(8, 0, Config { serial: true, ..Config::default() });
    assert_eq!(bench.flow.open_flow(flow(4, Overflow::Block)).ok(), Some(1));
    for (number, key, flow) in [(1, 1, 0), (2, 2, 0), (3, 3, 1), (4, 2, 1)] {
        bench.submit(row(number).key(key).on(flow));
    }
    let (work, numbers) = bench.start(0);
    assert_eq!(numbers, [3, 4, 1], "the second flow's turn; key 2 is there already");
    bench.answer(work);
    let (work, numbers) = bench.start(0);
    assert_eq!(numbers, [2]);
    bench.answer(work);
}

#[test]
fn who_cannot_go_along_does_not_wait_for_those_who_do() {
    let bench = with(8, 5, Config { serial: true, workers: 2, ..Config::default() });
    assert_eq!(bench.flow.open_flow(flow(4, Overflow::Block)).ok(), Some(1));
    bench.submit(row(1).key(1));
    bench.advance(3);
    bench.submit(row(2).key(1).on(1));
    assert!(bench.take(0).is_none(), "the second flow's turn, and each has a window of its own");
    bench.advance(2);
    let (work, numbers) = bench.start(0);
    assert_eq!(numbers, [1], "its window ends before that of the other, whose turn it is");
    bench.answer(work);
    assert!(bench.take(0).is_none());
    bench.submit(row(3).key(1).deadline(6));
    bench.submit(row(4).key(2));
    bench.submit(row(5).key(2).on(1));
    let (work, numbers) = bench.start(0);
    assert_eq!(numbers, [3, 4], "its deadline is near");
    assert!(bench.take(1).is_none());
    bench.answer(work);
    bench.advance(3);
    let (work, numbers) = bench.start(0);
    assert_eq!(numbers, [2, 5]);
    bench.answer(work);
    assert_eq!(released(&bench), [("delay", 2), ("deadline", 1)]);
}

#[test]
fn what_delivery_waits_for_waits_for_nobody() {
    let limits = Some(limits(8, 5));
    let bench = Bench::new(Config { batching: limits, delivery_depth: 1, ..Config::default() });
    bench.submit(row(1).callback());
    bench.submit(row(2).callback().deadline(0));
    assert_eq!(bench.counters().undelivered, 1, "behind the first, and that is the bound");
    let (work, numbers) = bench.start(0);
    assert_eq!(numbers, [1]);
    bench.answer(work);
    assert_eq!(bench.deliver(), ["1: done 1", "2: expired waiting"]);
}

#[test]
fn who_waits_for_its_own_answer_waits_for_nobody() {
    let bench = with(8, 5, Config { workers: 1, caller_lanes: 1, ..Config::default() });
    let first = bench.submit(row(1));
    bench.submit(row(2));
    bench.submit(row(3).any_lane());
    let how = headway_core::runtime::Waiting { execute: true, ahead: false, again: false };
    assert!(bench.take(0).is_none());
    // There is no engine here: the thread that runs it gets no answer, but it and its company ran.
    bench.flow.wait(&first, None, how);
    assert_eq!(bench.counters().failed, 3);
    assert_eq!(released(&bench), [("idle", 1)]);
    let work = bench.flow.begin(row(4).request, false).expect("a lane is free and nothing waits");
    bench.answer(work);
    assert_eq!(released(&bench), [("idle", 1), ("alone", 1)]);
}

#[test]
fn neighbours_of_a_cancelled_request_run_on() {
    let bench = bench(2, 5);
    let slots = [bench.submit(row(1)), bench.submit(row(2))];
    let (work, _) = bench.start(0);
    assert!(bench.cancel(&slots[0]));
    assert_eq!((outcome(&slots[0]), bench.stats().lanes[0].state), ("cancelled".into(), "running"));
    bench.answer(work);
    assert_eq!(outcome(&slots[1]), "done 2");
}

#[test]
fn without_company_the_window_closes_by_itself() {
    let bench = bench(4, 5);
    for number in 0..8 {
        bench.submit(row(number));
        assert!(bench.take(0).is_none());
        bench.advance(5);
        assert_eq!(bench.run(0), Some(number));
    }
    // Now and then a longer window looks whether that has changed.
    let waits = (8..24).filter(|&number| {
        bench.submit(row(number));
        let at_once = bench.run(0);
        bench.advance(5);
        assert_eq!(at_once.or_else(|| bench.run(0)), Some(number));
        at_once.is_none()
    });
    assert!(waits.count() <= 3);
}

#[derive(Debug, Clone)]
enum Op {
    Submit {
        key: Option<i64>,
        group: Option<u64>,
        rows: u32,
        priority: i32,
        deadline: Option<u64>,
        callback: bool,
    },
    Take(usize),
    Complete(usize, bool),
    Cancel(prop::sample::Index),
    Advance(u64),
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let submit = (
        prop::option::of(0..3_i64),
        prop::option::weighted(0.9, 0..2_u64),
        1..4_u32,
        0..2_i32,
        prop::option::weighted(0.2, 0..30_u64),
        any::<bool>(),
    )
        .prop_map(|(key, group, rows, priority, deadline, callback)| Op::Submit {
            key,
            group,
            rows,
            priority,
            deadline,
            callback,
        });
    let op = prop_oneof![
        6 => submit,
        4 => (0..2_usize).prop_map(Op::Take),
        3 => (0..2_usize, any::<bool>()).prop_map(|(lane, well)| Op::Complete(lane, well)),
        1 => any::<prop::sample::Index>().prop_map(Op::Cancel),
        2 => (1..6_u64).prop_map(Op::Advance),
    ];
    prop::collection::vec(op, 1..120)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 800, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn whatever_is_joined_ends_once_and_in_order(serial in any::<bool>(), max_size in 1..6_u32, ops in ops()) {
        let config = Config { workers: 2, serial, flow: flow(8, Overflow::Raise), delivery_depth: 99, ..Config::default() };
        let bench = Bench::new(Config { batching: Some(limits(max_size, 4)), ..config });
        // Of each request: slot, key, group, rows, priority.
        let mut all = Vec::new();
        let mut lanes = [None, None];
        let mut now = 0;
        let mut started: Vec<u64> = Vec::new();
        let finish = |work, well: bool| if well { bench.answer(work) } else { bench.fail(work) };
        for op in ops {
            match op {
                Op::Submit { key, group, rows: own, priority, deadline, callback } => {
                    let mut one = ask(all.len() as u64).priority(priority);
                    if let Some(key) = key { one = one.key(key); }
                    if let Some(deadline) = deadline { one = one.deadline(now + deadline); }
                    if callback { one = one.callback(); }
                    if let Some(group) = group { one = rows(one, group, own); }
                    if let Ok(slot) = bench.try_submit(one) {
                        all.push((slot, key, group, own, priority));
                    }
                }
                Op::Take(lane) if lanes[lane].is_none() => {
                    let Some(work) = bench.take(lane) else { continue };
                    let numbers = support::numbers(&work);
                    let of = |number: &u64| &all[*number as usize];
                    let head = of(&numbers[0]);
                    let total: u32 = numbers.iter().map(|number| of(number).3).sum();
                    prop_assert!(numbers.len() == 1 || (total <= max_size && head.2.is_some()));
                    prop_assert!(numbers.iter().all(|number| of(number).2 == head.2 && of(number).4 == head.4));
                    for (place, number) in numbers.iter().enumerate() {
                        let key = of(number).1;
                        let same = |other: &&u64| key.is_some() && of(other).1 == key && of(other).4 == of(number).4;
                        prop_assert!(started.iter().chain(&numbers[..place]).filter(same).all(|other| other < number));
                        let twice = numbers[..place].iter().any(|other| key.is_some() && of(other).1 == key);
                        prop_assert!(!(serial && twice));
                    }
                    started.extend(&numbers);
                    lanes[lane] = Some(work);
                }
                Op::Complete(lane, well) => { if let Some(work) = lanes[lane].take() { finish(work, well); } }
                Op::Cancel(which) if !all.is_empty() => drop(bench.cancel(&which.get(&all).0)),
                Op::Advance(millis) => { now += millis; bench.advance(millis); }
                Op::Take(_) | Op::Cancel(_) => {}
            }
        }
        lanes.into_iter().flatten().for_each(|work| drop(finish(work, true)));
        // After the longest window something starts whenever a lane is free.
        while bench.counters().waiting > 0 {
            bench.advance(4);
            let work = bench.take(0);
            prop_assert!(work.is_some() || bench.counters().waiting == 0);
            work.into_iter().for_each(|work| drop(finish(work, true)));
        }
        let called = bench.deliver().len();
        let counters = bench.counters();
        prop_assert_eq!(support::ended(&counters), all.len() as u64);
        prop_assert!(all.iter().all(|one| one.0.is_ended()) && called <= all.len());
    }
}

#[test]
fn a_thread_that_only_waits_ends_the_window_too() {
    let bench = bench(8, 5);
    let slots = [bench.submit(row(1)), bench.submit(row(2))];
    assert!(bench.take(0).is_none());
    let how = headway_core::runtime::Waiting::default();
    bench.flow.wait(&slots[1], Some(std::time::Instant::now()), how);
    let (work, numbers) = bench.start(0);
    assert_eq!(numbers, [1, 2]);
    bench.answer(work);
    assert_eq!(released(&bench), [("idle", 1)]);
}
