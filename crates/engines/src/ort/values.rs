//! Values on their way into the engine and out of it.

use std::ffi::c_void;
use std::ptr;
use std::sync::Arc;

use headway_core::engine::NodeInfo;
use headway_core::error::{Error, ErrorKind};
use headway_core::value::{DType, Data, Dims, Memory, Tensor, Value};

use super::raw::*;
use super::runtime::Runtime;
use super::session::OutputKind;
use crate::pool::{Block, Entered, Pool};

/// An address for memory of no length: aligned, not null, never read.
const NOWHERE: usize = 64;

/// The tensor as the engine's value. Plain elements are borrowed from the tensor's memory, strings are copied.
///
/// # Safety
/// The tensor's memory stays readable until the value is released.
pub(super) unsafe fn make(runtime: &Runtime, name: &str, tensor: &Tensor) -> Result<*mut OrtValue, Error> {
    match &tensor.data {
        Data::Strings(strings) if tensor.dtype == DType::String => {
            make_strings(runtime, name, tensor, strings)
        }
        Data::Memory(memory) if tensor.dtype != DType::String => {
            // SAFETY: the caller keeps the memory; the engine only reads inputs.
            unsafe { over(runtime, tensor.dtype, &tensor.dims, memory) }
        }
        _ => Err(wrong(name, "its elements are not what its dtype says")),
    }
}

/// The engine's view of plain elements. It checks the length against the dimensions itself.
///
/// # Safety
/// The memory stays there until the value is released, and is written to only through it or not at all.
#[inline]
pub(super) unsafe fn over(
    runtime: &Runtime,
    dtype: DType,
    dims: &[i64],
    memory: &Memory,
) -> Result<*mut OrtValue, Error> {
    let mut value = ptr::null_mut();
    let addr = if memory.len == 0 { NOWHERE } else { memory.addr };
    let data = ptr::with_exposed_provenance_mut::<c_void>(addr);
    let (rank, dims) = (dims.len(), dims.as_ptr());
    // SAFETY: the caller's promise; the dimensions live during the call; an out parameter.
    let status = unsafe {
        (runtime.api.create_tensor_over)(runtime.cpu, data, memory.len, dims, rank, dtype as i32, &mut value)
    };
    runtime.api.check_run(status)?;
    Ok(value)
}

fn make_strings(
    runtime: &Runtime,
    name: &str,
    tensor: &Tensor,
    strings: &[Box<str>],
) -> Result<*mut OrtValue, Error> {
    if count(&tensor.dims) != Some(strings.len()) {
        return Err(wrong(name, "the number of strings is not what its dimensions say"));
    }
    let api = &runtime.api;
    let (dims, rank) = (tensor.dims.as_ptr(), tensor.dims.len());
    let mut value = ptr::null_mut();
    // SAFETY: the dimensions live during the call; an out parameter.
    let status =
        unsafe { (api.create_tensor)(runtime.allocator, dims, rank, DType::String as i32, &mut value) };
    api.check_run(status)?;
    for (at, string) in strings.iter().enumerate() {
        let mut buffer = ptr::null_mut();
        // SAFETY: the tensor has as many elements as there are strings.
        let status = unsafe { (api.string_buffer)(value, at, string.len(), &mut buffer) };
        if let Err(error) = api.check_run(status) {
            // SAFETY: made above and given to nobody.
            unsafe { (api.release_value)(value) };
            return Err(error);
        }
        // SAFETY: the engine gave a buffer of just this length.
        unsafe { ptr::copy_nonoverlapping(string.as_ptr(), buffer.cast::<u8>(), string.len()) };
    }
    Ok(value)
}

#[cold]
pub(super) fn wrong(name: &str, what: &str) -> Error {
    Error::new(ErrorKind::Input, format!("input {name:?}: {what}"))
}

/// Elements that the dimensions say; `None` when that is no number.
pub(super) fn count(dims: &[i64]) -> Option<usize> {
    dims.iter().try_fold(1_usize, |product, &dim| product.checked_mul(usize::try_from(dim).ok()?))
}

/// An engine's value that is released when it goes.
pub(super) struct EngineValue<'a> {
    runtime: &'a Runtime,
    raw: *mut OrtValue,
}

impl EngineValue<'_> {
    pub(super) fn raw(&self) -> *mut OrtValue {
        self.raw
    }

    /// Gives it away, to be released by somebody else.
    pub(super) fn into_raw(self) -> *mut OrtValue {
        let raw = self.raw;
        std::mem::forget(self);
        raw
    }
}

impl Drop for EngineValue<'_> {
    fn drop(&mut self) {
        // SAFETY: `own` took it over from whoever made it; released once.
        unsafe { (self.runtime.api.release_value)(self.raw) };
    }
}

