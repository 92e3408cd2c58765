//! Several requests in one run: joined, split, and run one by one where that is the only right way.

mod support;

use headway_core::engine::{BatchAxes, Engine, Job, Lane};
use headway_core::error::ErrorKind;
use headway_core::request::Wanted;
use headway_core::value::{DType, Value};
use headway_engines::ort::OrtEngine;
use headway_engines::pool::live_blocks;
use support::*;

fn batched(name: &str, inputs: &[Option<usize>], outputs: &[Option<usize>]) -> (OrtEngine, Box<dyn Lane>) {
    let engine = load(name);
    let axes = BatchAxes { inputs: inputs.to_vec(), outputs: outputs.to_vec() };
    engine.batch(&axes).expect("not set yet");
    let lane = engine.open_lane(0).expect("a lane");
    (engine, lane)
}

/// Runs a batch twice, since the first only shows that the outputs are as long as the batch; the second's results.
fn run_twice(lane: &mut dyn Lane, make: impl Fn() -> Vec<Job>) -> Vec<Job> {
    lane.run(&mut make());
    let mut jobs = make();
    lane.run(&mut jobs);
    jobs
}

fn answer(job: &Job) -> &[Value] {
    job.result.as_ref().expect("a result").as_ref().expect("it succeeds")
}

#[test]
fn rows_of_many_requests_come_back_to_their_own() {
    let (_engine, mut lane) = batched("mul", &[Some(0), Some(0)], &[Some(0)]);
    let feeds = |rows: i64, from: f32| {
        let numbers: Vec<f32> = (0..rows * 3).map(|at| from + at as f32).collect();
        [floats(&[rows, 3], &numbers), floats(&[rows, 3], &numbers)]
    };
    let jobs = run_twice(lane.as_mut(), || {
        [(1, 1.0), (3, 10.0), (2, 100.0)].map(|(rows, from)| job(feeds(rows, from), Wanted::All)).into()
    });
    for (job, (rows, from)) in jobs.iter().zip([(1, 1.0_f32), (3, 10.0), (2, 100.0)]) {
        let values = answer(job);
        assert_eq!(as_tensor(&values[0]).dims.as_slice(), [rows, 3]);
        let expected: Vec<f32> = (0..rows * 3).map(|at| (from + at as f32).powi(2)).collect();
        assert_eq!(floats_of(&values[0]), expected);
    }
    // They share one block; what one holder writes is none of the others' business.
    spoil(&answer(&jobs[0])[0]);
    assert_eq!(floats_of(&answer(&jobs[2])[0])[0], 10_000.0);
    assert_eq!(lane.refusal(), None);
}

#[test]
fn an_inner_axis_is_joined_and_split_too() {
    let (_engine, mut lane) = batched("batch_inner", &[Some(1), None], &[Some(1), Some(0)]);
    let make = || {
        let feed = |first: f32, rows: i64| {
            let numbers: Vec<f32> = (0..2 * rows * 2).map(|at| first + at as f32).collect();
            job([floats(&[2, rows, 2], &numbers), floats(&[], &[10.0])], Wanted::All)
        };
        vec![feed(0.0, 1), feed(100.0, 2), feed(200.0, 1)]
    };
    let mut alone = make();
    alone.iter_mut().for_each(|job| lane.run(std::slice::from_mut(job)));
    let mut together = make();
    lane.run(&mut together);
    assert_eq!(lane.refusal(), None);
    for (one, other) in alone.iter().zip(&together) {
        for (one, other) in answer(one).iter().zip(answer(other)) {
            assert_eq!(as_tensor(one).dims, as_tensor(other).dims);
            assert_eq!(floats_of(one), floats_of(other));
        }
    }
    assert_eq!(floats_of(&answer(&together[1])[0])[..4], [1000.0, 1010.0, 1020.0, 1030.0]);
}

#[test]
fn unequal_shared_inputs_only_split_the_batch() {
    let (_engine, mut lane) = batched("batch_inner", &[Some(1), None], &[Some(1), Some(0)]);
    let jobs = run_twice(lane.as_mut(), || {
        let feed = |factor: f32| job([floats(&[2, 1, 2], &[1.0; 4]), floats(&[], &[factor])], Wanted::All);
        vec![feed(2.0), feed(3.0), feed(2.0), feed(3.0), feed(5.0)]
    });
    let factors: Vec<f32> = jobs.iter().map(|job| floats_of(&answer(job)[0])[0]).collect();
    assert_eq!(factors, [2.0, 3.0, 2.0, 3.0, 5.0]);
}

