//! Objects that are not ndarrays, turned into one by numpy: numbers, lists, DLPack, buffers, `__array__`.

use headway_core::value::DType;
use numpy::npyffi::{NpyTypes, PyArray_Descr, get_type_object};
use pyo3::exceptions::{PyMemoryError, PyRecursionError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{
    PyBytes, PyComplex, PyDict, PyFloat, PyInt, PyList, PyMemoryView, PyRange, PyString, PyTuple,
};

use super::check::wrong_dtype;
use super::dtype::{is_extension, is_loaded, new_descr, numpy_name};
use super::view::ArrayView;
use crate::errors_in::{DoorError, bad_input};

/// DLPack devices whose memory the CPU reads: CPU, CUDA host, ROCm host, CUDA managed.
const READABLE_DEVICES: [i32; 4] = [1, 3, 11, 13];

/// An array made from another object.
pub(super) struct Found<'py> {
    pub(super) array: Bound<'py, PyAny>,
    /// True when its memory is new, so that nobody can change it.
    pub(super) fresh: bool,
}

/// The object as an ndarray. Python numbers, which have no dtype of their own, take the model's.
pub(super) fn to_array<'py>(
    py: Python<'py>,
    object: &Bound<'py, PyAny>,
    name: &str,
    wanted: DType,
) -> Result<Found<'py>, DoorError> {
    if is_numpy_scalar(object) {
        return Ok(Found { array: as_array(object, name)?, fresh: true });
    }
    if is_python_value(object) {
        if wanted != DType::String && object.is_instance_of::<PyBytes>() {
            return Ok(Found { array: as_array(PyMemoryView::from(object)?.as_any(), name)?, fresh: false });
        }
        let array =
            if wanted == DType::String { strings(object, name)? } else { numbers(object, name, wanted)? };
        return Ok(Found { array, fresh: true });
    }
    if object.hasattr("__dlpack__")? && object.hasattr("__dlpack_device__")? {
        return Ok(Found { array: from_dlpack(py, object, name)?, fresh: false });
    }
    if exports_array(object)? {
        return Ok(Found { array: as_array(object, name)?, fresh: false });
    }
    let kind = object.get_type();
    Err(bad_input(format!("input '{name}': cannot read an object of type {kind}; pass a numpy array")))
}

fn is_numpy_scalar(object: &Bound<'_, PyAny>) -> bool {
    // SAFETY: both are live type pointers while attached.
    unsafe {
        let generic = get_type_object(object.py(), NpyTypes::PyGenericArrType_Type);
        ffi::PyObject_TypeCheck(object.as_ptr(), generic) != 0
    }
}

/// Lists and numbers: what has elements but no dtype.
fn is_python_value(object: &Bound<'_, PyAny>) -> bool {
    object.is_instance_of::<PyList>()
        || object.is_instance_of::<PyTuple>()
        || object.is_instance_of::<PyInt>()
        || object.is_instance_of::<PyFloat>()
        || object.is_instance_of::<PyComplex>()
        || object.is_instance_of::<PyString>()
        || object.is_instance_of::<PyBytes>()
        || object.is_instance_of::<PyRange>()
}

fn exports_array(object: &Bound<'_, PyAny>) -> PyResult<bool> {
    // SAFETY: a plain look at the type's slots.
    let has_buffer = unsafe { ffi::PyObject_CheckBuffer(object.as_ptr()) } != 0;
    for name in ["__array__", "__array_interface__", "__array_struct__"] {
        if object.hasattr(name)? {
            return Ok(true);
        }
    }
    Ok(has_buffer)
}

fn numpy(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    Ok(py.import("numpy")?.into_any())
}

fn as_array<'py>(object: &Bound<'py, PyAny>, name: &str) -> Result<Bound<'py, PyAny>, DoorError> {
    let made = numpy(object.py())?.call_method1("asarray", (object,));
    made.map_err(|reason| refused(object, name, reason))
}

/// Says that numpy could not read it; what is no fault of the object stays what it was.
fn refused(object: &Bound<'_, PyAny>, name: &str, reason: PyErr) -> DoorError {
    let py = object.py();
    if !reason.is_instance_of::<pyo3::exceptions::PyException>(py)
        || reason.is_instance_of::<PyMemoryError>(py)
        || reason.is_instance_of::<PyRecursionError>(py)
    {
        return reason.into();
    }
    bad_input(format!("input '{name}': cannot read {} as an array: {}", object.get_type(), reason.value(py)))
}

/// Strings stay objects: numpy's own str arrays would cut trailing NULs and turn numbers into text.
fn strings<'py>(object: &Bound<'py, PyAny>, name: &str) -> Result<Bound<'py, PyAny>, DoorError> {
    objects(object).map_err(|reason| refused(object, name, reason))
}

