//! Flows whose outcomes are pulled: order, gaps, bounds and ends, on lanes driven by the test.

mod support;

use std::sync::Arc;

use headway_core::admission::Overflow;
use headway_core::bell::Bell;
use headway_core::error::{DropReason, ErrorKind};
use headway_core::state::Config;
use support::{Ask, Bench, ask, ended, flow};

fn bench(workers: usize) -> Bench {
    Bench::new(Config { workers, ..Config::default() })
}

fn push(flow: usize, number: u64) -> Ask {
    ask(number).on(flow).callback()
}

/// Pushes what is taken, in order.
fn push_all(bench: &Bench, flow: usize, numbers: impl IntoIterator<Item = u64>) {
    numbers.into_iter().for_each(|number| drop(bench.submit(push(flow, number))));
}

/// `[pulled, failed, overflow, unpulled, expired, cancelled]`; they add up to `pushed`.
fn tally(bench: &Bench, flow: usize, pushed: u64) -> [u64; 6] {
    let counters = bench.flow.flow_counters(flow);
    assert_eq!((counters.submitted, ended(&counters)), (pushed, pushed));
    let dropped = |reason: DropReason| counters.dropped[reason as usize];
    let (overflow, unpulled) = (dropped(DropReason::Overflow), dropped(DropReason::Unpulled));
    [counters.done, counters.failed, overflow, unpulled, counters.expired, counters.cancelled]
}

#[test]
fn outcomes_are_pulled_in_the_order_of_the_pushes_whatever_ended_them() {
    let bench = bench(2);
    let run = bench.open_pulled(5, Overflow::Block);
    push_all(&bench, run, [1, 2]);
    bench.submit(push(run, 3).deadline(5));
    let fourth = bench.submit(push(run, 4));
    push_all(&bench, run, [5]);
    let (first, second) = (bench.start(0).0, bench.start(1).0);
    bench.fail(second);
    bench.cancel(&fourth);
    bench.advance(5);
    assert_eq!(bench.pull(run), "nothing", "the first is still running");
    bench.answer(first);
    assert_eq!(bench.run_all(), [5]);
    let all = ["1: done 1", "2: failed", "3: expired waiting", "4: cancelled", "5: done 5", "nothing"];
    assert_eq!(bench.pull_all(run), all);
    let stats = bench.stats();
    let counts = [stats.queue, stats.run, stats.delivery, stats.total].map(|times| times.count);
    assert_eq!(counts, [3, 3, 5, 5], "three ran, five were handed over");
    bench.flow.close_flow(run);
    assert_eq!((bench.pull(run), bench.pull(run)), ("end".into(), "end".into()));
    assert_eq!(tally(&bench, run, 5), [2, 1, 0, 0, 1, 1]);
}

#[test]
fn a_request_without_a_sample_of_its_own_is_pulled_like_the_others() {
    let bench = bench(1);
    let run = bench.open_pulled(2, Overflow::Block);
    bench.submit(ask(1).on(run));
    assert_eq!(bench.counters().undelivered, 0);
    bench.run_all();
    assert_eq!(bench.counters().undelivered, 1);
    bench.flow.begin_drain(run);
    assert_eq!((bench.pull(run), tally(&bench, run, 1)), ("end".into(), [0, 0, 0, 1, 0, 0]));
}

#[test]
fn each_stream_key_has_its_own_order() {
    let bench = bench(2);
    let run = bench.open_pulled(4, Overflow::Block);
    bench.submit(push(run, 11).key(1));
    bench.submit(push(run, 21).key(2));
    bench.submit(push(run, 12).key(1));
    let slow = bench.start(0).0;
    assert_eq!((bench.run(1), bench.run(1)), (Some(21), Some(12)));
    assert_eq!(bench.pull_all(run), ["21: done 21", "nothing"]);
    bench.answer(slow);
    assert_eq!(bench.pull_all(run), ["11: done 11", "12: done 12", "nothing"]);
}

#[test]
fn what_the_policy_drops_is_one_gap_with_a_count_in_its_place() {
    let bench = bench(1);
    let run = bench.open_pulled(1, Overflow::DropOldest);
    push_all(&bench, run, [1]);
    let hanging = bench.start(0).0;
    push_all(&bench, run, 2..1000);
    assert_eq!(bench.counters().waiting, 1);
    assert_eq!(bench.pull(run), "nothing", "gaps keep their place too");
    bench.answer(hanging);
    assert_eq!(bench.pull_all(run), ["1: done 1", "nothing"]);
    assert_eq!(bench.run_all(), [999]);
    assert_eq!(bench.pull_all(run), ["gap 997", "999: done 999", "nothing"]);
    bench.flow.close_flow(run);
    assert_eq!(tally(&bench, run, 999), [2, 0, 997, 0, 0, 0]);
}

