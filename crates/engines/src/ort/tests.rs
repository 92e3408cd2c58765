//! The calls that a library older than 1.24 needs, on whatever library there is.

use headway_core::engine::{Dim, Engine, Job, ValueType};
use headway_core::error::ErrorKind;
use headway_core::request::{Inputs, Wanted};
use headway_core::value::{DType, Data, Dims, Tensor, Value};

use super::api::Api;
use super::newer::Newer;
use super::*;
use crate::pool::Pool;
use crate::pool::tests::alone;

#[path = "../../tests/support/library.rs"]
mod library;

fn real() -> &'static Runtime {
    let source = LibrarySource { explicit: None, candidates: library::candidates() };
    Runtime::get(&source).expect("the library loads")
}

/// The runtime as an older library would give it.
fn older() -> &'static Runtime {
    let real = real();
    Box::leak(Box::new(Runtime {
        api: Api { tensor_type_and_dims: None, has_shape: None, newer: Newer::default(), ..real.api },
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

#[test]
fn empty_sequences_of_most_types_can_be_made() {
    let _alone = alone();
    let runtime = real();
    let mut refused = Vec::new();
    for dtype in (0..128).filter_map(DType::from_onnx) {
        let element = format!("tensor({})", dtype.as_str());
        match super::empty::sequence(runtime, "x", &element) {
            Ok(raw) => {
                let value = runtime.own(raw);
                // SAFETY: just made.
                let class = unsafe { runtime.class_of(value.raw()) }.expect("a class");
                assert_eq!(class, Some(raw::class::SEQUENCE));
            }
            Err(error) => {
                assert_eq!(error.kind, ErrorKind::Input, "{error}");
                let start =
                    format!("input \"x\": an empty seq({element}) cannot be made: [ONNXRuntimeError]");
                assert!(error.message.starts_with(&start), "{error}");
                refused.push(dtype.as_str());
            }
        }
    }
    // Newer libraries may refuse less.
    let rare = |word: &&str| word.contains("complex") || word.starts_with("float") || word.contains("int");
    let plain =
        ["float", "float16", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"];
    assert!(refused.iter().all(|word| rare(word) && !plain.contains(word)), "{refused:?}");
    let error =
        super::empty::sequence(runtime, "x", "map(int64,tensor(float))").expect_err("no operator for it");
    assert_eq!(error.message, "input \"x\": an empty seq(map(int64,tensor(float))) cannot be made");
}

/// The library has no way from the CPU to the CPU, and says so: which is how the slot is known to be the right one.
#[test]
fn a_transfer_that_the_library_does_not_know_is_an_error_with_a_way_out() {
    let _alone = alone();
    let runtime = real();
    let Value::Tensor(tensor) = floats(&[2], &[1.0, 2.0]) else { unreachable!("floats are a tensor") };
    // SAFETY: the tensor outlives the engine's view of it.
    let raw = unsafe { super::values::make(runtime, "x", &tensor) }.expect("a value");
    // SAFETY: just made, a tensor of plain elements.
    let value = unsafe { DeviceValue::new(runtime, raw) }.expect("a device value");
    let mut copy = [0.0_f32; 2];
    // SAFETY: as long as the tensor.
    let error = unsafe { value.transfer(copy.as_mut_ptr().cast(), 8) }.expect_err("no such transfer");
    assert!(error.message.contains("Data transfer"), "{error}");
    assert!(error.message.ends_with("(copying from Cpu; bind the output to the CPU instead)"), "{error}");
}

#[test]
fn what_needs_a_newer_library_says_so() {
    let _alone = alone();
    let error = older().ep_devices().expect_err("too old");
    assert!(error.message.contains("needs onnxruntime 1.22 or newer, this is"), "{error}");
    let policy = SessionConfig { selection_policy: Some(1), ..SessionConfig::default() };
    let options = LoadOptions::new(LibrarySource::default(), ModelSource::Path(library::model("mul")));
    assert!(OrtEngine::load_on(older(), LoadOptions { config: policy, ..options.clone() }).is_err());
    // Canceling needs no newer call: what was loaded is refused.
    let flag = LoadFlag::default();
    flag.set(true).expect("set");
    let config = SessionConfig { load_flag: Some(flag), ..SessionConfig::default() };
    let error = OrtEngine::load_on(older(), LoadOptions { config, ..options }).err().expect("canceled");
    assert_eq!(error.code, Some(12));
}
