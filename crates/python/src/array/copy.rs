//! Copies of an array's elements into memory of Headway's own.

use std::{ptr, slice};

use headway_core::value::{DType, Memory};
use numpy::npyffi::{
    NPY_ARRAY_CARRAY, NPY_ARRAY_CARRAY_RO, NPY_ARRAY_NOTSWAPPED, NpyTypes, PY_ARRAY_API, get_type_object,
};
use pyo3::ffi;
use pyo3::prelude::*;

use super::memory::{Alloc, block};
use super::pack::pack;
use super::view::ArrayView;
use crate::errors_in::DoorError;

/// Longer copies are made detached, so that other Python threads go on meanwhile.
const DETACH_ABOVE: usize = 64 * 1024;

/// A copy in the form that engines read: C order, this machine's byte order, narrow elements packed.
pub(super) fn copied(view: ArrayView<'_, '_>, dtype: DType, alloc: Alloc<'_>) -> Result<Memory, DoorError> {
    let memory = block(alloc, dtype.byte_len(view.count()))?;
    fill(view, dtype, &memory)?;
    Ok(memory)
}

/// A copy of memory that an engine or an `OrtValue` has.
pub(super) fn copied_memory(from: &Memory, alloc: Alloc<'_>) -> Result<Memory, DoorError> {
    let memory = block(alloc, from.len)?;
    fill_from(from, &memory);
    Ok(memory)
}

/// Writes the memory's bytes over the target's.
pub(super) fn fill_from(from: &Memory, to: &Memory) {
    let len = from.len.min(to.len);
    if len > 0 {
        // SAFETY: both have `len` bytes; they may be the same memory.
        unsafe { ptr::copy(from.addr as *const u8, to.addr as *mut u8, len) };
    }
}

/// Writes the array's elements, of this type, over memory that is just long enough for them.
pub(super) fn fill(view: ArrayView<'_, '_>, dtype: DType, memory: &Memory) -> Result<(), DoorError> {
    let count = view.count();
    if memory.len == 0 {
        return Ok(());
    }
    if dtype.bits() < 8 {
        return fill_packed(view, count, dtype, memory);
    }
    if view.is_plain() {
        fill_plain(view, memory);
        return Ok(());
    }
    fill_converted(view, memory)
}

/// Copies plain elements as they lie.
fn fill_plain(view: ArrayView<'_, '_>, memory: &Memory) {
    let (from, to, len) = (view.address(), memory.addr, memory.len);
    let copy = move || {
        // SAFETY: the array is plain and has `len` bytes, and so has the target; they may be the same memory.
        unsafe { ptr::copy(from as *const u8, to as *mut u8, len) }
    };
    if len <= DETACH_ABOVE {
        return copy();
    }
    // Another thread may drop the caller's last reference while this one is detached.
    let held = view.object().to_owned();
    view.py().detach(copy);
    drop(held);
}

/// Lets numpy copy what is strided, misaligned or in the other byte order.
fn fill_converted(view: ArrayView<'_, '_>, memory: &Memory) -> Result<(), DoorError> {
    let py = view.py();
    // SAFETY: the block has room for the array's elements and outlives `target`, to which nobody else
    // gets a reference; NewFromDescr takes the descr over, and numpy checks what it copies.
    let status = unsafe {
        let descr = native_descr(view);
        let shape = view.shape();
        let target = PY_ARRAY_API.PyArray_NewFromDescr(
            py,
            get_type_object(py, NpyTypes::PyArray_Type),
            descr,
            shape.len() as i32,
            shape.as_ptr().cast_mut(),
            ptr::null_mut(),
            memory.addr as *mut _,
            NPY_ARRAY_CARRAY,
            ptr::null_mut(),
        );
        let target = Bound::from_owned_ptr_or_err(py, target)?;
        PY_ARRAY_API.PyArray_CopyInto(py, target.as_ptr().cast(), view.as_array_ptr())
    };
    if status == 0 { Ok(()) } else { Err(PyErr::fetch(py).into()) }
}

/// A new reference to the array's own dtype in this machine's byte order.
///
/// # Safety
/// The result must be given to a function that takes it over.
unsafe fn native_descr(view: ArrayView<'_, '_>) -> *mut numpy::npyffi::PyArray_Descr {
    let descr = view.descr();
    // SAFETY: the descr is alive as long as its array.
    unsafe {
        if view.is_swapped() {
            return PY_ARRAY_API.PyArray_DescrNewByteorder(view.py(), descr, b'=' as _);
        }
        ffi::Py_INCREF(descr.cast());
    }
    descr
}

/// Packs elements that numpy keeps one to a byte.
fn fill_packed(
    view: ArrayView<'_, '_>,
    count: usize,
    dtype: DType,
    memory: &Memory,
) -> Result<(), DoorError> {
    let plain = if view.is_plain() { None } else { Some(made_plain(view)?) };
    let from = plain.as_ref().and_then(ArrayView::of).map_or(view.address(), ArrayView::address);
    let (to, len) = (memory.addr, memory.len);
    // SAFETY: a plain array of these types has one byte an element; the block is ours alone and has `len` bytes.
    let (elements, out) = unsafe {
        (slice::from_raw_parts(from as *const u8, count), slice::from_raw_parts_mut(to as *mut u8, len))
    };
    if count <= DETACH_ABOVE {
        pack(elements, dtype.bits(), out);
        return Ok(());
    }
    let held = view.object().to_owned();
    view.py().detach(move || pack(elements, dtype.bits(), out));
    drop(held);
    Ok(())
}

/// A new array with the same elements, plain.
pub(super) fn made_plain<'py>(view: ArrayView<'_, 'py>) -> PyResult<Bound<'py, PyAny>> {
    let py = view.py();
    // SAFETY: FromArray takes the descr over and gives a new array, or null with an exception set.
    unsafe {
        let flags = NPY_ARRAY_CARRAY_RO | NPY_ARRAY_NOTSWAPPED;
        let array = PY_ARRAY_API.PyArray_FromArray(py, view.as_array_ptr(), native_descr(view), flags);
        Bound::from_owned_ptr_or_err(py, array)
    }
}
