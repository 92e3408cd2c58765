//! Every kind of value through ONNX Runtime.

mod support;

use headway_core::engine::{Dim, Engine, ValueType};
use headway_core::error::ErrorKind;
use headway_core::request::Wanted;
use headway_core::value::{DType, Data, Value};
use headway_engines::ort::{LoadOptions, ModelSource, OrtEngine};
use headway_engines::pool::Pool;
use support::*;

const DTYPES: [&str; 19] = [
    "float",
    "uint8",
    "int8",
    "uint16",
    "int16",
    "int32",
    "int64",
    "bool",
    "float16",
    "double",
    "uint32",
    "uint64",
    "bfloat16",
    "float8e4m3fn",
    "float8e4m3fnuz",
    "float8e5m2",
    "float8e5m2fnuz",
    "uint4",
    "int4",
];

#[test]
fn every_dtype_goes_through_unchanged() {
    for word in DTYPES {
        let engine = load(&format!("identity_{word}"));
        let ValueType::Tensor(dtype, _) = engine.info().inputs[0].kind else { panic!("{word} is no tensor") };
        assert_eq!(dtype.as_str(), word);
        for count in [0_usize, 1, 2, 7, 1000] {
            // Bit patterns that a conversion would change, but legal bools; a packed type's last half-byte is padding.
            let pattern =
                |at: usize| if dtype == DType::Bool { (at % 2) as u8 } else { (at * 37 + 11) as u8 };
            let mut bytes: Vec<u8> = (0..dtype.byte_len(count)).map(pattern).collect();
            if dtype.bits() == 4 && count % 2 == 1 {
                *bytes.last_mut().expect("a byte") &= 0x0f;
            }
            let values = run_once(&engine, [tensor(dtype, &[count as i64], &bytes)]);
            assert_eq!(bytes_of(&values[0]), bytes, "{word} x {count}");
            assert_eq!(as_tensor(&values[0]).dtype, dtype);
            assert_eq!(as_tensor(&values[0]).dims.as_slice(), [count as i64]);
        }
    }
}

#[test]
fn strings_of_all_sorts_go_through() {
    let engine = load("identity_string");
    let texts = ["", "plain", "naïve ☃ 日本", "with\0nul", &"long ".repeat(1000)];
    let values = run_once(&engine, [strings(&[5], &texts)]);
    assert_eq!(strings_of(&values[0]), texts);
    assert_eq!(strings_of(&run_once(&engine, [strings(&[0], &[])])[0]), [""; 0]);
    assert_eq!(strings_of(&run_once(&engine, [strings(&[2], &["", ""])])[0]), ["", ""]);
}

#[test]
fn elements_must_fit_dtype_and_dims() {
    let engine = load("identity_string");
    let mut lane = engine.open_lane(0).expect("a lane");
    let wrong = [strings(&[3], &["a"]), strings(&[-1], &[]), tensor(DType::String, &[1], b"a")];
    for value in wrong {
        let error = run(lane.as_mut(), [value], Wanted::All).expect_err("does not fit");
        assert_eq!(error.kind, ErrorKind::Input, "{error}");
    }
    let engine = load("identity_float");
    let mut lane = engine.open_lane(0).expect("a lane");
    for value in [tensor(DType::F32, &[3], &[0; 8]), strings(&[1], &["a"]), floats(&[-2], &[1.0])] {
        let error = run(lane.as_mut(), [value], Wanted::All).expect_err("does not fit");
        assert!(matches!(error.kind, ErrorKind::Input | ErrorKind::Engine), "{error}");
    }
}

#[test]
fn the_models_face_is_read_whole() {
    let engine = load("mul");
    let info = engine.info();
    let rows = ValueType::Tensor(DType::F32, Some(vec![Dim::Named("N".into()), Dim::Fixed(3)]));
    let names: Vec<_> = info.inputs.iter().map(|node| (node.name.as_str(), node.required)).collect();
    assert_eq!(names, [("x", true), ("y", true)]);
    assert!(info.inputs.iter().chain(&info.outputs).all(|node| node.kind == rows));
    assert_eq!((info.outputs.len(), info.outputs[0].name.as_str()), (1, "z"));
    let meta = &info.meta;
    assert_eq!((meta.producer_name.as_str(), meta.graph_name.as_str()), ("headway", "mul"));
    assert_eq!((meta.domain.as_str(), meta.description.as_str()), ("test.headway", "a model"));
    assert_eq!((meta.graph_description.as_str(), meta.version), ("a graph", i64::MAX));
    let mut custom = meta.custom.clone();
    custom.sort();
    assert_eq!(custom, [("colour".into(), "green".into()), ("size".into(), "ten".into())]);

    let shapes = load("shapes");
    let kinds: Vec<_> = shapes.info().inputs.iter().map(|node| node.kind.clone()).collect();
    let mixed = vec![Dim::Fixed(2), Dim::Named("H".into()), Dim::Any];
    // Libraries before 1.24 cannot tell a scalar from a tensor of unknown rank.
    let minor: u32 =
        shapes.runtime().version().split('.').nth(1).and_then(|text| text.parse().ok()).expect("a version");
    let scalar = (minor >= 24).then(Vec::new);
    let tensors = [scalar, None, Some(mixed)].map(|dims| ValueType::Tensor(DType::F32, dims));
    assert_eq!(kinds, tensors);
}

