//! What two lanes may not do to each other inside OpenVINO, watched at its functions.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;

use headway_core::engine::{Engine, Job, Lane};
use headway_core::request::{Inputs, Wanted};
use headway_core::value::{DType, Data, Dims, Tensor, Value};

use super::api::Api;
use super::raw::*;
use super::*;
use crate::pool::Pool;
use crate::pool::tests::alone;

#[path = "../../tests/support/openvino_library.rs"]
mod openvino_library;

/// A run has begun and has not ended.
static RUNS: AtomicBool = AtomicBool::new(false);
/// Somebody is about to make a request.
static ASKED: AtomicBool = AtomicBool::new(false);
/// A request was made while another ran.
static OVERLAPPED: AtomicBool = AtomicBool::new(false);

/// Patience of a run for what must not come: far more turns than a thread needs to get to OpenVINO.
const TURNS: usize = 20_000;

/// The library; only the first call needs to find it.
fn real() -> &'static Runtime {
    static REAL: OnceLock<&Runtime> = OnceLock::new();
    REAL.get_or_init(|| Runtime::get(&openvino_library::candidates()).expect("the library loads"))
}

/// A run that goes on until somebody has asked for a request, and gives it time to be made.
unsafe extern "C" fn infer(request: *mut OvRequest) -> Status {
    RUNS.store(true, SeqCst);
    while !ASKED.load(SeqCst) {
        thread::yield_now();
    }
    (0..TURNS).take_while(|_| !OVERLAPPED.load(SeqCst)).for_each(|_| thread::yield_now());
    // SAFETY: the caller's promise.
    let status = unsafe { (real().api.infer)(request) };
    RUNS.store(false, SeqCst);
    status
}

unsafe extern "C" fn create_request(compiled: *const OvCompiled, request: *mut *mut OvRequest) -> Status {
    OVERLAPPED.fetch_or(RUNS.load(SeqCst), SeqCst);
    // SAFETY: the caller's promise.
    unsafe { (real().api.create_request)(compiled, request) }
}

/// The library, with the two functions above in place of its own.
fn watched() -> &'static Runtime {
    let real = real();
    Box::leak(Box::new(Runtime {
        api: Api { infer, create_request, ..real.api },
        types: real.types,
        core: real.core,
        version: real.version.clone(),
        generation: real.generation,
    }))
}

fn run(lane: &mut dyn Lane) {
    let bytes: Vec<u8> = [1.0_f32, 2.0].iter().flat_map(|value| value.to_ne_bytes()).collect();
    let data = Data::Memory(Pool::new(0).copy_memory(&bytes));
    let value = Value::Tensor(Tensor { dtype: DType::F32, dims: Dims::from_slice(&[2]), data });
    let inputs = Inputs::Feeds([value].into_iter().collect());
    let mut jobs = [Job { inputs, wanted: Wanted::All, options: None, result: None }];
    lane.run(&mut jobs);
    jobs[0].result.take().expect("a result").expect("success");
}

#[test]
fn a_lane_is_opened_between_the_runs_of_the_others() {
    let _alone = alone();
    let model = include_bytes!("../../tests/models/identity_float.onnx");
    let source = ModelSource::Bytes { model, weights: None };
    let engine = OpenVinoEngine::load_on(watched(), LoadOptions::new(Vec::new(), source)).expect("it loads");
    let mut lanes = [0, 1].map(|id| engine.open_lane(id).expect("a lane"));
    // One that is gone keeps nobody waiting.
    drop(engine.open_lane(2).expect("a lane"));
    thread::scope(|scope| {
        let worker = scope.spawn(|| run(lanes[0].as_mut()));
        while !RUNS.load(SeqCst) {
            thread::yield_now();
        }
        ASKED.store(true, SeqCst);
        let mut later = engine.open_lane(3).expect("a lane");
        worker.join().expect("no panic");
        run(later.as_mut());
    });
    run(lanes[1].as_mut());
    assert!(!OVERLAPPED.load(SeqCst), "a request was made while another ran");
}
