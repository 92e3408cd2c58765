//! Admission against the table "Room", spelled out row by row.

use headway_core::admission::{Decision, Load, NOTICES_PER_PLACE, Overflow, Patience, decide};
use proptest::prelude::*;

const POLICIES: [Overflow; 4] =
    [Overflow::Block, Overflow::Raise, Overflow::DropOldest, Overflow::DropNewest];
const CALLERS: [Patience; 3] = [Patience::Wait, Patience::Never, Patience::Delivery];

fn full(depth: usize) -> Load {
    Load { waiting: depth, depth, line: 0, notices: 0 }
}

#[test]
fn the_table_row_by_row() {
    use Decision::{Displace, DropNew, Line, Refuse};
    let rows = [
        (Overflow::Block, Line, Refuse),
        (Overflow::Raise, Refuse, Refuse),
        (Overflow::DropOldest, Displace, Displace),
        (Overflow::DropNewest, DropNew, DropNew),
    ];
    for (policy, may_wait, never) in rows {
        assert_eq!(decide(policy, full(3), Patience::Wait), may_wait, "{policy:?}");
        assert_eq!(decide(policy, full(3), Patience::Never), never, "{policy:?}");
    }
}

#[test]
fn too_many_notices_make_every_policy_wait() {
    for policy in POLICIES {
        let noticed = Load { notices: 2 * NOTICES_PER_PLACE, waiting: 0, depth: 2, line: 0 };
        let waits = if policy == Overflow::Raise { Decision::Refuse } else { Decision::Line };
        assert_eq!(decide(policy, noticed, Patience::Wait), waits);
        assert_eq!(decide(policy, noticed, Patience::Never), Decision::Refuse);
        assert_eq!(decide(policy, noticed, Patience::Delivery), Decision::Refuse);
        let nearly = Load { notices: noticed.notices - 1, ..noticed };
        assert_eq!(decide(policy, nearly, Patience::Never), Decision::Admit);
    }
}

#[test]
fn the_delivery_thread_may_go_one_depth_over_the_bound() {
    for policy in POLICIES {
        let load = |waiting| Load { waiting, ..full(3) };
        assert_eq!(decide(policy, load(5), Patience::Delivery), Decision::Admit);
        assert_ne!(decide(policy, load(6), Patience::Delivery), Decision::Admit);
        assert_ne!(decide(policy, load(6), Patience::Delivery), Decision::Line);
    }
}

fn loads() -> impl Strategy<Value = Load> {
    (0..12_usize, 1..5_usize, 0..3_usize, 0..100_usize).prop_map(|(waiting, depth, line, notices)| Load {
        waiting,
        depth,
        line,
        notices,
    })
}

proptest! {
    #[test]
    fn bounds_and_the_line_hold_for_every_load(
        load in loads(),
        policy in prop::sample::select(&POLICIES),
        caller in prop::sample::select(&CALLERS),
    ) {
        let decision = decide(policy, load, caller);
        let bound = if caller == Patience::Delivery { 2 * load.depth } else { load.depth };
        if decision == Decision::Admit {
            prop_assert!(load.waiting < bound);
            prop_assert!(load.line == 0 || caller == Patience::Delivery, "overtook the line");
        }
        if decision == Decision::Displace {
            prop_assert!(load.waiting > 0 && load.line == 0);
        }
        prop_assert!(decision != Decision::Line || caller == Patience::Wait);
        if load.waiting < load.depth && load.line == 0 && load.notices < 16 * load.depth {
            prop_assert_eq!(decision, Decision::Admit);
        }
    }
}
