//! One input: any object that holds numbers or strings, as the value that the model wants.

use std::sync::Arc;

use headway_core::engine::Dim;
use headway_core::value::{DType, Data, Dims, Memory, Tensor, Value};
use pyo3::prelude::*;
use smallvec::SmallVec;

use super::check::{shape_fits, wrong_dtype, wrong_shape, wrong_type};
use super::copy::{copied, copied_memory};
use super::foreign::to_array;
use super::memory::{Alloc, How};
use super::strings::read_strings;
use super::view::ArrayView;
use crate::errors_in::{DoorError, bad_input};
use crate::facts::Held;
use crate::graveyard::PyOwner;
use crate::ortvalue::OrtValue;

/// A tensor that the model wants.
pub(crate) struct Wanted<'a> {
    /// Whose errors are named by this.
    pub(crate) name: &'a str,
    /// Element type.
    pub(crate) dtype: DType,
    /// Shape; `None` for any.
    pub(crate) dims: Option<&'a [Dim]>,
}

/// Reads one input that is a tensor; anything else is the caller's business. `alloc` is asked only when something
/// is copied.
pub(crate) fn read_input(
    py: Python<'_>,
    object: &Bound<'_, PyAny>,
    wanted: &Wanted<'_>,
    how: How,
    alloc: Alloc<'_>,
) -> Result<Value, DoorError> {
    if let Some(view) = ArrayView::of(object) {
        return wanted.read(view, how, alloc);
    }
    if let Ok(value) = object.cast::<OrtValue>() {
        return wanted.take(value.get(), how, alloc);
    }
    let found = to_array(py, object, wanted.name, wanted.dtype)?;
    let Some(view) = ArrayView::of(&found.array) else {
        return Err(bad_input(format!("input '{}': numpy made no array of it", wanted.name)));
    };
    // Nobody but this request holds the array: borrowing it is not enough, and a fresh one needs no copy.
    let how = if how == How::Borrow || found.fresh { How::Hold } else { how };
    wanted.read(view, how, alloc)
}

/// Reads whatever numpy makes an array of, with the element type that it has.
pub(crate) fn read_any(
    object: &Bound<'_, PyAny>,
    name: &str,
    how: How,
    alloc: Alloc<'_>,
) -> Result<Value, DoorError> {
    let py = object.py();
    let own = match object.cast::<OrtValue>() {
        Ok(value) => match value.get().held() {
            Held::Tensor(tensor) => Some((object.clone(), tensor.dtype)),
            _ => None,
        },
        Err(_) => {
            let array = match ArrayView::of(object) {
                Some(_) => object.clone(),
                None => py.import("numpy")?.call_method1("asarray", (object,))?,
            };
            let dtype = ArrayView::of(&array).and_then(ArrayView::dtype);
            dtype.map(|dtype| (array, dtype))
        }
    };
    let Some((array, dtype)) = own else {
        let kind = object.get_type();
        return Err(bad_input(format!(
            "input '{name}': expected an array of numbers or strings, got {kind}, which has no such elements"
        )));
    };
    read_input(py, &array, &Wanted { name, dtype, dims: None }, how, alloc)
}

impl Wanted<'_> {
    #[inline]
    fn read(&self, view: ArrayView<'_, '_>, how: How, alloc: Alloc<'_>) -> Result<Value, DoorError> {
        if view.dtype() != Some(self.dtype) {
            return Err(wrong_dtype(self.name, view, self.dtype));
        }
        let shape = view.shape();
        if !shape_fits(shape, self.dims) {
            return Err(wrong_shape(self.name, shape, self.dims.unwrap_or_default()));
        }
        let dims: Dims = shape.iter().map(|&length| length as i64).collect();
        let data = self.data(view, how, alloc)?;
        Ok(Value::Tensor(Tensor { dtype: self.dtype, dims, data }))
    }

    /// An `OrtValue` keeps its own memory, so borrowing it is no less than holding it.
    fn take(&self, given: &OrtValue, how: How, alloc: Alloc<'_>) -> Result<Value, DoorError> {
        let held = given.held();
        let dims = match held {
            Held::Tensor(tensor) if tensor.dtype == self.dtype => tensor.dims.as_slice(),
            Held::Device(value) if value.dtype() == self.dtype => value.dims(),
            other => return Err(wrong_type(self.name, &other.words(), self.dtype)),
        };
        let shape: SmallVec<[isize; 6]> = dims.iter().map(|&length| length as isize).collect();
        if !shape_fits(&shape, self.dims) {
            return Err(wrong_shape(self.name, &shape, self.dims.unwrap_or_default()));
        }
        match held {
            Held::Tensor(tensor) if how == How::Copy => copy_of(tensor, alloc),
            _ => Ok(given.value().clone()),
        }
    }

    #[inline]
    fn data(&self, view: ArrayView<'_, '_>, how: How, alloc: Alloc<'_>) -> Result<Data, DoorError> {
        if self.dtype == DType::String {
            return Ok(Data::Strings(read_strings(view, self.name)?));
        }
        if how == How::Copy || self.dtype.bits() < 8 || !view.is_plain() {
            return Ok(Data::Memory(copied(view, self.dtype, alloc)?));
        }
        let owner =
            (how == How::Hold).then(|| Arc::new(PyOwner::new(view.object().to_owned().unbind())) as _);
        Ok(Data::Memory(Memory { addr: view.address(), len: self.dtype.byte_len(view.count()), owner }))
    }
}

/// The element type of an array or an `OrtValue`; `None` for anything else.
pub(crate) fn element_of(object: &Bound<'_, PyAny>) -> Option<DType> {
    match ArrayView::of(object) {
        Some(view) => view.dtype(),
        None => object.cast::<OrtValue>().ok()?.get().held().element(),
    }
}

/// The same tensor in memory of its own.
pub(crate) fn copy_of(tensor: &Tensor, alloc: Alloc<'_>) -> Result<Value, DoorError> {
    let data = match &tensor.data {
        Data::Memory(memory) => Data::Memory(copied_memory(memory, alloc)?),
        Data::Strings(strings) => Data::Strings(Arc::clone(strings)),
    };
    Ok(Value::Tensor(Tensor { dtype: tensor.dtype, dims: tensor.dims.clone(), data }))
}
