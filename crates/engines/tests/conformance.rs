//! What every engine owes the flow, asked of each engine alike (`support/subjects.rs`), on threads and in processes.

mod support;

use std::sync::Arc;
use std::thread;

use headway_core::engine::{Engine, ValueType};
use headway_core::error::ErrorKind;
use headway_core::request::{Inputs, OwnerBox, Wanted};
use headway_core::value::{DType, Value};
use support::subjects::{Subject, subjects};
use support::*;

/// No test: what the suite starts as a process of a lane.
#[test]
#[cfg(target_os = "linux")]
fn the_program_of_a_lane() {
    support::isolated::be_a_lane();
}

#[test]
fn every_engine_is_asked_on_threads_and_in_processes() {
    let names: Vec<_> = subjects().iter().map(|subject| subject.name()).collect();
    let all = ["fake", "onnxruntime", "openvino", "rknn", "rknn zero copy"];
    assert_eq!(names, [all, all].concat()[..if cfg!(target_os = "linux") { 10 } else { 3 }]);
}

/// A feed of the echo's shape number `nth`, counted round, and its elements: they rise from `start`.
fn feed(subject: &dyn Subject, nth: usize, start: f32) -> (Value, Vec<f32>) {
    let shapes = subject.shapes();
    let dims = &shapes[nth % shapes.len()];
    let numbers: Vec<f32> = (0..dims.iter().product()).map(|at: i64| start + at as f32).collect();
    (floats(dims, &numbers), numbers)
}

#[test]
fn an_engine_says_what_its_model_takes_and_gives() {
    for subject in subjects() {
        let engine = subject.echo();
        let info = engine.info();
        assert_eq!((info.inputs.len(), info.outputs.len()), (1, 1), "{}", engine.name());
        for node in info.inputs.iter().chain(&info.outputs) {
            assert!(!node.name.is_empty() && node.required);
            let ValueType::Tensor(dtype, dims) = &node.kind else { panic!("expected a tensor") };
            assert_eq!(*dtype, DType::F32);
            let shapes = subject.shapes();
            assert!(dims.as_ref().is_none_or(|dims| shapes.iter().all(|shape| shape.len() == dims.len())));
        }
    }
}

#[test]
fn what_goes_in_comes_out() {
    for subject in subjects() {
        let engine = subject.echo();
        let mut lane = engine.open_lane(0).expect("a lane");
        for (nth, shape) in subject.shapes().into_iter().enumerate() {
            let (input, numbers) = feed(subject.as_ref(), nth, -2.5);
            let values = run(lane.as_mut(), [input], Wanted::All).expect("success");
            assert_eq!(floats_of(&values[0]), numbers, "{}", engine.name());
            assert_eq!(as_tensor(&values[0]).dims.as_slice(), shape);
            assert_eq!(as_tensor(&values[0]).dtype, DType::F32);
        }
    }
}

#[test]
fn every_job_of_a_batch_gets_its_own_result() {
    for subject in subjects() {
        let engine = subject.echo();
        let mut lane = engine.open_lane(0).expect("a lane");
        let feeds: Vec<_> = (0..5).map(|n| feed(subject.as_ref(), n, n as f32)).collect();
        let mut jobs: Vec<_> = feeds.iter().map(|(input, _)| job([input.clone()], Wanted::All)).collect();
        lane.run(&mut jobs);
        for (job, (_, numbers)) in jobs.into_iter().zip(feeds) {
            let values = job.result.expect("a result").expect("success");
            assert_eq!(floats_of(&values[0]), numbers);
        }
    }
}

#[test]
fn outputs_can_be_chosen_and_repeated() {
    for subject in subjects() {
        let engine = subject.echo();
        let mut lane = engine.open_lane(0).expect("a lane");
        let (input, numbers) = feed(subject.as_ref(), 0, 4.0);
        let wanted = Wanted::Some([0, 0].into_iter().collect());
        let values = run(lane.as_mut(), [input.clone()], wanted).expect("success");
        assert_eq!(values.len(), 2);
        assert!(values.iter().all(|value| floats_of(value) == numbers));
        let wanted = Wanted::Some([1].into_iter().collect());
        // The fake counts its inputs round instead.
        if let Err(error) = run(lane.as_mut(), [input], wanted) {
            assert_eq!(error.kind, ErrorKind::Input, "{error}");
        }
    }
}

