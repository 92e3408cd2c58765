//! Dynamic batching without a flow: the decision, the cost curve, the groups.

use std::time::Duration;

use headway_core::batch::{Advice, Lanes, Limits, Reason, Verdict, Waiting, decide, group_of};
use headway_core::cost::Learner;
use headway_core::engine::BatchAxes;
use headway_core::request::Wanted;
use headway_core::value::{DType, Data, Dims, Memory, Tensor, Value};
use proptest::prelude::*;

const MS: Duration = Duration::from_millis(1);

fn limits(max_size: u32, millis: u64) -> Limits {
    Limits { max_size, max_delay: Duration::from_millis(millis) }
}

fn advices() -> impl Strategy<Value = Advice> {
    let some = |range: std::ops::Range<u64>| prop::option::of(range.prop_map(Duration::from_micros));
    prop_oneof![
        Just(Advice::Off),
        Just(Advice::Alone),
        (prop::option::of(1..24_u32), any::<(bool, bool)>(), some(0..4_000), some(1..9_000)).prop_map(
            |(usual, (probe, share), saving, run)| Advice::Join { usual, probe, share, saving, run }
        ),
    ]
}

fn lanes() -> impl Strategy<Value = Lanes> {
    (1..5_u32, 0..20_u32).prop_map(|(count, running)| Lanes { count, running })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn a_window_is_bounded_by_delay_deadline_and_size(
        (rows, max_size, delay) in (1..12_u32, 1..10_u32, 0..6_u64),
        (oldest, now) in (0..20_000_u64, 0..20_000_u64),
        deadline in prop::option::of(0..40_000_u64),
        (complete, awaited, closing) in any::<(bool, bool, bool)>(),
        advice in advices(),
        lanes in lanes(),
    ) {
        let micros = Duration::from_micros;
        let (oldest, now) = (micros(oldest), micros(oldest + now));
        let limits = limits(max_size, delay);
        let look = Waiting { rows, oldest, deadline: deadline.map(micros), complete, awaited, closing, lanes };
        match decide(&limits, &look, advice, now) {
            Verdict::Wait(until) => {
                prop_assert!(until > now && until <= oldest + limits.max_delay);
                prop_assert!(rows < max_size && !complete && !awaited && !closing);
                let Advice::Join { run, .. } = advice else { panic!("only those who join wait") };
                prop_assert!(advice.goal(&limits, lanes) > rows);
                if let Some(deadline) = deadline {
                    prop_assert!(until + run.expect("known") <= micros(deadline), "there is time left to run");
                }
                // At its end the window is over, and not before.
                prop_assert!(matches!(decide(&limits, &look, advice, until), Verdict::Release(_)));
                prop_assert_eq!(decide(&limits, &look, advice, until - micros(1).min(until - now)), Verdict::Wait(until));
            }
            Verdict::Release(Reason::Full) => prop_assert!(rows >= max_size || complete),
            Verdict::Release(Reason::Delay) => prop_assert!(now >= oldest + limits.max_delay),
            Verdict::Release(Reason::Deadline) => prop_assert!(deadline.is_some()),
            Verdict::Release(Reason::Closing) => prop_assert!(closing),
            Verdict::Release(Reason::Off) => prop_assert_eq!(advice, Advice::Off),
            Verdict::Release(Reason::Alone) => prop_assert_eq!(advice, Advice::Alone),
            Verdict::Release(Reason::Idle) => {}
            Verdict::Release(Reason::Shared) => prop_assert!(false, "who goes along says so"),
        }
    }

    #[test]
    fn shares_are_fair_and_leave_nobody_lying(
        (usual, rows, max_size) in (1..24_u32, 1..24_u32, 1..10_u32), lanes in lanes(),
    ) {
        let limits = limits(max_size, 2);
        let advice = |usual, share| Advice::Join { usual, probe: false, share, saving: None, run: None };
        let shared = advice(Some(usual), true);
        let (share, all) = (shared.share(&limits, rows, lanes), usual.max(rows + lanes.running));
        prop_assert!((1..=max_size).contains(&share));
        // All lanes together take what is there, but for what no batch holds.
        prop_assert!(share == max_size || share * lanes.count >= all);
        prop_assert!(lanes.count == 1 || share < 2 || (share - 1) * lanes.count < all, "no lane takes much more than others");
        // Nobody waits for more than a lane would take, or than could come.
        let goal = shared.goal(&limits, lanes);
        prop_assert!((1..=share).contains(&goal));
        prop_assert!(goal == 1 || goal + lanes.running <= usual);
        // One lane, an unknown group, and a model whose lanes are in each other's way: everything at once.
        for all in [advice(None, true), advice(Some(usual), false)] {
            prop_assert_eq!(all.share(&limits, rows, lanes), max_size);
        }
        prop_assert_eq!(shared.share(&limits, rows, Lanes { count: 1, ..lanes }), max_size);
        prop_assert_eq!(advice(None, true).goal(&limits, lanes), max_size);
    }

    #[test]
    fn another_lane_comes_for_what_the_first_leave_and_for_no_less(
        (usual, rows, max_size) in (1..24_u32, 1..24_u32, 1..10_u32), coming in 0..4_u32, lanes in lanes(),
    ) {
        let limits = limits(max_size, 2);
        let advice = Advice::Join { usual: Some(usual), probe: false, share: true, saving: None, run: None };
        let share = advice.share(&limits, rows, lanes);
        let then = Lanes { running: lanes.running + coming * share, ..lanes };
        let needed = advice.needs_another(&limits, rows, coming, lanes);
        // It would release what is left at once, or find nothing to do.
        let left = rows.saturating_sub(coming * share);
        prop_assert_eq!(needed, left > 0 && left >= advice.goal(&limits, then));
    }

    #[test]
    fn batching_stays_on_only_where_a_row_is_cheaper(
        (fixed, each) in (0..500_u64, 20..200_u64), noise in prop::collection::vec(0..40_u64, 64..200),
    ) {
        let (mut learner, limits) = (Learner::default(), limits(8, 2));
        for (at, noise) in noise.iter().enumerate() {
            // One run in five is disturbed.
            let noise = if at % 5 == 0 { noise * 50 } else { 0 };
            let rows = if learner.advice(1, &limits) == Advice::Off || at % 2 == 0 { 1 } else { 8 };
            let took = Duration::from_micros(fixed + each * u64::from(rows) + noise);
            learner.record(1, rows, rows, took, Duration::ZERO);
        }
        let (alone, joined) = ((fixed + each) as f64, fixed as f64 / 8.0 + each as f64);
        let off = learner.advice(1, &limits) == Advice::Off;
        prop_assert_eq!(off, learner.off_reason().is_some());
        if joined < 0.9 * alone {
            prop_assert!(!off, "{joined} {alone}");
        }
        if joined > 0.97 * alone {
            prop_assert!(off, "{joined} {alone}");
        }
    }
}

