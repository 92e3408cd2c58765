//! What may happen on the walk, and on which sessions.

use proptest::prelude::*;
use proptest::sample::Index;

use crate::admission::{Overflow, Patience};
use crate::request::Time;
use crate::state::{Config, FlowConfig};

use super::PULLED;

#[derive(Debug, Clone)]
pub(super) struct New {
    pub(super) flow: usize,
    pub(super) patience: Patience,
    pub(super) priority: i32,
    pub(super) key: Option<i64>,
    pub(super) deadline: Option<u64>,
    pub(super) room: Option<u64>,
    pub(super) callback: bool,
    pub(super) any_lane: bool,
    pub(super) urgent: bool,
    pub(super) head_start: bool,
    pub(super) group: Option<(u64, u32)>,
}

#[derive(Debug, Clone)]
pub(super) enum Op {
    Submit(New),
    /// On the thread that waits for it, `true` for the delivery thread.
    Begin(Option<i64>, bool, Option<u64>),
    /// A worker that is awake comes back.
    Turn(usize),
    Complete(usize, bool),
    Cancel(Index),
    Attach(Index),
    /// A thread waits for a request and would run it, `true` for the delivery thread.
    Claim(Index, bool),
    /// It has left.
    Unclaim(Index),
    /// The delivery thread is about to wait for a request.
    Hurry(Index),
    /// A thread waits for a request and would not.
    Await(Index),
    Advance(u64),
    /// The delivery thread takes so many, or sleeps.
    Collect(usize),
    Returned,
    /// A thread pulls, or sleeps.
    Pull,
    CloseFlow(usize),
    /// What is pulled is not pulled any more: what is there still runs, or does not.
    DrainFlow,
    StopFlow,
    CancelAll,
    Close(bool),
}

fn news() -> impl Strategy<Value = New> {
    let patience =
        prop_oneof![4 => Just(Patience::Wait), 2 => Just(Patience::Never), 1 => Just(Patience::Delivery)];
    let few = || prop_oneof![2 => Just(None), 1 => (0..20_u64).prop_map(Some)];
    let group = prop::option::weighted(0.9, (0..2_u64, 1..3_u32));
    let who = (0..4_usize, patience, -1..2_i32, prop::option::of(0..3_i64), few(), few());
    (who, prop::array::uniform4(any::<bool>()), 0..12_u8, group).prop_map(|(who, flags, urgent, group)| {
        let (flow, patience, priority, key, deadline, room) = who;
        let [callback, any_lane, head_start, plain] = flags;
        New {
            flow: flow.saturating_sub(1),
            patience,
            priority: if plain { 0 } else { priority },
            key,
            deadline,
            room,
            callback: callback && flow <= PULLED,
            any_lane,
            urgent: urgent == 0,
            head_start,
            group,
        }
    })
}

pub(super) fn ops() -> impl Strategy<Value = Vec<Op>> {
    let at = any::<Index>;
    let few = || prop_oneof![2 => Just(None), 1 => (0..20_u64).prop_map(Some)];
    let op = prop_oneof![
        40 => news().prop_map(Op::Submit),
        3 => (prop::option::of(0..3_i64), any::<bool>(), few()).prop_map(|(key, ahead, at)| Op::Begin(key, ahead, at)),
        30 => (0..3_usize).prop_map(Op::Turn),
        20 => (0..3_usize, any::<bool>()).prop_map(|(lane, well)| Op::Complete(lane, well)),
        8 => at().prop_map(Op::Cancel),
        3 => at().prop_map(Op::Attach),
        10 => (at(), prop::bool::weighted(0.2)).prop_map(|(at, ahead)| Op::Claim(at, ahead)),
        3 => at().prop_map(Op::Unclaim),
        3 => at().prop_map(Op::Await),
        2 => at().prop_map(Op::Hurry),
        8 => (0..9_u64).prop_map(Op::Advance),
        8 => (1..4_usize).prop_map(Op::Collect),
        8 => Just(Op::Returned),
        8 => Just(Op::Pull),
        1 => (1..3_usize).prop_map(Op::CloseFlow),
        1 => Just(Op::DrainFlow),
        1 => Just(Op::StopFlow),
        1 => Just(Op::CancelAll),
        1 => any::<bool>().prop_map(Op::Close),
    ];
    prop::collection::vec(op, 1..120)
}

pub(super) fn configs() -> impl Strategy<Value = Config> {
    let policies = [Overflow::Block, Overflow::Raise, Overflow::DropOldest, Overflow::DropNewest];
    let limit = prop::option::weighted(0.3, (1..9_u64).prop_map(Time::from_millis));
    let flow = (1..4_usize, prop::sample::select(policies.to_vec()));
    (1..3_usize, 0..2_usize, flow, 1..4_usize, prop::array::uniform3(any::<bool>()), 1..3_usize, limit)
        .prop_map(
            |(
                workers,
                caller_lanes,
                (queue_depth, overflow),
                delivery_depth,
                [serial, ordered, tell_drops],
                max_batch,
                run_timeout,
            )| {
                Config {
                    workers,
                    caller_lanes,
                    flow: FlowConfig { queue_depth, overflow },
                    delivery_depth,
                    serial,
                    ordered,
                    tell_drops,
                    max_batch,
                    run_timeout,
                    ..Config::default()
                }
            },
        )
}