#[test]
fn dropped_newest_ones_leave_a_gap_behind_what_was_there() {
    let bench = bench(1);
    let run = bench.open_pulled(1, Overflow::DropNewest);
    push_all(&bench, run, 1..5);
    assert_eq!(bench.run_all(), [1]);
    assert_eq!(bench.pull_all(run), ["1: done 1", "gap 3", "nothing"]);
    push_all(&bench, run, [5]);
    (0..1000).for_each(|key| drop(bench.submit(push(run, 6).key(key))));
    bench.flow.close_flow(run);
    assert_eq!(bench.pull_all(run), ["gap 1000", "nothing"], "however many keys");
    bench.run_all();
    assert_eq!(bench.pull_all(run), ["5: done 5", "end"]);
}

#[test]
fn a_stalled_flow_starts_nothing_and_does_not_stop_the_others() {
    let bench = bench(1);
    let (stalled, live) = (bench.open_pulled(2, Overflow::Block), bench.open_pulled(2, Overflow::Block));
    push_all(&bench, stalled, [1, 2]);
    assert_eq!(bench.run_all(), [1, 2]);
    push_all(&bench, stalled, [3, 4]);
    assert_eq!(bench.run_all(), [], "two wait to be pulled");
    assert_eq!(bench.refused(push(stalled, 5)), ErrorKind::QueueFull);
    bench.submit(ask(6));
    push_all(&bench, live, [7]);
    assert_eq!(bench.run_all(), [7, 6]);
    assert_eq!(bench.pull(stalled), "1: done 1");
    assert_eq!(bench.run_all(), [3], "one may follow");
    assert_eq!(bench.pull_all(stalled), ["2: done 2", "3: done 3", "nothing"]);
}

#[test]
fn expired_items_that_nobody_pulls_are_bounded_too() {
    let bench = bench(1);
    let run = bench.open_pulled(2, Overflow::DropOldest);
    let waits = (1..99).take_while(|number| bench.try_submit(push(run, *number).deadline(0)).is_ok()).count();
    assert_eq!(waits, 32, "16 for each place");
    assert_eq!(bench.refused(push(run, 99)), ErrorKind::QueueFull);
    let lined = bench.submit(push(run, 100).waits());
    assert_eq!(lined.ticket(), None);
    assert_eq!(bench.pull(run), "1: expired waiting");
    assert!(lined.ticket().is_some(), "a pull makes room");
    // Callbacks of the session that were not called are no business of this flow.
    let other = bench.open_pulled(1, Overflow::DropOldest);
    (0..64).for_each(|number| drop(bench.submit(ask(number).callback().deadline(0))));
    assert_eq!(bench.refused(ask(64).callback()), ErrorKind::QueueFull);
    bench.submit(push(other, 1));
}

/// A larger priority overtakes; while the bound is reached by what was overtaken, only that may start.
#[test]
fn what_the_order_waits_for_starts_although_the_bound_is_reached() {
    let bench = bench(1);
    let run = bench.open_pulled(3, Overflow::Block);
    push_all(&bench, run, [1]);
    bench.submit(push(run, 2).priority(1));
    bench.submit(push(run, 3).priority(1));
    assert_eq!((bench.run(0), bench.run(0)), (Some(2), Some(3)));
    bench.submit(push(run, 4).priority(1));
    assert_eq!(bench.run(0), Some(4));
    bench.submit(push(run, 5).priority(1));
    assert_eq!(bench.run(0), Some(1), "everything waits for it");
    assert_eq!(bench.run(0), None);
    assert_eq!(bench.pull_all(run)[..4], ["1: done 1", "2: done 2", "3: done 3", "4: done 4"]);
    assert_eq!(bench.run(0), Some(5));
}

#[test]
fn stopping_cancels_what_waits_and_runs_and_drops_what_was_not_pulled() {
    let bench = bench(2);
    let (run, other) = (bench.open_pulled(4, Overflow::Block), bench.open_pulled(4, Overflow::Block));
    push_all(&bench, run, 1..5);
    push_all(&bench, other, [9]);
    let (slow, second) = (bench.start(0).0, bench.start(1).0);
    let (slow, second) = if support::numbers(&slow) == [1] { (slow, second) } else { (second, slow) };
    assert_eq!((support::numbers(&slow), support::numbers(&second)), (vec![1], vec![9]));
    bench.flow.stop_flow(run);
    assert_eq!(bench.pull(run), "end");
    assert_eq!(tally(&bench, run, 4), [0, 0, 0, 0, 0, 4]);
    assert_eq!(bench.refused(push(run, 5)), ErrorKind::Closed);
    bench.answer(slow);
    bench.answer(second);
    assert_eq!(bench.pull_all(other), ["9: done 9", "nothing"]);
    bench.flow.stop_flow(other);
    assert_eq!(tally(&bench, other, 1), [1, 0, 0, 0, 0, 0]);
}

