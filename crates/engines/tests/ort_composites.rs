//! Sequences, maps and optional values, into the engine and out of it.

mod support;

use std::sync::Arc;

use headway_core::engine::Engine;
use headway_core::error::ErrorKind;
use headway_core::request::Wanted;
use headway_core::value::{DType, Tensor, Value};
use headway_engines::ort::Composite;
use headway_engines::pool::live_blocks;
use support::*;

fn sequence(element: &str, elements: Vec<Value>) -> Value {
    Value::Opaque(Arc::new(Composite::Sequence { element: element.into(), elements }))
}

fn map(keys: Value, values: Value) -> Value {
    let part = |value: Value| as_tensor(&value).clone();
    Value::Opaque(Arc::new(Composite::Map { keys: part(keys), values: part(values) }))
}

fn composite(value: &Value) -> &Composite {
    match value {
        Value::Opaque(owner) => owner.downcast_ref().expect("a composite"),
        other => panic!("expected a composite, got {other:?}"),
    }
}

fn elements_of(value: &Value) -> (&str, &[Value]) {
    match composite(value) {
        Composite::Sequence { element, elements } => (element, elements),
        other => panic!("expected a sequence, got {other:?}"),
    }
}

fn map_of(value: &Value) -> (&Tensor, &Tensor) {
    match composite(value) {
        Composite::Map { keys, values } => (keys, values),
        other => panic!("expected a map, got {other:?}"),
    }
}

fn ints_of(value: &Value) -> Vec<i64> {
    let number = |bytes: &[u8]| i64::from_ne_bytes(bytes.try_into().expect("eight bytes"));
    bytes_of(value).chunks(8).map(number).collect()
}

#[test]
fn sequences_of_tensors_go_through() {
    let engine = load("sequence_float");
    let value =
        sequence("tensor(float)", vec![floats(&[2], &[1.0, 2.0]), floats(&[], &[3.0]), floats(&[0, 4], &[])]);
    let values = run_once(&engine, [value]);
    let (element, elements) = elements_of(&values[0]);
    assert_eq!((element, elements.len()), ("tensor(float)", 3));
    let dims: Vec<_> = elements.iter().map(|value| as_tensor(value).dims.to_vec()).collect();
    assert_eq!(dims, [vec![2], vec![], vec![0, 4]]);
    assert_eq!((floats_of(&elements[0]), floats_of(&elements[1])), (vec![1.0, 2.0], vec![3.0]));

    let values = run_once(&load("sequence_int64"), [sequence("tensor(int64)", vec![ints(&[1], &[7])])]);
    assert_eq!(ints_of(&elements_of(&values[0]).1[0]), [7]);
    let texts = ["", "naïve ☃", "b"];
    let value = sequence("tensor(string)", vec![strings(&[3], &texts), strings(&[0], &[])]);
    let values = run_once(&load("sequence_string"), [value]);
    let (element, elements) = elements_of(&values[0]);
    assert_eq!(
        (element, strings_of(&elements[0]).as_slice()),
        ("tensor(string)", &texts.map(String::from)[..])
    );
    assert_eq!(as_tensor(&elements[1]).dims.as_slice(), [0]);
}

#[test]
fn empty_sequences_keep_their_type() {
    for word in ["float", "int64", "string"] {
        let engine = load(&format!("sequence_{word}"));
        let mut lane = engine.open_lane(0).expect("a lane");
        for _ in 0..3 {
            let value = sequence(&format!("tensor({word})"), Vec::new());
            let values = run(lane.as_mut(), [value], Wanted::All).expect("success");
            let (element, elements) = elements_of(&values[0]);
            assert_eq!((element, elements.len()), (format!("tensor({word})").as_str(), 0));
        }
    }
}

#[test]
fn elements_of_an_output_are_memory_of_their_own() {
    // The model puts the same tensor, its own input, in twice.
    let engine = load("sequence");
    let input = floats(&[2], &[1.0, 2.0]);
    let values = run_once(&engine, [input.clone()]);
    let (_, elements) = elements_of(&values[0]);
    spoil(&elements[0]);
    assert_eq!((floats_of(&elements[1]), floats_of(&input)), (vec![1.0, 2.0], vec![1.0, 2.0]));
}

