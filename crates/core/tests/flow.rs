//! The whole flow on lanes driven by the test and a manual clock: endings, order, delivery, deadlines.

mod support;

use std::time::Duration;

use headway_core::admission::Overflow;
use headway_core::error::ErrorKind;
use headway_core::request::StreamKey;
use headway_core::state::Config;
use support::{Bench, ask, flow, outcome, word};

fn bench() -> Bench {
    Bench::new(Config::default())
}

/// Every way to end, brought about for request 7 on a session that drops the newest of more than one.
fn end_as(bench: &Bench, end: &str, callback: bool) -> headway_core::slot::SlotRef {
    let make = |ask: support::Ask| if callback { ask.callback() } else { ask };
    match end {
        "done 7" => {
            let slot = bench.submit(make(ask(7)));
            bench.answer(bench.start(0).0);
            slot
        }
        "failed" => {
            let slot = bench.submit(make(ask(7)));
            bench.fail(bench.start(0).0);
            slot
        }
        "dropped overflow" => {
            let first = bench.submit(ask(1));
            let slot = bench.submit(make(ask(7)));
            bench.cancel(&first);
            slot
        }
        "expired waiting" => {
            let slot = bench.submit(make(ask(7)).deadline(5));
            bench.advance(5);
            slot
        }
        "expired running" => {
            let slot = bench.submit(make(ask(7)).deadline(5));
            let (work, _) = bench.start(0);
            bench.advance(5);
            bench.answer(work);
            slot
        }
        "cancelled" => {
            let slot = bench.submit(make(ask(7)));
            assert!(bench.cancel(&slot));
            slot
        }
        other => panic!("{other}"),
    }
}

#[test]
fn each_way_to_end_counts_once_in_both_manners() {
    for end in ["done 7", "failed", "dropped overflow", "expired waiting", "expired running", "cancelled"] {
        for callback in [false, true] {
            let config = Config { flow: flow(1, Overflow::DropNewest), ..Config::default() };
            let bench = Bench::new(config);
            let slot = end_as(&bench, end, callback);
            assert!(slot.is_ended(), "{end}");
            assert_eq!(bench.counters().undelivered, u64::from(callback), "{end}");
            if callback {
                assert_eq!(bench.deliver(), [format!("7: {end}")]);
            } else {
                assert!(bench.due(9).is_empty());
                assert_eq!(outcome(&slot), end);
            }
            let counters = bench.counters();
            let helper = u64::from(end == "dropped overflow");
            assert_eq!(counters.submitted, 1 + helper);
            let ended = [
                ("done 7", counters.done),
                ("failed", counters.failed),
                ("dropped overflow", counters.dropped[0]),
                ("expired waiting", counters.expired),
                ("expired running", counters.expired),
                ("cancelled", counters.cancelled - helper),
            ];
            for (name, count) in ended {
                let mine = name == end || (name.starts_with("expired") && end.starts_with("expired"));
                assert_eq!(count, u64::from(mine), "{name} after {end}");
            }
            assert_eq!(outcome(&slot), "none", "the outcome is taken once");
            assert!(!bench.cancel(&slot), "it has ended");
        }
    }
}

#[test]
fn what_was_begun_inline_ends_as_its_own_caller_sees() {
    let bench = bench();
    let work = bench.flow.begin(ask(7).key(1).request, false).expect("a lane");
    assert_eq!(bench.counters().running, 1);
    assert_eq!(bench.answer(work).map(|outcome| word(&outcome)), Some("done 7".into()));
    let work = bench.flow.begin(ask(8).deadline(5).request, false).expect("a lane");
    bench.advance(5);
    assert_eq!(bench.stats().lanes[0].state, "overrun");
    assert_eq!(bench.answer(work).map(|outcome| word(&outcome)), Some("expired running".into()));
    assert_eq!((bench.counters().done, bench.counters().expired), (1, 1));
}

#[test]
fn beginning_inline_overtakes_nobody() {
    let bench = bench();
    let begin = |number| bench.flow.begin(ask(number).request, false);
    bench.submit(ask(1));
    assert!(begin(2).is_err(), "something waits");
    let (work, _) = bench.start(0);
    assert!(begin(2).is_err(), "no lane is free");
    bench.answer(work);
    assert!(bench.flow.begin(ask(2).deadline(0).request, false).is_err(), "it has expired");
    let work = begin(2).expect("a lane");
    bench.answer(work);
    bench.flow.begin_close(true);
    assert!(begin(3).is_err(), "closed");
    bench.stats();
}

