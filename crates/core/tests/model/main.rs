//! Random operations against a small reference model: conservation at every step, each ticket ends exactly
//! once and as the model says, bounds, order per consumer, and no answer to another request.

mod admit;
mod batch;
mod start;
#[path = "../support/mod.rs"]
mod support;
mod system;

use std::time::Duration;

use headway_core::admission::{Overflow, Patience};
use headway_core::batch::Limits;
use headway_core::state::Config;
use proptest::prelude::*;
use support::flow;
use system::Sys;

#[derive(Debug, Clone, Copy)]
pub(crate) struct New {
    pub(crate) flow: usize,
    pub(crate) patience: Patience,
    pub(crate) priority: i32,
    pub(crate) key: Option<i64>,
    pub(crate) deadline: Option<u64>,
    pub(crate) room: Option<u64>,
    pub(crate) callback: bool,
    /// Who looks alike, and how many rows it brings.
    pub(crate) group: Option<(u64, u32)>,
}

#[derive(Debug, Clone)]
pub(crate) enum Op {
    Submit(New),
    Begin(Option<i64>, Option<u64>),
    Take(usize),
    Complete(usize, bool),
    Cancel(prop::sample::Index),
    /// A thread parks on a request, and its time is up.
    Park(prop::sample::Index),
    Advance(u64),
    Collect(usize),
    Return(bool),
    CancelAll,
    Close(bool),
}

fn policies() -> impl Strategy<Value = Overflow> {
    prop::sample::select(&[Overflow::Block, Overflow::Raise, Overflow::DropOldest, Overflow::DropNewest][..])
}

fn news() -> impl Strategy<Value = New> {
    let patience =
        prop_oneof![3 => Just(Patience::Wait), 2 => Just(Patience::Never), 1 => Just(Patience::Delivery)];
    let few = || prop_oneof![2 => Just(None), 1 => (0..20_u64).prop_map(Some)];
    let group = prop::option::weighted(0.9, (0..2_u64, prop_oneof![3 => Just(1_u32), 1 => 2..5_u32]));
    (0..4_usize, patience, -1..2_i32, prop::option::of(0..3_i64), few(), few(), any::<bool>(), group)
        .prop_map(|(flow, patience, priority, key, deadline, room, callback, group)| New {
            flow: usize::from(flow == 0),
            patience,
            priority: if flow % 2 == 0 { priority } else { 0 },
            key,
            deadline,
            room: room.map(|room| room + 1),
            callback,
            group,
        })
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        40 => news().prop_map(Op::Submit),
        6 => (prop::option::of(0..3_i64), prop::option::of(0..20_u64)).prop_map(|(key, at)| Op::Begin(key, at)),
        25 => (0..3_usize).prop_map(Op::Take),
        20 => (0..4_usize, prop::bool::weighted(0.8)).prop_map(|(lane, well)| Op::Complete(lane, well)),
        8 => any::<prop::sample::Index>().prop_map(Op::Cancel),
        2 => any::<prop::sample::Index>().prop_map(Op::Park),
        8 => (0..9_u64).prop_map(Op::Advance),
        10 => (1..4_usize).prop_map(Op::Collect),
        12 => any::<bool>().prop_map(Op::Return),
        1 => Just(Op::CancelAll),
        1 => any::<bool>().prop_map(Op::Close),
    ];
    prop::collection::vec(op, 1..150)
}

fn configs() -> impl Strategy<Value = Config> {
    (1..4_usize, 0..2_usize, 1..4_usize, policies(), 1..5_usize, any::<bool>(), 1..4_usize).prop_map(
        |(workers, caller_lanes, depth, overflow, delivery_depth, serial, max_batch)| Config {
            workers,
            caller_lanes,
            flow: flow(depth, overflow),
            delivery_depth,
            serial,
            max_batch,
            ..Config::default()
        },
    )
}

/// A request of which nothing is asked.
fn plain() -> New {
    New {
        flow: 0,
        patience: Patience::Never,
        priority: 0,
        key: None,
        deadline: None,
        room: None,
        callback: false,
        group: None,
    }
}

/// So many requests at a time, often enough for that to be known; none where it is to be learned.
fn learned(usual: usize) -> Vec<Op> {
    let new = New { group: Some((0, 1)), ..plain() };
    let mut ops = Vec::new();
    for _ in 0..if usual == 0 { 0 } else { 12 } {
        ops.extend((0..usual).map(|_| Op::Submit(new)));
        ops.push(Op::Advance(8));
        ops.extend((0..3).map(Op::Take));
        ops.extend((0..4).map(|lane| Op::Complete(lane, true)));
    }
    ops
}

/// A session that joins requests: windows of some milliseconds, or none at all.
fn batching() -> impl Strategy<Value = Config> {
    let limits = (1..7_u32, 0..8_u64)
        .prop_map(|(max_size, delay)| Limits { max_size, max_delay: Duration::from_millis(delay) });
    (configs(), limits).prop_map(|(config, limits)| Config { batching: Some(limits), max_batch: 1, ..config })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, max_shrink_iters: 3000, ..ProptestConfig::default() })]
    #[test]
    fn agrees_with_the_model(config in configs(), second in (1..3_usize, policies()), ops in ops()) {
        let mut sys = Sys::new(config, second);
        ops.iter().for_each(|op| sys.apply(op));
        sys.finish();
    }

    #[test]
    fn batching_agrees_with_the_model(
        config in batching(), second in (1..3_usize, policies()), usual in 0..5_usize, ops in ops(),
    ) {
        let mut sys = Sys::new(config, second);
        learned(usual).iter().for_each(|op| sys.apply(op));
        ops.iter().for_each(|op| sys.apply(op));
        sys.finish();
    }
}

/// Where a serial key waits in two flows, its request in the one may be too large and that in the other fit.
#[test]
fn a_key_is_left_in_one_flow_and_fits_in_the_other() {
    let limits = Limits { max_size: 3, max_delay: Duration::ZERO };
    let config = Config {
        workers: 2,
        flow: flow(3, Overflow::Block),
        delivery_depth: 1,
        serial: true,
        ..Config::default()
    };
    let mut sys = Sys::new(Config { batching: Some(limits), ..config }, (1, Overflow::DropNewest));
    learned(2).iter().for_each(|op| sys.apply(op));
    let group = |rows| Some((0, rows));
    let ours = |flow, key, group| New { flow, key, group, patience: Patience::Wait, ..plain() };
    let one = New { priority: 1, ..ours(1, None, None) };
    [Op::Submit(one), Op::Take(0)].iter().for_each(|op| sys.apply(op));
    for new in [
        ours(1, Some(0), group(1)),
        ours(0, None, group(1)),
        ours(1, None, None),
        ours(0, Some(0), group(3)),
        ours(1, None, None),
    ] {
        sys.apply(&Op::Submit(new));
    }
    sys.finish();
}
