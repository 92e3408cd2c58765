//! DLPack both ways: tensors shared with other libraries without a copy.

use std::ffi::{CStr, c_void};
use std::ptr;
use std::sync::Arc;

use headway_core::value::{DType, Data, Dims, Memory, Tensor};
use pyo3::exceptions::{PyBufferError, PyTypeError};
use pyo3::ffi;
use pyo3::prelude::*;

use super::held::Writable;
use super::memory::NOWHERE;
use crate::errors_in::{DoorError, misuse};
use crate::graveyard::PyOwner;

/// Devices whose memory the CPU reads: CPU, CUDA host, ROCm host, CUDA managed.
const READABLE: [i32; 4] = [1, 3, 11, 13];
/// This machine's own memory.
const CPU: i32 = 1;
/// In `Versioned::flags`: the consumer must not write.
const READ_ONLY: u64 = 1;

const PLAIN: &CStr = c"dltensor";
const PLAIN_USED: &CStr = c"used_dltensor";
const VERSIONED: &CStr = c"dltensor_versioned";
const VERSIONED_USED: &CStr = c"used_dltensor_versioned";

/// `DLTensor`
#[repr(C)]
struct View {
    data: *mut c_void,
    device_type: i32,
    device_id: i32,
    rank: i32,
    code: u8,
    bits: u8,
    lanes: u16,
    shape: *mut i64,
    strides: *mut i64,
    byte_offset: u64,
}

/// `DLManagedTensor`
#[repr(C)]
struct Managed {
    view: View,
    context: *mut c_void,
    deleter: Option<unsafe extern "C" fn(*mut Managed)>,
}

/// `DLManagedTensorVersioned`
#[repr(C)]
struct ManagedVersioned {
    major: u32,
    minor: u32,
    context: *mut c_void,
    deleter: Option<unsafe extern "C" fn(*mut ManagedVersioned)>,
    flags: u64,
    view: View,
}

/// DLPack's type codes, beside the bits, that this module knows.
const CODES: [(DType, u8); 20] = [
    (DType::I8, 0),
    (DType::I16, 0),
    (DType::I32, 0),
    (DType::I64, 0),
    (DType::U8, 1),
    (DType::U16, 1),
    (DType::U32, 1),
    (DType::U64, 1),
    (DType::F16, 2),
    (DType::F32, 2),
    (DType::F64, 2),
    (DType::BF16, 4),
    (DType::C64, 5),
    (DType::C128, 5),
    (DType::Bool, 6),
    (DType::F8E4M3FN, 10),
    (DType::F8E4M3FNUZ, 11),
    (DType::F8E5M2, 12),
    (DType::F8E5M2FNUZ, 13),
    (DType::F8E8M0, 14),
];

/// `(device type, device number)` of the CPU.
pub(crate) const CPU_DEVICE: (i32, i32) = (CPU, 0);

/// What a capsule of ours points at: everything that it names, in one box.
#[repr(C)]
struct Exported<T> {
    managed: T,
    _tensor: Tensor,
    dims: Dims,
    strides: Dims,
}

/// A capsule over the tensor's memory.
///
/// # Errors
/// `BufferError` for what DLPack has no word for: strings, packed elements, read-only memory without a version.
pub(crate) fn export(
    py: Python<'_>,
    tensor: &Tensor,
    writable: bool,
    versioned: bool,
) -> Result<Py<PyAny>, DoorError> {
    let code = CODES.iter().find(|(dtype, _)| *dtype == tensor.dtype);
    let (Some(&(_, code)), Data::Memory(memory)) = (code, &tensor.data) else {
        let text = format!("DLPack has no type for tensor({})", tensor.dtype.as_str());
        return Err(PyBufferError::new_err(text).into());
    };
    if !writable && !versioned {
        let text =
            "this OrtValue is over a read-only array, which only DLPack 1.0 can say: pass max_version=(1, 0)";
        return Err(PyBufferError::new_err(text).into());
    }
    let view = View {
        data: if memory.len == 0 { ptr::null_mut() } else { memory.addr as *mut c_void },
        device_type: CPU,
        device_id: 0,
        rank: tensor.dims.len() as i32,
        code,
        bits: tensor.dtype.bits() as u8,
        lanes: 1,
        shape: ptr::null_mut(),
        strides: ptr::null_mut(),
        byte_offset: 0,
    };
    if versioned {
        let flags = if writable { 0 } else { READ_ONLY };
        let context = ptr::null_mut();
        let deleter = Some(free::<ManagedVersioned> as unsafe extern "C" fn(*mut ManagedVersioned));
        capsule(py, ManagedVersioned { major: 1, minor: 0, context, deleter, flags, view }, tensor)
    } else {
        let deleter = Some(free::<Managed> as unsafe extern "C" fn(*mut Managed));
        capsule(py, Managed { view, context: ptr::null_mut(), deleter }, tensor)
    }
}

/// The two layouts, as far as both have the same parts.
trait Layout: Sized {
    const NAME: &'static CStr;
    const USED: &'static CStr;
    fn view(&mut self) -> &mut View;
    fn deleter(&self) -> Option<unsafe extern "C" fn(*mut Self)>;
    fn readable(&self) -> bool;
    fn writable(&self) -> bool;
}

