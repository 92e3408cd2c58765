//! When a worker is looked for that should have come by now.

use smallvec::SmallVec;

use super::dispatch::{AWAKE_BY, CHASE_EVERY, LONG, WOKEN_BY};
use super::{Config, Effects, FlowConfig, Manner, State, Turn};
use crate::admission::Overflow;
use crate::batch::Limits;
use crate::request::{Inputs, Request, Time, Wanted};

const NANO: Time = Time::from_nanos(1);

/// A session of one lane, at a time of its own.
struct Scene {
    state: State,
    now: Time,
}

impl Scene {
    fn new(batching: Option<Limits>) -> Self {
        let flow = FlowConfig { queue_depth: 99, overflow: Overflow::Block };
        let config = Config { flow, batching, ..Config::default() };
        // Long after the beginning: nobody has been looked for lately.
        Scene { state: State::new(config, vec![None]), now: Time::from_secs(1) }
    }

    /// Two requests wait from now on.
    fn backlog(batching: Option<Limits>) -> Self {
        let mut scene = Scene::new(batching);
        assert_eq!(scene.submit_after(Time::ZERO), None);
        assert_eq!(scene.submit_after(Time::ZERO), None);
        scene
    }

    /// One request more, so much later: the lane whose worker is looked for.
    fn submit_after(&mut self, later: Time) -> Option<usize> {
        self.now += later;
        let mut request = Request::new(Inputs::Feeds(SmallVec::new()), Wanted::All);
        let mut fx = Effects::default();
        self.state.offer(&mut request, Manner::default(), self.now, &mut fx).expect("room");
        fx.take_rare().and_then(|rare| rare.late)
    }

    fn turn(&mut self, may_park: bool) -> Turn {
        self.state.turn(0, may_park, self.now, &mut Effects::default())
    }
}

#[test]
fn one_that_is_awake_is_looked_for_once_it_is_late_and_then_now_and_then() {
    let mut scene = Scene::backlog(None);
    assert_eq!(scene.submit_after(AWAKE_BY - NANO), None);
    assert_eq!(scene.submit_after(NANO), Some(0));
    assert_eq!(scene.submit_after(CHASE_EVERY - NANO), None, "it was looked for a moment ago");
    assert_eq!(scene.submit_after(NANO), Some(0));
}

#[test]
fn one_that_was_woken_has_longer() {
    let mut scene = Scene::new(None);
    assert!(matches!(scene.turn(true), Turn::Park));
    assert_eq!(scene.submit_after(Time::ZERO), None);
    assert!(scene.state.lanes[0].waking, "it sleeps no more");
    scene.submit_after(Time::ZERO);
    assert_eq!(scene.submit_after(WOKEN_BY - NANO), None);
    assert_eq!(scene.submit_after(NANO), Some(0));
}

#[test]
fn one_that_runs_has_four_runs_more_unless_they_are_long() {
    for (usual, late) in [(LONG / 2, Some(0)), (LONG, None)] {
        let mut scene = Scene::backlog(None);
        scene.state.usual_run = u64::try_from(usual.as_nanos()).expect("short");
        assert!(matches!(scene.turn(false), Turn::Work(_)));
        scene.submit_after(Time::ZERO);
        assert_eq!(scene.submit_after(AWAKE_BY + usual * 4 - NANO), None);
        assert_eq!(scene.submit_after(NANO), late, "a run of {usual:?}");
    }
}

#[test]
fn the_time_begins_anew_with_each_that_starts_and_with_each_that_waits_alone() {
    let mut scene = Scene::backlog(None);
    scene.now += AWAKE_BY;
    assert!(matches!(scene.turn(false), Turn::Work(_)), "it came");
    scene.submit_after(Time::ZERO);
    assert_eq!(scene.submit_after(AWAKE_BY - NANO), None);
    let mut scene = Scene::new(None);
    scene.now += CHASE_EVERY;
    assert_eq!(scene.submit_after(Time::ZERO), None, "it waits alone, and since now");
    assert_eq!(scene.submit_after(AWAKE_BY - NANO), None);
    assert_eq!(scene.submit_after(NANO), Some(0));
}

#[test]
fn one_that_sleeps_or_has_gone_is_not_looked_for() {
    let mut scene = Scene::backlog(None);
    scene.state.lanes[0].gone = true;
    assert_eq!(scene.submit_after(CHASE_EVERY), None);
    let mut scene = Scene::backlog(None);
    scene.state.lanes[0].parked = true;
    assert_eq!(scene.submit_after(AWAKE_BY), None);
    assert!(scene.state.lanes[0].waking, "it is woken now");
}

#[test]
fn in_a_window_nobody_is_late() {
    let limits = Limits { max_size: 8, max_delay: Time::from_millis(5) };
    let mut scene = Scene::backlog(Some(limits));
    assert_eq!(scene.submit_after(CHASE_EVERY), None);
}