#[test]
fn requests_that_only_seem_alike_are_told_apart() {
    let (_engine, mut lane) = batched("mul", &[Some(0), Some(0)], &[Some(0)]);
    let mut jobs = run_twice(lane.as_mut(), || {
        vec![
            job([floats(&[1, 3], &[1.0; 3]), floats(&[1, 3], &[2.0; 3])], Wanted::All),
            job([tensor(DType::F64, &[1, 3], &[0; 24]), floats(&[1, 3], &[2.0; 3])], Wanted::All),
            job([floats(&[2, 3], &[1.0; 6]), floats(&[1, 3], &[2.0; 3])], Wanted::All),
            job([floats(&[1, 3], &[3.0; 3])], Wanted::All),
            job(
                [floats(&[1, 3], &[1.0; 3]), floats(&[1, 3], &[4.0; 3])],
                Wanted::Some([0, 0].into_iter().collect()),
            ),
            job([floats(&[1, 3], &[1.0; 3]), floats(&[1, 3], &[5.0; 3])], Wanted::All),
        ]
    });
    assert_eq!(floats_of(&answer(&jobs[0])[0]), [2.0; 3]);
    assert_eq!(floats_of(&answer(&jobs[5])[0]), [5.0; 3]);
    assert_eq!(answer(&jobs[4]).len(), 2);
    assert_eq!(as_tensor(&answer(&jobs[2])[0]).dims.as_slice(), [2, 3], "the model spreads one row itself");
    for bad in [1, 3] {
        let error = jobs[bad].result.take().expect("a result").expect_err("it is wrong");
        assert!(matches!(error.kind, ErrorKind::Input | ErrorKind::Engine), "{error}");
    }
}

#[test]
fn only_the_guilty_request_fails() {
    let (_engine, mut lane) = batched("batch_gather", &[Some(0)], &[Some(0)]);
    let before = live_blocks();
    let mut jobs = run_twice(lane.as_mut(), || {
        [0, 2, 99, 1].map(|index| job([ints(&[1], &[index])], Wanted::All)).into()
    });
    let error = jobs[2].result.take().expect("a result").expect_err("out of range");
    assert!(error.message.contains("indices element out of data bounds"), "{error}");
    for (at, number) in [(0, 10.0), (1, 30.0), (3, 20.0)] {
        assert_eq!(floats_of(&answer(&jobs[at])[0]), [number]);
    }
    assert_eq!(lane.refusal(), None, "the model is not to blame");
    drop(jobs);
    // What failed has left nothing in use: further batches find their memory in the pool.
    let after = live_blocks();
    for _ in 0..50 {
        lane.run(&mut [0, 99, 1].map(|index| job([ints(&[1], &[index])], Wanted::All)));
    }
    assert!(live_blocks() <= after + 2, "{before} {after} {}", live_blocks());
}

#[test]
fn outputs_that_are_not_as_long_as_the_batch_end_the_joining() {
    // y's axis 0 has length 2 whatever the batch is: for a batch of two that looks right.
    let (_engine, mut lane) = batched("batch_inner", &[Some(1), None], &[Some(0), Some(0)]);
    let feed = |first: f32| job([floats(&[2, 1, 2], &[first; 4]), floats(&[], &[1.0])], Wanted::All);
    for _ in 0..3 {
        let mut jobs = vec![feed(1.0), feed(2.0)];
        lane.run(&mut jobs);
        assert_eq!(floats_of(&answer(&jobs[0])[0]), [1.0; 4]);
        assert_eq!(floats_of(&answer(&jobs[1])[0]), [2.0; 4]);
        let reason = lane.refusal().expect("a reason");
        assert!(reason.starts_with("output 'y' has length 2 on axis 0 for 1 rows"), "{reason}");
    }
}

#[test]
fn a_length_that_is_right_by_chance_is_not_believed() {
    let (_engine, mut lane) = batched("batch_inner", &[Some(1), None], &[Some(0), Some(0)]);
    let feed = |rows: i64, first: f32| {
        job([floats(&[2, rows, 2], &vec![first; 4 * rows as usize]), floats(&[], &[1.0])], Wanted::All)
    };
    // Two rows alone, then one and one: both times the fixed axis is as long as the rows.
    lane.run(&mut [feed(2, 1.0)]);
    assert_eq!(lane.refusal(), None);
    let mut jobs = [feed(1, 3.0), feed(1, 4.0)];
    lane.run(&mut jobs);
    assert_eq!(floats_of(&answer(&jobs[0])[0]), [3.0; 4]);
    assert_eq!(floats_of(&answer(&jobs[1])[0]), [4.0; 4]);
    assert!(lane.refusal().is_some());
}

#[test]
fn strings_run_one_by_one() {
    let (_engine, mut lane) = batched("identity_string", &[Some(0)], &[Some(0)]);
    let jobs =
        run_twice(lane.as_mut(), || ["a", "b"].map(|text| job([strings(&[1], &[text])], Wanted::All)).into());
    assert_eq!(strings_of(&answer(&jobs[0])[0]), ["a"]);
    assert_eq!(strings_of(&answer(&jobs[1])[0]), ["b"]);
}

#[test]
fn what_a_batch_shares_is_each_requests_own() {
    let (_engine, mut lane) = batched("batch_shared", &[Some(0)], &[Some(0), None]);
    let jobs = run_twice(lane.as_mut(), || {
        [1.0, 2.0].map(|number| job([floats(&[1, 3], &[number; 3])], Wanted::All)).into()
    });
    spoil(&answer(&jobs[0])[1]);
    assert_eq!(floats_of(&answer(&jobs[1])[1]), [7.0, 8.0]);
    assert_eq!(floats_of(&answer(&jobs[1])[0]), [4.0; 3]);
}