impl Layout for Managed {
    const NAME: &'static CStr = PLAIN;
    const USED: &'static CStr = PLAIN_USED;
    fn view(&mut self) -> &mut View {
        &mut self.view
    }
    fn deleter(&self) -> Option<unsafe extern "C" fn(*mut Self)> {
        self.deleter
    }
    fn readable(&self) -> bool {
        true
    }
    fn writable(&self) -> bool {
        true
    }
}

impl Layout for ManagedVersioned {
    const NAME: &'static CStr = VERSIONED;
    const USED: &'static CStr = VERSIONED_USED;
    fn view(&mut self) -> &mut View {
        &mut self.view
    }
    fn deleter(&self) -> Option<unsafe extern "C" fn(*mut Self)> {
        self.deleter
    }
    fn readable(&self) -> bool {
        self.major == 1
    }
    fn writable(&self) -> bool {
        self.flags & READ_ONLY == 0
    }
}

fn capsule<T: Layout>(py: Python<'_>, managed: T, tensor: &Tensor) -> Result<Py<PyAny>, DoorError> {
    let dims = tensor.dims.clone();
    let strides = contiguous(&dims);
    let mut exported = Box::new(Exported { managed, _tensor: tensor.clone(), dims, strides });
    let (shape, strides) = (exported.dims.as_mut_ptr(), exported.strides.as_mut_ptr());
    let view = exported.managed.view();
    // Taken after the box was made: short dimensions lie inside it.
    (view.shape, view.strides) = (shape, strides);
    let raw = Box::into_raw(exported);
    // SAFETY: the managed part is the box's first field; the destructor is for just this layout.
    unsafe {
        let made = ffi::PyCapsule_New(raw.cast(), T::NAME.as_ptr(), Some(destroy::<T>));
        if made.is_null() {
            drop(Box::from_raw(raw));
        }
        Ok(Bound::from_owned_ptr_or_err(py, made)?.unbind())
    }
}

/// The deleter of our own: called once, on any thread, with the GIL or without.
unsafe extern "C" fn free<T: Layout>(managed: *mut T) {
    // SAFETY: `capsule` made this box, and its consumer gives it up here.
    drop(unsafe { Box::from_raw(managed.cast::<Exported<T>>()) });
}

/// A capsule goes; one that nobody consumed still has its name.
unsafe extern "C" fn destroy<T: Layout>(capsule: *mut ffi::PyObject) {
    // SAFETY: the interpreter calls this with a live capsule of ours; an exception on its way is kept, because
    // asking for a name that is not there would set another.
    unsafe {
        if ffi::PyCapsule_IsValid(capsule, T::NAME.as_ptr()) != 0 {
            free::<T>(ffi::PyCapsule_GetPointer(capsule, T::NAME.as_ptr()).cast());
        }
    }
}

fn contiguous(dims: &[i64]) -> Dims {
    let mut strides = Dims::from_elem(1, dims.len());
    for at in (1..dims.len()).rev() {
        strides[at - 1] = strides[at] * dims[at].max(1);
    }
    strides
}

/// Memory of another library, given back to it by the one that last needed it.
///
/// A Python object, so that it goes where the GIL is held: deleters may be Python code.
#[pyclass(frozen, module = "headway._core")]
struct Imported {
    managed: usize,
    delete: unsafe fn(usize),
}

impl Drop for Imported {
    fn drop(&mut self) {
        // SAFETY: `take` made this from a consumed capsule, whose memory is given back once, here.
        unsafe { (self.delete)(self.managed) };
    }
}

/// Calls a consumed tensor's own deleter.
///
/// # Safety
/// `managed` is the address of a consumed tensor of this layout, not deleted before.
unsafe fn delete<T: Layout>(managed: usize) {
    let managed = managed as *mut T;
    // SAFETY: the caller's promise.
    unsafe {
        if let Some(deleter) = (*managed).deleter() {
            deleter(managed);
        }
    }
}

/// A tensor over the memory of an object that has `__dlpack__`, or of a capsule.
pub(crate) fn import(data: &Bound<'_, PyAny>) -> Result<Writable, DoorError> {
    let was_bool = says_bool(data);
    let capsule = match data.getattr("__dlpack__") {
        Err(_) => data.clone(),
        Ok(method) => {
            check_device(data)?;
            let versions = pyo3::types::PyDict::new(data.py());
            versions.set_item("max_version", (1, 0))?;
            match method.call((), Some(&versions)) {
                // Older exporters do not know the argument.
                Err(raised) if raised.is_instance_of::<PyTypeError>(data.py()) => method.call0()?,
                answer => answer?,
            }
        }
    };
    let (mut tensor, writable) = consume(&capsule)?;
    // Before DLPack knew bool, exporters said uint8.
    if was_bool && tensor.dtype == DType::U8 {
        tensor.dtype = DType::Bool;
    }
    Ok((tensor, writable))
}

