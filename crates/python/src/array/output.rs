//! Outputs as numpy arrays over the memory where the engine put them.

use std::{ptr, slice};

use headway_core::error::{Error, ErrorKind};
use headway_core::value::{DType, Data, Dims, Memory, Owner, Tensor, Value};
use numpy::npyffi::{NPY_ARRAY_CARRAY, NpyTypes, PY_ARRAY_API, get_type_object, npy_intp};
use pyo3::prelude::*;
use smallvec::SmallVec;

use super::dtype::new_descr;
use super::pack::unpack;
use super::strings::strings_to_python;
use super::view::ArrayView;
use crate::composite;
use crate::errors_in::DoorError;
use crate::graveyard::PyOwner;

/// The `base` of an output array: gives the memory back when the last array over it is gone.
#[pyclass(frozen, module = "headway._core")]
struct OutputMemory {
    _owner: Owner,
}

/// True where numpy finds elements of this type aligned: for no type does it ask for more than its size.
fn is_aligned(addr: usize, dtype: DType) -> bool {
    addr.is_multiple_of((dtype.bits() / 8).max(1))
}

/// The Python object for an output. Takes the value, whose memory then lives as long as the array.
pub(crate) fn to_python(py: Python<'_>, value: Value) -> Result<Py<PyAny>, DoorError> {
    match value {
        Value::Tensor(tensor) => tensor_to_python(py, tensor).map(Bound::unbind),
        Value::Opaque(owner) => match owner.downcast_ref::<PyOwner>().and_then(PyOwner::object) {
            Some(object) => Ok(object.clone_ref(py)),
            None => composite::to_python(py, &owner),
        },
        Value::None => Ok(py.None()),
    }
}

/// An array that shares the tensor's memory, where elements lie in it as numpy has them.
pub(crate) fn shared<'py>(
    py: Python<'py>,
    tensor: &Tensor,
    writable: bool,
) -> Result<Bound<'py, PyAny>, DoorError> {
    let array = tensor_to_python(py, tensor.clone())?;
    if !writable {
        array.call_method1("setflags", (false,))?;
    }
    Ok(array)
}

fn tensor_to_python(py: Python<'_>, tensor: Tensor) -> Result<Bound<'_, PyAny>, DoorError> {
    let count = tensor.count();
    let Tensor { dtype, dims, data } = tensor;
    let memory = match data {
        Data::Strings(strings) => return strings_to_python(py, &dims, &strings),
        Data::Memory(memory) => memory,
    };
    let len = dtype.byte_len(count);
    if dtype.bits() == 0 || memory.len < len {
        return Err(wrong_size(dtype, &dims));
    }
    let addr = memory.addr;
    match memory.owner {
        Some(owner) if len > 0 && dtype.bits() >= 8 && is_aligned(addr, dtype) => {
            array_over(py, dtype, &dims, addr, owner)
        }
        owner => copied_out(py, dtype, &dims, &Memory { addr, len, owner }),
    }
}

/// An array over the owner's memory: nothing is copied.
fn array_over<'py>(
    py: Python<'py>,
    dtype: DType,
    dims: &Dims,
    addr: usize,
    owner: Owner,
) -> Result<Bound<'py, PyAny>, DoorError> {
    let held = owner.downcast_ref::<PyOwner>().and_then(PyOwner::object);
    let (base, writable) = match held {
        Some(object) => {
            let object = object.bind(py);
            (object.clone(), ArrayView::of(object).is_none_or(ArrayView::is_writable))
        }
        None => (Bound::new(py, OutputMemory { _owner: owner })?.into_any(), true),
    };
    let array = new_array(py, dtype, dims, addr)?;
    // SAFETY: the array is new and has no base; SetBaseObject takes the reference over, also when it fails.
    let status = unsafe { PY_ARRAY_API.PyArray_SetBaseObject(py, array.as_ptr().cast(), base.into_ptr()) };
    if status != 0 {
        return Err(PyErr::fetch(py).into());
    }
    if !writable {
        array.call_method1("setflags", (false,))?;
    }
    Ok(array)
}

/// An array with memory of numpy's own; strings get null objects.
pub(super) fn empty_array<'py>(
    py: Python<'py>,
    dtype: DType,
    dims: &Dims,
) -> Result<Bound<'py, PyAny>, DoorError> {
    new_array(py, dtype, dims, 0)
}

/// An array over `addr`, or over new memory when that is 0.
fn new_array<'py>(
    py: Python<'py>,
    dtype: DType,
    dims: &Dims,
    addr: usize,
) -> Result<Bound<'py, PyAny>, DoorError> {
    let shape: SmallVec<[npy_intp; 6]> = dims.iter().map(|&length| length as npy_intp).collect();
    let descr = new_descr(py, dtype)?;
    let flags = if addr == 0 { 0 } else { NPY_ARRAY_CARRAY };
    // SAFETY: NewFromDescr takes the descr over and copies the shape; memory of the caller's is long enough
    // and gets its base from the caller.
    unsafe {
        let array = PY_ARRAY_API.PyArray_NewFromDescr(
            py,
            get_type_object(py, NpyTypes::PyArray_Type),
            descr,
            shape.len() as i32,
            shape.as_ptr().cast_mut(),
            ptr::null_mut(),
            addr as *mut _,
            flags,
            ptr::null_mut(),
        );
        Ok(Bound::from_owned_ptr_or_err(py, array)?)
    }
}

/// An array with a copy: for memory without an owner, and for elements narrower than a byte.
fn copied_out<'py>(
    py: Python<'py>,
    dtype: DType,
    dims: &Dims,
    memory: &Memory,
) -> Result<Bound<'py, PyAny>, DoorError> {
    let array = empty_array(py, dtype, dims)?;
    let Some(view) = ArrayView::of(&array).filter(|_| memory.len > 0) else { return Ok(array) };
    // SAFETY: the value's memory is `memory.len` bytes, as the caller checked; the new array has at least as
    // many (one byte an element for the narrow types) and nobody else sees it yet.
    unsafe {
        let from = slice::from_raw_parts(memory.addr as *const u8, memory.len);
        if dtype.bits() < 8 {
            unpack(from, dtype.bits(), slice::from_raw_parts_mut(view.address() as *mut u8, view.count()));
        } else {
            ptr::copy_nonoverlapping(from.as_ptr(), view.address() as *mut u8, memory.len);
        }
    }
    Ok(array)
}

/// An engine gave fewer elements than its dimensions say.
#[cold]
pub(super) fn wrong_size(dtype: DType, dims: &Dims) -> DoorError {
    let message = format!("the engine gave a tensor({}){dims:?} with too little memory", dtype.as_str());
    Error::new(ErrorKind::Engine, message).into()
}