#[test]
fn shapes_follow_the_input() {
    let shapes = load("shapes");
    let values =
        run_once(&shapes, [floats(&[], &[5.0]), floats(&[1, 1, 2], &[1.0, 2.0]), floats(&[2, 0, 3], &[])]);
    let dims: Vec<_> = values.iter().map(|value| as_tensor(value).dims.to_vec()).collect();
    assert_eq!(dims, [vec![], vec![1, 1, 2], vec![2, 0, 3]]);
    assert_eq!(floats_of(&values[0]), [5.0]);
    let grow = load("grow");
    let mut lane = grow.open_lane(0).expect("a lane");
    for rows in [0, 3, 1_000_000, 2] {
        let values = run(lane.as_mut(), [ints(&[1], &[rows])], Wanted::All).expect("success");
        assert_eq!(floats_of(&values[0]), vec![2.5; rows as usize]);
    }
}

#[test]
fn defaults_can_be_left_out_or_fed() {
    let engine = load("default");
    let initializers = &engine.info().initializers;
    assert_eq!(
        (initializers.len(), initializers[0].name.as_str(), initializers[0].required),
        (1, "w", false)
    );
    let x = || floats(&[3], &[1.0, 2.0, 3.0]);
    assert_eq!(floats_of(&run_once(&engine, [x()])[0]), [11.0, 22.0, 33.0]);
    assert_eq!(floats_of(&run_once(&engine, [x(), Value::None])[0]), [11.0, 22.0, 33.0]);
    assert_eq!(floats_of(&run_once(&engine, [x(), floats(&[3], &[0.5; 3])])[0]), [1.5, 2.5, 3.5]);
}

#[test]
fn outputs_that_alias_weights_or_inputs_are_copies() {
    let engine = load("alias");
    let mut lane = engine.open_lane(0).expect("a lane");
    for _ in 0..3 {
        let values = run(lane.as_mut(), [floats(&[3], &[1.0; 3])], Wanted::All).expect("success");
        assert_eq!(floats_of(&values[0]), [1.0, 2.0, 3.0]);
        assert_eq!(floats_of(&values[1]), [1.0, 2.0, 3.0]);
        assert_eq!(floats_of(&values[2]), [2.0, 3.0, 4.0]);
        // Spoil what was given: the next round must not see it.
        for value in &values {
            spoil(value);
        }
    }
    let passthrough = load("passthrough");
    let input = floats(&[2], &[1.0, 2.0]);
    let values = run_once(&passthrough, [input.clone()]);
    spoil(&values[0]);
    assert_eq!(floats_of(&input), [1.0, 2.0]);
    assert_eq!(floats_of(&values[1]), [-1.0, -2.0]);
}

#[test]
fn outputs_are_the_engines_own_blocks_and_aligned() {
    let engine = load("three");
    let mut lane = engine.open_lane(0).expect("a lane");
    let mut kept = Vec::new();
    for _ in 0..4 {
        kept.push(run(lane.as_mut(), [floats(&[100], &[1.5; 100])], Wanted::All).expect("success"));
    }
    for value in kept.iter().flatten() {
        let Data::Memory(memory) = &as_tensor(value).data else { panic!("expected plain elements") };
        assert_eq!(memory.addr % 64, 0);
        assert!(memory.owner.as_ref().is_some_and(|owner| owner.is::<headway_engines::pool::Block>()));
    }
    // Used again once they are free: the addresses of the second round are those of the first.
    let addrs = |values: &[Value]| {
        let addr = |value: &Value| match &as_tensor(value).data {
            Data::Memory(memory) => memory.addr,
            Data::Strings(_) => 0,
        };
        let mut all: Vec<_> = values.iter().map(addr).collect();
        all.sort_unstable();
        all
    };
    let first = addrs(&kept[0]);
    kept.clear();
    let mut seen = Vec::new();
    for _ in 0..4 {
        kept.push(run(lane.as_mut(), [floats(&[100], &[1.5; 100])], Wanted::All).expect("success"));
        seen.extend(addrs(kept.last().expect("just pushed")));
    }
    assert!(first.iter().all(|addr| seen.contains(addr)));
}