fn says_bool(data: &Bound<'_, PyAny>) -> bool {
    let Ok(dtype) = data.getattr("dtype") else { return false };
    let name = dtype.getattr("name").or_else(|_| Ok::<_, PyErr>(dtype.str()?.into_any()));
    let name = name.and_then(|name| name.extract::<String>());
    name.is_ok_and(|name| matches!(name.as_str(), "bool" | "bool_" | "torch.bool"))
}

fn check_device(data: &Bound<'_, PyAny>) -> Result<(), DoorError> {
    let Ok(device) = data.call_method0("__dlpack_device__") else { return Ok(()) };
    let (kind, id): (i32, i32) = device.extract()?;
    if READABLE.contains(&kind) { Ok(()) } else { Err(elsewhere(kind, id)) }
}

fn elsewhere(kind: i32, id: i32) -> DoorError {
    misuse(format!(
        "the data lies on another device (DLPack device type {kind}, number {id}); expected memory of the CPU: copy \
         it there first, for example with .cpu()"
    ))
}

fn consume(capsule: &Bound<'_, PyAny>) -> Result<Writable, DoorError> {
    let named = |name: &CStr| {
        // SAFETY: any object may be asked; one that is no capsule, or has another name, is not valid.
        unsafe { ffi::PyCapsule_IsValid(capsule.as_ptr(), name.as_ptr()) != 0 }
    };
    if named(VERSIONED) {
        return take::<ManagedVersioned>(capsule);
    }
    if named(PLAIN) {
        return take::<Managed>(capsule);
    }
    let text = format!(
        "from_dlpack expected an object with __dlpack__ or a DLPack capsule that nobody has used, got {}",
        capsule.get_type()
    );
    Err(PyTypeError::new_err(text).into())
}

fn take<T: Layout>(capsule: &Bound<'_, PyAny>) -> Result<Writable, DoorError> {
    let py = capsule.py();
    // SAFETY: the caller saw the name, so the pointer is to this layout, and it stays until its deleter is called.
    let managed = unsafe { &mut *ffi::PyCapsule_GetPointer(capsule.as_ptr(), T::NAME.as_ptr()).cast::<T>() };
    if !managed.readable() {
        return Err(PyBufferError::new_err("this DLPack capsule is of a newer major version than 1").into());
    }
    let writable = managed.writable();
    let (dtype, dims, addr) = read(managed.view())?;
    let len = dtype.byte_len(dims.iter().map(|&dim| usize::try_from(dim).unwrap_or(0)).product());
    let address = ptr::from_mut(managed) as usize;
    let imported = Bound::new(py, Imported { managed: address, delete: delete::<T> })?;
    // SAFETY: a live capsule and a static name. From here on `imported` deletes the tensor, and nobody else does.
    if unsafe { ffi::PyCapsule_SetName(capsule.as_ptr(), T::USED.as_ptr()) } != 0 {
        std::mem::forget(imported);
        return Err(PyErr::fetch(py).into());
    }
    let owner = Some(Arc::new(PyOwner::new(imported.into_any().unbind())) as _);
    let addr = if len == 0 { NOWHERE } else { addr };
    Ok((Tensor { dtype, dims, data: Data::Memory(Memory { addr, len, owner }) }, writable))
}

/// Type, shape and address of a tensor that an engine can read as it lies.
fn read(view: &View) -> Result<(DType, Dims, usize), DoorError> {
    if !READABLE.contains(&view.device_type) {
        return Err(elsewhere(view.device_type, view.device_id));
    }
    let known = |(dtype, code): &(DType, u8)| {
        *code == view.code && dtype.bits() == usize::from(view.bits) && view.lanes == 1
    };
    let Some(&(dtype, _)) = CODES.iter().find(|entry| known(entry)) else {
        let (code, bits, lanes) = (view.code, view.bits, view.lanes);
        return Err(misuse(format!(
            "DLPack type code {code} with {bits} bits and {lanes} lanes is no type that a model can have"
        )));
    };
    let rank = usize::try_from(view.rank).unwrap_or(0);
    let list = |pointer: *mut i64| {
        if rank == 0 || pointer.is_null() {
            return &[][..];
        }
        // SAFETY: DLPack keeps `rank` numbers at both pointers, unless it leaves them null.
        unsafe { std::slice::from_raw_parts(pointer, rank) }
    };
    let dims = Dims::from_slice(list(view.shape));
    let (strides, wanted) = (list(view.strides), contiguous(&dims));
    let empty = dims.contains(&0);
    let in_order =
        strides.iter().zip(&wanted).zip(&dims).all(|((has, wants), &dim)| dim == 1 || has == wants);
    if !in_order && !empty {
        return Err(misuse("only contiguous tensors can be shared: make it contiguous first"));
    }
    let addr = view.data as usize + usize::try_from(view.byte_offset).unwrap_or(0);
    let align = (dtype.bits() / 8).min(8);
    if !empty && !addr.is_multiple_of(align) {
        return Err(misuse("the tensor's memory is not aligned for its type: copy it first"));
    }
    Ok((dtype, dims, addr))
}