#[test]
fn draining_lets_everything_run_and_drops_what_nobody_pulled() {
    let bench = bench(1);
    let run = bench.open_pulled(2, Overflow::Block);
    push_all(&bench, run, [1, 2]);
    bench.run_all();
    push_all(&bench, run, [3, 4]);
    let lined = bench.submit(push(run, 5).waits());
    assert_eq!(bench.pull(run), "1: done 1");
    bench.flow.begin_drain(run);
    assert!(lined.refusal().is_some_and(|error| error.kind == ErrorKind::Closed));
    assert!(!bench.flow.wait_drained(run, Some(std::time::Instant::now())));
    assert_eq!(bench.run_all(), [3, 4]);
    assert!(bench.flow.wait_drained(run, Some(std::time::Instant::now())));
    assert_eq!((bench.pull(run), tally(&bench, run, 4)), ("end".into(), [1, 0, 0, 3, 0, 0]));
}

#[test]
fn draining_cancels_the_rest_when_its_time_is_up() {
    let bench = bench(1);
    let run = bench.open_pulled(2, Overflow::Block);
    push_all(&bench, run, [1, 2]);
    let hanging = bench.start(0).0;
    bench.flow.drain_flow(run, Some(std::time::Instant::now()));
    assert_eq!((bench.pull(run), tally(&bench, run, 2)), ("end".into(), [0, 0, 0, 0, 0, 2]));
    bench.answer(hanging);
    assert_eq!(bench.counters().cancelled, 2);
}

#[test]
fn what_was_in_flight_when_the_session_closed_is_pulled_afterwards() {
    let bench = bench(1);
    let run = bench.open_pulled(2, Overflow::Block);
    push_all(&bench, run, [1, 2]);
    bench.run_all();
    push_all(&bench, run, [3, 4]);
    let lined = bench.submit(push(run, 5).waits());
    bench.flow.begin_close(true);
    assert!(lined.refusal().is_some_and(|error| error.kind == ErrorKind::Closed));
    assert_eq!(bench.run_all(), [3, 4], "closing lifts the bound");
    let report = bench.flow.finish_close(None);
    assert!(report.drained && bench.flow.wait_delivered(Some(std::time::Instant::now())));
    assert_eq!(bench.counters().undelivered, 4);
    assert_eq!(bench.pull_all(run), ["1: done 1", "2: done 2", "3: done 3", "4: done 4", "end"]);
    assert_eq!(tally(&bench, run, 4), [4, 0, 0, 0, 0, 0]);
}

#[test]
fn a_session_that_cancels_at_close_leaves_the_cancelled_items_to_be_pulled() {
    let bench = bench(1);
    let run = bench.open_pulled(2, Overflow::Block);
    push_all(&bench, run, [1, 2]);
    bench.flow.begin_close(false);
    assert_eq!(bench.pull_all(run), ["1: cancelled", "2: cancelled", "end"]);
    bench.flow.release_flow(run);
    assert_eq!(tally(&bench, run, 2), [0, 0, 0, 0, 0, 2]);
}

#[test]
fn a_released_flow_finishes_in_the_background_and_its_number_is_given_out_again() {
    let bench = bench(2);
    let run = bench.open_pulled(2, Overflow::Block);
    push_all(&bench, run, [1, 2]);
    let work = bench.start(0).0;
    bench.flow.release_flow(run);
    let other = bench.open_pulled(2, Overflow::Block);
    assert_ne!(other, run, "it still has work");
    bench.answer(work);
    assert_eq!(bench.run_all(), [2]);
    assert_eq!(bench.counters().dropped[DropReason::Unpulled as usize], 2);
    assert_eq!(bench.open_pulled(2, Overflow::Block), run);
    assert_eq!((bench.pull(run), bench.flow.flow_counters(run).submitted), ("nothing".into(), 0));
    bench.flow.close_flow(other);
    assert_ne!(bench.open_pulled(1, Overflow::Block), other, "closed, but somebody may still ask for it");
}

/// A flow with callbacks is closed while its request runs; a new flow must not get that request.
#[test]
fn a_number_is_not_given_out_while_a_request_of_the_old_flow_runs() {
    let bench = bench(1);
    let old = bench.flow.open_flow(flow(2, Overflow::Block)).expect("open");
    bench.submit(ask(1).on(old).callback());
    let work = bench.start(0).0;
    bench.flow.close_flow(old);
    let run = bench.open_pulled(2, Overflow::Block);
    assert_ne!(run, old);
    bench.flow.stop_flow(run);
    bench.answer(work);
    assert_eq!(bench.deliver(), ["1: done 1"]);
    assert_eq!(bench.open_pulled(2, Overflow::Block), old);
}

