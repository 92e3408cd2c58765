//! Tensors that an `OrtValue` holds: made over an array, made empty, written to in place.

use std::sync::{Arc, OnceLock};

use headway_core::value::{DType, Data, Dims, Memory, Tensor};
use headway_engines::pool::{Block, Pool};
use pyo3::exceptions::PyMemoryError;
use pyo3::prelude::*;

use super::copy::{copied, fill, fill_from};
use super::dtype::numpy_name;
use super::memory::NOWHERE;
use super::strings::read_strings;
use super::view::ArrayView;
use crate::errors_in::{DoorError, misuse};
use crate::graveyard::PyOwner;

/// A tensor, and whether the program may write to its memory.
pub(crate) type Writable = (Tensor, bool);

/// A block of its own for every value: they live for as long as their program wants, so none is cached.
fn alloc(len: usize) -> Memory {
    static POOL: OnceLock<Arc<Pool>> = OnceLock::new();
    let pool = POOL.get_or_init(|| Pool::new(0));
    pool.try_alloc(len).map_or(Memory { addr: 0, len: 0, owner: None }, Block::memory)
}

/// Bytes of a tensor; an error for dimensions that no memory can have.
fn byte_len(dtype: DType, dims: &[i64]) -> Result<usize, DoorError> {
    let count =
        dims.iter().try_fold(1_usize, |product, &dim| product.checked_mul(usize::try_from(dim).ok()?));
    let fits = count.filter(|&count| count.checked_mul(dtype.bits().max(8)).is_some());
    fits.map(|count| dtype.byte_len(count)).ok_or_else(|| {
        misuse(format!("{dims:?} is no shape: expected lengths of at least 0 that memory can hold"))
    })
}

/// The array's elements as a tensor that holds the array; a copy where an engine cannot read them as they lie.
pub(crate) fn of_array(object: &Bound<'_, PyAny>) -> Result<Writable, DoorError> {
    let view = ArrayView::of(object);
    let Some((view, dtype)) = view.and_then(|view| Some((view, view.dtype()?))) else {
        let what = match view {
            Some(_) => format!("an array of {}", object.getattr("dtype")?),
            None => object.get_type().to_string(),
        };
        return Err(misuse(format!("expected a numpy array of a type that a model can have, got {what}")));
    };
    let dims: Dims = view.shape().iter().map(|&length| length as i64).collect();
    if dtype == DType::String {
        let data = Data::Strings(read_strings(view, "numpy_obj")?);
        return Ok((Tensor { dtype, dims, data }, false));
    }
    if dtype.bits() < 8 || !view.is_plain() {
        let data = Data::Memory(copied(view, dtype, &alloc)?);
        return Ok((Tensor { dtype, dims, data }, true));
    }
    let writable = view.is_writable();
    let len = dtype.byte_len(view.count());
    let owner = Some(Arc::new(PyOwner::new(object.clone().unbind())) as _);
    let addr = if len == 0 { NOWHERE } else { view.address() };
    Ok((Tensor { dtype, dims, data: Data::Memory(Memory { addr, len, owner }) }, writable))
}

/// The array's memory read as elements of another type of the same size.
pub(crate) fn of_array_as(object: &Bound<'_, PyAny>, dtype: DType) -> Result<Writable, DoorError> {
    let (mut tensor, writable) = of_array(object)?;
    if tensor.dtype == dtype {
        return Ok((tensor, writable));
    }
    // numpy keeps narrow elements one to a byte, so an array of bytes is what holds them for this.
    let (has, wants) = (tensor.dtype.bits().max(8), dtype.bits().max(8));
    if tensor.dtype == DType::String || dtype == DType::String || has != wants || tensor.dtype.bits() < 8 {
        return Err(misuse(format!(
            "an array of {} cannot be read as tensor({}): expected elements of {} bytes",
            numpy_name(tensor.dtype),
            dtype.as_str(),
            wants / 8
        )));
    }
    if dtype.bits() < 8 {
        return Ok((packed(object, &tensor, dtype)?, true));
    }
    tensor.dtype = dtype;
    Ok((tensor, writable))
}

/// One byte an element becomes two or four elements a byte.
fn packed(object: &Bound<'_, PyAny>, bytes: &Tensor, dtype: DType) -> Result<Tensor, DoorError> {
    let Some(view) = ArrayView::of(object) else { return Err(misuse("expected a numpy array")) };
    let data = Data::Memory(copied(view, dtype, &alloc)?);
    Ok(Tensor { dtype, dims: bytes.dims.clone(), data })
}