#[test]
fn optional_outputs_are_there_or_not() {
    let engine = load("optional");
    assert_eq!(engine.info().outputs[0].kind, ValueType::Other("optional(tensor(float))".into()));
    assert_eq!(floats_of(&run_once(&engine, [floats(&[1], &[3.0])])[0]), [3.0]);
    let values = run_once(&load("nothing"), [floats(&[1], &[3.0])]);
    assert!(matches!(values[0], Value::None));
    assert_eq!(floats_of(&values[1]), [-3.0]);
}

#[test]
fn wrong_feeds_are_the_callers_fault() {
    let engine = load("mul");
    let mut lane = engine.open_lane(0).expect("a lane");
    let x = || floats(&[1, 3], &[1.0; 3]);
    let cases = [
        (vec![x()], "Required inputs (['y']) are missing from input feed (['x'])."),
        (vec![Value::None, x()], "Required inputs (['x']) are missing from input feed (['y'])."),
        (vec![x(), x(), x()], "3 values were given, but the model takes at most 2"),
        (
            vec![ints(&[1, 3], &[0; 3]), x()],
            "[ONNXRuntimeError] : 2 : INVALID_ARGUMENT : Unexpected input data type. Actual: (tensor(int64)) , \
             expected: (tensor(float))",
        ),
        (
            vec![floats(&[3], &[0.0; 3]), x()],
            "[ONNXRuntimeError] : 2 : INVALID_ARGUMENT : Invalid rank for input: x Got: 1 Expected: 2 Please fix \
             either the inputs/outputs or the model.",
        ),
    ];
    for (values, message) in cases {
        let error = run(lane.as_mut(), values, Wanted::All).expect_err("wrong");
        // What the engine itself refuses had its ticket by then: the door checks feeds before.
        let kind = if error.code.is_some() { ErrorKind::Engine } else { ErrorKind::Input };
        assert_eq!((error.kind, error.message.as_str()), (kind, message));
    }
    let far = Wanted::Some([7].into_iter().collect());
    assert_eq!(run(lane.as_mut(), [x(), x()], far).expect_err("no such output").kind, ErrorKind::Input);
    // Shapes that only the kernel can refuse are the engine's error.
    let error = run(lane.as_mut(), [floats(&[2, 3], &[0.0; 6]), floats(&[5, 3], &[0.0; 15])], Wanted::All);
    let error = error.expect_err("inconsistent rows");
    assert_eq!(error.kind, ErrorKind::Engine);
    assert!(error.message.contains("Non-zero status code returned while running Mul node"), "{error}");
}

#[test]
fn a_model_in_memory_needs_its_bytes_only_while_it_loads() {
    let bytes = std::fs::read(model("chain")).expect("the model file");
    let engine = OrtEngine::load(LoadOptions::new(source(), ModelSource::Bytes(&bytes))).expect("loads");
    drop(bytes);
    let row: Vec<f32> = (0..32).map(|n| n as f32).collect();
    assert_eq!(floats_of(&run_once(&engine, [floats(&[2, 16], &row)])[0]), row);
}

#[test]
fn pooled_memory_can_be_fed_back() {
    // An output of one run is the input of the next, on the same lane and on another.
    let engine = load("three");
    let (mut one, mut two) = (engine.open_lane(0).expect("a lane"), engine.open_lane(1).expect("a lane"));
    let first = run(one.as_mut(), [floats(&[4], &[1.0; 4])], Wanted::All).expect("success");
    let second = run(one.as_mut(), [first[0].clone()], Wanted::All).expect("success");
    let third = run(two.as_mut(), [second[1].clone()], Wanted::All).expect("success");
    assert_eq!(floats_of(&third[2]), [-4.0; 4]);
    assert_eq!(floats_of(&first[0]), [2.0; 4]);
    let pool = Pool::new(1 << 16);
    let memory = pool.copy_memory(&3_f32.to_ne_bytes());
    let mut fed = floats(&[1], &[0.0]);
    if let Value::Tensor(tensor) = &mut fed {
        tensor.data = Data::Memory(memory);
    }
    assert_eq!(floats_of(&run_once(&engine, [fed])[1]), [9.0]);
}
