//! OpenVINO: what the conformance suite does not ask.

mod support;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use headway_core::engine::{Dim, Engine, ValueType};
use headway_core::error::{Error, ErrorKind};
use headway_core::request::Wanted;
use headway_core::value::{DType, Value};
use headway_engines::openvino::{LoadOptions, ModelSource, OpenVinoEngine, Runtime};
use headway_engines::pool::live_blocks;
use support::*;

/// Tests that count blocks take turns with those that take many.
static TURN: Mutex<()> = Mutex::new(());

fn attempt(
    source: ModelSource<'_>,
    device: &str,
    properties: &[(&str, &str)],
) -> Result<OpenVinoEngine, Error> {
    let properties = properties.iter().map(|&(name, value)| (name.into(), value.into())).collect();
    let device = device.into();
    OpenVinoEngine::load(LoadOptions {
        device,
        properties,
        ..LoadOptions::new(openvino::candidates(), source)
    })
}

fn refused(source: ModelSource<'_>, device: &str, properties: &[(&str, &str)]) -> Error {
    let error = attempt(source, device, properties).err().expect("this does not load");
    assert_eq!(error.kind, ErrorKind::Load, "{error}");
    error
}

fn path(name: &str) -> ModelSource<'static> {
    ModelSource::Path(model(name))
}

/// A model of the IR: y = x + weight, where the weight is the .bin file.
const ADD: &str = r#"<?xml version="1.0"?>
<net name="add" version="11">
<layers>
<layer id="0" name="x" type="Parameter" version="opset1"><data shape="2" element_type="f32"/>
<output><port id="0" precision="FP32" names="x"><dim>2</dim></port></output></layer>
<layer id="1" name="w" type="Const" version="opset1"><data element_type="f32" shape="2" offset="0" size="8"/>
<output><port id="0" precision="FP32"><dim>2</dim></port></output></layer>
<layer id="2" name="sum" type="Add" version="opset1"><data auto_broadcast="numpy"/>
<input><port id="0" precision="FP32"><dim>2</dim></port><port id="1" precision="FP32"><dim>2</dim></port></input>
<output><port id="2" precision="FP32"><dim>2</dim></port></output></layer>
<layer id="3" name="result" type="Result" version="opset1">
<input><port id="0" precision="FP32"><dim>2</dim></port></input></layer>
</layers>
<edges><edge from-layer="0" from-port="0" to-layer="2" to-port="0"/>
<edge from-layer="1" from-port="0" to-layer="2" to-port="1"/>
<edge from-layer="2" from-port="2" to-layer="3" to-port="0"/></edges>
</net>"#;

fn add_weights() -> Vec<u8> {
    [10.0_f32, 20.0].iter().flat_map(|value| value.to_ne_bytes()).collect()
}

/// Elements that survive OpenVINO's CPU device, which computes 64 bits as 32.
fn small_numbers(dtype: DType, count: usize) -> Vec<u8> {
    match dtype {
        DType::F64 => (0..count).flat_map(|at| ((at % 2) as f64).to_ne_bytes()).collect(),
        DType::I64 | DType::U64 => (0..count as u64).flat_map(u64::to_ne_bytes).collect(),
        _ => (0..dtype.byte_len(count)).map(|at| (at % 2) as u8).collect(),
    }
}

#[test]
fn every_dtype_that_both_know_goes_through() {
    let cases: [(&str, DType); 17] = [
        ("bfloat16", DType::BF16),
        ("bool", DType::Bool),
        ("double", DType::F64),
        ("float", DType::F32),
        ("float16", DType::F16),
        ("float8e4m3fn", DType::F8E4M3FN),
        ("float8e5m2", DType::F8E5M2),
        ("int16", DType::I16),
        ("int32", DType::I32),
        ("int4", DType::I4),
        ("int64", DType::I64),
        ("int8", DType::I8),
        ("uint16", DType::U16),
        ("uint32", DType::U32),
        ("uint4", DType::U4),
        ("uint64", DType::U64),
        ("uint8", DType::U8),
    ];
    for (word, dtype) in cases {
        let engine = openvino::load(&format!("identity_{word}"));
        assert!(
            matches!(&engine.info().inputs[0].kind, ValueType::Tensor(found, _) if *found == dtype),
            "{word}"
        );
        for count in [4_usize, 0, 3, 1] {
            let bytes = small_numbers(dtype, count);
            let values = run_once(&engine, [tensor(dtype, &[count as i64], &bytes)]);
            let mut found = bytes_of(&values[0]);
            if dtype.bits() == 4 && count % 2 == 1 {
                // Nobody's element.
                *found.last_mut().expect("a byte") &= 0x0f;
            }
            assert_eq!((as_tensor(&values[0]).dtype, found), (dtype, bytes), "{word}, {count}");
        }
    }
}