/// A tensor of zeros (or of empty strings).
pub(crate) fn zeros(dtype: DType, dims: Dims) -> Result<Tensor, DoorError> {
    let len = byte_len(dtype, &dims)?;
    if dtype == DType::String {
        let data = Data::Strings(empty_strings(&dims)?);
        return Ok(Tensor { dtype, dims, data });
    }
    let mut memory = if len == 0 { Memory { addr: NOWHERE, len, owner: None } } else { alloc(len) };
    if memory.addr == 0 || memory.len < len {
        return Err(no_memory(len));
    }
    memory.len = len;
    // SAFETY: the block is fresh, ours alone, and has `len` bytes.
    unsafe { std::ptr::write_bytes(memory.addr as *mut u8, 0, len) };
    Ok(Tensor { dtype, dims, data: Data::Memory(memory) })
}

/// Asked for twice, because the list is copied once: an allocation that fails elsewhere would end the process.
fn empty_strings(dims: &[i64]) -> Result<Arc<[Box<str>]>, DoorError> {
    let count = dims.iter().map(|&dim| usize::try_from(dim).unwrap_or(0)).product::<usize>();
    let mut strings = Vec::<Box<str>>::new();
    let bytes = || no_memory(count.saturating_mul(size_of::<Box<str>>()));
    strings.try_reserve_exact(count.saturating_mul(2)).map_err(|_| bytes())?;
    strings.shrink_to(count);
    strings.resize_with(count, Box::default);
    Ok(strings.into())
}

#[cold]
fn no_memory(len: usize) -> DoorError {
    PyMemoryError::new_err(format!("there is no memory for a value of {len} bytes")).into()
}

/// A tensor over memory that the program names by its address and keeps alive itself.
pub(crate) fn over(dtype: DType, dims: Dims, addr: usize) -> Result<Tensor, DoorError> {
    let len = byte_len(dtype, &dims)?;
    if dtype == DType::String {
        return Err(misuse("strings cannot be bound by address; bind an OrtValue of them"));
    }
    if addr == 0 && len > 0 {
        return Err(misuse("Pointer to data memory is not valid: it is null"));
    }
    let align = (dtype.bits() / 8).clamp(1, 8);
    if !addr.is_multiple_of(align) {
        let wants = dtype.as_str();
        return Err(misuse(format!(
            "the address {addr:#x} is not a multiple of {align}, as {wants} needs it"
        )));
    }
    let addr = if len == 0 { NOWHERE } else { addr };
    Ok(Tensor { dtype, dims, data: Data::Memory(Memory { addr, len, owner: None }) })
}

/// A copy in memory of its own.
pub(crate) fn duplicate(tensor: &Tensor) -> Result<Tensor, DoorError> {
    let Data::Memory(from) = &tensor.data else { return Ok(tensor.clone()) };
    let copy = zeros(tensor.dtype, tensor.dims.clone())?;
    if let Data::Memory(to) = &copy.data {
        fill_from(from, to);
    }
    Ok(copy)
}

/// Writes an array's elements over the tensor's.
pub(crate) fn write_array(target: &Tensor, object: &Bound<'_, PyAny>) -> Result<(), DoorError> {
    let memory = memory_of(target)?;
    let Some(view) = ArrayView::of(object) else { return Err(misuse("expected a numpy array")) };
    if view.dtype() != Some(target.dtype) {
        let (has, wants) = (object.getattr("dtype")?, numpy_name(target.dtype));
        return Err(misuse(format!(
            "the array is of {has} and the OrtValue of {wants}: convert it with array.astype first"
        )));
    }
    let dims: Dims = view.shape().iter().map(|&length| length as i64).collect();
    check_dims(target, &dims, "The input size of numpy arrays does not match the size of the OrtValue.")?;
    fill(view, target.dtype, memory)
}

/// Writes another tensor's elements over the tensor's.
pub(crate) fn write_tensor(target: &Tensor, source: &Tensor) -> Result<(), DoorError> {
    let (to, from) = (memory_of(target)?, memory_of(source)?);
    if source.dtype != target.dtype {
        return Err(misuse(format!(
            "The source and destination OrtValues must have the same data type, got tensor({}) and tensor({})",
            source.dtype.as_str(),
            target.dtype.as_str()
        )));
    }
    check_dims(target, &source.dims, "The source and destination OrtValues must have the same size.")?;
    fill_from(from, to);
    Ok(())
}

fn check_dims(target: &Tensor, dims: &Dims, wrong_size: &str) -> Result<(), DoorError> {
    // Another shape of as many elements is taken in C order, as onnxruntime takes it.
    if dims.iter().product::<i64>() == target.dims.iter().product::<i64>() {
        return Ok(());
    }
    let (has, wants) = (dims.as_slice(), target.dims.as_slice());
    Err(misuse(format!("{wrong_size} The shapes are {has:?} and {wants:?}.")))
}

fn memory_of(tensor: &Tensor) -> Result<&Memory, DoorError> {
    match &tensor.data {
        Data::Memory(memory) => Ok(memory),
        Data::Strings(_) => Err(misuse("an OrtValue of strings cannot be updated in place; make a new one")),
    }
}
