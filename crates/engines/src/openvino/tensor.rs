//! Tensors on their way into OpenVINO and out of it.

use std::ffi::{CString, c_void};
use std::ptr;
use std::sync::Arc;

use headway_core::error::{Error, ErrorKind};
use headway_core::value::{DType, Data, Dims, Memory, Tensor};

use super::raw::*;
use super::runtime::Runtime;
use crate::pool::Pool;

/// An address for memory of no length: aligned, not null, never read.
pub(super) const NOWHERE: usize = 64;

/// OpenVINO's handle of a tensor, freed when it goes. A request that was given the tensor keeps what it needs itself.
pub(super) struct EngineTensor {
    runtime: &'static Runtime,
    raw: *mut OvTensor,
}

impl EngineTensor {
    pub(super) fn raw(&self) -> *mut OvTensor {
        self.raw
    }

    /// Takes over a tensor that the library has just made.
    pub(super) fn own(runtime: &'static Runtime, raw: *mut OvTensor) -> Self {
        EngineTensor { runtime, raw }
    }
}

impl Drop for EngineTensor {
    fn drop(&mut self) {
        // SAFETY: taken over from whoever made it, freed once.
        unsafe { (self.runtime.api.free_tensor)(self.raw) };
    }
}

/// A request's tensor as OpenVINO's: plain elements stay where they are, strings are copied.
///
/// # Safety
/// The tensor's memory stays readable as long as a request that was given the handle may run.
pub(super) unsafe fn over(
    runtime: &'static Runtime,
    name: &str,
    tensor: &Tensor,
) -> Result<EngineTensor, Error> {
    match &tensor.data {
        Data::Strings(strings) if tensor.dtype == DType::String => {
            of_strings(runtime, name, &tensor.dims, strings)
        }
        Data::Memory(memory) if tensor.dtype != DType::String => {
            if memory.len < tensor.dtype.byte_len(tensor.count()) {
                return Err(wrong(name, "its memory is shorter than its dimensions say"));
            }
            // SAFETY: the caller's promise; requests only read their inputs.
            unsafe { over_memory(runtime, tensor.dtype, &tensor.dims, memory) }
        }
        _ => Err(wrong(name, "its elements are not what its dtype says")),
    }
}

/// Plain elements where they are.
///
/// # Safety
/// As for [`over`], the memory is as long as the dimensions say, and writable if a request is to write to it.
pub(super) unsafe fn over_memory(
    runtime: &'static Runtime,
    dtype: DType,
    dims: &[i64],
    memory: &Memory,
) -> Result<EngineTensor, Error> {
    let code = runtime.types.code(dtype)?;
    let addr = if memory.len == 0 { NOWHERE } else { memory.addr };
    let data = ptr::with_exposed_provenance_mut::<c_void>(addr);
    let mut raw = ptr::null_mut();
    // SAFETY: the caller's promise; the dimensions are read during the call; an out parameter.
    let status = unsafe { (runtime.api.tensor_over)(code, shape_of(dims), data, &mut raw) };
    runtime.api.check_run(status)?;
    Ok(EngineTensor { runtime, raw })
}

/// A model's weights where they are.
///
/// # Safety
/// The bytes live as long as a model that is made with them.
pub(super) unsafe fn over_bytes(runtime: &'static Runtime, bytes: &[u8]) -> Result<EngineTensor, Error> {
    let memory = Memory { addr: bytes.as_ptr().expose_provenance(), len: bytes.len(), owner: None };
    // SAFETY: the caller's promise, and nobody writes to weights.
    unsafe { over_memory(runtime, DType::U8, &[bytes.len() as i64], &memory) }
}

/// The dimensions as the C side reads them: it changes nothing through the pointer.
fn shape_of(dims: &[i64]) -> Shape {
    Shape { rank: dims.len() as i64, dims: dims.as_ptr().cast_mut() }
}

fn of_strings(
    runtime: &'static Runtime,
    name: &str,
    dims: &[i64],
    strings: &[Box<str>],
) -> Result<EngineTensor, Error> {
    let make = runtime.api.tensor_of_strings.ok_or_else(|| {
        wrong(name, &format!("OpenVINO {} takes no strings through its C interface", runtime.version()))
    })?;
    let texts = strings.iter().map(|text| CString::new(&**text)).collect::<Result<Vec<_>, _>>();
    let texts = texts.map_err(|_| wrong(name, "a string with a NUL character inside, which would end it"))?;
    let pointers: Vec<_> = texts.iter().map(|text| text.as_ptr()).collect();
    let mut raw = ptr::null_mut();
    // SAFETY: dimensions and strings are read during the call, which compares their numbers; an out parameter.
    let status = unsafe { make(pointers.as_ptr(), pointers.len(), shape_of(dims), &mut raw) };
    runtime.api.check_run(status)?;
    Ok(EngineTensor { runtime, raw })
}

impl EngineTensor {
    /// A pooled copy.
    pub(super) fn copy(&self, dtype: DType, pool: &Arc<Pool>) -> Result<Tensor, Error> {
        let api = &self.runtime.api;
        let dims = self.dims()?;
        let (mut len, mut data) = (0, ptr::null_mut());
        // SAFETY: the tensor is live; an out parameter.
        api.check_run(unsafe { (api.tensor_bytes)(self.raw, &mut len) })?;
        if len == 0 {
            return Ok(Tensor { dtype, dims, data: nothing() });
        }
        // SAFETY: as above.
        api.check_run(unsafe { (api.tensor_data)(self.raw, &mut data) })?;
        let block = pool.try_alloc(len).ok_or_else(|| no_memory(len))?;
        // SAFETY: the tensor has `len` bytes, and the fresh block is as long.
        unsafe { ptr::copy_nonoverlapping(data.cast::<u8>(), block.as_ptr(), len) };
        Ok(Tensor { dtype, dims, data: Data::Memory(block.memory()) })
    }

    fn dims(&self) -> Result<Dims, Error> {
        let api = &self.runtime.api;
        let mut shape = Shape { rank: 0, dims: ptr::null_mut() };
        // SAFETY: the tensor is live; an out parameter.
        api.check_run(unsafe { (api.tensor_shape)(self.raw, &mut shape) })?;
        let rank = usize::try_from(shape.rank).unwrap_or(0);
        // SAFETY: the library gave as many dimensions as the rank says.
        let dims = (0..rank).map(|at| unsafe { *shape.dims.add(at) }).collect();
        // SAFETY: filled above, freed once.
        api.check_run(unsafe { (api.free_shape)(&mut shape) })?;
        Ok(dims)
    }
}

/// The elements of a tensor that has none.
pub(super) fn nothing() -> Data {
    Data::Memory(Memory { addr: NOWHERE, len: 0, owner: None })
}

#[cold]
pub(super) fn wrong(name: &str, what: &str) -> Error {
    Error::new(ErrorKind::Input, format!("input {name:?}: {what}"))
}

#[cold]
pub(super) fn no_memory(len: usize) -> Error {
    Error::new(ErrorKind::Engine, format!("no memory for the {len} bytes of an output"))
}
