//! Sparse tensors, into the engine and out of it.

mod support;

use std::sync::Arc;

use headway_core::engine::Engine;
use headway_core::error::ErrorKind;
use headway_core::request::Wanted;
use headway_core::value::{DType, Dims, Tensor, Value};
use headway_engines::ort::{Composite, SparseIndices, SparseTensor};
use support::*;

fn part(value: &Value) -> Tensor {
    as_tensor(value).clone()
}

fn sparse(dims: &[i64], values: Value, indices: SparseIndices) -> Value {
    let values = part(&values);
    let tensor = SparseTensor { dtype: values.dtype, dims: Dims::from_slice(dims), values, indices };
    Value::Opaque(Arc::new(Composite::Sparse(tensor)))
}

fn places(dims: &[i64], indices: &[i32]) -> Tensor {
    let bytes: Vec<u8> = indices.iter().flat_map(|at| at.to_ne_bytes()).collect();
    part(&tensor(DType::I32, dims, &bytes))
}

fn coo(dims: &[i64], indices: &[i64]) -> SparseIndices {
    SparseIndices::Coo(part(&ints(dims, indices)))
}

fn csr(inner: &[i64], outer: &[i64]) -> SparseIndices {
    let part = |numbers: &[i64]| part(&ints(&[numbers.len() as i64], numbers));
    SparseIndices::Csr { inner: part(inner), outer: part(outer) }
}

fn through(model: &str, value: Value) -> SparseTensor {
    let values = run_once(&load(model), [value, floats(&[1], &[0.0])]);
    let Value::Opaque(owner) = &values[0] else { panic!("expected a sparse tensor, got {:?}", values[0]) };
    match owner.downcast_ref() {
        Some(Composite::Sparse(tensor)) => tensor.clone(),
        other => panic!("expected a sparse tensor, got {other:?}"),
    }
}

fn bytes(tensor: &Tensor) -> Vec<u8> {
    bytes_of(&Value::Tensor(tensor.clone()))
}

#[test]
fn every_format_goes_through_unchanged() {
    let three = || floats(&[3], &[1.0, 2.0, 3.0]);
    let cases = [
        (three(), coo(&[3], &[2, 5, 8])),
        (three(), coo(&[3, 2], &[0, 2, 1, 2, 2, 2])),
        (floats(&[0], &[]), coo(&[0], &[])),
        (three(), csr(&[2, 2, 2], &[0, 1, 2, 3])),
    ];
    for (values, indices) in cases {
        let found = through("sparse_float", sparse(&[3, 3], values.clone(), indices.clone()));
        assert_eq!((found.dtype, found.dims.as_slice()), (DType::F32, [3, 3].as_slice()));
        assert_eq!(floats_of(&Value::Tensor(found.values)), floats_of(&values));
        match (&found.indices, &indices) {
            (SparseIndices::Coo(got), SparseIndices::Coo(given)) => {
                assert_eq!(bytes(got), bytes(given));
                // Without elements both shapes say the same.
                assert!(got.dims == given.dims || got.count() == 0, "{got:?} instead of {given:?}");
            }
            (SparseIndices::Csr { inner, outer }, SparseIndices::Csr { inner: columns, outer: starts }) => {
                assert_eq!((bytes(inner), bytes(outer)), (bytes(columns), bytes(starts)));
            }
            (got, given) => panic!("{given:?} became {got:?}"),
        }
    }
    let blocks = floats(&[2, 2, 2], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]);
    let indices = places(&[2, 2], &[0, 1, 0, 1]);
    let value = sparse(&[4, 4], blocks.clone(), SparseIndices::BlockSparse(indices.clone()));
    let found = through("sparse_float", value);
    let SparseIndices::BlockSparse(got) = &found.indices else { panic!("became {:?}", found.indices) };
    assert_eq!(
        (bytes(got), got.dtype, got.dims.as_slice()),
        (bytes(&indices), DType::I32, [2, 2].as_slice())
    );
    assert_eq!(floats_of(&Value::Tensor(found.values)), floats_of(&blocks));
}

#[test]
fn a_sparse_weight_that_the_model_calls_a_tensor_is_given_as_what_it_is() {
    let values = run_once(&load("sparse_weight"), [floats(&[1], &[0.0])]);
    let Value::Opaque(owner) = &values[0] else { panic!("expected a sparse tensor, got {:?}", values[0]) };
    let Some(Composite::Sparse(tensor)) = owner.downcast_ref() else { panic!("expected a sparse tensor") };
    assert_eq!(tensor.dims.as_slice(), [3, 3]);
    assert_eq!(floats_of(&Value::Tensor(tensor.values.clone())), [1.0, 2.0, 3.0]);
}

#[test]
fn strings_can_be_sparse() {
    let found = through("sparse_string", sparse(&[2, 2], strings(&[2], &["a", "naïve"]), coo(&[2], &[0, 3])));
    assert_eq!(strings_of(&Value::Tensor(found.values)), ["a", "naïve"]);
}

#[test]
fn what_does_not_fit_is_refused_before_the_engine_believes_it() {
    let two = || floats(&[2], &[1.0, 2.0]);
    let matrix = [2, 2].as_slice();
    let cases = [
        (matrix, two(), coo(&[2], &[0, 4]), "COO indices point outside of the dimensions [2, 2]"),
        (matrix, two(), coo(&[2], &[0, -1]), "COO indices point outside"),
        (matrix, two(), coo(&[2, 2], &[0, 0, 0, 2]), "COO indices point outside"),
        (matrix, two(), coo(&[3], &[0, 1, 2]), "have the shape [2], or [2, 2] for a matrix, got [3]"),
        (&[2, 2, 2], two(), coo(&[2, 2], &[0, 0, 1, 1]), "have the shape [2]"),
        (matrix, two(), csr(&[0, 2], &[0, 1, 2]), "CSR indices point outside"),
        (matrix, two(), csr(&[0, 1], &[0, 3, 2]), "CSR indices point outside"),
        (matrix, two(), csr(&[0, 1], &[0, 1, 9]), "CSR indices point outside"),
        (matrix, two(), csr(&[0, 1], &[0, 2]), "CSR indices for 2 values in 2 rows"),
        (&[4], two(), csr(&[0, 1], &[0, 2]), "CSR is for matrices, got the dimensions [4]"),
        (&[-1, 2], two(), coo(&[2], &[0, 1]), "cannot have the dimensions [-1, 2]"),
        (
            matrix,
            floats(&[1, 2, 2], &[0.0; 4]),
            SparseIndices::BlockSparse(places(&[2, 1], &[0, 2])),
            "block indices point outside",
        ),
        (matrix, floats(&[1, 2, 2], &[0.0; 4]), coo(&[2], &[0, 1]), "COO indices for 1 values"),
    ];
    let engine = load("sparse_float");
    let mut lane = engine.open_lane(0).expect("a lane");
    for (dims, values, indices, expected) in cases {
        let value = sparse(dims, values, indices);
        let error = run(lane.as_mut(), [value, floats(&[1], &[0.0])], Wanted::All).expect_err("does not fit");
        assert_eq!(error.kind, ErrorKind::Input, "{error}");
        assert!(error.message.starts_with("input \"s\": ") && error.message.contains(expected), "{error}");
    }
    let mut short = part(&two());
    short.dims = Dims::from_slice(&[3]);
    let value = sparse(matrix, Value::Tensor(short), coo(&[3], &[0, 1, 2]));
    let error = run(lane.as_mut(), [value, floats(&[1], &[0.0])], Wanted::All).expect_err("too short");
    assert!(error.message.contains("values do not fit their dimensions [3] of float"), "{error}");
}
