//! What the fake engine does when it is steered.

mod support;

use std::sync::Arc;
use std::thread;

use headway_core::engine::Engine;
use headway_core::error::{Error, ErrorKind};
use headway_core::request::{Inputs, Wanted};
use headway_engines::fake::{FakeConfig, FakeEngine};
use support::*;

#[test]
fn the_fake_fails_where_it_is_told() {
    let fake = FakeEngine::new(FakeConfig::default());
    fake.handle().fail_nth(1, Error::new(ErrorKind::Engine, "second"));
    let mut lane = fake.open_lane(0).expect("a lane");
    let mut jobs: Vec<_> = (0..3).map(|n| job([floats(&[1], &[n as f32])], Wanted::All)).collect();
    lane.run(&mut jobs);
    let ends: Vec<_> = jobs.iter().map(|job| job.result.as_ref().is_some_and(Result::is_ok)).collect();
    assert_eq!(ends, [true, false, true]);
    fake.handle().fail_when(Some(Arc::new(|job| {
        let Inputs::Feeds(feeds) = &job.inputs else { return None };
        (floats_of(&feeds[0])[0] > 5.0).then(|| Error::new(ErrorKind::Engine, "too large"))
    })));
    assert!(run(lane.as_mut(), [floats(&[1], &[5.0])], Wanted::All).is_ok());
    assert_eq!(
        run(lane.as_mut(), [floats(&[1], &[6.0])], Wanted::All).expect_err("told").message,
        "too large"
    );
    let counts = fake.handle().counts();
    assert_eq!((counts.started, counts.finished, counts.batches, counts.largest_batch), (5, 5, 3, 3));
}

#[test]
fn the_fakes_gate_holds_requests_until_they_are_let_go() {
    let fake = FakeEngine::new(FakeConfig { held: true, max_lanes: Some(2), ..FakeConfig::default() });
    let handle = fake.handle();
    let lanes: Vec<_> = (0..2).map(|id| fake.open_lane(id).expect("a lane")).collect();
    assert!(fake.open_lane(2).is_err());
    let workers: Vec<_> = lanes
        .into_iter()
        .map(|mut lane| {
            thread::spawn(move || run(lane.as_mut(), [floats(&[1], &[1.0])], Wanted::All).is_ok())
        })
        .collect();
    handle.wait_running(2);
    assert_eq!(handle.counts().finished, 0);
    handle.release(1);
    handle.wait_finished(1);
    assert_eq!(handle.running(), 1);
    handle.open();
    assert!(workers.into_iter().all(|worker| worker.join().expect("no panic")));
}

#[test]
fn the_fakes_held_request_obeys_the_flag_only_when_it_can_cancel() {
    for can_cancel in [true, false] {
        let fake = FakeEngine::new(FakeConfig { held: true, can_cancel, ..FakeConfig::default() });
        let handle = fake.handle();
        let mut lane = fake.open_lane(0).expect("a lane");
        let control = lane.control().expect("a control");
        let worker = thread::spawn(move || run(lane.as_mut(), [floats(&[1], &[1.0])], Wanted::All));
        handle.wait_running(1);
        control.terminate();
        if !can_cancel {
            assert_eq!(handle.running(), 1);
            handle.release(1);
        }
        assert_eq!(worker.join().expect("no panic").is_ok(), !can_cancel);
        assert_eq!(handle.counts().terminated, u64::from(can_cancel));
    }
}

#[test]
fn a_broken_fake_gives_too_many_outputs() {
    let fake = FakeEngine::new(FakeConfig::default());
    fake.handle().give_extra_outputs(2);
    assert_eq!(run_once(&fake, [floats(&[1], &[1.0])]).len(), 3);
}