impl Runtime {
    /// Takes over a value that the engine has just made.
    pub(super) fn own(&self, raw: *mut OrtValue) -> EngineValue<'_> {
        EngineValue { runtime: self, raw }
    }

    /// What kind of value it is; `None` for an optional one that is not there.
    ///
    /// # Safety
    /// `value` is live.
    pub(super) unsafe fn class_of(&self, value: *const OrtValue) -> Result<Option<i32>, Error> {
        let api = &self.api;
        let (mut there, mut class) = (0, 0);
        // SAFETY: the value is live; an out parameter.
        api.check_run(unsafe { (api.has_value)(value, &mut there) })?;
        if there == 0 {
            return Ok(None);
        }
        // SAFETY: as above.
        api.check_run(unsafe { (api.value_class)(value, &mut class) })?;
        Ok(Some(class))
    }

    /// Element type and dimensions.
    ///
    /// # Safety
    /// `value` is a live tensor.
    #[inline]
    pub(super) unsafe fn type_and_dims(&self, value: *const OrtValue) -> Result<(i32, Dims), Error> {
        let api = &self.api;
        if let Some(type_and_dims) = api.tensor_type_and_dims {
            let (mut element, mut dims, mut rank) = (0, ptr::null(), 0);
            // SAFETY: the value is a live tensor; out parameters.
            api.check_run(unsafe { type_and_dims(value, &mut element, &mut dims, &mut rank) })?;
            // SAFETY: the engine gave `rank` numbers that live as long as the value.
            let dims = if rank == 0 { &[] } else { unsafe { std::slice::from_raw_parts(dims, rank) } };
            return Ok((element, Dims::from_slice(dims)));
        }
        // SAFETY: the value is a live tensor; an out parameter.
        self.read_info(|info| unsafe { (api.value_tensor_info)(value, info) })
    }

    /// Element type and dimensions out of a description that `get` makes.
    pub(super) fn read_info(
        &self,
        get: impl FnOnce(*mut *mut OrtTensorInfo) -> Status,
    ) -> Result<(i32, Dims), Error> {
        let api = &self.api;
        let mut info = ptr::null_mut();
        api.check_run(get(&mut info))?;
        // SAFETY: `info` was just made; out parameters.
        let read = (|| unsafe {
            let (mut element, mut rank) = (0, 0);
            api.check_run((api.element_type)(info, &mut element))?;
            api.check_run((api.rank)(info, &mut rank))?;
            let mut dims = Dims::from_elem(0, rank);
            api.check_run((api.dims)(info, dims.as_mut_ptr(), rank))?;
            Ok((element, dims))
        })();
        // SAFETY: made above, released once.
        unsafe { (api.release_tensor_info)(info) };
        read
    }
}

/// Takes outputs over from the engine, on the lane's thread.
pub(super) struct Outputs<'a> {
    pub(super) runtime: &'a Runtime,
    pub(super) pool: &'a Arc<Pool>,
    /// The lane's turn as its pool's user; `None` means that every output is copied.
    pub(super) entered: Option<&'a Entered>,
}

