//! A request in the place of others: both happen, or neither.

mod support;

use headway_core::admission::{NOTICES_PER_PLACE, Overflow, Patience};
use headway_core::error::{DropReason, Error, ErrorKind};
use headway_core::slot::SlotRef;
use headway_core::state::Config;
use support::{Ask, Bench, ask, flow, outcome};

fn bench(overflow: Overflow) -> Bench {
    Bench::new(Config { flow: flow(2, overflow), ..Config::default() })
}

fn replace(bench: &Bench, old: &[&SlotRef], ask: Ask) -> Result<SlotRef, Error> {
    let old: Vec<SlotRef> = old.iter().map(|slot| SlotRef::clone(slot)).collect();
    let replaced = bench.flow.replace(&old, DropReason::PipelineReset, ask.request, ask.manner);
    bench.stats();
    replaced
}

#[test]
fn the_others_end_and_their_room_is_the_new_ones() {
    let bench = bench(Overflow::Raise);
    let running = bench.submit(ask(1));
    let (work, _) = bench.start(0);
    let waiting = [bench.submit(ask(2)), bench.submit(ask(3))];
    let new = replace(&bench, &[&running, &waiting[0], &waiting[1]], ask(4)).expect("their room");
    assert_eq!([&running, &waiting[0], &waiting[1]].map(outcome), ["dropped pipeline_reset"; 3]);
    bench.answer(work);
    assert_eq!((bench.run_all(), outcome(&new)), (vec![4], "done 4".into()));
    assert_eq!(bench.counters().rejected, 0);
}

#[test]
fn without_room_for_it_nothing_ends() {
    let bench = bench(Overflow::Raise);
    let mine = bench.submit(ask(1));
    let (work, _) = bench.start(0);
    let others = [bench.submit(ask(2)), bench.submit(ask(3))];
    let error = replace(&bench, &[&mine], ask(4)).expect_err("no room");
    assert_eq!((error.kind, bench.counters().rejected), (ErrorKind::QueueFull, 1));
    bench.answer(work);
    assert_eq!(bench.run_all(), [2, 3]);
    assert_eq!([&mine, &others[0], &others[1]].map(outcome), ["done 1", "done 2", "done 3"]);
}

#[test]
fn where_it_may_wait_for_room_it_stands_in_the_line() {
    let bench = bench(Overflow::Block);
    let mine = bench.submit(ask(1));
    let (work, _) = bench.start(0);
    (2..=3).for_each(|number| drop(bench.submit(ask(number))));
    let new = replace(&bench, &[&mine], ask(4).waits()).expect("a place in the line");
    assert_eq!((outcome(&mine), new.ticket()), ("dropped pipeline_reset".into(), None));
    bench.answer(work);
    assert_eq!(bench.run_all(), [2, 3, 4]);
    // One that is too late for the line ends nothing.
    let mine = bench.submit(ask(5));
    let (work, _) = bench.start(0);
    (6..=7).for_each(|number| drop(bench.submit(ask(number))));
    let error = replace(&bench, &[&mine], ask(8).waits().deadline(0)).expect_err("too late");
    assert_eq!(error.kind, ErrorKind::Expired { running: false });
    bench.answer(work);
    assert_eq!(outcome(&mine), "done 5");
}

#[test]
fn who_stood_in_the_line_leaves_it() {
    let bench = bench(Overflow::Block);
    (1..=2).for_each(|number| drop(bench.submit(ask(number))));
    let lined = bench.submit(ask(3).waits());
    let new = replace(&bench, &[&lined], ask(4).waits()).expect("a place in the line");
    assert!(lined.refusal().is_some(), "it had no ticket");
    assert_eq!(bench.run_all(), [1, 2, 4]);
    assert_eq!(outcome(&new), "done 4");
}

#[test]
fn nothing_ends_for_one_that_comes_after_the_end() {
    let bench = bench(Overflow::Block);
    let mine = bench.submit(ask(1));
    bench.flow.begin_close(true);
    let error = replace(&bench, &[&mine], ask(2).patience(Patience::Wait)).expect_err("closed");
    assert_eq!(error.kind, ErrorKind::Closed);
    assert_eq!((bench.run_all(), outcome(&mine)), (vec![1], "done 1".into()));
}

/// Each that ends may have to be told, and what the delivery thread has to tell is bounded.
#[test]
fn nothing_ends_where_nobody_could_be_told_of_it() {
    let told = Config { tell_drops: true, ..Config::default() };
    for (config, callback) in [(told, false), (Config::default(), true)] {
        let bench = Bench::new(Config { flow: flow(1, Overflow::Raise), ..config });
        for number in 1..NOTICES_PER_PLACE as u64 {
            bench.cancel(&bench.submit(ask(number).callback()));
        }
        let mine = bench.submit(if callback { ask(50).callback() } else { ask(50) });
        let error = replace(&bench, &[&mine], ask(51)).expect_err("one notice too many");
        assert_eq!((error.kind, mine.is_ended()), (ErrorKind::QueueFull, false));
        let due = bench.due(1);
        bench.returned(&due[0], false);
        assert!(replace(&bench, &[&mine], ask(51)).is_ok() && mine.is_ended());
    }
}

#[test]
fn the_room_of_some_is_enough_although_others_stood_in_the_line_for_it() {
    let bench = bench(Overflow::Block);
    let waiting = [1, 2].map(|number| bench.submit(ask(number)));
    let lined = bench.submit(ask(3).waits());
    let new = replace(&bench, &[&waiting[0], &lined], ask(4)).expect("their room");
    assert_eq!((bench.run_all(), outcome(&new)), (vec![2, 4], "done 4".into()));
}

/// What goes ahead of the queue takes no place in it, so its end makes none.
#[test]
fn the_end_of_an_urgent_request_makes_no_room() {
    let bench = bench(Overflow::Raise);
    let urgent = bench.submit(ask(1).urgent());
    (2..=3).for_each(|number| drop(bench.submit(ask(number))));
    assert!(replace(&bench, &[&urgent], ask(4)).is_err());
    assert_eq!(bench.run_all(), [1, 2, 3]);
}

#[test]
fn every_policy_but_one_lets_callers_wait() {
    for (policy, lets) in [
        (Overflow::Block, true),
        (Overflow::Raise, false),
        (Overflow::DropOldest, true),
        (Overflow::DropNewest, true),
    ] {
        let bench = bench(policy);
        assert_eq!((bench.flow.lets_wait(0), bench.flow.lets_wait(1)), (lets, false), "{policy:?}");
    }
}