#[test]
fn optional_values_are_there_or_not() {
    let there = |name: &str, value: Value| bytes_of(&run_once(&load(name), [value])[0]);
    assert_eq!(there("has_tensor", floats(&[1], &[1.0])), [1]);
    assert_eq!(there("has_tensor", Value::None), [0]);
    assert_eq!(there("has_sequence", sequence("tensor(float)", vec![floats(&[1], &[1.0])])), [1]);
    assert_eq!(there("has_sequence", sequence("tensor(float)", Vec::new())), [1]);
    assert_eq!(there("has_sequence", Value::None), [0]);

    let engine = load("optional_sequence");
    let values = run_once(&engine, [sequence("tensor(float)", vec![floats(&[1], &[4.0])])]);
    let (element, elements) = elements_of(&values[0]);
    assert_eq!((element, floats_of(&elements[0])), ("tensor(float)", vec![4.0]));
    assert!(elements_of(&run_once(&engine, [sequence("tensor(float)", Vec::new())])[0]).1.is_empty());
}

#[test]
fn maps_come_out_of_classifiers() {
    let scores = || floats(&[2, 2], &[0.25, 0.75, 1.0, 0.0]);
    let values = run_once(&load("zip_map_int64"), [scores()]);
    let (element, elements) = elements_of(&values[0]);
    assert_eq!((element, elements.len()), ("map(int64,tensor(float))", 2));
    let (keys, probabilities) = map_of(&elements[0]);
    assert_eq!(ints_of(&Value::Tensor(keys.clone())), [7, 8]);
    assert_eq!(floats_of(&Value::Tensor(probabilities.clone())), [0.25, 0.75]);
    let values = run_once(&load("zip_map_string"), [scores()]);
    let (element, elements) = elements_of(&values[0]);
    assert_eq!(element, "map(string,tensor(float))");
    let (keys, probabilities) = map_of(&elements[1]);
    assert_eq!(strings_of(&Value::Tensor(keys.clone())), ["a", "b"]);
    assert_eq!(floats_of(&Value::Tensor(probabilities.clone())), [1.0, 0.0]);
}

#[test]
fn maps_go_in_and_through() {
    let counts = map(strings(&[2], &["c", "a"]), ints(&[2], &[3, 1]));
    let values = run_once(&load("vectorize"), [counts.clone()]);
    assert_eq!(ints_of(&values[0]), [1, 0, 3]);

    let x = || floats(&[1], &[0.0]);
    let values = run_once(&load("map_string_int64"), [counts, x()]);
    let (keys, counted) = map_of(&values[0]);
    assert_eq!(strings_of(&Value::Tensor(keys.clone())), ["a", "c"]);
    assert_eq!(ints_of(&Value::Tensor(counted.clone())), [1, 3]);
    let halves = tensor(DType::F64, &[1], &0.5_f64.to_ne_bytes());
    let values = run_once(&load("map_int64_double"), [map(ints(&[1], &[-1]), halves.clone()), x()]);
    let (keys, found) = map_of(&values[0]);
    assert_eq!(ints_of(&Value::Tensor(keys.clone())), [-1]);
    assert_eq!(bytes_of(&Value::Tensor(found.clone())), bytes_of(&halves));
    let texts = map(strings(&[1], &["k"]), strings(&[1], &["v"]));
    let values = run_once(&load("map_string_string"), [texts, x()]);
    assert_eq!(strings_of(&Value::Tensor(map_of(&values[0]).1.clone())), ["v"]);
    let none = map(ints(&[0], &[]), floats(&[0], &[]));
    let values = run_once(&load("map_int64_float"), [none, x()]);
    assert_eq!(map_of(&values[0]).0.dims.as_slice(), [0]);
}

