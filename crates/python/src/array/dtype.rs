//! Element types: numpy's and `ml_dtypes`' against the model's.

use std::ffi::{c_int, c_long};
use std::sync::OnceLock;

use headway_core::error::{Error, ErrorKind};
use headway_core::value::DType;
use numpy::npyffi::{NPY_TYPES, PY_ARRAY_API, PyArray_Descr};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyInt};

use super::view::ArrayView;
use crate::errors_in::{DoorError, misuse};
use crate::once::cached;

/// numpy's number of the strings of variable length (`numpy.dtypes.StringDType`).
pub(super) const VSTRING: c_int = 2056;

const fn c_long_type(signed: bool) -> DType {
    match (signed, size_of::<c_long>()) {
        (true, 8) => DType::I64,
        (false, 8) => DType::U64,
        (true, _) => DType::I32,
        (false, _) => DType::U32,
    }
}

/// By numpy's type number. Objects, bytes and str all may hold a model's strings.
const BUILTIN: [Option<DType>; 24] = {
    let mut table = [None; 24];
    table[NPY_TYPES::NPY_BOOL as usize] = Some(DType::Bool);
    table[NPY_TYPES::NPY_BYTE as usize] = Some(DType::I8);
    table[NPY_TYPES::NPY_UBYTE as usize] = Some(DType::U8);
    table[NPY_TYPES::NPY_SHORT as usize] = Some(DType::I16);
    table[NPY_TYPES::NPY_USHORT as usize] = Some(DType::U16);
    table[NPY_TYPES::NPY_INT as usize] = Some(DType::I32);
    table[NPY_TYPES::NPY_UINT as usize] = Some(DType::U32);
    table[NPY_TYPES::NPY_LONG as usize] = Some(c_long_type(true));
    table[NPY_TYPES::NPY_ULONG as usize] = Some(c_long_type(false));
    table[NPY_TYPES::NPY_LONGLONG as usize] = Some(DType::I64);
    table[NPY_TYPES::NPY_ULONGLONG as usize] = Some(DType::U64);
    table[NPY_TYPES::NPY_FLOAT as usize] = Some(DType::F32);
    table[NPY_TYPES::NPY_DOUBLE as usize] = Some(DType::F64);
    table[NPY_TYPES::NPY_CFLOAT as usize] = Some(DType::C64);
    table[NPY_TYPES::NPY_CDOUBLE as usize] = Some(DType::C128);
    table[NPY_TYPES::NPY_OBJECT as usize] = Some(DType::String);
    table[NPY_TYPES::NPY_STRING as usize] = Some(DType::String);
    table[NPY_TYPES::NPY_UNICODE as usize] = Some(DType::String);
    table[NPY_TYPES::NPY_HALF as usize] = Some(DType::F16);
    table
};

/// The model's type for one of numpy's own.
#[inline]
pub(super) fn of_builtin(type_num: c_int) -> Option<DType> {
    let index = usize::try_from(type_num).ok()?;
    BUILTIN.get(index).copied().flatten()
}

/// The type that a program names: ONNX's number of it, or whatever numpy knows as a dtype.
pub(crate) fn dtype_of(named: &Bound<'_, PyAny>) -> Result<DType, DoorError> {
    if named.is_instance_of::<PyInt>() {
        let found = named.extract::<i32>().ok().and_then(DType::from_onnx);
        return found.ok_or_else(|| misuse(format!("tensor type {named} is not supported")));
    }
    let empty = named.py().import("numpy")?.call_method1("empty", (0, named))?;
    let dtype = ArrayView::of(&empty).and_then(ArrayView::dtype);
    dtype.ok_or_else(|| misuse(format!("{named} is no type that a model can have")))
}

/// The model's type for numpy's `StringDType` and the types of `ml_dtypes`, which is never imported for this:
/// an array of such a type can only exist when it was.
pub(super) fn of_extension(view: ArrayView<'_, '_>) -> Option<DType> {
    if view.type_num() == VSTRING {
        return Some(DType::String);
    }
    let scalar_type = view.scalar_type();
    loaded_extensions(view.py())?
        .iter()
        .find(|(class, _)| class.as_ptr() as usize == scalar_type)
        .map(|(_, dtype)| *dtype)
}

/// The types of `ml_dtypes` that a model can have; `numpy_name` is their name there.
const EXTENSIONS: [DType; 11] = [
    DType::BF16,
    DType::F8E4M3FN,
    DType::F8E4M3FNUZ,
    DType::F8E5M2,
    DType::F8E5M2FNUZ,
    DType::U4,
    DType::I4,
    DType::F4E2M1,
    DType::U2,
    DType::I2,
    DType::F8E8M0,
];

/// True for the types that only `ml_dtypes` gives to numpy.
pub(super) fn is_extension(dtype: DType) -> bool {
    EXTENSIONS.contains(&dtype)
}

type Extensions = Vec<(Py<PyAny>, DType)>;