#[test]
fn expired_work_never_starts_even_when_nobody_looked_at_the_clock() {
    let bench = Bench::new(Config { max_batch: 4, ..Config::default() });
    let late = bench.submit(ask(1).deadline(5));
    bench.submit(ask(2));
    let later = bench.submit(ask(3).deadline(5));
    bench.clock.advance(Duration::from_millis(5));
    let (work, numbers) = bench.start(0);
    assert_eq!(numbers, [2]);
    bench.answer(work);
    assert_eq!((outcome(&late), outcome(&later)), ("expired waiting".into(), "expired waiting".into()));
    assert!(bench.submit(ask(4).deadline(1)).is_ended(), "it comes too late");
}

#[test]
fn a_late_answer_goes_nowhere() {
    let bench = bench();
    let expired = bench.submit(ask(1).deadline(5));
    let (work, _) = bench.start(0);
    bench.advance(5);
    assert_eq!(outcome(&expired), "expired running");
    assert_eq!(bench.stats().lanes[0].state, "overrun");
    let next = bench.submit(ask(2));
    assert!(bench.take(0).is_none(), "the lane is busy until the engine has returned");
    bench.answer(work);
    assert_eq!((outcome(&expired), outcome(&next)), ("none".into(), "none".into()));
    assert_eq!(bench.run(0), Some(2));
    assert_eq!(outcome(&next), "done 2");
    assert_eq!(bench.counters().done, 1);
}

#[test]
fn one_of_a_batch_is_cancelled_and_the_others_go_on() {
    let bench = Bench::new(Config { max_batch: 3, ..Config::default() });
    let slots: Vec<_> = (1..=4).map(|number| bench.submit(ask(number))).collect();
    let (work, numbers) = bench.start(0);
    assert_eq!(numbers, [1, 2, 3]);
    assert!(bench.cancel(&slots[1]));
    assert_eq!(bench.stats().lanes[0].state, "running");
    bench.answer(work);
    let ends: Vec<String> = slots.iter().map(outcome).collect();
    assert_eq!(ends, ["done 1", "cancelled", "done 3", "none"]);
    assert_eq!(bench.counters().waiting, 1);
}

#[test]
fn jobs_that_a_driver_loses_fail_and_are_not_lost() {
    let bench = Bench::new(Config { max_batch: 3, ..Config::default() });
    let slots: Vec<_> = (1..=3).map(|number| bench.submit(ask(number))).collect();
    let (mut work, _) = bench.start(0);
    work.jobs.truncate(1);
    bench.answer(work);
    assert_eq!(slots.iter().map(outcome).collect::<Vec<_>>(), ["done 1", "failed", "failed"]);
}

#[test]
fn larger_priorities_first_then_keys_in_turn_then_first_come() {
    let bench = Bench::new(Config { flow: flow(9, Overflow::Block), ..Config::default() });
    for (number, key) in [(1, 1), (2, 1), (3, 1), (4, 2), (5, 2)] {
        bench.submit(ask(number).key(key));
    }
    bench.submit(ask(6));
    bench.submit(ask(7).priority(1));
    bench.submit(ask(8).priority(-1));
    assert_eq!(bench.run_all(), [7, 1, 4, 6, 2, 5, 3, 8]);
    let stats = bench.stats();
    let done = |key| stats.streams.iter().find(|(k, _)| *k == StreamKey::Int(key)).map(|(_, c)| c.done);
    assert_eq!((done(1), done(2)), (Some(3), Some(2)));
}

#[test]
fn serial_runs_one_of_a_key_at_a_time_and_in_order() {
    let bench = Bench::new(Config { workers: 2, serial: true, ..Config::default() });
    bench.submit(ask(1).key(1));
    bench.submit(ask(2).key(1));
    let (first, numbers) = bench.start(0);
    assert_eq!(numbers, [1]);
    assert!(bench.take(1).is_none());
    assert!(bench.flow.begin(ask(9).key(1).request, true).is_err(), "not even ahead");
    bench.submit(ask(3).key(2));
    let (other, numbers) = bench.start(1);
    assert_eq!(numbers, [3]);
    bench.answer(first);
    assert_eq!(bench.run(0), Some(2));
    bench.answer(other);
}

#[test]
fn serial_counts_an_overrun_as_running() {
    let bench = Bench::new(Config { workers: 2, serial: true, ..Config::default() });
    let first = bench.submit(ask(1).key(1));
    let (work, _) = bench.start(0);
    bench.submit(ask(2).key(1));
    bench.cancel(&first);
    assert!(bench.take(1).is_none(), "the engine still works on the key");
    bench.answer(work);
    assert_eq!(bench.run(1), Some(2));
}

