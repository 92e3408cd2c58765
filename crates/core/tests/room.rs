//! Room: the four policies, the line of callers that wait, and the bound on notices.

mod support;

use headway_core::admission::{NOTICES_PER_PLACE, Overflow, Patience};
use headway_core::error::ErrorKind;
use headway_core::state::Config;
use support::{Bench, ask, flow, outcome};

fn full(depth: usize, overflow: Overflow) -> (Bench, Vec<headway_core::slot::SlotRef>) {
    let bench = Bench::new(Config { flow: flow(depth, overflow), ..Config::default() });
    let slots = (1..=depth as u64).map(|number| bench.submit(ask(number))).collect();
    (bench, slots)
}

#[test]
fn block_refuses_those_who_may_not_wait() {
    let (bench, _) = full(2, Overflow::Block);
    assert_eq!(bench.refused(ask(3)), ErrorKind::QueueFull);
    assert_eq!(bench.refused(ask(3).waits().deadline(0)), ErrorKind::Expired { running: false });
    let lined = bench.submit(ask(3).waits());
    assert_eq!((lined.ticket(), bench.counters().waiting), (None, 2));
}

#[test]
fn raise_refuses_everybody() {
    let (bench, _) = full(2, Overflow::Raise);
    assert_eq!(bench.refused(ask(3).waits()), ErrorKind::QueueFull);
    assert_eq!(bench.refused(ask(3)), ErrorKind::QueueFull);
}

#[test]
fn drop_newest_gives_a_ticket_that_ends_at_once() {
    let (bench, slots) = full(2, Overflow::DropNewest);
    assert_eq!(outcome(&bench.submit(ask(3).waits())), "dropped overflow");
    assert!(slots.iter().all(|slot| !slot.is_ended()));
    assert_eq!(bench.counters().waiting, 2);
}

#[test]
fn drop_oldest_takes_the_lowest_priority_of_the_key_holding_most() {
    let bench = Bench::new(Config { flow: flow(5, Overflow::DropOldest), ..Config::default() });
    let slots: Vec<_> = [(1, 2, 1), (2, 1, 0), (3, 1, 0), (4, 2, 0), (5, 2, 0)]
        .into_iter()
        .map(|(number, key, priority)| bench.submit(ask(number).key(key).priority(priority)))
        .collect();
    bench.submit(ask(6).key(2));
    assert_eq!(outcome(&slots[1]), "dropped overflow", "equals: the one whose turn is next");
    bench.submit(ask(7));
    assert_eq!(outcome(&slots[3]), "dropped overflow", "key 2 holds two");
    assert_eq!(bench.counters().waiting, 5);
    assert_eq!(bench.run_all(), [1, 3, 5, 7, 6]);
}

#[test]
fn the_line_moves_up_first_come_first_served() {
    let (bench, slots) = full(1, Overflow::Block);
    let line: Vec<_> = (2..=4).map(|number| bench.submit(ask(number).waits())).collect();
    assert_eq!(bench.counters().submitted, 1);
    assert_eq!(bench.refused(ask(9)), ErrorKind::QueueFull);
    bench.cancel(&slots[0]);
    assert!(line[0].ticket().is_some() && line[1].ticket().is_none());
    assert_eq!(bench.run_all(), [2, 3, 4]);
    assert_eq!(line.iter().map(outcome).collect::<Vec<_>>(), ["done 2", "done 3", "done 4"]);
}

#[test]
fn waiting_for_room_ends_at_the_earlier_of_its_two_limits() {
    let (bench, _) = full(1, Overflow::Block);
    let room = bench.submit(ask(2).room_until(5).deadline(9));
    let deadline = bench.submit(ask(3).room_until(9).deadline(5));
    let patient = bench.submit(ask(4).waits());
    bench.advance(4);
    assert!(!room.is_ended() && !deadline.is_ended());
    bench.advance(1);
    assert_eq!(room.refusal().map(|error| error.kind), Some(ErrorKind::QueueFull));
    assert_eq!(deadline.refusal().map(|error| error.kind), Some(ErrorKind::Expired { running: false }));
    bench.advance(1000);
    assert!(!patient.is_ended());
    let counters = bench.counters();
    assert_eq!((counters.submitted, counters.rejected, counters.expired), (1, 2, 0));
    assert_eq!(bench.run_all(), [1, 4]);
}

#[test]
fn once_admitted_only_the_deadline_counts() {
    let (bench, slots) = full(1, Overflow::Block);
    let slot = bench.submit(ask(2).room_until(5).deadline(9));
    bench.cancel(&slots[0]);
    bench.advance(8);
    assert!(!slot.is_ended());
    bench.advance(1);
    assert_eq!(outcome(&slot), "expired waiting");
    assert_eq!(bench.flow.expire(), None, "nothing is left behind");
}

