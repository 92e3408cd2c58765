//! Lanes on different cores: who goes where, purely and in the session.

mod support;

use std::sync::Arc;

use headway_core::admission::Overflow;
use headway_core::placement::Placement;
use headway_core::state::Config;
use proptest::prelude::*;
use support::{Bench, ask, flow, numbers};

fn placement(cores: &[usize], schedule: &[usize], pinned: bool) -> Placement {
    Placement::new(cores.to_vec(), schedule.to_vec(), pinned).expect("sound")
}

fn bench(cores: &[usize], schedule: &[usize], pinned: bool) -> Bench {
    Bench::new(Config {
        workers: cores.len(),
        flow: flow(16, Overflow::Raise),
        placement: Some(Arc::new(placement(cores, schedule, pinned))),
        ..Config::default()
    })
}

#[test]
fn a_core_without_a_lane_is_no_schedule() {
    assert_eq!(Placement::new(vec![0, 1], vec![0, 2], true), None);
    assert_eq!(Placement::new(vec![0, 1], vec![0], false), None);
    assert_eq!(Placement::new(vec![], vec![], false), None);
}

#[test]
fn pinned_requests_fit_their_turn() {
    let placement = placement(&[0, 1, 0], &[0, 0, 1], true);
    let fits: Vec<_> = (1..=6).map(|ticket| [0, 1, 2].map(|lane| placement.fits(lane, ticket))).collect();
    let (zero, one) = ([true, false, true], [false, true, false]);
    assert_eq!(fits, [zero, zero, one, zero, zero, one]);
}

proptest! {
    /// Cores that are always free get work in the proportion of their weights.
    #[test]
    fn free_cores_get_work_by_their_weight(schedule in prop::collection::vec(0..3_usize, 1..7), each in 1..3_usize) {
        let mut cores: Vec<usize> = (0..3).filter(|core| schedule.contains(core)).collect();
        cores = cores.iter().copied().cycle().take(cores.len() * each).collect();
        let placement = Placement::new(cores.clone(), schedule.clone(), false).expect("sound");
        let mut runs = vec![0_u64; cores.len()];
        let rounds = 20 * schedule.len();
        for _ in 0..rounds {
            let lane = placement.choose(0..cores.len(), |lane| runs[lane]).expect("all are free");
            runs[lane] += 1;
        }
        for core in 0..3 {
            let had: u64 = cores.iter().zip(&runs).filter(|(at, _)| **at == core).map(|(_, had)| had).sum();
            let weight = schedule.iter().filter(|other| **other == core).count() as u64;
            prop_assert!(had.abs_diff(20 * weight) <= 1, "core {core} had {had} for weight {weight}");
        }
    }
}

#[test]
fn a_pinned_request_runs_on_its_core_and_passes_nobody_of_it() {
    let bench = bench(&[0, 1, 2], &[0, 1, 2], true);
    let slots: Vec<_> = (0..9).map(|number| bench.submit(ask(number))).collect();
    // Core 1 is busy all the time: the others go on, and never with its requests.
    let (held, first) = bench.start(1);
    assert_eq!(first, [1]);
    assert_eq!(
        [bench.run(0), bench.run(2), bench.run(0), bench.run(2)],
        [Some(0), Some(2), Some(3), Some(5)]
    );
    assert_eq!([bench.run(0), bench.run(0), bench.run(2), bench.run(2)], [Some(6), None, Some(8), None]);
    bench.answer(held);
    assert_eq!([bench.run(1), bench.run(1), bench.run(1)], [Some(4), Some(7), None]);
    drop(slots);
}

#[test]
fn pinned_requests_keep_their_priority() {
    let bench = bench(&[0, 1], &[0, 1], true);
    for (number, priority) in [(0, 0), (1, 0), (2, 5), (3, 7)] {
        bench.submit(ask(number).priority(priority));
    }
    assert_eq!(
        [bench.run(0), bench.run(0), bench.run(1), bench.run(1)],
        [Some(2), Some(0), Some(3), Some(1)]
    );
}