#[test]
fn types_that_cannot_cross_are_refused_when_the_model_loads() {
    assert!(refused(path("identity_string"), "CPU", &[]).message.contains("strings"));
    for name in ["identity_float8e4m3fnuz", "sequence_float", "optional"] {
        assert!(refused(path(name), "CPU", &[]).code.is_some(), "{name}: OpenVINO's own refusal");
    }
}

#[test]
fn a_model_out_of_bytes_and_weights() {
    let weights = add_weights();
    let source = ModelSource::Bytes { model: ADD.as_bytes(), weights: Some(&weights) };
    let engine = attempt(source, "CPU", &[("INFERENCE_PRECISION_HINT", "f32")]).expect("it loads");
    drop(weights);
    let values = run_once(&engine, [floats(&[2], &[1.0, 2.0])]);
    assert_eq!(floats_of(&values[0]), [11.0, 22.0]);
    assert_eq!((engine.info().inputs[0].name.as_str(), engine.info().meta.graph_name.as_str()), ("x", "add"));
    assert_eq!(engine.info().outputs[0].name, "output_0", "a port without a name has its number");
    let onnx = std::fs::read(model("mul")).expect("a model of the tests");
    let engine = attempt(ModelSource::Bytes { model: &onnx, weights: None }, "CPU", &[]).expect("it loads");
    assert_eq!(engine.info().outputs[0].name, "z");
    let garbage = refused(ModelSource::Bytes { model: b"garbage", weights: None }, "CPU", &[]);
    assert!(garbage.message.contains("Unable to read the model"), "{garbage}");
}

#[test]
fn outputs_have_the_names_that_the_file_gives_them() {
    let names = |engine: &OpenVinoEngine| -> Vec<String> {
        engine.info().outputs.iter().map(|node| node.name.clone()).collect()
    };
    for name in ["alias", "passthrough", "three"] {
        assert_eq!(names(&openvino::load(name)), ort_names(name), "{name}");
    }
    let mul = openvino::load("mul");
    let ValueType::Tensor(_, Some(dims)) = &mul.info().inputs[0].kind else {
        panic!("a tensor of known rank")
    };
    assert!(matches!(dims.as_slice(), [Dim::Named(_), Dim::Fixed(3)]), "{dims:?}");
}

fn ort_names(name: &str) -> Vec<String> {
    load(name).info().outputs.iter().map(|node| node.name.clone()).collect()
}

#[test]
fn scalars_and_fixed_shapes() {
    let engine = openvino::load("loop");
    let values = run_once(&engine, [ints(&[], &[3]), floats(&[16, 16], &[2.0; 256])]);
    assert_eq!(
        floats_of(&values[0]),
        floats_of(&run_once(&load("loop"), [ints(&[], &[3]), floats(&[16, 16], &[2.0; 256])])[0])
    );
    assert_eq!(as_tensor(&values[0]).dims.as_slice(), [16, 16]);
}