#[test]
fn a_stopped_flow_takes_its_urgent_requests_along() {
    let bench = bench(1);
    let run = bench.open_pulled(2, Overflow::Block);
    bench.submit(push(run, 1).urgent());
    bench.flow.stop_flow(run);
    assert_eq!((bench.run_all(), bench.pull(run)), (vec![], "end".into()));
    assert_eq!(tally(&bench, run, 1), [0, 0, 0, 0, 0, 1]);
}

#[test]
fn a_bell_rings_for_an_output_and_for_the_end_and_not_once_forgotten() {
    let bench = bench(1);
    let run = bench.open_pulled(2, Overflow::Block);
    let bell = Arc::new(Bell::new().expect("a descriptor"));
    let wait = |number| bench.flow.await_output(run, &bell, number);
    assert!(wait(1) && wait(2) && wait(3));
    let other = Arc::new(Bell::new().expect("a descriptor"));
    assert!(bench.flow.await_output(run, &other, 2));
    bench.flow.forget_output(run, &bell, 2);
    push_all(&bench, run, [1]);
    assert_eq!(bell.answer(), Vec::<u64>::new());
    bench.run_all();
    assert_eq!((bell.answer(), other.answer()), (vec![1, 3], vec![2]));
    assert!(!wait(4), "there is an output");
    assert_eq!(bench.pull(run), "1: done 1");
    assert!(wait(5));
    bench.flow.close_flow(run);
    assert_eq!(bell.answer(), [5]);
    assert!(!wait(6), "it is over");
}

#[test]
fn the_delivery_thread_is_told_of_drops_as_long_as_it_is_there() {
    let bench = Bench::new(Config { tell_drops: true, ..Config::default() });
    let run = bench.open_pulled(1, Overflow::DropNewest);
    push_all(&bench, run, 1..4);
    let told = |bench: &Bench| -> Vec<DropReason> {
        let due = bench.due(9);
        due.iter().for_each(|delivery| bench.returned(delivery, false));
        due.iter().filter_map(|delivery| delivery.told).collect()
    };
    assert_eq!(told(&bench), [DropReason::Overflow, DropReason::Overflow]);
    bench.run_all();
    push_all(&bench, run, [5]);
    bench.flow.begin_drain(run);
    bench.run_all();
    assert_eq!(told(&bench), [DropReason::Unpulled, DropReason::Unpulled]);
    let late = bench.open_pulled(1, Overflow::Block);
    push_all(&bench, late, [6]);
    bench.run_all();
    bench.flow.begin_close(true);
    assert!(!bench.flow.next_deliveries(9, &mut Vec::new()), "the delivery thread leaves");
    bench.flow.begin_drain(late);
    assert_eq!(tally(&bench, late, 1), [0, 0, 0, 1, 0, 0]);
    assert!(bench.flow.wait_delivered(Some(std::time::Instant::now())), "nobody waits for one who has left");
}

/// Notices that nobody takes hold back what would add to them, and do not hold up the close.
#[test]
fn untold_drops_are_bounded() {
    let bench = Bench::new(Config { tell_drops: true, ..Config::default() });
    let run = bench.open_pulled(1, Overflow::DropNewest);
    let taken = (1..99).take_while(|number| bench.try_submit(push(run, *number)).is_ok()).count();
    assert_eq!(taken, 17, "one waits, 16 were dropped");
    bench.run_all();
    assert_eq!(bench.pull_all(run), ["1: done 1", "gap 16", "nothing"]);
    assert_eq!(bench.refused(push(run, 99)), ErrorKind::QueueFull);
    assert!(bench.flow.finish_close(None).drained);
    assert_eq!(bench.due(99).len(), 16);
}

#[test]
fn a_dropped_request_leaves_its_place_and_counts_for_its_reason() {
    let bench = bench(1);
    let slots = [1, 2].map(|number| bench.submit(ask(number)));
    let work = bench.start(0).0;
    assert!(slots.iter().all(|slot| bench.flow.drop_request(slot, DropReason::PipelineReset)));
    assert!(slots.iter().all(|slot| !bench.flow.drop_request(slot, DropReason::PipelineReset)));
    bench.answer(work);
    assert!(slots.iter().all(|slot| support::outcome(slot) == "dropped pipeline_reset"));
    assert_eq!(bench.counters().dropped[DropReason::PipelineReset as usize], 2);
}

#[test]
fn draining_does_not_wait_for_what_nobody_will_pull() {
    let bench = bench(1);
    let run = bench.open_pulled(1, Overflow::Block);
    push_all(&bench, run, [1]);
    bench.run_all();
    bench.flow.drain_flow(run, None);
    assert_eq!(tally(&bench, run, 1), [0, 0, 0, 1, 0, 0]);
}