#[test]
fn what_is_off_is_tried_again_rarely() {
    let (mut learner, limits) = (Learner::default(), limits(8, 2));
    let run = |learner: &mut Learner, requests: u32, at: u64| {
        learner.record(1, requests, requests, MS * requests, Duration::from_secs(at));
    };
    (0..8).for_each(|_| run(&mut learner, 8, 0));
    assert_eq!(learner.advice(1, &limits), Advice::Alone, "what a run alone costs is not known yet");
    (0..8).for_each(|_| run(&mut learner, 1, 0));
    for requests in [250, 500, 1_000, 1_000] {
        assert_eq!(learner.advice(1, &limits), Advice::Off);
        (1..requests).for_each(|_| run(&mut learner, 1, 1));
        assert_eq!(learner.advice(1, &limits), Advice::Off, "{requests}");
        run(&mut learner, 1, 1);
        assert!(matches!(learner.advice(1, &limits), Advice::Join { .. }), "{requests}");
        assert!(learner.off_reason().is_some(), "a trial is no verdict");
        (0..8).for_each(|_| run(&mut learner, 8, 1));
    }
    (0..1_000).for_each(|_| run(&mut learner, 1, 1));
    assert!(
        matches!(learner.advice(1, &limits), Advice::Join { saving: None, .. }),
        "after a thousand requests"
    );
    (0..8).for_each(|_| run(&mut learner, 8, 1));
    assert_eq!(learner.advice(1, &limits), Advice::Off, "still not");
    run(&mut learner, 1, 11);
    assert!(matches!(learner.advice(1, &limits), Advice::Join { .. }), "after ten seconds");
    learner.refuse("no".into());
    assert_eq!((learner.advice(1, &limits), learner.off_reason()), (Advice::Off, Some("no".into())));
}

fn tensor(dtype: DType, dims: &[i64]) -> Value {
    let data = Data::Memory(Memory { addr: 64, len: 0, owner: None });
    Value::Tensor(Tensor { dtype, dims: Dims::from_slice(dims), data })
}