/// The scalar types of `ml_dtypes`, once the program has imported it. The references are kept for good,
/// so that an address stays the name of its type.
fn loaded_extensions(py: Python<'_>) -> Option<&'static Extensions> {
    static LOADED: OnceLock<Extensions> = OnceLock::new();
    if let Some(known) = LOADED.get() {
        return Some(known);
    }
    let modules = py.import("sys").ok()?.getattr("modules").ok()?.cast_into::<PyDict>().ok()?;
    let module = modules.get_item("ml_dtypes").ok().flatten()?;
    // An older ml_dtypes lacks some; then no array can be of that type.
    let class = |dtype| module.getattr(numpy_name(dtype)).ok().map(Bound::unbind);
    let classes = || Ok(EXTENSIONS.iter().filter_map(|&dtype| Some((class(dtype)?, dtype))).collect());
    cached(py, &LOADED, classes).ok()
}

/// True when the program has imported the `ml_dtypes` type.
pub(super) fn is_loaded(py: Python<'_>, dtype: DType) -> bool {
    loaded_extensions(py).is_some_and(|known| known.iter().any(|&(_, loaded)| loaded == dtype))
}

/// numpy's number for a type of its own.
fn builtin_number(dtype: DType) -> Option<c_int> {
    let number = match dtype {
        DType::Bool => NPY_TYPES::NPY_BOOL,
        DType::I8 => NPY_TYPES::NPY_BYTE,
        DType::U8 => NPY_TYPES::NPY_UBYTE,
        DType::I16 => NPY_TYPES::NPY_SHORT,
        DType::U16 => NPY_TYPES::NPY_USHORT,
        DType::I32 => NPY_TYPES::NPY_INT,
        DType::U32 => NPY_TYPES::NPY_UINT,
        // Of two types of one size numpy prefers `long`; `dtype('int64').num` is its number.
        DType::I64 if size_of::<c_long>() == 8 => NPY_TYPES::NPY_LONG,
        DType::U64 if size_of::<c_long>() == 8 => NPY_TYPES::NPY_ULONG,
        DType::I64 => NPY_TYPES::NPY_LONGLONG,
        DType::U64 => NPY_TYPES::NPY_ULONGLONG,
        DType::F16 => NPY_TYPES::NPY_HALF,
        DType::F32 => NPY_TYPES::NPY_FLOAT,
        DType::F64 => NPY_TYPES::NPY_DOUBLE,
        DType::C64 => NPY_TYPES::NPY_CFLOAT,
        DType::C128 => NPY_TYPES::NPY_CDOUBLE,
        DType::String => NPY_TYPES::NPY_OBJECT,
        _ => return None,
    };
    Some(number as c_int)
}

/// A new reference to numpy's dtype object for `dtype`; strings are objects.
#[inline]
pub(super) fn new_descr(py: Python<'_>, dtype: DType) -> Result<*mut PyArray_Descr, DoorError> {
    match builtin_number(dtype) {
        // SAFETY: the number is one of numpy's own, so this gives a new reference and cannot fail.
        Some(number) => Ok(unsafe { PY_ARRAY_API.PyArray_DescrFromType(py, number) }),
        None => {
            let descr = extension_descr(py, dtype)?.as_ptr();
            // SAFETY: the object is alive: it is kept in a static.
            unsafe { ffi::Py_INCREF(descr) };
            Ok(descr.cast())
        }
    }
}

/// The dtype object of an `ml_dtypes` type. Making one is what needs the package.
fn extension_descr(py: Python<'_>, dtype: DType) -> Result<&'static Py<PyAny>, DoorError> {
    static MADE: [OnceLock<Py<PyAny>>; EXTENSIONS.len()] = [const { OnceLock::new() }; EXTENSIONS.len()];
    let index = EXTENSIONS.iter().position(|&known| known == dtype).unwrap_or(0);
    let make = || {
        let class = py.import("ml_dtypes")?.getattr(numpy_name(dtype))?;
        Ok(py.import("numpy")?.getattr("dtype")?.call1((class,))?.unbind())
    };
    cached(py, &MADE[index], make).map_err(|reason| missing_extension(dtype, &reason))
}

fn missing_extension(dtype: DType, reason: &PyErr) -> DoorError {
    let message = format!(
        "an array of tensor({}) needs ml_dtypes.{}: {reason}; install it with: pip install \"headway[dtypes]\"",
        dtype.as_str(),
        numpy_name(dtype),
    );
    Error::new(ErrorKind::Load, message).into()
}

/// The name by which numpy or `ml_dtypes` knows this type.
pub(super) fn numpy_name(dtype: DType) -> &'static str {
    match dtype {
        DType::F32 => "float32",
        DType::F64 => "float64",
        DType::String => "str",
        DType::BF16 => "bfloat16",
        DType::F8E4M3FN => "float8_e4m3fn",
        DType::F8E4M3FNUZ => "float8_e4m3fnuz",
        DType::F8E5M2 => "float8_e5m2",
        DType::F8E5M2FNUZ => "float8_e5m2fnuz",
        DType::F4E2M1 => "float4_e2m1fn",
        DType::F8E8M0 => "float8_e8m0fnu",
        other => other.as_str(),
    }
}