#[test]
fn sequences_of_maps_go_through() {
    let engine = load("maps_int64");
    let one = map(ints(&[1], &[5]), floats(&[1], &[0.5]));
    let two = map(ints(&[2], &[9, 6]), floats(&[2], &[9.0, 6.0]));
    let maps = sequence("map(int64,tensor(float))", vec![one, two]);
    let values = run_once(&engine, [maps, floats(&[1], &[0.0])]);
    let (element, elements) = elements_of(&values[0]);
    assert_eq!((element, elements.len()), ("map(int64,tensor(float))", 2));
    assert_eq!(ints_of(&Value::Tensor(map_of(&elements[1]).0.clone())), [6, 9]);
    let texts = map(strings(&[1], &["k"]), floats(&[1], &[1.0]));
    let maps = sequence("map(string,tensor(float))", vec![texts]);
    let values = run_once(&load("maps_string"), [maps, floats(&[1], &[0.0])]);
    let (keys, _) = map_of(&elements_of(&values[0]).1[0]);
    assert_eq!(strings_of(&Value::Tensor(keys.clone())), ["k"]);
}

#[test]
fn what_does_not_fit_names_the_input_and_both_types() {
    let one = || floats(&[1], &[1.0]);
    let cases = [
        ("sequence_float", one(), "input \"x\": expected seq(tensor(float)), got tensor(float)"),
        (
            "sequence_float",
            sequence("tensor(int64)", Vec::new()),
            "input \"x\": expected seq(tensor(float)), got seq(tensor(int64))",
        ),
        (
            "sequence_float",
            sequence("tensor(float)", vec![one(), ints(&[1], &[1])]),
            "input \"x\": element 1 of the sequence is tensor(int64), expected tensor(float)",
        ),
        (
            "sequence_float",
            sequence("tensor(float)", vec![Value::None]),
            "input \"x\": element 0 of the sequence is something else, expected tensor(float)",
        ),
        (
            "sequence_float",
            Value::Opaque(Arc::new(1)),
            "input \"x\": expected seq(tensor(float)), got a value of another engine",
        ),
        (
            "identity_float",
            sequence("tensor(float)", vec![one()]),
            "input \"x\": expected tensor(float), got seq(tensor(float))",
        ),
        (
            "vectorize",
            map(ints(&[1], &[1]), ints(&[1], &[1])),
            "input \"map\": expected map(string,tensor(int64)), got map(int64,tensor(int64))",
        ),
        (
            "vectorize",
            map(strings(&[1], &["a"]), ints(&[2], &[1, 2])),
            "input \"map\": a map's keys and values have one dimension of the same length, got [1] and [2]",
        ),
    ];
    for (model, value, message) in cases {
        let engine = load(model);
        let mut lane = engine.open_lane(0).expect("a lane");
        let error = run(lane.as_mut(), [value], Wanted::All).expect_err("does not fit");
        assert_eq!((error.kind, error.message.as_str()), (ErrorKind::Input, message));
    }
}

#[test]
fn nothing_is_left_behind() {
    let engine = load("sequence_float");
    let mut lane = engine.open_lane(0).expect("a lane");
    let full = sequence("tensor(float)", vec![floats(&[3], &[1.0; 3]), floats(&[1], &[2.0])]);
    let empty = sequence("tensor(float)", Vec::new());
    let bad = sequence("tensor(float)", vec![floats(&[1], &[1.0]), ints(&[1], &[1])]);
    let mut round = || {
        run(lane.as_mut(), [full.clone()], Wanted::All).expect("success");
        run(lane.as_mut(), [empty.clone()], Wanted::All).expect("success");
        run(lane.as_mut(), [bad.clone()], Wanted::All).expect_err("does not fit");
    };
    round();
    let (blocks, pages) = (live_blocks(), resident_pages());
    (0..20_000).for_each(|_| round());
    // Other tests of this file have blocks of their own at the same time.
    assert!(live_blocks() < blocks + 1000, "{} blocks, {blocks} before", live_blocks());
    if let (Some(before), Some(after)) = (pages, resident_pages()) {
        assert!(after < before + 8192, "{after} pages, {before} before");
    }
}