#[test]
fn groups_differ_by_all_but_the_batch_axis() {
    let axes = BatchAxes { inputs: vec![Some(0), Some(1), None], outputs: vec![Some(0)] };
    let of = |first: &[i64], second: &[i64], dtype: DType| {
        group_of(&[tensor(dtype, first), tensor(DType::F32, second), Value::None], &Wanted::All, &axes)
    };
    let one = of(&[1, 3], &[2, 1, 4], DType::F32).expect("a group");
    let two = of(&[5, 3], &[2, 5, 4], DType::F32).expect("a group");
    assert_eq!((one.key == two.key, one.rows, two.rows), (true, 1, 5));
    for other in [
        of(&[1, 4], &[2, 1, 4], DType::F32),
        of(&[1, 3], &[3, 1, 4], DType::F32),
        of(&[1, 3], &[2, 1, 4], DType::F64),
    ] {
        assert_ne!(other.expect("a group").key, one.key);
    }
    assert_eq!(of(&[1, 3], &[2, 2, 4], DType::F32), None, "different numbers of rows");
    assert_eq!(of(&[0, 3], &[2, 0, 4], DType::F32), None, "no rows");
    assert_eq!(of(&[1, 3], &[2], DType::F32), None, "no such axis");
    assert_eq!(of(&[1, 3], &[2, 1, 4], DType::U4), None, "packed");
    let some = Wanted::Some([0].into_iter().collect());
    let values = [tensor(DType::F32, &[1, 3]), tensor(DType::F32, &[2, 1, 4]), Value::None];
    assert_ne!(group_of(&values, &some, &axes).expect("a group").key, one.key);
}

#[test]
fn a_busy_spell_does_not_turn_batching_off_nor_does_a_change_go_unnoticed() {
    let (mut learner, limits) = (Learner::default(), limits(8, 2));
    let mut follow = |alone: u32, joined: u32, runs: usize| {
        for _ in 0..runs {
            let (requests, took) = match learner.advice(1, &limits) {
                Advice::Join { .. } => (8, MS * joined),
                Advice::Alone | Advice::Off => (1, MS * alone),
            };
            learner.record(1, requests, requests, took, Duration::ZERO);
        }
        learner.off_reason().is_none()
    };
    assert!(follow(10, 40, 100));
    assert!(follow(40, 160, 1_000), "everything is four times as slow");
    assert!(follow(10, 40, 1_000));
    assert!(!follow(5, 80, 64 * 20), "a row costs more now, and is tried only now and then");
}

#[test]
fn a_verdict_made_in_a_busy_spell_is_soon_made_again() {
    let (mut learner, limits) = (Learner::default(), limits(8, 2));
    let mut run = |alone: u32| {
        let (requests, took) = match learner.advice(1, &limits) {
            Advice::Join { .. } => (8, MS * 80),
            Advice::Alone | Advice::Off => (1, MS * alone),
        };
        learner.record(1, requests, requests, took, Duration::ZERO);
        learner.off_reason().is_some()
    };
    // A row takes 10 ms either way, but whatever runs alone is disturbed at first.
    assert!((0..16).all(|_| !run(12)));
    let taken = (0..64).take_while(|_| !run(10)).count();
    assert!(taken < 10, "{taken}");
}

/// Eight rows at a time on two lanes that take so long for four rows each, at once, and for eight rows alone.
fn share(learner: &mut Learner, part: u32, whole: u32, runs: usize) -> usize {
    let limits = limits(8, 2);
    let mut shared = 0;
    for _ in 0..runs {
        learner.together(1, 8);
        let advice = learner.advice(1, &limits);
        let rows = advice.share(&limits, 8, Lanes { count: 2, running: 0 });
        let lanes = advice.parts(&limits, rows, 8, Lanes { count: 2, running: 0 });
        if lanes > 0 {
            learner.split(1, rows, lanes, MS * if rows == 4 { part } else { whole });
            shared += usize::from(rows == 4);
        }
    }
    shared
}

#[test]
fn lanes_share_rows_where_that_is_quicker() {
    let (mut learner, limits) = (Learner::default(), limits(8, 2));
    let two = Lanes { count: 2, running: 0 };
    assert_eq!(learner.advice(1, &limits).share(&limits, 8, two), 8, "who knows how many come");
    share(&mut learner, 10, 19, 32);
    let often = share(&mut learner, 10, 19, 650);
    assert!((630..650).contains(&often), "and one in 64 is tried whole: {often}");
    // The lanes are in each other's way now.
    share(&mut learner, 20, 19, 64 * 20);
    let seldom = share(&mut learner, 20, 19, 650);
    assert!((5..20).contains(&seldom), "{seldom}");
    share(&mut learner, 10, 19, 64 * 20);
    assert!(share(&mut learner, 10, 19, 650) > 630, "and not any more");
}

#[test]
fn nothing_is_shared_that_one_lane_takes_anyway() {
    let limits = limits(4, 2);
    let advice = Advice::Join { usual: Some(8), probe: false, share: true, saving: None, run: None };
    let two = Lanes { count: 2, running: 0 };
    assert_eq!((advice.share(&limits, 8, two), advice.parts(&limits, 4, 8, two)), (4, 0), "two full batches");
    assert_eq!(advice.parts(&limits, 2, 8, Lanes { count: 4, running: 0 }), 4);
    let whole = Advice::Join { usual: Some(4), probe: false, share: false, saving: None, run: None };
    assert_eq!(
        (whole.parts(&limits, 4, 4, two), whole.parts(&limits, 1, 4, two)),
        (1, 0),
        "that was no test of it"
    );
}
