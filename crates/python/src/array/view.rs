//! An ndarray's own fields, read without a Python call.

use std::ffi::c_int;
use std::slice;

use headway_core::value::DType;
use numpy::npyffi::{
    _PyArray_GET_ITEM_DATA, _PyDataType_GET_ITEM_DATA, NPY_ARRAY_ALIGNED, NPY_ARRAY_C_CONTIGUOUS,
    NPY_ARRAY_WRITEABLE, NpyTypes, PyArray_Check, PyArray_Descr, PyArray_Descr_fields, PyArrayObject,
    PyArrayObject_fields, get_type_object, npy_intp,
};
use pyo3::prelude::*;
use pyo3::{Borrowed, ffi};

use super::dtype;

/// The byte order character of an array that this machine cannot read as it is.
const SWAPPED: u8 = if cfg!(target_endian = "little") { b'>' } else { b'<' };

/// An ndarray (or subclass), seen through its C fields.
///
/// The fields hold still while this thread stays attached and runs no Python code. Without a GIL they do for as long as
/// no other thread gives the array another shape or type in place: as for NumPy's own functions, that is the program's duty.
#[derive(Clone, Copy)]
pub(super) struct ArrayView<'a, 'py> {
    array: Borrowed<'a, 'py, PyAny>,
}

impl<'a, 'py> ArrayView<'a, 'py> {
    /// The view, if this is an ndarray.
    #[inline]
    pub(super) fn of(object: &'a Bound<'py, PyAny>) -> Option<Self> {
        let py = object.py();
        // SAFETY: both are plain reads of live type pointers while attached.
        let is_array = unsafe {
            ffi::Py_TYPE(object.as_ptr()) == get_type_object(py, NpyTypes::PyArray_Type)
                || PyArray_Check(py, object.as_ptr()) != 0
        };
        is_array.then(|| ArrayView { array: object.as_borrowed() })
    }

    /// The object itself.
    pub(super) fn object(self) -> Borrowed<'a, 'py, PyAny> {
        self.array
    }

    pub(super) fn py(self) -> Python<'py> {
        self.array.py()
    }

    pub(super) fn as_array_ptr(self) -> *mut PyArrayObject {
        self.array.as_ptr().cast()
    }

    #[inline]
    fn fields(self) -> *const PyArrayObject_fields {
        // SAFETY: `of` checked the type, so the object has these fields.
        unsafe { _PyArray_GET_ITEM_DATA(self.as_array_ptr()) }
    }

    #[inline]
    pub(super) fn descr(self) -> *mut PyArray_Descr {
        // SAFETY: as in `fields`.
        unsafe { (*self.fields()).descr }
    }

    #[inline]
    fn descr_fields(self) -> *const PyArray_Descr_fields {
        // SAFETY: an array always has a descr.
        unsafe { _PyDataType_GET_ITEM_DATA(self.descr()) }
    }

    #[inline]
    pub(super) fn type_num(self) -> c_int {
        // SAFETY: as in `descr_fields`.
        unsafe { (*self.descr_fields()).type_num }
    }

    /// The address of the scalar type's object: what tells the `ml_dtypes` types apart.
    pub(super) fn scalar_type(self) -> usize {
        // SAFETY: as in `descr_fields`.
        unsafe { (*self.descr_fields()).typeobj as usize }
    }

    /// The element type, if a model can have it.
    #[inline]
    pub(super) fn dtype(self) -> Option<DType> {
        dtype::of_builtin(self.type_num()).or_else(|| dtype::of_extension(self))
    }

    /// True when the elements lie in the other byte order.
    #[inline]
    pub(super) fn is_swapped(self) -> bool {
        // SAFETY: as in `descr_fields`.
        unsafe { (*self.descr_fields()).byteorder as u8 == SWAPPED }
    }

    /// True when the memory can be handed to an engine as it is: in C order, aligned, this machine's byte order.
    #[inline]
    pub(super) fn is_plain(self) -> bool {
        const GOOD: c_int = NPY_ARRAY_C_CONTIGUOUS | NPY_ARRAY_ALIGNED;
        // SAFETY: as in `fields`.
        let flags = unsafe { (*self.fields()).flags };
        flags & GOOD == GOOD && !self.is_swapped()
    }

    /// True when the program may write to it.
    pub(super) fn is_writable(self) -> bool {
        // SAFETY: as in `fields`.
        unsafe { (*self.fields()).flags & NPY_ARRAY_WRITEABLE != 0 }
    }

    /// Where the first element lies.
    #[inline]
    pub(super) fn address(self) -> usize {
        // SAFETY: as in `fields`.
        unsafe { (*self.fields()).data as usize }
    }

    /// The lengths of the dimensions. Valid until Python code runs.
    #[inline]
    pub(super) fn shape(self) -> &'a [npy_intp] {
        // SAFETY: numpy keeps `nd` lengths at `dimensions`, which is null for `nd == 0` only.
        unsafe {
            let fields = self.fields();
            let rank = usize::try_from((*fields).nd).unwrap_or(0);
            if rank == 0 { &[] } else { slice::from_raw_parts((*fields).dimensions, rank) }
        }
    }

    /// How many elements there are.
    #[inline]
    pub(super) fn count(self) -> usize {
        self.shape().iter().map(|&length| length as usize).product()
    }
}

/// True for an ndarray or a subclass of it.
pub(crate) fn is_array(object: &Bound<'_, PyAny>) -> bool {
    ArrayView::of(object).is_some()
}

/// Looks NumPy's C functions up, which every other use here takes from the cell that this fills.
///
/// # Errors
/// `ImportError` when NumPy cannot be imported.
pub(crate) fn load_numpy(py: Python<'_>) -> PyResult<()> {
    // rust-numpy panics where the import fails.
    py.import("numpy")?;
    // SAFETY: a plain read of a table; `PyArray_Type` is in it since the first NumPy.
    let _ = unsafe { get_type_object(py, NpyTypes::PyArray_Type) };
    Ok(())
}
