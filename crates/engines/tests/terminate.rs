//! Stopping a request that runs.

mod support;

use std::sync::Mutex;
use std::thread;
use std::time::Instant;

use headway_core::engine::Engine;
use headway_core::error::ErrorKind;
use headway_core::request::Wanted;
use headway_engines::pool::live_blocks;
use support::{floats, floats_of, ints, load, run};

/// Both tests count blocks or take some: they take turns.
static TURN: Mutex<()> = Mutex::new(());

/// Hours, if nobody stopped it.
const FOR_EVER: i64 = 1 << 40;

#[test]
fn a_running_loop_stops_soon_after_the_flag() {
    let _turn = TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let engine = load("loop");
    let mut lane = engine.open_lane(0).expect("a lane");
    let control = lane.control().expect("a control");
    let x = || floats(&[16, 16], &[1.0; 256]);
    let before = live_blocks();
    let worker = thread::spawn(move || {
        let result = run(lane.as_mut(), [ints(&[], &[FOR_EVER]), x()], Wanted::All);
        (lane, result)
    });
    // The loop's body takes memory: from then on the request is running.
    while live_blocks() == before {
        thread::yield_now();
    }
    let asked = Instant::now();
    control.terminate();
    let (mut lane, result) = worker.join().expect("no panic");
    let error = result.expect_err("terminated");
    assert_eq!((error.kind, error.code), (ErrorKind::Engine, Some(1)));
    assert!(error.message.contains("Exiting due to terminate flag being set to true."), "{error}");
    assert!(asked.elapsed().as_secs() < 30);
    control.reset();
    let values = run(lane.as_mut(), [ints(&[], &[3]), floats(&[16, 16], &[2.0; 256])], Wanted::All);
    assert_eq!(floats_of(&values.expect("the lane goes on")[0]), [2.0; 256]);
}

#[test]
fn one_lanes_flag_leaves_the_other_lane_alone() {
    let _turn = TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let engine = load("loop");
    let (mut stopped, mut other) =
        (engine.open_lane(0).expect("a lane"), engine.open_lane(1).expect("a lane"));
    stopped.control().expect("a control").terminate();
    let feeds = || [ints(&[], &[3]), floats(&[16, 16], &[2.0; 256])];
    assert!(run(stopped.as_mut(), feeds(), Wanted::All).is_err());
    assert!(run(other.as_mut(), feeds(), Wanted::All).is_ok());
}
