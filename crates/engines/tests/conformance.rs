//! What every engine owes the flow, asked of the fake and of ONNX Runtime alike.

mod support;

use std::sync::Arc;
use std::thread;

use headway_core::engine::Engine;
use headway_core::error::{Error, ErrorKind};
use headway_core::request::{Inputs, OwnerBox, Wanted};
use headway_core::value::{DType, Value};
use headway_engines::fake::{FakeConfig, FakeEngine};
use support::*;

/// Both engines with a model of one float input and one output equal to it.
fn echoes() -> Vec<Box<dyn Engine>> {
    vec![Box::new(FakeEngine::new(FakeConfig::default())), Box::new(load("identity_float"))]
}

#[test]
fn what_goes_in_comes_out() {
    for engine in echoes() {
        let values = run_once(engine.as_ref(), [floats(&[3], &[1.0, -2.5, 3.25])]);
        assert_eq!(floats_of(&values[0]), [1.0, -2.5, 3.25], "{}", engine.name());
        assert_eq!(as_tensor(&values[0]).dims.as_slice(), [3]);
        assert_eq!(as_tensor(&values[0]).dtype, DType::F32);
    }
}

#[test]
fn every_job_of_a_batch_gets_its_own_result() {
    for engine in echoes() {
        let mut lane = engine.open_lane(0).expect("a lane");
        let mut jobs: Vec<_> = (0..5).map(|n| job([floats(&[1], &[n as f32])], Wanted::All)).collect();
        jobs[2].wanted = Wanted::All;
        lane.run(&mut jobs);
        for (n, job) in jobs.into_iter().enumerate() {
            let values = job.result.expect("a result").expect("success");
            assert_eq!(floats_of(&values[0]), [n as f32]);
        }
    }
}

#[test]
fn outputs_can_be_chosen_and_repeated() {
    for engine in echoes() {
        let mut lane = engine.open_lane(0).expect("a lane");
        let wanted = Wanted::Some([0, 0].into_iter().collect());
        let values = run(lane.as_mut(), [floats(&[1], &[4.0])], wanted).expect("success");
        assert_eq!(values.len(), 2);
        assert!(values.iter().all(|value| floats_of(value) == [4.0]));
    }
}

#[test]
fn outputs_outlive_lane_engine_and_thread() {
    for engine in echoes() {
        let values = thread::scope(|scope| {
            let job = scope.spawn(|| run_once(engine.as_ref(), [floats(&[2], &[7.0, 8.0])]));
            job.join().expect("no panic")
        });
        drop(engine);
        assert_eq!(floats_of(&values[0]), [7.0, 8.0]);
        thread::spawn(move || drop(values)).join().expect("no panic");
    }
}

#[test]
fn many_lanes_run_at_once_and_never_mix_answers() {
    for engine in echoes() {
        let engine: Arc<dyn Engine> = engine.into();
        let (send, receive) = std::sync::mpsc::channel();
        let workers: Vec<_> = (0..3_u32)
            .map(|id| {
                let (engine, send) = (Arc::clone(&engine), send.clone());
                thread::spawn(move || {
                    let mut lane = engine.open_lane(id as usize).expect("a lane");
                    for round in 0..2_000_u32 {
                        let number = (id * 10_000 + round) as f32;
                        let len = 1 + round as usize % 40;
                        let feed = floats(&[len as i64], &vec![number; len]);
                        let values = run(lane.as_mut(), [feed], Wanted::All).expect("success");
                        assert_eq!(floats_of(&values[0]), vec![number; len]);
                        // Freed on the main thread, while this one goes on.
                        send.send((number, values)).expect("the main thread listens");
                    }
                })
            })
            .collect();
        drop(send);
        for (number, values) in receive {
            assert!(floats_of(&values[0]).iter().all(|&value| value == number));
        }
        for worker in workers {
            worker.join().expect("no panic");
        }
    }
}

#[test]
fn a_terminated_request_fails_and_the_lane_goes_on() {
    for engine in echoes() {
        assert!(engine.can_cancel());
        let mut lane = engine.open_lane(0).expect("a lane");
        let control = lane.control().expect("a control");
        control.terminate();
        let error = run(lane.as_mut(), [floats(&[1], &[1.0])], Wanted::All).expect_err("terminated");
        assert_eq!((error.kind, error.code), (ErrorKind::Engine, Some(1)));
        assert!(error.message.contains("terminate flag"), "{error}");
        control.reset();
        let values = run(lane.as_mut(), [floats(&[1], &[1.0])], Wanted::All).expect("success again");
        assert_eq!(floats_of(&values[0]), [1.0]);
    }
}

#[test]
fn run_options_of_a_request_replace_the_lanes_own() {
    let fake = FakeEngine::new(FakeConfig::default());
    let ort = load("identity_float");
    let options = [fake.run_options(), ort.run_options(&Default::default()).expect("run options")];
    let engines: [&dyn Engine; 2] = [&fake, &ort];
    for (engine, control) in engines.into_iter().zip(options) {
        let mut lane = engine.open_lane(0).expect("a lane");
        let mut go = |expect: bool| {
            let mut jobs = [job([floats(&[1], &[1.0])], Wanted::All)];
            jobs[0].options = Some(Arc::clone(&control));
            lane.run(&mut jobs);
            assert_eq!(jobs[0].result.as_ref().is_some_and(Result::is_ok), expect, "{}", engine.name());
        };
        go(true);
        control.terminate();
        go(false);
        control.reset();
        go(true);
    }
}

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

#[test]
fn a_bad_job_fails_alone() {
    let engine = load("mul");
    let mut lane = engine.open_lane(0).expect("a lane");
    let good = || job([floats(&[1, 3], &[1.0, 2.0, 3.0]), floats(&[1, 3], &[2.0, 2.0, 2.0])], Wanted::All);
    let mut jobs = [good(), good(), good(), good(), good()];
    jobs[1].inputs =
        Inputs::Feeds([floats(&[1, 4], &[0.0; 4]), floats(&[1, 3], &[0.0; 3])].into_iter().collect());
    jobs[2].inputs = Inputs::Binding(OwnerBox(Arc::new(())));
    jobs[3].inputs = Inputs::Feeds([Value::Opaque(Arc::new(())), Value::None].into_iter().collect());
    lane.run(&mut jobs);
    let kinds: Vec<_> = jobs
        .iter()
        .map(|job| job.result.as_ref().expect("a result").as_ref().err().map(|error| error.kind))
        .collect();
    assert_eq!(kinds, [None, Some(ErrorKind::Engine), Some(ErrorKind::Input), Some(ErrorKind::Input), None]);
    let last = jobs[4].result.as_ref().expect("a result").as_ref().expect("success");
    assert_eq!(floats_of(&last[0]), [2.0, 4.0, 6.0]);
}
