//! Sparse tensors, both ways. Into the engine they are copied by the engine.

use std::ffi::c_void;
use std::ptr;

use headway_core::error::{Error, ErrorKind};
use headway_core::value::{DType, Data, Tensor};

use super::composite::{SparseIndices, SparseTensor};
use super::composite_in::about;
use super::raw::*;
use super::runtime::Runtime;
use super::sparse_check::{self, numbers};
use super::text::c_string;
use super::values::{Outputs, unreadable, wrong};

/// The tensor as the engine's value, of which the engine has its own copy.
pub(super) fn make(runtime: &Runtime, name: &str, sparse: &SparseTensor) -> Result<*mut OrtValue, Error> {
    // The engine gets addresses without lengths and believes the indices. Arrays may be written to at any moment: what
    // is checked must be what it gets.
    let sparse = &SparseTensor { indices: sparse_check::still(&sparse.indices), ..sparse.clone() };
    sparse_check::check(sparse).map_err(|what| wrong(name, &what))?;
    let api = &runtime.api;
    let mut raw = ptr::null_mut();
    let (dims, rank) = (sparse.dims.as_ptr(), sparse.dims.len());
    // SAFETY: the dimensions live during the call, the allocator for ever; an out parameter.
    let status = unsafe { (api.create_sparse)(runtime.allocator, dims, rank, sparse.dtype as i32, &mut raw) };
    api.check(status, ErrorKind::Input).map_err(|error| about(name, error))?;
    let value = runtime.own(raw);
    let texts;
    let data: *const c_void = match &sparse.values.data {
        Data::Memory(memory) => ptr::with_exposed_provenance(memory.addr),
        Data::Strings(strings) => {
            let text = |text: &str| c_string(text, ErrorKind::Input).map_err(|error| about(name, error));
            let owned = strings.iter().map(|string| text(string)).collect::<Result<Vec<_>, _>>()?;
            texts = (owned.iter().map(|text| text.as_ptr()).collect::<Vec<_>>(), owned);
            texts.0.as_ptr().cast()
        }
    };
    // SAFETY: `value` was just made; values and indices fit their dimensions, which was checked above.
    let status = unsafe { fill(runtime, value.raw(), sparse, data) };
    api.check(status, ErrorKind::Input).map_err(|error| about(name, error))?;
    Ok(value.into_raw())
}

/// # Safety
/// `value` is a fresh sparse tensor, `data` the checked tensor's values: plain ones, or C strings by address.
unsafe fn fill(
    runtime: &Runtime,
    value: *mut OrtValue,
    sparse: &SparseTensor,
    data: *const c_void,
) -> Status {
    let api = &runtime.api;
    let (dims, rank) = (sparse.values.dims.as_ptr(), sparse.values.dims.len());
    match &sparse.indices {
        SparseIndices::Coo(indices) => {
            let indices = numbers::<i64>(indices);
            // SAFETY: the caller's promise.
            unsafe { (api.fill_coo)(value, runtime.cpu, dims, rank, data, indices.as_ptr(), indices.len()) }
        }
        SparseIndices::Csr { inner, outer } => {
            let (inner, outer) = (numbers::<i64>(inner), numbers::<i64>(outer));
            let (columns, starts) = (inner.as_ptr(), outer.as_ptr());
            // SAFETY: as above.
            unsafe {
                (api.fill_csr)(
                    value,
                    runtime.cpu,
                    dims,
                    rank,
                    data,
                    columns,
                    inner.len(),
                    starts,
                    outer.len(),
                )
            }
        }
        SparseIndices::BlockSparse(indices) => {
            let (shape, depth) = (indices.dims.as_ptr(), indices.dims.len());
            let indices = numbers::<i32>(indices);
            // SAFETY: as above.
            unsafe {
                (api.fill_block_sparse)(value, runtime.cpu, dims, rank, data, shape, depth, indices.as_ptr())
            }
        }
    }
}

impl Outputs<'_> {
    /// # Safety
    /// `value` is a live sparse tensor that nobody else uses.
    pub(super) unsafe fn sparse(&self, name: &str, value: *mut OrtValue) -> Result<SparseTensor, Error> {
        let api = &self.runtime.api;
        // SAFETY: the value is live; out parameters, here and below. A sparse tensor answers with its dense shape.
        let (element, dims) =
            self.runtime.read_info(|info| unsafe { (api.value_tensor_info)(value, info) })?;
        let dtype = DType::from_onnx(element)
            .ok_or_else(|| unreadable(name, &format!("a sparse tensor of element type number {element}")))?;
        let mut format = 0;
        // SAFETY: as above.
        api.check_run(unsafe { (api.sparse_format)(value, &mut format) })?;
        // SAFETY: as above.
        let indices = |which, dtype| unsafe { self.indices(name, value, which, dtype) };
        let indices = match format {
            sparse_format::COO => SparseIndices::Coo(indices(sparse_indices::COO, DType::I64)?),
            sparse_format::CSR => SparseIndices::Csr {
                inner: indices(sparse_indices::CSR_INNER, DType::I64)?,
                outer: indices(sparse_indices::CSR_OUTER, DType::I64)?,
            },
            sparse_format::BLOCK_SPARSE => {
                SparseIndices::BlockSparse(indices(sparse_indices::BLOCK_SPARSE, DType::I32)?)
            }
            other => return Err(unreadable(name, &format!("a sparse tensor of format number {other}"))),
        };
        // SAFETY: as above.
        let values = unsafe { self.sparse_values(name, value, dtype) }?;
        Ok(SparseTensor { dtype, dims, values, indices })
    }

    unsafe fn sparse_values(&self, name: &str, value: *mut OrtValue, dtype: DType) -> Result<Tensor, Error> {
        let api = &self.runtime.api;
        // SAFETY: the value is a live sparse tensor; an out parameter.
        let (_, dims) = self.runtime.read_info(|info| unsafe { (api.sparse_values_info)(value, info) })?;
        let data = if dtype == DType::String {
            // SAFETY: as above, and its elements are strings.
            Data::Strings(unsafe { self.strings(name, value, &dims) }?)
        } else {
            let mut data = ptr::null();
            // SAFETY: as above; an out parameter.
            api.check_run(unsafe { (api.sparse_values)(value, &mut data) })?;
            let len = super::values::count(&dims).map_or(0, |count| dtype.byte_len(count));
            // SAFETY: the engine keeps as many values as the dimensions say.
            Data::Memory(unsafe { self.copy(name, data, len) }?)
        };
        Ok(Tensor { dtype, dims, data })
    }

    unsafe fn indices(
        &self,
        name: &str,
        value: *mut OrtValue,
        which: i32,
        dtype: DType,
    ) -> Result<Tensor, Error> {
        let api = &self.runtime.api;
        // SAFETY: the value is a live sparse tensor with these indices; an out parameter.
        let (_, dims) =
            self.runtime.read_info(|info| unsafe { (api.sparse_indices_info)(value, which, info) })?;
        let (mut count, mut data) = (0, ptr::null());
        // SAFETY: as above.
        api.check_run(unsafe { (api.sparse_indices)(value, which, &mut count, &mut data) })?;
        let len = super::values::count(&dims).map_or(0, |count| dtype.byte_len(count));
        // SAFETY: the engine keeps as many indices as their dimensions say.
        let memory = unsafe { self.copy(name, data, len) }?;
        Ok(Tensor { dtype, dims, data: Data::Memory(memory) })
    }
}