#[test]
fn cancelling_in_the_line_gives_no_ticket() {
    let (bench, _) = full(1, Overflow::Block);
    let slot = bench.submit(ask(2).waits());
    assert!(bench.cancel(&slot) && !bench.cancel(&slot));
    assert_eq!(slot.refusal().map(|error| error.kind), Some(ErrorKind::Cancelled));
    assert_eq!((bench.counters().submitted, bench.counters().cancelled), (1, 0));
    assert_eq!(bench.run_all(), [1]);
}

#[test]
fn the_delivery_thread_goes_one_depth_over_and_is_then_refused() {
    let (bench, _) = full(2, Overflow::Block);
    for number in 3..=4 {
        bench.submit(ask(number).patience(Patience::Delivery));
    }
    assert_eq!(bench.refused(ask(5).patience(Patience::Delivery)), ErrorKind::QueueFull);
    assert_eq!(bench.counters().waiting, 4);
    let lined = bench.submit(ask(5).waits());
    bench.run(0);
    bench.run(0);
    assert_eq!(lined.ticket(), None, "the excess goes first");
    bench.run(0);
    assert!(lined.ticket().is_some());
}

/// However requests end without running, a callback that does not return stops submission in the end.
#[test]
fn a_slow_callback_never_grows_memory() {
    let limit = NOTICES_PER_PLACE as u64;
    type Ender = fn(&Bench, &headway_core::slot::SlotRef);
    let cancel: Ender = |bench, slot| assert!(bench.cancel(slot));
    let expire: Ender = |bench, _| bench.advance(1);
    let nothing: Ender = |_, _| ();
    for (policy, end) in
        [(Overflow::Block, cancel), (Overflow::Block, expire), (Overflow::DropNewest, nothing)]
    {
        let bench = Bench::new(Config { flow: flow(1, policy), ..Config::default() });
        if policy == Overflow::DropNewest {
            bench.submit(ask(0));
        }
        for number in 1..=limit {
            let now = bench.clock.now().as_millis() as u64;
            let slot = bench.submit(ask(number).callback().deadline(now + 1));
            end(&bench, &slot);
        }
        assert_eq!(bench.counters().undelivered, limit);
        assert_eq!(bench.refused(ask(999).callback()), ErrorKind::QueueFull, "{policy:?}");
        let lined = bench.submit(ask(1000).callback().waits());
        assert_eq!(lined.ticket(), None);
        if policy == Overflow::DropNewest {
            continue;
        }
        let due = bench.due(1);
        bench.returned(&due[0], false);
        assert!(lined.ticket().is_some(), "a callback has returned");
    }
}

#[test]
fn under_drop_oldest_nobody_overtakes_those_who_waited_for_notices() {
    let bench = Bench::new(Config { flow: flow(1, Overflow::DropOldest), ..Config::default() });
    for number in 0..=NOTICES_PER_PLACE as u64 {
        bench.submit(ask(number).callback());
    }
    let lined = bench.submit(ask(50).waits());
    let due = bench.due(1);
    bench.returned(&due[0], false);
    assert_eq!(bench.refused(ask(51)), ErrorKind::QueueFull);
    assert_eq!(bench.counters().waiting, 1, "never more than the depth");
    bench.deliver();
    assert_eq!(bench.run(0), Some(NOTICES_PER_PLACE as u64));
    assert!(lined.ticket().is_some());
}

#[test]
fn a_number_is_not_given_out_while_an_urgent_request_of_the_old_flow_waits() {
    let bench = Bench::new(Config::default());
    let second = bench.flow.open_flow(flow(1, Overflow::Block)).expect("open");
    let urgent = bench.submit(ask(1).on(second).urgent());
    bench.flow.close_flow(second);
    assert_ne!(bench.flow.open_flow(flow(1, Overflow::Block)).ok(), Some(second), "it is still its own");
    let (work, _) = bench.start(0);
    assert_ne!(bench.flow.open_flow(flow(1, Overflow::Block)).ok(), Some(second), "and while it runs");
    bench.answer(work);
    assert_eq!(outcome(&urgent), "done 1");
    assert_eq!(bench.flow.open_flow(flow(1, Overflow::Block)).ok(), Some(second));
    bench.flow.begin_close(true);
    assert!(bench.flow.open_flow(flow(1, Overflow::Block)).is_err());
}

#[test]
fn waiting_for_room_is_counted_from_the_call() {
    let (bench, _) = full(1, Overflow::Block);
    bench.advance(3);
    let mut asked = ask(2).waits();
    asked.manner.room_for = Some(std::time::Duration::from_millis(5));
    let slot = bench.submit(asked);
    bench.advance(4);
    assert!(!slot.is_ended());
    bench.advance(1);
    assert_eq!(slot.refusal().map(|error| error.kind), Some(ErrorKind::QueueFull));
}

#[test]
fn a_call_that_raises_before_it_gets_here_counts_as_rejected_and_as_nothing_else() {
    let bench = Bench::new(Config::default());
    bench.flow.reject();
    assert_eq!((bench.counters().rejected, bench.counters().submitted), (1, 0));
}
