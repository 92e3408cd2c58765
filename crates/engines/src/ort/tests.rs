//! The calls that a library older than 1.24 needs, on whatever library there is.

use headway_core::engine::{Dim, Engine, Job, ValueType};
use headway_core::request::{Inputs, Wanted};
use headway_core::value::{DType, Data, Dims, Tensor, Value};

use super::api::Api;
use super::*;
use crate::pool::Pool;
use crate::pool::tests::alone;

#[path = "../../tests/support/library.rs"]
mod library;

/// The runtime as an older library would give it.
fn older() -> &'static Runtime {
    let source = LibrarySource { explicit: None, candidates: library::candidates() };
    let real = Runtime::get(&source).expect("the library loads");
    Box::leak(Box::new(Runtime {
        api: Api { tensor_type_and_dims: None, has_shape: None, ..real.api },
        env: real.env,
        cpu: real.cpu,
        allocator: real.allocator,
        path: real.path.clone(),
        version: real.version.clone(),
    }))
}

fn load(name: &str) -> OrtEngine {
    let options = LoadOptions::new(LibrarySource::default(), ModelSource::Path(library::model(name)));
    OrtEngine::load_on(older(), options).expect("the model loads")
}

fn run(engine: &OrtEngine, values: Vec<Value>) -> Vec<Tensor> {
    let mut lane = engine.open_lane(0).expect("a lane");
    let inputs = Inputs::Feeds(values.into());
    let mut jobs = [Job { inputs, wanted: Wanted::All, options: None, result: None }];
    lane.run(&mut jobs);
    let values = jobs[0].result.take().expect("a result").expect("success");
    let tensor = |value| if let Value::Tensor(tensor) = value { tensor } else { panic!("expected a tensor") };
    values.into_iter().map(tensor).collect()
}

fn floats(dims: &[i64], values: &[f32]) -> Value {
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_ne_bytes()).collect();
    let data = Data::Memory(Pool::new(0).copy_memory(&bytes));
    Value::Tensor(Tensor { dtype: DType::F32, dims: Dims::from_slice(dims), data })
}

#[test]
fn outputs_are_read_without_the_newer_call() {
    let _alone = alone();
    let outputs = run(&load("mul"), vec![floats(&[2, 3], &[2.0; 6]), floats(&[2, 3], &[1.5; 6])]);
    assert_eq!((outputs[0].dtype, outputs[0].dims.as_slice()), (DType::F32, [2, 3].as_slice()));
    let Data::Memory(memory) = &outputs[0].data else { panic!("expected plain elements") };
    // SAFETY: the output keeps its memory, which holds six floats on a 64-byte boundary.
    let values =
        unsafe { std::slice::from_raw_parts(std::ptr::with_exposed_provenance::<f32>(memory.addr), 6) };
    assert_eq!(values, [3.0; 6]);

    let scalars =
        run(&load("shapes"), vec![floats(&[], &[1.0]), floats(&[0], &[]), floats(&[2, 1, 1], &[0.0; 2])]);
    let dims: Vec<_> = scalars.iter().map(|tensor| tensor.dims.to_vec()).collect();
    assert_eq!(dims, [vec![], vec![0], vec![2, 1, 1]]);
}

#[test]
fn a_rank_that_may_be_unknown_is_left_open() {
    let _alone = alone();
    let engine = load("shapes");
    let kinds: Vec<_> = engine.info().inputs.iter().map(|node| node.kind.clone()).collect();
    let mixed = vec![Dim::Fixed(2), Dim::Named("H".into()), Dim::Any];
    assert_eq!(kinds, [None, None, Some(mixed)].map(|dims| ValueType::Tensor(DType::F32, dims)));
}