#[test]
fn serial_streams_stay_serial_when_pinned() {
    let bench = Bench::new(Config {
        workers: 2,
        serial: true,
        flow: flow(16, Overflow::Raise),
        placement: Some(Arc::new(placement(&[0, 1], &[0, 1], true))),
        ..Config::default()
    });
    bench.submit(ask(0).key(1));
    bench.submit(ask(1).key(1));
    let (work, _) = bench.start(0);
    assert!(bench.take(1).is_none(), "its predecessor runs");
    bench.answer(work);
    assert_eq!(bench.run(1), Some(1));
}

#[test]
fn a_caller_takes_only_a_lane_of_its_core() {
    let bench = bench(&[0, 1], &[0, 1], true);
    let work = bench.flow.begin(ask(0).request, false).expect("core 0 is free");
    assert_eq!((work.lane, numbers(&work)), (0, vec![0]));
    let other = bench.flow.begin(ask(1).request, false).expect("core 1 is free");
    assert_eq!(other.lane, 1);
    bench.answer(other);
    assert!(bench.flow.begin(ask(2).request, false).is_err(), "core 0 is busy");
    bench.answer(work);
    assert_eq!(bench.flow.begin(ask(2).request, false).map(|work| work.lane).ok(), Some(0));
}

#[test]
fn free_lanes_are_taken_by_weight() {
    let bench = bench(&[0, 1], &[0, 0, 1], false);
    let lanes: Vec<_> = (0..6)
        .map(|number| {
            let work = bench.flow.begin(ask(number).request, false).expect("a lane is free");
            let lane = work.lane;
            bench.answer(work);
            lane
        })
        .collect();
    assert_eq!(lanes.iter().filter(|&&lane| lane == 0).count(), 4);
    // A busy core idles no other: the first free one wins.
    let held = bench.flow.begin(ask(9).request, false).expect("a lane is free");
    bench.submit(ask(10));
    assert_eq!(bench.run(1 - held.lane), Some(10));
    bench.answer(held);
}

#[test]
fn pinned_flows_take_turns_and_larger_priorities_come_first() {
    let bench = bench(&[0], &[0], true);
    let second = bench.flow.open_flow(flow(9, Overflow::Raise)).expect("open");
    for number in [1, 2] {
        bench.submit(ask(number));
        bench.submit(ask(number + 10).on(second));
    }
    bench.submit(ask(20).on(second).priority(1));
    bench.submit(ask(21).priority(1));
    assert_eq!(bench.run_all(), [20, 21, 11, 1, 12, 2]);
    bench.submit(ask(3).on(second));
    bench.submit(ask(4));
    assert_eq!(bench.run(0), Some(3));
    bench.submit(ask(5).on(second).priority(1));
    assert_eq!(bench.run_all(), [5, 4], "although it is not its flow's turn");
}

#[test]
fn a_pinned_urgent_request_runs_on_its_core_too() {
    let bench = bench(&[0, 1], &[0, 1], true);
    bench.submit(ask(1));
    bench.submit(ask(2));
    bench.submit(ask(3).urgent());
    bench.submit(ask(4).urgent());
    assert_eq!((bench.run(1), bench.run(0)), (Some(4), Some(3)));
    assert_eq!((bench.run(1), bench.run(0)), (Some(2), Some(1)));
}

#[test]
fn what_delivery_waits_for_runs_on_its_own_core() {
    let bench = Bench::new(Config {
        workers: 2,
        delivery_depth: 1,
        placement: Some(Arc::new(placement(&[0, 1], &[0, 1], true))),
        ..Config::default()
    });
    bench.submit(ask(1).callback());
    bench.submit(ask(2).callback().deadline(0));
    assert_eq!((bench.run(1), bench.run(0)), (None, Some(1)));
    assert_eq!(bench.deliver(), ["1: done 1", "2: expired waiting"]);
}
