//! The timer thread on the real clock: what is due ends although nobody looks. A deadline that does not pass hangs.

mod support;

use std::sync::Arc;
use std::time::Duration;

use headway_core::clock::Clock;
use headway_core::runtime::Shared;
use headway_core::slot::{Milestone, SlotRef};
use headway_core::state::Config;
use support::{Ask, ask, outcome};

fn session(config: Config) -> Arc<Shared> {
    Shared::new(config, None, Clock::system()).expect("no engine, no error")
}

/// Expires so many milliseconds from now.
fn submit(flow: &Arc<Shared>, mut asked: Ask, millis: u64) -> SlotRef {
    asked.request.deadline = Some(flow.now() + Duration::from_millis(millis));
    flow.submit(asked.request, asked.manner).expect("room")
}

fn ends(slot: &SlotRef) -> String {
    slot.wait(Milestone::Ended, None, Duration::ZERO);
    outcome(slot)
}

const HOUR: u64 = 3_600_000;

#[test]
fn deadlines_pass_one_after_the_other_whoever_is_told_of_first() {
    let flow = session(Config::default());
    let far = submit(&flow, ask(1), HOUR);
    let near = submit(&flow, ask(2), 2);
    assert_eq!(ends(&near), "expired waiting");
    let both = [submit(&flow, ask(3), 3), submit(&flow, ask(4), 1)];
    assert_eq!([&both[1], &both[0]].map(ends), ["expired waiting"; 2]);
    assert_eq!(ends(&submit(&flow, ask(5), 1)), "expired waiting");
    assert!(!far.is_ended());
}

#[test]
fn each_session_has_its_own() {
    let sessions = [(); 3].map(|()| session(Config::default()));
    let slots: Vec<SlotRef> =
        sessions.iter().zip([9, 1, 5]).map(|(flow, millis)| submit(flow, ask(1), millis)).collect();
    drop(submit(&session(Config::default()), ask(1), 2));
    assert!(slots.iter().map(ends).all(|end| end == "expired waiting"));
}

#[test]
fn what_runs_ends_on_time_too_and_its_lane_is_given_up_after_as_long_again() {
    let limit = Duration::from_millis(2);
    let flow = session(Config { run_timeout: Some(limit), ..Config::default() });
    let slot = flow.submit(ask(1).request, ask(1).manner).expect("room");
    let work = flow.try_take(0).expect("work");
    assert_eq!(ends(&slot), "expired running");
    // It waits until the lane is given up, which nothing but the timer does.
    let next = flow.submit(ask(2).request, ask(2).manner).expect("room");
    assert_eq!(ends(&next), "failed");
    flow.complete(work);
}