#[test]
fn flows_are_served_in_turn_and_keep_their_own_bounds() {
    let bench = Bench::new(Config { flow: flow(4, Overflow::Block), ..Config::default() });
    let second = bench.flow.open_flow(flow(2, Overflow::Raise)).expect("open");
    for number in 1..=4 {
        bench.submit(ask(number));
    }
    bench.submit(ask(11).on(second));
    bench.submit(ask(12).on(second));
    assert_eq!(bench.refused(ask(13).on(second)), ErrorKind::QueueFull);
    assert_eq!(bench.run_all(), [11, 1, 12, 2, 3, 4]);
    bench.submit(ask(14).on(second));
    bench.flow.close_flow(second);
    assert_eq!(bench.refused(ask(15).on(second)), ErrorKind::Closed);
    assert_eq!(bench.run_all(), [14], "what waited still runs");
    assert_eq!(bench.flow.open_flow(flow(1, Overflow::Block)).ok(), Some(second), "the number is used again");
}

#[test]
fn cancel_all_ends_everything_and_the_session_goes_on() {
    let bench = Bench::new(Config { flow: flow(1, Overflow::Block), ..Config::default() });
    let running = bench.submit(ask(1));
    let (work, _) = bench.start(0);
    let waiting = bench.submit(ask(2).callback());
    let lined = bench.submit(ask(3).waits());
    bench.flow.cancel_all();
    assert_eq!(bench.counters().waiting, 0);
    assert_eq!(outcome(&running), "cancelled");
    assert_eq!(lined.refusal().map(|error| error.kind), Some(ErrorKind::Cancelled));
    assert!(waiting.is_ended());
    assert_eq!(bench.deliver(), ["2: cancelled"]);
    bench.answer(work);
    let next = bench.submit(ask(4));
    assert_eq!(bench.run(0), Some(4));
    assert_eq!(outcome(&next), "done 4");
}

#[test]
fn a_request_that_its_caller_ran_gives_no_outcome_to_others() {
    let bench = bench();
    bench.submit(ask(1));
    let (work, _) = bench.start(0);
    assert!(bench.answer(work).is_none());
}

#[test]
fn each_ending_says_when() {
    let ms = Duration::from_millis;
    let bench = bench();
    let done = bench.submit(ask(1));
    let waiting = bench.submit(ask(2).deadline(20));
    bench.advance(3);
    let (work, _) = bench.start(0);
    bench.advance(4);
    bench.answer(work);
    let overrun = bench.submit(ask(3).priority(1).deadline(15));
    let (work, _) = bench.start(0);
    bench.advance(13);
    bench.answer(work);
    let times = |slot: &headway_core::slot::SlotRef| {
        let timing = slot.timing();
        (timing.submitted, timing.started, timing.ended)
    };
    assert_eq!(times(&done), (ms(0), Some(ms(3)), Some(ms(7))));
    assert_eq!(times(&waiting), (ms(0), None, Some(ms(20))));
    assert_eq!(times(&overrun), (ms(7), Some(ms(7)), Some(ms(20))));
}

#[test]
fn times_are_taken_once_for_each_way_to_end() {
    let bench = bench();
    bench.submit(ask(1));
    bench.submit(ask(2).callback());
    bench.cancel(&bench.submit(ask(3)));
    bench.run_all();
    let stats = bench.stats();
    assert_eq!([stats.queue.count, stats.run.count, stats.delivery.count, stats.total.count], [2, 2, 0, 2]);
    bench.deliver();
    let stats = bench.stats();
    assert_eq!([stats.delivery.count, stats.total.count], [1, 3]);
    let run = bench.open_pulled(1, Overflow::Block);
    bench.submit(ask(4).on(run).callback());
    bench.run_all();
    bench.pull_all(run);
    let stats = bench.stats();
    assert_eq!([stats.delivery.count, stats.total.count], [2, 4]);
}

#[test]
fn the_usual_run_follows_the_runs_by_an_eighth() {
    let bench = bench();
    let run = |nanos| {
        bench.submit(ask(1));
        let (work, _) = bench.start(0);
        bench.clock.advance(Duration::from_nanos(nanos));
        bench.answer(work);
        bench.flow.usual_run().map(|usual| usual.as_nanos())
    };
    assert_eq!(bench.flow.usual_run(), None);
    assert_eq!(run(0), Some(1), "it has run");
    assert_eq!(run(1), Some(1), "and that stays known");
    assert_eq!(run(8_000), Some(1_000));
    assert_eq!(run(16_000), Some(2_875));
}