/// Python numbers in the model's dtype: floats rounded to it, whole numbers exactly or not at all.
fn numbers<'py>(
    object: &Bound<'py, PyAny>,
    name: &str,
    wanted: DType,
) -> Result<Bound<'py, PyAny>, DoorError> {
    let py = object.py();
    let natural = as_array(object, name)?;
    let Some(view) = ArrayView::of(&natural) else { return Ok(natural) };
    let actual = view.dtype();
    if actual == Some(wanted) {
        return Ok(natural);
    }
    let complex = |dtype| matches!(dtype, DType::C64 | DType::C128);
    let Some(actual) = actual.filter(|&dtype| dtype != DType::String && (complex(wanted) || !complex(dtype)))
    else {
        return Err(wrong_dtype(name, view, wanted));
    };
    if is_extension(wanted) && !is_loaded(py, wanted) {
        let wanted = numpy_name(wanted);
        return Err(bad_input(format!(
            "input '{name}': pass a numpy array of dtype ml_dtypes.{wanted}, not a list"
        )));
    }
    if !is_whole(wanted) {
        return cast(&natural, wanted);
    }
    whole_numbers(object, &natural, wanted)?.ok_or_else(|| {
        let (actual, wanted) = (numpy_name(actual), numpy_name(wanted));
        bad_input(format!("input '{name}': these {actual} values do not all fit into {wanted}"))
    })
}

/// The values as whole numbers of the wanted type, or nothing when that would change one.
fn whole_numbers<'py>(
    object: &Bound<'py, PyAny>,
    natural: &Bound<'py, PyAny>,
    wanted: DType,
) -> Result<Option<Bound<'py, PyAny>>, DoorError> {
    if natural.getattr("dtype")?.getattr("kind")?.eq("f")? {
        // Floats, or whole numbers too far apart for one integer type: only Python's own numbers are exact.
        let originals = objects(object)?;
        let Ok(converted) = cast(&originals, wanted) else { return Ok(None) };
        return Ok(equal(&originals, &objects(&converted)?)?.then_some(converted));
    }
    let converted = cast(natural, wanted)?;
    let same = if is_extension(wanted) {
        // numpy compares these only among themselves; they are so narrow that the way back hides no loss.
        equal(natural, &converted.call_method1("astype", (natural.getattr("dtype")?,))?)?
    } else {
        equal(natural, &converted)?
    };
    Ok(same.then_some(converted))
}

fn is_whole(dtype: DType) -> bool {
    use DType::{Bool, I2, I4, I8, I16, I32, I64, U2, U4, U8, U16, U32, U64};
    matches!(dtype, Bool | I2 | I4 | I8 | I16 | I32 | I64 | U2 | U4 | U8 | U16 | U32 | U64)
}

/// `array.astype(wanted)` without numpy's warnings: the caller compares.
fn cast<'py>(array: &Bound<'py, PyAny>, wanted: DType) -> Result<Bound<'py, PyAny>, DoorError> {
    let py = array.py();
    let descr: *mut PyArray_Descr = new_descr(py, wanted)?;
    // SAFETY: `new_descr` gives a new reference to a live object.
    let descr = unsafe { Bound::from_owned_ptr(py, descr.cast()) };
    let silence = PyDict::new(py);
    silence.set_item("all", "ignore")?;
    let quiet = numpy(py)?.call_method("errstate", (), Some(&silence))?;
    quiet.call_method0("__enter__")?;
    let made = array.call_method1("astype", (descr,));
    quiet.call_method1("__exit__", (py.None(), py.None(), py.None()))?;
    Ok(made?)
}

fn equal(one: &Bound<'_, PyAny>, other: &Bound<'_, PyAny>) -> PyResult<bool> {
    numpy(one.py())?.call_method1("array_equal", (one, other))?.is_truthy()
}

/// An array of the Python objects themselves.
fn objects<'py>(object: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = object.py();
    let options = PyDict::new(py);
    options.set_item("dtype", py.get_type::<PyAny>())?;
    numpy(py)?.call_method("array", (object,), Some(&options))
}

fn from_dlpack<'py>(
    py: Python<'py>,
    object: &Bound<'py, PyAny>,
    name: &str,
) -> Result<Bound<'py, PyAny>, DoorError> {
    let (kind, id): (i32, i32) = object.call_method0("__dlpack_device__")?.extract()?;
    if !READABLE_DEVICES.contains(&kind) {
        return Err(bad_input(format!(
            "input '{name}': it lies on another device (DLPack device type {kind}, number {id}); \
             expected memory of the CPU: copy it there first, for example with .cpu()"
        )));
    }
    match numpy(py)?.call_method1("from_dlpack", (object,)) {
        Ok(array) => Ok(array),
        // numpy's DLPack knows fewer types than numpy; the object's own conversion may know this one.
        Err(_) if exports_array(object)? => as_array(object, name),
        Err(reason) => Err(refused(object, name, reason)),
    }
}