#[test]
fn outputs_of_a_fixed_shape_are_the_lanes_own_blocks() {
    let _turn = TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let source = ModelSource::Bytes { model: ADD.as_bytes(), weights: Some(&add_weights()) };
    let engine = attempt(source, "CPU", &[]).expect("it loads");
    let before = live_blocks();
    let mut lane = engine.open_lane(0).expect("a lane");
    let mut go =
        |start: f32| run(lane.as_mut(), [floats(&[2], &[start, 0.0])], Wanted::All).expect("success");
    let held: Vec<_> = (0..5).map(|nth| go(nth as f32)).collect();
    assert_eq!(live_blocks() - before, 5, "one block an answer, and nothing is copied");
    for (nth, values) in held.iter().enumerate() {
        assert_eq!(floats_of(&values[0]), [10.0 + nth as f32, 20.0]);
    }
    let first = as_tensor(&held[0][0]).clone();
    drop(held);
    spoil(&Value::Tensor(first));
    assert_eq!(floats_of(&go(1.0)[0]), [11.0, 20.0]);
    drop((lane, engine));
    assert_eq!(live_blocks(), before);
}

#[test]
fn a_running_loop_stops_soon_after_the_cancellation() {
    let engine = openvino::load("loop");
    let mut lane = engine.open_lane(0).expect("a lane");
    let control = lane.control().expect("a control");
    // Minutes, if nobody stopped it.
    let long = || [ints(&[], &[1 << 30]), floats(&[16, 16], &[1.0; 256])];
    let ended = Arc::new(AtomicBool::new(false));
    let worker = {
        let ended = Arc::clone(&ended);
        thread::spawn(move || {
            let result = run(lane.as_mut(), long(), Wanted::All);
            ended.store(true, Ordering::SeqCst);
            (lane, result)
        })
    };
    let asked = Instant::now();
    while !ended.load(Ordering::SeqCst) {
        // Nothing says from outside that the request has begun: one of these falls into it.
        control.terminate();
        thread::yield_now();
        assert!(asked.elapsed() < Duration::from_secs(60));
    }
    let (mut lane, result) = worker.join().expect("no panic");
    let error = result.expect_err("cancelled");
    assert_eq!((error.kind, error.code), (ErrorKind::Engine, Some(-13)));
    control.reset();
    let values = run(lane.as_mut(), [ints(&[], &[3]), floats(&[16, 16], &[2.0; 256])], Wanted::All);
    assert!(values.is_ok(), "the lane goes on");
}

#[test]
fn profiles_are_kept_where_they_are_counted() {
    assert_eq!(openvino::load("mul").profile(), None);
    let engine = attempt(path("mul"), "CPU", &[("PERF_COUNT", "YES")]).expect("it loads");
    assert_eq!(engine.profile(), Some(Vec::new()));
    run_once(&engine, [floats(&[1, 3], &[1.0; 3]), floats(&[1, 3], &[2.0; 3])]);
    let timings = engine.profile().expect("counted");
    assert!(timings.iter().any(|one| one.status == "EXECUTED" && !one.node.is_empty()), "{timings:?}");
}

#[test]
fn refusals_say_what_openvino_said() {
    let error = refused(ModelSource::Path(PathBuf::from("nowhere.xml")), "CPU", &[]);
    assert!(error.message.contains("nowhere.xml: no such file"), "{error}");
    let error = refused(path("mul"), "NO_SUCH_DEVICE", &[]);
    assert!(error.message.contains("NO_SUCH_DEVICE") && error.code.is_some(), "{error}");
    let error = refused(path("mul"), "CPU", &[("NO_SUCH_PROPERTY", "1")]);
    assert!(error.message.contains("NO_SUCH_PROPERTY"), "{error}");
    let many: Vec<_> = (0..30).map(|_| ("NUM_STREAMS", "1")).collect();
    assert!(refused(path("mul"), "CPU", &many).message.contains("30 properties"));
}

#[test]
fn the_library_says_what_it_has() {
    let runtime = Runtime::get(&openvino::candidates()).expect("it loads");
    assert!(runtime.devices().expect("a list").iter().any(|device| device == "CPU"));
    let engine = attempt(path("mul"), "CPU", &[("PERFORMANCE_HINT", "LATENCY")]).expect("it loads");
    assert_eq!(engine.property("OPTIMAL_NUMBER_OF_INFER_REQUESTS").expect("a number"), "1");
    assert!(engine.property("NO_SUCH_PROPERTY").is_err());
    assert!(engine.runtime().version().starts_with("20"));
}