#[test]
fn outputs_outlive_lane_engine_and_thread() {
    for subject in subjects() {
        let engine = subject.echo();
        let (input, numbers) = feed(subject.as_ref(), 1, 7.0);
        let values = thread::scope(|scope| {
            let job = scope.spawn(|| run_once(engine.as_ref(), [input]));
            job.join().expect("no panic")
        });
        drop(engine);
        assert_eq!(floats_of(&values[0]), numbers);
        thread::spawn(move || drop(values)).join().expect("no panic");
    }
}

#[test]
fn a_held_output_is_not_written_to_by_later_requests() {
    for subject in subjects() {
        let engine = subject.echo();
        let mut lane = engine.open_lane(0).expect("a lane");
        let held: Vec<_> = (0..20)
            .map(|nth| {
                let (input, numbers) = feed(subject.as_ref(), 0, nth as f32);
                (run(lane.as_mut(), [input], Wanted::All).expect("success"), numbers)
            })
            .collect();
        for (values, numbers) in &held {
            assert_eq!(&floats_of(&values[0]), numbers, "{}", engine.name());
        }
    }
}

#[test]
fn many_lanes_run_at_once_and_never_mix_answers() {
    for subject in subjects() {
        let engine: Arc<dyn Engine> = subject.echo().into();
        let shapes = subject.shapes();
        let (send, receive) = std::sync::mpsc::channel();
        let workers: Vec<_> = (0..3_u32)
            .map(|id| {
                let (engine, send, shapes) = (Arc::clone(&engine), send.clone(), shapes.clone());
                thread::spawn(move || {
                    let mut lane = engine.open_lane(id as usize).expect("a lane");
                    for round in 0..2_000_u32 {
                        let number = (id * 10_000 + round) as f32;
                        let dims = &shapes[round as usize % shapes.len()];
                        let numbers = vec![number; dims.iter().product::<i64>() as usize];
                        let values = run(lane.as_mut(), [floats(dims, &numbers)], Wanted::All);
                        let values = values.expect("success");
                        assert_eq!(floats_of(&values[0]), numbers);
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
    for subject in subjects() {
        let engine = subject.echo();
        let ending = subject.terminated();
        assert_eq!(engine.can_cancel(), ending.is_some(), "{}", engine.name());
        let Some(ending) = ending else { continue };
        let mut lane = engine.open_lane(0).expect("a lane");
        let control = lane.control().expect("a control");
        let (input, numbers) = feed(subject.as_ref(), 0, 1.0);
        for _ in 0..3 {
            control.terminate();
            let error = run(lane.as_mut(), [input.clone()], Wanted::All).expect_err("terminated");
            assert_eq!((error.kind, error.code), (ErrorKind::Engine, ending.code));
            assert!(error.message.contains(ending.words), "{error}");
            control.reset();
            let values = run(lane.as_mut(), [input.clone()], Wanted::All).expect("success again");
            assert_eq!(floats_of(&values[0]), numbers);
        }
    }
}

#[test]
fn run_options_of_a_request_replace_the_lanes_own() {
    for subject in subjects() {
        let engine = subject.echo();
        let Some(control) = subject.run_options(engine.as_ref()) else { continue };
        let mut lane = engine.open_lane(0).expect("a lane");
        let mut go = |expect: bool| {
            let mut jobs = [job([feed(subject.as_ref(), 0, 1.0).0], Wanted::All)];
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
fn a_bad_job_fails_alone() {
    for engine in subjects().iter().filter_map(|subject| subject.product()) {
        let mut lane = engine.open_lane(0).expect("a lane");
        let good =
            || job([floats(&[1, 3], &[1.0, 2.0, 3.0]), floats(&[1, 3], &[2.0, 2.0, 2.0])], Wanted::All);
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
        let (engine_says, input) = (Some(ErrorKind::Engine), Some(ErrorKind::Input));
        // Who sees the wrong shape first is the engine's own affair; the door refuses it before either.
        assert!(kinds[1] == engine_says || kinds[1] == input, "{}: {kinds:?}", engine.name());
        assert_eq!([kinds[0], kinds[2], kinds[3], kinds[4]], [None, input, input, None], "{}", engine.name());
        let last = jobs[4].result.as_ref().expect("a result").as_ref().expect("success");
        assert_eq!(floats_of(&last[0]), [2.0, 4.0, 6.0]);
    }
}
