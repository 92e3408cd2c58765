//! Sparse tensors: between arrays and the flow's values. `headway._sparse.SparseTensor` is their face in Python.

use std::sync::{Arc, OnceLock};

use headway_core::value::{DType, Dims, Tensor, Value};
use headway_engines::ort::{Composite, SparseIndices, SparseTensor};
use pyo3::prelude::*;

use crate::array::{self, Alloc};
use crate::errors_in::{DoorError, misuse};
use crate::once::cached;
use crate::ortvalue::OrtValue;

/// `OrtSparseFormat`
const COO: i32 = 1;
const CSR: i32 = 2;
const BLOCK_SPARSE: i32 = 4;

/// `(format, type, dense shape, values, indices)`.
pub(crate) type Parts = (i32, String, Vec<i64>, Py<PyAny>, Vec<Py<PyAny>>);

fn class(py: Python<'_>) -> PyResult<&'static Py<PyAny>> {
    static CLASS: OnceLock<Py<PyAny>> = OnceLock::new();
    cached(py, &CLASS, || Ok(py.import("headway._sparse")?.getattr("SparseTensor")?.unbind()))
}

/// The `SparseTensor` over a value.
pub(crate) fn face(py: Python<'_>, value: Value) -> Result<Py<PyAny>, DoorError> {
    let value = Bound::new(py, OrtValue::new(value))?;
    Ok(class(py)?.bind(py).call_method1("_of", (value,))?.unbind())
}

/// The value behind a `SparseTensor`; `None` for any other object.
pub(crate) fn value_of<'py>(object: &Bound<'py, PyAny>) -> Option<Bound<'py, OrtValue>> {
    let class = class(object.py()).ok()?;
    if !object.is_instance(class.bind(object.py())).ok()? {
        return None;
    }
    object.getattr("_value").ok()?.cast_into::<OrtValue>().ok()
}

/// A sparse tensor over the arrays' memory, which it keeps alive.
pub(crate) fn of_arrays(
    format: i32,
    dense_shape: Vec<i64>,
    values: &Bound<'_, PyAny>,
    indices: &[Bound<'_, PyAny>],
) -> Result<Value, DoorError> {
    if let Some(wrong) = dense_shape.iter().find(|&&length| length < 0) {
        return Err(misuse(format!("dense_shape: expected lengths of at least 0, got {wrong}")));
    }
    let (values, _) = array::of_array(values)?;
    if values.dims.len() != 1 {
        return Err(misuse(format!("values: expected one dimension, got {:?}", values.dims.as_slice())));
    }
    let indices = indices.iter().map(index).collect::<Result<Vec<_>, _>>()?;
    let indices = match (format, &indices[..]) {
        (COO, [coo]) => SparseIndices::Coo(checked_coo(coo, &values, &dense_shape)?),
        (CSR, [inner, outer]) => checked_csr(inner, outer, &values, &dense_shape)?,
        _ => return Err(misuse(format!("a sparse tensor cannot be made in format {format} from arrays"))),
    };
    let (dtype, dims) = (values.dtype, Dims::from_vec(dense_shape));
    Ok(Value::Opaque(Arc::new(Composite::Sparse(SparseTensor { dtype, dims, values, indices }))))
}

/// Whole numbers as int64, whatever width they came in.
fn index(numbers: &Bound<'_, PyAny>) -> Result<Tensor, DoorError> {
    let py = numbers.py();
    let array = py.import("numpy")?.call_method1("asarray", (numbers, "int64"))?;
    Ok(array::of_array(&array)?.0)
}

fn checked_coo(coo: &Tensor, values: &Tensor, dense: &[i64]) -> Result<Tensor, DoorError> {
    let count = values.count();
    let fits = match coo.dims[..] {
        [length] => usize::try_from(length) == Ok(count),
        [length, 2] => usize::try_from(length) == Ok(count) && dense.len() == 2,
        _ => false,
    };
    if fits {
        return Ok(coo.clone());
    }
    Err(misuse(format!(
        "Index size: {} must be equal to or twice the values size: {count}; expected coo_indices of the shape [{count}] \
         or, for a matrix, [{count}, 2], got {:?}",
        coo.count(),
        coo.dims.as_slice()
    )))
}

fn checked_csr(
    inner: &Tensor,
    outer: &Tensor,
    values: &Tensor,
    dense: &[i64],
) -> Result<SparseIndices, DoorError> {
    let &[rows, _] = dense else {
        return Err(misuse(format!("dense_shape: expected rows and columns, got {dense:?}")));
    };
    if inner.dims[..] != values.dims[..] {
        return Err(misuse(format!(
            "inner_indices: expected one for each of the {} values, got the shape {:?}",
            values.count(),
            inner.dims.as_slice()
        )));
    }
    // An index of no rows at all may be empty.
    if outer.dims[..] != [rows + 1] && !(values.count() == 0 && outer.count() == 0) {
        return Err(misuse(format!(
            "Outer index count must be rows + 1 = {}, got the shape {:?}",
            rows + 1,
            outer.dims.as_slice()
        )));
    }
    Ok(SparseIndices::Csr { inner: inner.clone(), outer: outer.clone() })
}

/// The same in memory of its own.
pub(crate) fn copied(sparse: &SparseTensor, alloc: Alloc<'_>) -> Result<SparseTensor, DoorError> {
    let copy = |tensor: &Tensor| match array::copy_of(tensor, alloc)? {
        Value::Tensor(tensor) => Ok::<_, DoorError>(tensor),
        _ => Ok(tensor.clone()),
    };
    let indices = match &sparse.indices {
        SparseIndices::Coo(coo) => SparseIndices::Coo(copy(coo)?),
        SparseIndices::Csr { inner, outer } => {
            SparseIndices::Csr { inner: copy(inner)?, outer: copy(outer)? }
        }
        SparseIndices::BlockSparse(blocks) => SparseIndices::BlockSparse(copy(blocks)?),
    };
    let values = copy(&sparse.values)?;
    Ok(SparseTensor { dtype: sparse.dtype, dims: sparse.dims.clone(), values, indices })
}

/// What a `SparseTensor` shows, its arrays over the value's memory.
pub(crate) fn parts(py: Python<'_>, sparse: &SparseTensor) -> Result<Parts, DoorError> {
    let share = |tensor: &Tensor| Ok::<_, DoorError>(array::shared(py, tensor, true)?.unbind());
    let (format, indices) = match &sparse.indices {
        SparseIndices::Coo(coo) => (COO, vec![share(coo)?]),
        SparseIndices::Csr { inner, outer } => (CSR, vec![share(inner)?, share(outer)?]),
        SparseIndices::BlockSparse(blocks) => (BLOCK_SPARSE, vec![share(blocks)?]),
    };
    let words = format!("sparse_tensor({})", DType::as_str(sparse.dtype));
    Ok((format, words, sparse.dims.to_vec(), share(&sparse.values)?, indices))
}