impl Outputs<'_> {
    /// The engine's value as ours; the engine's is still to be released.
    ///
    /// # Safety
    /// `value` is null or a live value of this runtime that nobody else uses.
    pub(super) unsafe fn take(
        &self,
        node: &NodeInfo,
        kind: OutputKind,
        value: *mut OrtValue,
    ) -> Result<Value, Error> {
        if value.is_null() {
            return Ok(Value::None);
        }
        if kind == OutputKind::Other {
            // SAFETY: passed on.
            return unsafe { self.take_other(node, value) };
        }
        // SAFETY: passed on; it is a tensor by the model's word, and the engine checks that.
        match unsafe { self.tensor(&node.name, value) } {
            Ok(tensor) => Ok(Value::Tensor(tensor)),
            // A sparse initializer is a plain tensor by the model's word.
            // SAFETY: passed on.
            Err(error) => match unsafe { self.runtime.class_of(value) } {
                // SAFETY: passed on.
                Ok(Some(class::SPARSE_TENSOR)) => unsafe { self.take_other(node, value) },
                _ => Err(error),
            },
        }
    }

    /// # Safety
    /// As for `take`, and not null.
    #[cold]
    unsafe fn take_other(&self, node: &NodeInfo, value: *mut OrtValue) -> Result<Value, Error> {
        // SAFETY: passed on.
        match unsafe { self.runtime.class_of(value) }? {
            None => Ok(Value::None),
            // SAFETY: passed on.
            Some(class::TENSOR) => unsafe { self.tensor(&node.name, value) }.map(Value::Tensor),
            // SAFETY: passed on.
            Some(kind) => unsafe { self.take_composite(node, kind, value) },
        }
    }

    /// # Safety
    /// `value` is a live tensor of this runtime that nobody else uses.
    pub(super) unsafe fn tensor(&self, name: &str, value: *mut OrtValue) -> Result<Tensor, Error> {
        // SAFETY: passed on.
        let (element, dims) = unsafe { self.runtime.type_and_dims(value) }?;
        let Some(dtype) = DType::from_onnx(element) else {
            return Err(unreadable(name, &format!("a tensor of element type number {element}")));
        };
        let data = if dtype == DType::String {
            // SAFETY: as above, and its elements are strings.
            Data::Strings(unsafe { self.strings(name, value, &dims) }?)
        } else {
            // SAFETY: as above, and its elements are plain.
            Data::Memory(unsafe { self.memory(name, value, dtype, &dims) }?)
        };
        Ok(Tensor { dtype, dims, data })
    }

    /// The elements: the very block that the engine wrote when it is one of the lane's, else a copy.
    unsafe fn memory(
        &self,
        name: &str,
        value: *mut OrtValue,
        dtype: DType,
        dims: &[i64],
    ) -> Result<Memory, Error> {
        let len = count(dims).map_or(0, |count| dtype.byte_len(count));
        if len == 0 {
            return Ok(Memory { addr: NOWHERE, len: 0, owner: None });
        }
        let mut data = ptr::null_mut();
        // SAFETY: the value is a live tensor of plain elements; an out parameter.
        self.runtime.api.check_run(unsafe { (self.runtime.api.tensor_data)(value, &mut data) })?;
        if self.entered.is_some_and(|entered| entered.gave(data.addr())) {
            // SAFETY: the address was given out as a block's during this run, so it is one as long as the run lasts,
            // and the engine's value holds its count.
            let block = unsafe { Block::share_raw(data.cast()) };
            if len <= block.len() {
                return Ok(block.memory_of(len));
            }
        }
        // An initializer, an input, or memory from another thread: it may change or go once the run is over.
        // SAFETY: the engine's tensor has `len` bytes.
        unsafe { self.copy(name, data, len) }
    }

    /// A pooled copy.
    ///
    /// # Safety
    /// `data` has `len` readable bytes; any address will do for none.
    pub(super) unsafe fn copy(&self, name: &str, data: *const c_void, len: usize) -> Result<Memory, Error> {
        if len == 0 {
            return Ok(Memory { addr: NOWHERE, len: 0, owner: None });
        }
        let block = self.pool.try_alloc(len).ok_or_else(|| no_memory(name, len))?;
        // SAFETY: the caller's promise, and the fresh block is as long.
        unsafe { ptr::copy_nonoverlapping(data.cast::<u8>(), block.as_ptr(), len) };
        Ok(block.memory())
    }

    /// The elements of a tensor of strings, or those that a sparse one keeps.
    ///
    /// # Safety
    /// `value` is live, its elements are strings, and `dims` say how many.
    pub(super) unsafe fn strings(
        &self,
        name: &str,
        value: *mut OrtValue,
        dims: &[i64],
    ) -> Result<Arc<[Box<str>]>, Error> {
        let api = &self.runtime.api;
        let count = count(dims).unwrap_or(0);
        if count == 0 {
            return Ok(Arc::new([]));
        }
        let mut len = 0;
        // SAFETY: the value is a live tensor of strings; an out parameter.
        api.check_run(unsafe { (api.strings_length)(value, &mut len) })?;
        let (mut bytes, mut starts) = (vec![0_u8; len], vec![0_usize; count]);
        let (to, offsets) = (bytes.as_mut_ptr().cast(), starts.as_mut_ptr());
        // SAFETY: as above; both buffers have the lengths that are told.
        api.check_run(unsafe { (api.strings_content)(value, to, len, offsets, count) })?;
        let ends = starts.iter().skip(1).copied().chain([len]);
        let text = |(&start, end): (&usize, usize)| {
            let bytes = bytes.get(start..end).unwrap_or(&[]);
            std::str::from_utf8(bytes)
                .map(Box::from)
                .map_err(|_| unreadable(name, "a string that is not UTF-8"))
        };
        starts.iter().zip(ends).map(text).collect()
    }
}

#[cold]
pub(super) fn unreadable(name: &str, what: &str) -> Error {
    Error::new(ErrorKind::Engine, format!("output {name:?} is {what}, which Headway cannot give back"))
}

#[cold]
fn no_memory(name: &str, len: usize) -> Error {
    Error::new(ErrorKind::Engine, format!("no memory for the {len} bytes of output {name:?}"))
}
